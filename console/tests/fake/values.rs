//! What the fake agent's answers are made of.

use vigie_protocol::dataset::ImageChange;
use vigie_protocol::model::{ClassReport, Evaluation, ModelVersion, Outcome, Passport, Proportion};
use vigie_protocol::page::{Page, PageCursor, PageRequest};
use vigie_protocol::prediction::{Prediction, Scored, Timings};
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::project::{Project, ProjectSettings};
use vigie_protocol::samples::Sample;
use vigie_protocol::service::DatasetDiff;
use vigie_protocol::{Hash, ModelNumber, PredictionId, Time};

pub const CLASSES: [&str; 2] = ["owl", "猫"];

/// Five images that changed, of the class that was asked for.
pub fn changes(request: &DatasetDiff) -> Vec<ImageChange> {
    let mut change = ImageChange::sample();
    if let (Some(class), Some(to)) = (&request.class, &mut change.to) {
        to.label.clone_from(class);
    }
    (0..5u8).map(|n| ImageChange { image: Hash::of(&[n]), ..change.clone() }).collect()
}

pub fn project(name: &str) -> Project {
    Project {
        name: name.parse().expect("a name"),
        description: "Birds\x1b[2J at the feeder".to_owned(),
        created: Time::now(),
        by: "alice".to_owned(),
        settings: ProjectSettings::default(),
        generation: 1,
    }
}

pub fn prediction(name: Option<String>) -> Prediction {
    Prediction {
        id: PredictionId::new(),
        at: Time::now(),
        model: ModelNumber(1),
        weights: Hash::of(b"weights"),
        image: Hash::of(b"image"),
        picture_kept: true,
        top: vec![
            Scored { class: "owl".to_owned(), probability: 0.931 },
            Scored { class: "猫".to_owned(), probability: 0.069 },
        ],
        timings: Timings { queue: 10, decode: 400, infer: 9_000, total: 9_500 },
        by: "alice".to_owned(),
        name,
        feedback: None,
    }
}

/// A model that was tested on the ten images of its dataset version: every fourth answer of v1 is
/// wrong, every fifth of v2, and so on.
pub fn passport(model: &ModelVersion) -> Passport {
    let preprocess = PreprocessSpec::for_network(model.architecture, 96);
    let outcomes: Vec<Outcome> = (0..10u32)
        .map(|n| {
            let wrong = n % (model.number.0 + 3) == 0;
            Outcome {
                image: Hash::of(format!("{} {n}", model.dataset).as_bytes()),
                truth: n % 2,
                predicted: if wrong { 1 - n % 2 } else { n % 2 },
                confidence: 0.9,
                truth_probability: if wrong { 0.1 } else { 0.9 },
            }
        })
        .collect();
    let reports = (0..2).zip(CLASSES).map(|(class, name)| {
        let of_class = outcomes.iter().filter(|outcome| outcome.truth == class);
        let right = of_class.clone().filter(|outcome| outcome.predicted == class).count();
        let recall =
            Proportion { value: right as f64 / 5.0, low: 0.0, high: 1.0, n: of_class.count() as u64 };
        ClassReport { class: name.to_owned(), precision: recall, recall, f1: recall.value }
    });
    let classes = reports.collect();
    Passport {
        architecture: model.architecture,
        classes: CLASSES.map(str::to_owned).into(),
        preprocess_hash: preprocess.hash(),
        preprocess,
        weights: model.weights,
        dataset: model.dataset,
        manifest: Hash::of(b"manifest"),
        run: model.run,
        epoch: 1,
        temperature: 1.2,
        evaluation: Evaluation {
            dataset: model.dataset,
            manifest: Hash::of(b"manifest"),
            accuracy: model.accuracy,
            top3_accuracy: model.accuracy,
            balanced_accuracy: 0.9,
            macro_f1: 0.9,
            log_loss: 0.3,
            calibration_error: 0.02,
            calibration_error_raw: 0.05,
            classes,
            confusion: vec![vec![9, 1], vec![2, 8]],
            outcomes,
        },
        golden: Vec::new(),
        made_by: "vigie-agent 0.1.0 on cpu".to_owned(),
    }
}

/// Two rows a page, whatever is asked for: clients must follow the cursor.
pub fn page<T>(rows: Vec<T>, request: &PageRequest) -> Page<T> {
    let start = request.cursor.as_ref().map_or(0, |cursor| cursor.0.parse().expect("our own cursor"));
    let total = rows.len();
    let items: Vec<T> = rows.into_iter().skip(start).take(2.min(request.capped_limit())).collect();
    let end = start + items.len();
    Page { items, next: (end < total).then(|| PageCursor(end.to_string())) }
}
