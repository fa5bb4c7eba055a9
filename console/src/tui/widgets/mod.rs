//! Pieces of screens: each draws itself into a buffer from what it is given, and keeps nothing.

pub mod bars;
pub mod canvas;
pub mod chart;
pub mod columns;
pub mod gauge;
pub mod heatmap;
pub mod overlay;
pub mod scale;
pub mod sheet;
pub mod spark;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;

use ratatui::buffer::Buffer;
use ratatui::style::Style;

use crate::out::{cut, width};

/// Writes a line of at most `cells` cells; what is cut is shown to be. Returns the cells used.
pub fn put(buffer: &mut Buffer, x: u16, y: u16, cells: u16, text: &str, style: Style) -> u16 {
    let area = buffer.area;
    if y < area.y || y >= area.bottom() || x >= area.right() || x < area.x {
        return 0;
    }
    let cells = cells.min(area.right() - x);
    let text = cut(text, usize::from(cells));
    let (end, _) = buffer.set_stringn(x, y, &text, usize::from(cells), style);
    end - x
}

/// Writes a line that ends where `cells` cells end.
pub fn put_right(buffer: &mut Buffer, x: u16, y: u16, cells: u16, text: &str, style: Style) {
    let used = u16::try_from(width(text)).unwrap_or(u16::MAX).min(cells);
    put(buffer, x + (cells - used), y, used, text, style);
}

/// A buffer as text: its lines without the blanks at their ends.
pub fn text_of(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in buffer.area.y..buffer.area.bottom() {
        let mut line = String::new();
        let mut skip = 0;
        for x in buffer.area.x..buffer.area.right() {
            let symbol = buffer[(x, y)].symbol();
            // The second cell of a wide character holds nothing of its own.
            if skip > 0 {
                skip -= 1;
                continue;
            }
            skip = width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
