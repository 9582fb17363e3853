//! Ending a stream from another task.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    task::Context,
};

use futures::task::AtomicWaker;

/// Whether a stream is to end.
#[derive(Debug, Default)]
pub(super) struct Cut {
    done: AtomicBool,
    waker: AtomicWaker,
}

impl Cut {
    /// Ends it.
    pub(super) fn cut(&self) {
        self.done.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it was ended.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Fails once it is to end; else has the task woken when it is. One task drives a connection.
    pub(super) fn check(&self, context: &Context<'_>) -> io::Result<()> {
        self.waker.register(context.waker());
        if self.is_done() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}
