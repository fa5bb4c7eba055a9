//! Taking up what an earlier agent left behind.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use vigie_core::store::catalog::Catalog;
use vigie_core::store::{Result, StoreError};
use vigie_protocol::JobId;
use vigie_protocol::job::{FailureCause, Job, JobFailure, JobState};
use vigie_protocol::run::{Run, RunState};

use super::admit::needed;
use super::engine::{Active, JobEngine};
use crate::worker::JOB_VARIABLE;

/// Attempts after which a job that was running whenever the agent died is not taken up again: it
/// may be the cause.
const MAX_ATTEMPTS: u32 = 50;

/// Rows of runs read at once.
const RUNS: usize = 1_000;

/// How long a worker of an earlier agent may take to vanish after SIGKILL.
const VANISH: Duration = Duration::from_secs(2);

/// What is left of an earlier agent.
struct Left {
    jobs: Vec<(Job, BTreeSet<JobId>, Option<JobFailure>)>,
}

impl JobEngine {
    /// Takes up unfinished jobs, gives back the leases of the dead, mends runs.
    pub(super) async fn recover(&mut self) -> Result<()> {
        let left = self.store(look).await?;
        let (journals, jobs) = (self.options.journals(), &left.jobs);
        let unfinished: HashSet<JobId> = jobs.iter().map(|(job, ..)| job.id).collect();
        tokio::task::spawn_blocking(move || clear_journals(&journals, &unfinished));
        for (job, pending, doomed) in left.jobs {
            let (id, state, attempts) = (job.id, job.state, job.attempts);
            self.jobs.insert(id, Active { doomed, ..Active::new(job, pending) });
            match state {
                JobState::Cancelling => self.cancelled(id, "its worker ended with the agent").await,
                JobState::Running => self.interrupted(id, attempts).await,
                _ => self.publish(id),
            }
        }
        Ok(())
    }

    async fn interrupted(&mut self, id: JobId, attempts: u32) {
        let failure = JobFailure {
            cause: FailureCause::Interrupted,
            message: format!("the agent ended during attempt {attempts}"),
            hint: None,
        };
        if attempts >= MAX_ATTEMPTS {
            return self.fail(id, failure).await;
        }
        let text = format!("{}; goes on from what is durable", failure.message);
        if let Some(active) = self.jobs.get_mut(&id) {
            active.job.worker_pid = None;
            active.job.failure = Some(failure);
        }
        self.change_state(id, JobState::Queued, text).await;
    }
}

/// Removes what imports noted that have ended.
fn clear_journals(folder: &Path, unfinished: &HashSet<JobId>) {
    // There is none before the first import.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let job = path.file_stem().and_then(|stem| stem.to_str()?.parse::<JobId>().ok());
        if job.is_some_and(|job| !unfinished.contains(&job))
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(path = %path.display(), %error, "an import's journal cannot be removed");
        }
    }
}

fn look(catalog: &Catalog) -> Result<Left> {
    let unfinished = catalog.unfinished_jobs()?;
    let ids: HashSet<JobId> = unfinished.iter().map(|job| job.id).collect();
    end_workers(&ids);
    let holders: HashSet<JobId> = catalog.leases()?.into_iter().map(|lease| lease.holder).collect();
    for holder in holders {
        catalog.release_leases(holder)?;
    }
    mend_runs(catalog, &ids)?;
    let mut jobs = Vec::new();
    for job in unfinished {
        if job.state == JobState::Unknown {
            tracing::warn!(job = %job.id, "a newer build left this job in a state that this one does not know");
            continue;
        }
        let (mut pending, mut doomed) = (BTreeSet::new(), None);
        for &other in &job.after {
            if ids.contains(&other) {
                pending.insert(other);
                continue;
            }
            match catalog.job(other) {
                Ok(Job { state: JobState::Succeeded, .. }) => {}
                Ok(Job { state, .. }) => doomed = Some(needed(other, state)),
                Err(StoreError::NotFound { .. }) => doomed = Some(needed(other, JobState::Unknown)),
                Err(error) => return Err(error),
            }
        }
        jobs.push((job, pending, doomed));
    }
    Ok(Left { jobs })
}

/// Gives runs that claim to be running while their job has ended the state their job came to: the
/// agent died between the two commits.
fn mend_runs(catalog: &Catalog, unfinished: &HashSet<JobId>) -> Result<()> {
    for project in catalog.projects()? {
        let mut cursor = None;
        loop {
            let page = catalog.runs(&project.name, cursor.as_ref(), RUNS)?;
            for run in page.items {
                if run.state == RunState::Running && !unfinished.contains(&run.job) {
                    let state = match catalog.job(run.job).map(|job| job.state) {
                        Ok(JobState::Succeeded) => RunState::Finished,
                        Ok(JobState::Cancelled) => RunState::Cancelled,
                        Ok(_) | Err(StoreError::NotFound { .. }) => RunState::Failed,
                        Err(error) => return Err(error),
                    };
                    catalog.save_run(&project.name, &Run { state, ..run })?;
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Kills workers that an agent which was killed has left, if they have not noticed yet: two workers
/// in one run's folder would spoil it. They are known by their environment, not by a number that
/// another process may have by now.
fn end_workers(jobs: &HashSet<JobId>) {
    if jobs.is_empty() {
        return;
    }
    let Ok(processes) = fs::read_dir("/proc") else { return };
    for entry in processes.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let works = || job_of(pid).is_some_and(|job| jobs.contains(&job));
        let Some(process) = Pid::from_raw(pid).filter(|_| works()) else { continue };
        tracing::warn!(pid, "killing a worker that an earlier agent left");
        let _ = kill_process(process, Signal::KILL);
        let began = std::time::Instant::now();
        while works() && began.elapsed() < VANISH {
            // The end of another's child is no event that we could wait for.
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// The job that a process works for; nothing of processes that are none of ours, or gone.
fn job_of(pid: i32) -> Option<JobId> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment.split(|&byte| byte == 0).find_map(|variable| {
        let variable = std::str::from_utf8(variable).ok()?;
        variable.strip_prefix(JOB_VARIABLE)?.strip_prefix('=')?.parse().ok()
    })
}
