//! A list that an agent tells page by page, as a view shows it.

use serde::Serialize;

use crate::tui::state::{Answer, Rows, Slot, State, Want};
use crate::tui::table::{Column, Row, Slice, Table};

/// The rows of a list that are here, and what is known of the others.
pub(super) struct Listed<'a, T> {
    want: Want,
    slot: Option<&'a Slot>,
    /// The rows that are here.
    pub rows: &'a [T],
    /// Whether the agent has more.
    more: bool,
}

impl<'a, T: Serialize> Listed<'a, T> {
    /// What came for a want; `pick` takes the rows out of its answer.
    pub fn of(state: &'a State, want: Want, pick: impl FnOnce(&'a Answer) -> Option<&'a Rows<T>>) -> Self {
        let slot = state.store.get(&want);
        let found = slot.and_then(|slot| slot.answer.as_ref()).and_then(pick);
        let rows = found.map_or(&[][..], |found| found.rows.as_slice());
        Self { want, slot, rows, more: found.is_some_and(|found| found.next.is_some()) }
    }

    /// The table of these rows, each with its identity; `empty` is said when there are none.
    pub fn table(
        self,
        columns: &'static [Column],
        key: impl Fn(&T) -> String + 'a,
        row: impl Fn(&T) -> Row + 'a,
        empty: &str,
    ) -> Table<'a> {
        Table {
            columns,
            source: Slice::boxed(self.rows, key, row),
            revision: self.slot.map_or(0, |slot| slot.revision),
            want: Some((self.want, self.more)),
            empty: super::waiting(self.slot, empty),
        }
    }
}
