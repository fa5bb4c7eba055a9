//! Sources: whoever asks finds a new version of one that has none on its way, a schedule finds none.
//! Nothing is downloaded; what comes in is the project's own next images, as of any import.

use vigie_protocol::access::Principal;
use vigie_protocol::dataset::{ChangeSetState, DatasetRef};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::job::{JobOutcome, JobSpec, JobState};
use vigie_protocol::service::{InProject, SourceCheck, SourceChecked, SourceRemove, SourceSet};
use vigie_protocol::source::{Imported, Pending, Revision, Source, SourceOrigin, SourceState};
use vigie_protocol::{ApiError, ErrorCode, ProjectName, SourceName};

use super::super::dice::{hash, mix};
use super::State;
use super::once::Change;
use super::projects::InState;
use super::refusal::{check_generation, missing};

impl State {
    pub(in super::super) fn source_list(
        &mut self,
        _: &Principal,
        request: InProject,
    ) -> Result<Vec<Source>, ApiError> {
        self.follow_sources(&request.project)?;
        let sources = &self.project(&request.project)?.sources;
        Ok(sources.values().cloned().map(Source::redacted).collect())
    }

    pub(in super::super) fn source_set(
        &mut self,
        who: &Principal,
        request: SourceSet,
    ) -> Result<Source, ApiError> {
        let target = format!("{}/{}", request.project, request.name);
        let (key, method) = (request.key, "source_set");
        let change = Change { key, method, request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let SourceSet { key: _, project, name, expected_generation, .. } = &request;
            let now = state.now;
            let in_state = state.project_mut(project)?;
            let there = in_state.sources.get(name);
            let generation = match (there, expected_generation) {
                (Some(there), Some(expected)) => {
                    check_generation(format_args!("source {name}"), there.generation, *expected)?;
                    there.generation
                }
                (Some(_), None) => {
                    return Err(ApiError::new(ErrorCode::Conflict, format!("source {name} exists already")));
                }
                (None, Some(_)) => return Err(missing(format_args!("source {name}"))),
                (None, None) => 0,
            };
            let kept = there.filter(|there| there.origin == request.origin).cloned();
            let fresh = || {
                let (project, name) = (project.clone(), name.clone());
                Source::new(project, name, request.origin.clone(), request.lineage, now, who.name.clone())
            };
            let source = Source {
                lineage: request.lineage,
                options: request.options.clone(),
                acceptance: request.acceptance,
                preprocess: request.preprocess,
                by: who.name.clone(),
                generation: generation + 1,
                ..kept.unwrap_or_else(fresh)
            };
            in_state.sources.insert(name.clone(), source.clone());
            let text = format!("source {name} was set by {}", who.name);
            state.event(Some(project), Severity::Info, Subject::Source { source: name.clone() }, text);
            Ok(source.redacted())
        })
    }

    pub(in super::super) fn source_remove(
        &mut self,
        who: &Principal,
        request: SourceRemove,
    ) -> Result<Source, ApiError> {
        let target = format!("{}/{}", request.project, request.name);
        let (key, method) = (request.key, "source_remove");
        let change = Change { key, method, request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let in_state = state.project_mut(&request.project)?;
            let source = in_state.source(&request.name)?;
            let what = format_args!("source {}", request.name);
            check_generation(what, source.generation, request.expected_generation)?;
            let gone = source.clone();
            in_state.sources.remove(&request.name);
            let text = format!("source {} was removed by {}", gone.name, who.name);
            let subject = Subject::Source { source: gone.name.clone() };
            state.event(Some(&request.project), Severity::Info, subject, text);
            Ok(gone.redacted())
        })
    }

    pub(in super::super) fn source_check(
        &mut self,
        who: &Principal,
        request: SourceCheck,
    ) -> Result<SourceChecked, ApiError> {
        let target = format!("{}/{}", request.project, request.name);
        let (key, method) = (request.key, "source_check");
        let change = Change { key, method, request: &request, target, reason: None, who };
        self.once(&change, |state| state.check_source(&request.project, &request.name, &who.name, true))
    }

    /// Looks at a source, for `by`; whether it `finds` a new version is up to the caller.
    pub(super) fn check_source(
        &mut self,
        project: &ProjectName,
        name: &SourceName,
        by: &str,
        finds: bool,
    ) -> Result<SourceChecked, ApiError> {
        self.follow_sources(project)?;
        let now = self.now;
        let in_state = self.project_mut(project)?;
        let seed = in_state.plan.seed;
        let source = in_state.source(name)?;
        source.checked = Some(now);
        if source.state == SourceState::Unchecked {
            (source.state, source.since) = (SourceState::Ok, now);
        }
        source.generation += 1;
        if source.state != SourceState::Ok {
            return Ok(SourceChecked { source: source.clone().redacted(), job: None });
        }
        let first = source.latest.is_none();
        if source.pending.is_some() || !(finds || first) {
            source.detail = match (&source.pending, &source.latest) {
                (Some(Pending { revision, change_set: Some(set), .. }), _) => {
                    format!("{revision} awaits review as change-set {set}")
                }
                (Some(Pending { revision, job, .. }), _) => format!("job {job} imports {revision}"),
                (None, Some(latest)) => format!("{latest} is the newest"),
                (None, None) => String::new(),
            };
            return Ok(SourceChecked { source: source.clone().redacted(), job: None });
        }
        let revision = next_revision(&source.origin, source.latest.as_ref(), mix(seed, source.generation));
        source.latest = Some(revision.clone());
        source.detail = format!("{revision} is new");
        let spec = JobSpec::Import {
            source: source.origin.import(&revision),
            lineage: source.lineage,
            accept: false,
            options: source.options.clone(),
        };
        let job = self.submit(Some(project.clone()), spec, &[], by)?;
        let source = self.project_mut(project)?.source(name)?;
        source.pending = Some(Pending::new(revision, job.id, None));
        let checked = SourceChecked { source: source.clone().redacted(), job: Some(Box::new(job)) };
        let text = format!("source {name}: {}", checked.source.detail);
        self.event(Some(project), Severity::Info, Subject::Source { source: name.clone() }, text);
        Ok(checked)
    }

    /// What became meanwhile of the versions on their way in: read off their jobs and change-sets.
    fn follow_sources(&mut self, name: &ProjectName) -> Result<(), ApiError> {
        let (jobs, now) = (&self.jobs, self.now);
        let Some(project) = self.projects.get_mut(name) else {
            return self.project(name).map(|_| ());
        };
        let InState { sources, change_sets, .. } = project;
        for source in sources.values_mut() {
            let Some(pending) = &mut source.pending else { continue };
            if pending.change_set.is_none() {
                match jobs.get(pending.job).map(|job| (job.state, &job.outcome)) {
                    Some((JobState::Succeeded, Some(JobOutcome::ChangeSet { change_set, .. }))) => {
                        pending.change_set = Some(*change_set);
                    }
                    Some((JobState::Succeeded, Some(JobOutcome::NoChange { dataset }))) => {
                        let (revision, dataset) = (pending.revision.clone(), *dataset);
                        source.imported = Some(Imported { revision, at: now, dataset });
                        source.pending = None;
                        continue;
                    }
                    Some((state, _)) if !state.is_final() => continue,
                    _ => {
                        source.pending = None;
                        continue;
                    }
                }
            }
            let Some(row) = pending.change_set.and_then(|set| change_sets.get(&set)) else { continue };
            let revision = pending.revision.clone();
            let at = row.decided.as_ref().map_or(now, |decided| decided.at);
            match row.state {
                ChangeSetState::Accepted => {
                    let dataset = row.accepted_as.map(|number| DatasetRef { lineage: row.lineage, number });
                    source.imported = Some(Imported { revision, at, dataset });
                    source.pending = None;
                }
                ChangeSetState::Rejected => {
                    source.declined = Some(revision);
                    source.pending = None;
                }
                ChangeSetState::Proposed | ChangeSetState::Unknown => {}
            }
        }
        Ok(())
    }
}

impl InState {
    pub(super) fn source(&mut self, name: &SourceName) -> Result<&mut Source, ApiError> {
        self.sources.get_mut(name).ok_or_else(|| missing(format_args!("source {name}")))
    }
}

/// What an origin holds after `latest`.
fn next_revision(origin: &SourceOrigin, latest: Option<&Revision>, bits: u64) -> Revision {
    match (origin, latest) {
        (_, Some(Revision::Version { number })) => Revision::Version { number: number + 1 },
        (SourceOrigin::Kaggle { .. }, _) => Revision::Version { number: 1 },
        (SourceOrigin::Folder { .. } | SourceOrigin::Zip { .. }, _) => {
            let files = if matches!(origin, SourceOrigin::Zip { .. }) { 1 } else { 400 + bits % 90 };
            Revision::Listing { digest: hash(bits, 0x50), files, bytes: 48_000 * (bits % 900 + 100) }
        }
        (SourceOrigin::Url { .. } | SourceOrigin::Unknown, _) => {
            let etag = Some(format!("\"{:x}\"", bits >> 24));
            Revision::Content { etag, modified: None, bytes: Some(48_000_000 + bits % 9_000_000) }
        }
    }
}
