//! Intervals and tests on counts.

use vigie_protocol::model::Proportion;

/// The normal quantile of a two-sided 95 % interval.
const Z: f64 = 1.959_963_984_540_054;

/// A share with its 95 % Wilson score interval (Wilson 1927, doi:10.1080/01621459.1927.10502953).
///
/// Of no trials nothing is known: the value is 0 and the interval the whole range.
pub fn proportion(successes: u64, trials: u64) -> Proportion {
    if trials == 0 {
        return Proportion { value: 0.0, low: 0.0, high: 1.0, n: 0 };
    }
    let n = trials as f64;
    let p = successes as f64 / n;
    let z2 = Z * Z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    // At the ends the formula is 0 and 1 exactly, but for rounding.
    let low = if successes == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if successes == trials { 1.0 } else { (centre + half).min(1.0) };
    Proportion { value: p, low, high, n: trials }
}

/// The two-sided mid-p value of McNemar's exact test (Fagerland, Lydersen & Laake 2013,
/// doi:10.1186/1471-2288-13-91): how surprising it is that of the images which only one of two models
/// gets right, `b` are one model's and `c` the other's, if the models are equally good.
///
/// 1 when they never differ.
pub fn mcnemar_mid_p(b: u64, c: u64) -> f64 {
    let (low, n) = (b.min(c), b + c);
    if b == c {
        return 1.0;
    }
    // ln pmf(low; n, 1/2), then down the tail by the ratio of neighbours: no factorial overflows.
    let ln_choose: f64 = (1..=low).map(|i| ((n - low + i) as f64 / i as f64).ln()).sum();
    let pmf = (ln_choose - n as f64 * std::f64::consts::LN_2).exp();
    let mut term = pmf;
    let mut tail = pmf;
    for k in (1..=low).rev() {
        term *= k as f64 / (n - k + 1) as f64;
        tail += term;
        if term < tail * f64::EPSILON {
            break;
        }
    }
    (2.0 * tail - pmf).min(1.0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::super::fixture::{assert_close, read};
    use super::*;

    #[test]
    fn wilson_intervals_are_scipys() {
        let rows = read("wilson.json");
        let mut checked = 0;
        for row in rows.as_array().unwrap().iter().filter(|row| row["level"] == 0.95) {
            let got = proportion(row["k"].as_u64().unwrap(), row["n"].as_u64().unwrap());
            assert_close(got.low, row["low"].as_f64().unwrap(), 1e-12);
            assert_close(got.high, row["high"].as_f64().unwrap(), 1e-12);
            checked += 1;
        }
        assert!(checked >= 15, "{checked}");
    }

    #[test]
    fn mcnemar_is_scipys() {
        for row in read("mcnemar.json").as_array().unwrap() {
            let got = mcnemar_mid_p(row["b"].as_u64().unwrap(), row["c"].as_u64().unwrap());
            let expected = row["p"].as_f64().unwrap();
            assert_close(got, expected, 1e-9 * expected.max(1e-21));
        }
    }

    proptest! {
        #[test]
        fn intervals_hold_their_value(n in 1u64..100_000, share in 0.0f64..=1.0) {
            let k = (share * n as f64) as u64;
            let Proportion { value, low, high, .. } = proportion(k, n);
            prop_assert!(0.0 <= low && low <= value && value <= high && high <= 1.0);
        }

        #[test]
        fn mcnemar_is_symmetric_and_a_probability(b in 0u64..3_000, c in 0u64..3_000) {
            let p = mcnemar_mid_p(b, c);
            prop_assert!((0.0..=1.0).contains(&p));
            prop_assert_eq!(p, mcnemar_mid_p(c, b));
        }
    }
}
