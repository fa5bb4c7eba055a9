//! Which line is which, and what it says.

use super::plot::mark;
use super::{Chart, Reading, read};
use crate::out::{safe, width};
use crate::tui::theme::Role;
use crate::tui::widgets::canvas::{Canvas, cut};

/// Draws the legend at the top and returns the lines it took. With a crosshair at `crosshair`, each
/// series' value there; without, its last one in `window`.
pub(super) fn draw(
    chart: &Chart<'_>,
    crosshair: Option<f64>,
    window: (f64, f64),
    canvas: &mut Canvas<'_>,
) -> u16 {
    /// Between two entries.
    const APART: u16 = 3;
    if canvas.height() < 3 && crosshair.is_none() && canvas.height() > 1 {
        return 0;
    }
    let theme = chart.theme;
    // A legend that leaves no room for the lines would explain nothing.
    let rows = (canvas.height() / 4).max(1);
    let mut pen = Pen { x: 0, y: 0 };
    if let Some(at) = crosshair {
        let text = format!("{} {}", chart.x.label, chart.x.measure.text(at));
        let used = canvas.put_cut(0, 0, u16::MAX, &text, theme.style(Role::Focus), theme);
        pen.x = used + APART;
    }
    for (n, (series, value)) in chart.series.iter().zip(values(chart, crosshair, window)).enumerate() {
        let name = cut(&safe(series.name), 24, theme);
        // Both are short by now.
        let cells = (width(&name) + width(&value)) as u16 + 3;
        if pen.x > 0 && pen.x + cells > canvas.width() {
            if pen.y + 1 == rows {
                let more = format!("+{}", chart.series.len() - n);
                canvas.put(pen.x.min(canvas.width().saturating_sub(3)), pen.y, &more, theme.style(Role::Dim));
                break;
            }
            pen = Pen { x: 0, y: pen.y + 1 };
        }
        canvas.set(pen.x, pen.y, mark(theme, n), theme.series(n));
        let name_at = pen.x + 2;
        let used = canvas.put_cut(name_at, pen.y, u16::MAX, &name, theme.style(Role::Dim), theme);
        canvas.put_cut(name_at + used + 1, pen.y, u16::MAX, &value, theme.style(Role::Text), theme);
        pen.x = pen.x.saturating_add(cells + APART);
    }
    pen.y + 1
}

struct Pen {
    x: u16,
    y: u16,
}

/// The figure of each series.
fn values(chart: &Chart<'_>, crosshair: Option<f64>, (low, high): (f64, f64)) -> Vec<String> {
    let gap = chart.theme.glyph("–", "-");
    let text = |value: Option<f64>| value.map_or_else(|| gap.to_owned(), |value| chart.y.text(value));
    let Some(at) = crosshair else {
        let last = |points: &[(f64, Option<f64>)]| {
            let inside = points.iter().rev().filter(|(x, _)| *x >= low && *x <= high);
            inside.filter_map(|(_, y)| *y).find(|y| y.is_finite())
        };
        return chart.series.iter().map(|series| text(last(series.points))).collect();
    };
    let reading = |reading: Option<Reading>| match reading {
        None => gap.to_owned(),
        Some(Reading { x, y }) if x == at => text(y),
        // Measured less often than others: say where.
        Some(Reading { x, y }) => format!("{} @{}", text(y), chart.x.measure.text(x)),
    };
    read(chart.series, at).into_iter().map(reading).collect()
}
