//! Bringing home what a worker made: the commits that make a result visible.
//!
//! Carrying a landing out twice gives the same rows as once: identities and receipts of what it
//! makes are derived from the job and the result. So a crash in its middle costs nothing: the job
//! runs again, comes to the same result, and lands the rest.

use std::collections::BTreeMap;

use uuid::Uuid;
use vigie_core::fail_point::{self, FailPoint};
use vigie_core::store::StoreError;
use vigie_core::store::catalog::{Catalog, Clustering, EventDraft, Fate, ModelDraft, Receipt, Source};
use vigie_protocol::classes::Relabelling;
use vigie_protocol::dataset::{
    ChangeSet, ChangeSetState, ClassChange, DatasetRef, Decision, Lineage, SplitCounts,
};
use vigie_protocol::event::{Event, Severity, Subject};
use vigie_protocol::job::{Job, JobOutcome, JobSpec, Lease};
use vigie_protocol::label_check::LabelCheck;
use vigie_protocol::run::{EpochMetrics, Run, RunState};
use vigie_protocol::window::Window;
use vigie_protocol::{Hash, ProjectName, RunId, Time};

use crate::worker::{MadeModel, Proposed, WorkDone};

/// What landed.
#[derive(Debug)]
pub(super) struct Landed {
    /// What the job made.
    pub(super) outcome: JobOutcome,
    /// What to tell those who watch.
    pub(super) events: Vec<Happened>,
    /// A line for the job's log.
    pub(super) remark: Option<String>,
}

/// Something to tell.
#[derive(Debug)]
pub(super) enum Happened {
    /// It is to be recorded.
    New(EventDraft),
    /// It was recorded with what it tells of.
    Recorded(Event),
}

/// Commits a result. `base` is the number of the version that a proposal was made against.
///
/// # Errors
/// [`StoreError::Precondition`] when one of the leases has passed on: the result is stale, and
/// nothing was committed.
pub(super) fn land(
    catalog: &Catalog,
    job: &Job,
    leases: &[Lease],
    base: Option<u32>,
    done: WorkDone,
    now: Time,
) -> Result<Landed, StoreError> {
    catalog.save_job_fenced(job, leases)?;
    if let WorkDone::Collected(report) = done {
        return Ok(Landed { outcome: JobOutcome::Gc { report }, events: Vec::new(), remark: None });
    }
    let project = job.project.as_ref().ok_or_else(|| mismatch("a project"))?;
    match (done, &job.spec) {
        (WorkDone::Proposed(proposed), JobSpec::Import { source, lineage, accept, .. }) => {
            let origin = format!("import of {}", base_name(&source.name()));
            // Only what adds, takes nothing away and ties no splits together goes in without a person's look.
            let accept = *accept && only_adds(&proposed) && !leaks(&proposed);
            land_change_set(
                catalog,
                job,
                &Draft { project, lineage: *lineage, base, origin, window: None, accept, now },
                proposed,
            )
        }
        (
            WorkDone::Proposed(proposed),
            JobSpec::Propose { from, into, accept, admit_all: _, only_add, window },
        ) => {
            let part = window.map(|window| format!(", {window}")).unwrap_or_default();
            let origin = format!("update from {from}{part}{}", left_waiting(&proposed.waiting));
            let accept = *accept && !leaks(&proposed) && (!only_add || only_adds(&proposed));
            land_change_set(
                catalog,
                job,
                &Draft { project, lineage: *into, base, origin, window: *window, accept, now },
                proposed,
            )
        }
        (WorkDone::Gathered(proposed, fates), JobSpec::Collect { accept }) => {
            let accept = *accept && only_adds(&proposed) && !leaks(&proposed);
            let origin = "feedback".to_owned();
            let draft =
                Draft { project, lineage: Lineage::Production, base, origin, window: None, accept, now };
            land_collection(catalog, job, &draft, proposed, &fates)
        }
        (WorkDone::Clustered { model, clusters }, JobSpec::Cluster { .. }) => {
            let (count, images) = (clusters.len(), clusters.iter().map(Vec::len).sum::<usize>());
            catalog.save_clustering(project, &Clustering { made: now, model, clusters })?;
            let outcome = JobOutcome::Clusters {
                clusters: u32::try_from(count).unwrap_or(u32::MAX),
                images: images as u64,
            };
            let remark = Some(format!("{images} deferred images in {count} clusters"));
            Ok(Landed { outcome, events: Vec::new(), remark })
        }
        (WorkDone::Proposed(proposed), JobSpec::Relabel { lineage, relabelling, accept }) => {
            let origin = relabelled(*lineage, relabelling);
            let draft =
                Draft { project, lineage: *lineage, base, origin, window: None, accept: *accept, now };
            land_change_set(catalog, job, &draft, proposed)
        }
        (WorkDone::Proposed(proposed), JobSpec::Balance { lineage, per_class, seed, accept }) => {
            let limit = per_class.map_or("those of the smallest class".to_owned(), |n| n.to_string());
            let origin = format!("balance: at most {limit} train images a class, drawn by seed {seed}");
            let draft =
                Draft { project, lineage: *lineage, base, origin, window: None, accept: *accept, now };
            land_change_set(catalog, job, &draft, proposed)
        }
        (
            WorkDone::LabelsChecked { report, images, agreement, issues },
            JobSpec::LabelCheck { dataset, folds, .. },
        ) => {
            let check = LabelCheck {
                job: job.id,
                dataset: *dataset,
                manifest: catalog.dataset(project, *dataset)?.manifest,
                images,
                folds: *folds,
                agreement,
                issues,
                report,
                created: now,
                by: job.by.clone(),
            };
            catalog.save_label_check(project, &check)?;
            let text =
                format!("{issues} labels of {dataset} may be wrong; a classifier agrees with {agreement}");
            Ok(Landed {
                outcome: JobOutcome::LabelCheck { images, issues },
                events: vec![event(job, now, Subject::Dataset { dataset: *dataset }, text.clone())],
                remark: Some(text),
            })
        }
        (WorkDone::Proposed(proposed), JobSpec::Resplit { lineage }) => {
            let (origin, accept) = ("re-split".to_owned(), false);
            let draft = Draft { project, lineage: *lineage, base, origin, window: None, accept, now };
            land_change_set(catalog, job, &draft, proposed)
        }
        (WorkDone::Pack { id, images, bytes, reused }, JobSpec::Preprocess { .. }) => Ok(Landed {
            outcome: JobOutcome::Pack { pack: id, images, bytes, reused },
            events: Vec::new(),
            remark: None,
        }),
        (WorkDone::Trained { best_epoch, epochs, resumed_from }, JobSpec::Train { run, .. }) => {
            let mut run = catalog.run(project, *run)?;
            run.state = RunState::Finished;
            run.best_epoch = Some(best_epoch);
            run.epochs = epochs;
            run.resumed += u32::from(resumed_from.is_some());
            catalog.save_run(project, &run)?;
            let remark = resumed_from.map(|epoch| format!("this attempt went on from epoch {epoch}"));
            Ok(Landed { outcome: JobOutcome::Run { run: run.id, best_epoch }, events: Vec::new(), remark })
        }
        (WorkDone::Evaluated(made), JobSpec::Evaluate { run }) => {
            land_model(catalog, job, project, *run, made, now)
        }
        _ => Err(mismatch("a result of its kind")),
    }
}

/// Adds an epoch to its run, whose checkpoint is durable by now; returns the run.
pub(super) fn land_epoch(
    catalog: &Catalog,
    project: &ProjectName,
    run: RunId,
    metrics: EpochMetrics,
) -> Result<Run, StoreError> {
    let mut run = catalog.run(project, run)?;
    // An attempt that went on from an earlier checkpoint measures epochs again.
    run.epochs.retain(|epoch| epoch.epoch < metrics.epoch);
    run.epochs.push(metrics);
    run.best_epoch =
        run.epochs.iter().min_by(|a, b| a.valid_loss.total_cmp(&b.valid_loss)).map(|best| best.epoch);
    catalog.save_run(project, &run)?;
    fail_point::pass(FailPoint::EpochLanded);
    Ok(run)
}

/// What the agent adds to a worker's proposal.
struct Draft<'a> {
    project: &'a ProjectName,
    lineage: Lineage,
    base: Option<u32>,
    origin: String,
    window: Option<Window>,
    accept: bool,
    now: Time,
}

/// What a relabelling is called.
fn relabelled(lineage: Lineage, relabelling: &Relabelling) -> String {
    match relabelling {
        Relabelling::Classes { renames, .. } => match renames.first_key_value() {
            Some((from, to)) if renames.len() == 1 => format!("rename of {from:?} to {to:?}"),
            _ => format!("rename of {} classes", renames.len()),
        },
        Relabelling::Images { labels, .. } => format!("other labels for {} images", labels.len()),
        Relabelling::Undo { version } => {
            format!("undo of the other labels of {}", DatasetRef { lineage, number: *version })
        }
        Relabelling::Unknown => "an unknown relabelling".to_owned(),
    }
}

fn land_change_set(
    catalog: &Catalog,
    job: &Job,
    draft: &Draft<'_>,
    proposed: Proposed,
) -> Result<Landed, StoreError> {
    let Draft { project, lineage, base, now, .. } = *draft;
    if proposed.result.is_empty() {
        let waiting = left_waiting(&proposed.waiting);
        let left_out = match proposed.quarantined {
            0 => String::new(),
            files => format!("; {files} files were left out"),
        };
        let remark = Some(format!("nothing was found that could be proposed{waiting}{left_out}"));
        return Ok(Landed { outcome: JobOutcome::NoChange { dataset: None }, events: Vec::new(), remark });
    }
    if let Some(number) = base {
        let dataset = DatasetRef { lineage, number };
        if catalog.dataset(project, dataset)?.manifest == proposed.manifest {
            let outcome = JobOutcome::NoChange { dataset: Some(dataset) };
            let remark = match proposed.waiting.len() {
                0 => format!("{dataset} holds all of it already"),
                _ => format!("{dataset} holds the rest of it already{}", left_waiting(&proposed.waiting)),
            };
            let remark = Some(remark);
            return Ok(Landed { outcome, events: Vec::new(), remark });
        }
    }
    let identity = |what| derived(job, what, proposed.manifest, base);
    let receipt =
        |what, method| Receipt { key: identity(what).into(), method, request: None, at: now, audit: None };
    let (propose, accept) = (receipt("propose", "job.propose"), receipt("accept", "job.accept"));
    let set = catalog.propose(&change_set(job, draft, identity("change-set"), proposed), Some(&propose))?;
    fail_point::pass(FailPoint::ChangeSetProposed);
    let mut landed = Landed {
        outcome: JobOutcome::ChangeSet { change_set: set.id, dataset: None },
        events: vec![event(job, now, Subject::ChangeSet { change_set: set.id }, describe(&set))],
        remark: Some(describe(&set)),
    };
    if draft.accept {
        let reason = Some("accepted at once, as asked".to_owned());
        let decision = Decision { at: now, by: job.by.clone(), reason };
        match catalog.accept(project, set.id, None, &decision, Some(&accept)) {
            Ok((accepted, told)) => {
                fail_point::pass(FailPoint::VersionAccepted);
                let Some(number) = accepted.accepted_as else { return Ok(landed) };
                let dataset = DatasetRef { lineage, number };
                landed.outcome = JobOutcome::ChangeSet { change_set: set.id, dataset: Some(dataset) };
                let images: u64 = set.result.values().map(SplitCounts::total).sum();
                landed.remark = Some(format!("{}; became {dataset} with {images} images", describe(&set)));
                landed.events.extend(told.map(Happened::Recorded));
            }
            // A person was faster, with this change-set or another one.
            Err(error @ (StoreError::Precondition(_) | StoreError::Conflict { .. })) => {
                landed.remark = Some(format!("{}; not accepted at once: {error}", describe(&set)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(landed)
}

/// Lands what was collected, then says in the feedback what became of it. A crash between the two costs
/// nothing: the job finds its images in the line, or its change-set, and says it then.
fn land_collection(
    catalog: &Catalog,
    job: &Job,
    draft: &Draft<'_>,
    proposed: Proposed,
    fates: &[(Source, Fate)],
) -> Result<Landed, StoreError> {
    let landed = land_change_set(catalog, job, draft, proposed)?;
    fail_point::pass(FailPoint::CollectionLanded);
    let into = match &landed.outcome {
        JobOutcome::ChangeSet { change_set, dataset } => Some((*change_set, dataset.is_some())),
        _ => None,
    };
    catalog.note_fates(draft.project, fates, into)?;
    Ok(landed)
}

fn change_set(job: &Job, draft: &Draft<'_>, id: Uuid, proposed: Proposed) -> ChangeSet {
    let Draft { project, lineage, base, origin, window, accept: _, now } = draft;
    let Proposed {
        manifest,
        classes,
        result,
        bytes,
        unchanged,
        duplicates,
        quarantine,
        quarantined,
        waiting: _,
        renames,
        findings,
    } = proposed;
    ChangeSet {
        id: id.into(),
        project: (*project).clone(),
        lineage: *lineage,
        base: *base,
        state: ChangeSetState::Proposed,
        origin: origin.clone(),
        created: *now,
        by: job.by.clone(),
        manifest,
        classes,
        result,
        bytes,
        unchanged,
        duplicates,
        quarantine,
        quarantined,
        renames,
        window: *window,
        findings,
        left: BTreeMap::new(),
        accepted_as: None,
        decided: None,
        generation: 1,
    }
}

fn land_model(
    catalog: &Catalog,
    job: &Job,
    project: &ProjectName,
    run: RunId,
    made: MadeModel,
    now: Time,
) -> Result<Landed, StoreError> {
    let MadeModel { passport, weights, architecture, classes, accuracy } = made;
    let dataset: DatasetRef = catalog.run(project, run)?.dataset;
    let by = job.by.clone();
    let draft =
        ModelDraft { passport, weights, architecture, classes, dataset, run, accuracy, created: now, by };
    fail_point::pass(FailPoint::ModelStored);
    // The store gives a run that is registered already its first number again.
    let (model, told) = catalog.register_model(project, &draft)?;
    fail_point::pass(FailPoint::ModelRegistered);
    Ok(Landed {
        outcome: JobOutcome::Model { number: model.number },
        remark: Some(format!("model {}: test accuracy {}", model.number, model.accuracy)),
        events: told.into_iter().map(Happened::Recorded).collect(),
    })
}

fn only_adds(proposed: &Proposed) -> bool {
    proposed.classes.values().all(|class| {
        let ClassChange { added: _, removed, relabelled_in, relabelled_out, moved } = *class;
        removed + relabelled_in + relabelled_out + moved == 0
    })
}

/// Whether images that belong together would serve in several splits.
fn leaks(proposed: &Proposed) -> bool {
    proposed.findings.leaks > 0
}

/// Says which classes were left out because they wait.
fn left_waiting(waiting: &[String]) -> String {
    const NAMED: usize = 3;
    if waiting.is_empty() {
        return String::new();
    }
    let named = waiting.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match waiting.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("; left waiting: {named}{more}")
}

fn describe(set: &ChangeSet) -> String {
    let totals = set.totals();
    let mut text = format!("{}: {} images added", set.origin, totals.added);
    for (count, what) in [
        (totals.removed, "removed"),
        (totals.relabelled_in, "relabelled"),
        (totals.moved, "moved"),
        (set.quarantined, "files left out"),
        (set.findings.enter_test, "enter the test split"),
        (set.findings.near_duplicates, "look like another"),
        (set.findings.leaks, "leak across splits"),
        (set.findings.outliers, "are unusual"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

fn event(job: &Job, at: Time, subject: Subject, text: String) -> Happened {
    Happened::New(EventDraft { at, project: job.project.clone(), severity: Severity::Info, subject, text })
}

/// An identity that this job gives to a thing it makes with this content: the same each time.
/// The first six bytes are those of the job's UUIDv7, so that it sorts by time as others do.
fn derived(job: &Job, what: &str, content: Hash, base: Option<u32>) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key("vigie job result v1");
    hasher.update(job.id.uuid().as_bytes());
    hasher.update(content.as_bytes());
    hasher.update(&base.unwrap_or(0).to_le_bytes());
    hasher.update(what.as_bytes());
    let mut bytes = *job.id.uuid().as_bytes();
    let digest = hasher.finalize();
    bytes[6..].copy_from_slice(&digest.as_bytes()[..10]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches("?…")
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or(path)
}

fn mismatch(what: &str) -> StoreError {
    StoreError::Precondition(format!("the job lacks {what}"))
}
