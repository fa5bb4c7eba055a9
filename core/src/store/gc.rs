//! Garbage collection of blobs: what nothing refers to any more goes.
//!
//! References are counted anew each time, from the facts and the prediction log: a stored count can
//! drift, a recomputed one cannot. What was put lately stays, because the commit that names it may
//! still be on its way; nothing goes when a list of references could not be read.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use vigie_protocol::blob::GcReport;
use vigie_protocol::dataset::ChangeSetState;
use vigie_protocol::job::{ImportSource, JobSpec};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::{Hash, ProjectName, Time};

use super::blobs::FolderBlobs;
use super::catalog::Catalog;
use super::log::DayLog;
use super::manifest::Manifest;
use super::{Blobs, PredictionLog, Result, StoreError, passport};
use crate::fail_point::{self, FailPoint};
use crate::observe::{Level, Observer, Silent, Step};

/// How long a blob stays after it was last put, referred to or not.
pub const GRACE: Duration = Duration::from_secs(3600);

const EXAMPLES: usize = 20;
/// The report must fit a frame.
const MISSING: usize = 1_000;
const PAGE: usize = 100;

/// How a collection is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcPlan {
    /// The time.
    pub now: Time,
    /// How long a blob stays after it was last put; [`GRACE`] unless there is reason.
    pub grace: Duration,
    /// Only report.
    pub dry_run: bool,
}

/// Finds the blobs that nothing refers to, and removes them unless it is a dry run. Pictures of
/// predictions count as referred to for the days their project keeps them.
///
/// # Errors
/// Those of the store; what was removed by then stays removed.
pub fn collect(
    catalog: &Catalog,
    log: &DayLog,
    blobs: &FolderBlobs,
    plan: &GcPlan,
    observer: &dyn Observer,
) -> Result<GcReport> {
    let mut mark = Mark::new(blobs, observer);
    let since = mark.everything(catalog, log, plan.now.minus(plan.grace), plan.now)?;
    let Mark { mut marked, mut missing, unread, .. } = mark;

    let mut report = GcReport::default();
    let mut orphans = Vec::new();
    blobs.list(&mut |hash, size, put| {
        if marked.remove(&hash) {
            report.referenced += 1;
            report.referenced_bytes += size;
        } else if put < since {
            report.orphans += 1;
            report.orphan_bytes += size;
            orphans.push(hash);
        }
    })?;
    // A blob that was named after it was listed is no missing one.
    for hash in marked {
        if blobs.size(hash)?.is_none() {
            missing.insert(hash);
        }
    }
    report.examples = orphans.iter().copied().take(EXAMPLES).collect();
    report.missing = missing.into_iter().take(MISSING).collect();

    if unread {
        observer.note(Level::Warn, "nothing is removed: a list of references could not be read");
    } else if !plan.dry_run {
        report.removed = true;
        let _alone = blobs.removing();
        for (done, &hash) in orphans.iter().enumerate() {
            if observer.cancelled() {
                break;
            }
            blobs.delete_older(hash, since)?;
            fail_point::pass(FailPoint::BlobCollected);
            if done % 1_000 == 0 {
                step(observer, "removing blobs", done, orphans.len());
            }
        }
    }
    Ok(report)
}

/// What became of a blob that was to be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// It is gone.
    Gone,
    /// Something refers to it, so that it stays.
    Named,
    /// It was put since, or while a job runs that may be about to name it: to be tried again.
    Waits,
}

/// Removes blobs at once and for good, without a grace period, unless something refers to them or may
/// be about to; says of each what became of it. For what a person asked to have erased.
///
/// # Errors
/// Those of the store, and when a list of references cannot be read: then nothing is removed.
pub fn erase(
    catalog: &Catalog,
    log: &DayLog,
    blobs: &FolderBlobs,
    hashes: &[Hash],
    now: Time,
    observer: &dyn Observer,
) -> Result<Vec<Erasure>> {
    let mut mark = Mark::new(blobs, observer);
    let since = mark.everything(catalog, log, now, now)?;
    if mark.unread {
        let text = "a list of references cannot be read, so nothing can be erased safely";
        return Err(StoreError::Precondition(text.to_owned()));
    }
    let erase = |&hash: &Hash| {
        if mark.marked.contains(&hash) {
            return Ok(Erasure::Named);
        }
        let there = !blobs.erase(hash, since)? && blobs.size(hash)?.is_some();
        Ok(if there { Erasure::Waits } else { Erasure::Gone })
    };
    hashes.iter().map(erase).collect()
}

/// What [`check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Blobs that projects and jobs refer to.
    pub count: u64,
    /// Those that are not there, some of them at least.
    pub missing: Vec<Hash>,
    /// Manifests and passports that cannot be read, and why.
    pub damaged: Vec<String>,
}

/// Looks whether the blobs that projects and jobs refer to are there. The prediction log, whose size
/// has no bound, is not read and no blob that nobody refers to is looked for: [`collect`] does both.
///
/// # Errors
/// Those of the store.
pub fn check(catalog: &Catalog, blobs: &FolderBlobs, now: Time) -> Result<Named> {
    let mut mark = Mark::new(blobs, &Silent);
    mark.jobs(catalog, now)?;
    mark.catalog(catalog)?;
    let Mark { marked, mut missing, damaged, .. } = mark;
    let count = marked.len() as u64;
    for hash in marked {
        if blobs.size(hash)?.is_none() {
            missing.insert(hash);
        }
    }
    Ok(Named { count, missing: missing.into_iter().take(MISSING).collect(), damaged })
}

/// The blobs that something refers to, as they are found.
struct Mark<'a> {
    blobs: &'a FolderBlobs,
    observer: &'a dyn Observer,
    marked: HashSet<Hash>,
    missing: BTreeSet<Hash>,
    /// A list of references could not be read.
    unread: bool,
    /// Those that are there and could not, and why.
    damaged: Vec<String>,
}

impl<'a> Mark<'a> {
    fn new(blobs: &'a FolderBlobs, observer: &'a dyn Observer) -> Self {
        Self {
            blobs,
            observer,
            marked: HashSet::new(),
            missing: BTreeSet::new(),
            unread: false,
            damaged: Vec::new(),
        }
    }

    /// Marks all that something refers to and returns the time since which blobs stay.
    ///
    /// Each list is read before the one that its blobs may move to meanwhile: a picture from a prediction
    /// to the feedback on it, to a change-set, to a version. What moves is then seen where it arrives.
    fn everything(&mut self, catalog: &Catalog, log: &DayLog, since: Time, now: Time) -> Result<Time> {
        let since = self.jobs(catalog, since)?;
        self.predictions(catalog, log, now)?;
        self.catalog(catalog)?;
        Ok(since)
    }

    /// Marks what unfinished jobs were given and returns the time since which blobs stay: a job may
    /// name what it put when it began.
    fn jobs(&mut self, catalog: &Catalog, since: Time) -> Result<Time> {
        let mut since = since;
        for job in catalog.unfinished_jobs()? {
            if let Some(hash) = uploaded(&job.spec) {
                self.marked.insert(hash);
            }
            since = job.started.map_or(since, |started| since.min(started));
        }
        Ok(since)
    }

    fn catalog(&mut self, catalog: &Catalog) -> Result<()> {
        let projects = catalog.projects()?;
        for (done, project) in projects.iter().enumerate() {
            step(self.observer, "reading projects", done, projects.len());
            let name = &project.name;
            each(
                |cursor| catalog.feedback_page(name, cursor, PAGE),
                |feedback| {
                    if feedback.state.needs_picture() {
                        self.marked.insert(feedback.image);
                    }
                    Ok(())
                },
            )?;
            each(
                |cursor| catalog.change_sets(name, cursor, PAGE),
                |set| match set.state {
                    ChangeSetState::Proposed | ChangeSetState::Unknown => self.manifest(set.manifest),
                    ChangeSetState::Accepted | ChangeSetState::Rejected => Ok(()),
                },
            )?;
            each(
                |cursor| catalog.datasets(name, None, cursor, PAGE),
                |version| self.manifest(version.manifest),
            )?;
            each(
                |cursor| catalog.label_checks(name, cursor, PAGE),
                |check| {
                    self.marked.insert(check.report);
                    Ok(())
                },
            )?;
            each(
                |cursor| catalog.models(name, cursor, PAGE),
                |model| {
                    self.marked.insert(model.weights);
                    self.passport(model.passport)
                },
            )?;
        }
        Ok(())
    }

    fn predictions(&mut self, catalog: &Catalog, log: &DayLog, now: Time) -> Result<()> {
        let mut kept_since: HashMap<ProjectName, Time> = HashMap::new();
        for project in catalog.projects()? {
            let days = u64::from(project.settings.picture_days);
            if days > 0 {
                kept_since.insert(project.name, now.minus(Duration::from_secs(days * 24 * 3600)));
            }
        }
        let days = log.days()?;
        for (done, day) in days.iter().enumerate() {
            step(self.observer, "reading predictions", done, days.len());
            let read = log.each_of_day(day, &mut |project, prediction| {
                let kept = kept_since.get(project).is_none_or(|&since| prediction.at >= since);
                if prediction.picture_kept && kept {
                    self.marked.insert(prediction.image);
                }
            });
            if let Err(error) = read {
                self.cannot_read(&format!("the predictions of {day}"), &error);
            }
        }
        Ok(())
    }

    fn manifest(&mut self, hash: Hash) -> Result<()> {
        if self.marked.insert(hash)
            && let Some(manifest) = self.read("manifest", hash, Manifest::decode)?
        {
            self.marked.extend(manifest.images().iter().map(|image| image.image));
        }
        Ok(())
    }

    fn passport(&mut self, hash: Hash) -> Result<()> {
        if self.marked.insert(hash)
            && let Some(passport) = self.read("passport", hash, passport::decode)?
        {
            self.marked.extend(passport.golden.iter().map(|golden| golden.image));
        }
        Ok(())
    }

    fn read<T>(&mut self, what: &str, hash: Hash, decode: impl Fn(&[u8]) -> Result<T>) -> Result<Option<T>> {
        match self.blobs.get(hash).and_then(|bytes| bytes.map(|bytes| decode(&bytes)).transpose()) {
            Ok(Some(value)) => return Ok(Some(value)),
            Ok(None) => {
                self.missing.insert(hash);
                self.unread = true;
            }
            Err(error @ StoreError::Damaged { .. }) => {
                self.cannot_read(&format!("{what} {}", hash.short()), &error);
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    fn cannot_read(&mut self, what: &str, error: &StoreError) {
        let text = format!("{what} cannot be read: {error}");
        self.observer.note(Level::Error, &text);
        self.unread = true;
        self.damaged.push(text);
    }
}

/// The upload that a job reads.
pub(super) fn uploaded(spec: &JobSpec) -> Option<Hash> {
    match spec {
        JobSpec::Import {
            source: ImportSource::Blob { hash, .. } | ImportSource::Manifest { hash, .. },
            ..
        } => Some(*hash),
        _ => None,
    }
}

/// Calls `body` with every row of a paged list.
fn each<T>(
    read: impl Fn(Option<&PageCursor>) -> Result<Page<T>>,
    mut body: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut cursor = None;
    loop {
        let page = read(cursor.as_ref())?;
        page.items.into_iter().try_for_each(&mut body)?;
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

fn step(observer: &dyn Observer, stage: &str, done: usize, total: usize) {
    let fraction = done as f32 / total.max(1) as f32;
    observer.step(Step { stage, done: done as u64, total: total as u64, unit: "", fraction });
}

#[cfg(test)]
mod tests;
