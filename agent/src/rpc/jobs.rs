//! Jobs, leases and runs.

use vigie_core::data::import::check_options;
use vigie_core::data::relabel;
use vigie_core::train::{FOLDS, check_images, recipe};
use vigie_protocol::access::Role;
use vigie_protocol::classes::Relabelling;
use vigie_protocol::exchange::ManifestFormat;
use vigie_protocol::job::{ImportSource, Job, JobSpec, Lease};
use vigie_protocol::page::Page;
use vigie_protocol::run::Run;
use vigie_protocol::service::{
    Empty, JobChange, JobGet, JobList, JobLog, JobLogPage, JobSubmit, RunGet, RunList, TrainSubmit,
    TrainSubmitted,
};
use vigie_protocol::window::Window;
use vigie_protocol::{ApiError, ErrorCode};

use super::Api;
use super::api::Change;
use crate::jobs::{JobDraft, TrainDraft};

pub(super) async fn submit(api: Api, request: JobSubmit) -> Result<Job, ApiError> {
    let JobSubmit { key, project, spec, after } = request;
    check(&spec)?;
    match (&spec, &project) {
        (JobSpec::Train { .. }, _) => {
            return Err(ApiError::invalid("a training is asked for with train_submit"));
        }
        (JobSpec::Unknown, _) => return Err(unknown()),
        (JobSpec::Import { options, .. }, _) if check_options(options).is_err() => {
            return Err(ApiError::invalid(check_options(options).err().unwrap_or_default()));
        }
        (JobSpec::Gc { dry_run: false }, _) if api.session.principal.role < Role::Admin => {
            return Err(ApiError::new(ErrorCode::Forbidden, "removing blobs needs the role admin")
                .with_hint("a dry run does not"));
        }
        (JobSpec::Gc { .. }, _) => {}
        (_, None) => return Err(ApiError::invalid("this kind of job needs a project")),
        (_, Some(name)) => drop(api.project(name.clone()).await?),
    }
    if let JobSpec::Import { source, .. } = &spec {
        api.app.sources.check_import(source)?;
    }
    let target = project.as_ref().map_or_else(|| spec.kind().to_owned(), |p| format!("{p} {}", spec.kind()));
    let change = Change { key, method: "job_submit", target, reason: None };
    let draft = JobDraft { project, spec, after, by: api.who() };
    api.change::<Job, Job, _>(change, move |api, receipt| async move {
        api.app.jobs.submit(draft, Some(receipt)).await
    })
    .await
    .map(Job::redacted)
}

/// What of a job can be refused before it begins.
fn check(spec: &JobSpec) -> Result<(), ApiError> {
    match spec {
        JobSpec::Import { source: ImportSource::Unknown, .. }
        | JobSpec::Import {
            source: ImportSource::Manifest { format: ManifestFormat::Unknown, .. }, ..
        }
        | JobSpec::Propose { window: Some(Window::Unknown), .. }
        | JobSpec::Relabel { relabelling: Relabelling::Unknown, .. } => Err(unknown()),
        JobSpec::Relabel { relabelling, .. } => relabel::check(relabelling).map_err(ApiError::invalid),
        JobSpec::Balance { per_class: Some(0), .. } => {
            Err(ApiError::invalid("a class must keep at least one train image"))
        }
        JobSpec::LabelCheck { folds, recipe, .. } => {
            if !FOLDS.contains(folds) {
                let text = format!("a label check has {} to {} folds", FOLDS.start(), FOLDS.end());
                return Err(ApiError::invalid(text));
            }
            recipe::validate(recipe).map_err(|error| ApiError::invalid(error.to_string()))
        }
        _ => Ok(()),
    }
}

fn unknown() -> ApiError {
    ApiError::new(ErrorCode::Unsupported, "this agent does not know that kind of job")
        .with_hint("update the agent")
}

pub(super) async fn train(api: Api, request: TrainSubmit) -> Result<TrainSubmitted, ApiError> {
    let TrainSubmit { key, project, dataset, recipe, after } = request;
    api.project(project.clone()).await?;
    let name = project.clone();
    let version = api.read(move |state| state.catalog.dataset(&name, dataset)).await?;
    check_images(version.classes.values()).map_err(|error| {
        ApiError::new(ErrorCode::Precondition, format!("{dataset} cannot be trained on: {error}"))
    })?;
    let change =
        Change { key, method: "train_submit", target: format!("{project} on {dataset}"), reason: None };
    let draft = TrainDraft { project, dataset, recipe, after, by: api.who() };
    api.change::<(Job, Run), TrainSubmitted, _>(change, move |api, receipt| async move {
        api.app.jobs.submit_training(draft, Some(receipt)).await
    })
    .await
}

pub(super) async fn list(api: Api, request: JobList) -> Result<Page<Job>, ApiError> {
    let Page { items, next } = api.app.jobs.list(request).await?;
    Ok(Page { items: items.into_iter().map(Job::redacted).collect(), next })
}

pub(super) async fn get(api: Api, request: JobGet) -> Result<Job, ApiError> {
    api.app.jobs.get(request.job).await.map(Job::redacted)
}

pub(super) async fn log(api: Api, request: JobLog) -> Result<JobLogPage, ApiError> {
    get(api.clone(), JobGet { job: request.job }).await?;
    api.app.jobs.log(request.job, request.offset).await
}

pub(super) async fn cancel(api: Api, request: JobChange) -> Result<Job, ApiError> {
    let change =
        Change { key: request.key, method: "job_cancel", target: request.job.to_string(), reason: None };
    api.change::<Job, Job, _>(change, move |api, receipt| async move {
        let job = api.app.jobs.cancel(request.job).await?;
        api.keep(receipt, job).await
    })
    .await
    .map(Job::redacted)
}

pub(super) async fn retry(api: Api, request: JobChange) -> Result<Job, ApiError> {
    let change =
        Change { key: request.key, method: "job_retry", target: request.job.to_string(), reason: None };
    api.change::<Job, Job, _>(change, move |api, receipt| async move {
        api.app.jobs.retry(request.job, Some(receipt)).await
    })
    .await
    .map(Job::redacted)
}

pub(super) async fn leases(api: Api, _: Empty) -> Result<Vec<Lease>, ApiError> {
    api.app.jobs.leases().await
}

pub(super) async fn runs(api: Api, request: RunList) -> Result<Page<Run>, ApiError> {
    let RunList { project, page } = request;
    api.project(project.clone()).await?;
    api.read(move |state| state.catalog.runs(&project, page.cursor.as_ref(), page.capped_limit())).await
}

pub(super) async fn run(api: Api, request: RunGet) -> Result<Run, ApiError> {
    let RunGet { project, run } = request;
    api.read(move |state| state.catalog.run(&project, run)).await
}
