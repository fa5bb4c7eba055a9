//! From logits to calibrated probabilities and the best classes: what evaluation and serving share.

/// Probabilities of `logits / temperature`, stable for logits of any size.
///
/// `temperature` is above 0; 1 leaves the logits as they are.
pub fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let greatest = greatest(logits);
    let mut powers: Vec<f64> =
        logits.iter().map(|&logit| ((f64::from(logit) - greatest) / temperature).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter_mut().for_each(|power| *power /= sum);
    powers
}

/// −ln of the probability of class `truth` in nats, without the detour through a probability that
/// may be 0.
///
/// # Panics
/// When `truth` is not an index into `logits`.
pub fn negative_log_likelihood(logits: &[f32], truth: usize, temperature: f64) -> f64 {
    let greatest = greatest(logits);
    let scaled = |logit: f32| (f64::from(logit) - greatest) / temperature;
    let sum: f64 = logits.iter().map(|&logit| scaled(logit).exp()).sum();
    sum.ln() - scaled(logits[truth])
}

/// Indices of the `k` greatest values, greatest first; of equal ones the lower index first. NaN
/// counts as least.
pub fn top_k(values: &[f64], k: usize) -> Vec<usize> {
    // Adding 0 makes −0 equal to 0 under the total order.
    let key = |index: usize| if values[index].is_nan() { f64::NEG_INFINITY } else { values[index] + 0.0 };
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
    order.truncate(k);
    order
}

fn greatest(logits: &[f32]) -> f64 {
    f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::super::fixture::{assert_close, numbers, read};
    use super::*;

    #[test]
    fn softmax_and_top_k_are_scipys() {
        for row in read("top_k.json").as_array().unwrap() {
            let logits: Vec<f32> = numbers(&row["logits"]).into_iter().map(|logit| logit as f32).collect();
            let probabilities = softmax(&logits, 1.0);
            for (got, expected) in probabilities.iter().zip(numbers(&row["softmax"])) {
                assert_close(*got, expected, 1e-15);
            }
            let best = top_k(&probabilities, row["k"].as_u64().unwrap() as usize);
            let expected: Vec<f64> = best.iter().map(|&index| index as f64).collect();
            assert_eq!(expected, numbers(&row["indices"]));
        }
    }

    #[test]
    fn top_k_takes_what_is_there() {
        assert_eq!(top_k(&[0.2, 0.8], 5), [1, 0]);
        assert_eq!(top_k(&[f64::NAN, -0.0, 0.0], 3), [1, 2, 0]);
        assert!(top_k(&[], 3).is_empty());
    }

    proptest! {
        #[test]
        fn probabilities_sum_to_one(
            logits in prop::collection::vec(-1e4f32..1e4, 1..50),
            temperature in 0.05f64..20.0,
        ) {
            let probabilities = softmax(&logits, temperature);
            prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let likelihood = negative_log_likelihood(&logits, 0, temperature);
            prop_assert!((likelihood.min(700.0) + probabilities[0].max(1e-304).ln()).abs() < 1e-6 || probabilities[0] < 1e-300);
        }
    }
}
