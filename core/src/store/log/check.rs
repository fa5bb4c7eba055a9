//! A day's records, indices and counters held against each other.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};

use super::day::{
    BY_CLASS, BY_ID, BY_MODEL, BY_TIME, CLASSES, HOUR_CLASSES, HOURS, PROJECTS, RECORDS, prediction,
};
use crate::store::database::Failure;

/// Sums of confidences are added up in another order than they were.
const ROUNDING: f64 = 1e-6;

/// Tells `fault` what does not fit; returns the number of records.
pub(super) fn check(transaction: &ReadTransaction, fault: &mut dyn FnMut(String)) -> Result<u64, Failure> {
    let records = transaction.open_table(RECORDS)?;
    let by_id = transaction.open_table(BY_ID)?;
    let indices = [BY_TIME, BY_MODEL, BY_CLASS].map(|index| transaction.open_table(index));
    let [by_time, by_model, by_class] = indices;
    let (by_time, by_model, by_class) = (by_time?, by_model?, by_class?);
    let classes = transaction.open_table(CLASSES)?;
    let known: Vec<u32> = projects(transaction)?;

    let mut hours: BTreeMap<(u32, i64, u32), (u64, f64, u64)> = BTreeMap::new();
    let mut hour_classes: BTreeMap<(u32, i64, u32, u32), u64> = BTreeMap::new();
    for row in records.iter()? {
        let (number, stored) = row?;
        let (number, stored) = (number.value(), stored.value());
        let record = match prediction(stored) {
            Ok(record) => record,
            Err(error) => {
                fault(format!("record {number}: {error}"));
                continue;
            }
        };
        let project = stored.first_chunk().map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes));
        if !known.contains(&project) {
            fault(format!("{} is of no project", record.id));
        }
        let class = classes.get((project, record.class()))?.map(|class| class.value());
        let Some(class) = class else {
            fault(format!("{}: its class has no number", record.id));
            continue;
        };
        let at = record.at.as_micros();
        let entry = Some((record.model.0, class, record.confidence().to_bits()));
        let found = [
            by_id.get((project, record.id.uuid().as_u128()))?.map(|row| row.value()) == Some(number),
            by_time.get((project, 0, at, number))?.map(|row| row.value()) == entry,
            by_model.get((project, record.model.0, at, number))?.map(|row| row.value()) == entry,
            by_class.get((project, class, at, number))?.map(|row| row.value()) == entry,
        ];
        if found.contains(&false) {
            fault(format!("{} is not in every index as it is", record.id));
        }
        let (hour, model) = (record.at.hour(), record.model.0);
        let sum = hours.entry((project, hour, model)).or_default();
        sum.0 += 1;
        let confidence = f64::from(record.confidence());
        sum.1 += if confidence.is_finite() { confidence } else { 0.0 };
        sum.2 += u64::from(record.timings.total);
        *hour_classes.entry((project, hour, model, class)).or_default() += 1;
    }

    let count = records.len()?;
    for (index, entries) in [
        ("identity", by_id.len()?),
        ("time", by_time.len()?),
        ("model", by_model.len()?),
        ("class", by_class.len()?),
    ] {
        if entries != count {
            fault(format!("{count} records, {entries} entries in the index by {index}"));
        }
    }
    for row in transaction.open_table(HOURS)?.iter()? {
        let (key, value) = row?;
        let (predictions, confidence, total) = value.value();
        let fits = hours.remove(&key.value()).is_some_and(|sum| {
            sum.0 == predictions
                && sum.2 == total
                && (sum.1 - confidence).abs() <= ROUNDING * (1.0 + sum.1.abs())
        });
        if !fits {
            fault(format!("the counters of hour {} are not those of its records", key.value().1));
        }
    }
    for row in transaction.open_table(HOUR_CLASSES)?.iter()? {
        let (key, value) = row?;
        if hour_classes.remove(&key.value()) != Some(value.value()) {
            fault(format!("the classes of hour {} are not those of its records", key.value().1));
        }
    }
    if !hours.is_empty() || !hour_classes.is_empty() {
        fault("an hour has records and no counters".to_owned());
    }
    Ok(count)
}

fn projects(transaction: &ReadTransaction) -> Result<Vec<u32>, Failure> {
    let table = transaction.open_table(PROJECTS)?;
    table.iter()?.map(|row| Ok(row?.1.value())).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use redb::{Database, ReadableDatabase, WriteTransaction};
    use vigie_protocol::prediction::Prediction;

    use super::*;
    use crate::store::PredictionLog;
    use crate::store::log::DayLog;
    use crate::store::samples::{name, prediction};

    type Damage = fn(&WriteTransaction);

    /// One row of a day is damaged; what is found then, identities aside.
    fn found(damage: Damage) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let predictions: Vec<(_, Prediction)> = [(1, "owl"), (2, "owl"), (3, "jay")]
            .map(|(micros, class)| (name("birds"), prediction(micros, 1, class, 0.5)))
            .into();
        let log = DayLog::open(folder.path()).unwrap();
        log.append(&predictions).unwrap();
        drop(log);
        let database = Database::open(folder.path().join("1970-01-01.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        damage(&transaction);
        transaction.commit().unwrap();

        let mut faults = Vec::new();
        let reading = database.begin_read().unwrap();
        let count = check(&reading, &mut |fault| faults.push(fault)).unwrap_or_default();
        assert!((2..=3).contains(&count));
        for fault in &mut faults {
            for (_, prediction) in &predictions {
                *fault = fault.replace(&prediction.id.to_string(), "…");
            }
        }
        faults
    }

    /// The classes' numbers in a day count from 0, in the order in which they came; so do projects'.
    const JAY: u32 = 1;

    #[test]
    fn every_fault_is_found() {
        let cases: [(Damage, &[&str]); 13] = [
            (|_| {}, &[]),
            (
                |day| drop(day.open_table(RECORDS).unwrap().insert(3, &b"\0\0\0\0\x01\xc1"[..]).unwrap()),
                &[
                    "record 3: a prediction is damaged: wrong msgpack marker Reserved",
                    "the counters of hour 0 are not those of its records",
                    "the classes of hour 0 are not those of its records",
                ],
            ),
            (
                |day| drop(day.open_table(PROJECTS).unwrap().remove("birds").unwrap()),
                &["… is of no project", "… is of no project", "… is of no project"],
            ),
            (
                |day| drop(day.open_table(CLASSES).unwrap().remove((0, "jay")).unwrap()),
                &[
                    "…: its class has no number",
                    "the counters of hour 0 are not those of its records",
                    "the classes of hour 0 are not those of its records",
                ],
            ),
            (
                |day| drop(day.open_table(BY_ID).unwrap().pop_last().unwrap()),
                &["… is not in every index as it is", "3 records, 2 entries in the index by identity"],
            ),
            (
                |day| drop(day.open_table(BY_TIME).unwrap().pop_last().unwrap()),
                &["… is not in every index as it is", "3 records, 2 entries in the index by time"],
            ),
            (
                |day| drop(day.open_table(BY_MODEL).unwrap().pop_last().unwrap()),
                &["… is not in every index as it is", "3 records, 2 entries in the index by model"],
            ),
            (
                |day| drop(day.open_table(BY_CLASS).unwrap().insert((0, JAY, 9, 9), (1, JAY, 0)).unwrap()),
                &["3 records, 4 entries in the index by class"],
            ),
            (
                |day| drop(day.open_table(BY_CLASS).unwrap().insert((0, JAY, 3, 3), (2, JAY, 0)).unwrap()),
                &["… is not in every index as it is"],
            ),
            (
                |day| drop(day.open_table(HOURS).unwrap().insert((0, 0, 1), (3, 1.4, 180)).unwrap()),
                &["the counters of hour 0 are not those of its records"],
            ),
            (
                |day| drop(day.open_table(HOUR_CLASSES).unwrap().insert((0, 0, 1, JAY), 2).unwrap()),
                &["the classes of hour 0 are not those of its records"],
            ),
            (
                |day| drop(day.open_table(HOURS).unwrap().remove((0, 0, 1)).unwrap()),
                &["an hour has records and no counters"],
            ),
            (
                |day| drop(day.open_table(HOUR_CLASSES).unwrap().remove((0, 0, 1, JAY)).unwrap()),
                &["an hour has records and no counters"],
            ),
        ];
        for (number, (damage, expected)) in cases.into_iter().enumerate() {
            assert_eq!(found(damage), expected, "case {number}");
        }
    }
}
