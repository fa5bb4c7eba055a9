//! Whether a source has something new, and what follows from it.

use std::sync::Arc;

use tokio::time::sleep;
use uuid::Uuid;
use vigie_core::fail_point::{self, FailPoint};
use vigie_core::store::catalog::{EventDraft, Receipt};
use vigie_core::store::{State, StoreError};
use vigie_protocol::dataset::{ChangeSetState, Lineage};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::job::{FailureCause, Job, JobSpec, JobState};
use vigie_protocol::service::SourceChecked;
use vigie_protocol::source::{Pending, Revision, Source, SourceOrigin, SourceState};
use vigie_protocol::{ApiError, ChangeSetId, ErrorCode, ProjectName, SourceName, Time};

use super::error::SourceError;
use super::settle::{derived, settle, update};
use super::{Sources, backoff};
use crate::app::App;
use crate::jobs::JobDraft;

/// Looks whether a source has something new. If so, a job imports it; what becomes of its change-set
/// is decided by the source's policy when the job has ended. One import a source is under way at a
/// time, and what was imported or rejected before is not brought in again. A source that cannot be had
/// keeps the last good version, and says why in its state; one event tells that it changed.
///
/// # Errors
/// `NotFound`; `Precondition` where the configuration allows no outbound connections; `Conflict` when
/// the source became another one meanwhile.
pub async fn check(
    app: &Arc<App>,
    project: &ProjectName,
    name: &SourceName,
    by: &str,
) -> Result<SourceChecked, ApiError> {
    let read = || {
        let (project, name) = (project.clone(), name.clone());
        app.store(move |state| state.catalog.source(&project, &name))
    };
    let asked = read().await?;
    let found = match look(&app.sources, &asked.origin).await {
        Err(error @ (SourceError::Off | SourceError::Client(_))) => return Err(error.refusal()),
        found => found,
    };

    let _turn = app.sources.turn.lock().await;
    let source = settle(app, read().await?).await?;
    if source.origin != asked.origin || source.lineage != asked.lineage {
        return Err(ApiError::new(ErrorCode::Conflict, format!("source {name} was changed meanwhile"))
            .with_hint("check it again"));
    }
    match found {
        Ok(revision) => found_one(app, source, revision, by).await,
        Err(error) => {
            let source = update(app, &source, move |source| {
                let (now, state) = (Time::now(), error.state());
                source.checked = Some(now);
                is_in(source, state, error.to_string(), now)
            })
            .await?;
            Ok(SourceChecked { source, job: None })
        }
    }
}

/// What is there, asked again when the network has a bad moment.
async fn look(sources: &Sources, origin: &SourceOrigin) -> Result<Revision, SourceError> {
    let (attempts, most) = sources.patience();
    let mut failures = 0;
    loop {
        let looked = match sources.look(origin).await {
            Ok(revision) => sources.probe(origin, &revision).await.map(|()| revision),
            Err(error) => Err(error),
        };
        failures += 1;
        match looked {
            Err(error) if failures < attempts && error.again().is_some() => {
                let asked = error.again().flatten();
                sleep(backoff::pause(failures, asked, most, rand::random())).await;
            }
            looked => return looked,
        }
    }
}

/// Puts a source into a state. The event that tells of a change; nothing when it was in it already.
fn is_in(source: &mut Source, state: SourceState, detail: String, now: Time) -> Option<EventDraft> {
    let before = std::mem::replace(&mut source.state, state);
    source.detail.clone_from(&detail);
    if before == state {
        return None;
    }
    source.since = now;
    let name = &source.name;
    let kept = match source.imported.as_ref().and_then(|imported| imported.dataset) {
        Some(dataset) => format!("; {dataset} stays"),
        None => String::new(),
    };
    let (severity, text) = match (before, state) {
        (SourceState::Unchecked, SourceState::Ok) => return None,
        (_, SourceState::Ok) => (Severity::Info, format!("source {name} is there again: {detail}")),
        (_, state) => (Severity::Warning, format!("source {name} is {state}: {detail}{kept}")),
    };
    let (project, subject) = (Some(source.project.clone()), Subject::Source { source: source.name.clone() });
    Some(EventDraft { at: now, project, severity, subject, text })
}

/// What there is to do about what was found.
#[derive(Debug, PartialEq)]
enum Next {
    /// Nothing: it says why.
    Nothing(String),
    /// An import is under way.
    UnderWay(Box<Job>),
    /// The import of this very version failed for a reason that may be gone: it goes on.
    Retry(Box<Job>),
    /// The import of this very version failed, and would again.
    Broken(String),
    /// It is new.
    Import,
}

/// Decides it. `job` is that of the pending version; `waits` says whether that version's change-set can
/// still be accepted.
fn decide(source: &Source, found: &Revision, job: Option<Job>, waits: bool) -> Next {
    let is = |revision: &Revision| revision.is_same(found);
    let pending = source.pending.as_ref();
    match (pending, job) {
        (Some(_), Some(job)) if !job.state.is_final() => return Next::UnderWay(Box::new(job)),
        (Some(Pending { revision, change_set: Some(set), .. }), _) if waits && is(revision) => {
            return Next::Nothing(format!("{found} awaits review as change-set {set}"));
        }
        (Some(Pending { revision, change_set: None, .. }), Some(job))
            if job.state == JobState::Failed && is(revision) =>
        {
            let failure = job.failure.as_ref();
            return match failure.filter(|failure| failure.cause == FailureCause::Refused) {
                Some(failure) => Next::Broken(format!("{found} cannot be imported: {}", failure.message)),
                None => Next::Retry(Box::new(job)),
            };
        }
        _ => {}
    }
    if source.imported.as_ref().is_some_and(|imported| is(&imported.revision)) {
        return Next::Nothing(format!("{found}, which was imported"));
    }
    if source.declined.as_ref().is_some_and(is) {
        return Next::Nothing(format!("{found}, which was rejected"));
    }
    Next::Import
}

async fn found_one(
    app: &Arc<App>,
    source: Source,
    revision: Revision,
    by: &str,
) -> Result<SourceChecked, ApiError> {
    let pending = source.pending.clone();
    let seen = source.clone();
    let (job, waits) = app.store(move |state| pending_of(state, &seen)).await?;
    let next = decide(&source, &revision, job, waits);
    let (state, detail, job) = match next {
        Next::Nothing(detail) => (SourceState::Ok, detail, None),
        Next::Broken(detail) => (SourceState::Broken, detail, None),
        Next::UnderWay(job) => (SourceState::Ok, format!("{revision}; an import is under way"), Some(*job)),
        Next::Retry(job) => {
            let job = app.jobs.retry(job.id, None).await?;
            (SourceState::Ok, format!("{revision} is being imported"), Some(job))
        }
        Next::Import => {
            let job = submit(app, &source, &revision, by).await?;
            fail_point::pass(FailPoint::SourceSubmitted);
            (SourceState::Ok, format!("{revision} is being imported"), Some(job))
        }
    };
    let new = job.as_ref().map(|job| Pending {
        revision: revision.clone(),
        job: job.id,
        change_set: None,
        supersedes: pending.as_ref().and_then(|before| before.change_set.or(before.supersedes)),
    });
    let source = update(app, &source, move |source| {
        let now = Time::now();
        source.checked = Some(now);
        source.latest = Some(revision.clone());
        let goes_on = source.pending.as_ref().map(|pending| pending.job) == new.as_ref().map(|new| new.job);
        if let Some(new) = new.clone().filter(|_| !goes_on) {
            source.pending = Some(new);
        }
        is_in(source, state, detail.clone(), now)
    })
    .await?;
    // An agent that was killed between the two submitted the job before, and it may have ended by now:
    // no news of it would come any more.
    let source = settle(app, source).await?;
    Ok(SourceChecked { source, job: job.map(Box::new) })
}

/// The job of a source's pending version, and whether its change-set can still be accepted.
fn pending_of(state: &State, source: &Source) -> Result<(Option<Job>, bool), StoreError> {
    let Some(Pending { job, change_set, .. }) = &source.pending else { return Ok((None, false)) };
    let job = match state.catalog.job(*job) {
        Ok(job) => Some(job),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let waits = match change_set {
        Some(set) => can_be_accepted(state, &source.project, source.lineage, *set)?,
        None => false,
    };
    Ok((job, waits))
}

fn can_be_accepted(
    state: &State,
    project: &ProjectName,
    lineage: Lineage,
    set: ChangeSetId,
) -> Result<bool, StoreError> {
    let set = state.catalog.change_set(project, set)?;
    let head = state.catalog.dataset_head(project, lineage)?.map(|head| head.dataset.number);
    Ok(set.state == ChangeSetState::Proposed && set.base == head)
}

/// Submits the import of a version, once: an agent that is killed before the source says so submits
/// the same job again, and finds it there.
async fn submit(app: &Arc<App>, source: &Source, revision: &Revision, by: &str) -> Result<Job, ApiError> {
    let Source { project, name, origin, lineage, generation, .. } = source;
    let key: Uuid =
        derived(&[project.as_str(), name.as_str(), &revision.to_string(), &generation.to_string()]);
    let receipt =
        Receipt { key: key.into(), method: "source.import", request: None, at: Time::now(), audit: None };
    // Its change-set is decided on by the source's policy, when it is there.
    let spec = JobSpec::Import { source: origin.import(revision), lineage: *lineage, accept: false };
    let draft = JobDraft { project: Some(project.clone()), spec, after: Vec::new(), by: by.to_owned() };
    let submitted = app.jobs.submit(draft, Some(receipt)).await?;
    // As it is now: a receipt knows the job as it was first.
    app.jobs.get(submitted.id).await
}
