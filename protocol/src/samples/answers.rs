//! A sample of every answer.

use std::collections::{BTreeMap, BTreeSet};

use super::requests::samples;
use super::{Sample, at, hash, id, name, text};
use crate::access::{Principal, Role};
use crate::balance::{Balance, BalancePlan, ClassBalance};
use crate::blob::{BlobChunk, UploadStatus};
use crate::classes::{ClassList, LabelMatch, MatchKind, Rename, RenameKind, Suggestion};
use crate::dataset::{
    ChangeKind, ChangeSet, ChangeSetState, ClassChange, ClassSizes, DatasetDifference, DatasetImage,
    DatasetRef, DatasetVersion, Decision, ImageChange, Lineage, Placement, Quality, Quarantined, Split,
    SplitCounts, Spread,
};
use crate::event::{Event, Severity, Subject, Update, WatchCursor};
use crate::feedback::{
    AccuracyOf, Cluster, Clusters, Consensus, Feedback, FeedbackAccuracy, FeedbackNote, FeedbackState,
    LabelItem, ModelAccuracy, NewImages, Said, Vote,
};
use crate::fingerprint::Fingerprint;
use crate::health::{
    AgentHealth, Environment, EnvironmentColour, Finding, GpuStats, HostStats, ServiceHealth, ServiceState,
};
use crate::history::{DatasetHistory, DatasetModelMetadata, SplitFigures};
use crate::job::{Job, JobState, Lease, LogLine};
use crate::label_check::{LabelCheck, LabelIssue, LabelIssues};
use crate::model::{
    Alias, AliasMove, Architecture, GateVerdict, ModelVersion, MoveKind, Passport, Proportion,
};
use crate::page::Page;
use crate::prediction::{HourCount, LogHealth, Prediction, Scored, Timings};
use crate::project::Project;
use crate::review::{ChangeSetImage, FindingCounts, ImageFinding};
use crate::rules::{
    ChainStep, ClassCount, ClassRule, Growth, RulesExplained, UpdatePolicy, UpdateRule, WaitingClass,
    WaitingRoom,
};
use crate::run::Recipe;
use crate::schedule::{
    FiredJob, Firing, FiringCause, FiringState, PlannedFiring, Schedule, ScheduleAction, ScheduleProgress,
    ScheduleSpec, ScheduleStatus,
};
use crate::service::*;
use crate::source::{Acceptance, Imported, Pending, Revision, Source, SourceOrigin, SourceState};
use crate::window::Window;
use crate::{AliasName, ModelNumber};

samples! {
    Principal => Principal {
        name: text("alice"),
        role: Role::Operator,
        via: text("unix socket, uid 1007, pid 4242"),
    };
    AgentHealth => AgentHealth {
        agent: id(7),
        environment: Some(Environment { name: text("production"), colour: EnvironmentColour::Red }),
        version: text("0.1.0"),
        started: at(0),
        now: at(60),
        state_dir: text("/var/lib/vigie"),
        device: text("cuda:0"),
        services: vec![ServiceHealth {
            name: text("store"),
            state: ServiceState::Degraded,
            since: at(30),
            detail: text("the disk is nearly full"),
        }],
        host: HostStats {
            hostname: text("pi"),
            cores: 4,
            cpu: 0.25,
            load1: 1.5,
            memory_total: 8_000_000_000,
            memory_used: 2_000_000_000,
            disk_total: 64_000_000_000,
            disk_free: 1_000_000_000,
            agent_memory: 90_000_000,
        },
        gpus: vec![GpuStats {
            index: 0,
            name: text("H200"),
            busy: 0.5,
            memory_total: 150_000_000_000,
            memory_used: 1,
            temperature: 61,
            power: 412.5,
        }],
        prediction_log: LogHealth { pending: 1, shed: 2, window_ms: 50 },
    };
    Finding => Finding {
        check: text("disk"),
        state: ServiceState::Down,
        detail: text("1 % free"),
        hint: Some(text("collect garbage")),
    };
    Project => Project {
        name: name("birds"),
        description: text("garden birds"),
        created: at(0),
        by: text("alice"),
        settings: Sample::sample(),
        generation: 2,
    };

    DatasetVersion => DatasetVersion {
        dataset: DatasetRef::sample(),
        manifest: hash(1),
        created: at(0),
        by: text("alice"),
        change_set: id(2),
        classes: counts(),
        bytes: 123_456,
        window: Some(Window::Days { days: 30 }),
    };
    DatasetImage => DatasetImage {
        image: hash(5),
        label: text("owl"),
        split: Split::Valid,
        origin: text("owls/1.jpg"),
        quality: Quality {
            width: 640,
            height: 480,
            bytes: 34_567,
            brightness: 0.5,
            contrast: 0.25,
            sharpness: 512.0,
            channel_means: [0.25, 0.5, 0.75],
            saturation: Some(0.125),
            jpeg_quality: Some(90),
        },
        admission: text("imported"),
        group: Some(text("person12")),
        fingerprint: Fingerprint::new(0xf0e1_d2c3_b4a5_9687),
        metadata: BTreeMap::from([(text("camera"), text("garden"))]),
    };
    ChangeSetImage => ChangeSetImage {
        change: ImageChange::sample(),
        quality: DatasetImage::sample().quality,
        group: Some(text("person12")),
        findings: vec![ImageFinding::Leak { of: hash(6), origin: text("owls/2.jpg"), split: Split::Train }],
    };
    ClassSizes => ClassSizes {
        class: text("owl"),
        images: 42,
        width: Spread { least: 320, median: 640, most: 4_000 },
        height: Spread { least: 240, median: 480, most: 3_000 },
        bytes: Spread { least: 9_000, median: 34_567, most: 2_000_000 },
    };
    DatasetDifference => DatasetDifference {
        classes: BTreeMap::from([(text("owl"), owls())]),
        images: Page::sample(),
    };
    ImageChange => ImageChange {
        image: hash(5),
        kind: ChangeKind::Relabelled,
        from: Some(Placement { label: text("jay"), split: Split::Train }),
        to: Some(Placement { label: text("owl"), split: Split::Test }),
        origin: text("owls/1.jpg"),
    };
    ChangeSet => ChangeSet {
        id: id(2),
        project: name("birds"),
        lineage: Lineage::Reference,
        base: Some(2),
        state: ChangeSetState::Accepted,
        origin: text("update from source@v2"),
        created: at(0),
        by: text("alice"),
        manifest: hash(1),
        classes: BTreeMap::from([(text("owl"), owls())]),
        result: counts(),
        bytes: 123_456,
        unchanged: 10,
        duplicates: 1,
        quarantine: vec![Quarantined { origin: text("owls/2.txt"), reason: text("not an image") }],
        quarantined: 1,
        renames: vec![Rename { from: text("Owl"), to: text("owl"), images: 3, kind: RenameKind::Folded }],
        window: Some(Window::Days { days: 30 }),
        findings: FindingCounts { near_duplicates: 4, leaks: 3, outliers: 2, enter_test: 1 },
        left: BTreeMap::from([(text("jay"), owls())]),
        accepted_as: Some(3),
        decided: Some(Decision { at: at(9), by: text("bob"), reason: Some(text("looked at each")) }),
        generation: 2,
    };

    Source => Source {
        project: name("birds"),
        name: name("feeder"),
        origin: SourceOrigin::Kaggle { dataset: super::dataset("alice/garden-birds") },
        lineage: Lineage::Source,
        options: super::variants::import_options(),
        acceptance: Acceptance::Under { percent: 5.0 },
        preprocess: true,
        created: at(0),
        by: text("alice"),
        state: SourceState::Ok,
        since: at(1),
        detail: text("version 13"),
        checked: Some(at(9)),
        latest: Some(Revision::Version { number: 13 }),
        imported: Some(Imported {
            revision: Revision::Version { number: 12 },
            at: at(2),
            dataset: Some(DatasetRef { lineage: Lineage::Source, number: 2 }),
        }),
        pending: Some(Pending {
            revision: Revision::Version { number: 13 },
            job: id(3),
            change_set: Some(id(2)),
            supersedes: Some(id(9)),
            failures: 2,
            failed: Some(at(8)),
            skipped: 1,
        }),
        declined: Some(Revision::Version { number: 11 }),
        generation: 4,
    };
    ClassList => ClassList {
        classes: BTreeSet::from([text("jay"), text("owl")]),
        aliases: BTreeMap::from([(text("Strix"), text("owl"))]),
        generation: 2,
        changed: Some(at(1)),
        by: Some(text("alice")),
    };
    LabelMatch => LabelMatch {
        label: text("owll"),
        images: 3,
        kind: MatchKind::Missing,
        class: Some(text("owl")),
        suggestion: Some(Suggestion { class: text("owl"), distance: 1 }),
    };
    DatasetHistory => DatasetHistory {
        version: DatasetVersion::sample(),
        origin: text("update from source@v2"),
        change: owls(),
        unchanged: 10,
        quarantined: 1,
        reason: Some(text("looked at each")),
    };
    BalancePlan => BalancePlan {
        dataset: DatasetRef::sample(),
        balance: Balance::Weights,
        classes: BTreeMap::from([(text("owl"), ClassBalance { now: 7, after: 7, weight: 0.5 })]),
        epoch: 7,
        epoch_after: 7,
    };
    DatasetModelMetadata => DatasetModelMetadata {
        project: name("birds"),
        dataset: DatasetRef::sample(),
        manifest: hash(1),
        dataset_created: at(0),
        dataset_classes: vec![text("jay"), text("owl")],
        bytes: 123_456,
        splits: vec![SplitFigures { split: Split::Train, images: 7, hash: hash(8) }],
        model: ModelNumber(7),
        trained_on: DatasetRef::sample(),
        model_classes: vec![text("jay"), text("owl")],
        architecture: Architecture::EfficientnetB0,
        run: id(4),
        epoch: 1,
        recipe: Recipe::sample(),
        preprocess: hash(6),
        weights: hash(3),
        passport: hash(2),
        temperature: 1.25,
        accuracy: Proportion::sample(),
        top3_accuracy: Proportion::sample(),
        balanced_accuracy: 0.75,
        macro_f1: 0.625,
        log_loss: 0.5,
        calibration_error: 0.03125,
        made_by: text("vigie-agent 0.1.0 on cpu"),
        model_created: at(5),
    };
    LabelCheck => LabelCheck {
        job: id(3),
        dataset: DatasetRef::sample(),
        manifest: hash(1),
        images: 12,
        folds: 5,
        agreement: Proportion::sample(),
        issues: 2,
        report: hash(7),
        created: at(5),
        by: text("alice"),
    };
    LabelIssue => LabelIssue {
        image: hash(5),
        label: text("owl"),
        suggested: text("jay"),
        score: 0.125,
        label_probability: 0.125,
        suggested_probability: 0.875,
        split: Split::Valid,
        origin: text("owls/1.jpg"),
    };
    LabelIssues => LabelIssues { check: LabelCheck::sample(), issues: Page::sample() };
    SourceChecked => SourceChecked { source: Source::sample(), job: Some(Box::new(Job::sample())) };

    TrainSubmitted => TrainSubmitted { job: Job::sample(), run: id(4) };
    JobLogPage => JobLogPage {
        lines: vec![LogLine { at: at(1), level: text("warn"), text: text("slow disk") }],
        offset: 4_200,
        end: true,
    };
    Lease => Lease { resource: text("device:cpu"), holder: id(3), token: 9, since: at(1) };

    ModelVersion => ModelVersion {
        number: ModelNumber(7),
        passport: hash(2),
        weights: hash(3),
        architecture: Architecture::EfficientnetLite0,
        classes: 2,
        dataset: DatasetRef::sample(),
        run: id(4),
        accuracy: Proportion::sample(),
        created: at(0),
        by: text("alice"),
    };
    ModelDetail => ModelDetail {
        model: ModelVersion::sample(),
        passport: Passport::sample(),
        aliases: vec![AliasName::production()],
    };
    Alias => Alias {
        project: name("birds"),
        name: AliasName::production(),
        model: ModelNumber(7),
        previous: Some(ModelNumber(6)),
        generation: 4,
        since: at(5),
    };
    AliasMove => AliasMove {
        alias: AliasName::production(),
        generation: 4,
        kind: MoveKind::Override,
        from: Some(ModelNumber(6)),
        to: ModelNumber(7),
        at: at(5),
        by: text("alice"),
        reason: Some(text("better on owls")),
        verdict: Some(GateVerdict::sample()),
    };
    AliasMoved => AliasMoved { alias: Alias::sample(), moved: AliasMove::sample(), swap_ms: 321 };

    Prediction => Prediction {
        id: id(5),
        at: at(6),
        model: ModelNumber(7),
        weights: hash(3),
        image: hash(5),
        picture_kept: true,
        top: vec![Scored { class: text("owl"), probability: 0.75 }],
        timings: Timings { queue: 10, decode: 2_000, infer: 9_000, total: 11_010 },
        by: text("alice"),
        name: Some(text("owl.jpg")),
        feedback: Some(FeedbackNote { consensus: Consensus::Wrong { class: text("jay") }, votes: 2 }),
    };
    HourCount => HourCount {
        hour: at(0),
        model: ModelNumber(7),
        predictions: 2,
        confidence_sum: 1.5,
        total_us_sum: 22_000,
        classes: BTreeMap::from([(text("owl"), 2)]),
    };

    Schedule => Schedule {
        name: name("nightly"),
        project: Some(name("birds")),
        spec: ScheduleSpec::sample(),
        paused: Some(Decision { at: at(9), by: text("bob"), reason: Some(text("the server is down")) }),
        created: at(0),
        by: text("alice"),
        generation: 3,
        progress: ScheduleProgress { through: at(8), anchor: at(1), event: 41, firings: 7 },
    };
    ScheduleStatus => ScheduleStatus {
        schedule: Schedule::sample(),
        next: vec![PlannedFiring { due: at(3_600), at: at(3_725) }],
        last: Some(Firing::sample()),
    };
    Firing => Firing {
        id: id(9),
        schedule: name("nightly"),
        project: Some(name("birds")),
        number: 7,
        cause: FiringCause::Missed { firings: 2 },
        action: ScheduleAction::UpdateReference { from: Lineage::Production, accept: true },
        due: at(7),
        began: at(8),
        ended: Some(at(9)),
        state: FiringState::Submitted,
        jobs: vec![FiredJob { job: id(3), state: Some(JobState::Running) }],
        detail: text("propose from production@v4 into reference"),
    };
    WaitingRoom => WaitingRoom {
        rule: ClassRule::Fixed { images: 40 },
        simulated: true,
        reference: Some(DatasetRef::sample()),
        smallest: Some(ClassCount { class: text("jay"), images: 846 }),
        needs: Some(40),
        waiting: vec![WaitingClass {
            class: text("owl"),
            has: 31,
            in_source: 20,
            in_production: 12,
            needs: 40,
            enters: false,
            growth: Some(Growth { per_day: 3.5, days: 12.0, eta_days: Some(3) }),
            sentence: text("owl has 31, needs 40, at this rate 3 days"),
        }],
        total: 2,
        entering: 1,
        sentence: text("at threshold 40, 1 of 2 waiting classes would enter"),
    };
    RulesExplained => RulesExplained {
        policy: UpdatePolicy::Propose,
        classes: WaitingRoom::sample(),
        updates: vec![UpdateRule {
            from: DatasetRef { lineage: Lineage::Production, number: 4 },
            new: 12,
            waiting: 31,
            relabelled: 2,
            reference_images: 1_000,
            needs: 10,
            percent: 1.0,
            met: true,
            growth: Some(Growth { per_day: 1.5, days: 8.0, eta_days: Some(1) }),
            sentence: text("production@v4 has 12 new images, 10 are enough"),
        }],
        chain: vec![ChainStep { lineage: Lineage::Production, seen: Some(4), job: Some(id(3)) }],
        sentence: text("change-sets are proposed"),
    };
    Vote => Vote { by: text("alice"), at: at(7), said: Said::Wrong { class: text("jay") }, blind: true };
    Feedback => Feedback {
        prediction: id(5),
        at: at(6),
        model: ModelNumber(7),
        weights: hash(3),
        image: hash(5),
        top: vec![Scored { class: text("owl"), probability: 0.75 }],
        name: Some(text("owl.jpg")),
        votes: Vec::sample(),
        consensus: Consensus::Wrong { class: text("jay") },
        state: FeedbackState::Taken { change_set: id(2) },
        audit: true,
        generation: 2,
    };
    FeedbackLeft => FeedbackLeft { feedback: Some(Feedback::sample()) };
    AccuracyOf => AccuracyOf {
        overall: Proportion::sample(),
        models: vec![ModelAccuracy { model: ModelNumber(7), accuracy: Proportion::sample() }],
        undecided: 3,
    };
    FeedbackAccuracy => FeedbackAccuracy {
        feedback: AccuracyOf::sample(),
        audit: AccuracyOf::sample(),
        audit_due: 4,
        caveat: text("feedback is biased"),
    };
    NewImages => NewImages {
        model: ModelNumber(7),
        since: at(5),
        predictions: 120,
        labelled: 30,
        collected: 20,
        reference: 10,
    };
    LabelPage => LabelPage {
        items: Page::sample(),
        waiting: 12,
        gone: 1,
    };
    LabelItem => LabelItem {
        prediction: id(5),
        at: at(6),
        model: ModelNumber(7),
        image: hash(5),
        name: Some(text("owl.jpg")),
        top: vec![Scored { class: text("owl"), probability: 0.75 }],
        votes: Vec::sample(),
    };
    Clusters => Clusters {
        made: Some(at(7)),
        model: Some(ModelNumber(7)),
        clusters: vec![Cluster {
            number: 2,
            images: 9,
            examples: vec![hash(5)],
            predicted: vec![text("owl")],
        }],
        outside: 3,
    };
    ClusterLabelled => ClusterLabelled { images: 9, settled: 8 };
    String => text("owl");

    AgentLogPage => AgentLogPage {
        lines: vec![AgentLogLine {
            seq: 17,
            at: at(1),
            level: text("warn"),
            target: text("vigie_agent::run"),
            text: text("changes were cut off left=2"),
        }],
        next: 18,
        dropped: 3,
        epoch: 77,
    };
    Event => Event {
        seq: 41,
        at: at(7),
        project: Some(name("birds")),
        severity: Severity::Warning,
        subject: Subject::Alias { alias: AliasName::production(), to: ModelNumber(7) },
        text: text("production moved to v7"),
    };
    Watched => Watched {
        updates: vec![
            Update::Event { event: Event::sample() },
            Update::Job { job: Box::new(Job { state: JobState::Running, ..Job::sample() }) },
        ],
        next: WatchCursor::sample(),
        resync: true,
    };
    UploadStatus => UploadStatus { upload: id(6), offset: 3, size: 3 };
    BlobChunk => BlobChunk { offset: 524_288, bytes: vec![1, 2, 3], size: 524_291 };
    AuditEntry => AuditEntry {
        seq: 12,
        at: at(5),
        principal: text("alice"),
        role: text("operator"),
        via: text("unix socket, uid 1007, pid 4242"),
        method: text("promote"),
        target: text("birds production -> v7"),
        outcome: text("ok"),
        reason: Some(text("better on owls")),
        prev: hash(4),
    };
    AuditVerdict => AuditVerdict { lines: 12, broken_at: Some(text("line 7")), head: hash(4) };
    BackupMade => BackupMade { path: text("/backups/monday"), files: 12, bytes: 123_456, seconds: 0.5, damaged: 1 };
}

fn owls() -> ClassChange {
    ClassChange { added: 5, removed: 4, relabelled_in: 3, relabelled_out: 2, moved: 1 }
}

fn counts() -> BTreeMap<String, SplitCounts> {
    BTreeMap::from([(text("owl"), SplitCounts { train: 7, valid: 2, test: 1 })])
}
