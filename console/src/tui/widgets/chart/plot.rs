//! Lines as dots, and dots as characters.

use super::fold::Folded;
use super::row_of;
use crate::tui::theme::{Glyphs, Theme};
use crate::tui::widgets::canvas::Canvas;
use crate::tui::widgets::scale::Scale;

/// What a cell shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Ink {
    /// Nothing.
    #[default]
    Blank,
    /// Dots of a line, as braille counts them.
    Dots { series: usize, dots: u8 },
    /// A point without neighbours, which as a dot would go unseen.
    Point { series: usize },
}

/// Unicode's numbering of the eight dots in a cell, by row and column.
const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// A grid of cells with dots in them.
#[derive(Debug)]
pub(super) struct Plot {
    wide: usize,
    tall: usize,
    across: usize,
    down: usize,
    cells: Vec<Ink>,
}

/// The mark of the n-th series.
pub(super) fn mark(theme: &Theme, n: usize) -> &'static str {
    const MARKS: [(&str, &str); 6] = [("●", "*"), ("▲", "+"), ("■", "o"), ("◆", "x"), ("○", "#"), ("△", "%")];
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    match MARKS.get(n) {
        Some((utf8, ascii)) => theme.glyph(utf8, ascii),
        None => {
            let at = (n - MARKS.len()) % letters.len();
            &letters[at..=at]
        }
    }
}

impl Plot {
    /// `wide` × `tall` cells; `down` dots in one of them from top to bottom, 4 or 1.
    pub(super) fn new(wide: u16, tall: u16, down: u16) -> Self {
        let (wide, tall, down) = (usize::from(wide), usize::from(tall), usize::from(down));
        Self { wide, tall, across: down.div_ceil(2), down, cells: vec![Ink::Blank; wide * tall] }
    }

    /// Draws one series.
    pub(super) fn line(&mut self, series: usize, folded: &Folded, y: &Scale) {
        let rows = self.tall * self.down;
        let row = |value| row_of(y, value, rows);
        let filled: Vec<usize> =
            (0..folded.columns.len()).filter(|&at| folded.columns[at].is_filled()).collect();
        for (i, &at) in filled.iter().enumerate() {
            let column = &folded.columns[at];
            let next = filled.get(i + 1).map(|&next| &folded.columns[next]);
            let alone = !column.joined && next.is_none_or(|next| !next.joined);
            if alone && column.low == column.high {
                self.point(at, row(column.low), series);
                continue;
            }
            let (top, bottom) = (row(column.high), row(column.low));
            self.upright(at, top, bottom, series);
            if !column.joined || i == 0 {
                continue;
            }
            let before = &folded.columns[filled[i - 1]];
            // Neighbours that overlap in height are joined already; in dense series nearly all are.
            let touching = filled[i - 1] + 1 == at && row(before.high) <= bottom && row(before.low) >= top;
            if !touching {
                self.stroke((filled[i - 1], row(before.last)), (at, row(column.first)), series);
            }
        }
    }

    /// Dots in one column from `top` to `bottom`.
    fn upright(&mut self, x: usize, top: usize, bottom: usize, series: usize) {
        for row in top / self.down..=bottom / self.down {
            let first = row * self.down;
            let from = top.max(first) - first;
            let to = bottom.min(first + self.down - 1) - first;
            let bits = (from..=to).fold(0, |bits, y| bits | BITS[y][x % self.across]);
            self.add(x, first, bits, series);
        }
    }

    /// A straight line of dots (Bresenham 1965).
    fn stroke(&mut self, from: (usize, usize), to: (usize, usize), series: usize) {
        // Screens have at most 65,535 cells a side, and four dots in each.
        let [mut x, mut y, to_x, to_y] = [from.0, from.1, to.0, to.1].map(|dot| dot as i64);
        let (wide, tall) = ((to_x - x).abs(), -(to_y - y).abs());
        let (step_x, step_y) = ((to_x - x).signum(), (to_y - y).signum());
        let mut error = wide + tall;
        loop {
            self.dot(x as usize, y as usize, series);
            if (x, y) == (to_x, to_y) {
                return;
            }
            let twice = 2 * error;
            if twice >= tall {
                error += tall;
                x += step_x;
            }
            if twice <= wide {
                error += wide;
                y += step_y;
            }
        }
    }

    fn dot(&mut self, x: usize, y: usize, series: usize) {
        self.add(x, y, BITS[y % self.down][x % self.across], series);
    }

    /// Adds dots to the cell that holds the dot at (`x`, `y`).
    fn add(&mut self, x: usize, y: usize, bits: u8, series: usize) {
        let Some(cell) = self.cell_at(x, y) else { return };
        let dots = match *cell {
            Ink::Dots { dots, .. } => dots | bits,
            Ink::Blank | Ink::Point { .. } => bits,
        };
        *cell = Ink::Dots { series, dots };
    }

    fn point(&mut self, x: usize, y: usize, series: usize) {
        if let Some(cell) = self.cell_at(x, y) {
            *cell = Ink::Point { series };
        }
    }

    fn cell_at(&mut self, x: usize, y: usize) -> Option<&mut Ink> {
        let (column, row) = (x / self.across, y / self.down);
        if column >= self.wide {
            return None;
        }
        self.cells.get_mut(row * self.wide + column)
    }

    /// Puts the dots onto the screen.
    pub(super) fn draw(&self, theme: &Theme, canvas: &mut Canvas<'_>) {
        /// Without colours a line carries its mark once in so many cells.
        const EVERY: usize = 12;
        let plain = theme.series(0).fg.is_none();
        for (at, ink) in self.cells.iter().enumerate() {
            let (column, row) = (at % self.wide, at / self.wide);
            // Both came from u16.
            let (x, y) = (column as u16, row as u16);
            match *ink {
                Ink::Blank => {}
                Ink::Point { series } => canvas.set(x, y, mark(theme, series), theme.series(series)),
                Ink::Dots { series, dots } => {
                    let marked = plain && (column + EVERY - 4 * (series % 3)) % EVERY == EVERY / 2;
                    if marked || theme.glyphs == Glyphs::Ascii {
                        canvas.set(x, y, mark(theme, series), theme.series(series));
                    } else if let Some(cell) = canvas.cell(x, y) {
                        let braille = char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ');
                        cell.set_char(braille).set_style(theme.series(series));
                    }
                }
            }
        }
    }

    /// The series' marks beside the last value of each; those that end at one height stand below
    /// each other.
    pub(super) fn draw_ends(&self, theme: &Theme, folded: &[Folded], y: &Scale, canvas: &mut Canvas<'_>) {
        let mut taken = vec![false; self.tall];
        for (n, folded) in folded.iter().enumerate() {
            let Some(column) = folded.columns.iter().rev().find(|column| column.is_filled()) else {
                continue;
            };
            let wanted = row_of(y, column.last, self.tall);
            let nearest = (0..self.tall)
                .filter(|&row| !taken[row])
                .min_by_key(|&row| (row.abs_diff(wanted), row < wanted));
            let Some(row) = nearest else { return };
            taken[row] = true;
            canvas.set(1, row as u16, mark(theme, n), theme.series(n));
        }
    }
}
