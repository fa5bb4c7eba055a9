//! A sample of every answer.

use std::collections::BTreeMap;

use super::requests::samples;
use super::{Sample, at, hash, id, name, text};
use crate::access::{Principal, Role};
use crate::blob::{BlobChunk, UploadStatus};
use crate::dataset::{
    ChangeKind, ChangeSet, ChangeSetState, ClassChange, DatasetDifference, DatasetImage, DatasetRef,
    DatasetVersion, Decision, ImageChange, Lineage, Placement, Quality, Quarantined, Split, SplitCounts,
};
use crate::event::{Event, Severity, Subject, Update, WatchCursor};
use crate::health::{
    AgentHealth, Environment, EnvironmentColour, Finding, GpuStats, HostStats, ServiceHealth, ServiceState,
};
use crate::job::{Job, JobState, Lease, LogLine};
use crate::model::{
    Alias, AliasMove, Architecture, GateVerdict, ModelVersion, MoveKind, Passport, Proportion,
};
use crate::page::Page;
use crate::prediction::{HourCount, LogHealth, Prediction, Scored, Timings};
use crate::project::Project;
use crate::service::*;
use crate::source::{Acceptance, Imported, Pending, Revision, Source, SourceOrigin, SourceState};
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
        },
        admission: text("imported"),
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
        accepted_as: Some(3),
        decided: Some(Decision { at: at(9), by: text("bob"), reason: Some(text("looked at each")) }),
        generation: 2,
    };

    Source => Source {
        project: name("birds"),
        name: name("feeder"),
        origin: SourceOrigin::Kaggle { dataset: super::dataset("alice/garden-birds") },
        lineage: Lineage::Source,
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
        }),
        declined: Some(Revision::Version { number: 11 }),
        generation: 4,
    };
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
    };
    HourCount => HourCount {
        hour: at(0),
        model: ModelNumber(7),
        predictions: 2,
        confidence_sum: 1.5,
        total_us_sum: 22_000,
        classes: BTreeMap::from([(text("owl"), 2)]),
    };

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
    BackupMade => BackupMade { path: text("/backups/monday"), files: 12, bytes: 123_456, seconds: 0.5 };
}

fn owls() -> ClassChange {
    ClassChange { added: 5, removed: 4, relabelled_in: 3, relabelled_out: 2, moved: 1 }
}

fn counts() -> BTreeMap<String, SplitCounts> {
    BTreeMap::from([(text("owl"), SplitCounts { train: 7, valid: 2, test: 1 })])
}
