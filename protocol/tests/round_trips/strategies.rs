//! Values of the vocabulary, of any content.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vigie_protocol::access::{Principal, Role};
use vigie_protocol::classes::{Rename, RenameKind};
use vigie_protocol::dataset::{
    ChangeKind, ChangeSet, ChangeSetState, ClassChange, DatasetDifference, DatasetRef, Decision, ImageChange,
    Lineage, Placement, Quarantined, Split, SplitCounts,
};
use vigie_protocol::event::{Event, Severity, Subject, Update};
use vigie_protocol::exchange::ManifestFormat;
use vigie_protocol::feedback::FeedbackNote;
use vigie_protocol::health::ServiceState;
use vigie_protocol::job::{
    FailureCause, ImportSource, Job, JobFailure, JobOutcome, JobSpec, JobState, Progress, Wait,
};
use vigie_protocol::model::{
    AliasMove, Architecture, ClassReport, Evaluation, GateCheck, GateVerdict, MoveKind, Outcome, Proportion,
};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::prediction::{Prediction, Scored, Timings};
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::review::FindingCounts;
use vigie_protocol::run::{ClassWeights, EpochMetrics, Init, Recipe, Run, RunState};
use vigie_protocol::service::{AgentLogLine, AgentLogPage};
use vigie_protocol::{AliasName, ApiError, ErrorCode, Hash, ModelNumber, ProjectName, Time};

use super::curation::*;

pub fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash::from)
}

pub fn id<T: From<uuid::Uuid> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    any::<u128>().prop_map(|bits| T::from(uuid::Uuid::from_u128(bits)))
}

pub fn time() -> impl Strategy<Value = Time> {
    // Years 0 to 9999: RFC 3339 has no others.
    (-62_167_219_200_000_000i64..253_402_300_799_999_999).prop_map(Time::from_micros)
}

pub fn project() -> impl Strategy<Value = ProjectName> {
    "[a-z0-9][a-z0-9_-]{0,62}".prop_map(|name| name.parse().expect("a name"))
}

/// Finite and exact in JSON too: its reader rounds the seventeenth digit of others (by one unit in
/// the last place; MessagePack carries every bit).
pub fn real() -> impl Strategy<Value = f64> {
    (any::<i32>(), 0i32..9).prop_map(|(digits, scale)| f64::from(digits) / 10f64.powi(scale))
}

pub fn single() -> impl Strategy<Value = f32> {
    prop::num::f32::NORMAL | prop::num::f32::ZERO
}

pub fn dataset() -> impl Strategy<Value = DatasetRef> {
    (0..3usize, any::<u32>()).prop_map(|(line, number)| DatasetRef { lineage: Lineage::ALL[line], number })
}

pub fn model() -> impl Strategy<Value = ModelNumber> {
    any::<u32>().prop_map(ModelNumber)
}

pub fn principal() -> impl Strategy<Value = Principal> {
    (any::<String>(), 0..4usize, any::<String>()).prop_map(|(name, role, via)| Principal {
        name,
        role: Role::ALL[role],
        via,
    })
}

pub fn error() -> impl Strategy<Value = ApiError> {
    let code = prop::sample::select(vec![ErrorCode::Invalid, ErrorCode::GateRefused, ErrorCode::Internal]);
    (code, any::<String>(), any::<Option<String>>(), any::<Option<u64>>())
        .prop_map(|(code, message, hint, retry_after_ms)| ApiError { code, message, hint, retry_after_ms })
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let init = prop_oneof![
        any::<String>().prop_map(|name| Init::Pretrained { name }),
        model().prop_map(|number| Init::Model { number }),
        Just(Init::Random),
    ];
    (init, any::<[u32; 4]>(), [real(), real(), real(), real()], any::<bool>(), any::<u64>()).prop_map(
        |(
            init,
            [input, epochs, batch, patience],
            [learning_rate, weight_decay, label_smoothing, dropout],
            mirror,
            seed,
        )| {
            Recipe {
                architecture: Architecture::EfficientnetB0,
                init,
                input,
                epochs,
                batch,
                learning_rate,
                weight_decay,
                label_smoothing,
                dropout,
                mirror,
                class_weights: if mirror { ClassWeights::Even } else { ClassWeights::Balanced },
                patience,
                seed,
            }
        },
    )
}

pub fn spec() -> impl Strategy<Value = JobSpec> {
    let source = prop_oneof![
        any::<String>().prop_map(|path| ImportSource::Path { path }),
        (hash(), any::<String>()).prop_map(|(hash, name)| ImportSource::Blob { hash, name }),
        (hash(), any::<(String, Option<String>, bool)>()).prop_map(|(hash, (name, images, replace))| {
            ImportSource::Manifest { hash, name, format: ManifestFormat::Csv, images, replace }
        }),
        (any::<String>(), prop::option::of(checksum()))
            .prop_map(|(url, checksum)| ImportSource::Url { url, checksum }),
        (kaggle(), any::<Option<u64>>())
            .prop_map(|(dataset, version)| ImportSource::Kaggle { dataset, version }),
    ];
    let preprocess =
        (0u32..4096).prop_map(|input| PreprocessSpec::for_network(Architecture::EfficientnetB0, input));
    prop_oneof![
        (source, any::<bool>(), import_options()).prop_map(|(source, accept, options)| JobSpec::Import {
            source,
            lineage: Lineage::Source,
            accept,
            options
        }),
        (dataset(), any::<[bool; 3]>(), prop::option::of(window())).prop_map(
            |(from, [accept, admit_all, only_add], window)| {
                JobSpec::Propose { from, into: Lineage::Reference, accept, admit_all, only_add, window }
            }
        ),
        (relabelling(), any::<bool>()).prop_map(|(relabelling, accept)| JobSpec::Relabel {
            lineage: Lineage::Reference,
            relabelling,
            accept
        }),
        Just(JobSpec::Resplit { lineage: Lineage::Reference }),
        any::<(Option<u64>, u64, bool)>().prop_map(|(per_class, seed, accept)| JobSpec::Balance {
            lineage: Lineage::Production,
            per_class,
            seed,
            accept
        }),
        (dataset(), any::<u32>(), recipe()).prop_map(|(dataset, folds, recipe)| JobSpec::LabelCheck {
            dataset,
            folds,
            recipe
        }),
        (dataset(), preprocess).prop_map(|(dataset, spec)| JobSpec::Preprocess { dataset, spec }),
        (dataset(), recipe(), id()).prop_map(|(dataset, recipe, run)| JobSpec::Train {
            dataset,
            recipe,
            run
        }),
        id().prop_map(|run| JobSpec::Evaluate { run }),
        any::<bool>().prop_map(|accept| JobSpec::Collect { accept }),
        prop::option::of(single()).prop_map(|distance| JobSpec::Cluster { distance }),
        any::<bool>().prop_map(|dry_run| JobSpec::Gc { dry_run }),
        Just(JobSpec::Unknown),
    ]
}

fn wait() -> impl Strategy<Value = Wait> {
    prop_oneof![
        id().prop_map(|job| Wait::Job { job }),
        (any::<String>(), id()).prop_map(|(resource, holder)| Wait::Lease { resource, holder }),
        Just(Wait::Slot),
        time().prop_map(|until| Wait::Backoff { until }),
    ]
}

fn outcome() -> impl Strategy<Value = JobOutcome> {
    prop_oneof![
        (id(), prop::option::of(dataset()))
            .prop_map(|(change_set, dataset)| JobOutcome::ChangeSet { change_set, dataset }),
        (hash(), any::<[u64; 2]>(), any::<bool>())
            .prop_map(|(pack, [images, bytes], reused)| JobOutcome::Pack { pack, images, bytes, reused }),
        (id(), any::<u32>()).prop_map(|(run, best_epoch)| JobOutcome::Run { run, best_epoch }),
        model().prop_map(|number| JobOutcome::Model { number }),
        any::<(u32, u64)>().prop_map(|(clusters, images)| JobOutcome::Clusters { clusters, images }),
    ]
}

pub fn scored() -> impl Strategy<Value = Scored> {
    (any::<String>(), single()).prop_map(|(class, probability)| Scored { class, probability })
}

pub fn job() -> impl Strategy<Value = Job> {
    let progress = (any::<[String; 2]>(), any::<[u64; 2]>(), single(), prop::option::of(single())).prop_map(
        |([stage, unit], [done, total], fraction, eta_s)| Progress {
            stage,
            done,
            total,
            unit,
            fraction,
            eta_s,
            rate: eta_s,
        },
    );
    let failure = (any::<String>(), any::<Option<String>>()).prop_map(|(message, hint)| JobFailure {
        cause: FailureCause::Killed,
        message,
        hint,
    });
    let asked = (
        id(),
        prop::option::of(project()),
        spec(),
        prop::collection::vec(id(), 0..3),
        time(),
        any::<String>(),
    );
    let stands = (
        prop::collection::vec(wait(), 0..3),
        progress,
        prop::option::of(outcome()),
        prop::option::of(failure),
        prop::option::of(time()),
        any::<(u32, Option<u32>, u64)>(),
    );
    (asked, stands).prop_map(|((id, project, spec, after, created, by), stands)| {
        let (waits_for, progress, outcome, failure, started, (attempts, worker_pid, generation)) = stands;
        Job {
            id,
            project,
            spec,
            after,
            state: JobState::Queued,
            waits_for,
            progress,
            attempts,
            outcome,
            failure,
            created,
            started,
            finished: started,
            by,
            worker_pid,
            generation,
        }
    })
}

pub fn run() -> impl Strategy<Value = Run> {
    let epoch = (any::<u32>(), [real(), real(), real(), real(), real()], time()).prop_map(
        |(epoch, [train_loss, valid_loss, valid_accuracy, learning_rate, seconds], at)| EpochMetrics {
            epoch,
            train_loss,
            valid_loss,
            valid_accuracy,
            learning_rate,
            seconds,
            at,
        },
    );
    let names = (id(), id(), dataset(), hash());
    (
        names,
        recipe(),
        time(),
        any::<String>(),
        prop::collection::vec(epoch, 0..4),
        any::<(Option<u32>, u32)>(),
    )
        .prop_map(
            |((id, job, dataset, manifest), recipe, created, by, epochs, (best_epoch, resumed))| Run {
                id,
                job,
                dataset,
                manifest,
                preprocess: PreprocessSpec::for_network(recipe.architecture, recipe.input % 4_096),
                recipe,
                state: RunState::Finished,
                created,
                by,
                epochs,
                best_epoch,
                resumed,
            },
        )
}

pub fn prediction() -> impl Strategy<Value = Prediction> {
    let names = (id(), time(), model(), hash(), hash());
    let note = (consensus(), any::<u32>()).prop_map(|(consensus, votes)| FeedbackNote { consensus, votes });
    let said = (any::<(bool, String, Option<String>)>(), prop::option::of(note));
    (names, prop::collection::vec(scored(), 1..5), any::<[u32; 4]>(), said).prop_map(
        |(
            (id, at, model, weights, image),
            top,
            [queue, decode, infer, total],
            ((picture_kept, by, name), feedback),
        )| Prediction {
            id,
            at,
            model,
            weights,
            image,
            picture_kept,
            top,
            timings: Timings { queue, decode, infer, total },
            by,
            name,
            feedback,
        },
    )
}

pub fn change_set() -> impl Strategy<Value = ChangeSet> {
    let class = any::<[u64; 5]>().prop_map(|[added, removed, relabelled_in, relabelled_out, moved]| {
        ClassChange { added, removed, relabelled_in, relabelled_out, moved }
    });
    let counts = any::<[u64; 3]>().prop_map(|[train, valid, test]| SplitCounts { train, valid, test });
    let quarantined = any::<[String; 2]>().prop_map(|[origin, reason]| Quarantined { origin, reason });
    let decision = (time(), any::<(String, Option<String>)>()).prop_map(|(at, (by, reason))| Decision {
        at,
        by,
        reason,
    });
    let rename = any::<([String; 2], u64)>().prop_map(|([from, to], images)| Rename {
        from,
        to,
        images,
        kind: RenameKind::Asked,
    });
    let names = (id(), project(), hash(), time(), any::<[String; 2]>());
    let figures = any::<([u64; 5], [Option<u32>; 2], [u64; 4])>();
    let content = (
        prop::collection::btree_map(any::<String>(), class.clone(), 0..3),
        prop::collection::btree_map(any::<String>(), class, 0..3),
        prop::collection::btree_map(any::<String>(), counts, 0..3),
        prop::collection::vec(quarantined, 0..3),
        prop::option::of(decision),
        prop::collection::vec(rename, 0..3),
        prop::option::of(window()),
    );
    (names, figures, content).prop_map(
        |((id, project, manifest, created, [origin, by]), figures, content)| {
            let ([bytes, unchanged, duplicates, quarantined, generation], [base, accepted_as], found) =
                figures;
            let [near_duplicates, leaks, outliers, enter_test] = found;
            let findings = FindingCounts { near_duplicates, leaks, outliers, enter_test };
            let (classes, left, result, quarantine, decided, renames, window): (
                BTreeMap<_, _>,
                BTreeMap<_, _>,
                BTreeMap<_, _>,
                _,
                _,
                _,
                _,
            ) = content;
            ChangeSet {
                id,
                project,
                lineage: Lineage::Production,
                base,
                state: ChangeSetState::Rejected,
                origin,
                created,
                by,
                manifest,
                classes,
                result,
                bytes,
                unchanged,
                duplicates,
                quarantine,
                quarantined,
                renames,
                window,
                findings,
                left,
                accepted_as,
                decided,
                generation,
            }
        },
    )
}

pub fn difference() -> impl Strategy<Value = DatasetDifference> {
    let placement = || {
        prop::option::of(
            (any::<String>(), 0..3usize)
                .prop_map(|(label, split)| Placement { label, split: Split::ALL[split] }),
        )
    };
    let kind = prop::sample::select(vec![ChangeKind::Added, ChangeKind::Relabelled, ChangeKind::Unknown]);
    let image = (hash(), kind, placement(), placement(), any::<String>())
        .prop_map(|(image, kind, from, to, origin)| ImageChange { image, kind, from, to, origin });
    let class =
        any::<[u64; 2]>().prop_map(|[added, moved]| ClassChange { added, moved, ..ClassChange::default() });
    (
        prop::collection::btree_map(any::<String>(), class, 0..3),
        prop::collection::vec(image, 0..3),
        any::<Option<String>>(),
    )
        .prop_map(|(classes, items, next)| DatasetDifference {
            classes,
            images: Page { items, next: next.map(PageCursor) },
        })
}

pub fn log_page() -> impl Strategy<Value = AgentLogPage> {
    let line = (any::<u64>(), time(), any::<[String; 3]>())
        .prop_map(|(seq, at, [level, target, text])| AgentLogLine { seq, at, level, target, text });
    (prop::collection::vec(line, 0..4), any::<[u64; 3]>())
        .prop_map(|(lines, [next, dropped, epoch])| AgentLogPage { lines, next, dropped, epoch })
}

fn proportion() -> impl Strategy<Value = Proportion> {
    ([real(), real(), real()], any::<u64>()).prop_map(|([value, low, high], n)| Proportion {
        value,
        low,
        high,
        n,
    })
}

pub fn evaluation() -> impl Strategy<Value = Evaluation> {
    let class = (any::<String>(), [proportion(), proportion()], real())
        .prop_map(|(class, [precision, recall], f1)| ClassReport { class, precision, recall, f1 });
    let outcome = (hash(), any::<[u32; 2]>(), [single(), single()]).prop_map(
        |(image, [truth, predicted], [confidence, truth_probability])| Outcome {
            image,
            truth,
            predicted,
            confidence,
            truth_probability,
        },
    );
    let figures = ([proportion(), proportion()], [real(), real(), real(), real(), real()]);
    let content =
        (prop::collection::vec(class, 0..3), any::<Vec<Vec<u64>>>(), prop::collection::vec(outcome, 0..4));
    (dataset(), hash(), figures, content).prop_map(
        |(dataset, manifest, figures, (classes, confusion, outcomes))| {
            let ([accuracy, top3_accuracy], figures) = figures;
            let [balanced_accuracy, macro_f1, log_loss, calibration_error, calibration_error_raw] = figures;
            Evaluation {
                dataset,
                manifest,
                accuracy,
                top3_accuracy,
                balanced_accuracy,
                macro_f1,
                log_loss,
                calibration_error,
                calibration_error_raw,
                classes,
                confusion,
                outcomes,
            }
        },
    )
}

pub fn verdict() -> impl Strategy<Value = GateVerdict> {
    let check = (any::<[String; 2]>(), any::<bool>()).prop_map(|([name, detail], passed)| GateCheck {
        name,
        passed,
        detail,
    });
    (model(), prop::option::of(model()), prop::collection::vec(check, 0..4), time())
        .prop_map(|(candidate, against, checks, at)| GateVerdict { candidate, against, checks, at })
}

pub fn alias_move() -> impl Strategy<Value = AliasMove> {
    (
        any::<(u64, String, Option<String>)>(),
        prop::option::of(model()),
        model(),
        time(),
        prop::option::of(verdict()),
    )
        .prop_map(|((generation, by, reason), from, to, at, verdict)| AliasMove {
            alias: AliasName::production(),
            generation,
            kind: MoveKind::Promote,
            from,
            to,
            at,
            by,
            reason,
            verdict,
        })
}

pub fn update() -> impl Strategy<Value = Update> {
    let subject = prop_oneof![
        Just(Subject::Agent),
        any::<String>().prop_map(|name| Subject::Service { name, state: ServiceState::Down }),
        id().prop_map(|job| Subject::Job { job, state: JobState::Running }),
        dataset().prop_map(|dataset| Subject::Dataset { dataset }),
        model().prop_map(|number| Subject::Model { number }),
    ];
    let event = (any::<u64>(), time(), prop::option::of(project()), subject, any::<String>()).prop_map(
        |(seq, at, project, subject, text)| Event {
            seq,
            at,
            project,
            severity: Severity::Info,
            subject,
            text,
        },
    );
    prop_oneof![
        event.prop_map(|event| Update::Event { event }),
        job().prop_map(|job| Update::Job { job: Box::new(job) }),
    ]
}
