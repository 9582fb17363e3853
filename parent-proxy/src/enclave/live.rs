//! The connections that are in use, and which of them is asked.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use attestation::DocumentHash;
use tokio::time::{sleep, timeout};

use super::connection::Connection;

/// How long a second try waits for a connection: about as long as an enclave takes to come back.
const RETRY_WAIT: Duration = Duration::from_secs(2);

/// All connections that are in use.
#[derive(Default)]
pub(super) struct LiveConnections(RwLock<Vec<Live>>);

/// A connection that is in use, and the boot at its other end.
struct Live {
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

impl LiveConnections {
    /// The connection of this line with the least under way, else one of the other line; to this boot,
    /// where one is named.
    pub(super) fn pick(&self, line: Line, boot: Option<DocumentHash>) -> Option<Arc<Connection>> {
        let live = self.0.read().unwrap_or_else(PoisonError::into_inner);
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

    pub(super) fn add(&self, connection: Arc<Connection>, boot: DocumentHash, line: Line) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(Live { connection, boot, line });
    }

    pub(super) fn remove(&self, connection: &Arc<Connection>) {
        let mut live = self.0.write().unwrap_or_else(PoisonError::into_inner);
        live.retain(|live| !Arc::ptr_eq(&live.connection, connection));
    }
}
