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
    for (x, _) in series.iter().flat_map(|series| series.points) {
        if x.is_finite() {
            let (low, high) = extent.unwrap_or((*x, *x));
            extent = Some((low.min(*x), high.max(*x)));
        }
    }
    extent
}

/// The x in `window` nearest to `at` where some series has a point, be it a gap.
pub fn nearest_x(series: &[Series<'_>], at: f64, window: (f64, f64)) -> Option<f64> {
    if !at.is_finite() {
        return None;
    }
    let inside = |x: &f64| *x >= window.0 && *x <= window.1;
    let all = series.iter().flat_map(|series| series.points).map(|point| point.0);
    all.filter(inside).min_by(|a, b| (a - at).abs().total_cmp(&(b - at).abs()))
}

/// Each series' point nearest to `at`.
pub fn read(series: &[Series<'_>], at: f64) -> Vec<Option<Reading>> {
    let nearest = |series: &Series<'_>| {
        let points = series.points.iter().filter(|point| point.0.is_finite());
        let (x, y) = points.min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs())).copied()?;
        Some(Reading { x, y: y.filter(|y| y.is_finite()) })
    };
    series.iter().map(nearest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_nearest_point() {
        let train: Vec<_> = (0..10).map(|x| (f64::from(x), Some(f64::from(x) * 2.0))).collect();
        let valid = [(f64::NAN, Some(7.0)), (0.0, Some(1.0)), (5.0, None), (9.0, Some(f64::INFINITY))];
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
