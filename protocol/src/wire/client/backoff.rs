//! How long to wait between attempts: exponential, capped, with full jitter, so that a hundred
//! consoles do not fall upon an agent that comes back all at once (Brooker, "Exponential Backoff And
//! Jitter", AWS Architecture Blog, 2015).

use std::time::Duration;

use rand::RngExt;

/// The waits of one client.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Upper bound of the first wait.
    pub first: Duration,
    /// Upper bound of every wait.
    pub longest: Duration,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(15))
    }
}

impl Backoff {
    /// Waits between zero and a bound that doubles from `first` up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        doubled.min(self.longest).mul_f64(rand::rng().random_range(0.0..=1.0))
    }

    /// Starts again from the shortest wait.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_fill_their_range() {
        let mut longest_seen = Duration::ZERO;
        for _ in 0..50 {
            let mut backoff = Backoff::default();
            for bound in [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000] {
                let wait = backoff.wait();
                assert!(wait <= Duration::from_millis(bound), "{wait:?} > {bound} ms");
                longest_seen = longest_seen.max(wait);
            }
            backoff.reset();
            assert!(backoff.wait() <= Duration::from_millis(100));
        }
        assert!(longest_seen > Duration::from_secs(10));
        let mut tired = Backoff { failures: u32::MAX, ..Backoff::default() };
        assert!(tired.wait() <= Duration::from_secs(15));
    }
}
