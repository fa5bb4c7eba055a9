//! Jobs, leases and runs.

use vigie_protocol::job::{Job, JobSpec, Lease};
use vigie_protocol::page::Page;
use vigie_protocol::run::Run;
use vigie_protocol::service::{
    Empty, JobChange, JobGet, JobList, JobLog, JobLogPage, JobSubmit, RunGet, RunList, TrainSubmit,
    TrainSubmitted,
};
use vigie_protocol::access::Role;
use vigie_protocol::{ApiError, ErrorCode, JobId};

use super::Handler;
use super::handler::Change;
use crate::jobs::{JobDraft, TrainingDraft};

pub(super) async fn submit(handler: Handler, request: JobSubmit) -> Result<Job, ApiError> {
    let JobSubmit { key, project, spec, after } = request;
    match (&spec, &project) {
        (JobSpec::Train { .. }, _) => {
            return Err(ApiError::invalid("a training is asked for with train_submit"));
        }
        (JobSpec::Unknown, _) => {
            return Err(ApiError::new(ErrorCode::Unsupported, "this agent does not know that kind of job")
                .with_hint("update the agent"));
        }
        (JobSpec::Gc { dry_run: false }, _) if handler.session.principal.role < Role::Admin => {
            return Err(ApiError::new(ErrorCode::Forbidden, "removing blobs needs the role admin")
                .with_hint("a dry run does not"));
        }
        (JobSpec::Gc { .. }, _) => {}
        (_, None) => return Err(ApiError::invalid("this kind of job needs a project")),
        (_, Some(name)) => drop(handler.project(name.clone()).await?),
    }
    let target = project.as_ref().map_or_else(|| spec.kind().to_owned(), |p| format!("{p} {}", spec.kind()));
    let change = Change { key, method: "job_submit", target, reason: None };
    let receipt = change.receipt();
    let draft = JobDraft { project, spec, after, by: handler.who() };
    handler
        .change::<Job, Job, _>(change, move |handler| async move {
            handler.app.jobs.submit(draft, Some(receipt)).await
        })
        .await
}

pub(super) async fn train(handler: Handler, request: TrainSubmit) -> Result<TrainSubmitted, ApiError> {
    let TrainSubmit { key, project, dataset, recipe, after } = request;
    handler.project(project.clone()).await?;
    let change =
        Change { key, method: "train_submit", target: format!("{project} on {dataset}"), reason: None };
    let receipt = change.receipt();
    let draft = TrainingDraft { project, dataset, recipe, after, by: handler.who() };
    handler
        .change::<TrainSubmitted, TrainSubmitted, _>(change, move |handler| async move {
            handler.app.jobs.submit_training(draft, Some(receipt)).await
        })
        .await
}

pub(super) async fn list(handler: Handler, request: JobList) -> Result<Page<Job>, ApiError> {
    handler.app.jobs.list(request).await
}

pub(super) async fn get(handler: Handler, request: JobGet) -> Result<Job, ApiError> {
    handler.app.jobs.get(request.job).await?.ok_or_else(|| no_job(request.job))
}

pub(super) async fn log(handler: Handler, request: JobLog) -> Result<JobLogPage, ApiError> {
    get(handler.clone(), JobGet { job: request.job }).await?;
    handler.app.jobs.log(request.job, request.offset).await
}

pub(super) async fn cancel(handler: Handler, request: JobChange) -> Result<Job, ApiError> {
    let change =
        Change { key: request.key, method: "job_cancel", target: request.job.to_string(), reason: None };
    handler
        .change::<Job, Job, _>(change, move |handler| async move { handler.app.jobs.cancel(request.job).await })
        .await
}

pub(super) async fn retry(handler: Handler, request: JobChange) -> Result<Job, ApiError> {
    let change =
        Change { key: request.key, method: "job_retry", target: request.job.to_string(), reason: None };
    handler
        .change::<Job, Job, _>(change, move |handler| async move { handler.app.jobs.retry(request.job).await })
        .await
}

pub(super) async fn leases(handler: Handler, _: Empty) -> Result<Vec<Lease>, ApiError> {
    handler.read(|state| state.catalog.leases()).await
}

pub(super) async fn runs(handler: Handler, request: RunList) -> Result<Page<Run>, ApiError> {
    let RunList { project, page } = request;
    handler.project(project.clone()).await?;
    handler
        .read(move |state| state.catalog.runs(&project, page.cursor.as_ref(), page.capped_limit()))
        .await
}

pub(super) async fn run(handler: Handler, request: RunGet) -> Result<Run, ApiError> {
    let RunGet { project, run } = request;
    handler
        .read(move |state| state.catalog.run(&project, run))
        .await?
        .ok_or_else(|| ApiError::not_found(format_args!("run {run}")).with_hint("see `vigie runs list`"))
}

fn no_job(job: JobId) -> ApiError {
    ApiError::not_found(format_args!("job {job}")).with_hint("see `vigie jobs list`")
}
