//! Where a page of predictions ends: a time and a record number, the same for every filter.

use vigie_protocol::Time;
use vigie_protocol::page::PageCursor;

use crate::store::{Result, StoreError};

/// A place in the log, newest first; the next page starts just past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// The last record's time; its UTC day names the file.
    pub(super) at: Time,
    /// Its number in the file, from 1; 0 is past everything of the day.
    pub(super) seq: u64,
}

impl Position {
    /// Past everything of a day.
    pub(super) fn start_of(day: &str) -> Result<Self> {
        let at = format!("{day}T00:00:00Z").parse().map_err(|_| StoreError::BadCursor)?;
        Ok(Self { at, seq: 0 })
    }

    /// Whether a day can hold something behind this place.
    pub(super) fn reaches(self, day: &str) -> bool {
        let last = self.at.day();
        if self.seq == 0 { *day < *last } else { *day <= *last }
    }

    pub(super) fn encode(self) -> PageCursor {
        PageCursor(format!("{}.{}.{}", self.at.day(), self.at.as_micros(), self.seq))
    }

    pub(super) fn decode(cursor: &PageCursor) -> Result<Self> {
        let mut parts = cursor.0.splitn(3, '.');
        let mut part = || parts.next().ok_or(StoreError::BadCursor);
        let (day, at, seq) = (part()?, part()?, part()?);
        let at = at.parse().map(Time::from_micros).map_err(|_| StoreError::BadCursor)?;
        let seq = seq.parse().map_err(|_| StoreError::BadCursor)?;
        if at.day() == day { Ok(Self { at, seq }) } else { Err(StoreError::BadCursor) }
    }
}
