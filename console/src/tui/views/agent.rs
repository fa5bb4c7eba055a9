//! One agent: its link, services, machine, GPUs, projects.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Cx, Page, Subject, agents, frame, when};
use crate::out::{age, bytes, count, safe};
use crate::tui::state::{Query, Screen, State, View, Want};
use crate::tui::theme::Role;
use crate::tui::widgets::gauge::{Gauge, Limits};
use crate::tui::widgets::put;

pub(super) struct Agent;

impl Page for Agent {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        screen.view.agent().map(|agent| state.agent_name(agent).to_owned()).unwrap_or_default()
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        screen.view.agent().map(|agent| Want { agent, query: Query::Leases }).into_iter().collect()
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        match screen.view {
            View::Agent { agent } => Some(Subject::Agent(agent)),
            _ => None,
        }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let Some(agent) = cx.screen.view.agent().and_then(|index| cx.state.fleet.get(index)) else { return };
        let mut lines = Lines { cx, area: body, y: body.y, skip: cx.screen.scroll, buffer };
        lines.field("target", &safe(&agent.target), Role::Text);
        lines.field(
            "link",
            &frame::link_text(cx, agent),
            if agent.is_stale(cx.state.now) { Role::Bad } else { Role::Good },
        );
        let Some(health) = &agent.snapshot.health else {
            lines.text("nothing is known of it yet", Role::Dim);
            return;
        };
        let role = agent.snapshot.role();
        lines.field("you are", &format!("{role}"), Role::Text);
        lines.field(
            "agent",
            &format!(
                "{} · {} · started {}",
                safe(&health.version),
                safe(&health.device),
                age(cx.state.now, health.started)
            ),
            Role::Text,
        );
        lines.field("state", &safe(&health.state_dir), Role::Text);
        let host = &health.host;
        lines.title(&format!("MACHINE  {}", safe(&host.hostname)));
        lines.gauge("cpu", f64::from(host.cpu), &format!("of {} cores, load {:.1}", host.cores, host.load1));
        let of = |used, total| format!("{} of {}", bytes(used), bytes(total));
        lines.gauge(
            "memory",
            agents::ratio(host.memory_used, host.memory_total),
            &of(host.memory_used, host.memory_total),
        );
        let used = host.disk_total.saturating_sub(host.disk_free);
        lines.gauge("disk", agents::ratio(used, host.disk_total), &of(used, host.disk_total));
        for gpu in &health.gpus {
            lines.gauge(
                &format!("gpu {}", gpu.index),
                f64::from(gpu.busy),
                &format!("{} °C, {:.0} W", gpu.temperature, gpu.power),
            );
            lines.gauge(
                "  memory",
                agents::ratio(gpu.memory_used, gpu.memory_total),
                &of(gpu.memory_used, gpu.memory_total),
            );
        }
        let log = &health.prediction_log;
        let shed = if log.shed > 0 { Role::Warn } else { Role::Text };
        lines.field(
            "log",
            &format!(
                "{} records pending (at most {} ms of them), {} shed",
                count(log.pending),
                log.window_ms,
                count(log.shed)
            ),
            shed,
        );
        lines.title("SERVICES");
        for service in &health.services {
            let role = when::role_of(service.state);
            let text = format!(
                "{} {:<9} {:<24} {:>10}  {}",
                cx.theme.mark(role),
                service.state.as_str(),
                safe(&service.name),
                when::coarse(cx.state.now, service.since),
                safe(&service.detail)
            );
            lines.text(&text, role);
        }
        lines.title("PROJECTS");
        for glance in &agent.snapshot.projects {
            let held: Vec<String> =
                glance.aliases.iter().map(|held| format!("{} {}", held.name, held.model)).collect();
            lines.field(glance.project.name.as_str(), &safe(&held.join(", ")), Role::Accent);
        }
        if let Some(crate::tui::state::Answer::Leases(leases)) =
            cx.screen.view.agent().and_then(|agent| cx.state.answer(agent, Query::Leases))
        {
            lines.title("LEASES");
            for lease in leases.iter() {
                let text = format!("held by job {} for {}", lease.holder, age(cx.state.now, lease.since));
                lines.field(&safe(&lease.resource), text.trim_end_matches(" ago"), Role::Text);
            }
        }
    }
}

/// Lines written one below the other, some of them scrolled away.
struct Lines<'a, 'b> {
    cx: &'a Cx<'b>,
    area: Rect,
    y: u16,
    skip: u16,
    buffer: &'a mut Buffer,
}

impl Lines<'_, '_> {
    /// The next line, if it is seen.
    fn next(&mut self) -> Option<Rect> {
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        let line = Rect { y: self.y, height: 1, ..self.area };
        self.y += 1;
        (line.y < self.area.bottom()).then_some(line)
    }

    fn text(&mut self, text: &str, role: Role) {
        if let Some(line) = self.next() {
            put(
                self.buffer,
                line.x + 2,
                line.y,
                line.width.saturating_sub(2),
                text,
                self.cx.theme.style(role),
            );
        }
    }

    fn title(&mut self, text: &str) {
        let _ = self.next();
        if let Some(line) = self.next() {
            put(self.buffer, line.x, line.y, line.width, text, self.cx.theme.style(Role::Title));
        }
    }

    fn field(&mut self, label: &str, text: &str, role: Role) {
        if let Some(line) = self.next() {
            put(self.buffer, line.x + 2, line.y, 22, label, self.cx.theme.style(Role::Dim));
            let x = line.x + 25;
            put(self.buffer, x, line.y, line.right().saturating_sub(x), text, self.cx.theme.style(role));
        }
    }

    fn gauge(&mut self, label: &str, share: f64, text: &str) {
        if let Some(line) = self.next() {
            let area = Rect { x: line.x + 2, width: line.width.saturating_sub(4).min(90), ..line };
            let (label_cells, limits) = (12, Limits { warn: 0.85, bad: 0.95 });
            Gauge { label, label_cells, share: Some(share), figures: text, limits }.draw(
                self.cx.theme,
                area,
                self.buffer,
            );
        }
    }
}
