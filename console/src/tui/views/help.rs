//! Keys and commands: those of the view below first, then all others.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Cx, Page, name};
use crate::out::safe;
use crate::tui::command::{self, Command, Risk, Scope};
use crate::tui::theme::Role;
use crate::tui::widgets::put;

pub(super) struct Help;

impl Page for Help {
    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let lines = lines(cx);
        let most = lines.len().saturating_sub(usize::from(body.height));
        let first = usize::from(cx.screen.scroll).min(most);
        for (i, line) in lines.iter().skip(first).take(usize::from(body.height)).enumerate() {
            let y = body.y + i as u16;
            match line {
                HelpLine::Title(text) => {
                    put(buffer, body.x, y, body.width, text, cx.theme.style(Role::Title));
                }
                HelpLine::Text(text) => {
                    put(buffer, body.x + 2, y, body.width, text, cx.theme.style(Role::Dim));
                }
                HelpLine::Command { keys, name, doc, able } => {
                    let (key, text) = if *able { (Role::Key, Role::Text) } else { (Role::Dim, Role::Dim) };
                    put(buffer, body.x + 2, y, 16, keys, cx.theme.style(key));
                    put(buffer, body.x + 19, y, 18, name, cx.theme.style(text));
                    put(buffer, body.x + 38, y, body.width.saturating_sub(38), doc, cx.theme.style(text));
                }
            }
        }
    }
}

enum HelpLine {
    Title(String),
    Text(String),
    Command { keys: String, name: &'static str, doc: String, able: bool },
}

fn lines(cx: &Cx<'_>) -> Vec<HelpLine> {
    let below = cx.state.nav.path().filter(|screen| screen.id != cx.screen.id).last();
    let here = below.map(|screen| &screen.view);
    let mut lines = Vec::new();
    let own = |command: &&Command| {
        matches!(command.scope, Scope::In(_)) && here.is_some_and(|view| command.scope.holds(view))
    };
    if let Some(view) = here.filter(|_| command::all().any(|command| own(&command))) {
        lines.push(HelpLine::Title(format!("IN {}", name(view).to_uppercase())));
        lines.extend(command::all().filter(own).map(|command| line(cx, command)));
        lines.push(HelpLine::Text(String::new()));
    }
    for (title, wanted) in [("IN TABLES", Scope::Tables), ("EVERYWHERE", Scope::Anywhere)] {
        lines.push(HelpLine::Title(title.to_owned()));
        lines.extend(
            command::all().filter(|command| command.scope == wanted).map(|command| line(cx, command)),
        );
        lines.push(HelpLine::Text(String::new()));
    }
    lines.push(HelpLine::Title("IN OTHER VIEWS".to_owned()));
    let others = command::all().filter(|command| matches!(command.scope, Scope::In(_)) && !own(command));
    lines.extend(others.map(|command| line(cx, command)));
    lines.push(HelpLine::Text(String::new()));
    lines.push(HelpLine::Title("FILTERS".to_owned()));
    for text in [
        "owl !crow             rows that say owl and do not say crow (regular expressions)",
        "state:failed          in one column",
        "conf<0.4  images>1k   by figures",
        "class:owl conf<0.4 model:@production since:2h    predictions, filtered by the agent",
    ] {
        lines.push(HelpLine::Text(text.to_owned()));
    }
    lines
}

fn line(cx: &Cx<'_>, command: &'static Command) -> HelpLine {
    let keys: Vec<String> = cx.state.keymap.keys(command.name).map(ToString::to_string).collect();
    let reason = command::permitted(command, cx.state).err();
    let risk = if command.risk == Risk::Grave { "; asks for a name first" } else { "" };
    let reason_text = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    HelpLine::Command {
        keys: keys.join(" "),
        name: command.name,
        doc: safe(&format!("{}{risk}{reason_text}", command.doc)),
        able: reason.is_none(),
    }
}
