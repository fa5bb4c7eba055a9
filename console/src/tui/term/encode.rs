//! Changed cells → the fewest bytes that show them.

use std::io::Write as _;

use ratatui::buffer::{Buffer, Cell, CellDiffOption, CellWidth as _};
use ratatui::style::{Color, Modifier};

/// What can be seen on a cell without a character.
const ON_BLANK: Modifier = Modifier::REVERSED
    .union(Modifier::UNDERLINED)
    .union(Modifier::SLOW_BLINK)
    .union(Modifier::RAPID_BLINK)
    .union(Modifier::CROSSED_OUT);

/// Modifier, the code that sets it, the one that clears it. Bold and dim share theirs, and so do the
/// two speeds of blinking.
const MODIFIERS: [(Modifier, u8, u8); 9] = [
    (Modifier::BOLD, 1, 22),
    (Modifier::DIM, 2, 22),
    (Modifier::ITALIC, 3, 23),
    (Modifier::UNDERLINED, 4, 24),
    (Modifier::SLOW_BLINK, 5, 25),
    (Modifier::RAPID_BLINK, 6, 25),
    (Modifier::REVERSED, 7, 27),
    (Modifier::HIDDEN, 8, 28),
    (Modifier::CROSSED_OUT, 9, 29),
];

/// Longer gaps between changes are jumped over; shorter ones are written again.
const SHORT_GAP: u16 = 3;

/// How the terminal would show the next character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pen {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Pen {
    /// After a reset.
    pub const RESET: Self = Self { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };

    fn of(cell: &Cell) -> Self {
        Self { fg: cell.fg, bg: cell.bg, modifier: cell.modifier }
    }

    /// Whether a cell with this symbol looks the same written with `self` as with `other`.
    fn shows_like(self, other: Self, symbol: &str) -> bool {
        let blank = symbol == " "
            && self.bg == other.bg
            && self.modifier & ON_BLANK == other.modifier & ON_BLANK
            // Reversed, the foreground is the cell's colour.
            && (self.fg == other.fg || !self.modifier.intersects(ON_BLANK));
        blank || self == other
    }
}

/// Appends the difference between `shown` and `next`, which have the same area. `pen` is what the
/// terminal has and then has. Returns the number of cells that were written.
///
/// In place of [`Buffer::diff`], after which a wide character that is written over another's half leaves
/// what it tore.
pub fn encode(shown: &Buffer, next: &Buffer, pen: &mut Pen, out: &mut Vec<u8>) -> usize {
    let columns = usize::from(next.area.width);
    if columns == 0 {
        return 0;
    }
    let mut encoder = Encoder { next, out, pen, at: None };
    let mut cells = 0;
    let rows = shown.content.chunks_exact(columns).zip(next.content.chunks_exact(columns));
    for (y, (was, is)) in (0..).zip(rows) {
        if was == is && is.iter().all(|cell| cell.diff_option != CellDiffOption::AlwaysUpdate) {
            continue;
        }
        // Where the next cell is that no character covers, and up to where old ones were torn: what
        // becomes of their other half is up to the terminal.
        let (mut free, mut torn) = (0, 0);
        for (x, cell) in (0_u16..).zip(is) {
            if x < free {
                continue;
            }
            let changed = match cell.diff_option {
                CellDiffOption::None => x < torn || *cell != was[usize::from(x)],
                CellDiffOption::ForcedWidth(_) => *cell != was[usize::from(x)],
                CellDiffOption::AlwaysUpdate => true,
                CellDiffOption::Skip => false,
            };
            free = x.saturating_add(cell.cell_width().max(1));
            if changed {
                encoder.go(x, y);
                encoder.put(x, y, cell);
                cells += 1;
                let overwritten = (x..free).zip(&was[usize::from(x)..]);
                torn = overwritten.map(|(x, was)| x.saturating_add(was.cell_width())).fold(torn, u16::max);
            }
        }
    }
    cells
}

struct Encoder<'a> {
    next: &'a Buffer,
    out: &'a mut Vec<u8>,
    pen: &'a mut Pen,
    /// Where the cursor is, as far as every terminal agrees.
    at: Option<(u16, u16)>,
}

impl Encoder<'_> {
    fn go(&mut self, x: u16, y: u16) {
        match self.at {
            Some(at) if at == (x, y) => {}
            Some((from, row)) if row == y && from < x => {
                let gap = x - from;
                if gap <= SHORT_GAP && (from..x).all(|x| self.repeats(x, y)) {
                    for x in from..x {
                        self.push(self.next[(x, y)].symbol());
                    }
                } else if gap == 1 {
                    self.push("\x1b[C");
                } else {
                    self.push(&format!("\x1b[{gap}C"));
                }
            }
            _ if x == 0 => self.push(&format!("\x1b[{}H", y + 1)),
            _ => self.push(&format!("\x1b[{};{}H", y + 1, x + 1)),
        }
    }

    /// Whether an unchanged cell can be written again with the pen as it is.
    fn repeats(&self, x: u16, y: u16) -> bool {
        let cell = &self.next[(x, y)];
        matches!(cell.symbol().as_bytes(), [b' '..=b'~'])
            && cell.diff_option == CellDiffOption::None
            && self.pen.shows_like(Pen::of(cell), cell.symbol())
    }

    fn put(&mut self, x: u16, y: u16, cell: &Cell) {
        let symbol = cell.symbol();
        let wanted = Pen::of(cell);
        if !self.pen.shows_like(wanted, symbol) {
            change(*self.pen, wanted, self.out);
            *self.pen = wanted;
        }
        // A picture is a cell of declared width whose symbol is the picture's own sequence.
        if matches!(cell.diff_option, CellDiffOption::ForcedWidth(_)) {
            self.push(symbol);
            self.at = None;
            if symbol.contains('\x1b') {
                self.push("\x1b[m");
                *self.pen = Pen::RESET;
            }
            return;
        }
        // Whatever brought control characters here must not speak to the terminal.
        let hostile = symbol.is_empty() || symbol.contains(char::is_control);
        let symbol = if hostile { "?" } else { symbol };
        let (single, width) = (symbol.chars().count() == 1, symbol.cell_width());
        if !single && width > 1 {
            // Terminals that take an emoji sequence for narrow leave its second column as it was.
            self.push(&" ".repeat(width.into()));
            self.at = None;
            self.go(x, y);
        }
        self.push(symbol);
        // Terminals disagree on the width of everything but single narrow characters, and on where
        // the cursor is after the last column.
        let plain = single && width == 1;
        self.at = (plain && x + 1 < self.next.area.right()).then_some((x + 1, y));
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// Appends the shorter of: what changes, or a reset and everything.
fn change(from: Pen, to: Pen, out: &mut Vec<u8>) {
    let (changes, afresh) = (parameters(from, to, false), parameters(Pen::RESET, to, true));
    let shorter = if afresh.len() < changes.len() { afresh } else { changes };
    out.extend_from_slice(b"\x1b[");
    out.extend_from_slice(&shorter);
    out.push(b'm');
}

fn parameters(from: Pen, to: Pen, reset: bool) -> Vec<u8> {
    let mut codes = Vec::with_capacity(24);
    // A lone reset needs no number.
    if reset && to != Pen::RESET {
        codes.push(b'0');
    }
    let mut code = |text: std::fmt::Arguments<'_>| {
        if !codes.is_empty() {
            codes.push(b';');
        }
        // Writing to memory cannot fail.
        let _ = codes.write_fmt(text);
    };
    let mut held = from.modifier;
    for (modifier, _, off) in MODIFIERS {
        if held.contains(modifier) && !to.modifier.contains(modifier) {
            code(format_args!("{off}"));
            for (other, _, its_off) in MODIFIERS {
                held.set(other, held.contains(other) && its_off != off);
            }
        }
    }
    for (modifier, on, _) in MODIFIERS {
        if to.modifier.contains(modifier) && !held.contains(modifier) {
            code(format_args!("{on}"));
        }
    }
    for (was, is, base) in [(from.fg, to.fg, 30), (from.bg, to.bg, 40)] {
        if was != is {
            colour(is, base, &mut code);
        }
    }
    codes
}

/// `base` is 30 for the foreground, 40 for the background.
fn colour(colour: Color, base: u8, code: &mut impl FnMut(std::fmt::Arguments<'_>)) {
    let named = match colour {
        Color::Reset => 9,
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 60,
        Color::LightRed => 61,
        Color::LightGreen => 62,
        Color::LightYellow => 63,
        Color::LightBlue => 64,
        Color::LightMagenta => 65,
        Color::LightCyan => 66,
        Color::White => 67,
        Color::Indexed(index) => return code(format_args!("{};5;{index}", base + 8)),
        Color::Rgb(r, g, b) => return code(format_args!("{};2;{r};{g};{b}", base + 8)),
    };
    code(format_args!("{}", base + named));
}
