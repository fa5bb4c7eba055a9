//! Lines over steps or time: training curves, rates.
//!
//! A missing value is a gap, never a nought and never a line across. Each series is told apart by
//! colour, by the mark at its end and by its name beside that mark in the legend.

mod fold;
mod legend;
mod plot;
mod reading;
mod view;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub use reading::{Reading, extent, nearest_x, read};
pub use view::ChartView;

use super::canvas::Canvas;
use super::scale::{Measure, Scale};
use crate::tui::theme::{Glyphs, Role, Theme};
use fold::{Folded, fold};
use plot::Plot;

/// One line.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// Its points by ascending, finite x: they are searched, not looked through, and others come out
    /// wrong. No value, or one that is not finite, is a gap.
    pub points: &'a [(f64, Option<f64>)],
}

/// What lies along x.
#[derive(Clone, Copy, Debug)]
pub struct Axis<'a> {
    /// The word at its end: `step`, `epoch`, `UTC`.
    pub label: &'a str,
    /// How its figures are written.
    pub measure: Measure,
}

/// Several lines over one x axis.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// The lines; later ones lie above earlier ones.
    pub series: &'a [Series<'a>],
    /// What lies along x.
    pub x: Axis<'a>,
    /// How figures beside y are written.
    pub y: Measure,
    /// Which part is shown.
    pub view: &'a ChartView,
    /// How it looks.
    pub theme: &'a Theme,
}

/// Cells for the figures left of the plot and the axis: the same for every chart, so that charts
/// above each other line up.
const GUTTER: u16 = 9;
/// Cells for the marks at the ends of the lines.
const ENDS: u16 = 2;

impl Chart<'_> {
    /// Cells across that the lines get of a chart `width` cells wide.
    pub fn plot_width(width: u16) -> u16 {
        if width < 24 { width } else { width - GUTTER - ENDS }
    }

    /// Draws it.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer) {
        let mut canvas = Canvas::new(buffer, area);
        if canvas.is_empty() {
            return;
        }
        let Some(extent) = extent(self.series) else {
            return self.say_empty(&mut canvas, "no values yet");
        };
        let window = self.view.window(extent);
        let crosshair = self.view.crosshair.and_then(|at| nearest_x(self.series, at, window));
        let wide = Self::plot_width(canvas.width());
        let roomy = wide < canvas.width();
        let (across, down) = Plot::dots(self.theme);
        let folded: Vec<Folded> = self
            .series
            .iter()
            .map(|series| fold(series.points, window, usize::from(wide * across), self.view.log_y))
            .collect();
        let below: usize = folded.iter().map(|folded| folded.not_shown).sum();

        let legend = legend::draw(self, crosshair, window, &mut canvas);
        let rest = canvas.height() - legend;
        // The x axis takes a line and its figures another; the note one where there is something to say.
        let note = u16::from(below > 0 && rest > 5);
        let axis = if rest > 4 && roomy { 2 } else { 0 };
        let tall = rest - axis - note;
        if tall == 0 {
            return;
        }
        let Some(y) = y_scale(&folded, self.view.log_y) else {
            let mut middle = canvas.part(0, legend, u16::MAX, tall);
            self.say_empty(&mut middle, "no values in this window");
            return self.note(below, note, &mut canvas);
        };
        let left = if roomy { GUTTER } else { 0 };
        if roomy {
            self.draw_y(&y, &mut canvas.part(0, legend, GUTTER, tall));
        }
        let mut plot = Plot::new(wide, tall, down);
        for (n, folded) in folded.iter().enumerate() {
            plot.line(n, folded, &y);
        }
        let mut middle = canvas.part(left, legend, wide, tall);
        let x = Scale { low: window.0, high: window.1, log: false };
        if let Some(at) = crosshair {
            self.draw_crosshair(&x, at, &mut middle);
        }
        plot.draw(self.theme, &mut middle);
        if let Some(at) = crosshair {
            self.mark_crosshair(&x, &y, at, &mut middle);
        }
        if roomy {
            plot.draw_ends(self.theme, &folded, &y, &mut canvas.part(left + wide, legend, ENDS, tall));
        }
        if axis > 0 {
            let corner = self.theme.glyph("└", "+");
            canvas.set(left - 1, legend + tall, corner, self.theme.style(Role::Border));
            self.draw_x(&x, &mut canvas.part(left, legend + tall, u16::MAX, axis), wide);
        }
        self.note(below, note, &mut canvas);
    }

    fn draw_y(&self, y: &Scale, canvas: &mut Canvas<'_>) {
        let axis = GUTTER - 1;
        let dim = self.theme.style(Role::Dim);
        for row in 0..canvas.height() {
            canvas.set(axis, row, self.theme.glyph("│", "|"), self.theme.style(Role::Border));
        }
        let rows = usize::from(canvas.height());
        // One figure says nothing about the distance to the next: rather many than one.
        let ticks = [rows / 2, rows, 2 * rows].map(|at_most| y.ticks(self.y, at_most));
        let ticks = ticks.into_iter().find(|ticks| ticks.len() > 1);
        for (value, label) in ticks.unwrap_or_else(|| y.ticks(self.y, 1)) {
            let row = row_of(y, value, usize::from(canvas.height())) as u16;
            canvas.put_right(0, row, axis, &label, dim, self.theme);
            canvas.set(axis, row, self.theme.glyph("┤", "+"), self.theme.style(Role::Border));
        }
    }

    fn draw_x(&self, x: &Scale, canvas: &mut Canvas<'_>, wide: u16) {
        let border = self.theme.style(Role::Border);
        canvas.run(0, 0, wide, self.theme.glyph("─", "-"), border);
        let dim = self.theme.style(Role::Dim);
        // The axis' word stands at its end; figures leave it room.
        let word = self.x.label.chars().count().min(12) as u16;
        canvas.put_right(0, 1, canvas.width(), self.x.label, dim, self.theme);
        let mut free = 0;
        for (value, label) in x.ticks(self.x.measure, usize::from(wide / 12)) {
            let at = column_of(x, value, wide);
            canvas.set(at, 0, self.theme.glyph("┬", "+"), border);
            // Figures are ASCII, and at most some twenty characters.
            let cells = label.len() as u16;
            let start = at.saturating_sub(cells / 2).max(free);
            if start <= at && start + cells + word < canvas.width() {
                canvas.put(start, 1, &label, dim);
                free = start + cells + 1;
            }
        }
    }

    fn draw_crosshair(&self, x: &Scale, at: f64, canvas: &mut Canvas<'_>) {
        let column = column_of(x, at, canvas.width());
        for row in 0..canvas.height() {
            canvas.set(column, row, self.theme.glyph("│", "|"), self.theme.style(Role::Focus));
        }
    }

    /// Each series' mark where the crosshair reads it.
    fn mark_crosshair(&self, x: &Scale, y: &Scale, at: f64, canvas: &mut Canvas<'_>) {
        for (n, reading) in read(self.series, at).into_iter().enumerate() {
            let Some(Reading { x: x_read, y: Some(value) }) = reading else { continue };
            if x_read < x.low || x_read > x.high || (y.log && value <= 0.0) {
                continue;
            }
            let row = row_of(y, value, usize::from(canvas.height())) as u16;
            let column = column_of(x, x_read, canvas.width());
            canvas.set(column, row, plot::mark(self.theme, n), self.theme.series(n));
        }
    }

    fn note(&self, below: usize, rows: u16, canvas: &mut Canvas<'_>) {
        if rows == 0 {
            return;
        }
        let what = if below == 1 { "value" } else { "values" };
        let text = format!(
            "{} {below} {what} {} 0 not shown",
            self.theme.mark(Role::Warn),
            self.theme.glyph("≤", "<=")
        );
        let row = canvas.height() - 1;
        canvas.put_cut(0, row, u16::MAX, &text, self.theme.style(Role::Warn), self.theme);
    }

    fn say_empty(&self, canvas: &mut Canvas<'_>, text: &str) {
        // Our own words: ASCII, and short.
        let x = canvas.width().saturating_sub(text.len() as u16) / 2;
        let y = canvas.height() / 2;
        canvas.put_cut(x, y, u16::MAX, text, self.theme.style(Role::Dim), self.theme);
    }
}

/// From the lowest to the highest value that is shown.
fn y_scale(folded: &[Folded], log: bool) -> Option<Scale> {
    let columns = || folded.iter().flat_map(|folded| &folded.columns).filter(|column| column.is_filled());
    let low = columns().map(|column| column.low).reduce(f64::min)?;
    let high = columns().map(|column| column.high).reduce(f64::max)?;
    Some(Scale { low, high, log })
}

/// The row of a value among `rows`, from the top.
fn row_of(y: &Scale, value: f64, rows: usize) -> usize {
    let last = rows.saturating_sub(1);
    // The clamped share makes the cast safe.
    ((1.0 - y.share(value).clamp(0.0, 1.0)) * last as f64).round() as usize
}

fn column_of(x: &Scale, value: f64, columns: u16) -> u16 {
    let last = columns.saturating_sub(1);
    (x.share(value).clamp(0.0, 1.0) * f64::from(last)).round() as u16
}

impl Plot {
    /// Dots across and down in one cell.
    fn dots(theme: &Theme) -> (u16, u16) {
        match theme.glyphs {
            Glyphs::Utf8 => (2, 4),
            Glyphs::Ascii => (1, 1),
        }
    }
}

#[cfg(test)]
mod tests;
