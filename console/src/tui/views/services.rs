//! Every service of every agent.

use std::sync::Arc;

use vigie_protocol::health::{ServiceHealth, ServiceState};

use super::{Page, Subject, when};
use crate::tui::state::{Agent, AgentIndex, At, Screen, State};
use crate::tui::table::{Across, Cell, Column, Row, Table};

pub(super) struct Services;

const COLUMNS: [Column; 5] = [
    Column::text("AGENT"),
    Column::short("SERVICE", 28),
    Column::short("STATE", 12),
    Column::figure("SINCE"),
    Column::rest("DETAIL"),
];

impl Page for Services {
    fn table<'a>(&self, state: &'a State, _: &'a Screen) -> Option<Table<'a>> {
        let key = |agent: AgentIndex, service: &ServiceHealth| format!("{}/{}", agent.0, service.name);
        Some(Table {
            columns: &COLUMNS,
            source: Box::new(Across { state, at: all(state), find, key, row }),
            revision: state.revision,
            want: None,
            empty: "no agent has told of its services yet".to_owned(),
        })
    }

    fn subject(&self, state: &State, _: &Screen, n: usize) -> Option<Subject> {
        all(state).get(n).map(|(agent, _)| Subject::Agent(*agent))
    }
}

fn find(state: &State, (agent, n): At) -> Option<&ServiceHealth> {
    state.fleet.get(agent)?.snapshot.health.as_ref()?.services.get(n as usize)
}

fn all(state: &State) -> Arc<Vec<At>> {
    state.memos.services.get(state.revision, || {
        let services = |(index, agent): (AgentIndex, &Agent)| {
            let n = agent.snapshot.health.as_ref().map_or(0, |health| health.services.len() as u32);
            (0..n).map(move |n| (index, n))
        };
        state.in_scope().flat_map(services).collect()
    })
}

fn row(state: &State, index: AgentIndex, service: &ServiceHealth) -> Row {
    let stale = state.fleet.get(index).is_some_and(|agent| agent.is_stale(state.now));
    Row::new(vec![
        Cell::text(state.agent_name(index)),
        Cell::text(&service.name),
        when::service(state, service.state),
        when::ago(state, service.since),
        Cell::text(&service.detail),
    ])
    .fault(matches!(service.state, ServiceState::Down | ServiceState::Degraded))
    .stale(stale)
}
