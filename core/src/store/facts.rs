//! Facts in redb: one table of keys and values, every commit durable.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::database::{self, Database, Failure};
use super::disk::{Disk, RealDisk};
use super::key::{end_of_prefix, readable};
use super::{Batch, Expect, Fact, Facts, Order, RepairProgress, Result, StoreError};

/// Facts: key to 8 bytes of generation, big-endian, and the value.
const FACTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("facts");
/// What the file says of itself: `schema`, `generation`.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

const GENERATION: &str = "generation";
const SCHEMA: &str = "schema";

/// Small facts need a small cache; redb's default is 1 GiB.
const CACHE_BYTES: usize = 64 << 20;

/// Facts in one redb file.
#[derive(Debug)]
pub struct RedbFacts {
    database: Database,
}

impl RedbFacts {
    /// Opens or creates the file. `repair` is told how far a repair after a crash is.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it open, [`StoreError::Damaged`] when it is no
    /// database or beyond repair.
    pub fn open(path: &Path, repair: Option<RepairProgress>) -> Result<Self> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        Self::open_on(&disk, path, repair)
    }

    pub(super) fn open_on(disk: &Arc<dyn Disk>, path: &Path, repair: Option<RepairProgress>) -> Result<Self> {
        let database = Database::open(disk, path, CACHE_BYTES, repair)?;
        database.write(|transaction| {
            transaction.open_table(FACTS)?;
            transaction.open_table(META)?;
            Ok(())
        })?;
        Ok(Self { database })
    }

    /// The schema number the file carries; absent on a new one.
    pub(super) fn schema(&self) -> Result<Option<u32>> {
        let found = self.database.read(|transaction| {
            Ok(transaction.open_table(META)?.get(SCHEMA)?.map(|number| number.value()))
        })?;
        Ok(found.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// Writes the schema number of a new file.
    pub(super) fn set_schema(&self, schema: u32) -> Result<()> {
        self.database.write(|transaction| {
            transaction.open_table(META)?.insert(SCHEMA, u64::from(schema))?;
            Ok(())
        })
    }

    /// Runs `change` on every fact and raises the schema number, in one commit. `change` answers with
    /// the fact's new key and value, or nothing to drop it.
    pub(super) fn migrate(
        &self,
        to: u32,
        change: impl Fn(&[u8], &[u8]) -> Result<Option<Pair>>,
    ) -> Result<()> {
        const NEXT: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("facts-next");
        self.database.write(|transaction| {
            {
                let old = transaction.open_table(FACTS)?;
                let mut new = transaction.open_table(NEXT)?;
                for row in old.iter()? {
                    let (key, stored) = row?;
                    let (generation, value) = split(key.value(), stored.value())?;
                    if let Some((key, value)) = change(key.value(), value)? {
                        new.insert(key.as_slice(), join(generation, &value).as_slice())?;
                    }
                }
            }
            transaction.delete_table(FACTS)?;
            transaction.rename_table(NEXT, FACTS)?;
            transaction.open_table(META)?.insert(SCHEMA, u64::from(to))?;
            Ok(())
        })
    }

    /// Writes a consistent copy into a new file while others read and write.
    pub(super) fn copy_to(&self, path: &Path) -> Result<()> {
        let copy = Database::open(self.database.disk(), path, CACHE_BYTES, None)?;
        self.database.read(|from| Ok(copy.write(|to| copy_tables(from, to))?))
    }

    /// Checks the file's bytes against their checksums, as [`database::verify`] does.
    pub(super) fn verify(path: &Path) -> Result<()> {
        database::verify(path, CACHE_BYTES)
    }

    /// Calls `each` with every fact, smallest key first.
    pub(super) fn each(&self, each: &mut dyn FnMut(&[u8], Result<Fact>)) -> Result<()> {
        self.database.read(|transaction| {
            for row in transaction.open_table(FACTS)?.iter()? {
                let (key, stored) = row?;
                each(key.value(), fact(key.value(), stored.value()));
            }
            Ok(())
        })
    }
}

/// A key and a value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

fn copy_tables(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), Failure> {
    let mut facts = to.open_table(FACTS)?;
    // Ascending through a cursor: several times faster than insert, and pages are filled.
    let mut end = facts.upper_bound_mut(Bound::<&[u8]>::Unbounded)?;
    for row in from.open_table(FACTS)?.iter()? {
        let (key, value) = row?;
        end.insert_before(key.value(), value.value())?;
    }
    end.close()?;
    let mut meta = to.open_table(META)?;
    for row in from.open_table(META)?.iter()? {
        let (key, value) = row?;
        meta.insert(key.value(), value.value())?;
    }
    Ok(())
}

impl Facts for RedbFacts {
    fn get(&self, key: &[u8]) -> Result<Option<Fact>> {
        self.database.read(|transaction| {
            let stored = transaction.open_table(FACTS)?.get(key)?;
            Ok(stored.map(|stored| fact(key, stored.value())).transpose()?)
        })
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Fact)>> {
        let end = end_of_prefix(prefix);
        let mut low = Bound::Included(prefix);
        let mut high = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        match (after, order) {
            (Some(key), Order::Ascending) if key >= prefix => low = Bound::Excluded(key),
            (Some(key), Order::Descending) if end.as_deref().is_none_or(|end| key < end) => {
                high = Bound::Excluded(key);
            }
            _ => {}
        }
        if is_empty(low, high) {
            return Ok(Vec::new());
        }
        self.database.read(|transaction| {
            let mut range = transaction.open_table(FACTS)?.range::<&[u8]>((low, high))?;
            let next = || match order {
                Order::Ascending => range.next(),
                Order::Descending => range.next_back(),
            };
            let mut found = Vec::new();
            for row in std::iter::from_fn(next).take(limit) {
                let (key, stored) = row?;
                found.push((key.value().to_vec(), fact(key.value(), stored.value())?));
            }
            Ok(found)
        })
    }

    fn commit(&self, batch: &Batch) -> Result<u64> {
        self.database.write(|transaction| {
            let mut facts = transaction.open_table(FACTS)?;
            for expect in &batch.expects {
                check(&facts, expect)?;
            }
            let mut meta = transaction.open_table(META)?;
            let generation = meta.get(GENERATION)?.map_or(0, |last| last.value()) + 1;
            meta.insert(GENERATION, generation)?;
            for key in &batch.deletes {
                facts.remove(key.as_slice())?;
            }
            for (key, value) in &batch.puts {
                facts.insert(key.as_slice(), join(generation, value).as_slice())?;
            }
            Ok(generation)
        })
    }
}

fn check(facts: &impl ReadableTable<&'static [u8], &'static [u8]>, expect: &Expect) -> Result<(), Failure> {
    match expect {
        Expect::Absent(key) => match facts.get(key.as_slice())? {
            None => Ok(()),
            Some(_) => Err(StoreError::Exists { what: readable(key) }.into()),
        },
        Expect::Generation(key, generation) => match facts.get(key.as_slice())? {
            Some(stored) if split(key, stored.value())?.0 == *generation => Ok(()),
            _ => Err(StoreError::Conflict { what: readable(key) }.into()),
        },
    }
}

/// redb panics on a range whose ends are crossed, as `BTreeMap` does.
fn is_empty(low: Bound<&[u8]>, high: Bound<&[u8]>) -> bool {
    match (low, high) {
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
        _ => false,
    }
}

fn join(generation: u64, value: &[u8]) -> Vec<u8> {
    [&generation.to_be_bytes(), value].concat()
}

fn split<'a>(key: &[u8], stored: &'a [u8]) -> Result<(u64, &'a [u8])> {
    stored
        .split_first_chunk()
        .map(|(generation, value)| (u64::from_be_bytes(*generation), value))
        .ok_or_else(|| StoreError::Damaged { what: readable(key), detail: "it has no generation".to_owned() })
}

fn fact(key: &[u8], stored: &[u8]) -> Result<Fact> {
    let (generation, value) = split(key, stored)?;
    Ok(Fact { value: value.to_vec(), generation })
}
