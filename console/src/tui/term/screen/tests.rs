use super::*;

use std::num::NonZeroU16;

use ratatui::buffer::CellDiffOption;
use ratatui::style::{Color, Modifier, Style};

/// Remembers each write; fails from the n-th on, if told so.
#[derive(Debug, Default)]
struct Terminal {
    writes: Vec<Vec<u8>>,
    fails: bool,
}

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.fails {
            return Err(io::Error::other("full"));
        }
        self.writes.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn screen(width: u16, height: u16) -> Screen<Terminal> {
    Screen::new(Terminal::default(), Size::new(width, height))
}

/// What a frame wrote, without the marks around it.
fn frame(screen: &mut Screen<Terminal>, render: impl FnOnce(&mut Buffer)) -> String {
    screen.writer.writes.clear();
    let drawn = screen.draw(|_, buffer| render(buffer)).expect("it writes to memory");
    let written = std::mem::take(&mut screen.writer.writes);
    assert!(written.len() <= 1, "one write at most");
    let written = String::from_utf8(written.concat()).expect("UTF-8");
    assert_eq!(written.len(), drawn.bytes);
    if written.is_empty() {
        return written;
    }
    let inner = written.strip_prefix("\x1b[?2026h").and_then(|rest| rest.strip_suffix("\x1b[?2026l"));
    inner.expect("marks around it").replace('\x1b', "^")
}

#[test]
fn changes_become_few_bytes() {
    let red = Style::new().fg(Color::Red);
    let bold = |colour| Style::new().fg(colour).add_modifier(Modifier::BOLD);
    type Render = fn(&mut Buffer, Style);
    let checks: &[(&str, Style, Render, Render, &str)] = &[
        ("nothing", red, |b, s| b.set_style(b.area, s), |b, s| b.set_style(b.area, s), ""),
        ("one", red, |_, _| {}, |b, s| put(b, 3, 1, "x", s), "^[2;4H^[31mx"),
        ("a row's first", red, |_, _| {}, |b, s| put(b, 0, 2, "x", s), "^[3H^[31mx"),
        ("neighbours", red, |_, _| {}, |b, s| put(b, 1, 0, "xyz", s), "^[1;2H^[31mxyz"),
        (
            "a short gap is written",
            red,
            |b, s| put(b, 0, 0, "a--b", s),
            |b, s| put(b, 0, 0, "c--d", s),
            "^[1H^[31mc--d",
        ),
        (
            "in other colours it is not",
            red,
            |b, _| put(b, 1, 0, "--", Style::new()),
            |b, s| {
                put(b, 1, 0, "--", Style::new());
                put(b, 0, 0, "c", s);
                put(b, 3, 0, "d", s);
            },
            "^[1H^[31mc^[2Cd",
        ),
        (
            "a blank needs no colour",
            red,
            |b, _| put(b, 1, 0, "x", Style::new()),
            |b, s| {
                put(b, 0, 0, "a", s);
                put(b, 2, 0, "b", s);
            },
            "^[1H^[31ma b",
        ),
        (
            "the last column",
            red,
            |_, _| {},
            |b, s| {
                put(b, 9, 0, "x", s);
                put(b, 0, 1, "y", s);
            },
            "^[1;10H^[31mx^[2Hy",
        ),
        ("wide", red, |_, _| {}, |b, s| put(b, 0, 0, "猫x", s), "^[1H^[31m猫^[1;3Hx"),
        (
            "a blank instead of a wide one",
            red,
            |b, s| put(b, 0, 0, "猫", s),
            |b, _| {
                put(b, 0, 0, "ab", Style::new());
            },
            "^[1Hab",
        ),
        (
            "bright, indexed, true",
            Style::new().fg(Color::LightBlue).bg(Color::Indexed(7)),
            |_, _| {},
            |b, s| {
                put(b, 0, 0, "x", s);
                put(b, 1, 0, "y", s.fg(Color::Rgb(1, 2, 3)));
                put(b, 2, 0, "z", s.fg(Color::Reset).bg(Color::DarkGray));
            },
            "^[1H^[94;48;5;7mx^[38;2;1;2;3my^[0;100mz",
        ),
        (
            "bold goes, the colour stays",
            bold(Color::Red),
            |_, _| {},
            |b, s| {
                put(b, 0, 0, "x", s);
                put(b, 1, 0, "y", Style::new().fg(Color::Red));
                put(b, 2, 0, "z", Style::new());
            },
            "^[1H^[1;31mx^[22my^[mz",
        ),
        (
            "bold goes, dim stays",
            Style::new().add_modifier(Modifier::BOLD | Modifier::DIM),
            |_, _| {},
            |b, s| {
                put(b, 0, 0, "x", s);
                put(b, 1, 0, "y", Style::new().add_modifier(Modifier::DIM));
            },
            "^[1H^[1;2mx^[0;2my",
        ),
        (
            "control characters stay in",
            red,
            |_, _| {},
            |b, _| {
                b[(0, 0)].set_symbol("\x1b[2J");
                b[(4, 0)].set_symbol("\u{9b}");
                b[(5, 0)].set_symbol("");
            },
            "^[1H?   ??",
        ),
        (
            "a picture and what it covers",
            red,
            |_, _| {},
            |b, s| {
                b[(0, 0)]
                    .set_symbol("\x1bPq~\x1b\\")
                    .set_diff_option(CellDiffOption::ForcedWidth(NonZeroU16::MIN));
                b[(1, 0)].set_symbol("!").set_diff_option(CellDiffOption::Skip);
                put(b, 2, 0, "x", s);
            },
            "^[1H^Pq~^\\^[m^[1;3H^[31mx",
        ),
    ];
    for (name, style, before, after, expected) in checks {
        let mut screen = screen(10, 3);
        frame(&mut screen, |buffer| before(buffer, *style));
        frame(&mut screen, |buffer| {
            before(buffer, *style);
            // Neither colour nor position may carry over from `before`.
            put(buffer, 9, 2, "!", Style::new());
        });
        frame(&mut screen, |buffer| before(buffer, *style));
        let written = frame(&mut screen, |buffer| after(buffer, *style));
        assert_eq!(written, *expected, "{name}");
        assert_eq!(frame(&mut screen, |buffer| after(buffer, *style)), "", "{name}, once more");
    }
}

#[test]
fn the_first_and_every_repainted_frame_clears() {
    let mut screen = screen(4, 2);
    assert_eq!(frame(&mut screen, |b| put(b, 0, 0, "ab", Style::new())), "^[m^[2J^[1Hab");
    screen.repaint();
    assert_eq!(frame(&mut screen, |b| put(b, 0, 0, "ab", Style::new())), "^[m^[2J^[1Hab");
    screen.repaint();
    assert_eq!(frame(&mut screen, |_| {}), "^[m^[2J", "an empty one too");
    screen.resize(Size::new(1, 1));
    assert_eq!(frame(&mut screen, |b| put(b, 0, 0, "a", Style::new())), "^[m^[2J^[1Ha");
    screen.resize(Size::new(0, 0));
    assert_eq!(frame(&mut screen, |b| assert!(b.area.is_empty())), "^[m^[2J");
    screen.resize(Size::MAX);
    assert_eq!(screen.area().as_size(), LARGEST);
}

#[test]
fn a_failed_write_is_made_good() {
    let mut screen = screen(4, 1);
    frame(&mut screen, |_| {});
    screen.writer.fails = true;
    screen.draw(|_, b| put(b, 0, 0, "a", Style::new())).expect_err("it fails");
    screen.writer.fails = false;
    assert_eq!(frame(&mut screen, |b| put(b, 0, 0, "a", Style::new())), "^[m^[2J^[1Ha");
    assert_eq!(frame(&mut screen, |b| put(b, 0, 0, "a", Style::new())), "");
}

#[test]
fn marks_can_be_left_out() {
    let mut screen = screen(4, 1);
    screen.set_synchronised(false);
    screen.draw(|_, b| put(b, 0, 0, "a", Style::new())).expect("it writes to memory");
    assert_eq!(screen.writer.writes.concat(), b"\x1b[m\x1b[2J\x1b[1Ha");
}

/// 200×50: a title, a header, 48 rows of eight coloured columns, one of them selected.
fn table(buffer: &mut Buffer, age: &str) {
    let columns: [(u16, Style); 8] = [
        (0, Style::new().fg(Color::Indexed(71))),
        (3, Style::new().add_modifier(Modifier::BOLD)),
        (40, Style::new().fg(Color::Indexed(80))),
        (70, Style::new()),
        (100, Style::new().fg(Color::Indexed(178))),
        (130, Style::new().fg(Color::Indexed(203)).add_modifier(Modifier::BOLD)),
        (160, Style::new().fg(Color::Indexed(245))),
        (190, Style::new()),
    ];
    let area = buffer.area;
    put(buffer, 0, 0, &"═".repeat(200), Style::new().fg(Color::Indexed(245)));
    for y in 1..area.height {
        for (at, (x, style)) in columns.iter().enumerate() {
            let width = columns.get(at + 1).map_or(area.width, |(next, _)| *next) - x - 1;
            let text: String = "production resnet-50 12,431 images "
                .chars()
                .cycle()
                .skip(usize::from(y))
                .take(width.into())
                .collect();
            put(buffer, *x, y, if at == 7 { age } else { &text }, *style);
        }
        if y == 7 {
            buffer.set_style(Rect::new(0, y, area.width, 1), Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}

#[test]
fn frames_stay_within_their_budgets() {
    let mut screen = screen(200, 50);
    let mut cost = |age: &str, change: fn(&mut Buffer)| {
        let drawn = screen.draw(|_, buffer| {
            table(buffer, age);
            change(buffer);
        });
        drawn.expect("it writes to memory").bytes
    };
    let full = cost("4m", |_| {});
    let unchanged = cost("4m", |_| {});
    let one = cost("4m", |buffer| put(buffer, 150, 30, "#", Style::new().fg(Color::Red)));
    cost("4m", |_| {});
    let ages = cost("5m", |_| {});
    // Exact, so that a change of the encoding is seen. The budgets are 16,000 for a full screen and 2,000
    // for a refresh; the marks around a frame are 16 of each.
    assert_eq!((full, unchanged, one, ages), (13_791, 0, 33, 508));
}

/// As `Buffer::set_string`, cut to the buffer.
fn put(buffer: &mut Buffer, x: u16, y: u16, text: &str, style: Style) {
    buffer.set_string(x, y, text, style);
}
