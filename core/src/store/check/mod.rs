//! Does a state directory hold what it must? Looks at everything and changes nothing.
//!
//! One file a part: `catalog` holds the rows of a project against each other (its aliases and its
//! feedback in files of their own), `events` and `agent` those of no project, `blobs` holds files
//! against the rows that name them, the log checks itself. What is found is a [`Finding`], not an
//! error: a check goes on after the first one, also when a row cannot be read.

mod agent;
mod aliases;
mod blobs;
mod catalog;
mod events;
mod feedback;

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::IgnoredAny;
use vigie_protocol::{Hash, Time};

use super::audit;
use super::catalog::Catalog;
use super::codec::decode;
use super::disk::Disk;
use super::disk::looking::LookingDisk;
use super::facts::RedbFacts;
use super::key::readable;
use super::log::DayLog;
use super::state::{AUDIT, BLOBS, FACTS, PREDICTIONS, State, check_schema};
use super::{PredictionLog, Result, StoreError};
use crate::observe::{Observer, Step};

/// Findings kept; more are only counted.
const FINDINGS_KEPT: usize = 1_000;

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every row and the existence of every blob.
    Rows,
    /// The bytes of every blob as well.
    Bytes,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Something that is mended by itself, or worth knowing.
    Note,
    /// Something that must not be.
    Broken,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub weight: Weight,
    /// Where: `birds reference@v3`, `audit.log`.
    pub place: String,
    /// What.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.detail)
    }
}

/// What was looked at and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows of the catalog.
    pub rows: u64,
    /// Blobs that something names.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Blobs that nothing names: `blobs gc` removes them.
    pub orphans: u64,
    /// Predictions.
    pub predictions: u64,
    /// Lines of the audit log.
    pub audit_lines: u64,
    /// Findings that must not be.
    pub broken: u64,
    /// The findings, worst first; at most a thousand.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is broken.
    pub fn is_whole(&self) -> bool {
        self.broken == 0
    }
}

/// Checks the state directory, or the backup, in `dir`. No agent may run on it.
///
/// # Errors
/// [`StoreError::Locked`] when one does; [`StoreError::NotFound`] when there is no state;
/// [`StoreError::Newer`] when a newer build wrote it; [`StoreError::Io`] when something cannot be read
/// at all.
pub fn check(dir: &Path, depth: Depth, now: Time, observer: &dyn Observer) -> Result<Report> {
    if !dir.join(FACTS).is_file() {
        return Err(StoreError::NotFound { what: format!("a state in {}", dir.display()) });
    }
    let _lock = State::lock_to_look(dir)?;
    look(dir, depth, now, observer)
}

/// As [`check`], for who keeps others off the state.
pub(super) fn look(dir: &Path, depth: Depth, now: Time, observer: &dyn Observer) -> Result<Report> {
    let path = dir.join(FACTS);
    let mut check = Check { now, observer, report: Report::default(), named: HashMap::new() };
    let disk: Arc<dyn Disk> = Arc::new(LookingDisk);

    check.step("facts", 0.0);
    let facts = RedbFacts::verify(&path).and_then(|()| RedbFacts::open_on(&disk, &path, None));
    match facts {
        Ok(facts) => {
            check_schema(&facts)?;
            check.everything(Arc::new(facts), &disk, dir, depth)?;
        }
        Err(error @ (StoreError::Damaged { .. } | StoreError::Database { .. })) => {
            check.broken(FACTS, format!("{error}; restore a backup"));
        }
        Err(error) => return Err(error),
    }
    check.step("audit log", 0.9);
    check.audit(&dir.join(AUDIT))?;
    let Check { mut report, .. } = check;
    report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight));
    Ok(report)
}

/// A check under way.
struct Check<'a> {
    now: Time,
    observer: &'a dyn Observer,
    report: Report,
    /// Blobs that something names, and what.
    named: HashMap<Hash, String>,
}

impl Check<'_> {
    fn everything(
        &mut self,
        facts: Arc<RedbFacts>,
        disk: &Arc<dyn Disk>,
        dir: &Path,
        depth: Depth,
    ) -> Result<()> {
        let log = DayLog::open_on(disk.clone(), &dir.join(PREDICTIONS));
        self.rows(&facts)?;
        let catalog = Catalog::new(facts);
        self.step("catalog", 0.1);
        self.catalog(&catalog, &dir.join(BLOBS))?;
        self.step("predictions", 0.3);
        self.predictions(&catalog, &log)?;
        self.step("blobs", 0.5);
        self.blobs(&dir.join(BLOBS), depth)
    }

    /// Every fact can be read at all.
    fn rows(&mut self, facts: &RedbFacts) -> Result<()> {
        facts.each(&mut |key, fact| {
            self.report.rows += 1;
            let key = readable(key);
            // Whether it is a row of its kind is for those to say who know the kind.
            if let Err(error) = fact.and_then(|fact| decode::<IgnoredAny>(&key, &fact.value)) {
                self.broken(key, error);
            }
        })
    }

    fn predictions(&mut self, catalog: &Catalog, log: &DayLog) -> Result<()> {
        // Which cannot be read was said with the catalog.
        let kept: Option<HashMap<_, _>> = catalog.projects().ok().map(|projects| {
            let since = |days: u32| {
                (days > 0).then(|| self.now.minus(Duration::from_secs(u64::from(days) * 24 * 3600)))
            };
            projects.into_iter().map(|one| (one.name, since(one.settings.picture_days))).collect()
        });
        for day in log.days()? {
            let mut faults = Vec::new();
            let mut pictures = Vec::new();
            let checked = log.check_day(&day, &mut |fault| faults.push(fault)).and_then(|records| {
                log.each_of_day(&day, &mut |project, prediction| {
                    let Some(kept) = &kept else { return };
                    match kept.get(project) {
                        None => faults.push(format!("{} is of no project", prediction.id)),
                        Some(since) => {
                            if prediction.picture_kept && since.is_none_or(|since| prediction.at >= since) {
                                pictures.push((prediction.image, format!("prediction {}", prediction.id)));
                            }
                        }
                    }
                })?;
                Ok(records)
            });
            match checked {
                Ok(records) => self.report.predictions += records,
                Err(error) => faults.push(error.to_string()),
            }
            self.named.extend(pictures);
            for fault in faults {
                self.broken(format!("predictions of {day}"), fault);
            }
        }
        Ok(())
    }

    fn audit(&mut self, path: &Path) -> Result<()> {
        if !path.exists() {
            self.note(AUDIT, "it is missing; a new one is begun at the next start");
            return Ok(());
        }
        let check = audit::verify(path)?;
        self.report.audit_lines = check.lines;
        match check.broken_at {
            Some(place) if check.torn => {
                self.note(AUDIT, format!("{place}; a crash cut it short, the next start cuts it off"));
            }
            Some(place) => self.broken(AUDIT, place),
            None => {}
        }
        Ok(())
    }

    /// What was read, or a finding that it cannot be.
    fn legible<T>(&mut self, place: impl fmt::Display, read: Result<T>) -> Result<Option<T>> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error @ (StoreError::Damaged { .. } | StoreError::NotFound { .. })) => {
                self.broken(place, error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn step(&self, stage: &str, fraction: f32) {
        self.observer.step(Step { stage, done: 0, total: 0, unit: "", fraction });
    }

    fn broken(&mut self, place: impl fmt::Display, detail: impl fmt::Display) {
        self.report.broken += 1;
        self.find(Weight::Broken, &place, &detail);
    }

    fn note(&mut self, place: impl fmt::Display, detail: impl fmt::Display) {
        self.find(Weight::Note, &place, &detail);
    }

    fn find(&mut self, weight: Weight, place: &dyn fmt::Display, detail: &dyn fmt::Display) {
        if self.report.findings.len() < FINDINGS_KEPT {
            let finding = Finding { weight, place: place.to_string(), detail: detail.to_string() };
            self.report.findings.push(finding);
        }
    }

    /// Remembers that `place` names a blob.
    fn names(&mut self, hash: Hash, place: &str) {
        self.named.entry(hash).or_insert_with(|| place.to_owned());
    }
}

/// Whether there is a file or folder of this name.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

#[cfg(test)]
mod tests;
