//! A curve in one line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::scale::Measure;
use crate::out::width;
use crate::tui::theme::{Role, Theme};

/// Cells below which a curve gets no figures beside it.
const LEAST_CURVE: u16 = 8;

/// The newest values of something, the last one at the right.
#[derive(Clone, Copy, Debug)]
pub struct Spark<'a> {
    /// At equal distances in time. No value, or one that is not finite, is a gap.
    pub values: &'a [Option<f64>],
    /// The value of the lowest and of the highest level, for sparks that are to be compared; their own
    /// lowest and highest if absent.
    pub scale: Option<(f64, f64)>,
    /// How the figures beside it are written; no figures if absent.
    pub figures: Option<Measure>,
}

impl Spark<'_> {
    /// Draws it into the first line of `area`.
    ///
    /// Where there are more values than cells, a cell shows the highest of its stretch: a spike must
    /// not go unseen. What fewer values leave free stays blank at the left.
    pub fn draw(&self, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let mut canvas = Canvas::new(buffer, area);
        let Some((low, high)) = self.ends() else {
            canvas.put_right(0, 0, u16::MAX, theme.glyph("–", "-"), theme.style(Role::Dim), theme);
            return;
        };
        let figures = self.figures.map(|measure| {
            let dash = theme.glyph("–", "-");
            format!(" {}{dash}{}", measure.text(low), measure.text(high))
        });
        // Figures are short; where they would leave no curve worth looking at, they go.
        let beside = figures.as_deref().map_or(0, |text| width(text) as u16);
        let beside = if canvas.width() < beside + LEAST_CURVE { 0 } else { beside };
        let cells = canvas.width() - beside;
        for (x, value) in stretches(self.values, usize::from(cells)).into_iter().enumerate() {
            let Some(value) = value else { continue };
            // The lowest level is a stroke already: only a gap is blank.
            let share = 0.125 + 0.875 * place(value, low, high);
            if let Some(cell) = canvas.cell(x as u16, 0) {
                cell.set_char(theme.level_glyph(share)).set_style(theme.style(Role::Accent));
            }
        }
        if beside > 0 {
            canvas.put(cells, 0, figures.as_deref().unwrap_or_default(), theme.style(Role::Dim));
        }
    }

    fn ends(&self) -> Option<(f64, f64)> {
        let finite = || self.values.iter().filter_map(|value| value.filter(|value| value.is_finite()));
        let low = finite().reduce(f64::min)?;
        let high = finite().reduce(f64::max)?;
        let given = self.scale.filter(|(low, high)| low.is_finite() && high.is_finite() && low <= high);
        Some(given.unwrap_or((low, high)))
    }
}

/// The highest value of each of `cells` stretches; blank ones first where there are fewer values.
fn stretches(values: &[Option<f64>], cells: usize) -> Vec<Option<f64>> {
    let blank = cells.saturating_sub(values.len());
    let shown = cells - blank;
    let stretch = |i: usize| {
        let part = &values[i * values.len() / shown..(i + 1) * values.len() / shown];
        part.iter().filter_map(|value| value.filter(|value| value.is_finite())).reduce(f64::max)
    };
    std::iter::repeat_n(None, blank).chain((0..shown).map(stretch)).collect()
}

fn place(value: f64, low: f64, high: f64) -> f64 {
    if high <= low {
        return 0.5;
    }
    ((value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::widgets::testing::{ASCII, UTF8, any_area, drawn, inside, stays_inside};

    #[test]
    fn gaps_are_gaps_and_spikes_stay() {
        let some = |values: &[f64]| values.iter().map(|value| Some(*value)).collect::<Vec<_>>();
        let gaps = [Some(0.0), None, Some(f64::NAN), Some(8.0), Some(4.0)];
        for (values, scale, figures, cells, utf8, ascii) in [
            (some(&[0.0, 1.0, 2.0, 3.0]), None, None, 6, "  ▁▄▆█", "  .=*@"),
            (gaps.to_vec(), None, None, 5, "▁  █▅", ".  @+"),
            (some(&[1.0, 1.0]), None, None, 2, "▅▅", "++"),
            (some(&[0.0, 0.0, 9.0, 0.0, 0.0, 0.0]), None, None, 3, "▁█▁", ".@."),
            (some(&[0.0, 1.0]), Some((0.0, 2.0)), None, 2, "▁▅", ".+"),
            (some(&[-5.0, 50.0]), Some((0.0, 2.0)), None, 2, "▁█", ".@"),
            (some(&[0.0, 1.0]), Some((f64::NAN, 2.0)), None, 2, "▁█", ".@"),
            (some(&[0.5, 1.0]), None, Some(Measure::Share), 10, "        ▁█", "        .@"),
            (
                some(&[0.5, 1.0]),
                None,
                Some(Measure::Share),
                24,
                "       ▁█ 50.0 %–100.0 %",
                "       .@ 50.0 %-100.0 %",
            ),
            (Vec::new(), None, Some(Measure::Count), 3, "  –", "  -"),
            (Vec::new(), None, None, 0, "", ""),
        ] {
            let spark = Spark { values: &values, scale, figures };
            let shown = |theme| drawn((cells, 1), |area, buffer| spark.draw(theme, area, buffer));
            assert_eq!(shown(&UTF8), utf8);
            assert_eq!(shown(&ASCII), ascii);
        }
    }

    #[test]
    fn sparks_stay_inside() {
        let spark =
            Spark { values: &[Some(1.0), None, Some(3.0)], scale: None, figures: Some(Measure::Bytes) };
        stays_inside(|theme, area, buffer| spark.draw(theme, area, buffer));
    }

    proptest! {
        #[test]
        fn any_values_are_drawn_inside(
            values in prop::collection::vec(any::<Option<f64>>(), 0..90),
            scale in any::<Option<(f64, f64)>>(),
            area in any_area(),
        ) {
            let spark = Spark { values: &values, scale, figures: Some(Measure::Number) };
            inside(&ASCII, area, |theme, area, buffer| spark.draw(theme, area, buffer));
        }
    }
}
