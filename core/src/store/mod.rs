//! What an agent remembers: facts, the prediction log, blobs. The only room that sees redb.
//!
//! Three narrow traits; nothing redb-shaped crosses them, so that other stores can stand behind
//! them. Calls block and come from CPU threads.

pub mod audit;
pub mod backup;
pub mod blobs;
pub mod catalog;
pub mod check;
mod codec;
#[cfg(test)]
mod conformance;
mod database;
mod disk;
pub mod facts;
#[cfg(test)]
mod faults;
mod figures;
mod flush;
pub mod gc;
mod key;
pub mod label_report;
pub mod log;
pub mod manifest;
pub mod passport;
pub mod rebuildable;
mod reviewed;
#[cfg(test)]
mod samples;
pub mod state;
mod traits;

pub use database::RepairProgress;
pub use state::State;
pub use traits::*;
