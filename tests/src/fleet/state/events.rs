//! Events: what happened, and telling those who watch.

use std::collections::VecDeque;

use tokio::sync::watch;
use vigie_protocol::access::Principal;
use vigie_protocol::event::{Event, Severity, Subject, Update, WatchCursor};
use vigie_protocol::page::Page;
use vigie_protocol::service::{EventList, Watched};
use vigie_protocol::{ApiError, JobId, ProjectName};

use super::State;
use super::hub::Place;
use super::page::{cursor, page};

/// Events kept. Far fewer than the real agent keeps, and hardly more than there are at the start: a
/// fleet must not grow under a test that measures memory.
const KEPT: usize = 200;

/// The events that are kept, oldest first.
#[derive(Debug, Default)]
pub(super) struct Events {
    kept: VecDeque<Event>,
}

impl Events {
    /// Brings events that were put in by any order into that of time, and numbers them anew.
    pub(super) fn settle(&mut self) {
        self.kept.make_contiguous().sort_by_key(|event| event.at);
        for (seq, event) in (1..).zip(&mut self.kept) {
            event.seq = seq;
        }
    }

    /// All that are kept, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.kept.iter()
    }

    fn get(&self, seq: u64) -> Option<&Event> {
        let oldest = self.kept.front()?.seq;
        self.kept.get(usize::try_from(seq.checked_sub(oldest)?).ok()?)
    }
}

impl State {
    /// Something happened: it is kept and told.
    pub(in super::super) fn event(
        &mut self,
        project: Option<&ProjectName>,
        severity: Severity,
        subject: Subject,
        text: impl Into<String>,
    ) -> Event {
        let seq = self.events.kept.back().map_or(0, |last| last.seq) + 1;
        let (at, project, text) = (self.now, project.cloned(), text.into());
        let event = Event { seq, at, project, severity, subject, text };
        self.events.kept.push_back(event.clone());
        if self.events.kept.len() > KEPT {
            self.events.kept.pop_front();
        }
        self.hub.publish(Place::Event(seq));
        event
    }

    pub(super) fn agent_event(&mut self, text: &str) {
        self.event(None, Severity::Info, Subject::Agent, text);
    }

    /// A job's row is new.
    pub(super) fn publish_job(&mut self, job: JobId) {
        self.hub.publish(Place::Job(job));
    }

    pub(in super::super) fn event_list(
        &mut self,
        _: &Principal,
        request: EventList,
    ) -> Result<Page<Event>, ApiError> {
        let EventList { project, page: wanted } = request;
        let before: Option<u64> = cursor(&wanted)?;
        let rows = self.events.kept.iter().rev();
        let rows = rows.filter(|event| before.is_none_or(|before| event.seq < before)).map(|event| {
            let ours = project.is_none() || event.project == project;
            (event.seq, ours.then(|| event.clone()))
        });
        Ok(page(&wanted, rows))
    }

    /// Rings whenever there is news.
    pub(in super::super) fn bell(&self) -> watch::Receiver<WatchCursor> {
        self.hub.bell()
    }

    /// What a watcher is told who stands at `cursor`. Without one: where to stand.
    pub(in super::super) fn news(&self, cursor: Option<WatchCursor>) -> Watched {
        let newest = self.hub.newest();
        let lost = Watched { updates: Vec::new(), next: newest, resync: true };
        let Some(cursor) = cursor else { return Watched { resync: false, ..lost } };
        if cursor.epoch != newest.epoch || cursor.seq > newest.seq {
            return lost;
        }
        let Some((places, seq)) = self.hub.past(cursor.seq) else { return lost };
        let updates = places.into_iter().map(|place| match place {
            Place::Event(seq) => self.events.get(seq).map(|event| Update::Event { event: event.clone() }),
            Place::Job(job) => self.jobs.get(job).map(|job| Update::Job { job: Box::new(job.clone()) }),
            Place::Replaced => None,
        });
        match updates.collect() {
            Some(updates) => Watched { updates, next: WatchCursor { seq, ..newest }, resync: false },
            // What was told of is not kept any more: the watcher was away for too long.
            None => lost,
        }
    }
}
