//! Names with bars: images per class, confidences, rates with their intervals.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::gauge::fill;
use super::scale::Measure;
use crate::out::{safe, width};
use crate::tui::theme::{Role, Theme};

/// One name.
#[derive(Clone, Copy, Debug)]
pub struct Bar<'a> {
    /// Whose bar.
    pub name: &'a str,
    /// One value, or several that are stacked; below 0, or not finite, counts as 0.
    pub parts: &'a [f64],
    /// Where the true value may lie, from lowest to highest, for a single value.
    pub interval: Option<(f64, f64)>,
}

/// Bars below each other.
#[derive(Clone, Copy, Debug)]
pub struct Bars<'a> {
    /// In the order they are shown.
    pub bars: &'a [Bar<'a>],
    /// What the parts are called, if there are several.
    pub parts: &'a [&'a str],
    /// How figures are written.
    pub measure: Measure,
    /// What a full bar stands for; the greatest of all values if absent.
    pub full: Option<f64>,
    /// The one that keys act on.
    pub selected: Option<usize>,
    /// The first one that is shown. The selected one is shown in any case.
    pub top: usize,
}

impl Bars<'_> {
    /// Draws as many as there are lines, below the names of the parts if there are several.
    pub fn draw(&self, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let mut canvas = Canvas::new(buffer, area);
        if canvas.is_empty() {
            return;
        }
        let legend = u16::from(self.parts.len() > 1 && canvas.height() > 1);
        let rows = usize::from(canvas.height() - legend);
        let top = first_shown(self.bars.len(), rows, self.top, self.selected);
        let shown = &self.bars[top..self.bars.len().min(top + rows)];

        let figures: Vec<Vec<String>> = shown.iter().map(|bar| self.figures(bar, theme)).collect();
        let columns = Columns::fit(shown, &figures, self.parts, canvas.width());
        let full = self.full.filter(|full| full.is_finite()).unwrap_or_else(|| self.greatest());
        if legend > 0 {
            self.draw_parts(&columns, theme, &mut canvas);
        }
        for (row, (bar, figures)) in shown.iter().zip(&figures).enumerate() {
            // Below the height of the canvas.
            let y = legend + row as u16;
            let selected = self.selected == Some(top + row);
            let mark = if selected { theme.mark(Role::Selected) } else { " " };
            canvas.set(0, y, mark, theme.style(Role::Focus));
            canvas.put_cut(2, y, columns.name, bar.name, theme.style(Role::Text), theme);
            draw_bar(bar, full, theme, &mut canvas.part(columns.bar_at, y, columns.bar, 1));
            let mut x = columns.figures_at;
            for (figure, cells) in figures.iter().zip(&columns.figures) {
                canvas.put_right(x, y, *cells, figure, theme.style(Role::Text), theme);
                x += cells + 2;
            }
            if selected {
                canvas.restyle(2, y, columns.name, theme.style(Role::Selected));
            }
        }
    }

    /// The whole first, then its parts, or the interval.
    fn figures(&self, bar: &Bar<'_>, theme: &Theme) -> Vec<String> {
        let text = |value: f64| self.measure.text(value);
        let mut figures = vec![text(whole(bar))];
        if self.parts.len() > 1 {
            figures.extend((0..self.parts.len()).map(|part| text(part_of(bar, part))));
        } else if let Some((low, high)) = bar.interval {
            figures.push(format!("{}{}{}", text(low), theme.glyph("–", "-"), text(high)));
        }
        figures
    }

    fn greatest(&self) -> f64 {
        let high = |bar: &Bar<'_>| {
            let interval = bar.interval.map_or(0.0, |(_, high)| high);
            whole(bar).max(if interval.is_finite() { interval } else { 0.0 })
        };
        self.bars.iter().map(high).fold(0.0, f64::max)
    }

    /// The parts' names, with the character that each is drawn with, over their figures.
    fn draw_parts(&self, columns: &Columns, theme: &Theme, canvas: &mut Canvas<'_>) {
        let dim = theme.style(Role::Dim);
        if let Some((first, others)) = columns.figures.split_first() {
            let mut x = columns.figures_at + first + 2;
            for (name, cells) in self.parts.iter().zip(others) {
                canvas.put_right(x, 0, *cells, name, dim, theme);
                x += cells + 2;
            }
        }
        let mut legend = canvas.part(columns.bar_at, 0, columns.bar, 1);
        let mut x = 0;
        for (part, name) in self.parts.iter().enumerate() {
            if usize::from(legend.width().saturating_sub(x)) < 2 + width(name) {
                break;
            }
            legend.set(x, 0, texture(part, theme), theme.series(part));
            x = x.saturating_add(2);
            x = x.saturating_add(legend.put_cut(x, 0, u16::MAX, name, dim, theme)).saturating_add(2);
        }
    }
}

/// What lies where in a line.
struct Columns {
    name: u16,
    bar_at: u16,
    bar: u16,
    figures_at: u16,
    /// As many as there is room for.
    figures: Vec<u16>,
}

impl Columns {
    fn fit(bars: &[Bar<'_>], figures: &[Vec<String>], parts: &[&str], cells: u16) -> Self {
        /// Below that bars cannot be compared; figures and then the bars go.
        const LEAST_BAR: u16 = 6;
        let to_cells = |cells: usize| u16::try_from(cells).unwrap_or(u16::MAX);
        let longest = bars.iter().map(|bar| width(&safe(bar.name))).max().unwrap_or(0);
        let name = to_cells(longest).min(cells / 3);
        // The mark and a blank stand before the name, two cells behind it.
        let bar_at = (name + 4).min(cells);
        let room = cells - bar_at;
        let mut columns = Vec::new();
        let mut taken = 0u16;
        for column in 0..figures.iter().map(Vec::len).max().unwrap_or(0) {
            let longest = figures.iter().filter_map(|row| row.get(column)).map(|text| width(text)).max();
            // The names of the parts stand over the figures behind the first.
            let head = parts.get(column.wrapping_sub(1)).map_or(0, |name| width(name));
            let column = to_cells(longest.unwrap_or(0).max(head));
            let with = taken.saturating_add(column).saturating_add(2);
            // The first figure is worth more than the bar, the others are not.
            if with > room || (!columns.is_empty() && room - with < LEAST_BAR) {
                break;
            }
            taken = with;
            columns.push(column);
        }
        let bar = room - taken;
        let bar = if bar < LEAST_BAR { 0 } else { bar };
        let gap = if bar > 0 { 2 } else { 0 };
        Self { name, bar_at, bar, figures_at: bar_at + bar + gap, figures: columns }
    }
}

/// The first of `rows` lines that are shown of `all`, so that the selected one is among them and no
/// line stays empty that could be used.
fn first_shown(all: usize, rows: usize, top: usize, selected: Option<usize>) -> usize {
    let top = match selected.filter(|selected| *selected < all) {
        Some(selected) if selected < top => selected,
        Some(selected) => top.max((selected + 1).saturating_sub(rows)),
        None => top,
    };
    top.min(all.saturating_sub(rows))
}

fn part_of(bar: &Bar<'_>, part: usize) -> f64 {
    bar.parts.get(part).copied().filter(|value| value.is_finite()).map_or(0.0, |value| value.max(0.0))
}

fn whole(bar: &Bar<'_>) -> f64 {
    (0..bar.parts.len()).map(|part| part_of(bar, part)).sum::<f64>().min(f64::MAX)
}

/// What a part is drawn with, for eyes and terminals without colours.
fn texture(part: usize, theme: &Theme) -> &'static str {
    const TEXTURES: [(&str, &str); 4] = [("█", "#"), ("▒", "="), ("░", "-"), ("▓", "+")];
    let (utf8, ascii) = TEXTURES[part % TEXTURES.len()];
    theme.glyph(utf8, ascii)
}

fn draw_bar(bar: &Bar<'_>, full: f64, theme: &Theme, canvas: &mut Canvas<'_>) {
    if full <= 0.0 {
        return;
    }
    let cells = f64::from(canvas.width());
    let cell_of = |value: f64| ((value / full).clamp(0.0, 1.0) * cells).round() as u16;
    if bar.parts.len() > 1 {
        let (mut sum, mut from) = (0.0, 0);
        for part in 0..bar.parts.len() {
            sum += part_of(bar, part);
            let to = cell_of(sum);
            canvas.run(from, 0, to.saturating_sub(from), texture(part, theme), theme.series(part));
            from = to.max(from);
        }
        return;
    }
    let style = theme.style(Role::Accent);
    let value = part_of(bar, 0);
    for (x, symbol) in fill(value / full, canvas.width(), theme).into_iter().enumerate() {
        canvas.set(x as u16, 0, symbol, style);
    }
    if let Some((low, high)) = bar.interval.filter(|(low, high)| low <= high) {
        draw_interval((cell_of(low), cell_of(value), cell_of(high)), theme, canvas);
    }
}

/// The bar is pale from the interval's low end on, and a line leads on to its high end.
fn draw_interval((low, value, high): (u16, u16, u16), theme: &Theme, canvas: &mut Canvas<'_>) {
    let style = theme.style(Role::Accent);
    if low < value {
        canvas.run(low, 0, value - low, theme.glyph("▒", "="), style);
    }
    if high > value {
        // An eighth of the bar may lie in the first of these cells; it gives way.
        canvas.run(value, 0, high - value, theme.glyph("─", "-"), style);
        canvas.set(high - 1, 0, theme.glyph("┤", "|"), style);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::widgets::testing::{ASCII, UTF8, any_area, drawn, inside, stays_inside};

    fn bars<'a>(bars: &'a [Bar<'a>], parts: &'a [&'a str], measure: Measure) -> Bars<'a> {
        Bars { bars, parts, measure, full: None, selected: Some(1), top: 0 }
    }

    #[test]
    fn images_per_class_are_stacked_by_split() {
        let rows = [
            Bar { name: "tawny owl", parts: &[700.0, 150.0, 151.0], interval: None },
            Bar { name: "カラス", parts: &[84.0, 18.0, 18.0], interval: None },
            Bar { name: "a class\nwith a very long name", parts: &[7.0, 1.0, 2.0], interval: None },
            Bar { name: "none", parts: &[0.0, 0.0, f64::NAN], interval: None },
        ];
        let bars = bars(&rows, &["train", "valid", "test"], Measure::Count);
        let shown = |theme: &Theme, size| drawn(size, |area, buffer| bars.draw(theme, area, buffer));
        insta::assert_snapshot!(shown(&UTF8, (76, 5)), @r"
                                     █ train  ▒ valid             train  valid  test
          tawny owl                  ██████████████▒▒▒░░░  1,001    700    150   151
        ▶ カラス                     ██                      120     84     18    18
          a class\nwith a very lon…                           10      7      1     2
          none                                                 0      0      0     0
        ");
        insta::assert_snapshot!(shown(&ASCII, (40, 5)), @r"
                         # train           train
          tawny owl      ######==-  1,001    700
        > カラス         #            120     84
          a class\nwit~                10      7
          none                          0      0
        ");
    }

    #[test]
    fn rates_have_intervals() {
        let rows = [
            Bar { name: "owl", parts: &[0.75], interval: Some((0.646, 0.831)) },
            Bar { name: "crow", parts: &[0.5], interval: Some((0.0, 1.0)) },
            Bar { name: "kite", parts: &[0.0], interval: Some((0.0, 0.2)) },
            Bar { name: "jay", parts: &[0.01], interval: None },
        ];
        let bars = Bars { full: Some(1.0), ..bars(&rows, &[], Measure::Share) };
        let shown = |theme: &Theme, size| drawn(size, |area, buffer| bars.draw(theme, area, buffer));
        insta::assert_snapshot!(shown(&UTF8, (70, 4)), @r"
          owl   █████████████████████████▒▒▒▒──┤         75.0 %  64.6 %–83.1 %
        ▶ crow  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒──────────────────┤  50.0 %  0.0 %–100.0 %
          kite  ───────┤                                  0.0 %   0.0 %–20.0 %
          jay   ▍                                         1.0 %
        ");
        insta::assert_snapshot!(shown(&ASCII, (36, 4)), @r"
          owl   #############==-|     75.0 %
        > crow  ==========---------|  50.0 %
          kite  ---|                   0.0 %
          jay   .                      1.0 %
        ");
        insta::assert_snapshot!(shown(&ASCII, (14, 2)), @r"
          owl   ####=
        > crow  ===--|
        ");
    }

    #[test]
    fn the_selected_one_is_in_the_window() {
        for (all, rows, top, selected, first) in [
            (100, 10, 0, None, 0),
            (100, 10, 95, None, 90),
            (100, 10, 20, Some(25), 20),
            (100, 10, 20, Some(5), 5),
            (100, 10, 20, Some(40), 31),
            (100, 10, 20, Some(1_000), 20),
            (5, 10, 3, Some(4), 0),
            (0, 10, 3, Some(0), 0),
            (3, 0, 0, Some(2), 3),
        ] {
            assert_eq!(first_shown(all, rows, top, selected), first, "{all} {rows} {top} {selected:?}");
        }
    }

    #[test]
    fn bars_stay_inside() {
        let rows = [
            Bar { name: "owl", parts: &[0.75], interval: Some((0.646, 0.831)) },
            Bar { name: "crow", parts: &[0.5, 3.0], interval: None },
        ];
        for parts in [&[][..], &["train", "valid"]] {
            let bars = bars(&rows, parts, Measure::Share);
            stays_inside(|theme, area, buffer| bars.draw(theme, area, buffer));
        }
    }

    proptest! {
        #[test]
        fn any_values_are_drawn_inside(
            values in prop::collection::vec(
                ("[ -~]{0,30}", prop::collection::vec(any::<f64>(), 0..5), any::<Option<(f64, f64)>>()), 0..20),
            parts in 0usize..5,
            full in any::<Option<f64>>(),
            selected in any::<Option<usize>>(),
            top: usize,
            area in any_area(),
        ) {
            let rows: Vec<Bar<'_>> = values
                .iter()
                .map(|(name, parts, interval)| Bar { name, parts, interval: *interval })
                .collect();
            let parts = &["train", "valid", "test", "rest", "more"][..parts];
            let bars = Bars { bars: &rows, parts, measure: Measure::Number, full, selected, top };
            inside(&ASCII, area, |theme, area, buffer| bars.draw(theme, area, buffer));
        }
    }
}
