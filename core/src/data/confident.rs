//! Confident learning: which labels contradict a classifier that is sure of itself (Northcutt, Jiang &
//! Chuang 2021, doi:10.1613/jair.1.12125).
//!
//! Each class has a threshold: the mean probability that images labelled so are given for it. An image
//! counts for the class whose threshold it reaches (the likeliest, if it reaches several). Where that is
//! not its label, the label is a candidate for an error. The probabilities must be out of sample:
//! a classifier that learnt from a wrong label repeats it.

/// Two probabilities that differ by less are the same.
const SAME: f64 = 1e-6;
/// A threshold is at least this, so that it means something.
const LOWEST_THRESHOLD: f64 = 2.0 * SAME;

/// What became of a set of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Confident {
    /// The threshold of each class; nothing for a class that no image is labelled.
    pub thresholds: Vec<Option<f64>>,
    /// `joint[label][class]`: images of a label that count for a class.
    pub joint: Vec<Vec<u64>>,
    /// Labels that may be wrong, the least credible first.
    pub candidates: Vec<Candidate>,
}

/// A label that may be wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Which row.
    pub row: usize,
    /// The likeliest class.
    pub suggested: usize,
    /// Normalised margin: (probability of the label − that of the best other class + 1) / 2; below 0.5
    /// another class is likelier.
    pub score: f64,
}

/// Looks for labels that may be wrong. `probabilities` has a row of `classes` for each label, each
/// summing to 1.
///
/// # Panics
/// When the lengths do not fit, or a label is not below `classes`.
pub fn find_issues(labels: &[u32], probabilities: &[f32], classes: usize) -> Confident {
    assert_eq!(probabilities.len(), labels.len() * classes, "a row of probabilities for each label");
    let rows = || labels.iter().map(|&label| label as usize).zip(probabilities.chunks_exact(classes.max(1)));

    let (mut sums, mut counts) = (vec![0.0; classes], vec![0u64; classes]);
    for (label, row) in rows() {
        sums[label] += f64::from(row[label]);
        counts[label] += 1;
    }
    let thresholds: Vec<Option<f64>> = sums
        .into_iter()
        .zip(counts)
        .map(|(sum, count)| (count > 0).then(|| (sum / count as f64).max(LOWEST_THRESHOLD)))
        .collect();

    let mut joint = vec![vec![0u64; classes]; classes];
    let mut candidates = Vec::new();
    for (number, (label, row)) in rows().enumerate() {
        let likeliest = likeliest(row);
        let reaches = |class: &usize| {
            thresholds[*class].is_some_and(|threshold| f64::from(row[*class]) >= threshold - SAME)
        };
        let mut reached = (0..classes).filter(reaches);
        let class = match (reached.next(), reached.next()) {
            (None, _) => continue,
            (Some(class), None) => class,
            (Some(_), Some(_)) => likeliest,
        };
        joint[label][class] += 1;
        // Where the label is the likeliest class, what it fails is only its own high threshold.
        if class != label && f64::from(row[likeliest]) > f64::from(row[label]) + SAME {
            candidates.push(Candidate { row: number, suggested: likeliest, score: margin(row, label) });
        }
    }
    candidates.sort_by(|a, b| a.score.total_cmp(&b.score).then(a.row.cmp(&b.row)));
    Confident { thresholds, joint, candidates }
}

/// The likeliest class; the first of equals.
fn likeliest(row: &[f32]) -> usize {
    let mut best = 0;
    for (class, probability) in row.iter().enumerate() {
        if *probability > row[best] {
            best = class;
        }
    }
    best
}

fn margin(row: &[f32], label: usize) -> f64 {
    let others = row.iter().enumerate().filter(|(class, _)| *class != label).map(|(_, &p)| f64::from(p));
    (f64::from(row[label]) - others.fold(0.0, f64::max) + 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        name: String,
        classes: usize,
        labels: Vec<u32>,
        probabilities: Vec<Vec<f32>>,
        thresholds: Vec<f64>,
        joint: Vec<Vec<u64>>,
        issues: Vec<usize>,
        scores: Vec<f64>,
    }

    #[test]
    fn candidates_are_cleanlabs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/confident/cleanlab.json");
        let text = std::fs::read_to_string(path).expect("the fixture");
        let cases: Vec<Case> = serde_json::from_str(&text).expect("the fixture's form");
        assert!(cases.len() >= 4 && cases.iter().any(|case| case.issues.len() > 10));
        for case in cases {
            let name = &case.name;
            let found = find_issues(&case.labels, &case.probabilities.concat(), case.classes);
            for (class, expected) in case.thresholds.iter().enumerate() {
                // cleanlab's threshold of a class without labels is 2, which nothing reaches.
                let threshold = found.thresholds[class].unwrap_or(2.0);
                assert!((threshold - expected).abs() < 1e-9, "{name}: class {class}: {threshold}");
            }
            assert_eq!(found.joint, case.joint, "{name}");
            let rows: Vec<usize> = found.candidates.iter().map(|candidate| candidate.row).collect();
            assert_eq!(rows, case.issues, "{name}");
            for (candidate, expected) in found.candidates.iter().zip(&case.scores) {
                assert!((candidate.score - expected).abs() < 1e-7, "{name}: {candidate:?} {expected}");
            }
        }
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        let found = find_issues(&[], &[], 3);
        assert!(found.candidates.is_empty() && found.thresholds == [None; 3]);
        assert!(find_issues(&[], &[], 0).candidates.is_empty());
        // One class cannot be wrong.
        assert!(find_issues(&[0, 0], &[1.0, 1.0], 1).candidates.is_empty());
    }
}
