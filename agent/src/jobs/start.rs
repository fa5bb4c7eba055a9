//! Starting what may start.

use tokio::time::Instant;
use vigie_core::store::StoreError;
use vigie_protocol::job::{FailureCause, JobFailure, JobState, Lease, Wait};
use vigie_protocol::run::RunState;
use vigie_protocol::{JobId, Time};

use super::attempt::{self, News, What};
use super::ending::Ending;
use super::engine::{Active, Attempt, JobEngine};
use super::error::with_source;
use super::eta::{Eta, Rate};
use super::kinds::{self, Plan, PlanError, Task};
use super::rebuildable;
use super::wait::{Candidate, Turn, turns};
use crate::worker::{WorkDone, WorkerTask};

impl JobEngine {
    /// Starts every job that may, and says of the others what they wait for.
    pub(super) async fn start_what_may(&mut self) {
        // What fails or starts in one pass changes what the others wait for.
        while !self.draining && self.pass().await {}
    }

    /// One pass over the queue; whether anything but waits changed.
    async fn pass(&mut self) -> bool {
        let doomed: Vec<(JobId, JobFailure)> = self
            .jobs
            .iter_mut()
            .filter(|(_, active)| active.job.state == JobState::Queued)
            .filter_map(|(&id, active)| Some((id, active.doomed.take()?)))
            .collect();
        let mut changed = !doomed.is_empty();
        for (id, failure) in doomed {
            self.fail(id, failure).await;
        }
        changed |= self.find_resources().await;

        let turns = {
            let queued = self.jobs.iter().filter(|(_, active)| active.job.state == JobState::Queued);
            let candidates = queued.map(|(&id, active)| Candidate {
                id,
                pending: &active.pending,
                backoff: active.backoff.map(|(_, until)| until),
                resources: active.resources.as_deref().unwrap_or_default(),
            });
            let slots = self.options.max_workers.saturating_sub(self.running());
            turns(candidates, self.held(), slots)
        };
        for (id, turn) in turns {
            match turn {
                Turn::Wait(waits) => self.wait(id, waits),
                Turn::Start => {
                    self.begin(id).await;
                    changed = true;
                }
            }
        }
        changed
    }

    /// Works out what the jobs claim that wait for no other job any more.
    async fn find_resources(&mut self) -> bool {
        let unknown: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(_, active)| {
                active.job.state == JobState::Queued
                    && active.pending.is_empty()
                    && active.resources.is_none()
                    && active.backoff.is_none()
            })
            .map(|(&id, _)| id)
            .collect();
        let mut failed = false;
        for id in unknown {
            let Some(job) = self.jobs.get(&id).map(|active| active.job.clone()) else { continue };
            let options = self.options.clone();
            let found = self.store(move |catalog| Ok(kinds::resources(catalog, &options, &job))).await;
            match found {
                Ok(Ok(resources)) => {
                    if let Some(active) = self.jobs.get_mut(&id) {
                        active.resources = Some(resources);
                    }
                }
                Ok(Err(error)) => {
                    failed = true;
                    self.attempt_failed(id, error.failure(), false).await;
                }
                Err(error) => {
                    failed = true;
                    self.attempt_failed(id, PlanError::Store(error).failure(), false).await;
                }
            }
        }
        failed
    }

    fn wait(&mut self, id: JobId, waits: Vec<Wait>) {
        if let Some(active) = self.jobs.get_mut(&id)
            && active.job.waits_for != waits
        {
            active.job.waits_for = waits;
            self.publish(id);
        }
    }

    /// Begins an attempt: claims, plans, launches.
    async fn begin(&mut self, id: JobId) {
        let Some(active) = self.jobs.get_mut(&id) else { return };
        let (job, resources) = (active.job.clone(), active.resources.clone().unwrap_or_default());
        // Before it is known: a commit may have come to the disk although it seems to have failed.
        active.held.clone_from(&resources);
        let options = self.options.clone();
        let prepared = self
            .store(move |catalog| {
                let leases = match catalog.acquire_leases(id, &resources, Time::now())? {
                    Ok(leases) => leases,
                    Err((resource, holder)) => {
                        return Err(StoreError::Conflict {
                            what: format!("{resource}, held by job {holder},"),
                        });
                    }
                };
                Ok((leases, kinds::plan(catalog, &options, &job)))
            })
            .await;
        match prepared {
            Ok((leases, Ok(plan))) => self.launch(id, leases, plan).await,
            Ok((_, Err(error))) => {
                self.attempt_failed(id, error.failure(), false).await;
            }
            Err(error) => self.attempt_failed(id, PlanError::Store(error).failure(), false).await,
        }
    }

    async fn launch(&mut self, id: JobId, leases: Vec<Lease>, plan: Plan) {
        let Some(active) = self.jobs.get_mut(&id) else { return };
        active.job.attempts += 1;
        active.job.started.get_or_insert(Time::now());
        let number = active.job.attempts;
        let now = Instant::now();
        let mut attempt = Attempt {
            leases,
            base: plan.base,
            orders: None,
            began: now,
            eta: Eta::default(),
            rate: Rate::default(),
            saved: now,
            got_further: false,
            stepped: false,
            stopping: false,
            kill_at: None,
        };
        let launched = match plan.task {
            Task::Worker(task) => self.launch_worker(id, number, *task, &mut attempt),
            Task::Gc { dry_run } => {
                self.launch_collector(id, number, dry_run, attempt.leases.clone());
                Ok(None)
            }
        };
        match launched {
            Ok(pid) => {
                if let Some(active) = self.jobs.get_mut(&id) {
                    active.attempt = Some(attempt);
                    active.job.worker_pid = pid;
                }
                self.change_state(id, JobState::Running, format!("attempt {number} begins")).await;
            }
            Err(error) => {
                let message = format!("the worker cannot be started: {error}");
                let failure = JobFailure { cause: FailureCause::Error, message, hint: None };
                self.attempt_failed(id, failure, false).await;
            }
        }
    }

    fn launch_worker(
        &self,
        id: JobId,
        number: u32,
        task: WorkerTask,
        attempt: &mut Attempt,
    ) -> std::io::Result<Option<u32>> {
        let worker = self.launcher.launch(id, task)?;
        attempt.orders = Some(worker.orders);
        let (logs, news) = (self.logs.clone(), self.news_sender.clone());
        tokio::spawn(attempt::follow(id, number, worker.events, logs, news));
        Ok(worker.pid)
    }

    fn launch_collector(&self, id: JobId, number: u32, dry_run: bool, leases: Vec<Lease>) {
        let (collector, news) = (self.collector.clone(), self.news_sender.clone());
        let (catalog, options) = (self.catalog.clone(), self.options.clone());
        let collect = move || {
            let report = collector(dry_run)?;
            // What kept the blobs, a manifest that cannot be read, keeps what was made from it too.
            let only_report = dry_run || !report.removed;
            let files = rebuildable::collect(&catalog, &options, &leases, only_report)?;
            Ok::<_, StoreError>(rebuildable::tell(files, report))
        };
        tokio::spawn(async move {
            let collected = tokio::task::spawn_blocking(collect).await;
            let verdict = match collected {
                Ok(Ok(report)) => Ok(WorkDone::Collected(report)),
                Ok(Err(error)) => Err((FailureCause::Error, with_source(&error))),
                Err(error) => Err((FailureCause::Crashed, error.to_string())),
            };
            let verdict = verdict.map_err(|(cause, message)| JobFailure { cause, message, hint: None });
            let what = What::Ended { ending: Ending::default(), verdict: Some(Box::new(verdict)) };
            let _ = news.send(News { job: id, attempt: number, what }).await;
        });
    }

    /// Gives back the leases of a job that has no attempt under way. What the store refuses is tried
    /// again.
    pub(super) async fn release(&mut self, id: JobId) {
        let holds = |active: &Active| active.attempt.is_none() && !active.held.is_empty();
        if !self.jobs.get(&id).is_some_and(holds) {
            return;
        }
        let released = self.store(move |catalog| catalog.release_leases(id)).await;
        let Some(active) = self.jobs.get_mut(&id) else { return };
        match released {
            Ok(()) => active.held.clear(),
            Err(error) => {
                tracing::error!(job = %id, %error, "leases cannot be released; trying again");
                active.unsaved = Some(Instant::now());
            }
        }
    }

    /// Ends a job as failed, and its run with it.
    pub(super) async fn fail(&mut self, id: JobId, failure: JobFailure) {
        let text = failure.message.clone();
        if let Some(active) = self.jobs.get_mut(&id) {
            active.job.failure = Some(failure);
        }
        self.close_run(id, RunState::Failed).await;
        self.change_state(id, JobState::Failed, text).await;
    }
}
