//! Every service of every agent.

use vigie_protocol::health::{ServiceHealth, ServiceState};

use super::{Page, Subject, when};
use crate::tui::state::{AgentIndex, Screen, State};
use crate::tui::table::{Cell, Column, Row, Slice, Table};

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
        Some(Table {
            columns: &COLUMNS,
            source: Slice::owned(
                all(state).map(|(index, service)| (index, service.clone())).collect(),
                |(index, service): &(AgentIndex, ServiceHealth)| format!("{}/{}", index.0, service.name),
                move |(index, service)| row(state, *index, service),
            ),
            revision: state.revision,
            want: None,
            empty: "no agent has told of its services yet".to_owned(),
        })
    }

    fn subject(&self, state: &State, _: &Screen, n: usize) -> Option<Subject> {
        all(state).nth(n).map(|(index, _)| Subject::Agent(index))
    }
}

fn all(state: &State) -> impl Iterator<Item = (AgentIndex, &ServiceHealth)> {
    state.in_scope().flat_map(|(index, agent)| {
        let services = agent.snapshot.health.iter().flat_map(|health| &health.services);
        services.map(move |service| (index, service))
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
