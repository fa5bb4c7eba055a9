//! Vigie's vocabulary, and behind the feature `wire`, the wire itself.
//!
//! The types here are what agents, consoles, scripts and disks say to one another. They know
//! nothing of storage engines, tensors or terminals. Rules that keep old and new peers together:
//!
//! * a field is only ever added, with `#[serde(default)]`; none is renamed or removed;
//! * an unknown field is ignored, an unknown variant becomes `Unknown` (but for the lineages and the
//!   splits, of which there are three each for good);
//! * enums that carry data are internally tagged with `kind`, so that the rule above holds for them.

pub mod access;
pub mod balance;
pub mod blob;
pub mod classes;
pub mod dataset;
pub mod error;
pub mod event;
pub mod exchange;
pub mod expression;
pub mod feedback;
pub mod fingerprint;
pub mod health;
pub mod history;
pub mod ids;
pub mod import;
pub mod job;
pub mod label_check;
pub mod model;
pub mod page;
pub mod prediction;
pub mod preprocess;
pub mod project;
pub mod review;
pub mod rules;
pub mod run;
#[cfg(feature = "samples")]
pub mod samples;
pub mod schedule;
#[cfg(feature = "wire")]
pub mod service;
pub mod source;
pub mod time;
pub mod window;
#[cfg(feature = "wire")]
pub mod wire;

pub use error::{ApiError, ErrorCode};
pub use ids::*;
pub use time::Time;
