//! The rules by which data enters reference, at work.
//!
//! When source or production has a new version, the rules of its project look at it ([`evidence`]) and,
//! when enough of it is new, submit an update of reference; when reference has a new version, they have
//! it preprocessed and then tell that the data changed. [`step`] decides, from what is stored alone, what
//! comes next; [`service`] does it, and remembers how far it came in the commit that tells of it. Jobs
//! are submitted under keys that follow from what was looked at. So it does not matter which events were
//! seen, or where a crash came: the next look goes on from there, and nothing is done twice.

mod evidence;
mod explain;
mod service;
mod step;

pub(crate) use evidence::Evidence;
pub(crate) use explain::explain;
pub(crate) use service::{RulesHandle, run};
pub(crate) use step::preprocess_spec;

#[cfg(test)]
mod tests;
