//! Many points into few columns, without losing a peak.

/// What of a series falls into one column of dots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Column {
    pub low: f64,
    pub high: f64,
    pub first: f64,
    pub last: f64,
    /// Whether no gap lies between the column filled before this one and its first value.
    pub joined: bool,
}

impl Column {
    const EMPTY: Column =
        Column { low: f64::INFINITY, high: f64::NEG_INFINITY, first: 0.0, last: 0.0, joined: false };

    pub(super) fn is_filled(&self) -> bool {
        self.low <= self.high
    }
}

/// A series as a plot needs it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Folded {
    pub columns: Vec<Column>,
    /// Values in the window that a logarithmic axis has no place for.
    pub not_shown: usize,
}

/// Folds the points in `window` into `columns` columns: the lowest, the highest, the first and the
/// last value of each. Lines that cross the window's edges are cut there.
pub(super) fn fold(points: &[(f64, Option<f64>)], window: (f64, f64), columns: usize, log: bool) -> Folded {
    let (low, high) = window;
    let mut folding = Folding {
        low,
        per_unit: columns.saturating_sub(1) as f64 / (high - low),
        columns: vec![Column::EMPTY; columns],
        joined: false,
    };
    let mut not_shown = 0;
    let mut before: Option<(f64, f64)> = None;
    for &(x, y) in points {
        let Some(y) = y.filter(|y| y.is_finite() && x.is_finite()) else {
            before = None;
            folding.joined = false;
            continue;
        };
        if log && y <= 0.0 {
            not_shown += usize::from(x >= low && x <= high);
            before = None;
            folding.joined = false;
            continue;
        }
        if x >= low && x <= high {
            if let Some(from) = before.filter(|from| from.0 < low) {
                folding.add(low, between(from, (x, y), low, log));
            }
            folding.add(x, y);
        } else if x > high
            && let Some(from) = before.filter(|from| from.0 < high)
        {
            if from.0 < low {
                folding.add(low, between(from, (x, y), low, log));
            }
            folding.add(high, between(from, (x, y), high, log));
        }
        before = Some((x, y));
    }
    Folded { columns: folding.columns, not_shown }
}

struct Folding {
    low: f64,
    per_unit: f64,
    columns: Vec<Column>,
    joined: bool,
}

impl Folding {
    fn add(&mut self, x: f64, y: f64) {
        // x is in the window; what rounding takes beyond it, the last column takes.
        let at = ((x - self.low) * self.per_unit + 0.5) as usize;
        let last = self.columns.len().saturating_sub(1);
        let Some(column) = self.columns.get_mut(at.min(last)) else { return };
        if !column.is_filled() {
            column.first = y;
            column.joined = self.joined;
        }
        column.low = column.low.min(y);
        column.high = column.high.max(y);
        column.last = y;
        self.joined = true;
    }
}

/// The line's height at `x`, as it is drawn: straight on the axis.
fn between(from: (f64, f64), to: (f64, f64), x: f64, log: bool) -> f64 {
    // In halves: two finite values may be further apart than f64 reaches.
    let share = (x / 2.0 - from.0 / 2.0) / (to.0 / 2.0 - from.0 / 2.0);
    let mix = |a: f64, b: f64| a * (1.0 - share) + b * share;
    let y = if log { 10f64.powf(mix(from.1.log10(), to.1.log10())) } else { mix(from.1, to.1) };
    // Rounding must not leave the two values, nor what is finite.
    y.max(from.1.min(to.1)).min(from.1.max(to.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(points: &[(f64, Option<f64>)], window: (f64, f64), columns: usize, log: bool) -> String {
        let folded = fold(points, window, columns, log);
        let columns = folded.columns.iter().map(|column| {
            let join = if column.joined { "-" } else { " " };
            if !column.is_filled() {
                "  .".to_owned()
            } else if column.low == column.high {
                format!("{join}{}", column.low)
            } else {
                format!("{join}{}..{}", column.low, column.high)
            }
        });
        let text = columns.collect::<Vec<_>>().join(" ");
        if folded.not_shown > 0 { format!("{text} !{}", folded.not_shown) } else { text }
    }

    #[test]
    fn points_fold_into_columns() {
        let some = |x, y| (x, Some(y));
        let gap = |x| (x, None);
        for (points, window, columns, log, expected) in [
            (vec![some(0.0, 1.0), some(1.0, 2.0), some(2.0, 3.0)], (0.0, 2.0), 3, false, " 1 -2 -3"),
            // Peaks survive, however many points a column holds.
            (
                vec![some(0.0, 1.0), some(0.1, 9.0), some(0.2, 2.0), some(2.0, 3.0)],
                (0.0, 2.0),
                3,
                false,
                " 1..9   . -3",
            ),
            // A gap breaks the line, whether it is said or not finite.
            (vec![some(0.0, 1.0), gap(1.0), some(2.0, 3.0)], (0.0, 2.0), 3, false, " 1   .  3"),
            (vec![some(0.0, 1.0), some(1.0, f64::NAN), some(2.0, 3.0)], (0.0, 2.0), 3, false, " 1   .  3"),
            (
                vec![some(0.0, 1.0), some(f64::INFINITY, 1.0), some(2.0, 3.0)],
                (0.0, 2.0),
                3,
                false,
                " 1   .  3",
            ),
            // Lines that cross the edges, or the whole window.
            (vec![some(-1.0, 0.0), some(1.0, 2.0), some(3.0, 6.0)], (0.0, 2.0), 3, false, " 1 -2 -4"),
            (vec![some(-1.0, 0.0), some(3.0, 4.0)], (0.0, 2.0), 3, false, " 1   . -3"),
            (vec![some(-1.0, 0.0), gap(0.5), some(3.0, 4.0)], (0.0, 2.0), 3, false, "  .   .   ."),
            (vec![some(3.0, 4.0), some(5.0, 4.0)], (0.0, 2.0), 3, false, "  .   .   ."),
            // On powers of ten what is not above nought is a gap that is counted.
            (
                vec![some(0.0, 0.0), some(1.0, 2.0), some(2.0, -3.0), some(9.0, -1.0)],
                (0.0, 2.0),
                3,
                true,
                "  .  2   . !2",
            ),
            (vec![some(-1.0, 1.0), some(1.0, 100.0)], (0.0, 2.0), 3, true, " 10 -100   ."),
            // Out of order: no picture to be proud of, but all of it.
            (vec![some(2.0, 3.0), some(0.0, 1.0)], (0.0, 2.0), 3, false, "-1   .  3"),
            (vec![some(0.0, 1.0)], (0.0, 2.0), 0, false, ""),
        ] {
            assert_eq!(shown(&points, window, columns, log), expected, "{points:?}");
        }
    }
}
