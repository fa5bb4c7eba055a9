//! What jobs leave behind that were worked at to their end.

use vigie_core::evaluate::stats::proportion;
use vigie_protocol::blob::GcReport;
use vigie_protocol::dataset::{ChangeSetState, DatasetRef, Decision, Lineage};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::job::{Job, JobOutcome, JobSpec};
use vigie_protocol::label_check::LabelCheck;
use vigie_protocol::model::Architecture;
use vigie_protocol::{ApiError, ChangeSetId, ProjectName, Time};

use super::super::dice::{hash, mix};
use super::super::world::Content;
use super::State;
use super::datasets::ChangeSetRow;
use super::models::Registered;

/// Share of a project's images that an import adds.
const GROWTH: f64 = 0.02;

impl State {
    /// What a job leaves behind that was worked at to its end.
    pub(super) fn outcome(&mut self, job: &Job) -> Result<JobOutcome, ApiError> {
        let now = self.now;
        let finds = self.jobs.row_mut(job.id).is_some_and(|row| row.work.finds);
        let project = || job.project.clone().ok_or_else(|| ApiError::invalid("the job has no project"));
        Ok(match &job.spec {
            JobSpec::Import { source, lineage, accept, options: _ } => {
                let grown = self.grown(&project()?, *lineage)?.filter(|_| finds);
                let origin = format!("import of {}", source.name());
                self.proposed(job, *lineage, origin, grown, *accept)?
            }
            JobSpec::Propose { from, into, accept, admit_all: _, only_add: _, window: _ } => {
                let taken = self.project(&project()?)?.dataset(*from)?.content;
                let origin = format!("update from {from}");
                self.proposed(job, *into, origin, Some(taken), *accept)?
            }
            // Every label of this world is right, and its classes are as large as they are.
            JobSpec::Relabel { lineage, .. } | JobSpec::Balance { lineage, .. } => {
                let head = self.project(&project()?)?.head(*lineage);
                JobOutcome::NoChange { dataset: head.map(|head| head.dataset) }
            }
            JobSpec::LabelCheck { dataset, folds, recipe: _ } => {
                let project = self.project_mut(&project()?)?;
                let content = project.dataset(*dataset)?.content;
                let images = project.plan.size(content);
                project.label_checks.push(LabelCheck {
                    job: job.id,
                    dataset: *dataset,
                    manifest: project.plan.manifest(content),
                    images,
                    folds: *folds,
                    agreement: proportion(images, images),
                    issues: 0,
                    report: hash(u64::from(*folds), images),
                    created: now,
                    by: job.by.clone(),
                });
                JobOutcome::LabelCheck { images, issues: 0 }
            }
            // Its groups are small and its shares as they should be.
            JobSpec::Resplit { lineage } => {
                let head = self.project(&project()?)?.head(*lineage).map(|head| head.dataset);
                JobOutcome::NoChange { dataset: head }
            }
            JobSpec::Preprocess { dataset, spec } => {
                let project = self.project(&project()?)?;
                let content = project.dataset(*dataset)?.content;
                let images = project.plan.size(content);
                let pack = hash(self.identity.seed, u64::from(spec.crop));
                let bytes = images * u64::from(spec.crop).pow(2) * 3;
                JobOutcome::Pack { pack, images, bytes, reused: !finds }
            }
            JobSpec::Train { run, .. } => {
                let best_epoch = self.project(&project()?)?.run(*run)?.run.best_epoch.unwrap_or(1);
                JobOutcome::Run { run: *run, best_epoch }
            }
            JobSpec::Evaluate { run } => {
                let name = project()?;
                let project = self.project_mut(&name)?;
                let run = project.run(*run)?.run.clone();
                if run.best_epoch.is_none() {
                    let text = "the run has no finished epoch to evaluate; train it first";
                    return Err(ApiError::invalid(text));
                }
                let best = run.epochs.iter().find(|epoch| Some(epoch.epoch) == run.best_epoch);
                let registered = Registered {
                    run: run.id,
                    dataset: run.dataset,
                    content: project.dataset(run.dataset)?.content,
                    architecture: Architecture::EfficientnetLite0,
                    accuracy: best.map_or(0.5, |best| best.valid_accuracy) - 0.01,
                    at: now,
                    by: &job.by,
                };
                let number = project.register(&registered);
                let text =
                    format!("model {number}: test accuracy {}", project.model(number)?.version.accuracy);
                self.event(Some(&name), Severity::Info, Subject::Model { number }, text);
                JobOutcome::Model { number }
            }
            JobSpec::Collect { accept } => {
                let grown = self.grown(&project()?, Lineage::Production)?.filter(|_| finds);
                self.proposed(job, Lineage::Production, "feedback".to_owned(), grown, *accept)?
            }
            JobSpec::Cluster { .. } => self.grouped(&project()?)?,
            JobSpec::Gc { dry_run } => JobOutcome::Gc { report: collected(self.identity.seed, !dry_run) },
            JobSpec::Unknown => JobOutcome::Unknown,
        })
    }

    /// What a line would hold with a few images more; nothing when there are no more.
    fn grown(&self, name: &ProjectName, lineage: Lineage) -> Result<Option<Content>, ApiError> {
        let project = self.project(name)?;
        let all = project.plan.images;
        let head = project.head(lineage).map_or(project.plan.first(0.0), |head| head.content);
        let to = all.min(head.to + (all as f64 * GROWTH) as usize);
        Ok((to > head.to).then_some(Content { to, ..head }))
    }

    fn proposed(
        &mut self,
        job: &Job,
        lineage: Lineage,
        origin: String,
        content: Option<Content>,
        accept: bool,
    ) -> Result<JobOutcome, ApiError> {
        let name = job.project.clone().ok_or_else(|| ApiError::invalid("the job has no project"))?;
        let (now, id, bits): (Time, ChangeSetId, u64) =
            (self.now, self.fresh_id(self.now), self.fresh_bits());
        let base = self.jobs.row_mut(job.id).and_then(|row| row.work.base);
        let project = self.project_mut(&name)?;
        let head = base.map(|number| DatasetRef { lineage, number });
        let before = match head {
            Some(head) => project.dataset(head)?.content,
            None => project.plan.first(0.0),
        };
        let Some(after) = content.filter(|content| *content != before) else {
            return Ok(JobOutcome::NoChange { dataset: head });
        };
        let row = ChangeSetRow {
            id,
            lineage,
            base,
            state: ChangeSetState::Proposed,
            origin: origin.clone(),
            created: now,
            by: job.by.clone(),
            before,
            after,
            left: None,
            duplicates: bits % 20,
            quarantined: mix(bits, 1) % 8,
            accepted_as: None,
            decided: None,
            generation: 1,
        };
        let (has, had) = (project.plan.size(after), project.plan.size(before));
        let text = format!("{origin}: {} images proposed", has.saturating_sub(had));
        project.change_sets.insert(id, row);
        self.event(Some(&name), Severity::Info, Subject::ChangeSet { change_set: id }, text);
        let reason = Some("accepted at once, as asked".to_owned());
        let dataset = match accept {
            true => self.decide(&name, id, true, Decision { at: now, by: job.by.clone(), reason }).ok(),
            false => None,
        };
        Ok(JobOutcome::ChangeSet { change_set: id, dataset: dataset.flatten() })
    }
}

/// What garbage collection reports.
pub(super) fn collected(seed: u64, removed: bool) -> GcReport {
    let orphans = mix(seed, 0x6c) % 40;
    GcReport {
        referenced: 21_840,
        referenced_bytes: 31_457_280,
        orphans,
        orphan_bytes: orphans * 48_000,
        removed,
        examples: (0..orphans.min(20)).map(|n| hash(seed ^ 0x6c, n)).collect(),
        missing: Vec::new(),
        downloads: 0,
        download_bytes: 0,
        rebuildable: 0,
        rebuildable_bytes: 0,
        rebuildable_files: Vec::new(),
    }
}
