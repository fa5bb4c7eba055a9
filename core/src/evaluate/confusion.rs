//! Confusion matrices and what follows from them, as scikit-learn defines it: an undefined ratio
//! counts as 0.

use vigie_protocol::model::{ClassReport, Proportion};

use super::stats::proportion;

/// Counts of answers by true class and answered class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// `counts[truth][predicted]`.
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// Of no answers yet.
    pub fn new(classes: usize) -> Self {
        Self { counts: vec![vec![0; classes]; classes] }
    }

    /// Counts one answer.
    ///
    /// # Panics
    /// When an index is not below the number of classes.
    pub fn count(&mut self, truth: u32, predicted: u32) {
        self.counts[truth as usize][predicted as usize] += 1;
    }

    /// `[truth][predicted]`.
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// Share of answers that are right.
    pub fn accuracy(&self) -> Proportion {
        proportion(
            self.classes().map(|class| self.right(class)).sum(),
            self.classes().map(|class| self.support(class)).sum(),
        )
    }

    /// Right among those answered as this class.
    pub fn precision(&self, class: usize) -> Proportion {
        proportion(self.right(class), self.counts.iter().map(|row| row[class]).sum())
    }

    /// Right among those that are this class.
    pub fn recall(&self, class: usize) -> Proportion {
        proportion(self.right(class), self.support(class))
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(&self, class: usize) -> f64 {
        let (precision, recall) = (self.precision(class).value, self.recall(class).value);
        if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
    }

    /// Mean F1 of all classes, those without examples included.
    pub fn macro_f1(&self) -> f64 {
        mean(self.classes().map(|class| self.f1(class)))
    }

    /// Mean recall of the classes that have examples: a class without any has no recall to balance.
    pub fn balanced_accuracy(&self) -> f64 {
        let present = self.classes().filter(|&class| self.support(class) > 0);
        mean(present.map(|class| self.recall(class).value))
    }

    /// A row for each class, in the order of `names`.
    pub fn report(&self, names: &[String]) -> Vec<ClassReport> {
        self.classes()
            .zip(names)
            .map(|(class, name)| ClassReport {
                class: name.clone(),
                precision: self.precision(class),
                recall: self.recall(class),
                f1: self.f1(class),
            })
            .collect()
    }

    fn classes(&self) -> std::ops::Range<usize> {
        0..self.counts.len()
    }

    fn right(&self, class: usize) -> u64 {
        self.counts[class][class]
    }

    fn support(&self, class: usize) -> u64 {
        self.counts[class].iter().sum()
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0u64), |(sum, n), value| (sum + value, n + 1));
    if n == 0 { 0.0 } else { sum / n as f64 }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::{Value, json};

    use super::super::fixture::{assert_close, indices, numbers, read};
    use super::*;

    fn check(labels: &[u32], answers: &[u32], expected: &Value) {
        let classes = expected["support"].as_array().unwrap().len();
        let mut confusion = Confusion::new(classes);
        labels.iter().zip(answers).for_each(|(&label, &answer)| confusion.count(label, answer));
        assert_eq!(json!(confusion.counts()), expected["confusion"]);
        let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
        for (class, row) in confusion.report(&names).iter().enumerate() {
            assert_close(row.precision.value, numbers(&expected["precision"])[class], 1e-12);
            assert_close(row.recall.value, numbers(&expected["recall"])[class], 1e-12);
            assert_close(row.f1, numbers(&expected["f1"])[class], 1e-12);
            assert_eq!(row.recall.n as f64, numbers(&expected["support"])[class]);
        }
        assert_close(confusion.accuracy().value, expected["accuracy"].as_f64().unwrap(), 1e-12);
        assert_close(confusion.macro_f1(), expected["macro"]["f1"].as_f64().unwrap(), 1e-12);
        assert_close(confusion.balanced_accuracy(), expected["balanced_accuracy"].as_f64().unwrap(), 1e-12);
    }

    #[test]
    fn report_is_scikit_learns_with_a_class_only_answered() {
        let fixture = read("absent_class.json");
        check(&indices(&fixture["labels"]), &indices(&fixture["answers"]), &fixture);
    }

    #[test]
    fn report_is_scikit_learns_with_a_class_never_answered() {
        let fixture = read("classification.json");
        let answers: Vec<u32> = fixture["probabilities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| super::super::probability::top_k(&numbers(row), 1)[0] as u32)
            .collect();
        check(&indices(&fixture["labels"]), &answers, &fixture);
    }

    #[test]
    fn of_nothing_everything_is_zero() {
        let confusion = Confusion::new(3);
        assert_eq!(confusion.accuracy().n, 0);
        assert_eq!(confusion.macro_f1(), 0.0);
        assert_eq!(confusion.balanced_accuracy(), 0.0);
    }
}
