//! The terminal for the fleet.

pub mod clip;
pub mod term;
pub mod theme;
pub mod widgets;
