//! Which part of a chart is shown, and how keys move it.

use serde::{Deserialize, Serialize};

use super::reading::nearest_x;
use super::{Series, extent};

/// What of a chart is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChartView {
    /// The first and the last x; everything, and whatever comes, if absent.
    pub x: Option<(f64, f64)>,
    /// Whether y goes by powers of ten.
    pub log_y: bool,
    /// Where values are read off.
    pub crosshair: Option<f64>,
}

impl ChartView {
    /// The x that is shown of data that reaches over `extent`; the second above the first.
    pub fn window(&self, extent: (f64, f64)) -> (f64, f64) {
        match self.x {
            Some((low, high)) if low.is_finite() && high.is_finite() && low < high => (low, high),
            _ => widened(extent),
        }
    }

    /// Half as much, around the crosshair, or else around the middle.
    #[must_use]
    pub fn zoom_in(self, extent: (f64, f64)) -> Self {
        let (low, high) = self.window(extent);
        let centre = self.crosshair.filter(|at| *at >= low && *at <= high).unwrap_or(low / 2.0 + high / 2.0);
        let quarter = high / 4.0 - low / 4.0;
        // Below that neighbouring columns could not be told apart in f64.
        if quarter <= low.abs().max(high.abs()) * 1e-9 {
            return self;
        }
        self.placed((centre - quarter, centre + quarter), extent)
    }

    /// Twice as much; everything at last.
    #[must_use]
    pub fn zoom_out(self, extent: (f64, f64)) -> Self {
        let (low, high) = self.window(extent);
        let half = high / 2.0 - low / 2.0;
        self.placed((low - half, high + half), extent)
    }

    /// Moves the crosshair over `columns` of the plot's `across` columns, to the right if positive, at
    /// least to the next point; what is shown follows. Without one, it comes up at the end it is moved
    /// from.
    #[must_use]
    pub fn move_crosshair(self, series: &[Series<'_>], columns: i32, across: u16) -> Self {
        let Some(all) = extent(series) else { return self };
        let (low, high) = self.window(all);
        let at = self.crosshair.and_then(|at| nearest_x(series, at, (f64::MIN, f64::MAX)));
        let Some(at) = at else {
            let from = if columns < 0 { high } else { low };
            return Self { crosshair: nearest_x(series, from, (low, high)), ..self };
        };
        let width = (high / 2.0 - low / 2.0) / f64::from(across.max(2) - 1) * 2.0;
        let target = at + width * f64::from(columns);
        // Strictly beyond where it is, so that a key always does something where there is something.
        let beyond = if columns < 0 { (f64::MIN, at.next_down()) } else { (at.next_up(), f64::MAX) };
        let target = target.clamp(f64::MIN, f64::MAX);
        let moved = nearest_x(series, target, beyond).unwrap_or(at);
        let view = Self { crosshair: Some(moved), ..self };
        if moved < low {
            view.placed((moved, moved + (high - low)), all)
        } else if moved > high {
            view.placed((moved - (high - low), moved), all)
        } else {
            view
        }
    }

    /// With that window, shifted into the data; with none where it would show all of them.
    fn placed(self, (low, high): (f64, f64), extent: (f64, f64)) -> Self {
        let (first, last) = widened(extent);
        let width = high - low;
        if !width.is_finite() || width >= last - first {
            return Self { x: None, ..self };
        }
        let low = low.min(last - width).max(first);
        Self { x: Some((low, low + width)), ..self }
    }
}

/// A point in x as a stretch around it.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    if low < high {
        return (low, high);
    }
    let pad = (low.abs() * 1e-6).max(0.5);
    ((low - pad).max(f64::MIN), (low + pad).min(f64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn view(x: Option<(f64, f64)>, crosshair: Option<f64>) -> ChartView {
        ChartView { x, log_y: false, crosshair }
    }

    #[test]
    fn zooms_inside_the_data() {
        type Move = fn(ChartView) -> ChartView;
        let zoom_in: Move = |view| view.zoom_in((0.0, 100.0));
        let zoom_out: Move = |view| view.zoom_out((0.0, 100.0));
        for (name, from, by, to) in [
            ("in: the middle", view(None, None), zoom_in, Some((25.0, 75.0))),
            ("in: the crosshair", view(None, Some(40.0)), zoom_in, Some((15.0, 65.0))),
            ("in: at the edge", view(None, Some(3.0)), zoom_in, Some((0.0, 50.0))),
            ("in: crosshair elsewhere", view(Some((0.0, 50.0)), Some(90.0)), zoom_in, Some((12.5, 37.5))),
            ("in: enough", view(Some((50.0, 50.0 + 1e-9)), None), zoom_in, Some((50.0, 50.0 + 1e-9))),
            ("out", view(Some((40.0, 60.0)), None), zoom_out, Some((30.0, 70.0))),
            ("out: at the edge", view(Some((0.0, 20.0)), None), zoom_out, Some((0.0, 40.0))),
            ("out: everything", view(Some((20.0, 80.0)), None), zoom_out, None),
            ("out: nothing more", view(None, None), zoom_out, None),
            ("what is no window", view(Some((f64::NAN, 3.0)), None), zoom_in, Some((25.0, 75.0))),
        ] {
            assert_eq!(by(from).x, to, "{name}");
        }
    }

    #[test]
    fn the_crosshair_goes_from_point_to_point() {
        let dense: Vec<_> = (0..=1_000).map(|x| (f64::from(x) / 10.0, Some(1.0))).collect();
        let sparse = [(0.0, Some(1.0)), (50.0, None), (100.0, Some(1.0))];
        let dense = [Series { name: "", points: &dense }];
        let sparse = [Series { name: "", points: &sparse }];
        for (name, series, from, columns, to) in [
            ("comes up left", &dense, view(None, None), 1, (None, Some(0.0))),
            ("comes up right", &dense, view(None, None), -1, (None, Some(100.0))),
            ("a column", &dense, view(None, Some(10.0)), 1, (None, Some(11.0))),
            ("ten columns", &dense, view(None, Some(10.0)), -10, (None, Some(0.0))),
            ("at least a point", &sparse, view(None, Some(0.0)), 1, (None, Some(50.0))),
            ("stays at the end", &sparse, view(None, Some(100.0)), 1, (None, Some(100.0))),
            (
                "takes the window along",
                &dense,
                view(Some((10.0, 20.0)), Some(20.0)),
                1,
                (Some((10.1, 20.1)), Some(20.1)),
            ),
            (
                "to the left too",
                &dense,
                view(Some((10.0, 20.0)), Some(10.0)),
                -20,
                (Some((8.0, 18.0)), Some(8.0)),
            ),
        ] {
            let moved = from.move_crosshair(series, columns, 101);
            let round = |x: f64| (x * 1e6).round() / 1e6;
            let window = moved.x.map(|(low, high)| (round(low), round(high)));
            assert_eq!((window, moved.crosshair), to, "{name}");
        }
        assert_eq!(view(None, Some(3.0)).move_crosshair(&[], 1, 80), view(None, Some(3.0)));
    }

    proptest! {
        #[test]
        fn moves_keep_a_sane_window(
            moves in prop::collection::vec(0u8..4, 0..40),
            ends in (any::<f64>(), any::<f64>()),
            start in any::<(f64, f64)>(),
            crosshair in any::<Option<f64>>(),
        ) {
            prop_assume!(ends.0.is_finite() && ends.1.is_finite());
            let points = [(ends.0.min(ends.1), Some(1.0)), (ends.0.max(ends.1), None)];
            let series = [Series { name: "", points: &points }];
            let all = (points[0].0, points[1].0);
            let mut view = ChartView { x: Some(start), log_y: false, crosshair };
            for by in moves {
                view = match by {
                    0 => view.zoom_in(all),
                    1 => view.zoom_out(all),
                    2 => view.move_crosshair(&series, 1, 80),
                    _ => view.move_crosshair(&series, -7, 0),
                };
                let (low, high) = view.window(all);
                prop_assert!(low < high && low.is_finite() && high.is_finite(), "{view:?}");
            }
        }
    }
}
