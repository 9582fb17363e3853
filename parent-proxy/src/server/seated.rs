//! A connection's stream, which another task can end through its slot.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::slots::ReplySlot;

/// A stream that holds its slot, and fails once it loses it, whoever waits for it.
pub(super) struct Seated<S> {
    inner: S,
    slot: ReplySlot,
}

impl<S> Seated<S> {
    pub(super) fn new(inner: S, slot: ReplySlot) -> Self {
        Self { inner, slot }
    }

    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        self.slot.cut().check(context)
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
    use std::{sync::Arc, time::Duration};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::{sleep, timeout},
    };

    use super::{super::slots::ReplySlots, *};
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn whoever_waits_to_read_or_to_write_is_woken_when_its_slot_is_lost() {
        let slots = ReplySlots::new(1, Arc::new(Metrics::new()));
        for writes in [false, true] {
            let (ours, _theirs) = duplex(8);
            let mut ours = Seated::new(ours, slots.take().unwrap());
            let waiting = tokio::spawn(async move {
                if writes {
                    ours.write_all(&[0; 64]).await.unwrap_err().kind()
                } else {
                    ours.read_u8().await.unwrap_err().kind()
                }
            });
            sleep(Duration::from_millis(20)).await;
            let _next = slots.take().unwrap();
            let ended = timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
            assert_eq!(ended, io::ErrorKind::ConnectionAborted);
        }
    }
}
