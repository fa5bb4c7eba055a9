//! Brings sources up to date as soon as something happened to their imports.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vigie_core::store::StoreError;
use vigie_protocol::event::{Event, Subject, Update};
use vigie_protocol::job::{FailureCause, Job, JobSpec, JobState};
use vigie_protocol::{ApiError, JobId};

use super::part::job_of;
use super::settle::settle;
use crate::app::App;

/// How long one look at the hub waits for news.
const WATCH: Duration = Duration::from_secs(60);

/// Follows the imports of all sources until `stop`. Begins with what ended while no agent ran.
pub async fn follow(app: Arc<App>, stop: CancellationToken) {
    let mut cursor = app.hub.watch(None, Duration::ZERO).await.next;
    let mut everything = true;
    loop {
        if everything {
            forget_all(&app).await;
            settle_all(&app).await;
        }
        let watched = tokio::select! {
            watched = app.hub.watch(Some(cursor), WATCH) => watched,
            () = stop.cancelled() => return,
        };
        cursor = watched.next;
        everything = watched.resync;
        let mut news = false;
        for update in &watched.updates {
            match update {
                Update::Job { job } if job.state.is_final() && is_import(job) => {
                    forget_ended(&app, job).await;
                    news = true;
                }
                Update::Event { event: Event { subject, .. } } => {
                    news |= matches!(subject, Subject::ChangeSet { .. } | Subject::Dataset { .. });
                }
                Update::Job { .. } | Update::Unknown => {}
            }
        }
        if news && !everything {
            settle_all(&app).await;
        }
    }
}

fn is_import(job: &Job) -> bool {
    matches!(job.spec, JobSpec::Import { .. })
}

/// Brings every source up to date. What the store refuses is tried again with the next news.
async fn settle_all(app: &Arc<App>) {
    let _turn = app.sources.turn.lock().await;
    let pending = app.store(|state| {
        let mut pending = Vec::new();
        for project in state.catalog.projects()? {
            let sources = state.catalog.sources(&project.name)?;
            pending.extend(sources.into_iter().filter(|source| source.pending.is_some()));
        }
        Ok(pending)
    });
    let settled = async {
        for source in pending.await? {
            let name = source.name.clone();
            if let Err(error) = settle(app, source).await {
                tracing::warn!(source = %name, %error, "a source is not up to date");
            }
        }
        Ok::<_, ApiError>(())
    };
    if let Err(error) = settled.await {
        tracing::warn!(%error, "the sources are not up to date");
    }
}

/// Removes what was downloaded for a job that has ended; what a failed one could go on with stays.
async fn forget_ended(app: &Arc<App>, job: &Job) {
    if goes_on(job) {
        return;
    }
    let (id, app) = (job.id, app.clone());
    let forgotten = tokio::task::spawn_blocking(move || app.sources.forget(id)).await;
    if let Ok(Err(error)) = forgotten {
        tracing::warn!(job = %id, %error, "a download cannot be removed; `vigie blobs gc` names it");
    }
}

/// Whether a job could make use of what was downloaded for it.
fn goes_on(job: &Job) -> bool {
    match job.state {
        JobState::Succeeded | JobState::Cancelled => false,
        JobState::Failed => job.failure.as_ref().is_none_or(|failure| failure.cause != FailureCause::Refused),
        JobState::Queued | JobState::Running | JobState::Cancelling | JobState::Unknown => true,
    }
}

/// The same for all that lies there from before.
async fn forget_all(app: &Arc<App>) {
    let folder = app.sources.downloads().to_owned();
    let found = app.store(move |state| {
        let mut ended = Vec::new();
        let Ok(files) = std::fs::read_dir(&folder) else { return Ok(ended) };
        let jobs: std::collections::BTreeSet<JobId> =
            files.flatten().filter_map(|file| job_of(&file.path())).collect();
        for id in jobs {
            match state.catalog.job(id) {
                Ok(job) => ended.push(job),
                // A leftover without a name: `blobs gc` finds it.
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ended)
    });
    match found.await {
        Ok(jobs) => {
            for job in jobs {
                forget_ended(app, &job).await;
            }
        }
        Err(error) => tracing::warn!(%error, "downloads that are no longer needed stay for now"),
    }
}
