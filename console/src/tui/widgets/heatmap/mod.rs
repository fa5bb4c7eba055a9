//! A confusion matrix: what was taken for what.
//!
//! Rows are the true classes, columns what they were taken for. Shades are shares of a row, so that
//! rare classes show as well as frequent ones. The diagonal, where nothing was confused, differs by
//! shape: beside counts it has a stroke, among shades it has figures.

mod grid;
mod view;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub use view::HeatView;

use super::canvas::{Canvas, cut};
use crate::out::{count, percent, safe, width};
use crate::tui::theme::{Role, Theme};
use grid::Grid;

/// A matrix of counts with the names of its classes.
#[derive(Clone, Copy, Debug)]
pub struct Heatmap<'a> {
    /// `matrix[truth][taken for]`; what a short row lacks is 0.
    pub matrix: &'a [Vec<u64>],
    /// The classes' names; one that is missing is shown by its number.
    pub names: &'a [&'a str],
    /// Where the cursor is, and how much a cell stands for.
    pub view: &'a HeatView,
}

/// How the cells of one drawing look.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cells {
    /// Counts, right-aligned in so many cells.
    Counts(u16),
    /// Two cells of shade.
    Shades,
}

impl Cells {
    fn width(self) -> u16 {
        match self {
            Self::Counts(cells) => cells,
            Self::Shades => 2,
        }
    }
}

impl Heatmap<'_> {
    /// Draws the part around the cursor, with heads above, names at the left and a line below that
    /// reads the cell under the cursor.
    pub fn draw(&self, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let mut canvas = Canvas::new(buffer, area);
        if canvas.is_empty() {
            return;
        }
        if self.matrix.is_empty() {
            canvas.put_cut(0, 0, u16::MAX, "no classes", theme.style(Role::Dim), theme);
            return;
        }
        let grid = Grid::new(self.matrix, self.view);
        let last = canvas.height() - 1;
        let reading = self.reading(&grid, theme, canvas.width());
        canvas.put_cut(0, last, u16::MAX, &reading, theme.style(Role::Title), theme);
        let heads = last.min(2);
        let rows = last - heads;
        if rows == 0 {
            return;
        }
        let names = self.names_width(&grid, canvas.width());
        let left = names + 3;
        let room = canvas.width().saturating_sub(left);
        let cells = self.cells(&grid, room);
        let shown_rows = grid.window(grid.cursor.0, usize::from(rows));
        let shown_columns = grid.window(grid.cursor.1, usize::from(room / cells.width()));

        self.draw_heads(&grid, shown_columns.clone(), cells, theme, &mut canvas.part(left, 0, room, heads));
        if heads > 1 {
            self.draw_scope(&grid, theme, &mut canvas);
        }
        for (y, row) in (heads..last).zip(shown_rows) {
            let on = row == grid.cursor.0;
            let mark = if on { theme.mark(Role::Selected) } else { " " };
            canvas.set(0, y, mark, theme.style(Role::Focus));
            let style = theme.style(if on { Role::Title } else { Role::Dim });
            canvas.put_cut(2, y, names, &self.name(grid.classes(row), theme), style, theme);
            let whole = grid.row_sum(row);
            for (n, column) in shown_columns.clone().enumerate() {
                let x = left + n as u16 * cells.width();
                let mut cell = canvas.part(x, y, cells.width(), 1);
                draw_cell(cells, row == column, grid.sum(row, column), whole, theme, &mut cell);
                if on && column == grid.cursor.1 {
                    cell.restyle(0, 0, cells.width(), theme.style(Role::Selected));
                }
            }
        }
    }

    /// The cell under the cursor in words; where room is short, names are cut and never figures.
    fn reading(&self, grid: &Grid<'_>, theme: &Theme, cells: u16) -> String {
        let (row, column) = grid.cursor;
        let truth = self.name(grid.classes(row), theme);
        let whole = grid.row_sum(row);
        if whole == 0 {
            return format!("{truth}: no images");
        }
        let hits = grid.sum(row, column);
        let of = format!("{} of {} ({})", count(hits), count(whole), percent(hits as f64 / whole as f64));
        let room = usize::from(cells).saturating_sub(of.len() + ": ".len());
        let cut = |name: &str, cells: usize| cut(name, cells, theme);
        if row == column {
            let what = if grid.block == 1 { " recognised" } else { " among themselves" };
            return format!("{}{what}: {of}", cut(&truth, room.saturating_sub(what.len())));
        }
        let (what, other) = (" taken for ", self.name(grid.classes(column), theme));
        let room = room.saturating_sub(what.len());
        // What the shorter name leaves, the longer one may have.
        let first = room.saturating_sub(width(&other)).max(room / 2);
        let truth = cut(&truth, first);
        let other = cut(&other, room.saturating_sub(width(&truth)));
        format!("{truth}{what}{other}: {of}")
    }

    /// A class, or the first and the last of several.
    fn name(&self, classes: std::ops::Range<usize>, theme: &Theme) -> String {
        let name = |class: usize| match self.names.get(class) {
            Some(name) => safe(name),
            None => format!("class {class}"),
        };
        if classes.len() < 2 {
            return name(classes.start);
        }
        format!("{} {} {}", name(classes.start), theme.glyph("…", ".."), name(classes.end - 1))
    }

    fn names_width(&self, grid: &Grid<'_>, cells: u16) -> u16 {
        let longest = self.names.iter().take(grid.len()).map(|name| width(&safe(name))).max().unwrap_or(9);
        let longest = if grid.block > 1 { longest * 2 + 3 } else { longest };
        u16::try_from(longest).unwrap_or(u16::MAX).min(cells / 4)
    }

    fn cells(&self, grid: &Grid<'_>, room: u16) -> Cells {
        // At most 20 digits, and the stroke of the diagonal.
        let least = (grid.greatest().to_string().len() as u16 + 1).max(4);
        // Counts of a single column would say less than shades.
        if self.view.zoom > 0 || room < 2 * least {
            return Cells::Shades;
        }
        // Few classes spread out, so that their names fit above them.
        let spread = usize::from(room) / grid.len();
        Cells::Counts(u16::try_from(spread).unwrap_or(u16::MAX).clamp(least, least.max(9)))
    }

    fn draw_heads(
        &self,
        grid: &Grid<'_>,
        columns: std::ops::Range<usize>,
        cells: Cells,
        theme: &Theme,
        canvas: &mut Canvas<'_>,
    ) {
        if canvas.height() < 2 {
            return;
        }
        for (n, column) in columns.enumerate() {
            let x = n as u16 * cells.width();
            let on = column == grid.cursor.1;
            let style = theme.style(if on { Role::Title } else { Role::Dim });
            match cells {
                // Three letters of a name could be anyone's.
                Cells::Counts(..5) if on => {
                    canvas.set(x + cells.width() - 1, 1, theme.glyph("▼", "v"), theme.style(Role::Focus));
                }
                Cells::Counts(..5) => {}
                Cells::Counts(cells) => {
                    let name = cut(&self.name(grid.classes(column), theme), usize::from(cells - 1), theme);
                    canvas.put_right(x + 1, 1, cells - 1, &name, style, theme);
                }
                Cells::Shades if on => canvas.run(x, 1, 2, theme.glyph("▼", "v"), theme.style(Role::Focus)),
                Cells::Shades => {}
            }
        }
    }

    /// The first line: the column under the cursor, how many classes there are, and how they are shown.
    fn draw_scope(&self, grid: &Grid<'_>, theme: &Theme, canvas: &mut Canvas<'_>) {
        let dim = theme.style(Role::Dim);
        let scope = match grid.block {
            1 => format!("{} classes", count(grid.len() as u64)),
            block => format!("{} classes, {block} a cell", count(grid.len() as u64)),
        };
        let scope_cells = scope.len() as u16;
        let used = canvas.put(0, 0, "taken for ", dim);
        let name = self.name(grid.classes(grid.cursor.1), theme);
        let used = used + canvas.put_cut(used, 0, u16::MAX, &name, theme.style(Role::Title), theme);
        if canvas.width() > used + scope_cells + 1 {
            canvas.put_right(0, 0, canvas.width(), &scope, dim, theme);
        }
    }
}

fn draw_cell(cells: Cells, diagonal: bool, hits: u64, whole: u64, theme: &Theme, canvas: &mut Canvas<'_>) {
    let share = if whole > 0 { hits as f64 / whole as f64 } else { 0.0 };
    let style = if hits > 0 { theme.heat(share) } else { theme.style(Role::Dim) };
    // The diagonal is bold as well, where shapes alone are easily overlooked.
    let style = if diagonal && hits > 0 { style.patch(theme.style(Role::Title)) } else { style };
    match cells {
        Cells::Counts(cells) => {
            canvas.run(0, 0, cells, " ", style);
            let text = if hits > 0 { hits.to_string() } else { theme.glyph("·", ".").to_owned() };
            canvas.put_right(1, 0, cells - 1, &text, style, theme);
            if diagonal {
                // Right before the figure; there is a cell for it by the cells' width.
                let before = cells.saturating_sub(width(&text) as u16 + 1);
                canvas.set(before, 0, theme.glyph("╲", "\\"), style);
            }
        }
        Cells::Shades if diagonal && whole > 0 => {
            // Rounded down: only all of them are all.
            let text = if hits >= whole {
                theme.glyph("●●", "**").to_owned()
            } else {
                format!("{:02}", ((share * 100.0) as u32).min(99))
            };
            canvas.put(0, 0, &text, style);
        }
        Cells::Shades => {
            let glyph = theme.level_glyph(share).to_string();
            canvas.run(0, 0, 2, &glyph, style);
        }
    }
}

#[cfg(test)]
mod tests;
