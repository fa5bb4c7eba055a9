//! The gate: the checks a candidate passes before it may take `production`.

use std::collections::HashMap;

use vigie_protocol::model::{Evaluation, GateCheck, GateVerdict, Passport};
use vigie_protocol::preprocess::PREPROCESS_REVISION;
use vigie_protocol::{Hash, ModelNumber, Time};

use super::stats::mcnemar_mid_p;

/// Probability with which a model that is as good as production is refused by chance.
const SIGNIFICANCE: f64 = 0.05;

/// Test images that two models must share for a comparison image by image.
const ENOUGH_SHARED: usize = 30;

/// A model version as the gate sees it.
#[derive(Clone, Copy, Debug)]
pub struct Contender<'a> {
    /// Its number.
    pub number: ModelNumber,
    /// All that is known of it.
    pub passport: &'a Passport,
}

/// What became of the golden set when the candidate's weights were loaded for serving.
#[derive(Clone, Debug, PartialEq)]
pub enum GoldenResult {
    /// The engine answered every image.
    Compared {
        /// Images compared.
        images: usize,
        /// Greatest difference between a logit and the passport's.
        worst: f32,
        /// Greatest difference that is tolerated.
        tolerance: f32,
        /// Whether the engine reproduced the passport.
        reproduced: bool,
    },
    /// The engine could not be loaded or an image could not be answered: why.
    Failed(String),
}

/// What a verdict rests on.
#[derive(Clone, Debug)]
pub struct GateInput<'a> {
    /// Who asks.
    pub candidate: Contender<'a>,
    /// Who holds the alias.
    pub production: Option<Contender<'a>>,
    /// Whether the candidate says on this machine what it said when it was registered.
    pub golden: &'a GoldenResult,
    /// When.
    pub at: Time,
}

/// Judges a candidate. Every check is made, also after one has failed.
pub fn verdict(input: &GateInput<'_>) -> GateVerdict {
    let candidate = input.candidate.passport;
    let mut checks = vec![golden_set(input.golden), preprocess_hash(candidate)];
    if let Some(production) = input.production {
        checks.push(classes(candidate, production));
    }
    checks.push(match input.production {
        Some(production) => against(candidate, production),
        None => against_chance(candidate),
    });
    GateVerdict {
        candidate: input.candidate.number,
        against: input.production.map(|production| production.number),
        checks,
        at: input.at,
    }
}

fn check(name: &str, passed: bool, detail: String) -> GateCheck {
    GateCheck { name: name.to_owned(), passed, detail }
}

fn golden_set(result: &GoldenResult) -> GateCheck {
    let name = "golden-set";
    match result {
        GoldenResult::Failed(why) => {
            check(name, false, format!("the golden set could not be answered: {why}"))
        }
        GoldenResult::Compared { images: 0, .. } => {
            check(name, false, "the passport has no golden images; evaluate the run again".to_owned())
        }
        GoldenResult::Compared { images, worst, tolerance, reproduced } => {
            let verb = if *reproduced { "reproduces" } else { "does not reproduce" };
            let detail = format!(
                "this machine {verb} the answers to {images} golden images: \
                 logits differ by at most {worst:.2e}, {tolerance:.0e} is tolerated"
            );
            check(name, *reproduced, detail)
        }
    }
}

fn preprocess_hash(passport: &Passport) -> GateCheck {
    let found = passport.preprocess.hash();
    let revision = passport.preprocess.revision;
    let (passed, detail) = if found != passport.preprocess_hash {
        let expected = passport.preprocess_hash.short();
        let found = found.short();
        (
            false,
            format!("trained with preprocessing {expected}, would be served with {found}; train it again"),
        )
    } else if revision != PREPROCESS_REVISION {
        let ours = PREPROCESS_REVISION;
        (
            false,
            format!(
                "trained with revision {revision} of preprocessing, this agent has {ours}; train it again"
            ),
        )
    } else {
        (true, format!("trained and served with the same preprocessing, {}", found.short()))
    };
    check("preprocess-hash", passed, detail)
}

fn classes(candidate: &Passport, production: Contender<'_>) -> GateCheck {
    let known = &production.passport.classes;
    let number = production.number;
    let missing: Vec<&str> =
        known.iter().filter(|class| !candidate.classes.contains(class)).map(String::as_str).collect();
    let detail = if missing.is_empty() {
        format!(
            "knows all {} classes of production ({number}), {} in all",
            known.len(),
            candidate.classes.len()
        )
    } else {
        let shown = missing[..missing.len().min(10)].join(", ");
        let more = if missing.len() > 10 { ", …" } else { "" };
        format!("lacks {} of production's ({number}) {} classes: {shown}{more}", missing.len(), known.len())
    };
    check("classes", missing.is_empty(), detail)
}

/// Against the best that can be said without a look at the images: always the same class, the most
/// frequent one.
fn against_chance(passport: &Passport) -> GateCheck {
    let Evaluation { accuracy, confusion, .. } = &passport.evaluation;
    let largest = confusion.iter().map(|of_class| of_class.iter().sum::<u64>()).max().unwrap_or(0);
    let one_of = 1.0 / passport.classes.len().max(1) as f64;
    let chance = one_of.max(largest as f64 / accuracy.n.max(1) as f64);
    let passed = accuracy.low > chance;
    let detail = format!(
        "{accuracy} right on the test split, {} always saying the most frequent of its {} classes ({:.1} %); \
         nothing is in production yet",
        if passed { "better than" } else { "not clearly better than" },
        passport.classes.len(),
        chance * 100.0,
    );
    check("test-accuracy", passed, detail)
}

fn against(candidate: &Passport, production: Contender<'_>) -> GateCheck {
    let shared = Shared::of(candidate, production.passport);
    if shared.images >= ENOUGH_SHARED && shared.images * 2 > candidate.evaluation.outcomes.len() {
        paired(&shared, production.number)
    } else {
        unpaired(&candidate.evaluation, &shared, production)
    }
}

/// One-sided McNemar on the images both were tested on: far sharper than two intervals.
fn paired(shared: &Shared, production: ModelNumber) -> GateCheck {
    let Shared { images, both, only_candidate, only_production } = *shared;
    // One side of the symmetric test, and that only when the candidate is the worse one.
    let p = mcnemar_mid_p(only_candidate, only_production) / 2.0;
    let worse = only_candidate < only_production;
    let passed = !(worse && p < SIGNIFICANCE);
    let share = |right: u64| 100.0 * right as f64 / images as f64;
    let odds = if worse {
        format!(
            "; equally good models differ this much or more with p = {p:.3}, below {SIGNIFICANCE} is clear"
        )
    } else {
        String::new()
    };
    let detail = format!(
        "{} production ({production}) on the {images} test images both were judged on: {:.1} % against {:.1} % right, \
         {only_candidate} only by the candidate, {only_production} only by production{odds}",
        if passed { "not clearly below" } else { "clearly below" },
        share(both + only_candidate),
        share(both + only_production),
    );
    check("test-accuracy", passed, detail)
}

fn unpaired(candidate: &Evaluation, shared: &Shared, production: Contender<'_>) -> GateCheck {
    let (ours, theirs) = (candidate.accuracy, production.passport.evaluation.accuracy);
    // Without a test image of its own a candidate has the whole range as interval: that proves nothing.
    let passed = ours.n > 0 && ours.high >= theirs.low;
    let detail = format!(
        "{ours} right against {theirs} of production ({}) on other test images ({} shared): the intervals {}",
        production.number,
        shared.images,
        match (passed, ours.low > theirs.high) {
            (false, _) => "say that the candidate is worse",
            (true, true) => "say that the candidate is better",
            (true, false) => "overlap",
        },
    );
    check("test-accuracy", passed, detail)
}

/// Test images that both models were judged on, by who was right.
struct Shared {
    images: usize,
    both: u64,
    only_candidate: u64,
    only_production: u64,
}

impl Shared {
    /// Truth is what the candidate's dataset says, which is the newer one: a label corrected since
    /// must not count against the model that already answered rightly.
    fn of(candidate: &Passport, production: &Passport) -> Self {
        let name = |passport: &'_ Passport, class: u32| passport.classes.get(class as usize).cloned();
        let theirs: HashMap<Hash, u32> =
            production.evaluation.outcomes.iter().map(|outcome| (outcome.image, outcome.predicted)).collect();
        let mut shared = Self { images: 0, both: 0, only_candidate: 0, only_production: 0 };
        for outcome in &candidate.evaluation.outcomes {
            let Some(&answer) = theirs.get(&outcome.image) else { continue };
            shared.images += 1;
            let ours_right = outcome.predicted == outcome.truth;
            let theirs_right = name(production, answer) == name(candidate, outcome.truth);
            match (ours_right, theirs_right) {
                (true, true) => shared.both += 1,
                (true, false) => shared.only_candidate += 1,
                (false, true) => shared.only_production += 1,
                (false, false) => {}
            }
        }
        shared
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use vigie_protocol::RunId;
    use vigie_protocol::model::{Architecture, Outcome};
    use vigie_protocol::preprocess::{Interpolation, PreprocessSpec};

    use super::super::confusion::Confusion;
    use super::*;

    const REPRODUCED: GoldenResult =
        GoldenResult::Compared { images: 16, worst: 1e-5, tolerance: 1e-3, reproduced: true };

    /// A model of `classes` with images `first..first + right.len()`, all of class 0.
    fn passport(classes: &[&str], first: usize, right: &[bool]) -> Passport {
        let answers: Vec<(u32, u32)> = right.iter().map(|&right| (0, u32::from(!right))).collect();
        answering(classes, first, &answers)
    }

    /// A model of `classes` with images `first..first + answers.len()`: the true class of each, and the
    /// one it says.
    fn answering(classes: &[&str], first: usize, answers: &[(u32, u32)]) -> Passport {
        let preprocess = PreprocessSpec {
            revision: PREPROCESS_REVISION,
            resize: 96,
            crop: 96,
            interpolation: Interpolation::Bilinear,
            mean: [127.0; 3],
            std: [128.0; 3],
        };
        let mut confusion = Confusion::new(classes.len());
        let outcomes: Vec<Outcome> = answers
            .iter()
            .enumerate()
            .map(|(i, &(truth, predicted))| {
                confusion.count(truth, predicted);
                let image = Hash::of(&(first + i).to_le_bytes());
                Outcome { image, truth, predicted, confidence: 0.9, truth_probability: 0.5 }
            })
            .collect();
        Passport {
            architecture: Architecture::EfficientnetLite0,
            classes: classes.iter().map(|&class| class.to_owned()).collect(),
            preprocess_hash: preprocess.hash(),
            preprocess,
            weights: Hash::of(b"weights"),
            dataset: "reference@v1".parse().unwrap(),
            manifest: Hash::of(b"manifest"),
            run: RunId::new(),
            epoch: 1,
            temperature: 1.0,
            evaluation: Evaluation {
                dataset: "reference@v1".parse().unwrap(),
                manifest: Hash::of(b"manifest"),
                accuracy: confusion.accuracy(),
                top3_accuracy: confusion.accuracy(),
                balanced_accuracy: 0.0,
                macro_f1: 0.0,
                log_loss: 0.0,
                calibration_error: 0.0,
                calibration_error_raw: 0.0,
                classes: Vec::new(),
                confusion: confusion.counts().to_vec(),
                outcomes,
            },
            golden: Vec::new(),
            made_by: String::new(),
        }
    }

    fn right(n: usize, right: usize) -> Vec<bool> {
        (0..n).map(|i| i < right).collect()
    }

    fn judge(candidate: &Passport, production: Option<&Passport>, golden: &GoldenResult) -> GateVerdict {
        verdict(&GateInput {
            candidate: Contender { number: ModelNumber(2), passport: candidate },
            production: production.map(|passport| Contender { number: ModelNumber(1), passport }),
            golden,
            at: Time::from_micros(0),
        })
    }

    fn failed(verdict: &GateVerdict) -> Vec<&str> {
        verdict.checks.iter().filter(|check| !check.passed).map(|check| check.name.as_str()).collect()
    }

    #[test]
    fn the_first_model_must_beat_a_guess() {
        // Images of each class, and how many of them are answered rightly.
        for (of_class, right, passes) in [
            ([100, 100], [85, 85], true),
            ([100, 100], [55, 55], false),
            ([100, 100], [10, 10], false),
            ([100, 100], [100, 0], false),
            ([190, 10], [190, 0], false), // 95 %, by saying one class for everything
            ([190, 10], [190, 4], false),
            ([190, 10], [190, 9], true),
            ([2, 1], [2, 1], false),
            ([0, 0], [0, 0], false),
        ] {
            let answers: Vec<(u32, u32)> = [0, 1]
                .into_iter()
                .flat_map(|class| {
                    let said = move |i| if i < right[class] { class } else { 1 - class };
                    (0..of_class[class]).map(move |i| (class as u32, said(i) as u32))
                })
                .collect();
            let verdict = judge(&answering(&["a", "b"], 0, &answers), None, &REPRODUCED);
            assert_eq!(verdict.passed(), passes, "{right:?} of {of_class:?}: {verdict:?}");
            assert_eq!(verdict.against, None);
        }
        let constant = judge(&passport(&["a", "b", "c"], 0, &right(40, 40)), None, &REPRODUCED);
        let detail = &constant.checks.last().unwrap().detail;
        assert!(detail.contains("the most frequent of its 3 classes (100.0 %)"), "{detail}");
    }

    #[test]
    fn same_images_are_compared_pairwise() {
        let production = passport(&["a", "b"], 0, &right(225, 190));
        for (candidate, passes) in
            [(225, true), (190, true), (188, true), (187, true), (186, false), (150, false)]
        {
            let verdict =
                judge(&passport(&["a", "b"], 0, &right(225, candidate)), Some(&production), &REPRODUCED);
            assert_eq!(verdict.passed(), passes, "{candidate}: {verdict:?}");
            let detail = &verdict.checks.last().unwrap().detail;
            assert!(detail.contains("225 test images both"), "{detail}");
        }
    }

    #[test]
    fn other_images_are_compared_by_intervals() {
        let production = passport(&["a", "b"], 0, &right(225, 190));
        for (first, candidate, passes) in
            [(1000, 180, true), (1000, 150, false), (200, 175, true), (200, 140, false)]
        {
            let candidate = passport(&["a", "b"], first, &right(225, candidate));
            let verdict = judge(&candidate, Some(&production), &REPRODUCED);
            assert_eq!(verdict.passed(), passes, "{verdict:?}");
            assert!(verdict.checks.last().unwrap().detail.contains("intervals"), "{verdict:?}");
        }
        let untested = judge(&passport(&["a", "b"], 0, &[]), Some(&production), &REPRODUCED);
        assert_eq!(failed(&untested), ["test-accuracy"]);
    }

    #[test]
    fn classes_are_compared_by_name_and_none_may_go() {
        let production = passport(&["b", "a"], 0, &right(100, 90));
        // Class 0 is now `a`, which production answered 10 times.
        let candidate = passport(&["a", "b", "c"], 0, &right(100, 95));
        let verdict = judge(&candidate, Some(&production), &REPRODUCED);
        assert!(verdict.passed(), "{verdict:?}");
        assert!(verdict.checks.last().unwrap().detail.contains("95.0 % against 10.0 %"), "{verdict:?}");

        let verdict = judge(&passport(&["a", "c"], 0, &right(100, 95)), Some(&production), &REPRODUCED);
        assert_eq!(failed(&verdict), ["classes"]);
    }

    #[test]
    fn golden_set_and_preprocessing_are_checked() {
        let answers: Vec<(u32, u32)> = (0..100).map(|i| (i % 2, if i < 90 { i % 2 } else { 2 })).collect();
        let good = answering(&["a", "b", "c"], 0, &answers);
        let off = GoldenResult::Compared { images: 16, worst: 0.5, tolerance: 1e-3, reproduced: false };
        assert_eq!(failed(&judge(&good, None, &off)), ["golden-set"]);
        let none = GoldenResult::Compared { images: 0, worst: 0.0, tolerance: 1e-3, reproduced: true };
        assert_eq!(failed(&judge(&good, None, &none)), ["golden-set"]);
        let broken = GoldenResult::Failed("weights do not fit".to_owned());
        assert_eq!(failed(&judge(&good, None, &broken)), ["golden-set"]);

        let mut changed = good.clone();
        changed.preprocess.crop = 64;
        assert_eq!(failed(&judge(&changed, None, &REPRODUCED)), ["preprocess-hash"]);
        let mut older = good.clone();
        older.preprocess.revision = PREPROCESS_REVISION + 1;
        older.preprocess_hash = older.preprocess.hash();
        assert_eq!(failed(&judge(&older, None, &REPRODUCED)), ["preprocess-hash"]);
    }
}
