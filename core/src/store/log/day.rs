//! One day of the prediction log.
//!
//! Records lie under a rising number. Three indices order the numbers by time: of a project, of a
//! project's model, of a project's class; each entry carries what filters look at, so that a search
//! reads records only when they are wanted. Counters are kept as records come, so that dashboards
//! never scan. Names are numbered per file.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use vigie_protocol::prediction::{HourCount, Prediction, PredictionFilter};
use vigie_protocol::{ModelNumber, PredictionId, ProjectName, Time};

use super::check::check;
use super::cursor::Position;
use super::group::Group;
use crate::store::codec::decode;
use crate::store::database::{Database, Failure};
use crate::store::disk::Disk;
use crate::store::{Result, StoreError};

/// Number to the project's number (4 bytes) and the record.
pub(super) const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// Project and identity to number.
pub(super) const BY_ID: TableDefinition<'_, (u32, u128), u64> = TableDefinition::new("by-id");
/// Project's name to its number in this file.
pub(super) const PROJECTS: TableDefinition<'_, &str, u32> = TableDefinition::new("projects");
/// Project and class to the class's number in this file.
pub(super) const CLASSES: TableDefinition<'_, (u32, &str), u32> = TableDefinition::new("classes");
/// Project, hour and model to predictions, confidence sum and total time.
pub(super) const HOURS: TableDefinition<'_, (u32, i64, u32), (u64, f64, u64)> = TableDefinition::new("hours");
/// Project, hour, model and class to predictions.
pub(super) const HOUR_CLASSES: TableDefinition<'_, (u32, i64, u32, u32), u64> =
    TableDefinition::new("hour-classes");

/// Project, what the index is by (0 for time alone), time, number.
pub(super) type IndexKey = (u32, u32, i64, u64);
/// Model, class, confidence's bits.
pub(super) type IndexValue = (u32, u32, u32);
type Index = TableDefinition<'static, IndexKey, IndexValue>;

pub(super) const BY_TIME: Index = TableDefinition::new("by-time");
pub(super) const BY_MODEL: Index = TableDefinition::new("by-model");
pub(super) const BY_CLASS: Index = TableDefinition::new("by-class");

pub(super) const CACHE_BYTES: usize = 64 << 20;
/// Entries looked at between two looks at the clock.
const STRIDE: usize = 128;

/// One day's file.
#[derive(Debug)]
pub(super) struct Day {
    database: Database,
}

/// What a page may still take.
pub(super) struct Room {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// When to stop; never, when the budget was endless.
    pub(super) until: Option<Instant>,
}

impl Room {
    pub(super) fn is_used_up(&self) -> bool {
        self.is_full() || self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn is_full(&self) -> bool {
        self.rows == 0 || self.bytes == 0
    }
}

/// A day's part of a page.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) items: Vec<Prediction>,
    /// The last entry looked at, when there may be more behind it.
    pub(super) stopped: Option<Position>,
}

impl Day {
    pub(super) fn open(disk: &Arc<dyn Disk>, path: &Path, cache_bytes: usize) -> Result<Self> {
        let database = Database::open(disk, path, cache_bytes, None)?.with_quick_repair();
        // Only a new file needs a commit: the tables are made together.
        if database.read(|transaction| Ok(transaction.list_tables()?.next().is_none()))? {
            database.write(|transaction| {
                transaction.open_table(RECORDS)?;
                transaction.open_table(BY_ID)?;
                transaction.open_table(PROJECTS)?;
                transaction.open_table(CLASSES)?;
                transaction.open_table(HOURS)?;
                transaction.open_table(HOUR_CLASSES)?;
                for index in [BY_TIME, BY_MODEL, BY_CLASS] {
                    transaction.open_table(index)?;
                }
                Ok(())
            })?;
        }
        Ok(Self { database })
    }

    /// Appends records in one durable commit; those whose identity is there are skipped.
    pub(super) fn append(&self, records: &[&(ProjectName, Prediction)]) -> Result<()> {
        self.database.write(|transaction| Group::append(transaction, records))
    }

    /// Predictions that `filter` wants, newest first, from just past `before`.
    pub(super) fn page(
        &self,
        project: &ProjectName,
        filter: &PredictionFilter,
        before: Option<Position>,
        room: &mut Room,
    ) -> Result<Part> {
        let mut part = Part::default();
        self.database.read(|transaction| {
            let Some(search) = Search::plan(transaction, project, filter)? else { return Ok(()) };
            let Some(range) = search.range(filter, before) else { return Ok(()) };
            let records = transaction.open_table(RECORDS)?;
            let entries = transaction.open_table(search.index)?.range(range)?.rev();
            for (count, entry) in (1_usize..).zip(entries) {
                let (key, value) = entry?;
                let (_, _, at, seq) = key.value();
                if search.wants(value.value(), filter) {
                    let stored = records.get(seq)?;
                    let stored = stored.as_ref().map(|stored| stored.value()).unwrap_or_default();
                    part.items.push(prediction(stored)?);
                    room.rows -= 1;
                    room.bytes = room.bytes.saturating_sub(stored.len());
                }
                if room.is_full() || (count.is_multiple_of(STRIDE) && room.is_used_up()) {
                    part.stopped = Some(Position { at: Time::from_micros(at), seq });
                    return Ok(());
                }
            }
            Ok(())
        })?;
        Ok(part)
    }

    pub(super) fn get(&self, project: &ProjectName, id: PredictionId) -> Result<Option<Prediction>> {
        self.database.read(|transaction| {
            let Some(project) = project_number(transaction, project)? else { return Ok(None) };
            let number = transaction.open_table(BY_ID)?.get((project, id.uuid().as_u128()))?;
            let Some(number) = number.map(|number| number.value()) else { return Ok(None) };
            let stored = transaction.open_table(RECORDS)?.get(number)?;
            Ok(stored.map(|stored| prediction(stored.value())).transpose()?)
        })
    }

    pub(super) fn forget(&self, project: &ProjectName, id: PredictionId) -> Result<Option<Prediction>> {
        if self.get(project, id)?.is_none() {
            return Ok(None);
        }
        self.database.write(|transaction| Group::forget(transaction, project, id))
    }

    /// Counters of each hour and model from one hour to another, both included.
    pub(super) fn counts(&self, project: &ProjectName, first: i64, last: i64) -> Result<Vec<HourCount>> {
        if first > last {
            return Ok(Vec::new());
        }
        self.database.read(|transaction| {
            let Some(project) = project_number(transaction, project)? else { return Ok(Vec::new()) };
            let mut counts = BTreeMap::new();
            let hours = (project, first, 0)..=(project, last, u32::MAX);
            for row in transaction.open_table(HOURS)?.range(hours)? {
                let (key, value) = row?;
                let ((_, hour, model), (predictions, confidence_sum, total_us_sum)) =
                    (key.value(), value.value());
                counts.insert(
                    (hour, model),
                    HourCount {
                        hour: Time::from_micros(hour.saturating_mul(3_600_000_000)),
                        model: ModelNumber(model),
                        predictions,
                        confidence_sum,
                        total_us_sum,
                        classes: BTreeMap::new(),
                    },
                );
            }
            let names = class_names(transaction, project)?;
            let hours = (project, first, 0, 0)..=(project, last, u32::MAX, u32::MAX);
            for row in transaction.open_table(HOUR_CLASSES)?.range(hours)? {
                let (key, value) = row?;
                let (_, hour, model, class) = key.value();
                if let (Some(count), Some(name)) = (counts.get_mut(&(hour, model)), names.get(&class)) {
                    count.classes.insert(name.clone(), value.value());
                }
            }
            Ok(counts.into_values().collect())
        })
    }

    pub(super) fn each(&self, each: &mut dyn FnMut(&ProjectName, Prediction)) -> Result<()> {
        self.database.read(|transaction| {
            let mut projects = BTreeMap::new();
            for row in transaction.open_table(PROJECTS)?.iter()? {
                let (name, number) = row?;
                let name: ProjectName = name.value().parse().map_err(|error| damaged(&error))?;
                projects.insert(number.value(), name);
            }
            for row in transaction.open_table(RECORDS)?.iter()? {
                let (_, stored) = row?;
                let project = stored.value().first_chunk().map(|number| u32::from_le_bytes(*number));
                let project = project.and_then(|number| projects.get(&number));
                each(project.ok_or_else(|| damaged(&"its project is unknown"))?, prediction(stored.value())?);
            }
            Ok(())
        })
    }

    pub(super) fn check(&self, fault: &mut dyn FnMut(String)) -> Result<u64> {
        self.database.read(|transaction| check(transaction, fault))
    }

    pub(super) fn copy_to(&self, path: &Path) -> Result<()> {
        let copy = Database::open(self.database.disk(), path, CACHE_BYTES, None)?;
        self.database.read(|from| {
            copy.write(|to| {
                copy_table(from, to, RECORDS)?;
                copy_table(from, to, BY_ID)?;
                copy_table(from, to, PROJECTS)?;
                copy_table(from, to, CLASSES)?;
                copy_table(from, to, HOURS)?;
                copy_table(from, to, HOUR_CLASSES)?;
                copy_table(from, to, BY_TIME)?;
                copy_table(from, to, BY_MODEL)?;
                copy_table(from, to, BY_CLASS)
            })
            .map_err(Failure::from)
        })
    }
}

/// Copies a table in ascending order through a cursor: several times faster than inserting, and
/// pages are filled.
fn copy_table<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<(), Failure> {
    let mut target = to.open_table(table)?;
    let mut end = target.upper_bound_mut(Bound::<K::SelfType<'_>>::Unbounded)?;
    for row in from.open_table(table)?.iter()? {
        let (key, value) = row?;
        end.insert_before(key.value(), value.value())?;
    }
    Ok(end.close()?)
}

/// How a filter is answered: through which index, and with what number.
struct Search {
    project: u32,
    index: Index,
    group: u32,
    class: Option<u32>,
}

impl Search {
    /// Nothing when the day knows no such project or class.
    fn plan(
        transaction: &ReadTransaction,
        project: &ProjectName,
        filter: &PredictionFilter,
    ) -> Result<Option<Self>, Failure> {
        let Some(project) = project_number(transaction, project)? else { return Ok(None) };
        let mut class = None;
        if let Some(name) = &filter.class {
            class =
                transaction.open_table(CLASSES)?.get((project, name.as_str()))?.map(|class| class.value());
            if class.is_none() {
                return Ok(None);
            }
        }
        // A class is held by fewer records than a model, nearly always.
        let (index, group) = match (class, filter.model) {
            (Some(class), _) => (BY_CLASS, class),
            (None, Some(model)) => (BY_MODEL, model.0),
            (None, None) => (BY_TIME, 0),
        };
        Ok(Some(Self { project, index, group, class }))
    }

    /// The entries to look at; nothing when the times leave none.
    fn range(
        &self,
        filter: &PredictionFilter,
        before: Option<Position>,
    ) -> Option<(Bound<IndexKey>, Bound<IndexKey>)> {
        let key = |at: Time, seq| (self.project, self.group, at.as_micros(), seq);
        let low = (self.project, self.group, filter.since.map_or(i64::MIN, Time::as_micros), 0);
        let mut high = (self.project, self.group, i64::MAX, u64::MAX);
        if let Some(until) = filter.until {
            high = high.min(key(until, 0));
        }
        if let Some(before) = before {
            high = high.min(key(before.at, before.seq));
        }
        (low < high).then_some((Bound::Included(low), Bound::Excluded(high)))
    }

    /// Whether an entry's record is wanted, as far as the index does not say.
    fn wants(&self, (model, class, confidence): IndexValue, filter: &PredictionFilter) -> bool {
        // Feedback is not of the log.
        let PredictionFilter { model: wanted, class: _, confidence_below, since: _, until: _, feedback: _ } =
            filter;
        wanted.is_none_or(|wanted| wanted.0 == model)
            && self.class.is_none_or(|wanted| wanted == class)
            && confidence_below.is_none_or(|limit| f32::from_bits(confidence) < limit)
    }
}

fn project_number(transaction: &ReadTransaction, project: &ProjectName) -> Result<Option<u32>, Failure> {
    Ok(transaction.open_table(PROJECTS)?.get(project.as_str())?.map(|number| number.value()))
}

fn class_names(transaction: &ReadTransaction, project: u32) -> Result<BTreeMap<u32, String>, Failure> {
    let mut names = BTreeMap::new();
    let low = (project, "");
    for row in transaction.open_table(CLASSES)?.range(low..)? {
        let (key, number) = row?;
        let (of, name) = key.value();
        if of != project {
            break;
        }
        names.insert(number.value(), name.to_owned());
    }
    Ok(names)
}

/// Reads a stored record: the project's number and the prediction.
pub(super) fn prediction(stored: &[u8]) -> Result<Prediction> {
    let (_, record) = stored.split_first_chunk::<4>().ok_or_else(|| damaged(&"its bytes are missing"))?;
    decode("a prediction", record)
}

fn damaged(detail: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged { what: "a prediction".to_owned(), detail: detail.to_string() }
}
