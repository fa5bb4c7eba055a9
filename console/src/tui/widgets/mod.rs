//! Pieces of screens: each draws itself into a buffer from what it is given, and keeps nothing.

pub mod canvas;
pub mod chart;
pub mod scale;
#[cfg(test)]
pub(crate) mod testing;
