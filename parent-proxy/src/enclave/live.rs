//! The connections that are in use, and which of them is asked.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use attestation::DocumentHash;
use tokio::time::{sleep, timeout};

use super::{Enclave, EnclaveState, connection::Connection, pool::Inner};

/// How long a second try waits for a connection: about as long as an enclave takes to come back.
const RETRY_WAIT: Duration = Duration::from_secs(2);

/// A connection that is in use, and the boot at its other end.
pub(super) struct Live {
    connection: Arc<Connection>,
    boot: DocumentHash,
    line: Line,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// What clients ask.
    Common,
    /// Orders, policies and activations, and what the log needs to be written: nothing on it waits
    /// behind a client's long requests.
    Restricting,
}

impl Enclave {
    /// The live connection of this line with the least under way, else one of the other line; to this
    /// boot, where one is named.
    pub(super) fn pick(&self, line: Line, boot: Option<DocumentHash>) -> Option<Arc<Connection>> {
        let live = self.inner.live.read().unwrap_or_else(PoisonError::into_inner);
        let usable = live.iter().filter(|live| boot.is_none_or(|boot| boot == live.boot));
        let open = usable.filter(|live| live.connection.is_open());
        // What clients ask never takes the other line: while theirs are lost, they are told so.
        let allowed = open.filter(|live| live.line == line || line == Line::Restricting);
        allowed
            .min_by_key(|live| (live.line != line, live.connection.under_way()))
            .map(|live| Arc::clone(&live.connection))
    }

    /// As [`Self::pick`], waiting a little for one.
    pub(super) async fn pick_soon(&self, line: Line) -> Option<Arc<Connection>> {
        let picked = async {
            loop {
                // Connections of one enclave end together: time to notice that of the others.
                sleep(Duration::from_millis(20)).await;
                if let Some(connection) = self.pick(line, None) {
                    return connection;
                }
            }
        };
        timeout(RETRY_WAIT, picked).await.ok()
    }
}

impl Inner {
    pub(super) fn join(&self, connection: Arc<Connection>, boot: DocumentHash, line: Line) {
        self.live.write().unwrap_or_else(PoisonError::into_inner).push(Live { connection, boot, line });
        // Whether it serves is a question of what clients can reach.
        if line == Line::Common {
            self.state.send_modify(EnclaveState::connected);
        }
        self.publish();
    }

    pub(super) fn leave(&self, connection: &Arc<Connection>, line: Line) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        live.retain(|live| !Arc::ptr_eq(&live.connection, connection));
        drop(live);
        if line == Line::Common {
            self.state.send_modify(EnclaveState::disconnected);
        }
        self.publish();
    }
}
