//! What an agent shows of a project: all of it was acknowledged, so a crash must not take it back.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use vigie_protocol::dataset::{ChangeSet, ChangeSetState, DatasetVersion};
use vigie_protocol::feedback::{Feedback, Vote};
use vigie_protocol::job::Job;
use vigie_protocol::model::{AliasMove, ModelVersion};
use vigie_protocol::page::PageRequest;
use vigie_protocol::run::EpochMetrics;
use vigie_protocol::service::{
    AliasHistory, AuditEntry, AuditList, ChangeSetList, DatasetList, Empty, FeedbackList, InProject, JobList,
    ModelList, PredictionList, RunList,
};
use vigie_protocol::wire::AgentClient;
use vigie_protocol::{AliasName, JobId, PredictionId, ProjectName, RunId};

use crate::ask;

/// What never changes any more, of all that is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Immutable.
    pub versions: Vec<DatasetVersion>,
    /// Those that were decided.
    pub decided: Vec<ChangeSet>,
    /// Immutable.
    pub models: Vec<ModelVersion>,
    /// Kept for ever.
    pub moves: Vec<AliasMove>,
    /// The votes on each prediction.
    pub feedback: BTreeMap<PredictionId, Vec<Vote>>,
    /// Those that are durable.
    pub predictions: Vec<PredictionId>,
    /// Jobs that were accepted.
    pub jobs: Vec<JobId>,
    /// Those that ended.
    pub ended: Vec<Job>,
    /// The epochs of each run.
    pub epochs: BTreeMap<RunId, Vec<EpochMetrics>>,
    /// Sources, by name.
    pub sources: Vec<String>,
    /// Lines are never taken out.
    pub audit: Vec<AuditEntry>,
}

impl Seen {
    /// What there is of a project, as far as one page of each list goes (1,000 rows); nothing when the
    /// project is not there yet.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub async fn of(client: &AgentClient, project: &ProjectName) -> Result<Self> {
        let page = PageRequest { cursor: None, limit: 1_000 };
        let audit = ask!(client, audit_list, AuditList { page: page.clone() }).await?.items;
        let projects = ask!(client, project_list, Empty {}).await?;
        if projects.iter().all(|known| known.name != *project) {
            return Ok(Self { audit, ..Self::default() });
        }
        let of = |page: &PageRequest| (project.clone(), page.clone());
        let (project, page) = of(&page);
        let list = DatasetList { project: project.clone(), lineage: None, page: page.clone() };
        let versions = ask!(client, dataset_list, list).await?.items;
        let list = ChangeSetList { project: project.clone(), page: page.clone() };
        let sets = ask!(client, change_set_list, list).await?.items;
        let list = ModelList { project: project.clone(), page: page.clone() };
        let models = ask!(client, model_list, list).await?.items;
        let list =
            AliasHistory { project: project.clone(), alias: AliasName::production(), page: page.clone() };
        let moves = ask!(client, alias_history, list).await?.items;
        let list = FeedbackList { project: project.clone(), page: page.clone() };
        let feedback = ask!(client, feedback_list, list).await?.items;
        let list =
            PredictionList { project: project.clone(), filter: Default::default(), page: page.clone() };
        let predictions = ask!(client, prediction_list, list).await?.items;
        let list = JobList { page: page.clone(), ..JobList::default() };
        let jobs = ask!(client, job_list, list).await?.items;
        let list = RunList { project: project.clone(), page };
        let runs = ask!(client, run_list, list).await?.items;
        let sources = ask!(client, source_list, InProject { project }).await?;
        Ok(Self {
            versions,
            decided: sets.into_iter().filter(|set| set.state != ChangeSetState::Proposed).collect(),
            models,
            moves,
            feedback: feedback
                .into_iter()
                .map(|Feedback { prediction, votes, .. }| (prediction, votes))
                .collect(),
            predictions: predictions.into_iter().map(|prediction| prediction.id).collect(),
            jobs: jobs.iter().map(|job| job.id).collect(),
            ended: jobs.into_iter().filter(|job| job.state.is_final()).collect(),
            epochs: runs.into_iter().map(|run| (run.id, run.epochs)).collect(),
            sources: sources.into_iter().map(|source| source.name.to_string()).collect(),
            audit,
        })
    }

    /// Fails when anything of this is missing `now`, or is not what it was.
    ///
    /// # Errors
    /// With what is missing.
    pub fn is_kept(&self, now: &Self) -> Result<()> {
        let Self {
            versions,
            decided,
            models,
            moves,
            feedback,
            predictions,
            jobs,
            ended,
            epochs,
            sources,
            audit,
        } = self;
        all_in("versions", versions, &now.versions)?;
        all_in("decided change-sets", decided, &now.decided)?;
        all_in("models", models, &now.models)?;
        all_in("moves", moves, &now.moves)?;
        all_in("predictions", predictions, &now.predictions)?;
        all_in("jobs", jobs, &now.jobs)?;
        all_in("ended jobs", ended, &now.ended)?;
        all_in("sources", sources, &now.sources)?;
        all_in("audit lines", audit, &now.audit)?;
        for (prediction, votes) in feedback {
            let found = now.feedback.get(prediction);
            ensure!(found == Some(votes), "feedback on {prediction} was {votes:?}, is {found:?}");
        }
        for (run, epochs) in epochs {
            let found = now.epochs.get(run);
            ensure!(
                found.is_some_and(|found| found.starts_with(epochs)),
                "epochs of {run}: {epochs:?}, {found:?}"
            );
        }
        Ok(())
    }

    /// Without predictions and what was said of them: they may be erased.
    #[must_use]
    pub fn forgettable(self) -> Self {
        Self { predictions: Vec::new(), feedback: BTreeMap::new(), ..self }
    }
}

fn all_in<T: PartialEq + std::fmt::Debug>(what: &str, before: &[T], now: &[T]) -> Result<()> {
    for row in before {
        ensure!(now.contains(row), "of the {what}, this was acknowledged: {row:#?}\nthere are: {now:#?}");
    }
    Ok(())
}
