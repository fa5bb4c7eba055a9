//! McNemar's exact test.

use std::f64::consts::LN_2;

/// The two-sided p value of McNemar's exact test (McNemar 1947, doi:10.1007/BF02295996, in its
/// binomial form). Of the images that only one of two models gets right, `b` are one model's and `c`
/// the other's; were the models equally good, each would be either's with a chance of one half:
///
/// p = min(1, 2 · Σ_{k=0}^{min(b,c)} C(b+c, k) / 2^(b+c))
///
/// It is how often equally good models differ this much or more: 1 when they never differ. (The
/// agent's gate takes the mid-p variant, which is a little less cautious.)
pub fn mcnemar_exact(b: u64, c: u64) -> f64 {
    let (low, n) = (b.min(c), b.saturating_add(c));
    if b == c {
        return 1.0;
    }
    // ln pmf(low; n, 1/2), then down the tail by the ratio of neighbours: no factorial overflows.
    let ln_choose: f64 = (1..=low).map(|i| ((n - low + i) as f64 / i as f64).ln()).sum();
    let mut term = (ln_choose - n as f64 * LN_2).exp();
    let mut tail = term;
    for k in (1..=low).rev() {
        term *= k as f64 / (n - k + 1) as f64;
        tail += term;
        if term < tail * f64::EPSILON {
            break;
        }
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn p_values_are_scipys() {
        // `scipy.stats.binomtest(b, b + c).pvalue`, scipy 1.17; of nothing, 1 by definition.
        for (b, c, expected) in [
            (0, 0, 1.0),
            (1, 0, 1.0),
            (0, 6, 0.03125),
            (1, 8, 0.0390625),
            (3, 12, 0.03515625),
            (7, 7, 1.0),
            (6, 8, 0.79052734375),
            (10, 30, 0.0022214337732293643),
            (95, 127, 0.037233111211850495),
            (0, 60, 1.734723475976807e-18),
            (400, 500, 0.0009564441369189373),
            (1_200, 1_000, 2.1817026407914194e-05),
        ] {
            for (b, c) in [(b, c), (c, b)] {
                let p = mcnemar_exact(b, c);
                assert!((p - expected).abs() <= 1e-9 * expected, "{b}, {c}: {p}, not {expected}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_a_probability_that_falls_with_the_difference(b in 0u64..2_000, c in 0u64..2_000) {
            let p = mcnemar_exact(b, c);
            prop_assert!((0.0..=1.0).contains(&p));
            // The same number of images, one more of them the better model's.
            if let Some(fewer) = b.min(c).checked_sub(1) {
                prop_assert!(mcnemar_exact(fewer, b.max(c) + 1) <= p);
            }
        }
    }
}
