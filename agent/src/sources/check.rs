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
use super::settle::{derived, has_options, settle, update};
use super::{Sources, backoff};
use crate::app::App;
use crate::jobs::JobDraft;

/// Who wants a source checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    by: String,
    is_person: bool,
}

impl Asker {
    /// A person, who may have removed what an import failed for, such as a limit of the agent: it is
    /// tried again whenever they ask.
    pub fn person(by: String) -> Self {
        Self { by, is_person: true }
    }

    /// A schedule: it lets failed imports rest, longer after each failure.
    pub fn schedule(by: String) -> Self {
        Self { by, is_person: false }
    }
}

/// Looks whether a source has something new. If so, a job imports it; what becomes of its change-set
/// is decided by the source's policy when the job has ended. One import a source is under way at a
/// time, and what was imported or rejected before is not brought in again. A source that cannot be had
/// keeps the last good version, and says why in its state; one event tells that it changed. An import
/// that failed is tried again, by schedules ever more rarely and not for ever.
///
/// # Errors
/// `NotFound`; `Precondition` where the configuration allows no outbound connections; `Conflict` when
/// the source became another one meanwhile.
pub async fn check(
    app: &Arc<App>,
    project: &ProjectName,
    name: &SourceName,
    asker: &Asker,
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
        Ok(revision) => found_one(app, source, revision, asker).await,
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
    /// So it did, and rests for this check: it says why.
    Rest(String),
    /// The import of this very version failed, and would again, or did so too often.
    Broken(String),
    /// It is new.
    Import,
}

/// Decides it. `job` is that of the pending version; `waits` says whether that version's change-set can
/// still be accepted. An import with other options than the source has by now says nothing of this one.
fn decide(source: &Source, found: &Revision, job: Option<Job>, waits: bool, is_person: bool) -> Next {
    let is = |revision: &Revision| revision.is_same(found);
    let is_present = job.as_ref().is_none_or(|job| has_options(job, source));
    match (source.pending.as_ref(), job) {
        (Some(_), Some(job)) if !job.state.is_final() => return Next::UnderWay(Box::new(job)),
        (Some(pending), job) if is_present && is(&pending.revision) => match (pending.change_set, job) {
            (Some(set), _) if waits => {
                return Next::Nothing(format!("{found} awaits review as change-set {set}"));
            }
            (None, Some(job)) if job.state == JobState::Failed => {
                return after_failure(pending, job, is_person);
            }
            _ => {}
        },
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

fn after_failure(pending: &Pending, job: Job, is_person: bool) -> Next {
    let revision = &pending.revision;
    let (cause, why) = match &job.failure {
        Some(failure) => (failure.cause, failure.message.as_str()),
        None => (FailureCause::Unknown, "nobody knows why"),
    };
    if cause == FailureCause::Refused && !is_person {
        return Next::Broken(format!("{revision} cannot be imported: {why}"));
    }
    let told = || format!("the import of {revision} {}: {why}", pending.outlook());
    match pending.checks_to_wait() {
        _ if is_person => Next::Retry(Box::new(job)),
        Some(0) => Next::Retry(Box::new(job)),
        Some(_) => Next::Rest(told()),
        None => Next::Broken(told()),
    }
}

async fn found_one(
    app: &Arc<App>,
    source: Source,
    revision: Revision,
    asker: &Asker,
) -> Result<SourceChecked, ApiError> {
    let pending = source.pending.clone();
    let seen = source.clone();
    let (job, waits) = app.store(move |state| pending_of(state, &seen)).await?;
    let next = decide(&source, &revision, job, waits, asker.is_person);
    let rests = matches!(next, Next::Rest(_));
    let (state, detail, job) = match next {
        Next::Nothing(detail) | Next::Rest(detail) => (SourceState::Ok, detail, None),
        Next::Broken(detail) => (SourceState::Broken, detail, None),
        Next::UnderWay(job) => (SourceState::Ok, format!("{revision}; an import is under way"), Some(*job)),
        Next::Retry(job) => {
            let job = app.jobs.retry(job.id, None).await?;
            (SourceState::Ok, format!("{revision} is being imported"), Some(job))
        }
        Next::Import => {
            let job = submit(app, &source, &revision, &asker.by).await?;
            fail_point::pass(FailPoint::SourceSubmitted);
            (SourceState::Ok, format!("{revision} is being imported"), Some(job))
        }
    };
    let new = job.as_ref().map(|job| {
        let supersedes = pending.as_ref().and_then(|before| before.change_set.or(before.supersedes));
        Pending::new(revision.clone(), job.id, supersedes)
    });
    let source = update(app, &source, move |source| {
        let now = Time::now();
        source.checked = Some(now);
        source.latest = Some(revision.clone());
        let goes_on = source.pending.as_ref().map(|pending| pending.job) == new.as_ref().map(|new| new.job);
        if let Some(new) = new.clone().filter(|_| !goes_on) {
            source.pending = Some(new);
        }
        if let Some(pending) = source.pending.as_mut().filter(|_| rests) {
            pending.skipped = pending.skipped.saturating_add(1);
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
    let Source { project, origin, lineage, options, .. } = source;
    let key = import_key(source, revision).into();
    let receipt = Receipt { key, method: "source.import", request: None, at: Time::now(), audit: None };
    // Its change-set is decided on by the source's policy, when it is there.
    let spec = JobSpec::Import {
        source: origin.import(revision),
        lineage: *lineage,
        accept: false,
        options: options.clone(),
    };
    let draft = JobDraft { project: Some(project.clone()), spec, after: Vec::new(), by: by.to_owned() };
    let submitted = app.jobs.submit(draft, Some(receipt)).await?;
    // As it is now: a receipt knows the job as it was first.
    app.jobs.get(submitted.id).await
}

/// The same for as long as the source stays as it is. One that is removed and set up again begins with
/// the same generation, and is another.
fn import_key(source: &Source, revision: &Revision) -> Uuid {
    let Source { project, name, created, generation, .. } = source;
    let (created, generation) = (created.as_micros().to_string(), generation.to_string());
    derived(&[project.as_str(), name.as_str(), &created, &revision.to_string(), &generation])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vigie_protocol::import::{GivenSplit, ImportOptions};
    use vigie_protocol::job::JobFailure;
    use vigie_protocol::samples::Sample;

    use super::*;

    fn version(number: u64) -> Revision {
        Revision::Version { number }
    }

    /// A source whose version 2 is pending, and the job that imported it.
    fn pending(job: Job) -> (Source, Job) {
        let pending = Pending::new(version(2), job.id, None);
        let source = Source { pending: Some(pending), declined: None, imported: None, ..Source::sample() };
        let Source { origin, lineage, options, .. } = source.clone();
        let spec = JobSpec::Import { source: origin.import(&version(2)), lineage, accept: false, options };
        (source, Job { spec, ..job })
    }

    fn failed(cause: FailureCause) -> Job {
        let failure = Some(JobFailure { cause, message: "no luck".to_owned(), hint: None });
        Job { state: JobState::Failed, failure, ..Job::sample() }
    }

    /// What a check of version 2 does after its import failed so often for this cause.
    fn next(failures: u32, skipped: u32, cause: FailureCause, is_person: bool) -> Next {
        let (mut source, job) = pending(failed(cause));
        source.pending = source.pending.map(|pending| Pending { failures, skipped, ..pending });
        decide(&source, &version(2), Some(job), false, is_person)
    }

    #[test]
    fn failed_imports_are_tried_ever_more_rarely_and_then_left_to_a_person() {
        use FailureCause::{Killed, Refused, Remote};
        for (failures, skipped, cause, is_person, expected) in [
            (1, 0, Killed, false, "retry"),
            (2, 0, Remote, false, "failed twice; its schedule lets one check pass and tries again: no luck"),
            (2, 1, Remote, false, "retry"),
            (3, 0, Killed, false, "failed 3 times; its schedule lets 3 checks pass and tries again: no luck"),
            (4, 7, Killed, false, "retry"),
            (3, 0, Killed, true, "retry"),
            (5, 99, Killed, false, "broken: the import of version 2 failed 5 times; it is tried again only"),
            (9, 0, Killed, true, "retry"),
            (1, 0, Refused, false, "broken: version 2 cannot be imported: no luck"),
            // Perhaps a limit of the agent was raised.
            (1, 0, Refused, true, "retry"),
        ] {
            let next = match next(failures, skipped, cause, is_person) {
                Next::Retry(_) => "retry".to_owned(),
                Next::Rest(why) => why,
                Next::Broken(why) => format!("broken: {why}"),
                other => format!("{other:?}"),
            };
            assert!(next.contains(expected), "{failures} {skipped} {cause:?}: {next}");
        }
    }

    #[test]
    fn an_import_with_other_options_says_nothing_of_the_next() {
        let set = ChangeSetId::new();
        for (job, change_set) in [
            (failed(FailureCause::Refused), None),
            (failed(FailureCause::Killed), None),
            (Job { state: JobState::Succeeded, ..Job::sample() }, Some(set)),
        ] {
            let (mut source, job) = pending(job);
            source.pending = source.pending.map(|pending| Pending { change_set, ..pending });
            let decided = |source: &Source| decide(source, &version(2), Some(job.clone()), true, false);
            assert_ne!(decided(&source), Next::Import);
            source.options = ImportOptions { given_split: GivenSplit::RedrawValid, ..source.options };
            assert_eq!(decided(&source), Next::Import);
        }
        // What is under way comes to its end first.
        let (mut source, job) = pending(Job { state: JobState::Running, ..Job::sample() });
        source.options = ImportOptions { given_split: GivenSplit::RedrawValid, ..source.options };
        assert!(matches!(decide(&source, &version(2), Some(job), false, true), Next::UnderWay(_)));
    }

    #[test]
    fn a_source_that_is_set_up_again_imports_again() {
        let source = Source::sample();
        let key = import_key(&source, &version(2));
        assert_eq!(import_key(&Source { checked: None, ..source.clone() }, &version(2)), key);
        let again = Source { created: source.created.plus(Duration::from_micros(1)), ..source.clone() };
        let changed = Source { generation: source.generation + 1, ..source.clone() };
        for (source, revision) in [(again, 2), (changed, 2), (source, 3)] {
            assert_ne!(import_key(&source, &version(revision)), key);
        }
    }

    #[test]
    fn a_source_tells_once_that_it_is_broken() {
        let mut source = Source { state: SourceState::Ok, ..Source::sample() };
        let told = |source: &mut Source| is_in(source, SourceState::Broken, "often".to_owned(), Time::now());
        assert!(told(&mut source).is_some_and(|event| event.text.contains("is broken: often")));
        assert!(told(&mut source).is_none());
    }
}
