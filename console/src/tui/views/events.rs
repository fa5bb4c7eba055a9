//! What happened, on every agent, newest first.

use std::cmp::Reverse;
use std::sync::Arc;

use vigie_protocol::Time;
use vigie_protocol::event::{Event, Severity};

use super::{Page, Subject, subject, when};
use crate::tui::state::{AgentIndex, At, Screen, State};
use crate::tui::table::{Across, Cell, Column, Row, Table};
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
        let key = |agent: AgentIndex, event: &Event| format!("{}/{}", agent.0, event.seq);
        Some(Table {
            columns: &COLUMNS,
            source: Box::new(Across { state, at: all(state), find, key, row }),
            revision: state.revision,
            want: None,
            empty: "nothing happened yet".to_owned(),
        })
    }

    fn subject(&self, state: &State, _: &Screen, n: usize) -> Option<Subject> {
        let at = *all(state).get(n)?;
        Some(subject::of_event(at.0, find(state, at)?))
    }
}

/// The newest events of the agents in scope, newest first.
pub(super) fn newest(state: &State, most: usize) -> Vec<(AgentIndex, &Event)> {
    all(state).iter().take(most).filter_map(|at| Some((at.0, find(state, *at)?))).collect()
}

fn find(state: &State, (agent, n): At) -> Option<&Event> {
    state.fleet.get(agent)?.snapshot.events.get(n as usize)
}

fn all(state: &State) -> Arc<Vec<At>> {
    state.memos.events.get(state.revision, || {
        let mut all: Vec<(Reverse<Time>, At)> = state
            .in_scope()
            .flat_map(|(index, agent)| {
                let events = agent.snapshot.events.iter().zip(0..);
                events.map(move |(event, n)| (Reverse(event.at), (index, n)))
            })
            .collect();
        if all.len() > MOST {
            all.select_nth_unstable(MOST);
            all.truncate(MOST);
        }
        all.sort_unstable();
        all.into_iter().map(|(_, at)| at).collect()
    })
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
