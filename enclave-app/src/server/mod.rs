//! Connections of the parent: frames in, frames out, many requests under way on each. Everything
//! is bounded: connections, requests and their bytes, the length of a frame, every wait.

mod connections;
mod conversation;
mod room;

use std::{future::Future, io, sync::Arc, time::Duration};

use wire::transport::{Listener, Stream};

use self::{
    connections::{Connections, Slot},
    conversation::converse,
    room::Room,
};
use crate::service::Service;

/// After an accept that failed, e.g. for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `stop`, then lets what is under way finish.
pub(crate) async fn serve(service: Arc<Service>, mut listener: Listener, stop: impl Future<Output = ()>) {
    let limits = service.config.limits().clone();
    let connections = Connections::new(limits.connections);
    let room = Room::new(&limits);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&mut listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => {
                tokio::spawn(converse(service.clone(), stream, room.clone(), slot));
            }
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    service.drain();
    let drained = tokio::time::timeout(Duration::from_secs(limits.drain_seconds), room.drained());
    match drained.await {
        Ok(()) => tracing::info!("drained"),
        Err(_) => tracing::warn!(seconds = limits.drain_seconds, "not drained in time"),
    }
}

/// The next connection, once there is room for it.
async fn accept(listener: &mut Listener, connections: &Arc<Connections>) -> io::Result<(Stream, Slot)> {
    let stream = listener.accept().await?;
    Ok((stream, connections.place().await))
}
