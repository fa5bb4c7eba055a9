//! What an emulator shows after the bytes of a screen.

use std::num::NonZeroU16;

use proptest::prelude::*;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Clear, Widget};

use super::Screen;

const MODIFIERS: [Modifier; 5] =
    [Modifier::BOLD, Modifier::DIM, Modifier::ITALIC, Modifier::UNDERLINED, Modifier::REVERSED];

/// A text in one of the slots of a 15×3 screen, in one of the styles.
#[derive(Clone, Debug)]
struct Text {
    slot: (u16, u16),
    text: &'static str,
    style: Style,
}

fn texts() -> impl Strategy<Value = Text> {
    let colour = || {
        prop::sample::select(vec![
            Color::Reset,
            Color::Red,
            Color::LightGreen,
            Color::Indexed(214),
            Color::Rgb(1, 2, 3),
        ])
    };
    let modifiers = prop::sample::subsequence(MODIFIERS.to_vec(), 0..=MODIFIERS.len()).prop_map(|chosen| {
        let all = chosen.into_iter().fold(Modifier::empty(), |all, modifier| all | modifier);
        // The emulator knows one intensity at a time.
        if all.contains(Modifier::DIM) { all - Modifier::BOLD } else { all }
    });
    let style = (colour(), colour(), modifiers)
        .prop_map(|(fg, bg, modifiers)| Style::new().fg(fg).bg(bg).add_modifier(modifiers));
    let text = prop::sample::select(vec!["a", "b", " ", "hello", "x y z", "猫", "a猫b", "─│", "é", "     "]);
    ((0_u16..3, 0_u16..3), text, style).prop_map(|((column, row), text, style)| Text {
        slot: (column * 5, row),
        text,
        style,
    })
}

proptest! {
    /// Whatever is drawn one after the other, a terminal shows what the last frame says.
    #[test]
    fn terminals_show_what_is_drawn(frames in prop::collection::vec(prop::collection::vec(texts(), 0..6), 1..6)) {
        let cells = |count| NonZeroU16::new(count).expect("more than none");
        let mut terminal = vt100::Parser::new(cells(3), cells(15), 0);
        let mut screen = Screen::new(Vec::new(), Size::new(15, 3));
        for frame in frames {
            let mut wanted = Buffer::empty(screen.area());
            for Text { slot: (x, y), text, style } in frame {
                // What a slot had must not show beside what it has.
                Widget::render(Clear, Rect::new(x, y, 5, 1), &mut wanted);
                wanted.set_string(x, y, text, style);
            }
            screen.writer_mut().clear();
            screen.draw(|_, buffer| buffer.merge(&wanted)).expect("it writes to memory");
            terminal.process(screen.writer_mut());
            for (at, cell) in wanted.content().iter().enumerate() {
                let (x, y) = wanted.pos_of(at);
                let shown = terminal.screen().cell(y, x).expect("on the screen");
                if !shown.is_wide_continuation() {
                    prop_assert_eq!(look(shown), wanted_look(cell), "at {},{}", x, y);
                }
            }
        }
    }
}

/// Symbol, foreground, background, modifiers: what can be seen of them.
type Look = (String, vt100::Color, vt100::Color, [bool; 5]);

fn look(cell: &vt100::Cell) -> Look {
    let symbol = if cell.has_contents() { cell.contents() } else { " " };
    let modifiers = [cell.bold(), cell.dim(), cell.italic(), cell.underline(), cell.inverse()];
    seen(symbol, cell.fgcolor(), cell.bgcolor(), modifiers)
}

fn wanted_look(cell: &Cell) -> Look {
    let colour = |colour| match colour {
        Color::Red => vt100::Color::Idx(1),
        Color::LightGreen => vt100::Color::Idx(10),
        Color::Indexed(index) => vt100::Color::Idx(index),
        Color::Rgb(r, g, b) => vt100::Color::Rgb(r, g, b),
        _ => vt100::Color::Default,
    };
    let modifiers = MODIFIERS.map(|modifier| cell.modifier.contains(modifier));
    seen(cell.symbol(), colour(cell.fg), colour(cell.bg), modifiers)
}

fn seen(symbol: &str, fg: vt100::Color, bg: vt100::Color, modifiers: [bool; 5]) -> Look {
    let [_, _, _, underlined, reversed] = modifiers;
    match (symbol, underlined || reversed) {
        // Nothing to see of the foreground, nor of bold, dim and italic.
        (" ", false) => (" ".into(), vt100::Color::Default, bg, [false; 5]),
        (" ", true) => (" ".into(), fg, bg, [false, false, false, underlined, reversed]),
        _ => (symbol.into(), fg, bg, modifiers),
    }
}
