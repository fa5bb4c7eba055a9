//! A byte stream in memory that is as bad as a test wants it: slow, jittery, or stalled.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, split};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::dice::{below, mix};

/// Bytes that one end may be ahead of the other in each piece of the line.
pub(super) const BUFFER: usize = 16 * 1024;

/// Chunks under way in one direction: with a slow line, a window of half a megabyte.
const WINDOW: usize = 32;

/// How the line to one agent is now. Connections heed changes at once.
#[derive(Debug)]
pub(super) struct Conditions {
    /// Of each direction, in microseconds.
    latency: AtomicU64,
    /// The most that is added to the latency, in microseconds.
    jitter: AtomicU64,
    flows: watch::Sender<bool>,
    seed: u64,
    drawn: AtomicU64,
}

impl Conditions {
    /// A line without any delay.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            latency: AtomicU64::new(0),
            jitter: AtomicU64::new(0),
            flows: watch::Sender::new(true),
            seed,
            drawn: AtomicU64::new(0),
        }
    }

    pub(super) fn set_latency(&self, latency: Duration) {
        self.latency.store(micros(latency), Ordering::SeqCst);
    }

    pub(super) fn set_jitter(&self, jitter: Duration) {
        self.jitter.store(micros(jitter), Ordering::SeqCst);
    }

    pub(super) fn set_flowing(&self, flows: bool) {
        self.flows.send_replace(flows);
    }

    /// How long something takes that is sent now.
    pub(super) fn delay(&self) -> Duration {
        let jitter = self.jitter.load(Ordering::SeqCst);
        let extra = if jitter == 0 {
            0
        } else {
            let bits = mix(self.seed, self.drawn.fetch_add(1, Ordering::SeqCst));
            below(bits, usize::try_from(jitter).unwrap_or(usize::MAX)) as u64
        };
        Duration::from_micros(self.latency.load(Ordering::SeqCst) + extra)
    }

    /// Waits while nothing flows.
    async fn flowing(&self) {
        // The sender lives as long as self, so that waiting can only end by the line flowing.
        let _ = self.flows.subscribe().wait_for(|&flows| flows).await;
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX / 4)
}

/// Carries bytes both ways until both ends are closed.
pub(super) async fn carry(near: DuplexStream, far: DuplexStream, conditions: &Conditions) {
    let ((near_out, near_in), (far_out, far_in)) = (split(near), split(far));
    tokio::join!(one_way(near_out, far_in, conditions), one_way(far_out, near_in, conditions));
}

async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, conditions: &Conditions) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(WINDOW);
    let depart = async move {
        // Bytes do not overtake each other, however the line jitters.
        let mut last = Instant::now();
        loop {
            let mut chunk = Vec::with_capacity(BUFFER);
            match from.read_buf(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(_) => last = last.max(Instant::now() + conditions.delay()),
            }
            if sender.send((last, chunk)).await.is_err() {
                return;
            }
        }
    };
    let arrive = async move {
        while let Some((due, chunk)) = under_way.recv().await {
            if due > Instant::now() {
                sleep_until(due).await;
            }
            conditions.flowing().await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        // The other end may be gone already; then it knows.
        let _ = to.shutdown().await;
    };
    tokio::join!(depart, arrive);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::duplex;

    use super::*;

    /// Sends one byte through a line and says how long it took.
    async fn trip(conditions: Conditions) -> Duration {
        let ((mut here, near), (far, mut there)) = (duplex(BUFFER), duplex(BUFFER));
        let conditions = Arc::new(conditions);
        let line = Arc::clone(&conditions);
        let carried = tokio::spawn(async move { carry(near, far, &line).await });
        let began = Instant::now();
        here.write_all(b"x").await.expect("sent");
        assert_eq!(there.read_u8().await.expect("arrives"), b'x');
        let took = began.elapsed();
        drop((here, there));
        carried.await.expect("ends with its ends");
        took
    }

    #[tokio::test(start_paused = true)]
    async fn delays_are_what_was_asked_for() {
        let ms = Duration::from_millis;
        for (latency, jitter, range) in
            [(0, 0, ms(0)..=ms(0)), (40, 0, ms(40)..=ms(41)), (40, 100, ms(40)..=ms(141))]
        {
            let conditions = Conditions::new(latency + jitter);
            conditions.set_latency(ms(latency));
            conditions.set_jitter(ms(jitter));
            let took = trip(conditions).await;
            assert!(range.contains(&took), "{latency} ms and {jitter} ms: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_line_delivers_when_it_flows_again() {
        let conditions = Arc::new(Conditions::new(1));
        conditions.set_flowing(false);
        let ((mut here, near), (far, mut there)) = (duplex(BUFFER), duplex(BUFFER));
        let line = Arc::clone(&conditions);
        let _carried = tokio::spawn(async move { carry(near, far, &line).await });
        here.write_all(b"late").await.expect("taken in");
        let mut bytes = [0; 4];
        let early = tokio::time::timeout(Duration::from_secs(3_600), there.read_exact(&mut bytes)).await;
        assert!(early.is_err());
        conditions.set_flowing(true);
        there.read_exact(&mut bytes).await.expect("delivered");
        assert_eq!(&bytes, b"late");
    }
}
