//! The enclave's way out to KMS: bytes from vsock to one configured TCP destination and back.
//! Nothing in the stream chooses the destination, and nothing of it is looked at: TLS ends in the
//! enclave.

use std::{io, sync::Arc, time::Duration};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::TcpStream,
    sync::{Semaphore, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use wire::transport::{Listener, Stream};

use crate::{
    config::HostPort,
    metrics::{Direction, Metrics},
    stop::Stop,
};

/// What is read at once.
const CHUNK: usize = 16 * 1024;

/// Bounds of the way out.
#[derive(Debug, Clone, Copy)]
pub struct EgressLimits {
    /// Connections at once; more wait in the listener's queue.
    pub connections: usize,
    /// For connecting to KMS.
    pub connect_timeout: Duration,
    /// Without a byte in either direction.
    pub idle_timeout: Duration,
}

/// Forwards every connection of `listener` to `kms` until told to stop.
pub(crate) async fn run(
    mut listener: Listener,
    kms: HostPort,
    limits: EgressLimits,
    metrics: Arc<Metrics>,
    mut stop: Stop,
) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let kms = Arc::new(kms);
    loop {
        let accepted = async {
            // Never closed; were it, the bound would be gone but nothing else.
            let permit = Arc::clone(&permits).acquire_owned().await.ok();
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.said() => return,
        };
        let enclave = match accepted {
            Ok(enclave) => enclave,
            Err(error) => {
                tracing::warn!(%error, "a connection to the way out could not be accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (kms, metrics) = (Arc::clone(&kms), Arc::clone(&metrics));
        tokio::spawn(async move {
            let _count = metrics.egress_connection();
            if let Err(error) = forward(enclave, &kms, limits, &metrics).await {
                tracing::warn!(%kms, %error, "a connection to KMS ended");
            }
            drop(permit);
        });
    }
}

async fn forward(enclave: Stream, kms: &HostPort, limits: EgressLimits, metrics: &Metrics) -> io::Result<()> {
    let connecting = TcpStream::connect((kms.host.as_str(), kms.port));
    let kms = match timeout(limits.connect_timeout, connecting).await {
        Ok(Ok(kms)) => kms,
        Ok(Err(error)) => {
            metrics.egress_connect("failed");
            return Err(error);
        }
        Err(_) => {
            metrics.egress_connect("deadline");
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no connection within the deadline"));
        }
    };
    metrics.egress_connect("ok");
    kms.set_nodelay(true)?;
    let (from_enclave, to_enclave) = split(enclave);
    let (from_kms, to_kms) = kms.into_split();
    let activity = watch::Sender::new(Instant::now());
    let both = async {
        tokio::try_join!(
            copy(from_enclave, to_kms, &activity, metrics.egress_bytes(Direction::ToKms)),
            copy(from_kms, to_enclave, &activity, metrics.egress_bytes(Direction::ToEnclave)),
        )
    };
    tokio::select! {
        done = both => done.map(drop),
        // An idle connection is nothing to report.
        () = quiet(&activity, limits.idle_timeout) => Ok(()),
    }
}

/// Copies until the end of `from`, and passes the end on; the other direction goes on.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    activity: &watch::Sender<Instant>,
    bytes: Counter,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        activity.send_replace(Instant::now());
        let Some(chunk) = chunk.get(..read).filter(|chunk| !chunk.is_empty()) else {
            return to.shutdown().await;
        };
        to.write_all(chunk).await?;
        bytes.inc_by(chunk.len() as u64);
        activity.send_replace(Instant::now());
    }
}

/// Returns once nothing was active for `idle`.
async fn quiet(activity: &watch::Sender<Instant>, idle: Duration) {
    loop {
        let until = *activity.borrow() + idle;
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}
