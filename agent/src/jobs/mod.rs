//! The job engine: what runs in the background, in which order, and what becomes of it.
//!
//! [`JobEngine`] owns every job that has not ended; one task, [`JobEngine::run`], changes them.
//! [`JobsHandle`] asks it for changes and reads. A job goes through
//!
//! 1. *queued*: [`wait`] decides what it waits for: other jobs, leases, a slot, a back-off;
//! 2. *running*: it holds its leases ([`kinds`]), a worker process is at it ([`launch`]), one task
//!    listens ([`attempt`]);
//! 3. the worker's end is judged ([`ending`]): a result is landed in the store under the fence of
//!    the leases ([`land`]), a failure is tried again or final ([`retry`]).
//!
//! States are on disk at each change; progress lies in memory and on disk every few seconds.
//! [`recover`] takes up what a killed agent left.

mod admit;
mod attempt;
mod ending;
mod engine;
mod error;
mod eta;
mod finish;
mod gather;
mod handle;
mod kinds;
mod land;
mod launch;
mod lines;
mod log;
mod oom;
mod options;
mod rebuildable;
mod recover;
mod retry;
mod start;
mod wait;

pub use ending::Ending;
pub use engine::{Collector, EventSink, JobEngine};
pub(crate) use error::with_source;
pub use handle::{JobCounts, JobDraft, JobsHandle, TrainDraft};
pub use launch::{Launcher, Order, ProcessLauncher, Worker, WorkerEvent};
pub use log::JobLogs;
pub use options::JobOptions;

#[cfg(test)]
mod tests;
