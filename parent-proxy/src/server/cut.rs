//! A stream that another task can end: from then on it fails, whoever waits for it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::places::Place;

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
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        self.waker.register(context.waker());
        if self.is_done() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

/// A stream that holds its place, and ends when it loses it.
pub(super) struct Seated<S> {
    inner: S,
    place: Place,
}

impl<S> Seated<S> {
    pub(super) fn new(inner: S, place: Place) -> Self {
        Self { inner, place }
    }

    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        Arc::as_ref(self.place.cut()).check(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Seated<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Seated<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.inner).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::{sleep, timeout},
    };

    use super::{super::places::Places, *};
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn whoever_waits_to_read_or_to_write_is_woken_when_its_place_is_lost() {
        let places = Places::new(1, Arc::new(Metrics::new()));
        for writes in [false, true] {
            let (ours, _theirs) = duplex(8);
            let mut ours = Seated::new(ours, places.take().unwrap());
            let waiting = tokio::spawn(async move {
                if writes {
                    ours.write_all(&[0; 64]).await.unwrap_err().kind()
                } else {
                    ours.read_u8().await.unwrap_err().kind()
                }
            });
            sleep(Duration::from_millis(20)).await;
            let _next = places.take().unwrap();
            let ended = timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
            assert_eq!(ended, io::ErrorKind::ConnectionAborted);
        }
    }
}
