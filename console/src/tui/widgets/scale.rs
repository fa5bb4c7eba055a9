//! From values to places on an axis, and to the figures beside it.

use jiff::Timestamp;

use crate::out::count;

/// What an axis or a bar counts, which decides how its figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Numbers without a unit: losses, learning rates.
    Number,
    /// Whole things: images, steps.
    Count,
    /// Shares of one, shown in per cent.
    Share,
    /// Bytes, in binary units.
    Bytes,
    /// Seconds since 1970, shown as UTC.
    Clock,
}

const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

impl Measure {
    /// One value by itself, with its unit.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Number => number(value),
            // Beyond that neither f64 nor people count in ones.
            Self::Count if value.abs() < 1e15 => whole(value.round()),
            Self::Count => number(value),
            Self::Share => format!("{:.1} %", value * 100.0),
            Self::Bytes => {
                let unit = unit_of(value);
                let decimals = usize::from(unit > 0);
                format!("{:.decimals$} {}", value / power(unit), UNITS[unit])
            }
            Self::Clock => clock(value, "%Y-%m-%d %H:%M:%S").unwrap_or_else(|| number(value)),
        }
    }

    /// A value beside an axis whose ticks lie `step` apart and reach up to `reach` from nought.
    fn tick(self, value: f64, step: f64, reach: f64) -> String {
        match self {
            Self::Number | Self::Count => plain(value, step, reach),
            Self::Share => format!("{} %", plain(value * 100.0, step * 100.0, reach * 100.0)),
            Self::Bytes => {
                let unit = unit_of(reach);
                let [value, step, reach] = [value, step, reach].map(|bytes| bytes / power(unit));
                format!("{} {}", plain(value, step, reach), UNITS[unit])
            }
            Self::Clock => {
                let format = match step {
                    ..60.0 => "%H:%M:%S",
                    ..86_400.0 => "%H:%M",
                    _ => "%m-%d",
                };
                clock(value, format).unwrap_or_else(|| plain(value, step, reach))
            }
        }
    }

    /// The least round step that is not below `rough`.
    fn step(self, rough: f64, reach: f64) -> f64 {
        /// What clocks are divided by, in seconds.
        const SPANS: [f64; 19] = [
            1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0,
            10_800.0, 21_600.0, 43_200.0, 86_400.0, 172_800.0,
        ];
        match self {
            Self::Number | Self::Share => round_up(rough),
            Self::Count => round_up(rough).max(1.0),
            Self::Bytes => round_up(rough / power(unit_of(reach))) * power(unit_of(reach)),
            Self::Clock => SPANS
                .into_iter()
                .find(|&span| span >= rough)
                .unwrap_or_else(|| round_up(rough / 86_400.0) * 86_400.0),
        }
    }
}

/// A stretch of values laid along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The value at the axis' beginning; finite, and above 0 if `log`.
    pub low: f64,
    /// The value at its end, not below `low`.
    pub high: f64,
    /// By powers of ten.
    pub log: bool,
}

impl Scale {
    /// Where a value lies: 0 at the beginning, 1 at the end, beyond them outside. The middle where
    /// all values are one. `value` is finite, and above 0 if the scale is logarithmic.
    pub fn share(&self, value: f64) -> f64 {
        if self.high <= self.low {
            return 0.5;
        }
        if self.log {
            let low = self.low.log10();
            return (value.log10() - low) / (self.high.log10() - low);
        }
        // Halved first: the span of two finite values may be none.
        (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
    }

    /// Round values on the axis, at most about `at_most`, each with its label.
    pub fn ticks(&self, measure: Measure, at_most: usize) -> Vec<(f64, String)> {
        if self.log && self.high > self.low {
            let values = self.log_ticks(at_most.max(1));
            if values.len() > 1 || (values.len() == 1 && at_most < 2) {
                return values.into_iter().map(|value| (value, log_label(measure, value))).collect();
            }
        }
        let reach = self.low.abs().max(self.high.abs());
        let parts = at_most.max(1) as f64;
        let step = measure.step(self.high / parts - self.low / parts, reach);
        // A step that is lost in the values' rounding would show one label many times; near the end of
        // f64's range powers of ten are not even roughly round.
        if !(step.is_finite() && step > reach * 1e-12 && step > 1e-290) {
            return vec![(self.low, measure.text(self.low))];
        }
        let first = (self.low / step).ceil();
        // What rounding puts beyond the end by a hair is the end.
        let hair = (self.high / parts - self.low / parts) * 1e-9;
        (0..=at_most)
            .map(|i| (first + i as f64) * step + 0.0)
            .take_while(|&value| value <= self.high + hair)
            .filter(|&value| !self.log || value >= self.low)
            .map(|value| (value, measure.tick(value, step, reach)))
            .collect()
    }

    /// Powers of ten; with 2 and 5 between them where they alone would be too few.
    fn log_ticks(&self, at_most: usize) -> Vec<f64> {
        let (low, high) = (self.low.log10(), self.high.log10());
        // Within ±308, as exponents of f64 are.
        let (first, last) = ((low - 1e-9).ceil() as i32, (high + 1e-9).floor() as i32);
        let powers = usize::try_from(last - first + 1).unwrap_or(0);
        if powers > 1 {
            let stride = powers.div_ceil(at_most);
            return (first..=last).step_by(stride).map(|power| 10f64.powi(power)).collect();
        }
        let between = (first - 1..=last.max(first) + 1)
            .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)))
            .filter(|&value| value >= self.low * (1.0 - 1e-9) && value <= self.high * (1.0 + 1e-9));
        between.take(at_most).collect()
    }
}

fn log_label(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Number | Measure::Count => short(value),
        Measure::Share => format!("{} %", short(value * 100.0)),
        Measure::Bytes | Measure::Clock => measure.text(value),
    }
}

/// 1, 2 or 5 times a power of ten, not below `rough`.
fn round_up(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let digit = match rough / power {
        ..1.000_001 => 1.0,
        ..2.000_001 => 2.0,
        ..5.000_001 => 5.0,
        _ => 10.0,
    };
    digit * power
}

/// A number with four significant digits.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if size < 1e6 && value.fract() == 0.0 {
        whole(value)
    } else if (1e-3..1e6).contains(&size) {
        // 0–6: the range above has exponents from -3 to 5.
        let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.3e}")
    }
}

/// A number in few characters.
fn short(value: f64) -> String {
    let size = value.abs();
    if !(1e-3..1e6).contains(&size) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if size >= 1_000.0 { whole(value.round()) } else { text.to_owned() }
}

/// As many digits as tell ticks `step` apart.
fn plain(value: f64, step: f64, reach: f64) -> String {
    let power = step.log10();
    // A round step may lie a hair below its power of ten.
    let power = (power + 1e-9).floor();
    if reach >= 1e6 || power < -4.0 {
        if value == 0.0 {
            return "0".to_owned();
        }
        // Digits from the value's first to the step's; exponents of f64 fit.
        let decimals = (value.abs().log10().floor() - power).clamp(0.0, 3.0) as usize;
        return format!("{value:.decimals$e}");
    }
    if power >= 0.0 {
        return whole(value.round());
    }
    // At most 4, by the check above.
    let decimals = -power as usize;
    format!("{value:.decimals$}")
}

/// A whole number below 10¹⁵ with its thousands apart.
fn whole(value: f64) -> String {
    let digits = count(value.abs() as u64);
    if value < 0.0 { format!("-{digits}") } else { digits }
}

fn unit_of(bytes: f64) -> usize {
    let mut unit = 0;
    while unit + 1 < UNITS.len() && bytes.abs() >= power(unit + 1) * 0.999_95 {
        unit += 1;
    }
    unit
}

fn power(unit: usize) -> f64 {
    // At most 5.
    1024f64.powi(unit as i32)
}

fn clock(seconds: f64, format: &str) -> Option<String> {
    // The cast saturates; jiff refuses what no calendar has.
    Timestamp::from_second(seconds as i64).ok().map(|time| time.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(low: f64, high: f64, log: bool, measure: Measure, at_most: usize) -> String {
        let ticks = Scale { low, high, log }.ticks(measure, at_most);
        ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn ticks_are_round() {
        use Measure::{Bytes, Clock, Count, Number, Share};
        for (low, high, log, measure, shown) in [
            (0.0, 1.0, false, Number, "0.0 | 0.2 | 0.4 | 0.6 | 0.8 | 1.0"),
            (0.31, 0.37, false, Number, "0.32 | 0.34 | 0.36"),
            (-3.0, 3.0, false, Number, "-2 | 0 | 2"),
            (0.0, 12_345.0, false, Count, "0 | 5,000 | 10,000"),
            (0.0, 3.0, false, Count, "0 | 1 | 2 | 3"),
            (0.0, 3.2e7, false, Count, "0 | 1e7 | 2e7 | 3e7"),
            (0.0, 0.00003, false, Number, "0 | 1e-5 | 2e-5 | 3e-5"),
            (0.5, 1.0, false, Share, "50 % | 60 % | 70 % | 80 % | 90 % | 100 %"),
            (0.0, 24.0 * 1024f64.powi(3), false, Bytes, "0 GiB | 5 GiB | 10 GiB | 15 GiB | 20 GiB"),
            (0.0, 600.0, false, Clock, "00:00 | 00:02 | 00:04 | 00:06 | 00:08 | 00:10"),
            (0.0, 20.0, false, Clock, "00:00:00 | 00:00:05 | 00:00:10 | 00:00:15 | 00:00:20"),
            (0.0, 400_000.0, false, Clock, "01-01 | 01-02 | 01-03 | 01-04 | 01-05"),
            (0.001, 100.0, true, Number, "0.001 | 0.1 | 10"),
            (1e-5, 2e-3, true, Number, "1e-5 | 1e-4 | 0.001"),
            (0.15, 0.9, true, Number, "0.2 | 0.5"),
            (0.31, 0.37, true, Number, "0.32 | 0.34 | 0.36"),
            (0.001, 1.0, true, Share, "0.1 % | 1 % | 10 % | 100 %"),
            (7.0, 7.0, false, Number, "7"),
            (1e16, 1e16 + 2.0, false, Count, "1.000e16"),
        ] {
            assert_eq!(labels(low, high, log, measure, 5), shown, "{low}..{high} {measure:?}");
        }
    }

    #[test]
    fn values_carry_their_unit() {
        for (measure, value, shown) in [
            (Measure::Number, 0.0, "0"),
            (Measure::Number, 0.012_345, "0.01235"),
            (Measure::Number, 12.0, "12"),
            (Measure::Number, -1_234.6, "-1235"),
            (Measure::Number, 0.000_012_3, "1.230e-5"),
            (Measure::Number, 2.5e9, "2.500e9"),
            (Measure::Count, 12_345.4, "12,345"),
            (Measure::Count, -1e300, "-1.000e300"),
            (Measure::Share, 0.873_4, "87.3 %"),
            (Measure::Bytes, 512.0, "512 B"),
            (Measure::Bytes, 1.5 * 1024.0 * 1024.0, "1.5 MiB"),
            (Measure::Bytes, f64::MAX, &format!("{:.1} PiB", f64::MAX / 1024f64.powi(5))),
            (Measure::Clock, 1_795_219_200.0, "2026-11-21 00:00:00"),
            (Measure::Clock, f64::MAX, "1.798e308"),
        ] {
            assert_eq!(measure.text(value), shown);
        }
    }

    proptest! {
        #[test]
        fn any_scale_has_few_ticks_inside(
            a in any::<f64>().prop_filter("finite", |v| v.is_finite()),
            b in any::<f64>().prop_filter("finite", |v| v.is_finite()),
            log: bool,
            at_most in 0usize..30,
        ) {
            let (low, high) = if log { (a.abs().min(b.abs()).max(1e-300), a.abs().max(b.abs()).max(1e-300)) }
                else { (a.min(b), a.max(b)) };
            let scale = Scale { low, high, log };
            for measure in [Measure::Number, Measure::Count, Measure::Share, Measure::Bytes, Measure::Clock] {
                let ticks = scale.ticks(measure, at_most);
                prop_assert!(ticks.len() <= at_most + 1, "{ticks:?}");
                for (value, label) in ticks {
                    let share = scale.share(value);
                    prop_assert!((-1e-6..=1.000_001).contains(&share), "{share} {value}");
                    prop_assert!(!label.is_empty());
                }
            }
        }
    }
}
