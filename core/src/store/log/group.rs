//! Appending a group of records to a day, and forgetting one.

use std::collections::BTreeMap;

use redb::{ReadableTable, Table, WriteTransaction};
use vigie_protocol::prediction::Prediction;
use vigie_protocol::{PredictionId, ProjectName};

use super::day::{
    BY_CLASS, BY_ID, BY_MODEL, BY_TIME, CLASSES, HOUR_CLASSES, HOURS, IndexKey, IndexValue, PROJECTS,
    RECORDS, prediction,
};
use crate::store::Result;
use crate::store::codec::encode;
use crate::store::database::Failure;

/// The tables of a day, open for writing.
pub(super) struct Group<'t> {
    records: Table<'t, u64, &'static [u8]>,
    by_id: Table<'t, (u32, u128), u64>,
    by_time: Table<'t, IndexKey, IndexValue>,
    by_model: Table<'t, IndexKey, IndexValue>,
    by_class: Table<'t, IndexKey, IndexValue>,
    projects: Table<'t, &'static str, u32>,
    classes: Table<'t, (u32, &'static str), u32>,
    counters: Counters<'t>,
}

impl<'t> Group<'t> {
    /// Appends records; those whose identity is there are skipped.
    pub(super) fn append(
        transaction: &'t WriteTransaction,
        records: &[&(ProjectName, Prediction)],
    ) -> Result<(), Failure> {
        let mut group = Self::open(transaction)?;
        let mut number = group.records.last()?.map_or(0, |(last, _)| last.value());
        for (project, record) in records {
            let project = group.project(project)?;
            let id = (project, record.id.uuid().as_u128());
            if group.by_id.get(id)?.is_some() {
                continue;
            }
            number += 1;
            let class = group.class(project, record.class())?;
            let mut stored = project.to_le_bytes().to_vec();
            stored.append(&mut encode(record));
            group.records.insert(number, stored.as_slice())?;
            group.by_id.insert(id, number)?;
            let entry = (record.model.0, class, record.confidence().to_bits());
            let at = record.at.as_micros();
            group.by_time.insert((project, 0, at, number), entry)?;
            group.by_model.insert((project, record.model.0, at, number), entry)?;
            group.by_class.insert((project, class, at, number), entry)?;
            group.counters.count(project, class, record, Change::Added);
        }
        group.counters.write()
    }

    /// Removes one record from records, indices and counters.
    pub(super) fn forget(
        transaction: &'t WriteTransaction,
        project: &ProjectName,
        id: PredictionId,
    ) -> Result<Option<Prediction>, Failure> {
        let mut group = Self::open(transaction)?;
        let project = group.project(project)?;
        let number = group.by_id.remove((project, id.uuid().as_u128()))?.map(|number| number.value());
        let Some(number) = number else { return Ok(None) };
        let stored = group.records.remove(number)?.map(|stored| stored.value().to_vec());
        let Some(stored) = stored else { return Ok(None) };
        let record = prediction(&stored)?;
        let class = group.class(project, record.class())?;
        let at = record.at.as_micros();
        group.by_time.remove((project, 0, at, number))?;
        group.by_model.remove((project, record.model.0, at, number))?;
        group.by_class.remove((project, class, at, number))?;
        group.counters.count(project, class, &record, Change::Removed);
        group.counters.write()?;
        Ok(Some(record))
    }

    fn open(transaction: &'t WriteTransaction) -> Result<Self, Failure> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            by_id: transaction.open_table(BY_ID)?,
            by_time: transaction.open_table(BY_TIME)?,
            by_model: transaction.open_table(BY_MODEL)?,
            by_class: transaction.open_table(BY_CLASS)?,
            projects: transaction.open_table(PROJECTS)?,
            classes: transaction.open_table(CLASSES)?,
            counters: Counters {
                hours: transaction.open_table(HOURS)?,
                classes: transaction.open_table(HOUR_CLASSES)?,
                by_hour: BTreeMap::new(),
                by_class: BTreeMap::new(),
            },
        })
    }

    fn project(&mut self, name: &ProjectName) -> Result<u32, Failure> {
        if let Some(number) = self.projects.get(name.as_str())? {
            return Ok(number.value());
        }
        // Names are never removed from a file, so their count is a free number.
        let number = next_number(&self.projects)?;
        self.projects.insert(name.as_str(), number)?;
        Ok(number)
    }

    fn class(&mut self, project: u32, name: &str) -> Result<u32, Failure> {
        if let Some(number) = self.classes.get((project, name))? {
            return Ok(number.value());
        }
        let number = next_number(&self.classes)?;
        self.classes.insert((project, name), number)?;
        Ok(number)
    }
}

fn next_number(table: &impl redb::ReadableTableMetadata) -> Result<u32, Failure> {
    Ok(u32::try_from(table.len()?).unwrap_or(u32::MAX))
}

/// Whether a record comes or goes.
#[derive(Clone, Copy)]
enum Change {
    Added,
    Removed,
}

/// Hourly counters, summed over the group before they touch their tables.
struct Counters<'t> {
    hours: Table<'t, (u32, i64, u32), (u64, f64, u64)>,
    classes: Table<'t, (u32, i64, u32, u32), u64>,
    by_hour: BTreeMap<(u32, i64, u32), (i64, f64, i64)>,
    by_class: BTreeMap<(u32, i64, u32, u32), i64>,
}

impl Counters<'_> {
    fn count(&mut self, project: u32, class: u32, record: &Prediction, change: Change) {
        let sign = match change {
            Change::Added => 1,
            Change::Removed => -1,
        };
        let (hour, model) = (record.at.hour(), record.model.0);
        let confidence = f64::from(record.confidence());
        let sum = self.by_hour.entry((project, hour, model)).or_default();
        sum.0 += sign;
        // A broken confidence must not spoil an hour's mean for ever.
        sum.1 += if confidence.is_finite() { confidence * sign as f64 } else { 0.0 };
        sum.2 += sign * i64::from(record.timings.total);
        *self.by_class.entry((project, hour, model, class)).or_default() += sign;
    }

    fn write(&mut self) -> Result<(), Failure> {
        for (key, (count, confidence, total)) in std::mem::take(&mut self.by_hour) {
            let old = self.hours.get(key)?.map(|row| row.value()).unwrap_or_default();
            let new = old.0.saturating_add_signed(count);
            if new == 0 {
                self.hours.remove(key)?;
            } else {
                self.hours.insert(key, (new, old.1 + confidence, old.2.saturating_add_signed(total)))?;
            }
        }
        for (key, count) in std::mem::take(&mut self.by_class) {
            let old = self.classes.get(key)?.map(|row| row.value()).unwrap_or_default();
            let new = old.saturating_add_signed(count);
            if new == 0 {
                self.classes.remove(key)?;
            } else {
                self.classes.insert(key, new)?;
            }
        }
        Ok(())
    }
}
