//! Frames: a 4-byte big-endian length, at most [`MAX_FRAME`], then one CBOR message.
//!
//! The length is checked before anything is allocated, and every wait has a deadline. Whoever has to
//! count what is allocated reads a frame in two steps: [`begin`], then [`Incoming::read`].

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout, timeout_at},
};

/// The longest message: 1 MiB.
pub const MAX_FRAME: usize = 1 << 20;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side announced a frame over the limit, or an empty one.
    #[error("a frame of 1 to {MAX_FRAME} bytes was expected, found {0}")]
    Length(usize),
    /// The deadline passed.
    #[error("a whole frame was expected before the deadline")]
    Deadline,
    /// The connection failed or ended within a frame.
    #[error("the connection: {0}")]
    Io(#[from] io::Error),
}

/// How long to wait for a frame.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For the first byte of the next frame.
    pub idle: Duration,
    /// For the rest of it, and for a write.
    pub frame: Duration,
}

/// How much of a message is read with the length of its frame.
pub const HEAD: usize = 48;

/// A frame that has begun to arrive. Nothing is allocated for it: whoever reads on has seen how long
/// it is, and how it begins.
#[derive(Debug)]
pub struct Incoming {
    length: usize,
    head: [u8; HEAD],
    until: Instant,
}

/// Waits for the next frame, and reads its length and how its message begins; `None` when the other
/// side closed between frames.
///
/// # Errors
/// [`FrameError`]
pub async fn begin<R: AsyncRead + Unpin>(
    reader: &mut R,
    deadlines: Deadlines,
) -> Result<Option<Incoming>, FrameError> {
    let mut first = [0u8; 1];
    if timeout(deadlines.idle, reader.read(&mut first)).await.map_err(|_| FrameError::Deadline)?? == 0 {
        return Ok(None);
    }
    let until = Instant::now().checked_add(deadlines.frame).ok_or(FrameError::Deadline)?;
    let beginning = async {
        let mut rest = [0u8; 3];
        reader.read_exact(&mut rest).await?;
        let ([a], [b, c, d]) = (first, rest);
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if !(1..=MAX_FRAME).contains(&length) {
            return Err(FrameError::Length(length));
        }
        let mut head = [0; HEAD];
        let (here, _) = head.split_at_mut_checked(length.min(HEAD)).ok_or(FrameError::Length(length))?;
        reader.read_exact(here).await?;
        Ok(Incoming { length, head, until })
    };
    timeout_at(until, beginning).await.map_err(|_| FrameError::Deadline)?.map(Some)
}

impl Incoming {
    /// The length of the whole message.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The first bytes of the message: all of it, or [`HEAD`].
    pub fn head(&self) -> &[u8] {
        self.head.get(..self.length).unwrap_or(&self.head)
    }

    /// Reads the rest: the whole message.
    ///
    /// # Errors
    /// [`FrameError`]
    pub async fn read<R: AsyncRead + Unpin>(self, reader: &mut R) -> Result<Vec<u8>, FrameError> {
        let mut message = vec![0; self.length];
        let head = self.head();
        let (here, rest) = message.split_at_mut_checked(head.len()).ok_or(FrameError::Length(self.length))?;
        here.copy_from_slice(head);
        timeout_at(self.until, reader.read_exact(rest)).await.map_err(|_| FrameError::Deadline)??;
        Ok(message)
    }

    /// Reads the rest and throws it away: nothing of its length is ever held.
    ///
    /// # Errors
    /// [`FrameError`]
    pub async fn skip<R: AsyncRead + Unpin>(self, reader: &mut R) -> Result<(), FrameError> {
        let skipping = async {
            let mut left = self.length.saturating_sub(self.head().len());
            let mut thrown_away = [0; 4096];
            while left > 0 {
                let most = left.min(thrown_away.len());
                let here = thrown_away.get_mut(..most).unwrap_or_default();
                match reader.read(here).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    read => left = left.saturating_sub(read),
                }
            }
            Ok(())
        };
        timeout_at(self.until, skipping).await.map_err(|_| FrameError::Deadline)?
    }
}

/// Reads the next frame; `None` when the other side closed between frames.
///
/// # Errors
/// [`FrameError`]
pub async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    deadlines: Deadlines,
) -> Result<Option<Vec<u8>>, FrameError> {
    match begin(reader, deadlines).await? {
        Some(incoming) => incoming.read(reader).await.map(Some),
        None => Ok(None),
    }
}

/// Writes one frame.
///
/// # Errors
/// [`FrameError`]
pub async fn write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    message: &[u8],
    deadlines: Deadlines,
) -> Result<(), FrameError> {
    let mut frame = Vec::new();
    append(&mut frame, message)?;
    send(writer, &frame, deadlines).await
}

/// Appends a message's frame to others that leave with it.
///
/// # Errors
/// [`FrameError::Length`]; then nothing was appended.
pub fn append(frames: &mut Vec<u8>, message: &[u8]) -> Result<(), FrameError> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    if !(1..=MAX_FRAME).contains(&message.len()) {
        return Err(FrameError::Length(message.len()));
    }
    frames.reserve(message.len().saturating_add(4));
    frames.extend_from_slice(&length.to_be_bytes());
    frames.extend_from_slice(message);
    Ok(())
}

/// Sends whole frames.
///
/// # Errors
/// [`FrameError`]
pub async fn send<W: AsyncWrite + Unpin>(
    writer: &mut W,
    frames: &[u8],
    deadlines: Deadlines,
) -> Result<(), FrameError> {
    let sending = async {
        writer.write_all(frames).await?;
        writer.flush().await
    };
    Ok(timeout(deadlines.frame, sending).await.map_err(|_| FrameError::Deadline)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Deadlines = Deadlines { idle: Duration::from_millis(50), frame: Duration::from_millis(50) };

    async fn read_bytes(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        read(&mut bytes, SOON).await
    }

    #[tokio::test]
    async fn a_frame_is_read_as_it_was_written() {
        let mut wire = Vec::new();
        write(&mut wire, b"message", SOON).await.unwrap();
        assert_eq!(wire, b"\0\0\0\x07message");
        assert_eq!(read_bytes(&wire).await.unwrap().unwrap(), b"message");
        assert!(read_bytes(&[]).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_length_over_the_limit_or_of_nothing_is_refused_unread() {
        assert!(matches!(read_bytes(&[0xff; 8]).await, Err(FrameError::Length(0xffff_ffff))));
        assert!(matches!(read_bytes(&[0, 0x10, 0, 1]).await, Err(FrameError::Length(0x10_0001))));
        assert!(matches!(read_bytes(&[0; 4]).await, Err(FrameError::Length(0))));
        let mut wire = Vec::new();
        assert!(matches!(write(&mut wire, &[0; MAX_FRAME + 1], SOON).await, Err(FrameError::Length(_))));
        assert!(wire.is_empty());
    }

    #[tokio::test]
    async fn whoever_stalls_within_or_before_a_frame_runs_into_the_deadline() {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        assert!(matches!(read(&mut ours, SOON).await, Err(FrameError::Deadline)));
        theirs.write_all(&[0, 0, 0, 9, 1, 2]).await.unwrap();
        assert!(matches!(read(&mut ours, SOON).await, Err(FrameError::Deadline)));
    }

    #[tokio::test]
    async fn a_frame_is_known_by_its_beginning_and_read_or_skipped_from_there() {
        for length in [1, HEAD - 1, HEAD, HEAD + 1, 4096 + HEAD, 100_000] {
            let message: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut wire = Vec::new();
            write(&mut wire, &message, SOON).await.unwrap();
            write(&mut wire, &message, SOON).await.unwrap();
            write(&mut wire, b"next", SOON).await.unwrap();
            let mut reader = wire.as_slice();
            let first = begin(&mut reader, SOON).await.unwrap().unwrap();
            assert_eq!((first.length(), first.head()), (length, &message[..length.min(HEAD)]));
            assert_eq!(first.read(&mut reader).await.unwrap(), message);
            begin(&mut reader, SOON).await.unwrap().unwrap().skip(&mut reader).await.unwrap();
            assert_eq!(read(&mut reader, SOON).await.unwrap().unwrap(), b"next", "{length}");
        }
    }

    #[tokio::test]
    async fn what_is_skipped_has_a_deadline_and_an_end_within_it_is_an_error() {
        let mut wire = [0; 4 + HEAD + 9].to_vec();
        wire[..4].copy_from_slice(&1000u32.to_be_bytes());
        let mut reader = wire.as_slice();
        let cut = begin(&mut reader, SOON).await.unwrap().unwrap();
        assert!(matches!(cut.skip(&mut reader).await, Err(FrameError::Io(_))));
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(&wire[..4 + HEAD]).await.unwrap();
        let stalled = begin(&mut ours, SOON).await.unwrap().unwrap();
        assert!(matches!(stalled.skip(&mut ours).await, Err(FrameError::Deadline)));
    }

    #[tokio::test]
    async fn an_end_within_a_frame_is_an_error() {
        assert!(matches!(read_bytes(&[0, 0, 0, 9, 1]).await, Err(FrameError::Io(_))));
        assert!(matches!(read_bytes(&[0, 0]).await, Err(FrameError::Io(_))));
    }
}
