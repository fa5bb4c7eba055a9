//! The terminal for the fleet.

pub mod theme;
pub mod widgets;
