//! From the logits of a split to an [`Evaluation`].

use vigie_protocol::Hash;
use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::model::{Evaluation, Outcome};

use super::calibration::calibration_error;
use super::confusion::Confusion;
use super::probability::{negative_log_likelihood, softmax, top_k};
use super::stats::proportion;

/// What a model answered on a split.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// The images.
    pub images: Vec<Hash>,
    /// Their true classes, as indices; as many as images.
    pub truths: Vec<u32>,
    /// Raw logits, a row per image.
    pub logits: Vec<f32>,
}

/// Measures `answers` under `temperature`; `classes` names the logits.
///
/// # Panics
/// When the parts of `answers` differ in length, or a truth is not an index into `classes`.
pub fn measure(
    dataset: DatasetRef,
    manifest: Hash,
    classes: &[String],
    answers: &Answers,
    temperature: f64,
) -> Evaluation {
    let n = answers.images.len();
    assert_eq!((answers.truths.len(), answers.logits.len()), (n, n * classes.len()), "a row for each image");

    let mut confusion = Confusion::new(classes.len());
    let mut outcomes = Vec::with_capacity(n);
    let mut calibrated = Vec::with_capacity(n);
    let mut raw = Vec::with_capacity(n);
    let mut among_three = 0;
    let mut loss = 0.0;
    for (i, row) in answers.logits.chunks_exact(classes.len().max(1)).enumerate() {
        let truth = answers.truths[i];
        let probabilities = softmax(row, temperature);
        let best = top_k(&probabilities, 3);
        let predicted = best[0];
        let right = predicted == truth as usize;

        confusion.count(truth, predicted as u32);
        among_three += u64::from(best.contains(&(truth as usize)));
        loss += negative_log_likelihood(row, truth as usize, temperature);
        calibrated.push((probabilities[predicted], right));
        raw.push((softmax(row, 1.0)[predicted], right));
        outcomes.push(Outcome {
            image: answers.images[i],
            truth,
            predicted: predicted as u32,
            confidence: probabilities[predicted] as f32,
            truth_probability: probabilities[truth as usize] as f32,
        });
    }
    Evaluation {
        dataset,
        manifest,
        accuracy: confusion.accuracy(),
        top3_accuracy: proportion(among_three, n as u64),
        balanced_accuracy: confusion.balanced_accuracy(),
        macro_f1: confusion.macro_f1(),
        log_loss: loss / n.max(1) as f64,
        calibration_error: calibration_error(calibrated),
        calibration_error_raw: calibration_error(raw),
        classes: confusion.report(classes),
        confusion: confusion.counts().to_vec(),
        outcomes,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::super::fixture::{assert_close, indices, read, rows};
    use super::*;

    #[test]
    fn evaluation_is_scikit_learns() {
        let fixture = read("classification.json");
        let names: Vec<String> = serde_json::from_value(fixture["classes"].clone()).unwrap();
        let truths = indices(&fixture["labels"]);
        let images = truths.iter().enumerate().map(|(i, _)| Hash::of(&i.to_le_bytes())).collect();
        let answers = Answers { images, truths, logits: rows(&fixture["logits"]) };
        let dataset = "reference@v1".parse().unwrap();
        let got = measure(dataset, Hash::of(b"manifest"), &names, &answers, 1.0);

        assert_close(got.accuracy.value, fixture["accuracy"].as_f64().unwrap(), 1e-12);
        assert_close(got.top3_accuracy.value, fixture["top_3_accuracy"].as_f64().unwrap(), 1e-12);
        assert_close(got.log_loss, fixture["log_loss"].as_f64().unwrap(), 1e-6);
        assert_eq!(got.calibration_error, got.calibration_error_raw);
        assert_eq!(got.outcomes.len(), 120);
        let right = got.outcomes.iter().filter(|outcome| outcome.truth == outcome.predicted).count();
        assert_eq!(right as f64, (got.accuracy.value * 120.0).round());
    }

    #[test]
    fn a_split_without_images_is_measured_as_nothing() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let dataset = "reference@v1".parse().unwrap();
        let got = measure(dataset, Hash::of(b""), &names, &Answers::default(), 1.0);
        assert_eq!((got.accuracy.n, got.log_loss), (0, 0.0));
    }
}
