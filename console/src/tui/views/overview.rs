//! The fleet at a glance: what needs attention first, who serves how fast, what happened last.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde::{Deserialize, Serialize};
use vigie_protocol::health::ServiceState;
use vigie_protocol::job::JobState;

use super::{Cx, Page, Subject, draw_table, when};
use crate::out::{count, safe};
use crate::tui::state::{Agent, AgentIndex, Link, Place, Screen, State};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;
use crate::tui::widgets::put;
use crate::tui::widgets::spark::Spark;

pub(super) struct Overview;

/// Something that someone should look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Concern {
    /// Whose.
    pub subject: Subject,
    /// How bad.
    #[serde(skip, default = "bad")]
    pub role: Role,
    /// What.
    pub text: String,
    /// Since when.
    pub since: Option<vigie_protocol::Time>,
}

fn bad() -> Role {
    Role::Bad
}

const COLUMNS: [Column; 4] =
    [Column::short("NEEDS", 10), Column::text("AGENT"), Column::figure("SINCE"), Column::rest("WHAT")];

/// Lines of the serving pane.
const SERVING: u16 = 6;

impl Page for Overview {
    fn table<'a>(&self, state: &'a State, _: &'a Screen) -> Option<Table<'a>> {
        let agents = state.in_scope().count();
        Some(Table {
            columns: &COLUMNS,
            source: Slice::shared(
                all(state),
                move |concern: &Concern| format!("{} {}", concern.subject.text(state), concern.text),
                move |concern| row(state, concern),
            ),
            revision: key(state),
            want: None,
            empty: match agents {
                0 => "no agent is configured: `vigie config add NAME TARGET` adds one".to_owned(),
                1 => "nothing needs attention".to_owned(),
                n => format!("nothing needs attention on {n} agents"),
            },
        })
    }

    fn subject(&self, state: &State, _: &Screen, n: usize) -> Option<Subject> {
        all(state).get(n).map(|concern| concern.subject.clone())
    }

    fn table_area(&self, _: &State, _: &Screen, body: Rect) -> Rect {
        let events = (body.height / 4).max(4);
        Rect { y: body.y + 2, height: body.height.saturating_sub(SERVING + events + 4), ..body }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        totals(cx, body, buffer);
        let table = self.table_area(cx.state, cx.screen, body);
        draw_table(cx, table, buffer);
        let serving = Rect { y: table.bottom() + 1, height: SERVING, ..body };
        draw_serving(cx, serving, buffer);
        let events =
            Rect { y: serving.bottom(), height: body.bottom().saturating_sub(serving.bottom()), ..body };
        draw_events(cx, events, buffer);
    }
}

/// What needs attention in scope, the worst first.
fn all(state: &State) -> Arc<Vec<Concern>> {
    state.memos.concerns.get(key(state), || {
        let mut all: Vec<Concern> =
            state.in_scope().flat_map(|(index, agent)| concerns(state, index, agent)).collect();
        all.sort_by_key(|concern| std::cmp::Reverse(weight(concern.role)));
        all
    })
}

/// What concerns are made from: what is known, and the time, by which agents fall silent.
fn key(state: &State) -> u64 {
    let seconds = u64::try_from(state.now.as_micros() / 1_000_000).unwrap_or(0);
    (state.revision << 20).wrapping_add(seconds & 0xf_ffff)
}

fn weight(role: Role) -> u8 {
    match role {
        Role::Bad => 2,
        Role::Warn => 1,
        _ => 0,
    }
}

fn row(state: &State, concern: &Concern) -> Row {
    let word = if concern.role == Role::Bad { "action" } else { "a look" };
    Row::new(vec![
        Cell::text(format!("{} {word}", state.theme.mark(concern.role))).role(concern.role),
        Cell::text(state.agent_name(concern.subject.agent())),
        concern.since.map_or_else(Cell::none, |since| when::ago(state, since)),
        Cell::text(&concern.text),
    ])
    .fault(true)
}

/// What is wrong with an agent, the worst first.
pub(super) fn concerns(state: &State, index: AgentIndex, agent: &Agent) -> Vec<Concern> {
    let mut found = Vec::new();
    let snapshot = &agent.snapshot;
    let mut about = |role, text: String, since| {
        found.push(Concern { subject: Subject::Agent(index), role, text, since });
    };
    match &snapshot.link {
        Link::Waiting { reason, .. } => about(Role::Bad, format!("no link: {reason}"), snapshot.heard),
        Link::Refused { reason, .. } => about(Role::Bad, format!("refused because {reason}"), snapshot.heard),
        Link::Connected { .. } if agent.is_stale(state.now) && snapshot.heard.is_some() => {
            about(Role::Warn, "connected but silent".to_owned(), snapshot.heard);
        }
        // Some take long, and some never answer: until then nothing is known of this one.
        Link::Connecting => about(Role::Busy, "no link yet".to_owned(), snapshot.heard),
        Link::Connected { .. } => {}
    }
    if let Some(health) = &snapshot.health {
        for service in &health.services {
            let role = match service.state {
                ServiceState::Down => Role::Bad,
                ServiceState::Degraded => Role::Warn,
                ServiceState::Up | ServiceState::Starting | ServiceState::Off | ServiceState::Unknown => {
                    continue;
                }
            };
            let text = format!("{} {}: {}", service.name, service.state.as_str(), service.detail);
            about(role, text, Some(service.since));
        }
        let host = &health.host;
        let free = super::agents::ratio(host.disk_free, host.disk_total);
        if host.disk_total > 0 && free < 0.05 {
            about(Role::Bad, format!("disk almost full: {:.1} % free", free * 100.0), None);
        }
        let shed = health.prediction_log.shed;
        if shed > 0 {
            about(Role::Warn, format!("{} prediction records were shed", count(shed)), Some(health.started));
        }
        let skew = snapshot
            .heard
            .map_or(0, |heard| (health.now.as_micros() - heard.as_micros()).unsigned_abs() / 1_000_000);
        if skew > 60 {
            about(Role::Warn, format!("its clock is {} s away from this one's", count(skew)), None);
        }
    }
    let failed = snapshot.jobs.iter().filter(|job| job.state == JobState::Failed);
    for job in failed.filter(|job| job.finished.is_some_and(|at| state.now.since(at).as_secs() < 86_400)) {
        let why = job.failure.as_ref().map_or("", |failure| failure.message.as_str());
        found.push(Concern {
            subject: Subject::Job { agent: index, job: job.id },
            role: Role::Warn,
            text: format!("{} failed: {why}", job.spec.kind()),
            since: job.finished,
        });
    }
    found.sort_by_key(|concern| std::cmp::Reverse(weight(concern.role)));
    found
}

/// One line of counts.
fn totals(cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
    let state = cx.state;
    let (mut there, mut agents, mut running, mut queued, mut rate) = (0, 0, 0, 0, 0.0);
    let (mut up, mut services) = (0, 0);
    for (_, agent) in state.in_scope() {
        agents += 1;
        there += usize::from(agent.snapshot.is_connected());
        rate += agent.rate().map_or(0.0, |rate| rate.per_second);
        for job in &agent.snapshot.jobs {
            running += usize::from(matches!(job.state, JobState::Running | JobState::Cancelling));
            queued += usize::from(job.state == JobState::Queued);
        }
        for service in agent.snapshot.health.iter().flat_map(|health| &health.services) {
            services += usize::from(service.state != ServiceState::Off);
            up += usize::from(service.state == ServiceState::Up);
        }
    }
    let good = |well: bool| if well { Role::Good } else { Role::Warn };
    let parts = [
        (good(there == agents), format!("{there}/{agents} agents")),
        (good(up == services), format!("{up}/{services} services up")),
        (
            if running > 0 { Role::Busy } else { Role::Dim },
            format!("{running} jobs running, {queued} waiting"),
        ),
        (Role::Text, format!("{rate:.1} predictions/s")),
    ];
    let mut x = body.x;
    for (role, text) in parts {
        let text = format!("{} {text}", cx.theme.mark(role));
        x += put(buffer, x, body.y, body.right().saturating_sub(x), &text, cx.theme.style(role)) + 3;
    }
}

/// Who serves: rate and time of the last minutes, by project of the busiest agents.
fn draw_serving(cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    let state = cx.state;
    put(buffer, area.x, area.y, area.width, "SERVING", cx.theme.style(Role::Title));
    let mut agents: Vec<(AgentIndex, &Agent)> =
        state.in_scope().filter(|(_, agent)| !agent.rates.is_empty()).collect();
    let newest = |agent: &Agent| agent.rate().map_or(0.0, |rate| rate.per_second);
    agents.sort_by(|(_, a), (_, b)| newest(b).total_cmp(&newest(a)));
    if agents.is_empty() {
        let text = "no predictions seen yet: `vigie predict FILE` asks for one";
        put(buffer, area.x + 2, area.y + 1, area.width.saturating_sub(2), text, cx.theme.style(Role::Dim));
    }
    let half = (area.width.saturating_sub(50) / 2).clamp(8, 30);
    for (line, (index, agent)) in
        agents.into_iter().take(usize::from(area.height.saturating_sub(2))).enumerate()
    {
        let y = area.y + 1 + line as u16;
        let holders: Vec<String> = agent
            .snapshot
            .projects
            .iter()
            .flat_map(|glance| {
                let place = Place { agent: index, project: glance.project.name.clone() };
                glance.aliases.iter().map(move |held| format!("{} {}", place.project, held.model)).take(1)
            })
            .collect();
        let name = safe(&format!("{}  {}", agent.name, holders.join(", ")));
        put(buffer, area.x + 2, y, 26, &name, cx.theme.style(Role::Text));
        let rates: Vec<Option<f64>> =
            agent.rates.iter().map(|rate| rate.map(|rate| rate.per_second)).collect();
        let times: Vec<Option<f64>> =
            agent.rates.iter().map(|rate| rate.and_then(|rate| rate.mean_ms)).collect();
        let mut x = area.x + 30;
        let now = agent.rate();
        Spark { values: &rates, scale: None, figures: None }.draw(cx.theme, Rect::new(x, y, half, 1), buffer);
        let text = now.map_or("-".to_owned(), |rate| format!("{:.1}/s", rate.per_second));
        put(buffer, x + half + 1, y, 9, &text, cx.theme.style(Role::Text));
        x += half + 11;
        Spark { values: &times, scale: None, figures: None }.draw(cx.theme, Rect::new(x, y, half, 1), buffer);
        let text = now.and_then(|rate| rate.mean_ms).map_or("-".to_owned(), |ms| format!("{ms:.1} ms"));
        put(buffer, x + half + 1, y, 10, &text, cx.theme.style(Role::Text));
    }
}

fn draw_events(cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    put(buffer, area.x, area.y, area.width, "NEWEST EVENTS", cx.theme.style(Role::Title));
    let events = super::events::newest(cx.state, usize::from(area.height.saturating_sub(1)));
    for (line, (index, event)) in events.iter().enumerate() {
        let role = super::events::role(event.severity);
        let text = format!(
            "{} {:>8}  {}  {}",
            cx.theme.mark(role),
            when::coarse(cx.state.now, event.at),
            safe(cx.state.agent_name(*index)),
            safe(&event.text)
        );
        put(
            buffer,
            area.x + 2,
            area.y + 1 + line as u16,
            area.width.saturating_sub(2),
            &text,
            cx.theme.style(role),
        );
    }
    if events.is_empty() {
        let text = "nothing happened since this console came up";
        put(buffer, area.x + 2, area.y + 1, area.width.saturating_sub(2), text, cx.theme.style(Role::Dim));
    }
}
