//! Events: what happened, numbered for the agent's whole life.

use vigie_protocol::event::{Event, Severity, Subject};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::{ProjectName, Time};

use super::change::Change;
use super::{Catalog, Key};
use crate::store::codec::decode;
use crate::store::{Order, Result};

/// How many events are kept; older ones go.
pub const EVENTS_KEPT: u64 = 100_000;

/// An event before it has its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    /// When.
    pub at: Time,
    /// In which project.
    pub project: Option<ProjectName>,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What happened, for people.
    pub text: String,
}

fn key(seq: u64) -> Vec<u8> {
    Key::of("event").u64(seq).bytes()
}

impl Catalog {
    /// Records an event under the next number.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn append_event(&self, draft: &EventDraft) -> Result<Event> {
        self.change(None, |change| change.add_event(draft))
    }

    /// Events of one project or all, newest first. A page may be short and still have a next one.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`](crate::store::StoreError::BadCursor).
    pub fn events(
        &self,
        project: Option<&ProjectName>,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<Event>> {
        let wanted = |event: &Event| project.is_none_or(|name| event.project.as_ref() == Some(name));
        self.page_down(Key::of("event"), cursor, limit, wanted)
    }

    /// Up to `limit` events after number `seq`, oldest first: for those who watch.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn events_since(&self, seq: u64, limit: usize) -> Result<Vec<Event>> {
        let rows = self.facts().scan(&Key::of("event").bytes(), Some(&key(seq)), Order::Ascending, limit)?;
        rows.iter().map(|(_, fact)| decode("an event", &fact.value)).collect()
    }
}

impl Change<'_> {
    /// Records an event under the next number, with whatever else this change does.
    pub(super) fn add_event(&mut self, draft: &EventDraft) -> Result<Event> {
        let EventDraft { at, project, severity, subject, text } = draft;
        let event = Event {
            seq: self.newest_event()? + 1,
            at: *at,
            project: project.clone(),
            severity: *severity,
            subject: subject.clone(),
            text: text.clone(),
        };
        self.add(key(event.seq), &event);
        if let Some(old) = event.seq.checked_sub(EVENTS_KEPT) {
            self.delete(key(old));
        }
        Ok(event)
    }

    /// The number of the newest event; 0 before the first.
    pub(super) fn newest_event(&self) -> Result<u64> {
        let last: Option<Event> = self.last(Key::of("event"))?;
        Ok(last.map_or(0, |last| last.seq))
    }
}
