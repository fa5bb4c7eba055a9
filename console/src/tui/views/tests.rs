//! Every view as it looks: what is written, at two sizes and in ASCII, and how it is styled.

use std::collections::BTreeMap;
use std::fmt::Write;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{draw, name};
use crate::tui::pictures::Album;
use crate::tui::state::State;
use crate::tui::testing::{ASCII, DARK, MONO, every_view, show, world};
use crate::tui::theme::Theme;
use crate::tui::widgets::text_of;

fn drawn(size: (u16, u16), theme: Theme, view: &super::View, tab: u8) -> (State, Buffer) {
    let mut state = world(size, theme);
    show(&mut state, view.clone());
    state.nav.top_mut().tab = tab;
    crate::tui::update(&mut state, crate::tui::event::Event::Second { now: crate::tui::testing::now() });
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.0, size.1));
    draw(&state, &Album::new(0), buffer.area, &mut buffer);
    (state, buffer)
}

/// A letter for each style that is seen, `.` for none, with what the letters mean.
fn styles(buffer: &Buffer) -> String {
    let mut letters: BTreeMap<String, char> = BTreeMap::new();
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = cell.style();
            let plain = style == Style::reset()
                || (style.add_modifier.is_empty()
                    && style.fg == Some(ratatui::style::Color::Reset)
                    && style.bg == Some(ratatui::style::Color::Reset));
            if plain {
                line.push('.');
                continue;
            }
            let told = format!("{:?} on {:?} {:?}", cell.fg, cell.bg, cell.modifier);
            let next = char::from(b'a' + letters.len().min(25) as u8);
            line.push(*letters.entry(told).or_insert(next));
        }
        let _ = writeln!(text, "{}", line.trim_end_matches('.'));
    }
    for (style, letter) in letters {
        let _ = writeln!(text, "{letter} = {style}");
    }
    text
}

#[test]
fn every_view_looks_so() {
    for view in every_view() {
        let tabs = super::tabs(&view).len().max(1);
        for tab in 0..tabs {
            let tab = tab as u8;
            let mut text = String::new();
            for (title, size, theme) in [
                ("120x40 dark", (120, 40), DARK),
                ("80x24 dark", (80, 24), DARK),
                ("80x24 mono, ASCII", (80, 24), ASCII),
            ] {
                let (_, buffer) = drawn(size, theme, &view, tab);
                let _ = writeln!(text, "== {title}\n{}", text_of(&buffer));
            }
            let (_, dark) = drawn((80, 24), DARK, &view, tab);
            let (_, mono) = drawn((80, 24), MONO, &view, tab);
            let _ = writeln!(text, "== styles, dark\n{}\n== styles, mono\n{}", styles(&dark), styles(&mono));
            let file = if tab == 0 { name(&view).to_owned() } else { format!("{}-{tab}", name(&view)) };
            insta::assert_snapshot!(file, text);
        }
    }
}

#[test]
fn ascii_is_ascii() {
    for view in every_view() {
        for tab in 0..super::tabs(&view).len().max(1) {
            let (_, buffer) = drawn((120, 40), ASCII, &view, tab as u8);
            for line in text_of(&buffer).lines() {
                // What users called their things may be anything; what we draw around it may not.
                let ours: String = line.chars().filter(|c| !"猫é".contains(*c)).collect();
                assert!(ours.is_ascii(), "{}: {line:?}", name(&view));
            }
        }
    }
}

#[test]
fn no_size_is_too_strange() {
    for view in every_view() {
        for size in [(0, 0), (1, 1), (79, 24), (80, 23), (80, 24), (300, 24), (80, 200)] {
            drawn(size, DARK, &view, 0);
        }
    }
    let (_, buffer) = drawn((40, 10), DARK, &super::View::Overview, 0);
    assert!(text_of(&buffer).starts_with("vigie needs 80x24 cells; here are 40x10"), "{}", text_of(&buffer));
}

#[test]
fn hostile_names_move_no_cursor() {
    for view in every_view() {
        let (_, buffer) = drawn((120, 40), DARK, &view, 0);
        let text = text_of(&buffer);
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r', '\t']), "{}", name(&view));
    }
}
