//! What happened, on every agent, newest first.

use vigie_protocol::event::{Event, Severity};

use super::{Page, Subject, subject, when};
use crate::tui::state::{AgentIndex, Screen, State};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;

pub(super) struct Events;

const COLUMNS: [Column; 5] = [
    Column::figure("AGO"),
    Column::short("SEVERITY", 12),
    Column::text("AGENT"),
    Column::short("PROJECT", 16),
    Column::rest("WHAT"),
];

/// Events that are shown of the whole fleet.
const MOST: usize = 5_000;

impl Page for Events {
    fn table<'a>(&self, state: &'a State, _: &'a Screen) -> Option<Table<'a>> {
        Some(Table {
            columns: &COLUMNS,
            source: Slice::owned(
                newest(state, MOST).into_iter().map(|(index, event)| (index, event.clone())).collect(),
                |(index, event): &(AgentIndex, Event)| format!("{}/{}", index.0, event.seq),
                move |(index, event)| row(state, *index, event),
            ),
            revision: state.revision,
            want: None,
            empty: "nothing happened yet".to_owned(),
        })
    }

    fn subject(&self, state: &State, _: &Screen, n: usize) -> Option<Subject> {
        newest(state, n + 1).get(n).map(|(index, event)| subject::of_event(*index, event))
    }
}

/// The newest events of the agents in scope, newest first.
pub(super) fn newest(state: &State, most: usize) -> Vec<(AgentIndex, &Event)> {
    let mut all: Vec<(AgentIndex, &Event)> = state
        .in_scope()
        .flat_map(|(index, agent)| agent.snapshot.events.iter().map(move |event| (index, event)))
        .collect();
    all.sort_by_key(|(index, event)| (std::cmp::Reverse(event.at), *index, std::cmp::Reverse(event.seq)));
    all.truncate(most);
    all
}

pub(super) fn role(severity: Severity) -> Role {
    match severity {
        Severity::Info => Role::Text,
        Severity::Warning | Severity::Unknown => Role::Warn,
        Severity::Error => Role::Bad,
    }
}

fn row(state: &State, index: AgentIndex, event: &Event) -> Row {
    let word = match event.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Unknown => "unknown",
    };
    let role = role(event.severity);
    Row::new(vec![
        when::ago(state, event.at),
        Cell::text(format!("{} {word}", state.theme.mark(role))).role(role),
        Cell::text(state.agent_name(index)),
        event.project.as_ref().map_or_else(Cell::none, |project| Cell::text(project.as_str())),
        Cell::text(&event.text),
    ])
    .fault(event.severity != Severity::Info)
}
