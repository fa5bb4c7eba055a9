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

    fn add(&mut self, y: f64, joined: bool) {
        if !self.is_filled() {
            self.first = y;
            self.joined = joined;
        }
        self.low = self.low.min(y);
        self.high = self.high.max(y);
        self.last = y;
    }
}

/// A series as a plot needs it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Folded {
    pub columns: Vec<Column>,
    /// Values in the window that a logarithmic axis has no place for.
    pub not_shown: usize,
}

/// Folds the points in the window into `columns` columns: the lowest, the highest, the first and the
/// last value of each. Lines that cross the window's edges are cut there.
///
/// Each column finds its points by a search, so that all there is to do for a point is to compare.
pub(super) fn fold(
    points: &[(f64, Option<f64>)],
    (low, high): (f64, f64),
    columns: usize,
    log: bool,
) -> Folded {
    let mut folding = Folding { columns: vec![Column::EMPTY; columns], joined: false, not_shown: 0, log };
    let start = points.partition_point(|(x, _)| *x < low);
    let end = points.partition_point(|(x, _)| *x <= high).max(start);
    let mut inside = &points[start..end];
    let left = start.checked_sub(1).and_then(|before| drawn(points[before], log));
    let right = points.get(end).and_then(|after| drawn(*after, log));

    let first = inside.first().map_or(right, |first| drawn(*first, log));
    if let (Some(from), Some(to)) = (left, first) {
        folding.add(0, between(from, to, low, log));
    }
    let last_column = columns.saturating_sub(1);
    let step = (high / 2.0 - low / 2.0) / last_column.max(1) as f64 * 2.0;
    for at in 0..columns {
        // Columns stand for the x in their middle; what rounding leaves over, the last one takes.
        let edge = low + step * (at as f64 + 0.5);
        let here = if at == last_column { inside.len() } else { count_below(inside, edge) };
        let (column, rest) = inside.split_at(here);
        folding.add_all(at, column);
        inside = rest;
    }
    let last = points[start..end].last().map_or(left, |last| drawn(*last, log));
    if let (Some(from), Some(to)) = (last, right) {
        folding.add(last_column, between(from, to, high, log));
    }
    Folded { columns: folding.columns, not_shown: folding.not_shown }
}

/// How many points from the first on lie below `edge`. Searched in growing steps: they are read next,
/// and a search through all points would miss the cache at each of its steps.
fn count_below(points: &[(f64, Option<f64>)], edge: f64) -> usize {
    let mut reach = 16;
    while points.get(reach).is_some_and(|(x, _)| *x < edge) {
        reach *= 2;
    }
    points[..reach.min(points.len())].partition_point(|(x, _)| *x < edge)
}

/// A point, if it is no gap.
fn drawn((x, y): (f64, Option<f64>), log: bool) -> Option<(f64, f64)> {
    let y = y.filter(|y| y.is_finite() && (!log || *y > 0.0))?;
    x.is_finite().then_some((x, y))
}

struct Folding {
    columns: Vec<Column>,
    /// Whether a value came last, and no gap.
    joined: bool,
    not_shown: usize,
    log: bool,
}

impl Folding {
    fn add_all(&mut self, at: usize, points: &[(f64, Option<f64>)]) {
        let (Some(column), Some(last)) = (self.columns.get_mut(at), points.last()) else { return };
        // Values up to here are gaps.
        let floor = if self.log { 0.0 } else { f64::NEG_INFINITY };
        let value = |y: Option<f64>| y.filter(|y| *y > floor && *y < f64::INFINITY);
        // The one loop that sees every point: nothing in it but comparisons.
        let (mut low, mut high, mut not_above) = (f64::INFINITY, f64::NEG_INFINITY, 0);
        for (_, y) in points {
            let y = y.unwrap_or(f64::NAN);
            if y > floor && y < f64::INFINITY {
                low = if y < low { y } else { low };
                high = if y > high { y } else { high };
            } else if y <= 0.0 && y > f64::NEG_INFINITY {
                not_above += 1;
            }
        }
        let mut values = points.iter().enumerate().filter_map(|(n, (_, y))| Some((n, value(*y)?)));
        if let Some((gaps, first)) = values.next() {
            let newest = values.next_back().map_or(first, |(_, y)| y);
            column.add(first, self.joined && gaps == 0);
            (column.low, column.high) = (column.low.min(low), column.high.max(high));
            column.last = newest;
        }
        self.joined = value(last.1).is_some();
        if self.log {
            self.not_shown += not_above;
        }
    }

    fn add(&mut self, at: usize, y: f64) {
        if let Some(column) = self.columns.get_mut(at) {
            column.add(y, self.joined);
            self.joined = true;
        }
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
            (vec![some(0.0, 1.0)], (0.0, 2.0), 0, false, ""),
        ] {
            assert_eq!(shown(&points, window, columns, log), expected, "{points:?}");
        }
    }
}
