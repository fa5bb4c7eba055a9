//! What watchers are told, as the agent's own hub tells it: a ring under an epoch, of each job only the
//! newest row.
//!
//! The ring holds places, not rows: events and jobs lie in the state, and are looked up when a watcher
//! comes. So it stays small however large the fleet is.

use std::collections::{HashMap, VecDeque};

use tokio::sync::watch;
use vigie_protocol::JobId;
use vigie_protocol::event::WatchCursor;

/// Updates kept for watchers that lag.
const RING: usize = 500;

/// Updates in one answer.
pub(super) const PER_ANSWER: usize = 200;

/// The ring of one agent and the bell that wakes its watchers.
#[derive(Debug)]
pub(super) struct Hub {
    newest: watch::Sender<WatchCursor>,
    places: VecDeque<(u64, Place)>,
    jobs: HashMap<JobId, u64>,
}

/// What an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The event of that number.
    Event(u64),
    /// The newest row of that job.
    Job(JobId),
    /// A job's row that a newer one replaced.
    Replaced,
}

impl Hub {
    pub(super) fn new(epoch: u64) -> Self {
        let newest = watch::Sender::new(WatchCursor { epoch, seq: 0 });
        Self { newest, places: VecDeque::new(), jobs: HashMap::new() }
    }

    /// Begins again under another epoch, as a restart does.
    pub(super) fn restart(&mut self, epoch: u64) {
        self.places.clear();
        self.jobs.clear();
        self.newest.send_replace(WatchCursor { epoch, seq: 0 });
    }

    /// Where a watcher stands that has heard everything.
    pub(super) fn newest(&self) -> WatchCursor {
        *self.newest.borrow()
    }

    /// Rings with every update.
    pub(super) fn bell(&self) -> watch::Receiver<WatchCursor> {
        self.newest.subscribe()
    }

    pub(super) fn publish(&mut self, place: Place) {
        let WatchCursor { epoch, seq } = self.newest();
        let seq = seq + 1;
        if let Place::Job(job) = place
            && let Some(older) = self.jobs.insert(job, seq)
            && let Ok(index) = self.places.binary_search_by_key(&older, |(seq, _)| *seq)
        {
            self.places[index].1 = Place::Replaced;
        }
        self.places.push_back((seq, place));
        while self.places.len() > RING {
            if let Some((seq, Place::Job(job))) = self.places.pop_front()
                && self.jobs.get(&job) == Some(&seq)
            {
                self.jobs.remove(&job);
            }
        }
        self.newest.send_replace(WatchCursor { epoch, seq });
    }

    /// Up to [`PER_ANSWER`] places past `seq` and where they end; nothing when `seq` has left the ring.
    pub(super) fn past(&self, seq: u64) -> Option<(Vec<Place>, u64)> {
        let newest = self.newest().seq;
        let oldest = self.places.front().map_or(newest + 1, |(oldest, _)| *oldest);
        if seq + 1 < oldest {
            return None;
        }
        let start = self.places.partition_point(|(place, _)| *place <= seq);
        let (mut places, mut end) = (Vec::new(), seq);
        for (at, place) in self.places.range(start..) {
            end = *at;
            if *place != Place::Replaced {
                places.push(*place);
            }
            if places.len() == PER_ANSWER {
                break;
            }
        }
        Some((places, end))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn of_a_job_only_the_newest_place_is_told_and_lost_places_are_known() {
        let mut hub = Hub::new(7);
        let job = JobId::from(Uuid::from_u128(1));
        let events = RING as u64;
        for event in 1..=events {
            hub.publish(Place::Job(job));
            hub.publish(Place::Event(event));
        }
        let newest = 2 * events;
        assert_eq!(hub.newest(), WatchCursor { epoch: 7, seq: newest });
        assert_eq!(hub.past(newest - events - 1), None, "it has left the ring");
        let (mut told, mut at) = (Vec::new(), newest - events);
        while at < newest {
            let (places, end) = hub.past(at).expect("in the ring");
            assert!(places.len() <= PER_ANSWER && end > at);
            told.extend(places);
            at = end;
        }
        let of_job = told.iter().filter(|&&place| place == Place::Job(job)).count();
        assert_eq!((of_job, told.len() as u64), (1, events / 2 + 1), "half of the ring was replaced");
        assert_eq!(told.last(), Some(&Place::Event(events)));
        hub.restart(8);
        assert_eq!((hub.newest(), hub.past(0)), (WatchCursor { epoch: 8, seq: 0 }, Some((vec![], 0))));
    }
}
