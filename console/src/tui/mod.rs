//! The terminal for the fleet.

pub mod pictures;
pub mod theme;
pub mod widgets;
