//! One job: where it stands, what it waits for, its log as it grows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::job::{Job as Record, LogLine};

use super::{Cx, Page, Subject, jobs, when};
use crate::follow::cause;
use crate::out::{duration, eta, safe};
use crate::tui::state::{Answer, Query, Screen, State, View, Want};
use crate::tui::theme::Role;
use crate::tui::widgets::put;

pub(super) struct Job;

impl Page for Job {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        let View::Job { agent, job } = &screen.view else { return String::new() };
        format!("{job} on {}", state.agent_name(*agent))
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        let View::Job { agent, job } = &screen.view else { return Vec::new() };
        let want = |query| Want { agent: *agent, query };
        vec![want(Query::Job { job: *job }), want(Query::JobLog { job: *job })]
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        match screen.view {
            View::Job { agent, job } => Some(Subject::Job { agent, job }),
            _ => None,
        }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let head = match self.about(cx.state, cx.screen).and_then(|subject| super::job(cx.state, &subject)) {
            Some(job) if !cx.screen.full => head(cx, job, body, buffer),
            Some(_) => 0,
            None => {
                put(buffer, body.x + 2, body.y, body.width, "asking for the job…", cx.theme.style(Role::Dim));
                2
            }
        };
        let area = Rect { y: body.y + head, height: body.height.saturating_sub(head), ..body };
        log(cx, area, buffer);
    }
}

/// What is known of it. Returns the lines used.
fn head(cx: &Cx<'_>, job: &Record, body: Rect, buffer: &mut Buffer) -> u16 {
    let state = cx.state;
    let index = cx.screen.view.agent().unwrap_or(crate::tui::state::AgentIndex(0));
    let role = when::job_role(job.state);
    let progress = &job.progress;
    let left = progress.eta_s.filter(|_| !job.state.is_final());
    let left = left.map(|left| format!(", {} left", eta(left))).unwrap_or_default();
    let mut lines = vec![
        (
            role,
            format!(
                "{} {} {} of {}: {:.0} %{left}",
                cx.theme.mark(role),
                job.spec.kind(),
                job.state,
                job.project.as_ref().map_or("the agent", |project| project.as_str()),
                progress.fraction * 100.0
            ),
        ),
        (Role::Text, jobs::what(state, index, job)),
        (
            Role::Dim,
            format!(
                "asked {} by {}{}{}",
                state.clock(job.created),
                job.by,
                job.started.map(|at| format!(", began {}", state.clock(at))).unwrap_or_default(),
                match (job.started, job.finished) {
                    (Some(began), Some(ended)) => format!(", took {}", duration(ended.since(began))),
                    _ => format!(", attempt {}", job.attempts),
                }
            ),
        ),
    ];
    if let Some(failure) = &job.failure {
        let cause = cause(failure.cause).map(|cause| format!("{cause}: ")).unwrap_or_default();
        lines.push((Role::Bad, format!("{cause}{}", failure.message)));
        lines.extend(failure.hint.iter().map(|hint| (Role::Warn, format!("do: {hint}"))));
    }
    for (i, (role, text)) in lines.iter().enumerate() {
        put(buffer, body.x, body.y + i as u16, body.width, &safe(text), cx.theme.style(*role));
    }
    lines.len() as u16 + 1
}

/// The log's end; scrolled, what was before it.
fn log(cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    let View::Job { agent, job } = &cx.screen.view else { return };
    let lines: &[LogLine] = match cx.state.answer(*agent, Query::JobLog { job: *job }) {
        Some(Answer::JobLog(lines)) => &lines.lines,
        _ => &[],
    };
    put(buffer, area.x, area.y, area.width, "LOG", cx.theme.style(Role::Title));
    let height = usize::from(area.height.saturating_sub(1));
    // Up goes back in time: what scrolls counts from the end.
    let most = lines.len().saturating_sub(height);
    let first = most.saturating_sub(usize::from(cx.screen.scroll).min(most));
    for (i, line) in lines.iter().skip(first).take(height).enumerate() {
        let role = super::log::role(&line.level);
        let text = format!("{}  {}", cx.state.clock(line.at), safe(&line.text));
        put(
            buffer,
            area.x + 2,
            area.y + 1 + i as u16,
            area.width.saturating_sub(2),
            &text,
            cx.theme.style(role),
        );
    }
    if lines.is_empty() {
        put(buffer, area.x + 2, area.y + 1, area.width, "nothing is logged yet", cx.theme.style(Role::Dim));
    }
}
