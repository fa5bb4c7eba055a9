//! The prediction log: one redb file per UTC day, so that retention is an unlink, a crash's repair
//! reads one day, and a damaged file costs that day only.

mod check;
mod cursor;
mod day;
mod group;
mod writer;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::prediction::{HourCount, Prediction, PredictionFilter};
use vigie_protocol::{PredictionId, ProjectName, Time};

use self::cursor::Position;
use self::day::{Day, Room};
use super::database;
use super::disk::{Disk, RealDisk};
use super::{PredictionLog, Result, StoreError};
use crate::fail_point::{self, FailPoint};

pub use writer::{LogWriter, Logged, QUEUE_RECORDS, WINDOW};

/// Days kept open. Each costs a file handle and up to its cache.
const OPEN_DAYS: usize = 8;
/// A page ends once its records have this many bytes: its answer must fit a frame.
const PAGE_BYTES: usize = 1 << 20;
const DAY: Duration = Duration::from_secs(24 * 3600);
const EXTENSION: &str = ".redb";

/// Predictions in a folder of day files.
#[derive(Debug)]
pub struct DayLog {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// What each open day may remember of its file.
    cache_bytes: usize,
    /// The most recently used last.
    open: Mutex<Vec<Slot>>,
    faults: Mutex<BTreeMap<String, String>>,
}

#[derive(Debug)]
struct Slot {
    day: String,
    /// Locked while the file is opened, so that a long repair of one day holds up no other.
    file: Arc<Mutex<Option<Arc<Day>>>>,
}

impl DayLog {
    /// Opens the folder, creating it when it is missing. Day files are opened when they are needed.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be created.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| io_error("creating", folder, e))?;
        Ok(Self::open_on(Arc::new(RealDisk), folder))
    }

    pub(super) fn open_on(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        let (open, faults) = (Mutex::default(), Mutex::default());
        Self { disk, folder: folder.to_owned(), cache_bytes: day::CACHE_BYTES, open, faults }
    }

    /// The days whose files could not be read since the log was opened, and why. Lists and counters
    /// leave them out.
    pub fn faults(&self) -> BTreeMap<String, String> {
        lock(&self.faults).clone()
    }

    /// The file of a day.
    pub(super) fn path_of(&self, day: &str) -> PathBuf {
        self.folder.join(format!("{day}{EXTENSION}"))
    }

    /// Calls `each` with every prediction of a day, in the order they were logged.
    pub(super) fn each_of_day(
        &self,
        day: &str,
        each: &mut dyn FnMut(&ProjectName, Prediction),
    ) -> Result<()> {
        self.day(day)?.map_or(Ok(()), |file| file.each(each))
    }

    /// Holds a day's records, indices and counters against each other; tells `fault` what does not
    /// fit and returns the number of records.
    pub(super) fn check_day(&self, day: &str, fault: &mut dyn FnMut(String)) -> Result<u64> {
        database::verify(&self.path_of(day), day::CACHE_BYTES)?;
        self.day(day)?.map_or(Ok(0), |file| file.check(fault))
    }

    /// Writes a consistent copy of a day's file.
    pub(super) fn copy_day(&self, day: &str, target: &Path) -> Result<()> {
        self.day(day)?.map_or(Ok(()), |file| file.copy_to(target))
    }

    /// The file of a day, if it is there.
    fn day(&self, day: &str) -> Result<Option<Arc<Day>>> {
        let path = self.path_of(day);
        if path.exists() { self.open_day(day, &path).map(Some) } else { Ok(None) }
    }

    /// Appends to a day, whose file is made when it is missing. One that is damaged, as shows when it is
    /// opened or only now, is moved aside: the log of a day must not stop because its beginning is lost.
    fn append_to(&self, day: &str, records: &[&(ProjectName, Prediction)]) -> Result<()> {
        let path = self.path_of(day);
        let append = || self.open_day(day, &path)?.append(records);
        match append() {
            Err(StoreError::Damaged { detail, .. }) => {
                self.move_aside(day, &path, &detail)?;
                append()
            }
            done => done,
        }
    }

    fn move_aside(&self, day: &str, path: &Path, detail: &str) -> Result<()> {
        let slot = self.slot(day);
        // Locked until the name is free: nobody opens the damaged file again.
        let mut file = lock(&slot);
        *file = None;
        let aside = (1..)
            .map(|n| self.folder.join(format!("{day}.damaged-{n}")))
            .find(|aside| !aside.exists())
            .unwrap_or_else(|| self.folder.join(format!("{day}.damaged")));
        match self.disk.rename(path, &aside) {
            Ok(()) => self.fault(day, format!("{detail}; moved to {}", aside.display())),
            // Somebody removed it while it was open.
            Err(error) if error.kind() == ErrorKind::NotFound => self.fault(day, detail.to_owned()),
            Err(error) => return Err(io_error("renaming", path, error)),
        }
        Ok(())
    }

    fn open_day(&self, day: &str, path: &Path) -> Result<Arc<Day>> {
        let slot = self.slot(day);
        let mut file = lock(&slot);
        if let Some(file) = file.as_ref() {
            return Ok(file.clone());
        }
        let opened = Arc::new(Day::open(&self.disk, path, self.cache_bytes)?);
        // Even when the file was there: whoever made it may not have come so far.
        self.sync()?;
        *file = Some(opened.clone());
        Ok(opened)
    }

    /// Makes the names of the day files durable.
    fn sync(&self) -> Result<()> {
        self.disk.sync(&self.folder).map_err(|e| io_error("syncing", &self.folder, e))
    }

    fn slot(&self, day: &str) -> Arc<Mutex<Option<Arc<Day>>>> {
        let mut open = lock(&self.open);
        let slot = match open.iter().position(|slot| slot.day == day) {
            Some(index) => open.remove(index),
            None => Slot { day: day.to_owned(), file: Arc::default() },
        };
        let file = slot.file.clone();
        open.push(slot);
        // One that is in use stays: a file cannot be opened twice.
        while open.len() > OPEN_DAYS
            && let Some(idle) = open.iter().position(Slot::is_idle)
        {
            open.remove(idle);
        }
        file
    }

    fn fault(&self, day: &str, detail: String) {
        tracing::error!(day, detail, "a day of the prediction log is damaged");
        lock(&self.faults).insert(day.to_owned(), detail);
    }

    /// Runs `body` on a day. A damaged day counts as empty and is reported.
    fn on_day<T: Default>(&self, day: &str, body: impl FnOnce(&Day) -> Result<T>) -> Result<T> {
        match self.day(day).and_then(|file| file.map_or_else(|| Ok(T::default()), |file| body(&file))) {
            Err(error @ StoreError::Damaged { .. }) => {
                self.fault(day, error.to_string());
                Ok(T::default())
            }
            done => done,
        }
    }

    /// Runs `body` on the days a prediction of this identity can be in: a UUIDv7 tells its time, and
    /// the answer's own time is close to it.
    fn find<T>(
        &self,
        id: PredictionId,
        mut body: impl FnMut(&Day) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let Some((seconds, _)) = id.uuid().get_timestamp().map(|stamp| stamp.to_unix()) else {
            return Ok(None);
        };
        let made = Time::from_micros(0).plus(Duration::from_secs(seconds));
        for near in [made, made.plus(DAY), made.minus(DAY)] {
            if let Some(found) = self.on_day(&near.day(), &mut body)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Slot {
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.file) == 1
            && self
                .file
                .try_lock()
                .is_ok_and(|file| file.as_ref().is_none_or(|file| Arc::strong_count(file) == 1))
    }
}

impl PredictionLog for DayLog {
    /// A group over midnight takes two commits. Records that are there already are skipped, so that
    /// a group may be appended again when it is not known how the first time ended.
    fn append(&self, group: &[(ProjectName, Prediction)]) -> Result<()> {
        let mut days: BTreeMap<String, Vec<&(ProjectName, Prediction)>> = BTreeMap::new();
        for record in group {
            days.entry(record.1.at.day()).or_default().push(record);
        }
        fail_point::pass(FailPoint::LogAppend);
        for (day, records) in days {
            self.append_to(&day, &records)?;
        }
        Ok(())
    }

    fn page(
        &self,
        project: &ProjectName,
        filter: &PredictionFilter,
        cursor: Option<&PageCursor>,
        limit: usize,
        budget: Duration,
    ) -> Result<Page<Prediction>> {
        let started = Instant::now();
        let before = cursor.map(Position::decode).transpose()?;
        let mut room = Room { rows: limit.max(1), bytes: PAGE_BYTES, until: started.checked_add(budget) };
        let mut items = Vec::new();
        let wanted = |day: &String| {
            before.is_none_or(|position| position.reaches(day)) && overlaps(day, filter.since, filter.until)
        };
        let mut days = self.days()?.into_iter().rev().filter(wanted).peekable();
        while let Some(day) = days.next() {
            let part = self.on_day(&day, |file| file.page(project, filter, before, &mut room))?;
            items.extend(part.items);
            if let Some(stopped) = part.stopped {
                return Ok(Page { items, next: Some(stopped.encode()) });
            }
            if room.is_used_up() && days.peek().is_some() {
                return Ok(Page { items, next: Some(Position::start_of(&day)?.encode()) });
            }
        }
        Ok(Page::whole(items))
    }

    fn get(&self, project: &ProjectName, id: PredictionId) -> Result<Option<Prediction>> {
        self.find(id, |day| day.get(project, id))
    }

    fn forget(&self, project: &ProjectName, id: PredictionId) -> Result<Option<Prediction>> {
        self.find(id, |day| day.forget(project, id))
    }

    fn counts(&self, project: &ProjectName, since: Time, until: Time) -> Result<Vec<HourCount>> {
        let mut counts = Vec::new();
        for day in self.days()?.iter().filter(|day| overlaps(day, Some(since), Some(until))) {
            counts.extend(self.on_day(day, |file| file.counts(project, since.hour(), until.hour()))?);
        }
        Ok(counts)
    }

    fn days(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder).map_err(|e| io_error("reading", &self.folder, e))?;
        let mut days = Vec::new();
        for entry in entries {
            let name = entry.map_err(|e| io_error("reading", &self.folder, e))?.file_name();
            if let Some(day) = name.to_str().and_then(|name| name.strip_suffix(EXTENSION))
                && is_day(day)
            {
                days.push(day.to_owned());
            }
        }
        days.sort();
        Ok(days)
    }

    fn drop_day(&self, day: &str) -> Result<()> {
        if !is_day(day) {
            return Err(StoreError::NotFound { what: format!("the day {day:?}") });
        }
        lock(&self.open).retain(|slot| slot.day != day);
        lock(&self.faults).remove(day);
        let path = self.path_of(day);
        match self.disk.remove(&path) {
            Ok(()) => self.sync(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error("removing", &path, error)),
        }
    }
}

/// Whether a text is a day as files are named: no path of an attacker's choice.
fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok_and(|date| date.to_string() == text)
}

/// Whether a day has a part in a span of time.
fn overlaps(day: &str, since: Option<Time>, until: Option<Time>) -> bool {
    Position::start_of(day).is_ok_and(|Position { at: start, .. }| {
        since.is_none_or(|since| since < start.plus(DAY)) && until.is_none_or(|until| start <= until)
    })
}

fn io_error(doing: &str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { what: format!("{doing} {}", path.display()), source }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
