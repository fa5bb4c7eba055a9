//! One change under way: remembers what it read and collects what it writes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Key, readable};
use crate::store::codec::{decode, encode};
use crate::store::{Batch, Expect, Facts, Order, Result};

/// A batch that grows. What is read through it must not have changed when it is committed.
pub(super) struct Change<'a> {
    facts: &'a dyn Facts,
    batch: Batch,
}

impl<'a> Change<'a> {
    pub(super) fn new(facts: &'a dyn Facts) -> Self {
        Self { facts, batch: Batch::default() }
    }

    /// The row at a key. Rows this change wrote itself are not seen.
    pub(super) fn read<T: DeserializeOwned>(&mut self, key: Vec<u8>) -> Result<Option<T>> {
        match self.facts.get(&key)? {
            Some(fact) => {
                let row = decode(&readable(&key), &fact.value)?;
                self.batch.expects.push(Expect::Generation(key, fact.generation));
                Ok(Some(row))
            }
            None => {
                self.batch.expects.push(Expect::Absent(key));
                Ok(None)
            }
        }
    }

    /// The rows whose keys start with `prefix`, with the rest of their keys. New rows that appear
    /// meanwhile are not noticed: only for rows that no other change adds.
    pub(super) fn read_all<T: DeserializeOwned>(&mut self, prefix: Key) -> Result<Vec<(Vec<u8>, T)>> {
        let prefix = prefix.bytes();
        let mut rows = Vec::new();
        for (key, fact) in self.facts.scan(&prefix, None, Order::Ascending, usize::MAX)? {
            rows.push((key[prefix.len()..].to_vec(), decode(&readable(&key), &fact.value)?));
            self.batch.expects.push(Expect::Generation(key, fact.generation));
        }
        Ok(rows)
    }

    /// The row with the largest key that starts with `prefix`. For the next number of a list: the
    /// caller then adds that number with [`Change::add`], which fails when someone else has it.
    pub(super) fn last<T: DeserializeOwned>(&self, prefix: Key) -> Result<Option<T>> {
        let rows = self.facts.scan(&prefix.bytes(), None, Order::Descending, 1)?;
        rows.first().map(|(key, fact)| decode(&readable(key), &fact.value)).transpose()
    }

    /// Writes a row where none may be.
    pub(super) fn add<T: Serialize>(&mut self, key: Vec<u8>, row: &T) {
        self.batch.expects.push(Expect::Absent(key.clone()));
        self.put(key, row);
    }

    /// Writes a row.
    pub(super) fn put<T: Serialize>(&mut self, key: Vec<u8>, row: &T) {
        self.batch.puts.push((key, encode(row)));
    }

    /// Deletes a row, if it is there.
    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.batch.deletes.push(key);
    }

    /// Makes it happen. A change that writes nothing costs nothing.
    pub(super) fn commit(self) -> Result<()> {
        if !self.batch.puts.is_empty() || !self.batch.deletes.is_empty() {
            self.facts.commit(&self.batch)?;
        }
        Ok(())
    }
}
