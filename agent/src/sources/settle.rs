//! What becomes of a source's version once its import has ended. Doing it twice does nothing more, so
//! that it can be done whenever something happened, and after every start.

use std::sync::Arc;

use uuid::Uuid;
use vigie_core::fail_point::{self, FailPoint};
use vigie_core::store::Blobs;
use vigie_core::store::catalog::{EventDraft, Receipt};
use vigie_core::store::{State, StoreError, passport};
use vigie_protocol::dataset::{ChangeSet, ChangeSetState, DatasetRef, Decision, SplitCounts};
use vigie_protocol::event::{Severity, Subject, Update};
use vigie_protocol::job::{FailureCause, Job, JobOutcome, JobSpec, JobState};
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::run::Recipe;
use vigie_protocol::source::{Acceptance, Imported, Pending, Source, SourceState};
use vigie_protocol::{AliasName, ApiError, ChangeSetId, ProjectName, Time};

use crate::app::App;
use crate::fault::api_error;
use crate::jobs::JobDraft;

/// Brings a source up to date with its import: accepts the change-set or asks for review, by the
/// source's policy; writes the version down once it is part of the line; has it preprocessed.
///
/// # Errors
/// Those of the store and of the job engine; then nothing is lost, and the next call goes on.
pub(super) async fn settle(app: &Arc<App>, source: Source) -> Result<Source, ApiError> {
    let Some(pending) = source.pending.clone() else { return Ok(source) };
    let seen = source.clone();
    match app.store(move |state| ended(state, &seen, &pending)).await? {
        None => Ok(source),
        Some(Ended::Nothing) => {
            update(app, &source, |source| {
                source.pending = None;
                None
            })
            .await
        }
        Some(Ended::Failed { why, at, for_good }) => {
            // The job's own event told of it.
            update(app, &source, move |source| {
                let pending = source.pending.as_mut()?;
                count_failure(pending, at);
                let failed = if for_good { "failed".to_owned() } else { pending.outlook() };
                source.detail = format!("the import of {} {failed}{why}", pending.revision);
                None
            })
            .await
        }
        Some(Ended::Landed(dataset)) => landed(app, source, dataset).await,
        Some(Ended::Proposed(set)) => proposed(app, source, *set).await,
        Some(Ended::Rejected) => {
            update(app, &source, |source| {
                source.declined = source.pending.take().map(|pending| pending.revision);
                None
            })
            .await
        }
    }
}

/// What an import came to.
enum Ended {
    /// Nothing is left of it: it was cancelled.
    Nothing,
    /// It failed; the next check sees what to do.
    Failed {
        /// Why: empty, or `: …`.
        why: String,
        /// When it ended.
        at: Option<Time>,
        /// Whether it would fail again.
        for_good: bool,
    },
    /// It is part of the line, or there was nothing that could be.
    Landed(Option<DatasetRef>),
    /// Its change-set was not looked at yet.
    Proposed(Box<ChangeSet>),
    /// A person rejected its change-set.
    Rejected,
}

/// Nothing while it goes on, or waits for a person who was asked.
fn ended(state: &State, source: &Source, pending: &Pending) -> Result<Option<Ended>, StoreError> {
    let job = match state.catalog.job(pending.job) {
        Ok(job) => Some(job),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let is_present = job.as_ref().is_none_or(|job| has_options(job, source));
    let ended = match (pending.change_set, job) {
        (Some(set), _) => of_change_set(state, source, set, true)?,
        (None, Some(job)) => of_job(state, source, pending, job)?,
        (None, None) => Some(Ended::Nothing),
    };
    Ok(match ended {
        // Nobody has said anything yet of what the options make of it by now.
        Some(Ended::Rejected) if !is_present => Some(Ended::Nothing),
        ended => ended,
    })
}

/// Whether a job imports with the options that the source has by now.
pub(super) fn has_options(job: &Job, source: &Source) -> bool {
    matches!(&job.spec, JobSpec::Import { options, .. } if *options == source.options)
}

fn of_job(state: &State, source: &Source, pending: &Pending, job: Job) -> Result<Option<Ended>, StoreError> {
    let Job { state: job_state, outcome, failure, finished, .. } = job;
    Ok(match (job_state, outcome) {
        (JobState::Succeeded, Some(JobOutcome::ChangeSet { change_set, .. })) => {
            of_change_set(state, source, change_set, false)?
        }
        (JobState::Succeeded, Some(JobOutcome::NoChange { dataset })) => Some(Ended::Landed(dataset)),
        (JobState::Succeeded | JobState::Cancelled, _) => Some(Ended::Nothing),
        (JobState::Failed, _) => {
            let for_good = failure.as_ref().is_some_and(|failure| failure.cause == FailureCause::Refused);
            let why = failure.map_or_else(String::new, |failure| format!(": {}", failure.message));
            (!counted(pending, finished)).then_some(Ended::Failed { why, at: finished, for_good })
        }
        (JobState::Queued | JobState::Running | JobState::Cancelling | JobState::Unknown, _) => None,
    })
}

/// Whether this end of its import was counted: each counts once, however often somebody looks.
fn counted(pending: &Pending, at: Option<Time>) -> bool {
    pending.failures > 0 && pending.failed == at
}

fn count_failure(pending: &mut Pending, at: Option<Time>) {
    if !counted(pending, at) {
        pending.failures = pending.failures.saturating_add(1);
        (pending.failed, pending.skipped) = (at, 0);
    }
}

fn of_change_set(
    state: &State,
    source: &Source,
    set: ChangeSetId,
    asked: bool,
) -> Result<Option<Ended>, StoreError> {
    let set = state.catalog.change_set(&source.project, set)?;
    Ok(match (set.state, set.accepted_as) {
        (ChangeSetState::Accepted, number) => {
            let dataset = number.map(|number| DatasetRef { lineage: set.lineage, number });
            Some(Ended::Landed(dataset))
        }
        (ChangeSetState::Rejected, _) => Some(Ended::Rejected),
        (ChangeSetState::Proposed, _) if !asked => Some(Ended::Proposed(Box::new(set))),
        (ChangeSetState::Proposed | ChangeSetState::Unknown, _) => None,
    })
}

/// A new change-set: accepts it, or asks a person.
async fn proposed(app: &Arc<App>, source: Source, set: ChangeSet) -> Result<Source, ApiError> {
    supersede(app, &source).await?;
    if let Some(reason) = may_accept(source.acceptance, &set)
        && let Some(dataset) = accept(app, &source, &set, reason).await?
    {
        return landed(app, source, Some(dataset)).await;
    }
    let (id, at) = (set.id, Time::now());
    update(app, &source, move |source| {
        let Source { project, name, pending, detail, .. } = source;
        let pending = pending.as_mut()?;
        pending.change_set = Some(id);
        pending.supersedes = None;
        let news = format!("source {name} has {}: change-set awaits review", pending.revision);
        *detail = format!("{} awaits review as change-set {id}", pending.revision);
        let subject = Subject::ChangeSet { change_set: id };
        let project = Some(project.clone());
        Some(EventDraft { at, project, severity: Severity::Warning, subject, text: news })
    })
    .await
}

/// Why a change-set may be accepted without a person, if it may: never one by which images that belong
/// together would serve in several splits.
fn may_accept(acceptance: Acceptance, set: &ChangeSet) -> Option<String> {
    let Acceptance::Under { percent } = acceptance else { return None };
    if set.findings.leaks > 0 {
        return None;
    }
    let totals = set.totals();
    let touched = totals
        .added
        .saturating_add(totals.removed)
        .saturating_add(totals.relabelled_in)
        .saturating_add(totals.moved);
    let result: u64 = set.result.values().map(SplitCounts::total).sum();
    let before = result.saturating_add(totals.removed).saturating_sub(totals.added);
    if before == 0 {
        return Some("the first version of an empty line, by the source's policy".to_owned());
    }
    let share = touched as f64 / before as f64 * 100.0;
    (share < f64::from(percent))
        .then(|| format!("{share:.2} % of {before} images change, under {percent} %, by the source's policy"))
}

/// Accepts a change-set; nothing when a person was faster, or its line moved on.
async fn accept(
    app: &Arc<App>,
    source: &Source,
    set: &ChangeSet,
    reason: String,
) -> Result<Option<DatasetRef>, ApiError> {
    let at = Time::now();
    let decision = Decision { at, by: format!("source {}", source.name), reason: Some(reason) };
    let receipt = receipt("source.accept", &[&set.id.to_string()], at);
    let (project, id) = (source.project.clone(), set.id);
    let accepted = app
        .blocking(move |app| match app.state.catalog.accept(&project, id, None, &decision, Some(&receipt)) {
            Ok(accepted) => Ok(Some(accepted)),
            Err(StoreError::Precondition(_) | StoreError::Conflict { .. }) => Ok(None),
            Err(error) => Err(api_error(error)),
        })
        .await?;
    let Some((accepted, told)) = accepted else { return Ok(None) };
    if let Some(event) = told {
        app.hub.publish(Update::Event { event });
    }
    Ok(accepted.accepted_as.map(|number| DatasetRef { lineage: accepted.lineage, number }))
}

/// Rejects the change-set of an older version that nobody decided on.
async fn supersede(app: &Arc<App>, source: &Source) -> Result<(), ApiError> {
    let Some(pending) = &source.pending else { return Ok(()) };
    let Some(older) = pending.supersedes else { return Ok(()) };
    let at = Time::now();
    let reason = Some(format!("superseded by {} of the same source", pending.revision));
    let decision = Decision { at, by: format!("source {}", source.name), reason };
    let receipt = receipt("source.supersede", &[&older.to_string()], at);
    let project = source.project.clone();
    app.blocking(move |app| {
        match app.state.catalog.reject(&project, older, None, &decision, Some(&receipt)) {
            // A person decided on it meanwhile, which is as good.
            Ok(_) | Err(StoreError::Precondition(_) | StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(api_error(error)),
        }
    })
    .await
}

/// A version is part of its line: has it preprocessed, then writes it down.
async fn landed(app: &Arc<App>, source: Source, dataset: Option<DatasetRef>) -> Result<Source, ApiError> {
    fail_point::pass(FailPoint::SourceDecided);
    supersede(app, &source).await?;
    if let Some(dataset) = dataset.filter(|_| source.preprocess) {
        preprocess(app, &source, dataset).await?;
    }
    update(app, &source, move |source| {
        let pending = source.pending.take()?;
        let at = Time::now();
        let news = match dataset {
            Some(dataset) => format!("{} is in {dataset}", pending.revision),
            None => format!("{} held nothing to import", pending.revision),
        };
        source.imported = Some(Imported { revision: pending.revision, at, dataset });
        source.state = SourceState::Ok;
        source.detail.clone_from(&news);
        let (project, name) = (Some(source.project.clone()), source.name.clone());
        let text = format!("source {name}: {news}");
        Some(EventDraft {
            at,
            project,
            severity: Severity::Info,
            subject: Subject::Source { source: name },
            text,
        })
    })
    .await
}

async fn preprocess(app: &Arc<App>, source: &Source, dataset: DatasetRef) -> Result<(), ApiError> {
    let project = source.project.clone();
    let spec = app.store(move |state| preprocess_of(state, &project)).await?;
    let spec = JobSpec::Preprocess { dataset, spec };
    let parts = [source.project.as_str(), source.name.as_str(), &dataset.to_string()];
    let receipt = receipt("source.preprocess", &parts, Time::now());
    let by = format!("source {}", source.name);
    let draft = JobDraft { project: Some(source.project.clone()), spec, after: Vec::new(), by };
    app.jobs.submit(draft, Some(receipt)).await.map(drop)
}

/// As the production model reads images; without one, as the default recipe does.
fn preprocess_of(state: &State, project: &ProjectName) -> Result<PreprocessSpec, StoreError> {
    let usual = || {
        let recipe = Recipe::default();
        PreprocessSpec::for_network(recipe.architecture, recipe.input)
    };
    let alias = match state.catalog.alias(project, &AliasName::production()) {
        Ok(alias) => alias,
        Err(StoreError::NotFound { .. }) => return Ok(usual()),
        Err(error) => return Err(error),
    };
    let model = state.catalog.model(project, alias.model)?;
    match state.blobs.get(model.passport)? {
        Some(bytes) => Ok(passport::decode(&bytes)?.preprocess),
        None => Ok(usual()),
    }
}

/// Writes down what became of a source, and tells those who watch.
pub(super) async fn update(
    app: &Arc<App>,
    source: &Source,
    change: impl Fn(&mut Source) -> Option<EventDraft> + Send + 'static,
) -> Result<Source, ApiError> {
    let seen = source.clone();
    let (source, event) = app.store(move |state| state.catalog.follow_source(&seen, change)).await?;
    if let Some(event) = event {
        app.hub.publish(Update::Event { event });
    }
    Ok(source)
}

fn receipt(method: &'static str, parts: &[&str], at: Time) -> Receipt {
    let mut all = vec![method];
    all.extend_from_slice(parts);
    Receipt { key: derived(&all).into(), method, request: None, at, audit: None }
}

/// The identity of a change that these words name: the same each time.
pub(super) fn derived(parts: &[&str]) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key("vigie source change v1");
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vigie_protocol::JobId;
    use vigie_protocol::dataset::ClassChange;
    use vigie_protocol::import::{GivenSplit, ImportOptions};
    use vigie_protocol::project::Project;
    use vigie_protocol::review::FindingCounts;
    use vigie_protocol::samples::Sample;
    use vigie_protocol::source::Revision;

    use super::*;

    #[test]
    fn what_was_rejected_with_other_options_is_not_declined() {
        let folder = tempfile::tempdir().expect("folder");
        let (now, by) = (Time::now(), "ada".to_owned());
        let state = State::open(&folder.path().join("state"), now, None).expect("opened");
        let source = Source::sample();
        let project = source.project.clone();
        state.catalog.create_project(&Project::new(project.clone(), now, "ada"), None).expect("a project");
        let set = ChangeSet {
            project: project.clone(),
            lineage: source.lineage,
            base: None,
            state: ChangeSetState::Proposed,
            manifest: state.blobs.put(b"manifest").expect("a blob"),
            ..ChangeSet::sample()
        };
        state.catalog.propose(&set, None).expect("proposed");
        let decision = Decision { at: now, by, reason: None };
        state.catalog.reject(&project, set.id, None, &decision, None).expect("rejected");
        let revision = Revision::Version { number: 2 };
        let spec = JobSpec::Import {
            source: source.origin.import(&revision),
            lineage: source.lineage,
            accept: false,
            options: source.options.clone(),
        };
        let job = Job { id: JobId::new(), project: Some(project), spec, after: Vec::new(), ..Job::sample() };
        state.catalog.insert_job(&job, None).expect("a job");
        let pending = Pending { change_set: Some(set.id), ..Pending::new(revision, job.id, None) };

        assert!(matches!(ended(&state, &source, &pending), Ok(Some(Ended::Rejected))));
        let options = ImportOptions { given_split: GivenSplit::RedrawValid, ..source.options };
        let changed = Source { options, ..source };
        assert!(matches!(ended(&state, &changed, &pending), Ok(Some(Ended::Nothing))));
    }

    #[test]
    fn the_policy_counts_every_image_that_is_touched() {
        let set = |change: ClassChange, result: u64| ChangeSet {
            classes: BTreeMap::from([("owl".to_owned(), change)]),
            result: BTreeMap::from([("owl".to_owned(), SplitCounts { train: result, valid: 0, test: 0 })]),
            ..ChangeSet::sample()
        };
        let none = ClassChange::default();
        let five = Acceptance::Under { percent: 5.0 };
        for (acceptance, change, result, accepted) in [
            (five, ClassChange { added: 49, ..none }, 1_049, true),
            (five, ClassChange { added: 50, ..none }, 1_050, false),
            (five, ClassChange { removed: 50, ..none }, 950, false),
            (five, ClassChange { relabelled_in: 25, relabelled_out: 25, moved: 24, ..none }, 1_000, true),
            (five, ClassChange { relabelled_in: 25, moved: 25, ..none }, 1_000, false),
            (five, ClassChange { added: 700, ..none }, 700, true),
            (Acceptance::Under { percent: f32::NAN }, ClassChange { added: 1, ..none }, 1_001, false),
            (Acceptance::Ask, ClassChange { added: 1, ..none }, 1_001, false),
            (Acceptance::Unknown, ClassChange { added: 1, ..none }, 1_001, false),
        ] {
            let set = ChangeSet { findings: FindingCounts::default(), ..set(change, result) };
            let reason = may_accept(acceptance, &set);
            assert_eq!(reason.is_some(), accepted, "{change:?} {reason:?}");
            let leaking = ChangeSet { findings: FindingCounts { leaks: 1, ..set.findings }, ..set };
            assert_eq!(may_accept(acceptance, &leaking), None, "{change:?}");
        }
    }

    #[test]
    fn each_failure_counts_once() {
        let revision = Revision::Version { number: 1 };
        let mut pending = Pending::new(revision, JobId::new(), None);
        for (at, failures) in [(Some(3), 1), (Some(3), 1), (Some(9), 2), (None, 3), (None, 3)] {
            pending.skipped = 4;
            let before = pending.failures;
            count_failure(&mut pending, at.map(Time::from_micros));
            assert_eq!(pending.failures, failures, "{at:?}");
            assert_eq!(pending.skipped, if failures == before { 4 } else { 0 });
        }
    }

    #[test]
    fn identities_tell_their_words_apart() {
        assert_eq!(derived(&["a", "b"]), derived(&["a", "b"]));
        assert_ne!(derived(&["a", "b"]), derived(&["ab"]));
        assert_ne!(derived(&["a", "b"]), derived(&["a", "b", ""]));
    }
}
