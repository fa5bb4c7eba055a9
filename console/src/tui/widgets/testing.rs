//! What the tests of widgets share.

use std::fmt::Write;

use proptest::prelude::*;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;

use crate::out::width;
use crate::tui::theme::{Glyphs, Level, Palette, Theme};

/// Colours and every character.
pub(crate) const UTF8: Theme = Theme { palette: Palette::Dark, level: Level::Indexed, glyphs: Glyphs::Utf8 };
/// The least that a terminal can do.
pub(crate) const ASCII: Theme = Theme { palette: Palette::Mono, level: Level::None, glyphs: Glyphs::Ascii };
/// Every character, and no colour.
pub(crate) const MONO: Theme = Theme { palette: Palette::Mono, level: Level::None, glyphs: Glyphs::Utf8 };

/// What a buffer shows, a line a row, without the blanks at their ends.
pub(crate) fn lines(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut line = String::new();
        let mut x = buffer.area.left();
        while x < buffer.area.right() {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // Behind a wide character its second cell is hidden.
            x += width(symbol).clamp(1, 2) as u16;
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.truncate(out.trim_end_matches('\n').len());
    out
}

/// What `draw` makes of an empty screen of that size.
pub(crate) fn drawn(size: (u16, u16), draw: impl Fn(Rect, &mut Buffer)) -> String {
    let area = Rect::new(0, 0, size.0, size.1);
    let mut buffer = Buffer::empty(area);
    draw(area, &mut buffer);
    lines(&buffer)
}

/// Draws at sizes and places of every kind and in every look; whatever is drawn must stay inside,
/// and be ASCII where that was asked. Names given by `draw` must be ASCII for this.
pub(crate) fn stays_inside(draw: impl Fn(&Theme, Rect, &mut Buffer)) {
    const SCREEN: Rect = Rect::new(0, 0, 90, 40);
    let sizes = [
        (0, 0),
        (1, 0),
        (0, 1),
        (1, 1),
        (2, 1),
        (1, 2),
        (3, 3),
        (7, 2),
        (12, 5),
        (20, 1),
        (31, 9),
        (80, 24),
        (90, 40),
        (u16::MAX, u16::MAX),
    ];
    for theme in [UTF8, ASCII, MONO] {
        for (width, height) in sizes {
            for (x, y) in [(0, 0), (5, 3), (89, 39), (90, 40), (u16::MAX, u16::MAX)] {
                let area = Rect { x, y, width, height };
                check_inside(&theme, area, SCREEN, &draw);
            }
        }
    }
    // No terminal is like that; figures in u16 must hold all the same.
    for (width, height) in [(u16::MAX, 1), (16_000, 4), (1, u16::MAX), (30, 2_000)] {
        let screen = Rect { x: 0, y: 0, width, height };
        check_inside(&UTF8, screen, screen, &draw);
    }
}

/// A rectangle anywhere on a screen, or partly or wholly off it.
pub(crate) fn any_area() -> impl Strategy<Value = Rect> {
    (0u16..70, 0u16..40, 0u16..80, 0u16..50).prop_map(|(x, y, width, height)| Rect { x, y, width, height })
}

/// One drawing of [`stays_inside`], on a screen of 60 × 30.
pub(crate) fn inside(theme: &Theme, area: Rect, draw: impl Fn(&Theme, Rect, &mut Buffer)) {
    check_inside(theme, area, Rect::new(0, 0, 60, 30), &draw);
}

fn check_inside(theme: &Theme, area: Rect, screen: Rect, draw: &impl Fn(&Theme, Rect, &mut Buffer)) {
    const UNTOUCHED: &str = "\u{1}";
    let mut buffer = Buffer::filled(screen, Cell::new(UNTOUCHED));
    draw(theme, area, &mut buffer);
    let inside = area.intersection(screen);
    for position in screen.positions() {
        let symbol = buffer[position].symbol();
        if !inside.contains(position) {
            assert_eq!(symbol, UNTOUCHED, "{position} is outside {area}");
        } else if theme.glyphs == Glyphs::Ascii {
            assert!(symbol.is_ascii(), "{symbol:?} at {position} in {area}");
        }
    }
}
