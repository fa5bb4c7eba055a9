//! Datasets: how files become a change-set, how images find their split, and how a version becomes
//! the pack that training reads.
//!
//! Nothing here decides: [`import::import`] and [`changeset::propose`] propose, people (or a
//! project's rules) accept, and the store's catalog makes the version.

pub mod admission;
mod behind;
pub mod changeset;
pub mod clusters;
pub mod collect;
mod error;
pub mod import;
pub mod label;
pub mod pack;
mod room;
pub mod split;

pub use error::DataError;
