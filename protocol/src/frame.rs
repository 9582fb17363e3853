//! Frames: a 4-byte big-endian length, at most [`MAX_FRAME`], then one CBOR message.
//!
//! The length is checked before anything is allocated, and every wait has a deadline.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
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

/// Reads the next frame; `None` when the other side closed between frames.
///
/// # Errors
/// [`FrameError`]
pub async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    deadlines: Deadlines,
) -> Result<Option<Vec<u8>>, FrameError> {
    let mut first = [0u8; 1];
    if timeout(deadlines.idle, reader.read(&mut first)).await.map_err(|_| FrameError::Deadline)?? == 0 {
        return Ok(None);
    }
    let body = async {
        let mut rest = [0u8; 3];
        reader.read_exact(&mut rest).await?;
        let ([a], [b, c, d]) = (first, rest);
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if !(1..=MAX_FRAME).contains(&length) {
            return Err(FrameError::Length(length));
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await?;
        Ok(body)
    };
    timeout(deadlines.frame, body).await.map_err(|_| FrameError::Deadline)?.map(Some)
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
    async fn an_end_within_a_frame_is_an_error() {
        assert!(matches!(read_bytes(&[0, 0, 0, 9, 1]).await, Err(FrameError::Io(_))));
        assert!(matches!(read_bytes(&[0, 0]).await, Err(FrameError::Io(_))));
    }
}
