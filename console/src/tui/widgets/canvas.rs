//! A part of a buffer to draw on: nothing that is drawn leaves it, whatever was asked.

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::out::{cut_with, safe, width};
use crate::tui::theme::Theme;

/// A rectangle of a buffer with its own origin at the top left, in cells.
#[derive(Debug)]
pub struct Canvas<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
}

impl<'a> Canvas<'a> {
    /// As much of `area` as the buffer has, up to 4,096 cells a side: beyond any screen, and small
    /// enough that those who draw need not fear for their sums in `u16`.
    pub fn new(buffer: &'a mut Buffer, area: Rect) -> Self {
        const MOST: u16 = 4_096;
        let area = area.intersection(buffer.area);
        Self { buffer, area: Rect { width: area.width.min(MOST), height: area.height.min(MOST), ..area } }
    }

    /// A part of it, as much as lies inside.
    pub fn part(&mut self, x: u16, y: u16, width: u16, height: u16) -> Canvas<'_> {
        let asked =
            Rect { x: self.area.x.saturating_add(x), y: self.area.y.saturating_add(y), width, height };
        let area = asked.intersection(self.area);
        Canvas { buffer: self.buffer, area }
    }

    /// Cells across.
    pub fn width(&self) -> u16 {
        self.area.width
    }

    /// Cells down.
    pub fn height(&self) -> u16 {
        self.area.height
    }

    /// Whether there is nothing to draw on.
    pub fn is_empty(&self) -> bool {
        self.area.is_empty()
    }

    /// Writes `text` from (`x`, `y`) to the right edge; returns the cells it took. What could move the
    /// cursor is spelled out.
    pub fn put(&mut self, x: u16, y: u16, text: &str, style: Style) -> u16 {
        if x >= self.area.width || y >= self.area.height {
            return 0;
        }
        let room = usize::from(self.area.width - x);
        let start = self.area.x + x;
        let (end, _) = self.buffer.set_stringn(start, self.area.y + y, safe(text), room, style);
        end - start
    }

    /// As [`Canvas::put`], in at most `cells` cells; what was cut is shown.
    pub fn put_cut(&mut self, x: u16, y: u16, cells: u16, text: &str, style: Style, theme: &Theme) -> u16 {
        let room = cells.min(self.area.width.saturating_sub(x));
        self.put(x, y, &cut(&safe(text), usize::from(room), theme), style)
    }

    /// As [`Canvas::put_cut`], against the right end of the `cells` cells from `x` on.
    pub fn put_right(&mut self, x: u16, y: u16, cells: u16, text: &str, style: Style, theme: &Theme) {
        let room = cells.min(self.area.width.saturating_sub(x));
        let text = cut(&safe(text), usize::from(room), theme);
        // At most `room`, which is a u16.
        let blank = usize::from(room).saturating_sub(width(&text)) as u16;
        self.put(x.saturating_add(blank), y, &text, style);
    }

    /// One cell, if it is inside.
    pub fn cell(&mut self, x: u16, y: u16) -> Option<&mut Cell> {
        if x >= self.area.width || y >= self.area.height {
            return None;
        }
        self.buffer.cell_mut((self.area.x + x, self.area.y + y))
    }

    /// One of our own characters, one cell wide, in one cell.
    pub fn set(&mut self, x: u16, y: u16, symbol: &str, style: Style) {
        if let Some(cell) = self.cell(x, y) {
            cell.set_symbol(symbol).set_style(style);
        }
    }

    /// The same character in `cells` cells from (`x`, `y`) to the right.
    pub fn run(&mut self, x: u16, y: u16, cells: u16, symbol: &str, style: Style) {
        for at in x..x.saturating_add(cells).min(self.area.width) {
            self.set(at, y, symbol, style);
        }
    }

    /// Lays a style over what is there.
    pub fn restyle(&mut self, x: u16, y: u16, cells: u16, style: Style) {
        for at in x..x.saturating_add(cells).min(self.area.width) {
            if let Some(cell) = self.cell(at, y) {
                cell.set_style(style);
            }
        }
    }
}

/// As [`cut_with`], in the characters of the theme.
pub fn cut(text: &str, cells: usize, theme: &Theme) -> String {
    cut_with(text, cells, theme.glyph("…", "~"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::widgets::testing::{ASCII, UTF8, lines};

    #[test]
    fn nothing_leaves_the_canvas() {
        let mut buffer = Buffer::filled(Rect::new(0, 0, 8, 3), Cell::new("."));
        let mut canvas = Canvas::new(&mut buffer, Rect::new(2, 1, 4, 1));
        assert_eq!(canvas.put(0, 0, "猫猫猫", Style::new()), 4);
        assert_eq!((canvas.put(4, 0, "x", Style::new()), canvas.put(0, 1, "x", Style::new())), (0, 0));
        canvas.run(3, 0, 90, "#", Style::new());
        canvas.part(1, 0, 90, 90).put(0, 0, "ab\u{1b}[31m", Style::new());
        assert_eq!(lines(&buffer), "........\n..猫b\\..\n........");
    }

    #[test]
    fn texts_are_cut_where_they_end() {
        for (text, cells, utf8, ascii) in [
            ("abc", 3, "abc", "abc"),
            ("abcd", 3, "ab…", "ab~"),
            ("猫猫", 3, "猫…", "猫~"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…", "e\u{301}~"),
            ("ab", 0, "", ""),
            ("ab", 1, "…", "~"),
        ] {
            assert_eq!((&*cut(text, cells, &UTF8), &*cut(text, cells, &ASCII)), (utf8, ascii));
        }
    }
}
