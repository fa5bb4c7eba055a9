//! A sample of every request.

use std::collections::{BTreeMap, BTreeSet};

use super::{Sample, at, hash, id, name, text};
use crate::balance::Balance;
use crate::classes::ImageLabel;
use crate::dataset::{ChangeKind, DatasetRef, Lineage, Split};
use crate::event::WatchCursor;
use crate::feedback::{LabelQueue, Said};
use crate::job::{JobSpec, JobState};
use crate::page::{PageCursor, PageRequest};
use crate::prediction::PredictionFilter;
use crate::project::ProjectSettings;
use crate::review::Selection;
use crate::run::Recipe;
use crate::schedule::ScheduleSpec;
use crate::service::*;
use crate::source::{Acceptance, SourceOrigin};
use crate::{AliasName, ModelNumber, ProjectName};

/// Declares samples: `Type => value;`.
macro_rules! samples {
    ($($type:ty => $value:expr;)*) => {$(
        impl Sample for $type {
            fn sample() -> Self {
                $value
            }
        }
    )*};
}
pub(super) use samples;

fn project() -> ProjectName {
    name("birds")
}

fn production() -> AliasName {
    AliasName::production()
}

samples! {
    PageRequest => PageRequest { cursor: Some(PageCursor(text("here"))), limit: 50 };
    Empty => Empty {};
    InProject => InProject { project: project() };
    ProjectCreate => ProjectCreate {
        key: id(1),
        name: project(),
        description: text("garden birds"),
        settings: ProjectSettings::sample(),
    };
    ProjectUpdate => ProjectUpdate {
        key: id(1),
        project: project(),
        expected_generation: 2,
        description: text("birds of the garden"),
        settings: ProjectSettings::sample(),
    };

    DatasetList => DatasetList {
        project: project(),
        lineage: Some(Lineage::Source),
        page: PageRequest::sample(),
    };
    DatasetGet => DatasetGet { project: project(), dataset: DatasetRef::sample() };
    DatasetDiff => DatasetDiff {
        project: project(),
        from: Some(DatasetRef { lineage: Lineage::Source, number: 2 }),
        to: DatasetRef::sample(),
        class: Some(text("owl")),
        page: PageRequest::sample(),
    };
    DatasetImages => DatasetImages {
        project: project(),
        dataset: DatasetRef::sample(),
        class: Some(text("owl")),
        split: Some(Split::Test),
        page: PageRequest::sample(),
    };
    ChangeSetList => ChangeSetList { project: project(), page: PageRequest::sample() };
    ChangeSetGet => ChangeSetGet { project: project(), change_set: id(2) };
    ChangeSetImages => ChangeSetImages {
        project: project(),
        change_set: id(2),
        class: Some(text("owl")),
        kind: Some(ChangeKind::Added),
        only_findings: true,
        page: PageRequest::sample(),
    };
    Selection => Selection { classes: vec![text("owl")], images: vec![hash(5)], without: vec![hash(6)] };
    ChangeSetDecide => ChangeSetDecide {
        key: id(1),
        project: project(),
        change_set: id(2),
        expected_generation: 1,
        accept: true,
        reason: Some(text("looked at each")),
        selection: Some(Box::new(Selection::sample())),
    };

    SourceSet => SourceSet {
        key: id(1),
        project: project(),
        name: name("feeder"),
        expected_generation: Some(2),
        origin: SourceOrigin::Url { url: text("https://example.org/birds.zip") },
        lineage: Lineage::Source,
        options: super::variants::import_options(),
        acceptance: Acceptance::Under { percent: 5.0 },
        preprocess: true,
    };
    SourceRemove => SourceRemove {
        key: id(1),
        project: project(),
        name: name("feeder"),
        expected_generation: 2,
    };
    SourceCheck => SourceCheck { key: id(1), project: project(), name: name("feeder") };
    ClassListSet => ClassListSet {
        key: id(1),
        project: project(),
        expected_generation: 2,
        classes: BTreeSet::from([text("jay"), text("owl")]),
        aliases: BTreeMap::from([(text("Strix"), text("owl"))]),
    };
    ClassCheck => ClassCheck {
        project: project(),
        labels: vec![text("owll")],
        dataset: Some(DatasetRef::sample()),
    };
    DatasetBalance => DatasetBalance {
        project: project(),
        dataset: DatasetRef::sample(),
        balance: Balance::Down { per_class: Some(40) },
    };
    DatasetMetadata => DatasetMetadata {
        project: project(),
        model: ModelNumber(7),
        dataset: Some(DatasetRef::sample()),
    };
    LabelCheckList => LabelCheckList { project: project(), page: PageRequest::sample() };
    LabelIssueList => LabelIssueList {
        project: project(),
        check: Some(id(3)),
        class: Some(text("owl")),
        page: PageRequest::sample(),
    };
    LabelKeep => LabelKeep {
        key: id(1),
        project: project(),
        labels: vec![ImageLabel { image: hash(5), label: text("owl") }],
    };

    JobSubmit => JobSubmit {
        key: id(1),
        project: Some(project()),
        spec: JobSpec::Gc { dry_run: true },
        after: vec![id(3)],
    };
    TrainSubmit => TrainSubmit {
        key: id(1),
        project: project(),
        dataset: DatasetRef::sample(),
        recipe: Recipe::sample(),
        after: vec![id(3)],
    };
    JobList => JobList {
        project: Some(project()),
        state: Some(JobState::Failed),
        page: PageRequest::sample(),
    };
    JobGet => JobGet { job: id(3) };
    JobChange => JobChange { key: id(1), job: id(3) };
    JobLog => JobLog { job: id(3), offset: 4_096 };
    RunList => RunList { project: project(), page: PageRequest::sample() };
    RunGet => RunGet { project: project(), run: id(4) };

    ModelList => ModelList { project: project(), page: PageRequest::sample() };
    ModelGet => ModelGet { project: project(), number: ModelNumber(7) };
    GateTest => GateTest { project: project(), candidate: ModelNumber(7), alias: production() };
    AliasHistory => AliasHistory { project: project(), alias: production(), page: PageRequest::sample() };
    Promote => Promote {
        key: id(1),
        project: project(),
        candidate: ModelNumber(7),
        alias: production(),
        expected_generation: 3,
        reason: Some(text("better on owls")),
        override_gate: true,
    };
    Rollback => Rollback {
        key: id(1),
        project: project(),
        alias: production(),
        expected_generation: Some(4),
        reason: Some(text("worse on owls")),
    };

    Predict => Predict {
        project: project(),
        image: vec![0xff, 0xd8, 0x00],
        blob: Some(hash(5)),
        top: 3,
        name: Some(text("owl.jpg")),
    };
    PredictionList => PredictionList {
        project: project(),
        filter: PredictionFilter::sample(),
        page: PageRequest::sample(),
    };
    PredictionGet => PredictionGet { project: project(), prediction: id(5) };
    PredictionForget => PredictionForget { key: id(1), project: project(), prediction: id(5) };
    PredictionCounts => PredictionCounts { project: project(), since: at(0), until: at(3_600) };

    ScheduleList => ScheduleList { project: Some(project()) };
    ScheduleSet => ScheduleSet {
        key: id(1),
        project: Some(project()),
        name: name("nightly"),
        expected_generation: 2,
        spec: ScheduleSpec::sample(),
    };
    ScheduleRemove => ScheduleRemove { key: id(1), project: Some(project()), name: name("nightly") };
    SchedulePause => SchedulePause {
        key: id(1),
        project: Some(project()),
        name: name("nightly"),
        pause: true,
        reason: Some(text("the server is down")),
    };
    ScheduleRun => ScheduleRun { key: id(1), project: Some(project()), name: name("nightly") };
    ScheduleHistory => ScheduleHistory {
        project: Some(project()),
        name: name("nightly"),
        page: PageRequest::sample(),
    };
    ClassWaiting => ClassWaiting { project: project(), threshold: Some(40) };
    FeedbackGive => FeedbackGive {
        key: id(1),
        project: project(),
        prediction: id(5),
        said: Said::Wrong { class: text("jay") },
        blind: true,
        new_class: true,
    };
    FeedbackWithdraw => FeedbackWithdraw { key: id(1), project: project(), prediction: id(5) };
    FeedbackList => FeedbackList { project: project(), page: PageRequest::sample() };
    FeedbackAccuracyGet => FeedbackAccuracyGet { project: project(), last: 500 };
    LabelNext => LabelNext {
        project: project(),
        queue: LabelQueue::Cluster,
        cluster: Some(2),
        reveal: true,
        page: PageRequest::sample(),
    };
    LabelCluster => LabelCluster {
        key: id(1),
        project: project(),
        made: at(7),
        cluster: 2,
        except: vec![id(5)],
        class: text("puffin"),
        new_class: true,
    };

    AgentLog => AgentLog { cursor: Some(17), limit: 50 };
    EventList => EventList { project: Some(project()), page: PageRequest::sample() };
    Watch => Watch { cursor: Some(WatchCursor::sample()), max_wait_ms: 1 };
    UploadBegin => UploadBegin { hash: hash(5), size: 3 };
    UploadChunk => UploadChunk { upload: id(6), offset: 0, bytes: vec![1, 2, 3] };
    UploadGet => UploadGet { upload: id(6) };
    BlobRead => BlobRead { hash: hash(5), offset: 524_288 };
    AuditList => AuditList { page: PageRequest::sample() };
    Backup => Backup { key: id(1), path: text("/backups/monday") };
}
