//! The end of an attempt, and what follows from it.

use std::time::Duration;

use tokio::time::Instant;
use vigie_core::store::StoreError;
use vigie_core::store::catalog::EventDraft;
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::job::{FailureCause, Job, JobFailure, JobSpec, JobState};
use vigie_protocol::run::EpochMetrics;
use vigie_protocol::{JobId, Time};

use super::attempt;
use super::ending::{AttemptEnd, Ending, Verdict, advised, judge};
use super::engine::{Active, Attempt, JobEngine};
use super::error::with_source;
use super::land::{Happened, land, land_epoch};
use crate::worker::WorkDone;

impl JobEngine {
    /// An attempt's worker ended.
    pub(super) async fn ended(&mut self, id: JobId, ending: &Ending, verdict: Option<Verdict>) {
        let Some(active) = self.jobs.get_mut(&id) else { return };
        let Some(attempt) = active.attempt.take() else { return };
        active.job.worker_pid = None;
        (active.job.progress.eta_s, active.job.progress.rate) = (None, None);
        // New versions or models may have come meanwhile; the next attempt looks again.
        active.resources = None;
        let cancelling = active.job.state == JobState::Cancelling;
        match judge(ending, verdict, attempt.stopping) {
            AttemptEnd::Done(_) if cancelling => {
                self.cancelled(id, "cancelled; it had just finished, and its result was dropped").await;
            }
            _ if cancelling => self.cancelled(id, "stopped on request").await,
            AttemptEnd::Done(done) => self.finish(id, attempt, done).await,
            AttemptEnd::Stopped => {
                let text = "stopped with the agent; goes on at its next start".to_owned();
                self.change_state(id, JobState::Queued, text).await;
            }
            AttemptEnd::Failed(failure) => self.attempt_failed(id, failure, attempt.got_further).await,
        }
    }

    /// Lands a result and ends the job.
    async fn finish(&mut self, id: JobId, attempt: Attempt, done: WorkDone) {
        let Some(job) = self.jobs.get(&id).map(|active| active.job.clone()) else { return };
        let Attempt { leases, base, got_further, .. } = attempt;
        let now = Time::now();
        let landed = self.store(move |catalog| land(catalog, &job, &leases, base, done, now)).await;
        match landed {
            Ok(landed) => {
                if let Some(active) = self.jobs.get_mut(&id) {
                    active.job.outcome = Some(landed.outcome);
                    active.job.failure = None;
                    active.job.progress.fraction = 1.0;
                }
                let text = match landed.remark {
                    Some(remark) => format!("done: {remark}"),
                    None => "done".to_owned(),
                };
                self.change_state(id, JobState::Succeeded, text).await;
                for event in landed.events {
                    self.tell(event).await;
                }
            }
            Err(error) => {
                let message = match error {
                    StoreError::Precondition(why) => format!("the result came too late: {why}"),
                    error => format!("the result cannot be stored: {}", with_source(&error)),
                };
                let failure = JobFailure { cause: FailureCause::Error, message, hint: None };
                self.attempt_failed(id, failure, got_further).await;
            }
        }
    }

    /// An attempt failed, or could not even begin: another one follows, or the job has failed.
    pub(super) async fn attempt_failed(&mut self, id: JobId, failure: JobFailure, got_further: bool) {
        let Some(active) = self.jobs.get_mut(&id) else { return };
        let failure = advised(failure);
        let Some(pause) = active.failures.next(failure.cause, got_further) else {
            return self.fail(id, failure).await;
        };
        let text = format!("{}; trying again in {} s", failure.message, pause.as_secs());
        active.job.failure = Some(failure);
        active.backoff = Some((Instant::now() + pause, Time::now().plus(pause)));
        self.change_state(id, JobState::Queued, text).await;
    }

    /// A training finished an epoch whose checkpoint is durable.
    pub(super) async fn epoch(&mut self, id: JobId, metrics: EpochMetrics) {
        let Some(active) = self.jobs.get_mut(&id) else { return };
        let Active {
            job: Job { project: Some(project), spec: JobSpec::Train { run, recipe, .. }, .. },
            attempt: Some(attempt),
            ..
        } = active
        else {
            return;
        };
        attempt.got_further = true;
        let (project, run, epochs) = (project.clone(), *run, recipe.epochs);
        let text = format!(
            "epoch {} of {epochs}: valid accuracy {:.1} %, valid loss {:.3}, {}",
            metrics.epoch,
            metrics.valid_accuracy * 100.0,
            metrics.valid_loss,
            seconds(metrics.seconds),
        );
        let event = EventDraft {
            at: metrics.at,
            project: Some(project.clone()),
            severity: Severity::Info,
            subject: Subject::Epoch { run, epoch: metrics.epoch },
            text: text.clone(),
        };
        attempt::write(&self.logs, id, vec![attempt::line("info", text)]).await;
        let saved = self.store(move |catalog| land_epoch(catalog, &project, run, metrics)).await;
        match saved {
            Ok(_) => self.tell(Happened::New(event)).await,
            // The whole list comes again with the training's result.
            Err(error) => tracing::error!(job = %id, %error, "an epoch cannot be saved"),
        }
    }
}

fn seconds(seconds: f64) -> String {
    let span = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    format!("{:.1} s", span.as_secs_f64())
}
