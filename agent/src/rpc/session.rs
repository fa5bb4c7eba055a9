//! One connection, as the handlers see it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use vigie_protocol::access::Principal;
use vigie_protocol::wire::WireCodec;
use vigie_protocol::wire::unix::Peer;

/// Who is connected, and how.
#[derive(Clone, Debug)]
pub struct Session {
    /// Counts the connections of this start of the agent.
    pub serial: u64,
    /// Who they are and what they may do.
    pub principal: Principal,
    /// What the kernel says of them.
    pub peer: Peer,
    /// What they call themselves: `console 0.1.0`.
    pub client: String,
    /// What they speak.
    pub codec: WireCodec,
}

/// A stream that tells when its peer will say nothing more. tarpc waits for every answer before it
/// ends such a connection; a long poll has nobody left to answer.
pub(super) struct Farewell<S> {
    inner: S,
    gone: CancellationToken,
}

impl<S> Farewell<S> {
    pub(super) fn new(inner: S, gone: CancellationToken) -> Self {
        Self { inner, gone }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Farewell<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        let ended = match &read {
            Poll::Ready(Ok(())) => buf.filled().len() == before && buf.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if ended {
            self.gone.cancel();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Farewell<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
