//! A connection's bytes, watched: whether the peer is gone, and whether it keeps the agent waiting.
//!
//! A connection may be idle for days. But a frame that was begun is memory held for its rest, and an
//! answer that is not taken is memory held too; so each has a time within which it must be through.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

/// A stream that tells when its peer will say nothing more, and ends when its peer dawdles.
///
/// tarpc waits for every answer before it ends a connection whose peer is gone; a long poll has
/// nobody left to answer.
pub(super) struct PeerStream<S> {
    inner: S,
    gone: CancellationToken,
    patience: Duration,
    frames: Frames,
    /// Runs while a frame is half there, from its first byte.
    reading: Option<Pin<Box<Sleep>>>,
    /// Runs while what is to be written is not, from the first byte that the peer did not take.
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> PeerStream<S> {
    /// Watches over `inner`, which is at the start of a frame. Cancels `gone` when the peer is;
    /// fails with `TimedOut` when it needs more than `patience` for one frame.
    pub(super) fn new(inner: S, gone: CancellationToken, patience: Duration) -> Self {
        Self { inner, gone, patience, frames: Frames::default(), reading: None, writing: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PeerStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Pending => {
                let Some(timer) = &mut this.reading else { return Poll::Pending };
                ready!(timer.as_mut().poll(cx));
                Err(dawdles("finish a frame", this.patience))
            }
            Poll::Ready(read) => read,
        };
        let bytes = &buf.filled()[before..];
        if read.is_err() || (bytes.is_empty() && buf.remaining() > 0) {
            this.gone.cancel();
        }
        let began_another = this.frames.advance(bytes);
        if !this.frames.is_half() {
            this.reading = None;
        } else if began_another || this.reading.is_none() {
            this.reading = Some(Box::pin(sleep(this.patience)));
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PeerStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_write(cx, bytes) {
            Poll::Pending => {
                let timer = this.writing.get_or_insert_with(|| Box::pin(sleep(this.patience)));
                ready!(timer.as_mut().poll(cx));
                this.gone.cancel();
                Poll::Ready(Err(dawdles("take an answer", this.patience)))
            }
            written @ Poll::Ready(_) => written,
        }
    }

    /// Called when all that was to be written is.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.writing = None;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

fn dawdles(what: &str, patience: Duration) -> io::Error {
    let text = format!("the peer did not {what} within {} s", patience.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, text)
}

/// Where in a sequence of frames a stream stands: four bytes of big-endian length, then as many.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes of the prefix that are there.
    prefix: usize,
    length: u32,
    /// Bytes of the body that are missing, once the prefix is there.
    missing: usize,
}

impl Frames {
    fn is_half(&self) -> bool {
        self.prefix > 0
    }

    /// Takes bytes in; says whether a frame ended among them.
    fn advance(&mut self, mut bytes: &[u8]) -> bool {
        let mut ended = false;
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.prefix < 4 {
                self.prefix += 1;
                self.length = self.length << 8 | u32::from(byte);
                self.missing = self.length as usize;
                bytes = rest;
            } else {
                let taken = self.missing.min(bytes.len());
                self.missing -= taken;
                bytes = &bytes[taken..];
            }
            if self.prefix == 4 && self.missing == 0 {
                *self = Self::default();
                ended = true;
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    proptest! {
        #[test]
        fn frames_are_counted_however_they_are_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cuts in prop::collection::vec(1usize..30, 1..20),
        ) {
            let mut wire = Vec::new();
            let mut ends = vec![0];
            for frame in &frames {
                wire.extend((frame.len() as u32).to_be_bytes());
                wire.extend(frame);
                ends.push(wire.len());
            }
            let (mut state, mut at) = (Frames::default(), 0);
            for cut in cuts.iter().cycle() {
                let next = (at + cut).min(wire.len());
                let ended = state.advance(&wire[at..next]);
                prop_assert_eq!(ended, ends.iter().any(|end| (at + 1..=next).contains(end)));
                prop_assert_eq!(state.is_half(), !ends.contains(&next));
                at = next;
                if at == wire.len() {
                    break;
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_has_its_time_and_idling_has_no_limit() {
        let (mut peer, ours) = duplex(1024);
        let gone = CancellationToken::new();
        let mut ours = PeerStream::new(ours, gone.clone(), PATIENCE);
        let began = Instant::now();
        let writer = tokio::spawn(async move {
            sleep(PATIENCE * 100).await;
            peer.write_all(&[0, 0, 0, 2, 1, 2]).await.expect("a frame");
            sleep(PATIENCE * 100).await;
            // A byte a second: each is progress, the frame as a whole is not.
            for byte in [0, 0, 1, 0].into_iter().chain([7; 256]) {
                sleep(Duration::from_secs(1)).await;
                if peer.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
            peer
        });
        let mut heard = [0; 6];
        ours.read_exact(&mut heard).await.expect("the first frame");
        assert!(!gone.is_cancelled());
        let mut rest = Vec::new();
        let error = ours.read_to_end(&mut rest).await.expect_err("too slow");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), PATIENCE * 200 + PATIENCE + Duration::from_secs(1));
        assert!(gone.is_cancelled());
        writer.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_must_be_taken() {
        let (mut peer, ours) = duplex(16);
        let gone = CancellationToken::new();
        let mut ours = PeerStream::new(ours, gone.clone(), PATIENCE);
        let began = Instant::now();
        let reader = tokio::spawn(async move {
            let mut answer = [0; 100];
            sleep(PATIENCE / 2).await;
            peer.read_exact(&mut answer).await.expect("slow, but in time");
            sleep(PATIENCE).await;
            // Two bytes, then nothing.
            peer.read_exact(&mut answer[..2]).await.expect("a little");
            std::future::pending::<()>().await;
        });
        ours.write_all(&[1; 100]).await.expect("taken");
        ours.flush().await.expect("flushed");
        assert_eq!(began.elapsed(), PATIENCE / 2);
        let error = ours.write_all(&[2; 100]).await.expect_err("not taken");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), PATIENCE / 2 + PATIENCE);
        assert!(gone.is_cancelled());
        reader.abort();
    }
}
