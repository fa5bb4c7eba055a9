//! Pieces of screens: each draws itself into a buffer from what it is given, and keeps nothing.

pub mod bars;
pub mod canvas;
pub mod chart;
pub mod columns;
pub mod gauge;
pub mod heatmap;
pub mod scale;
pub mod sheet;
pub mod spark;
#[cfg(test)]
pub(crate) mod testing;
