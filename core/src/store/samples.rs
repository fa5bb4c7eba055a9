//! Sample rows for this room's tests.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::Path;

use uuid::{NoContext, Timestamp, Uuid};
use vigie_protocol::dataset::{
    ChangeSet, ChangeSetState, DatasetImage, DatasetRef, Decision, Lineage, Quality, Split, SplitCounts,
};
use vigie_protocol::exchange::ManifestFormat;
use vigie_protocol::import::ImportOptions;
use vigie_protocol::job::{ImportSource, Job, JobSpec, JobState, Progress};
use vigie_protocol::label_check::LabelCheck;
use vigie_protocol::model::{Architecture, Evaluation, Golden, Passport, Proportion};
use vigie_protocol::prediction::{Prediction, Scored, Timings};
use vigie_protocol::preprocess::{Interpolation, PREPROCESS_REVISION, PreprocessSpec};
use vigie_protocol::project::Project;
use vigie_protocol::review::FindingCounts;
use vigie_protocol::run::{Recipe, Run, RunState};
use vigie_protocol::{ChangeSetId, Hash, JobId, ModelNumber, ProjectName, RunId, Time};

use super::catalog::ModelDraft;
use super::label_report::{self, LabelReport};
use super::manifest::Manifest;
use super::{Blobs, PredictionLog, State};

pub(super) fn at(seconds: i64) -> Time {
    Time::from_micros(seconds * 1_000_000)
}

pub(super) fn name(text: &str) -> ProjectName {
    text.parse().unwrap()
}

pub(super) fn project(text: &str) -> Project {
    Project::new(name(text), at(1), "ada")
}

pub(super) fn decision(seconds: i64) -> Decision {
    Decision { at: at(seconds), by: "ada".to_owned(), reason: None }
}

pub(super) fn change_set(project: &str, lineage: Lineage, base: Option<u32>) -> ChangeSet {
    let id = ChangeSetId::new();
    ChangeSet {
        id,
        project: name(project),
        lineage,
        base,
        state: ChangeSetState::Proposed,
        origin: "import of birds.zip".to_owned(),
        created: at(2),
        by: "ada".to_owned(),
        manifest: Hash::of(id.to_string().as_bytes()),
        classes: BTreeMap::new(),
        result: BTreeMap::from([("owl".to_owned(), SplitCounts { train: 7, valid: 2, test: 1 })]),
        bytes: 1_000,
        unchanged: 0,
        duplicates: 0,
        quarantine: Vec::new(),
        quarantined: 0,
        renames: Vec::new(),
        window: None,
        findings: FindingCounts::default(),
        left: BTreeMap::new(),
        accepted_as: None,
        decided: None,
        generation: 0,
    }
}

pub(super) fn job(project: Option<&str>) -> Job {
    Job {
        id: JobId::new(),
        project: project.map(name),
        spec: JobSpec::Gc { dry_run: true },
        after: Vec::new(),
        state: JobState::Queued,
        waits_for: Vec::new(),
        progress: Progress::default(),
        attempts: 0,
        outcome: None,
        failure: None,
        created: at(3),
        started: None,
        finished: None,
        by: "ada".to_owned(),
        worker_pid: None,
        generation: 1,
    }
}

fn preprocess() -> PreprocessSpec {
    PreprocessSpec {
        revision: PREPROCESS_REVISION,
        resize: 256,
        crop: 224,
        interpolation: Interpolation::Bicubic,
        mean: [127.0; 3],
        std: [128.0; 3],
    }
}

pub(super) fn run() -> Run {
    Run {
        id: RunId::new(),
        job: JobId::new(),
        dataset: DatasetRef { lineage: Lineage::Reference, number: 1 },
        manifest: Hash::of(b"manifest"),
        recipe: Recipe::default(),
        preprocess: preprocess(),
        state: RunState::Running,
        created: at(4),
        by: "ada".to_owned(),
        epochs: Vec::new(),
        best_epoch: None,
        resumed: 0,
    }
}

pub(super) fn model(run: RunId) -> ModelDraft {
    ModelDraft {
        passport: Hash::of(b"passport"),
        weights: Hash::of(b"weights"),
        architecture: Architecture::EfficientnetLite0,
        classes: 10,
        dataset: DatasetRef { lineage: Lineage::Reference, number: 1 },
        run,
        accuracy: Proportion { value: 0.9, low: 0.8, high: 0.95, n: 100 },
        created: at(6),
        by: "ada".to_owned(),
    }
}

pub(super) fn prediction(micros: i64, model: u32, class: &str, confidence: f32) -> Prediction {
    let at = Time::from_micros(micros);
    let stamp = Timestamp::from_unix(NoContext, u64::try_from(micros / 1_000_000).unwrap(), 0);
    let best = Scored { class: class.to_owned(), probability: confidence };
    let next = |n: u32| Scored { class: format!("class-{n}"), probability: 0.01 };
    Prediction {
        id: Uuid::new_v7(stamp).into(),
        at,
        model: ModelNumber(model),
        weights: Hash::of(b"weights"),
        image: Hash::of(&micros.to_le_bytes()),
        picture_kept: false,
        top: [best].into_iter().chain((0..4).map(next)).collect(),
        timings: Timings { queue: 10, decode: 20, infer: 30, total: 60 },
        by: "ada".to_owned(),
        name: None,
        feedback: None,
    }
}

/// A model's passport with one golden image.
pub(super) fn passport(run: RunId, weights: Hash, golden: Hash) -> Passport {
    let proportion = Proportion { value: 0.9, low: 0.8, high: 0.95, n: 100 };
    let dataset = DatasetRef { lineage: Lineage::Reference, number: 1 };
    Passport {
        architecture: Architecture::EfficientnetLite0,
        classes: vec!["owl".to_owned()],
        preprocess_hash: preprocess().hash(),
        preprocess: preprocess(),
        weights,
        dataset,
        manifest: Hash::of(b"manifest"),
        run,
        epoch: 1,
        temperature: 1.0,
        evaluation: Evaluation {
            dataset,
            manifest: Hash::of(b"manifest"),
            accuracy: proportion,
            top3_accuracy: proportion,
            balanced_accuracy: 0.9,
            macro_f1: 0.9,
            log_loss: 0.3,
            calibration_error: 0.01,
            calibration_error_raw: 0.02,
            classes: Vec::new(),
            confusion: vec![vec![1]],
            outcomes: Vec::new(),
        },
        golden: vec![Golden { image: golden, logits: vec![1.0] }],
        made_by: "test".to_owned(),
    }
}

/// A check of the first source version that found nothing.
pub(super) fn label_check(job: JobId, report: Hash) -> LabelCheck {
    LabelCheck {
        job,
        dataset: DatasetRef { lineage: Lineage::Source, number: 1 },
        manifest: Hash::of(b"manifest"),
        images: 1,
        folds: 5,
        agreement: Proportion { value: 1.0, low: 0.2, high: 1.0, n: 1 },
        issues: 0,
        report,
        created: at(9),
        by: "ada".to_owned(),
    }
}

/// A manifest of these images.
pub(super) fn manifest(images: &[Hash]) -> Manifest {
    let image = |image: &Hash| {
        let quality = Quality { width: 1, height: 1, bytes: 1, brightness: 0.5, ..Quality::default() };
        let [label, origin, admission] = ["owl", "owl/1.jpg", "imported"].map(str::to_owned);
        DatasetImage::new(*image, label, Split::Train, origin, quality, admission)
    };
    Manifest::new(images.iter().map(image).collect())
}

/// A state with everything in it, and the blobs that something refers to.
pub(super) fn full_state(dir: &Path) -> (State, Vec<Hash>) {
    let state = State::open(dir, at(10), None).unwrap();
    let put = |text: &str| state.blobs.put(text.as_bytes()).unwrap();
    let catalog = &state.catalog;
    catalog.create_project(&project("birds"), None).unwrap();
    let mut referenced = vec![put("accepted"), put("proposed"), put("weights"), put("golden"), put("upload")];

    let accepted = state.blobs.put(&manifest(&referenced[..1]).encode()).unwrap();
    let proposed = state.blobs.put(&manifest(&referenced[..2]).encode()).unwrap();
    for (lineage, hash) in [(Lineage::Source, accepted), (Lineage::Reference, proposed)] {
        let set = ChangeSet { manifest: hash, ..change_set("birds", lineage, None) };
        catalog.propose(&set, None).unwrap();
        if hash == accepted {
            catalog.accept(&set.project, set.id, None, &decision(8), None).unwrap();
        }
    }
    let draft = model(RunId::new());
    let passport = super::passport::encode(&passport(draft.run, referenced[2], referenced[3]));
    let passport = state.blobs.put(&passport).unwrap();
    catalog
        .register_model(&name("birds"), &ModelDraft { passport, weights: referenced[2], ..draft })
        .unwrap();

    let source = ImportSource::Blob { hash: referenced[4], name: "birds.zip".to_owned() };
    let spec = JobSpec::Import {
        source,
        lineage: Lineage::Source,
        accept: false,
        options: ImportOptions::default(),
    };
    catalog.insert_job(&Job { spec, ..job(Some("birds")) }, None).unwrap();

    let picture = put("picture");
    let kept = Prediction { image: picture, picture_kept: true, ..prediction(1_000_000, 1, "owl", 0.5) };
    let not_kept = Prediction { image: put("not kept"), ..prediction(1_000_000, 1, "owl", 0.5) };
    state.log.append(&[(name("birds"), kept), (name("birds"), not_kept)]).unwrap();
    let report = state.blobs.put(&label_report::encode(&LabelReport::default())).unwrap();
    let checking = catalog.insert_job(&job(Some("birds")), None).unwrap();
    catalog.save_label_check(&name("birds"), &label_check(checking.id, report)).unwrap();
    let source = ImportSource::Manifest {
        hash: put("rows"),
        name: "birds.jsonl".to_owned(),
        format: ManifestFormat::Jsonl,
        images: None,
        replace: false,
    };
    let spec = JobSpec::Import {
        source,
        lineage: Lineage::Source,
        accept: false,
        options: ImportOptions::default(),
    };
    catalog.insert_job(&Job { spec, ..job(Some("birds")) }, None).unwrap();
    state.blobs.sync().unwrap();
    referenced.extend([accepted, proposed, passport, picture, report, put("rows")]);
    (state, referenced)
}
