//! How far confidences can be believed: temperature scaling and the expected calibration error
//! (Guo et al. 2017, arXiv:1706.04599).

use super::probability::softmax;

/// Bins of the calibration error, of equal width.
const BINS: usize = 15;

/// Temperatures that are considered.
const COLDEST: f64 = 0.05;
const HOTTEST: f64 = 20.0;

/// The temperature under which the true classes are most likely.
///
/// The loss is convex in `1 / T`, so its slope changes sign once; the change is found by bisection
/// of ln T between ln 0.05 and ln 20. When it would lie below 0.05 the split is answered without a
/// fault, which says nothing of how sure the model may be elsewhere: the answer is then 1, and so it
/// is without images.
///
/// # Panics
/// When `logits` is not `truths.len()` rows, or a truth is not an index into its row.
pub fn temperature(logits: &[f32], truths: &[u32]) -> f64 {
    let rows = Rows::new(logits, truths);
    if truths.is_empty() || rows.slope(COLDEST) <= 0.0 {
        return 1.0;
    }
    let (mut low, mut high) = (COLDEST.ln(), HOTTEST.ln());
    for _ in 0..64 {
        let middle = (low + high) / 2.0;
        // A positive slope in 1/T asks for a smaller 1/T, so a higher T.
        if rows.slope(middle.exp()) > 0.0 { low = middle } else { high = middle }
    }
    ((low + high) / 2.0).exp()
}

/// Mean distance between confidence and accuracy over 15 bins of equal width, each open below and
/// weighted by its answers; 0 without answers.
///
/// `answers` holds each answer's confidence and whether it was right.
pub fn calibration_error(answers: impl IntoIterator<Item = (f64, bool)>) -> f64 {
    let mut bins = [(0u64, 0.0f64, 0u64); BINS];
    let mut total = 0u64;
    for (confidence, right) in answers {
        let index = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let (count, sum, hits) = &mut bins[index];
        *count += 1;
        *sum += confidence;
        *hits += u64::from(right);
        total += 1;
    }
    // count/total · |sum/count − hits/count|, shortened.
    bins.iter().map(|(_, sum, hits)| (sum - *hits as f64).abs()).sum::<f64>() / total.max(1) as f64
}

struct Rows<'a> {
    logits: &'a [f32],
    truths: &'a [u32],
    classes: usize,
}

impl<'a> Rows<'a> {
    fn new(logits: &'a [f32], truths: &'a [u32]) -> Self {
        let classes = logits.len() / truths.len().max(1);
        assert_eq!(logits.len(), classes * truths.len(), "a row of logits for each truth");
        Self { logits, truths, classes }
    }

    /// Derivative of the summed loss with respect to `1 / T`: expected minus true logit.
    fn slope(&self, temperature: f64) -> f64 {
        let rows = self.logits.chunks_exact(self.classes).zip(self.truths);
        rows.map(|(logits, &truth)| {
            let truth = f64::from(logits[truth as usize]);
            let probabilities = softmax(logits, temperature);
            probabilities.iter().zip(logits).map(|(p, &logit)| p * (f64::from(logit) - truth)).sum::<f64>()
        })
        .sum()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::super::fixture::{assert_close, indices, read, rows};
    use super::super::probability::{negative_log_likelihood, top_k};
    use super::*;

    fn error_at(logits: &[f32], labels: &[u32], temperature: f64) -> f64 {
        calibration_error(logits.chunks(5).zip(labels).map(|(row, &label)| {
            let probabilities = softmax(row, temperature);
            let best = top_k(&probabilities, 1)[0];
            (probabilities[best], best == label as usize)
        }))
    }

    #[test]
    fn temperature_and_error_are_scipys() {
        let data = read("classification.json");
        let expected = read("calibration.json");
        let (labels, logits) = (indices(&data["labels"]), rows(&data["logits"]));
        let found = temperature(&logits, &labels);
        assert_close(found, expected["temperature"].as_f64().unwrap(), 1e-5);
        for (temperature, loss, error) in [(1.0, "loss", "ece"), (found, "loss_scaled", "ece_scaled")] {
            let sum: f64 = (logits.chunks(5).zip(&labels))
                .map(|(row, &label)| negative_log_likelihood(row, label as usize, temperature))
                .sum();
            assert_close(sum / labels.len() as f64, expected[loss].as_f64().unwrap(), 1e-6);
            assert_close(error_at(&logits, &labels, temperature), expected[error].as_f64().unwrap(), 1e-6);
        }
    }

    #[test]
    fn temperature_has_answers_at_the_ends() {
        assert_eq!(temperature(&[], &[]), 1.0);
        assert_eq!(temperature(&[3.0, 0.0, 0.0, 2.0], &[0, 1]), 1.0, "without a fault");
        assert_close(temperature(&[3.0, 0.0, 0.0, 2.0], &[1, 0]), HOTTEST, 1e-9);
    }

    #[test]
    fn error_counts_edges_in_the_lower_bin() {
        assert_eq!(calibration_error([]), 0.0);
        assert_eq!(calibration_error([(1.0, true), (0.0, false)]), 0.0);
        assert_close(calibration_error([(0.8, true), (0.8, false)]), 0.3, 1e-12);
    }
}
