//! Few values beside each other, as upright bars: how a dataset grew over its versions.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::scale::Measure;
use crate::out::width;
use crate::tui::theme::{Role, Theme};

/// Upright bars, the newest at the right.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// What stands below each, and its value; a missing one, or one that is not finite, leaves a gap.
    pub columns: &'a [(&'a str, Option<f64>)],
    /// How figures are written.
    pub measure: Measure,
}

impl Columns<'_> {
    /// Draws as many of the newest as there is room for. All bars start at nought.
    pub fn draw(&self, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let mut canvas = Canvas::new(buffer, area);
        if canvas.is_empty() {
            return;
        }
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite()).map(|value| value.max(0.0));
        let figures: Vec<String> = self
            .columns
            .iter()
            .map(|(_, value)| finite(*value).map_or(String::new(), |value| self.measure.text(value)))
            .collect();
        let widest = figures.iter().map(|text| width(text)).max().unwrap_or(0);
        let labels = self.columns.iter().map(|(label, _)| width(label)).max().unwrap_or(0);
        // Labels and figures of a hundred cells would leave one column; names are cut instead.
        let cells = (widest.max(labels).clamp(1, 16) + 1) as u16;
        let fitting = usize::from(canvas.width() / cells);
        let from = self.columns.len().saturating_sub(fitting);
        let greatest =
            self.columns[from..].iter().filter_map(|(_, value)| finite(*value)).fold(0.0, f64::max);

        // From the bottom: labels, bars, and the figure above each bar.
        let rows = canvas.height().saturating_sub(2);
        for (n, ((label, value), figure)) in self.columns[from..].iter().zip(&figures[from..]).enumerate() {
            let x = n as u16 * cells;
            let bottom = canvas.height() - 1;
            canvas.put_right(x, bottom, cells - 1, label, theme.style(Role::Dim), theme);
            let Some(value) = finite(*value) else {
                canvas.put_right(
                    x,
                    bottom.saturating_sub(1),
                    cells - 1,
                    theme.glyph("–", "-"),
                    theme.style(Role::Dim),
                    theme,
                );
                continue;
            };
            let share = if greatest > 0.0 { value / greatest } else { 0.0 };
            let height = share * f64::from(rows);
            let full = (height + 1e-9).floor() as u16;
            for up in 0..full {
                canvas.run(x, bottom - 1 - up, cells - 1, theme.glyph("█", "#"), theme.style(Role::Accent));
            }
            let rest = theme.level_glyph(height - f64::from(full)).to_string();
            let partly = full < rows && height - f64::from(full) > 1e-9;
            if partly {
                canvas.run(x, bottom - 1 - full, cells - 1, &rest, theme.style(Role::Accent));
            }
            let above = full + u16::from(partly) + 1;
            if bottom >= above {
                canvas.put_right(x, bottom - above, cells - 1, figure, theme.style(Role::Text), theme);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::widgets::testing::{ASCII, UTF8, any_area, drawn, inside, stays_inside};

    const VERSIONS: [(&str, Option<f64>); 6] = [
        ("v1", Some(1_200.0)),
        ("v2", Some(1_850.0)),
        ("v3", None),
        ("v4", Some(4_000.0)),
        ("v5", Some(0.0)),
        ("v6", Some(5_321.0)),
    ];

    fn shown(theme: &Theme, size: (u16, u16)) -> String {
        let columns = Columns { columns: &VERSIONS, measure: Measure::Count };
        drawn(size, |area, buffer| columns.draw(theme, area, buffer))
    }

    #[test]
    fn versions_grow() {
        insta::assert_snapshot!(shown(&UTF8, (40, 7)), @r"
                                      5,321
                          4,000       █████
                          ▇▇▇▇▇       █████
        1,200 1,850       █████       █████
        ▂▂▂▂▂ ▆▆▆▆▆       █████       █████
        █████ █████     – █████     0 █████
           v1    v2    v3    v4    v5    v6
        ");
        insta::assert_snapshot!(shown(&ASCII, (40, 7)), @r"
                                      5,321
                          4,000       #####
                          #####       #####
        1,200 1,850       #####       #####
        ::::: *****       #####       #####
        ##### #####     - #####     0 #####
           v1    v2    v3    v4    v5    v6
        ");
        // The newest, where there is little room.
        insta::assert_snapshot!(shown(&UTF8, (19, 3)), @r"
        4,000       5,321
        ▇▇▇▇▇     0 █████
           v4    v5    v6
        ");
        assert_eq!(shown(&UTF8, (19, 1)), "   v4    v5    v6");
    }

    #[test]
    fn columns_stay_inside() {
        let columns = Columns { columns: &VERSIONS, measure: Measure::Bytes };
        stays_inside(|theme, area, buffer| columns.draw(theme, area, buffer));
    }

    proptest! {
        #[test]
        fn any_values_are_drawn_inside(
            values in prop::collection::vec(("[ -~]{0,30}", any::<Option<f64>>()), 0..20),
            area in any_area(),
        ) {
            let values: Vec<_> = values.iter().map(|(label, value)| (label.as_str(), *value)).collect();
            let columns = Columns { columns: &values, measure: Measure::Number };
            inside(&ASCII, area, |theme, area, buffer| columns.draw(theme, area, buffer));
        }
    }
}
