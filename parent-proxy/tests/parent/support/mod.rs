//! For the parent's tests: the program itself as a process of its own, and a double of the other
//! side of the wire, which says whatever a test wants an enclave to say.

pub mod client;
pub mod double;
pub mod lines;
pub mod process;
pub mod s3;
pub mod usual;

use std::time::Duration;

/// Waits until something holds, for at most ten seconds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}, within ten seconds");
}
