//! The fleet's clock: it stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use vigie_protocol::Time;

/// When simulations begin, in microseconds since 1970: 2026-11-21T08:00:00Z.
const START: i64 = 1_795_248_000_000_000;

/// The time all agents agree on, but for the skew of each. Clones show the same time.
#[derive(Clone, Debug)]
pub(super) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(super) fn new(begins: Time) -> Self {
        Self(Arc::new(AtomicI64::new(begins.as_micros())))
    }

    pub(super) fn now(&self) -> Time {
        Time::from_micros(self.0.load(Ordering::SeqCst))
    }

    pub(super) fn advance(&self, by: Duration) {
        self.0.store(self.now().plus(by).as_micros(), Ordering::SeqCst);
    }
}

/// The instant at which every simulation begins that does not say otherwise.
pub fn start() -> Time {
    Time::from_micros(START)
}

/// In which direction an agent's clock is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// It shows a later time than it is.
    Ahead,
    /// It shows an earlier time than it is.
    Behind,
}
