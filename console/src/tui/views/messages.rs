//! What this console said, and what became of what it asked.

use super::{Page, when};
use crate::tui::state::{Message, Screen, State};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;

pub(super) struct Messages;

const COLUMNS: [Column; 3] = [Column::figure("AGO"), Column::short("KIND", 10), Column::rest("WHAT")];

impl Page for Messages {
    fn table<'a>(&self, state: &'a State, _: &'a Screen) -> Option<Table<'a>> {
        let newest: Vec<Message> = state.messages.iter().rev().cloned().collect();
        Some(Table {
            columns: &COLUMNS,
            source: Slice::owned(
                newest,
                |message: &Message| format!("{} {}", message.at.as_micros(), message.text),
                move |message| {
                    let (role, word) = if message.bad { (Role::Bad, "failed") } else { (Role::Good, "done") };
                    let mark = Cell::text(format!("{} {word}", state.theme.mark(role))).role(role);
                    Row::new(vec![when::ago(state, message.at), mark, Cell::text(&message.text)])
                        .fault(message.bad)
                },
            ),
            revision: state
                .messages
                .last()
                .map_or(0, |last| last.at.as_micros() as u64 + state.messages.len() as u64),
            want: None,
            empty: "nothing was said yet".to_owned(),
        })
    }
}
