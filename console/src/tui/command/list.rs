//! Moving in tables and ordering them.

use super::{Argument, BASE, Command, Kind, Scope};
use crate::tui::effect::Effects;
use crate::tui::filter::Filter;
use crate::tui::state::{Line, Overlay, Prompt, PromptKind, State};
use crate::tui::{update, views};

const TABLE: Command = Command { scope: Scope::Tables, ..BASE };

pub(super) const COMMANDS: &[Command] = &[
    Command { name: "down", doc: "next row", keys: &["j", "down"], run: |s, _, e| step(s, 1, e), ..BASE },
    Command { name: "up", doc: "previous row", keys: &["k", "up"], run: |s, _, e| step(s, -1, e), ..BASE },
    Command {
        name: "page-down",
        doc: "a page down",
        keys: &["pgdown", "ctrl-f"],
        run: |s, _, e| step(s, page(s), e),
        ..BASE
    },
    Command {
        name: "page-up",
        doc: "a page up",
        keys: &["pgup", "ctrl-u"],
        run: |s, _, e| step(s, -page(s), e),
        ..BASE
    },
    Command {
        name: "top",
        doc: "first row",
        keys: &["g g", "home"],
        run: |s, _, e| step(s, isize::MIN / 2, e),
        ..BASE
    },
    Command {
        name: "bottom",
        doc: "last row that is loaded",
        keys: &["G", "end"],
        run: |s, _, e| step(s, isize::MAX / 2, e),
        ..BASE
    },
    Command {
        name: "filter",
        doc: "show only rows that match: words, !not, column:word, column<3",
        keys: &["/"],
        argument: Argument::Optional(Kind::Text),
        run: filter,
        ..TABLE
    },
    Command {
        name: "sort",
        doc: "sort by the next column, or the one named; again for the other way round",
        keys: &["s"],
        argument: Argument::Optional(Kind::Column),
        run: sort,
        ..TABLE
    },
    Command {
        name: "reverse",
        doc: "turn the order round",
        keys: &["S"],
        run: |state, _, _| {
            let sort = &mut state.nav.top_mut().table.sort;
            *sort = Some(sort.map_or((0, true), |(column, descending)| (column, !descending)));
        },
        ..TABLE
    },
    Command {
        name: "mark",
        doc: "mark the row, or take the mark off, and go on to the next",
        keys: &["space"],
        run: |state, _, effects| {
            if let Some(key) = state.screen().table.selected_key.clone() {
                let marks = &mut state.nav.top_mut().table.marks;
                if !marks.remove(&key) {
                    marks.insert(key);
                }
                step(state, 1, effects);
            }
        },
        ..TABLE
    },
    Command {
        name: "mark-all",
        doc: "mark every row shown, or take all marks off",
        keys: &["ctrl-space", "*"],
        run: |state, _, _| {
            let keys = views::shown_keys(state);
            let marks = &mut state.nav.top_mut().table.marks;
            if marks.is_empty() {
                marks.extend(keys);
            } else {
                marks.clear();
            }
        },
        ..TABLE
    },
    Command {
        name: "faults",
        doc: "show only rows with a fault, or all again",
        keys: &["!"],
        run: |state, _, _| state.faults_only = !state.faults_only,
        ..BASE
    },
];

fn page(state: &State) -> isize {
    (state.screen().table.height.max(2) - 1) as isize
}

/// Moves the selection, or what is scrolled where there is no table.
fn step(state: &mut State, by: isize, _: &mut Effects) {
    if views::has_table(&state.screen().view) {
        update::select(state, by);
    } else {
        let scroll = &mut state.nav.top_mut().scroll;
        let by = i32::try_from(by).unwrap_or(if by < 0 { i32::MIN / 2 } else { i32::MAX / 2 });
        // What is beyond the end is cut when it is drawn; here it only must not run away.
        *scroll = u16::try_from((i32::from(*scroll) + by).clamp(0, 10_000)).unwrap_or(0);
    }
}

fn filter(state: &mut State, argument: &str, _: &mut Effects) {
    let before = state.screen().table.filter.0.clone();
    if !argument.is_empty() {
        state.nav.top_mut().table.filter = Filter(argument.to_owned());
        return;
    }
    state.overlay = Some(Overlay::Prompt(Prompt {
        kind: PromptKind::Filter { before: before.clone() },
        line: Line::new(before),
        candidates: Vec::new(),
        chosen: None,
        history: None,
        error: None,
    }));
}

fn sort(state: &mut State, argument: &str, _: &mut Effects) {
    let Some(columns) = views::columns(state) else { return };
    let now = state.screen().table.sort;
    let named = |column: &&str| column.to_lowercase().starts_with(&argument.to_lowercase());
    let sort = if argument.is_empty() {
        match now {
            None => Some((0, false)),
            Some((column, _)) if usize::from(column) + 1 < columns.len() => Some((column + 1, false)),
            // After the last column comes the source's own order.
            Some(_) => None,
        }
    } else {
        match columns.iter().position(|column| named(&column.name)) {
            Some(at) => {
                let at = u8::try_from(at).unwrap_or(0);
                Some((at, now.is_some_and(|(column, descending)| column == at && !descending)))
            }
            None => {
                let names: Vec<String> = columns.iter().map(|column| column.name.to_lowercase()).collect();
                return state
                    .say(format!("there is no column {argument:?}; there are {}", names.join(", ")), true);
            }
        }
    };
    state.nav.top_mut().table.sort = sort;
}
