//! Datasets: how files become a change-set, how images find their split, and how a version becomes
//! the pack that training reads.
//!
//! Nothing here decides: [`import::import`] and [`changeset::propose`] propose, people (or a
//! project's rules) accept, and the store's catalog makes the version.

pub mod admission;
pub mod balance;
mod behind;
pub mod changeset;
pub mod clusters;
pub mod collect;
pub mod confident;
mod error;
pub mod groups;
pub mod import;
pub mod labels;
pub mod naming;
pub mod near;
pub mod outliers;
pub mod pack;
pub mod part;
pub mod place;
pub mod relabel;
pub mod review;
pub mod split;
pub mod window;

pub use error::DataError;
