//! Two model versions, by what each did on its held-out test split.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vigie_protocol::Hash;
use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::model::{ClassReport, Outcome, Passport, Proportion};

use super::mcnemar::mcnemar_exact;

/// How a candidate does beside another model version, its base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The candidate on its own test split.
    pub candidate: Overall,
    /// The base on its own test split.
    pub base: Overall,
    /// Whether those are the same images.
    pub overlap: Overlap,
    /// Both, image by image, on the images that both were tested on.
    pub paired: Paired,
    /// Every class of either: first those on which the candidate lost most, last those that one of
    /// the two was not tested on.
    pub classes: Vec<ClassComparison>,
}

/// What a model did on its own test split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overall {
    /// The dataset version whose test split it was.
    pub dataset: DatasetRef,
    /// Images of which the outcome is known.
    pub images: u64,
    /// Share of them that were right, with its 95 % Wilson interval.
    pub accuracy: Proportion,
    /// Mean negative log-likelihood, calibrated, in nats.
    pub log_loss: f64,
    /// Expected calibration error, 0–1.
    pub calibration_error: f64,
}

/// How many images two test splits share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// All: every difference is the models'.
    Same,
    /// Some: overall figures and those of the classes are of different images too.
    Partial,
    /// None: no figure of one model is of an image that the other was tested on.
    None,
}

/// Images that both models were tested on, by who was right. A class goes by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Both were right.
    pub both: u64,
    /// Only the candidate.
    pub only_candidate: u64,
    /// Only the base.
    pub only_base: u64,
    /// Neither.
    pub neither: u64,
    /// Images among these that had another label when the base was tested. The label that counts
    /// for both models is the candidate's, as in the gate.
    pub relabelled: u64,
    /// The two-sided p value of McNemar's exact test; absent when there are no such images.
    pub p_value: Option<f64>,
}

impl Paired {
    /// How many images there are.
    pub fn images(&self) -> u64 {
        self.both + self.only_candidate + self.only_base + self.neither
    }
}

/// One class in both models' reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassComparison {
    /// The class.
    pub class: String,
    /// The candidate's recall with its 95 % Wilson interval and n; absent when it does not know the
    /// class.
    pub candidate: Option<Proportion>,
    /// The base's.
    pub base: Option<Proportion>,
    /// The candidate's recall less the base's; absent when one of them was tested on no such image.
    pub difference: Option<f64>,
}

/// Compares two model versions of one project.
pub fn compare(candidate: &Passport, base: &Passport) -> Comparison {
    let (ours, theirs) = (outcomes(candidate), outcomes(base));
    let paired = paired(
        &Tested { passport: candidate, outcomes: &ours },
        &Tested { passport: base, outcomes: &theirs },
    );
    let shared = paired.images();
    Comparison {
        candidate: overall(candidate, &ours),
        base: overall(base, &theirs),
        overlap: match shared {
            0 => Overlap::None,
            n if n == ours.len() as u64 && n == theirs.len() as u64 => Overlap::Same,
            _ => Overlap::Partial,
        },
        paired,
        classes: classes(&candidate.evaluation.classes, &base.evaluation.classes),
    }
}

/// Outcomes by image.
type Outcomes<'a> = BTreeMap<Hash, &'a Outcome>;

fn outcomes(passport: &Passport) -> Outcomes<'_> {
    passport.evaluation.outcomes.iter().map(|outcome| (outcome.image, outcome)).collect()
}

fn overall(passport: &Passport, outcomes: &Outcomes<'_>) -> Overall {
    let evaluation = &passport.evaluation;
    Overall {
        dataset: evaluation.dataset,
        images: outcomes.len() as u64,
        accuracy: evaluation.accuracy,
        log_loss: evaluation.log_loss,
        calibration_error: evaluation.calibration_error,
    }
}

struct Tested<'a> {
    passport: &'a Passport,
    outcomes: &'a Outcomes<'a>,
}

impl Tested<'_> {
    fn class(&self, index: u32) -> Option<&str> {
        self.passport.classes.get(usize::try_from(index).ok()?).map(String::as_str)
    }
}

fn paired(candidate: &Tested<'_>, base: &Tested<'_>) -> Paired {
    let mut paired = Paired::default();
    for (image, ours) in candidate.outcomes {
        let Some(theirs) = base.outcomes.get(image) else { continue };
        let truth = candidate.class(ours.truth);
        // A class that a passport has no name for is nobody's right answer.
        let right = |answer: Option<&str>| answer.is_some() && answer == truth;
        match (right(candidate.class(ours.predicted)), right(base.class(theirs.predicted))) {
            (true, true) => paired.both += 1,
            (true, false) => paired.only_candidate += 1,
            (false, true) => paired.only_base += 1,
            (false, false) => paired.neither += 1,
        }
        paired.relabelled += u64::from(base.class(theirs.truth) != truth);
    }
    let compared = paired.images() > 0;
    paired.p_value = compared.then(|| mcnemar_exact(paired.only_candidate, paired.only_base));
    paired
}

fn classes(candidate: &[ClassReport], base: &[ClassReport]) -> Vec<ClassComparison> {
    let recalls = |reports: &[ClassReport]| -> BTreeMap<String, Proportion> {
        reports.iter().map(|report| (report.class.clone(), report.recall)).collect()
    };
    let (ours, theirs) = (recalls(candidate), recalls(base));
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let mut classes: Vec<ClassComparison> = names
        .into_iter()
        .map(|class| {
            let (candidate, base) = (ours.get(class).copied(), theirs.get(class).copied());
            let tested = |recall: Option<Proportion>| recall.filter(|recall| recall.n > 0);
            let difference =
                tested(candidate).zip(tested(base)).map(|(ours, theirs)| ours.value - theirs.value);
            ClassComparison { class: class.clone(), candidate, base, difference }
        })
        .collect();
    // A stable sort: equal ones stay in the order of their names.
    classes.sort_by(|a, b| match (a.difference, b.difference) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
    classes
}

#[cfg(test)]
mod tests {
    use vigie_protocol::samples::Sample;

    use super::*;

    fn proportion(right: u64, n: u64) -> Proportion {
        Proportion { value: right as f64 / n.max(1) as f64, low: 0.0, high: 1.0, n }
    }

    /// A passport with these classes; each outcome is an image's number, its class and the answer.
    fn passport(classes: &[&str], outcomes: &[(u8, u32, u32)]) -> Passport {
        let mut passport = Passport::sample();
        passport.classes = classes.iter().map(|&class| class.to_owned()).collect();
        passport.evaluation.outcomes = outcomes
            .iter()
            .map(|&(n, truth, predicted)| Outcome {
                image: Hash::of(&[n]),
                truth,
                predicted,
                confidence: 0.5,
                truth_probability: 0.5,
            })
            .collect();
        passport
    }

    fn recalls(passport: &mut Passport, recalls: &[(&str, u64, u64)]) {
        let row = |&(class, right, n): &(&str, u64, u64)| ClassReport {
            class: class.to_owned(),
            precision: proportion(0, 0),
            recall: proportion(right, n),
            f1: 0.0,
        };
        passport.evaluation.classes = recalls.iter().map(row).collect();
    }

    #[test]
    fn shared_images_are_counted_pairwise() {
        // The base has its classes in another order, and lacks one.
        let candidate = passport(
            &["jay", "owl", "kite"],
            &[(1, 0, 0), (2, 1, 1), (3, 1, 0), (4, 2, 2), (5, 0, 1), (6, 1, 1)],
        );
        let base =
            passport(&["owl", "jay"], &[(1, 1, 1), (2, 0, 1), (3, 0, 0), (4, 0, 0), (5, 1, 0), (9, 0, 0)]);
        let Comparison { candidate: ours, base: theirs, overlap, paired, .. } = compare(&candidate, &base);
        assert_eq!(
            paired,
            Paired {
                both: 1,
                only_candidate: 2,
                only_base: 1,
                neither: 1,
                // Image 4 was an owl once.
                relabelled: 1,
                p_value: Some(1.0),
            }
        );
        assert_eq!((paired.images(), overlap, ours.images, theirs.images), (5, Overlap::Partial, 6, 6));
    }

    #[test]
    fn how_much_is_shared_is_said() {
        let all: Vec<_> = (0..9).map(|n| (n, 0, 0)).collect();
        for (ours, theirs, overlap, p) in [
            (&all[..], &all[..], Overlap::Same, Some(1.0)),
            (&all[..5], &all[..], Overlap::Partial, Some(1.0)),
            (&all[..], &all[..5], Overlap::Partial, Some(1.0)),
            (&all[..5], &all[5..], Overlap::None, None),
            (&[][..], &[][..], Overlap::None, None),
        ] {
            let comparison = compare(&passport(&["owl"], ours), &passport(&["owl"], theirs));
            assert_eq!((comparison.overlap, comparison.paired.p_value), (overlap, p));
        }
        // An image that is listed twice is one image.
        let twice = [&all[..], &all[..1]].concat();
        assert_eq!(compare(&passport(&["owl"], &twice), &passport(&["owl"], &all)).overlap, Overlap::Same);
    }

    #[test]
    fn an_answer_without_a_name_is_not_right() {
        let comparison = compare(&passport(&[], &[(1, 7, 7)]), &passport(&[], &[(1, 7, 7)]));
        assert_eq!((comparison.paired.neither, comparison.paired.both), (1, 0));
    }

    #[test]
    fn the_worst_classes_come_first() {
        let (mut candidate, mut base) = (passport(&[], &[]), passport(&[], &[]));
        recalls(
            &mut candidate,
            &[("jay", 9, 10), ("owl", 5, 10), ("new", 1, 2), ("kite", 5, 10), ("rare", 0, 0)],
        );
        recalls(
            &mut base,
            &[("owl", 16, 20), ("jay", 8, 10), ("gone", 1, 1), ("kite", 5, 10), ("rare", 1, 1)],
        );
        let classes = compare(&candidate, &base).classes;
        let rows: Vec<_> = classes
            .iter()
            .map(|row| {
                let n = |recall: Option<Proportion>| recall.map(|recall| recall.n);
                (
                    row.class.as_str(),
                    row.difference.map(|d| (d * 10.0).round()),
                    n(row.candidate),
                    n(row.base),
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("owl", Some(-3.0), Some(10), Some(20)),
                ("kite", Some(0.0), Some(10), Some(10)),
                ("jay", Some(1.0), Some(10), Some(10)),
                ("gone", None, None, Some(1)),
                ("new", None, Some(2), None),
                ("rare", None, Some(0), Some(1)),
            ]
        );
    }
}
