//! Samples of what requests and answers are made of.

use super::requests::samples;
use super::{Sample, at, hash, id, name, text};
use crate::classes::UnknownLabels;
use crate::dataset::{DatasetRef, Lineage};
use crate::event::WatchCursor;
use crate::feedback::FeedbackFilter;
use crate::job::{FailureCause, Job, JobFailure, JobOutcome, JobSpec, JobState, Progress, Wait};
use crate::model::{
    Architecture, ClassReport, Evaluation, GateCheck, GateVerdict, Golden, Outcome, Passport, Proportion,
};
use crate::prediction::PredictionFilter;
use crate::preprocess::{Interpolation, PreprocessSpec};
use crate::project::{PicturePolicy, ProjectSettings};
use crate::rules::{ClassRule, UpdatePolicy};
use crate::run::{ClassWeights, EpochMetrics, Init, Recipe, Run, RunState};
use crate::schedule::{CatchUp, ScheduleAction, ScheduleSpec, Trigger};
use crate::{ModelNumber, ProjectName};

samples! {
    DatasetRef => DatasetRef { lineage: Lineage::Reference, number: 3 };
    WatchCursor => WatchCursor { epoch: 77, seq: 41 };
    ProjectSettings => ProjectSettings {
        keep_pictures: PicturePolicy::Sampled { percent: 10 },
        picture_days: 7,
        split_percent: [80, 10, 10],
        class_rule: ClassRule::Fixed { images: 40 },
        update_percent: 2.5,
        update_policy: UpdatePolicy::Accept,
        unknown_labels: UnknownLabels::Keep,
        audit_percent: 2.5,
        keep_confident: Some(0.75),
        near_bits: 6,
    };
    ScheduleSpec => ScheduleSpec {
        trigger: Trigger::Cron { expression: text("30 2 * * *"), time_zone: text("Europe/Paris") },
        action: ScheduleAction::CheckSource { source: name("kaggle-birds") },
        catch_up: CatchUp::All { at_most: 3 },
        jitter_s: 600,
        description: text("every night"),
    };
    PredictionFilter => PredictionFilter {
        model: Some(ModelNumber(7)),
        class: Some(text("owl")),
        confidence_below: Some(0.5),
        since: Some(at(0)),
        until: Some(at(3_600)),
        feedback: Some(FeedbackFilter::Wrong),
    };
    PreprocessSpec => PreprocessSpec {
        revision: 1,
        resize: 256,
        crop: 224,
        interpolation: Interpolation::Bicubic,
        mean: [127.0, 127.0, 127.0],
        std: [128.0, 128.0, 128.0],
    };
    Recipe => Recipe {
        architecture: Architecture::EfficientnetB0,
        init: Init::Model { number: ModelNumber(6) },
        input: 160,
        epochs: 3,
        batch: 16,
        learning_rate: 0.5,
        weight_decay: 0.25,
        label_smoothing: 0.125,
        dropout: 0.25,
        mirror: false,
        class_weights: ClassWeights::Balanced,
        patience: 2,
        seed: 9,
    };

    Job => Job {
        id: id(3),
        project: Some(name::<ProjectName>("birds")),
        spec: JobSpec::Train { dataset: DatasetRef::sample(), recipe: Recipe::sample(), run: id(4) },
        after: vec![id(8)],
        state: JobState::Failed,
        waits_for: vec![Wait::Slot],
        progress: Progress {
            stage: text("epoch 2 of 3"),
            done: 32,
            total: 64,
            unit: text("images"),
            fraction: 0.5,
            eta_s: Some(12.5),
            rate: Some(2.5),
        },
        attempts: 2,
        outcome: Some(JobOutcome::Model { number: ModelNumber(7) }),
        failure: Some(JobFailure {
            cause: FailureCause::OutOfMemory,
            message: text("memory ran out"),
            hint: Some(text("a smaller batch")),
        }),
        created: at(0),
        started: Some(at(1)),
        finished: Some(at(2)),
        by: text("alice"),
        worker_pid: Some(4_242),
        generation: 5,
    };
    Run => Run {
        id: id(4),
        job: id(3),
        dataset: DatasetRef::sample(),
        manifest: hash(1),
        recipe: Recipe::sample(),
        preprocess: PreprocessSpec::sample(),
        state: RunState::Finished,
        created: at(0),
        by: text("alice"),
        epochs: vec![EpochMetrics {
            epoch: 1,
            train_loss: 0.75,
            valid_loss: 0.5,
            valid_accuracy: 0.875,
            learning_rate: 0.001,
            seconds: 12.5,
            at: at(20),
        }],
        best_epoch: Some(1),
        resumed: 1,
    };

    Proportion => Proportion { value: 0.75, low: 0.5, high: 0.875, n: 12 };
    Passport => Passport {
        architecture: Architecture::EfficientnetB0,
        classes: vec![text("jay"), text("owl")],
        preprocess: PreprocessSpec::sample(),
        preprocess_hash: hash(6),
        weights: hash(3),
        dataset: DatasetRef::sample(),
        manifest: hash(1),
        run: id(4),
        epoch: 1,
        temperature: 1.25,
        evaluation: Evaluation::sample(),
        golden: vec![Golden { image: hash(5), logits: vec![-1.5, 2.25] }],
        made_by: text("vigie-agent 0.1.0 on cpu"),
    };
    Evaluation => Evaluation {
        dataset: DatasetRef::sample(),
        manifest: hash(1),
        accuracy: Proportion::sample(),
        top3_accuracy: Proportion::sample(),
        balanced_accuracy: 0.75,
        macro_f1: 0.625,
        log_loss: 0.5,
        calibration_error: 0.03125,
        calibration_error_raw: 0.0625,
        classes: vec![ClassReport {
            class: text("owl"),
            precision: Proportion::sample(),
            recall: Proportion::sample(),
            f1: 0.75,
        }],
        confusion: vec![vec![5, 1], vec![2, 4]],
        outcomes: vec![Outcome {
            image: hash(5),
            truth: 1,
            predicted: 0,
            confidence: 0.625,
            truth_probability: 0.375,
        }],
    };
    GateVerdict => GateVerdict {
        candidate: ModelNumber(7),
        against: Some(ModelNumber(6)),
        checks: vec![GateCheck { name: text("golden-set"), passed: true, detail: text("16 of 16") }],
        at: at(5),
    };
}
