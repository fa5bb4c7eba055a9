//! Jobs. The job engine owns their rows; everyone else reads.

use vigie_protocol::job::{Job, JobState, Lease};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::{JobId, ProjectName};

use super::change::Change;
use super::{Catalog, Key, Receipt, missing};
use crate::store::{Result, StoreError};

fn key(id: JobId) -> Vec<u8> {
    Key::of("job").uuid(id.uuid()).bytes()
}

/// A row for each job that has not ended, so that finding them does not read the ended ones.
fn unfinished_key(id: JobId) -> Vec<u8> {
    Key::of("job-unfinished").uuid(id.uuid()).bytes()
}

fn what(id: JobId) -> String {
    format!("job {id}")
}

impl Catalog {
    /// Lays a new job down.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without its project, [`StoreError::Exists`].
    pub fn insert_job(&self, job: &Job, receipt: Option<&Receipt>) -> Result<Job> {
        self.change(receipt, |change| {
            change.add_job(job)?;
            Ok(job.clone())
        })
    }

    /// Replaces a job with its newer self because someone asked for the change.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn change_job(&self, job: &Job, receipt: Option<&Receipt>) -> Result<Job> {
        self.change(receipt, |change| {
            change.read::<Job>(key(job.id))?.ok_or_else(|| missing(what(job.id)))?;
            change.put_job(job);
            Ok(job.clone())
        })
    }

    /// Replaces a job with its newer self.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn save_job(&self, job: &Job) -> Result<()> {
        self.save_job_fenced(job, &[])
    }

    /// Replaces a job with its newer self while it holds all of `leases`.
    ///
    /// # Errors
    /// [`StoreError::Precondition`] when one of them has passed to someone else or was released.
    pub fn save_job_fenced(&self, job: &Job, leases: &[Lease]) -> Result<()> {
        self.change(None, |change| {
            for lease in leases {
                change.check_lease(lease)?;
            }
            change.read::<Job>(key(job.id))?.ok_or_else(|| missing(what(job.id)))?;
            change.put_job(job);
            Ok(())
        })
    }

    /// One job.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn job(&self, id: JobId) -> Result<Job> {
        self.need(key(id), what(id))
    }

    /// Jobs, newest first, of one project or all, in one state or any. A page may be short and still
    /// have a next one.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub fn jobs(
        &self,
        project: Option<&ProjectName>,
        state: Option<JobState>,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<Job>> {
        let wanted = |job: &Job| {
            project.is_none_or(|name| job.project.as_ref() == Some(name))
                && state.is_none_or(|state| job.state == state)
        };
        self.page_down(Key::of("job"), cursor, limit, wanted)
    }

    /// The jobs that have not ended, oldest first.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn unfinished_jobs(&self) -> Result<Vec<Job>> {
        let ids: Vec<JobId> = self.all(Key::of("job-unfinished"))?;
        ids.into_iter().map(|id| self.job(id)).collect()
    }
}

impl Change<'_> {
    pub(super) fn add_job(&mut self, job: &Job) -> Result<()> {
        if let Some(project) = &job.project {
            self.project(project)?;
        }
        if self.read::<Job>(key(job.id))?.is_some() {
            return Err(StoreError::Exists { what: what(job.id) });
        }
        self.put_job(job);
        Ok(())
    }

    fn put_job(&mut self, job: &Job) {
        self.put(key(job.id), job);
        if job.state.is_final() {
            self.delete(unfinished_key(job.id));
        } else {
            self.put(unfinished_key(job.id), &job.id);
        }
    }
}
