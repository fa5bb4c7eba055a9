//! Vigie's logic: what a dataset, a training, an evaluation, an inference *is*.
//!
//! Blocking and free of any runtime: callers bring their own threads, an [`observe::Observer`] to
//! report to, and the time. Nothing here knows tokio, tarpc, HTTP or a terminal.

pub mod data;
pub mod evaluate;
pub mod fail_point;
pub mod infer;
pub mod nets;
pub mod observe;
pub mod store;
pub mod train;
mod vector;
pub mod vision;
