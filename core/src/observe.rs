//! How long work reports what it does and learns that it should stop.

use vigie_protocol::run::EpochMetrics;

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the record.
    Info,
    /// Someone should look.
    Warn,
    /// It went wrong.
    Error,
}

/// One step of long work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<'a> {
    /// What is being done: `reading images`.
    pub stage: &'a str,
    /// Units done in this stage.
    pub done: u64,
    /// Units in this stage; 0 when not known.
    pub total: u64,
    /// What the units are: `images`.
    pub unit: &'a str,
    /// Share of the whole work that is done, 0–1.
    pub fraction: f32,
}

/// Whom long work reports to. Called from any thread, often: implementations throttle.
pub trait Observer: Sync {
    /// Something was done.
    fn step(&self, step: Step<'_>);
    /// Something is worth a line in the log.
    fn note(&self, level: Level, text: &str);
    /// A training finished an epoch, whose checkpoint is durable.
    fn epoch(&self, metrics: &EpochMetrics);
    /// Whether the work should stop at the next good place. What is durable then stays.
    fn cancelled(&self) -> bool;
}

/// Listens to nothing, stops nothing: for tests and tools.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn step(&self, _: Step<'_>) {}
    fn note(&self, _: Level, _: &str) {}
    fn epoch(&self, _: &EpochMetrics) {}
    fn cancelled(&self) -> bool {
        false
    }
}
