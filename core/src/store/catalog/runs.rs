//! Runs: trainings and what they measured.

use vigie_protocol::job::Job;
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::run::Run;
use vigie_protocol::{ProjectName, RunId};

use super::change::Change;
use super::{Catalog, Key, Receipt, missing};
use crate::store::{Result, StoreError};

fn in_project(project: &ProjectName) -> Key {
    Key::of("run").word(project.as_str())
}

fn key(project: &ProjectName, id: RunId) -> Vec<u8> {
    in_project(project).uuid(id.uuid()).bytes()
}

fn what(id: RunId) -> String {
    format!("run {id}")
}

impl Catalog {
    /// Lays a new run down.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without its project, [`StoreError::Exists`].
    pub fn insert_run(&self, project: &ProjectName, run: &Run) -> Result<()> {
        self.change(None, |change| change.add_run(project, run))
    }

    /// Lays a training down: its job and its run together.
    ///
    /// # Errors
    /// As [`Catalog::insert_job`] and [`Catalog::insert_run`].
    pub fn insert_training(
        &self,
        project: &ProjectName,
        job: &Job,
        run: &Run,
        receipt: Option<&Receipt>,
    ) -> Result<(Job, Run)> {
        self.change(receipt, |change| {
            change.add_run(project, run)?;
            change.add_job(job)?;
            Ok((job.clone(), run.clone()))
        })
    }

    /// Replaces a run with its newer self. Only the job engine does, which owns it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn save_run(&self, project: &ProjectName, run: &Run) -> Result<()> {
        self.change(None, |change| {
            change.read::<Run>(key(project, run.id))?.ok_or_else(|| missing(what(run.id)))?;
            change.put(key(project, run.id), run);
            Ok(())
        })
    }

    /// One run.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn run(&self, project: &ProjectName, id: RunId) -> Result<Run> {
        self.need(key(project, id), what(id))
    }

    /// A project's runs, newest first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub fn runs(
        &self,
        project: &ProjectName,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<Run>> {
        self.page_down(in_project(project), cursor, limit, |_| true)
    }
}

impl Change<'_> {
    fn add_run(&mut self, project: &ProjectName, run: &Run) -> Result<()> {
        self.project(project)?;
        if self.read::<Run>(key(project, run.id))?.is_some() {
            return Err(StoreError::Exists { what: what(run.id) });
        }
        self.put(key(project, run.id), run);
        Ok(())
    }
}
