//! A part of longer work, observed as such.

use vigie_core::observe::{Level, Observer, Step};
use vigie_protocol::run::EpochMetrics;

/// Passes on what a part of the work reports, its fraction fitted between two of the whole.
pub(super) struct Part<'a> {
    whole: &'a dyn Observer,
    from: f32,
    to: f32,
}

impl<'a> Part<'a> {
    pub(super) fn new(whole: &'a dyn Observer, from: f32, to: f32) -> Self {
        Self { whole, from, to }
    }
}

impl Observer for Part<'_> {
    fn step(&self, step: Step<'_>) {
        let fraction = self.from + (self.to - self.from) * step.fraction;
        self.whole.step(Step { fraction, ..step });
    }

    fn note(&self, level: Level, text: &str) {
        self.whole.note(level, text);
    }

    fn epoch(&self, metrics: &EpochMetrics) {
        self.whole.epoch(metrics);
    }

    fn cancelled(&self) -> bool {
        self.whole.cancelled()
    }
}
