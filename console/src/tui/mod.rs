//! The terminal for the fleet.
//!
//! Everything that happens is an [`event::Event`] in one queue; `update` turns state and event into the
//! next state and effects, without waiting and without a clock; `perform` carries effects out in tasks
//! whose outcomes are events again; `views` draw the state. What agents tell reaches the loop through
//! a slot each ([`slots`]), in which the newest takes the place of the one before.

mod ask;
pub mod clip;
pub mod collect;
pub mod command;
pub mod effect;
pub mod event;
pub mod filter;
mod history;
pub mod key;
pub mod keymap;
pub mod perform;
pub mod pictures;
pub mod record;
pub mod replay;
pub mod run;
pub mod slots;
mod start;
pub mod state;
pub mod table;
pub mod term;
#[cfg(test)]
mod testing;
pub mod theme;
mod update;
pub mod views;
pub mod widgets;

pub use start::{Edge, Member, Wanted, assemble, open, start};
pub use update::update;

/// How many rows the table of the screen shows, once filtered; 0 where there is none.
pub fn shown_rows(state: &state::State) -> usize {
    views::shown_rows(state)
}
