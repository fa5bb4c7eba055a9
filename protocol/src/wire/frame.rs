//! Frames: four bytes of big-endian length, then that many bytes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::MAX_FRAME;

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer closed the stream before the frame was whole.
    #[error("the peer closed the connection")]
    Closed,
    /// The frame claims to be larger than is allowed here.
    #[error("a frame of {length} bytes is larger than the {limit} allowed")]
    TooLong {
        /// What its prefix claims.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads one frame of at most `limit` bytes, and not a byte more than the frame.
///
/// # Errors
/// See [`FrameError`]; the length is checked before anything is allocated.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S, limit: usize) -> Result<Vec<u8>, FrameError> {
    let closed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Closed,
        _ => FrameError::Io(error),
    };
    let length = stream.read_u32().await.map_err(closed)? as usize;
    if length > limit {
        return Err(FrameError::TooLong { length, limit });
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(closed)?;
    Ok(bytes)
}

/// Writes one frame and flushes it.
///
/// # Errors
/// When the stream fails, or `bytes` are more than a prefix can say.
pub async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_u32(length).await?;
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Cuts a stream into frames of at most [`MAX_FRAME`] bytes.
pub fn framed<S: AsyncRead + AsyncWrite>(stream: S) -> Framed<S, LengthDelimitedCodec> {
    LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_framed(stream)
}
