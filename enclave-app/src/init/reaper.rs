//! Children of processes that have ended are the first process's. The program starts none; what the
//! kernel or a library starts is taken away all the same.

use std::io;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use tokio::signal::unix::{SignalKind, signal};

/// Takes away children that have ended, for as long as it is awaited.
///
/// # Errors
/// When the kernel tells nobody of them.
pub async fn reap() -> io::Result<()> {
    let mut ended = signal(SignalKind::child())?;
    loop {
        // Several may have ended by one signal.
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
        if ended.recv().await.is_none() {
            return Ok(());
        }
    }
}
