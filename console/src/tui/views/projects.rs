//! Every project of every agent, and what serves it.

use std::sync::Arc;

use vigie_protocol::AliasName;

use super::{Page, Subject, when};
use crate::out::count;
use crate::tui::state::{Agent, AgentIndex, At, Glance, Place, Screen, State};
use crate::tui::table::{Across, Cell, Column, Row, Table};
use crate::tui::theme::Role;

pub(super) struct Projects;

const COLUMNS: [Column; 8] = [
    Column::text("PROJECT"),
    Column::text("AGENT"),
    Column::figure("PRODUCTION"),
    Column::figure("SINCE"),
    Column::figure("BEFORE"),
    Column::figure("PREDICTIONS 24H"),
    Column::figure("MEAN TIME"),
    Column::rest("DESCRIPTION"),
];

impl Page for Projects {
    fn table<'a>(&self, state: &'a State, _: &'a Screen) -> Option<Table<'a>> {
        let key = |agent: AgentIndex, glance: &Glance| format!("{}/{}", agent.0, glance.project.name);
        Some(Table {
            columns: &COLUMNS,
            source: Box::new(Across { state, at: all(state), find, key, row }),
            revision: state.revision,
            want: None,
            empty: "no project yet: `vigie projects create NAME` makes one, `vigie demo` shows how"
                .to_owned(),
        })
    }

    fn subject(&self, state: &State, _: &Screen, n: usize) -> Option<Subject> {
        let at = *all(state).get(n)?;
        Some(Subject::Project(Place { agent: at.0, project: find(state, at)?.project.name.clone() }))
    }
}

fn find(state: &State, (agent, n): At) -> Option<&Glance> {
    state.fleet.get(agent)?.snapshot.projects.get(n as usize)
}

fn all(state: &State) -> Arc<Vec<At>> {
    state.memos.projects.get(state.revision, || {
        let projects = |(index, agent): (AgentIndex, &Agent)| {
            (0..agent.snapshot.projects.len() as u32).map(move |n| (index, n))
        };
        state.in_scope().flat_map(projects).collect()
    })
}

fn row(state: &State, index: AgentIndex, glance: &Glance) -> Row {
    let held = glance.aliases.iter().find(|held| held.name == AliasName::production());
    let predictions: u64 = glance.hours.iter().map(|hour| hour.predictions).sum();
    let total: f64 =
        glance.hours.iter().filter_map(|hour| Some(hour.mean_ms? * hour.predictions as f64)).sum();
    let stale = state.fleet.get(index).is_some_and(|agent| agent.is_stale(state.now));
    Row::new(vec![
        Cell::text(glance.project.name.as_str()),
        Cell::text(state.agent_name(index)),
        held.map_or_else(
            || Cell::text("nobody").role(Role::Dim),
            |held| Cell::figure(held.model.to_string(), f64::from(held.model.0)).role(Role::Accent),
        ),
        held.map_or_else(Cell::none, |held| when::ago(state, held.since)),
        held.and_then(|held| held.previous).map_or_else(Cell::none, |previous| {
            Cell::figure(previous.to_string(), f64::from(previous.0)).role(Role::Dim)
        }),
        Cell::figure(count(predictions), predictions as f64),
        if predictions == 0 {
            Cell::none()
        } else {
            let mean = total / predictions as f64;
            Cell::figure(format!("{mean:.1} ms"), mean)
        },
        Cell::text(&glance.project.description),
    ])
    .fault(held.is_none())
    .stale(stale)
}
