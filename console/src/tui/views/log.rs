//! What an agent says of itself, as it says it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::service::AgentLogLine;

use super::{Cx, Page, Subject};
use crate::out::{count, safe};
use crate::tui::state::{Answer, Query, Screen, State, View, Want};
use crate::tui::theme::Role;
use crate::tui::widgets::put;

pub(super) struct Log;

impl Page for Log {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        screen.view.agent().map(|agent| format!("of {}", state.agent_name(agent))).unwrap_or_default()
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        screen.view.agent().map(|agent| Want { agent, query: Query::AgentLog }).into_iter().collect()
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        match screen.view {
            View::Log { agent } => Some(Subject::Agent(agent)),
            _ => None,
        }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let slot = cx
            .screen
            .view
            .agent()
            .and_then(|agent| cx.state.store.get(&Want { agent, query: Query::AgentLog }));
        let Some(Answer::AgentLog(log)) = slot.and_then(|slot| slot.answer.as_ref()) else {
            super::draw_waiting(cx, slot, "it says nothing", body, buffer);
            return;
        };
        let lines: Vec<&AgentLogLine> = log.lines.iter().filter(|line| wanted(cx, line)).collect();
        let mut height = usize::from(body.height);
        if log.dropped > 0 {
            height = height.saturating_sub(1);
            let text = format!("{} older lines are gone", count(log.dropped));
            put(buffer, body.x, body.bottom() - 1, body.width, &text, cx.theme.style(Role::Warn));
        }
        // The end is shown; what scrolls goes back in time.
        let most = lines.len().saturating_sub(height);
        let first = most.saturating_sub(usize::from(cx.screen.scroll).min(most));
        for (i, line) in lines.iter().skip(first).take(height).enumerate() {
            let text = format!(
                "{}  {:<5}  {}  {}",
                cx.state.clock(line.at),
                safe(&line.level),
                safe(&line.target),
                safe(&line.text)
            );
            put(buffer, body.x, body.y + i as u16, body.width, &text, cx.theme.style(role(&line.level)));
        }
    }
}

/// With the faults-only switch, warnings and errors alone.
fn wanted(cx: &Cx<'_>, line: &AgentLogLine) -> bool {
    !cx.state.faults_only || matches!(role(&line.level), Role::Warn | Role::Bad)
}

/// What a line's level makes of it.
pub(super) fn role(level: &str) -> Role {
    match level {
        "error" => Role::Bad,
        "warn" => Role::Warn,
        "debug" | "trace" => Role::Dim,
        _ => Role::Text,
    }
}
