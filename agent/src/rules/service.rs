//! The loop of the rules: takes each project as far as it can go.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use vigie_core::fail_point::{self, FailPoint};
use vigie_core::store::StoreError;
use vigie_protocol::dataset::{ChangeSetState, Decision};
use vigie_protocol::event::{Severity, Subject, Update};
use vigie_protocol::health::ServiceState;
use vigie_protocol::job::JobOutcome;
use vigie_protocol::{ApiError, ErrorCode, JobId, ProjectName, Time};

use super::step::{self, Step, Submit};
use crate::app::App;
use crate::fault::api_error;
use crate::jobs::JobDraft;
use crate::keys;

/// Who asks for what the rules submit.
const WHO: &str = "rules";

/// Steps of one project at one time; a look that leads to more than these goes in a circle.
const STEPS: usize = 16;

/// Pause before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// The rules, to the rest of the agent. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RulesHandle {
    wake: Arc<Notify>,
    /// Held while the lines of a project are read whole: one at a time is enough memory.
    pub(crate) turn: Arc<Mutex<()>>,
}

impl RulesHandle {
    /// Something may have changed what they say: a version, a job's end, a project's settings.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

/// Takes the rules of every project as far as they go, whenever something happened, until `stop`.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    loop {
        let failed = tokio::select! {
            () = stop.cancelled() => return,
            failed = every_project(&app) => failed,
        };
        let (state, detail) = match &failed {
            None => (ServiceState::Up, String::new()),
            Some((project, error)) => (ServiceState::Degraded, format!("{project}: {error}")),
        };
        app.service("rules", state, detail).await;
        let again = async {
            match failed {
                Some(_) => tokio::time::sleep(AGAIN).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.rules.wake.notified() => {}
            () = again => {}
        }
    }
}

/// One round; the first project whose rules could not go on, and why.
async fn every_project(app: &Arc<App>) -> Option<(String, ApiError)> {
    let projects = match app.store(|state| state.catalog.projects()).await {
        Ok(projects) => projects,
        Err(error) => return Some(("the projects".to_owned(), error)),
    };
    let mut failed = None;
    for project in projects {
        if let Err(error) = one_project(app, &project.name).await {
            tracing::warn!(project = %project.name, %error, "the rules cannot go on");
            failed.get_or_insert((project.name.to_string(), error));
        }
    }
    failed
}

async fn one_project(app: &Arc<App>, project: &ProjectName) -> Result<(), ApiError> {
    for _ in 0..STEPS {
        let name = project.clone();
        let turn = app.rules.turn.lock().await;
        let step = app.blocking(move |app| step::next(&app.state, &name, Time::now()).map_err(api_error));
        let Some(step) = step.await? else { return Ok(()) };
        drop(turn);
        take(app, project, step).await?;
    }
    Err(ApiError::new(ErrorCode::Internal, "the rules do not come to an end"))
}

/// Submits a step's job, if it has one, and moves the rules on.
async fn take(app: &Arc<App>, project: &ProjectName, step: Step) -> Result<(), ApiError> {
    let step = match &step.submit {
        Some(Submit { of: _, spec, receipt, replaces }) => {
            if let Some(job) = replaces {
                retire(app, project, *job).await?;
            }
            let (project, spec, by) = (Some(project.clone()), spec.clone(), WHO.to_owned());
            let draft = JobDraft { project, spec, after: Vec::new(), by };
            let job = app.jobs.submit(draft, Some(receipt.clone())).await?;
            fail_point::pass(FailPoint::RulesSubmitted);
            step.with(job.id)
        }
        None => step,
    };
    let name = project.clone();
    let event = app
        .store(move |state| state.catalog.move_rules(&name, &step.seen, &step.to, step.event.as_ref()))
        .await?;
    if let Some(event) = event {
        app.hub.publish(Update::Event { event });
    }
    Ok(())
}

/// Turns down the change-set of an earlier job when nobody has decided on it: a newer one holds all of
/// it.
async fn retire(app: &Arc<App>, project: &ProjectName, job: JobId) -> Result<(), ApiError> {
    let name = project.clone();
    let retired = app.store(move |state| {
        let job = match state.catalog.job(job) {
            Ok(job) => job,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(JobOutcome::ChangeSet { change_set, dataset: None }) = job.outcome else { return Ok(None) };
        if state.catalog.change_set(&name, change_set)?.state != ChangeSetState::Proposed {
            return Ok(None);
        }
        let now = Time::now();
        let reason = Some("a newer version came before anybody decided".to_owned());
        let decision = Decision { at: now, by: WHO.to_owned(), reason };
        let receipt = keys::derived("rules.retire", &[change_set.uuid().as_bytes()], now);
        match state.catalog.reject(&name, change_set, None, &decision, Some(&receipt)) {
            Ok(set) => Ok(Some(set)),
            // A person was faster.
            Err(StoreError::Precondition(_) | StoreError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    });
    if let Some(set) = retired.await? {
        let text = format!("{} was rejected: a newer version came before anybody decided", set.origin);
        let subject = Subject::ChangeSet { change_set: set.id };
        app.event(Some(project.clone()), Severity::Info, subject, text).await;
    }
    Ok(())
}
