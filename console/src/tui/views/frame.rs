//! What is around every view: the band on top, the title, the line of keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{Cx, name, page, title, when};
use crate::out::{count, safe, width};
use crate::tui::command::{self, Risk, Scope};
use crate::tui::pictures::Album;
use crate::tui::state::{Link, MOST_ROWS, Overlay, State};
use crate::tui::theme::{Glyphs, Role};
use crate::tui::update;
use crate::tui::widgets::{overlay, put, put_right};

/// The smallest terminal that is drawn on.
const SMALLEST: (u16, u16) = (80, 24);

/// Draws the whole screen.
pub fn draw(state: &State, album: &Album, area: Rect, buffer: &mut Buffer) {
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return too_small(area, buffer);
    }
    let cx = Cx { state, screen: state.screen(), theme: &state.theme, album };
    let body = update::body((area.width, area.height));
    band(&cx, Rect { height: 1, ..area }, buffer);
    heading(&cx, Rect::new(area.x, area.y + 1, area.width, 1), buffer);
    page(&cx.screen.view).draw(&cx, body, buffer);
    let bottom = Rect::new(area.x, area.bottom() - 1, area.width, 1);
    match &state.overlay {
        Some(Overlay::Prompt(prompt)) => overlay::prompt_line(prompt, &state.theme, bottom, buffer),
        Some(Overlay::Form(_) | Overlay::Menu(_)) | None => footer(&cx, bottom, buffer),
    }
    if let Some(shown) = &state.overlay {
        overlay::draw(shown, &state.theme, body, buffer);
    }
    if state.theme.glyphs == Glyphs::Ascii {
        spell_out(buffer);
    }
}

/// Puts ASCII in the place of the few other characters that texts of ours hold.
fn spell_out(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let plain = match cell.symbol() {
            "…" => "~",
            "–" => "-",
            "·" => "|",
            "×" => "x",
            "°" => " ",
            _ => continue,
        };
        cell.set_symbol(plain);
    }
}

fn too_small(area: Rect, buffer: &mut Buffer) {
    let text =
        format!("vigie needs {}x{} cells; here are {}x{}", SMALLEST.0, SMALLEST.1, area.width, area.height);
    let lines = [text.as_str(), "enlarge the terminal, or press q"];
    for (i, line) in lines.into_iter().enumerate() {
        put(buffer, area.x, area.y + i as u16, area.width, line, Style::new());
    }
}

/// Environment, way, link, clock.
fn band(cx: &Cx<'_>, line: Rect, buffer: &mut Buffer) {
    let state = cx.state;
    let agent = cx.screen.view.agent().and_then(|index| state.fleet.get(index));
    let environment = match agent {
        Some(agent) => agent.environment().cloned(),
        // Several agents: the band has a colour only when all have the same.
        None => {
            let mut all = state.in_scope().map(|(_, agent)| agent.environment());
            let first = all.next().flatten();
            all.all(|other| other == first).then(|| first.cloned()).flatten()
        }
    };
    let style = cx.theme.band(environment.as_ref().map_or("", |environment| environment.colour.as_str()));
    buffer.set_style(line, style);
    let mut left = " vigie ".to_owned();
    if let Some(environment) = &environment {
        left.push_str(&format!("[{}] ", safe(&environment.name)));
    }
    let arrow = cx.theme.glyph(" › ", " > ");
    let way: Vec<&str> = state.nav.path().map(|screen| name(&screen.view)).collect();
    left.push_str(&way.join(arrow));
    let right = right_of_band(cx);
    let room = line.width.saturating_sub(width(&right) as u16 + 1);
    put(buffer, line.x, line.y, room, &left, style);
    put_right(buffer, line.x, line.y, line.width, &right, style);
}

fn right_of_band(cx: &Cx<'_>) -> String {
    let state = cx.state;
    let mut parts = Vec::new();
    if state.frozen {
        parts.push("FROZEN".to_owned());
    }
    if state.read_only {
        parts.push("read-only".to_owned());
    }
    if !state.asked.is_empty() {
        parts.push(format!("{} asked", state.asked.len()));
    }
    let (mut there, mut all) = (0, 0);
    for (_, agent) in state.in_scope() {
        all += 1;
        there += usize::from(agent.snapshot.is_connected());
    }
    match cx.screen.view.agent().and_then(|index| state.fleet.get(index)) {
        Some(agent) => parts.push(format!("{}: {}", safe(&agent.name), link_text(cx, agent))),
        None => parts.push(format!("{there}/{all} agents")),
    }
    parts.push(if state.utc { "UTC".to_owned() } else { zone(state) });
    parts.join(cx.theme.glyph(" · ", " | ")) + " "
}

/// The zone without its continent: `Paris`.
fn zone(state: &State) -> String {
    safe(state.zone.rsplit('/').next().unwrap_or("UTC"))
}

/// How the link to an agent stands, and how old its data is, in words.
pub(super) fn link_text(cx: &Cx<'_>, agent: &crate::tui::state::Agent) -> String {
    let now = cx.state.now;
    let old = match agent.snapshot.heard {
        Some(heard) if agent.is_stale(now) => format!(", data {} old", when::coarse(now, heard)),
        Some(_) => String::new(),
        None => ", no data yet".to_owned(),
    };
    match &agent.snapshot.link {
        Link::Connected { .. } if old.is_empty() => "connected".to_owned(),
        Link::Connected { .. } => format!("silent{old}"),
        Link::Connecting => format!("connecting{old}"),
        Link::Waiting { until, reason } => {
            let seconds = until.since(now).as_secs();
            let when = if seconds == 0 { "retrying".to_owned() } else { format!("retry in {seconds} s") };
            format!("{when}: {}{old}", safe(reason))
        }
        Link::Refused { reason, hint } => {
            let hint = hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("refused because {}{old}", safe(&format!("{reason}{hint}")))
        }
    }
}

/// What is shown, how much of it, and how it is filtered and sorted.
fn heading(cx: &Cx<'_>, line: Rect, buffer: &mut Buffer) {
    let state = cx.state;
    let screen = cx.screen;
    let used = put(buffer, line.x, line.y, line.width, &safe(&title(state)), cx.theme.style(Role::Title));
    let mut x = line.x + used + 2;
    let tabs = page(&screen.view).tabs();
    for (i, tab) in tabs.iter().enumerate() {
        let style = if usize::from(screen.tab) == i {
            cx.theme.style(Role::Focus)
        } else {
            cx.theme.style(Role::Dim)
        };
        let text = if usize::from(screen.tab) == i { format!("[{tab}]") } else { format!(" {tab} ") };
        x += put(buffer, x, line.y, line.right().saturating_sub(x), &text, style);
    }
    let facts = facts(cx).join(cx.theme.glyph(" · ", " | "));
    let room = line.right().saturating_sub(x + 1);
    put_right(
        buffer,
        x + 1,
        line.y,
        room,
        &crate::out::cut(&facts, usize::from(room)),
        cx.theme.style(Role::Dim),
    );
}

fn facts(cx: &Cx<'_>) -> Vec<String> {
    let state = cx.state;
    let view = &cx.screen.table;
    let mut facts = Vec::new();
    let Some(table) = page(&cx.screen.view).table(state, cx.screen) else { return facts };
    let all = table.source.count();
    let more = table.want.as_ref().is_some_and(|(_, more)| *more);
    let shown = view.order.as_ref().map_or(all, |order| order.len());
    if !view.marks.is_empty() {
        facts.push(format!("{} marked", count(view.marks.len() as u64)));
    }
    if !view.filter.is_empty() {
        facts.push(format!("/{}", safe(&view.filter.0)));
    }
    if state.faults_only {
        facts.push("faults only".to_owned());
    }
    if more && (view.sort.is_some() || !view.filter.is_empty() || state.faults_only) {
        // Only the agent could order what is not here.
        facts.push(format!("within the {} loaded", count(all as u64)));
    }
    let plus = if more { "+" } else { "" };
    let capped = if all >= MOST_ROWS { ", narrow the filter for more" } else { "" };
    let at = (view.selected + 1).min(shown);
    let of = if shown == all { String::new() } else { format!(" of {}", count(all as u64)) };
    facts.push(format!("{}/{}{of}{plus}{capped}", count(at as u64), count(shown as u64)));
    facts
}

/// What was just said, or the keys that work here.
fn footer(cx: &Cx<'_>, line: Rect, buffer: &mut Buffer) {
    let state = cx.state;
    if let Some(toast) = &state.toast {
        let (role, mark) = if toast.bad {
            (Role::Bad, cx.theme.mark(Role::Bad))
        } else {
            (Role::Good, cx.theme.mark(Role::Good))
        };
        put(
            buffer,
            line.x,
            line.y,
            line.width,
            &format!("{mark} {}", safe(&toast.text)),
            cx.theme.style(role),
        );
        return;
    }
    if !state.pending.is_empty() {
        return pending(cx, line, buffer);
    }
    // What the view itself offers comes first, then what always helps.
    let own = command::all()
        .filter(|command| matches!(command.scope, Scope::In(_)) && command.scope.holds(&cx.screen.view));
    let common = ["open", "back", "filter", "command", "menu", "help", "quit"];
    let common = common.into_iter().filter_map(command::find);
    let mut x = line.x;
    for command in own.chain(common) {
        let keys = state.keymap.shown(command.name);
        if keys.is_empty() {
            continue;
        }
        let able = command::enabled(command, state).is_ok();
        if !able && command.risk == Risk::Read {
            continue;
        }
        let label = command.name;
        let needed = (width(&keys) + width(label) + 3) as u16;
        if x + needed > line.right() {
            break;
        }
        let dim = cx.theme.style(Role::Dim);
        let (key, text) = if able { (cx.theme.style(Role::Key), Style::new()) } else { (dim, dim) };
        x += put(buffer, x, line.y, needed, &keys, key);
        x += put(buffer, x + 1, line.y, needed, label, text) + 3;
    }
}

/// The combinations that begin with what was pressed.
fn pending(cx: &Cx<'_>, line: Rect, buffer: &mut Buffer) {
    let state = cx.state;
    let crate::tui::keymap::Meaning::Prefix(longer) = state.keymap.meaning(&state.pending, &cx.screen.view)
    else {
        return;
    };
    let choices: Vec<String> =
        longer.iter().map(|(keys, command)| format!("{keys} {}", command.name)).collect();
    let style = Style::new().add_modifier(Modifier::BOLD);
    put(buffer, line.x, line.y, line.width, &choices.join("   "), style);
}
