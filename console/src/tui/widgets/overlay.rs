//! What lies over a screen: the prompt's candidates, forms, menus.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Clear, Widget};

use super::put;
use crate::out::{safe, width};
use crate::tui::state::{Form, Line, Menu, Overlay, Prompt, PromptKind};
use crate::tui::theme::{Glyphs, Role, Theme};

/// Draws what has the keys. Prompts draw their line elsewhere, with [`prompt_line`].
pub fn draw(overlay: &Overlay, theme: &Theme, body: Rect, buffer: &mut Buffer) {
    match overlay {
        Overlay::Prompt(prompt) => candidates(prompt, theme, body, buffer),
        Overlay::Form(form) => draw_form(form, theme, body, buffer),
        Overlay::Menu(menu) => draw_menu(menu, theme, body, buffer),
    }
}

/// Draws the prompt's line.
pub fn prompt_line(prompt: &Prompt, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let sign = match prompt.kind {
        PromptKind::Command => ":",
        PromptKind::Filter { .. } => "/",
        PromptKind::Class { founds: false } => "class: ",
        PromptKind::Class { founds: true } => "new class: ",
    };
    put(buffer, area.x, area.y, area.width, sign, theme.style(Role::Key));
    let taken = sign.len() as u16;
    let field = Rect { x: area.x + taken, width: area.width.saturating_sub(taken), ..area };
    let used = line(&prompt.line, true, field, buffer);
    if let Some(error) = &prompt.error {
        let x = field.x + used + 2;
        let text = format!("{} {}", theme.mark(Role::Bad), safe(error));
        put(buffer, x, area.y, area.right().saturating_sub(x), &text, theme.style(Role::Bad));
    }
}

/// Draws a line with its cursor, scrolled so that the cursor is seen. Returns the cells used.
fn line(line: &Line, cursor: bool, area: Rect, buffer: &mut Buffer) -> u16 {
    let before = &line.text[..line.cursor];
    let room = usize::from(area.width.saturating_sub(1));
    // From the left, as many characters go as needed for the cursor to fit.
    let mut start = 0;
    while width(&before[start..]) > room {
        start += before[start..].chars().next().map_or(1, char::len_utf8);
    }
    let used = put(buffer, area.x, area.y, area.width, &safe(&line.text[start..]), Style::new());
    if cursor && area.width > 0 {
        let x = area.x + u16::try_from(width(&safe(&before[start..]))).unwrap_or(0).min(area.width - 1);
        buffer.set_style(Rect::new(x, area.y, 1, 1), Style::new().add_modifier(Modifier::REVERSED));
    }
    used
}

/// A frame in the middle of the body, cleared. Returns what is inside.
fn window(title: &str, role: Role, size: (u16, u16), theme: &Theme, body: Rect, buffer: &mut Buffer) -> Rect {
    let wide = size.0.saturating_add(4).min(body.width);
    let high = size.1.saturating_add(2).min(body.height);
    let area = Rect::new(body.x + (body.width - wide) / 2, body.y + (body.height - high) / 2, wide, high);
    frame(title, role, theme, area, buffer)
}

/// A frame around an area, cleared. Returns what is inside.
pub fn frame(title: &str, role: Role, theme: &Theme, area: Rect, buffer: &mut Buffer) -> Rect {
    if area.width < 4 || area.height < 2 {
        return Rect::new(area.x, area.y, 0, 0);
    }
    Clear.render(area, buffer);
    let style = theme.style(role);
    let [corners, across, down] = match theme.glyphs {
        Glyphs::Utf8 => [["┌", "┐", "└", "┘"], ["─"; 4], ["│"; 4]],
        Glyphs::Ascii => [["+"; 4], ["-"; 4], ["|"; 4]],
    };
    let (left, right, top, bottom) = (area.x, area.right() - 1, area.y, area.bottom() - 1);
    for x in left + 1..right {
        buffer[(x, top)].set_symbol(across[0]).set_style(style);
        buffer[(x, bottom)].set_symbol(across[0]).set_style(style);
    }
    for y in top + 1..bottom {
        buffer[(left, y)].set_symbol(down[0]).set_style(style);
        buffer[(right, y)].set_symbol(down[0]).set_style(style);
    }
    for ((x, y), corner) in
        [(left, top), (right, top), (left, bottom), (right, bottom)].into_iter().zip(corners)
    {
        buffer[(x, y)].set_symbol(corner).set_style(style);
    }
    put(
        buffer,
        left + 2,
        top,
        area.width.saturating_sub(4),
        &format!(" {} ", safe(title)),
        theme.style(Role::Title),
    );
    Rect::new(left + 2, top + 1, area.width.saturating_sub(4), area.height - 2)
}

fn candidates(prompt: &Prompt, theme: &Theme, body: Rect, buffer: &mut Buffer) {
    let high = (prompt.candidates.len() as u16).min(body.height);
    if high == 0 {
        return;
    }
    let area = Rect::new(body.x, body.bottom() - high, body.width, high);
    Clear.render(area, buffer);
    let names = prompt.candidates.iter().map(|candidate| width(&candidate.shown)).max().unwrap_or(0);
    let names = u16::try_from(names).unwrap_or(0).min(40) + 2;
    for (i, candidate) in prompt.candidates.iter().take(usize::from(high)).enumerate() {
        let y = area.y + i as u16;
        let chosen = prompt.chosen == Some(i);
        let name = if candidate.reason.is_some() { Role::Dim } else { Role::Key };
        put(buffer, area.x + 1, y, names, &safe(&candidate.shown), theme.style(name));
        let (text, role) = match &candidate.reason {
            Some(reason) => (format!("{} ({reason})", candidate.doc), Role::Dim),
            None => (candidate.doc.clone(), Role::Text),
        };
        put(
            buffer,
            area.x + 1 + names,
            y,
            area.width.saturating_sub(names + 1),
            &safe(&text),
            theme.style(role),
        );
        if chosen {
            buffer.set_style(Rect::new(area.x, y, area.width, 1), theme.style(Role::Selected));
            put(buffer, area.x, y, 1, theme.mark(Role::Selected), theme.style(Role::Selected));
        }
    }
}

fn draw_form(form: &Form, theme: &Theme, body: Rect, buffer: &mut Buffer) {
    let lines: Vec<String> = form.lines.iter().map(|line| safe(line)).collect();
    let widest = lines.iter().map(|line| width(line)).max().unwrap_or(0).clamp(44, 100) as u16;
    let high = lines.len() + form.fields.len() + 3;
    let role = if form.grave { Role::Bad } else { Role::Focus };
    let size = (widest, u16::try_from(high).unwrap_or(u16::MAX));
    let inside = window(&form.title, role, size, theme, body, buffer);
    // The fields and the last line are always seen; what is read scrolls away first.
    let fixed = form.fields.len() as u16 + 2;
    let room = usize::from(inside.height.saturating_sub(fixed));
    let mut y = inside.y;
    for text in lines.iter().take(room) {
        put(buffer, inside.x, y, inside.width, text, Style::new());
        y += 1;
    }
    y = y.max(inside.bottom().saturating_sub(fixed)).min(inside.bottom());
    let labels = form.fields.iter().map(|field| width(&field.label)).max().unwrap_or(0) as u16 + 2;
    for (i, field) in form.fields.iter().enumerate() {
        if y >= inside.bottom() {
            return;
        }
        let focused = i == form.focus;
        let role = if focused { Role::Focus } else { Role::Dim };
        put(buffer, inside.x, y, labels, &safe(&field.label), theme.style(role));
        let area = Rect::new(inside.x + labels, y, inside.width.saturating_sub(labels), 1);
        buffer.set_style(area, Style::new().add_modifier(Modifier::UNDERLINED));
        line(&field.line, focused, area, buffer);
        y += 1;
    }
    if let Some(error) = &form.error {
        let text = format!("{} {}", theme.mark(Role::Bad), safe(error));
        put(buffer, inside.x, y, inside.width, &text, theme.style(Role::Bad));
    }
    let keys = "enter does it · tab next field · esc gives up";
    let keys = if theme.glyphs == Glyphs::Ascii { keys.replace('·', "|") } else { keys.to_owned() };
    put(buffer, inside.x, inside.bottom().saturating_sub(1), inside.width, &keys, theme.style(Role::Dim));
}

fn draw_menu(menu: &Menu, theme: &Theme, body: Rect, buffer: &mut Buffer) {
    let keys = menu.items.iter().map(|item| width(&item.keys)).max().unwrap_or(0) as u16 + 2;
    let text = |item: &crate::tui::state::MenuItem| match &item.reason {
        Some(reason) => format!("{} ({})", safe(&item.label), safe(reason)),
        None => safe(&item.label),
    };
    let widest = menu.items.iter().map(|item| width(&text(item))).max().unwrap_or(0).clamp(30, 100) as u16;
    let size = (widest + keys + 2, menu.items.len() as u16);
    let inside = window(&menu.title, Role::Focus, size, theme, body, buffer);
    let height = usize::from(inside.height);
    let first = menu.selected.saturating_sub(height.saturating_sub(1));
    for (line, (i, item)) in menu.items.iter().enumerate().skip(first).take(height).enumerate() {
        let y = inside.y + line as u16;
        let role = if item.reason.is_some() { Role::Dim } else { Role::Text };
        put(buffer, inside.x + 2, y, keys, &item.keys, theme.style(Role::Key));
        put(
            buffer,
            inside.x + 2 + keys,
            y,
            inside.width.saturating_sub(keys + 2),
            &text(item),
            theme.style(role),
        );
        if i == menu.selected {
            buffer.set_style(Rect::new(inside.x, y, inside.width, 1), theme.style(Role::Selected));
            put(buffer, inside.x, y, 1, theme.mark(Role::Selected), theme.style(Role::Selected));
        }
    }
}
