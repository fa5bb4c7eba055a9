//! Every variant of every enum that crosses the wire.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Sample, at, dataset, hash, id, name, text};
use crate::access::Role;
use crate::balance::Balance;
use crate::blob::{GcReport, RebuildableFile};
use crate::classes::{ImageLabel, MatchKind, Relabelling, RenameKind, UnknownLabels};
use crate::dataset::{ChangeKind, ChangeSetState, DatasetRef, Lineage, Split};
use crate::event::{Event, Severity, Subject, Update};
use crate::exchange::ManifestFormat;
use crate::feedback::{Consensus, FeedbackFilter, FeedbackState, LabelQueue, Said};
use crate::health::{EnvironmentColour, ServiceState};
use crate::import::{GivenSplit, GroupRule, ImportOptions, TableOptions};
use crate::job::{FailureCause, ImportSource, Job, JobOutcome, JobSpec, JobState, Wait};
use crate::model::{Architecture, MoveKind};
use crate::preprocess::{Interpolation, PreprocessSpec};
use crate::project::PicturePolicy;
use crate::review::{Feature, ImageFinding};
use crate::rules::{ClassRule, UpdatePolicy};
use crate::run::{ClassWeights, Init, Recipe, RunState};
use crate::schedule::{CatchUp, EventFilter, FiringCause, FiringState, ScheduleAction, Trigger};
use crate::source::{Acceptance, Checksum, Revision, SourceOrigin, SourceState};
use crate::window::Window;
use crate::{AliasName, ErrorCode, ModelNumber};

/// An enum that can show all of itself.
pub trait Variants: Sized + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug {
    /// One value of each variant.
    fn variants() -> Vec<Self>;
}

/// What is done with each enum in turn.
pub trait ForEnum {
    /// Does it with `T`, which is called `name` in code. `open` when a variant that is not known is
    /// read as `Unknown`.
    fn with<T: Variants>(&mut self, name: &str, open: bool);
}

/// Declares the variants of enums; one that is forgotten does not compile. `open` enums read what
/// they do not know as `Unknown`; `closed` ones are complete for good, and say why where they are
/// declared.
macro_rules! variants {
    ($($openness:ident $type:ident { $($variant:ident $({ $($field:ident: $value:expr),* })?,)* })*) => {
        $(impl Variants for $type {
            fn variants() -> Vec<Self> {
                // Without a wildcard: the compiler asks for what is missing below.
                let complete = |value: &$type| match value {
                    $($type::$variant { .. } => {})*
                };
                let all = vec![$($type::$variant $({ $($field: $value),* })?),*];
                all.iter().for_each(complete);
                all
            }
        })*

        /// Shows every enum to `visitor`.
        pub fn every_variant(visitor: &mut impl ForEnum) {
            $(visitor.with::<$type>(stringify!($type), variants!(@open $openness));)*
        }
    };
    (@open open) => { true };
    (@open closed) => { false };
}

variants! {
    open Role { Viewer, Labeller, Operator, Admin, Unknown, }
    open ErrorCode {
        Invalid, NotFound, Conflict, Forbidden, Unauthenticated, Precondition, GateRefused, TooLarge,
        BadImage, Overloaded, Unavailable, Timeout, Storage, Unsupported, Internal, Unknown,
    }
    closed Lineage { Source, Production, Reference, }
    closed Split { Train, Valid, Test, }
    open ChangeSetState { Proposed, Accepted, Rejected, Unknown, }
    open Severity { Info, Warning, Error, Unknown, }
    open ChangeKind { Added, Removed, Relabelled, Moved, Unknown, }
    open EnvironmentColour { Red, Yellow, Green, Blue, Magenta, Cyan, None, Unknown, }
    open ServiceState { Up, Starting, Degraded, Down, Off, Unknown, }
    open JobState { Queued, Running, Cancelling, Succeeded, Failed, Cancelled, Unknown, }
    open FailureCause { Refused, Error, Killed, OutOfMemory, Crashed, Dependency, Interrupted, Remote, Unknown, }
    open RunState { Running, Finished, Failed, Cancelled, Unknown, }
    open MoveKind { Promote, Override, Rollback, Unknown, }
    open Architecture { EfficientnetLite0, EfficientnetB0, Unknown, }
    open Interpolation { Bilinear, Bicubic, Unknown, }
    open PicturePolicy { None, Sampled { percent: 10 }, All, Unknown, }
    open UnknownLabels { Quarantine, Keep, Unknown, }
    open MatchKind { Exact, Alias, Folded, Missing, Unknown, }
    open RenameKind { Alias, Folded, Asked, Unknown, }
    open ClassWeights { Even, Balanced, Over, Unknown, }
    open ManifestFormat { Jsonl, Csv, Unknown, }
    open Relabelling {
        Classes { renames: BTreeMap::from([(text("Owl"), text("owl"))]), more: 0 },
        Images { labels: vec![ImageLabel { image: hash(5), label: text("owl") }], more: 2 },
        Undo { version: 3 },
        Unknown,
    }
    open Balance { Down { per_class: Some(40) }, Over, Weights, Unknown, }
    open Window {
        Last { images: 1_000 },
        Days { days: 30 },
        Reservoir { per_class: 40, seed: 9 },
        Unknown,
    }
    open Init {
        Pretrained { name: text("efficientnet-lite0") },
        Model { number: ModelNumber(6) },
        Random,
        Unknown,
    }
    open ImportSource {
        Path { path: text("/pictures/birds") },
        Blob { hash: hash(5), name: text("birds.zip") },
        Manifest {
            hash: hash(5),
            name: text("birds.jsonl"),
            format: ManifestFormat::Jsonl,
            images: Some(text("/pictures/birds")),
            replace: true
        },
        Url { url: text("https://example.org/birds.zip"), checksum: Some(Checksum::Sha256([5; 32])) },
        Kaggle { dataset: dataset("alice/garden-birds"), version: Some(13) },
        Unknown,
    }
    open SourceOrigin {
        Folder { path: text("/pictures/birds") },
        Zip { path: text("/pictures/birds.zip") },
        Url { url: text("https://example.org/birds.zip") },
        Kaggle { dataset: dataset("alice/garden-birds") },
        Unknown,
    }
    open Acceptance { Ask, Under { percent: 5.0 }, Unknown, }
    open SourceState { Unchecked, Ok, Vanished, Forbidden, Licence, Unreachable, Broken, Unknown, }
    open Revision {
        Version { number: 13 },
        Content {
            etag: Some(text("\"33a64df5\"")),
            modified: Some(text("Sat, 21 Nov 2026 05:00:00 GMT")),
            bytes: Some(123_456)
        },
        Listing { digest: hash(7), files: 12, bytes: 123_456 },
        Unknown,
    }
    open GivenSplit { Keep, RedrawValid, Redraw, Unknown, }
    open GroupRule {
        Column { column: text("patient") },
        Path { pattern: text("(person[0-9]+)_") },
        Unknown,
    }
    open Feature {
        Brightness, Contrast, Sharpness, Size, Aspect, Red, Green, Blue, Saturation, JpegQuality, Unknown,
    }
    open ImageFinding {
        NearDuplicate { of: hash(6), origin: text("owls/2.jpg"), label: text("owl"), bits: 3 },
        Leak { of: hash(6), origin: text("owls/2.jpg"), split: Split::Train },
        Outlier { feature: Feature::Sharpness, value: 0.5, z: -9.5 },
        EntersTest,
        Unknown,
    }
    open JobSpec {
        Import {
            source: ImportSource::Path { path: text("/pictures/birds") },
            lineage: Lineage::Source,
            accept: true,
            options: import_options()
        },
        Propose {
            from: DatasetRef::sample(),
            into: Lineage::Reference,
            accept: false,
            admit_all: true,
            only_add: true,
            window: Some(Window::Last { images: 1_000 })
        },
        Relabel {
            lineage: Lineage::Reference,
            relabelling: Relabelling::Undo { version: 3 },
            accept: true
        },
        Balance { lineage: Lineage::Reference, per_class: Some(40), seed: 9, accept: false },
        LabelCheck { dataset: DatasetRef::sample(), folds: 5, recipe: Recipe::sample() },
        Resplit { lineage: Lineage::Reference },
        Preprocess { dataset: DatasetRef::sample(), spec: PreprocessSpec::sample() },
        Train { dataset: DatasetRef::sample(), recipe: Recipe::sample(), run: id(4) },
        Evaluate { run: id(4) },
        Collect { accept: true },
        Cluster { distance: Some(0.25) },
        Gc { dry_run: true },
        Unknown,
    }
    open Said { Correct, Wrong { class: text("jay") }, WrongUnknown, Unknown, }
    open Consensus { Correct, Wrong { class: text("jay") }, WrongUnknown, Disputed, Unknown, }
    open FeedbackState { Open, Deferred, Taken { change_set: id(2) }, Settled, NoPicture, Unknown, }
    open FeedbackFilter { Any, None, Correct, Wrong, WrongUnknown, Unknown, }
    open LabelQueue { Deferred, Audit, Cluster, Unknown, }
    open Wait {
        Job { job: id(3) },
        Lease { resource: text("device:cpu"), holder: id(3) },
        Slot,
        Backoff { until: at(9) },
        Unknown,
    }
    open JobOutcome {
        ChangeSet { change_set: id(2), dataset: Some(DatasetRef::sample()) },
        NoChange { dataset: Some(DatasetRef::sample()) },
        Pack { pack: hash(7), images: 12, bytes: 1_800_000, reused: true },
        Run { run: id(4), best_epoch: 1 },
        Model { number: ModelNumber(7) },
        LabelCheck { images: 12, issues: 2 },
        Clusters { clusters: 3, images: 40 },
        Gc { report: collected() },
        Unknown,
    }
    open Subject {
        Agent,
        Service { name: text("store"), state: ServiceState::Down },
        Project,
        Job { job: id(3), state: JobState::Running },
        ChangeSet { change_set: id(2) },
        Dataset { dataset: DatasetRef::sample() },
        Epoch { run: id(4), epoch: 1 },
        Model { number: ModelNumber(7) },
        Alias { alias: AliasName::production(), to: ModelNumber(7) },
        Schedule { schedule: name("nightly"), firing: Some(id(9)), job: Some(id(3)) },
        Rules { dataset: DatasetRef::sample(), job: Some(id(3)) },
        DataChanged { dataset: DatasetRef::sample(), job: Some(id(3)) },
        Source { source: name("feeder") },
        Unknown,
    }
    open Trigger {
        Cron { expression: text("30 2 * * *"), time_zone: text("Europe/Paris") },
        Interval { seconds: 3_600 },
        Event { on: EventFilter::DataChanged, debounce_s: 60 },
        Unknown,
    }
    open EventFilter {
        Dataset { lineage: Some(Lineage::Source) },
        ChangeSet,
        Model,
        Alias { alias: Some(AliasName::production()) },
        DataChanged,
        Unknown,
    }
    open ScheduleAction {
        CheckSource { source: name("kaggle-birds") },
        Collect { accept: true },
        UpdateReference { from: Lineage::Production, accept: true },
        Preprocess,
        Gc,
        Backup { folder: text("/backups") },
        Unknown,
    }
    open CatchUp { Skip, Once, All { at_most: 3 }, Unknown, }
    open FiringCause {
        Due,
        Missed { firings: 2 },
        Event { seq: 41, events: 3 },
        Asked { by: text("alice") },
        Unknown,
    }
    open FiringState { Begun, Submitted, Done, Skipped, Failed, Unknown, }
    open ClassRule { Smallest, Fixed { images: 40 }, None, Unknown, }
    open UpdatePolicy { Off, Propose, Accept, Unknown, }
    open Update {
        Event { event: Event::sample() },
        Job { job: Box::new(Job::sample()) },
        Unknown,
    }
}

pub(super) fn import_options() -> ImportOptions {
    ImportOptions {
        given_split: GivenSplit::Redraw,
        table: Some(TableOptions {
            file: text("products.csv"),
            image: text("image"),
            label: text("category | part 1 of '>>'"),
            split: Some(text("set")),
            columns: vec![text("brand")],
        }),
        group: Some(GroupRule::Column { column: text("product") }),
    }
}

fn collected() -> GcReport {
    GcReport {
        referenced: 10,
        referenced_bytes: 1_000,
        orphans: 2,
        orphan_bytes: 20,
        removed: true,
        examples: vec![hash(8)],
        missing: vec![hash(9)],
        downloads: 2,
        download_bytes: 1_048_576,
        rebuildable: 3,
        rebuildable_bytes: 3_000_000,
        rebuildable_files: vec![RebuildableFile { path: text("packs/00ff.pack"), bytes: 2_000_000 }],
    }
}
