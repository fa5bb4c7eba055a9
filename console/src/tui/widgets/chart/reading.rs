//! What the points say at one x.

use super::Series;

/// A point of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Where it is.
    pub x: f64,
    /// Its value; none at a gap.
    pub y: Option<f64>,
}

/// The lowest and the highest x of all series; none if there is no point.
pub fn extent(series: &[Series<'_>]) -> Option<(f64, f64)> {
    let mut extent: Option<(f64, f64)> = None;
    for series in series {
        let ends = [series.points.first(), series.points.last()].into_iter().flatten();
        for (x, _) in ends.filter(|(x, _)| x.is_finite()) {
            let (low, high) = extent.unwrap_or((*x, *x));
            extent = Some((low.min(*x), high.max(*x)));
        }
    }
    extent
}

/// The x in `window` nearest to `at` where some series has a point, be it a gap.
pub fn nearest_x(series: &[Series<'_>], at: f64, (low, high): (f64, f64)) -> Option<f64> {
    let inside = |series: &Series<'_>| {
        let start = series.points.partition_point(|(x, _)| *x < low);
        let end = series.points.partition_point(|(x, _)| *x <= high);
        nearest(series.points.get(start..end)?, at).map(|(x, _)| x)
    };
    let all = series.iter().filter_map(inside);
    all.min_by(|a, b| (a - at).abs().total_cmp(&(b - at).abs())).filter(|_| at.is_finite())
}

/// Each series' point nearest to `at`.
pub fn read(series: &[Series<'_>], at: f64) -> Vec<Option<Reading>> {
    let read = |series: &Series<'_>| {
        let (x, y) = nearest(series.points, at)?;
        Some(Reading { x, y: y.filter(|y| y.is_finite()) })
    };
    series.iter().map(read).collect()
}

fn nearest(points: &[(f64, Option<f64>)], at: f64) -> Option<(f64, Option<f64>)> {
    let after = points.partition_point(|(x, _)| *x < at);
    let around = &points[after.saturating_sub(1)..points.len().min(after + 1)];
    let finite = around.iter().copied().filter(|(x, _)| x.is_finite());
    finite.min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_nearest_point() {
        let train: Vec<_> = (0..10).map(|x| (f64::from(x), Some(f64::from(x) * 2.0))).collect();
        let valid = [(0.0, Some(1.0)), (5.0, None), (9.0, Some(f64::INFINITY))];
        let series = [Series { name: "train", points: &train }, Series { name: "valid", points: &valid }];
        assert_eq!(extent(&series), Some((0.0, 9.0)));
        assert_eq!(extent(&series[..0]), None);
        for (at, window, x) in [
            (3.4, (0.0, 9.0), Some(3.0)),
            (-100.0, (0.0, 9.0), Some(0.0)),
            (8.9, (2.0, 6.5), Some(6.0)),
            (1.0, (2.1, 2.9), None),
            (f64::NAN, (0.0, 9.0), None),
        ] {
            assert_eq!(nearest_x(&series, at, window), x);
        }
        for (at, train, valid) in [
            (3.0, (3.0, Some(6.0)), (5.0, None)),
            (0.0, (0.0, Some(0.0)), (0.0, Some(1.0))),
            (99.0, (9.0, Some(18.0)), (9.0, None)),
        ] {
            let expected = [train, valid].map(|(x, y)| Some(Reading { x, y }));
            assert_eq!(read(&series, at), expected);
        }
        assert_eq!(read(&[Series { name: "", points: &[] }], 0.0), [None]);
    }
}
