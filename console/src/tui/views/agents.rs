//! Every agent: its link, its machine, its version.

use super::{Page, Subject, when};
use crate::out::{bytes, percent};
use crate::tui::state::{Agent, AgentIndex, Screen, State};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;

pub(super) struct Agents;

const COLUMNS: [Column; 11] = [
    Column::text("AGENT"),
    Column::short("LINK", 14),
    Column::short("STATE", 12),
    Column::figure("CPU"),
    Column::figure("MEMORY"),
    Column::figure("DISK FREE"),
    Column::short("GPU", 18),
    Column::figure("JOBS"),
    Column::figure("REQ/S"),
    Column::short("VERSION", 12),
    Column::rest("REMARK"),
];

impl Page for Agents {
    fn table<'a>(&self, state: &'a State, _: &'a Screen) -> Option<Table<'a>> {
        Some(table(state))
    }

    fn subject(&self, state: &State, _: &Screen, n: usize) -> Option<Subject> {
        state.in_scope().nth(n).map(|(index, _)| Subject::Agent(index))
    }
}

/// The agents in scope as a table; the overview shows it too.
pub(super) fn table(state: &State) -> Table<'_> {
    let agents: Vec<AgentIndex> = state.in_scope().map(|(index, _)| index).collect();
    Table {
        columns: &COLUMNS,
        source: Slice::owned(
            agents,
            move |index| state.agent_name(*index).to_owned(),
            move |index| {
                state
                    .fleet
                    .get(*index)
                    .map_or_else(|| Row::new(Vec::new()), |agent| row(state, *index, agent))
            },
        ),
        revision: state.revision,
        want: None,
        empty: "no agent is configured: `vigie config add NAME TARGET` adds one".to_owned(),
    }
}

fn row(state: &State, index: AgentIndex, agent: &Agent) -> Row {
    let snapshot = &agent.snapshot;
    let state_of = snapshot.worst().map_or_else(Cell::none, |worst| when::service(state, worst));
    let running = snapshot.jobs.iter().filter(|job| !job.state.is_final()).count();
    let mut cells = vec![Cell::text(&agent.name), when::link(state, agent), state_of];
    match &snapshot.health {
        Some(health) => {
            let host = &health.host;
            let memory = ratio(host.memory_used, host.memory_total);
            let disk = ratio(host.disk_free, host.disk_total);
            cells.extend([
                load(f64::from(host.cpu), 0.95),
                load(memory, 0.92),
                Cell::figure(bytes(host.disk_free), host.disk_free as f64).role(if disk < 0.05 {
                    Role::Bad
                } else if disk < 0.15 {
                    Role::Warn
                } else {
                    Role::Text
                }),
                match health.gpus.as_slice() {
                    [] => Cell::text(&health.device).role(Role::Dim),
                    gpus => {
                        let busy =
                            gpus.iter().map(|gpu| f64::from(gpu.busy)).sum::<f64>() / gpus.len() as f64;
                        Cell::text(format!("{}× {}", gpus.len(), percent(busy))).by(busy)
                    }
                },
            ]);
        }
        None => cells.extend(std::iter::repeat_n(Cell::none(), 4)),
    }
    cells.push(Cell::figure(running.to_string(), running as f64));
    cells.push(
        agent
            .rate()
            .map_or_else(Cell::none, |rate| Cell::figure(format!("{:.1}", rate.per_second), rate.per_second)),
    );
    cells.push(snapshot.health.as_ref().map_or_else(Cell::none, |health| Cell::text(&health.version)));
    let concern = super::overview::concerns(state, index, agent).into_iter().next();
    let fault = concern.is_some();
    cells.push(concern.map_or_else(Cell::none, |concern| Cell::text(concern.text).role(concern.role)));
    Row::new(cells).fault(fault).stale(agent.is_stale(state.now) && snapshot.heard.is_some())
}

fn load(share: f64, high: f64) -> Cell {
    Cell::figure(percent(share), share).role(if share >= high { Role::Warn } else { Role::Text })
}

pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
