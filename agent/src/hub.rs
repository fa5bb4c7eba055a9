//! The hub: what happens goes in, watchers take it out from where they stand.
//!
//! A bounded ring in memory under a random epoch for each start of the agent. A watcher whose place
//! has left the ring, or who comes from another epoch, is told to fetch everything anew.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use vigie_protocol::JobId;
use vigie_protocol::event::{Update, WatchCursor};
use vigie_protocol::job::Job;
use vigie_protocol::service::Watched;
use vigie_protocol::wire::WireCodec;

/// Updates kept for watchers that lag.
const RING: usize = 10_000;
/// Updates in one answer.
const PER_ANSWER: usize = 500;
/// Bytes of the updates in one answer, below the frame limit by more than one update takes: a job that
/// renames ten thousand labels is megabytes.
const ANSWER_BYTES: usize = 1 << 20;
/// Longest time a watcher is kept waiting; shorter than any sane deadline of the call.
const MAX_WAIT: Duration = Duration::from_secs(25);

/// Takes updates in and hands them to any number of watchers.
#[derive(Debug)]
pub struct Hub {
    epoch: u64,
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    newest: u64,
    /// Oldest first. A job's older row leaves when a newer one comes, so that progress does not push
    /// events out of the ring's reach.
    entries: VecDeque<Entry>,
    jobs: HashMap<JobId, u64>,
    /// The newest that left because the ring was full: who stands before it has missed something.
    dropped: u64,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    update: Update,
    bytes: usize,
}

impl Hub {
    /// A hub of the given epoch: random for each start of the agent.
    pub fn new(epoch: u64) -> Self {
        Self { epoch, ring: Mutex::default(), newest: watch::Sender::new(0) }
    }

    /// This start's epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Tells everyone. Of one job only the newest row is kept.
    pub fn publish(&self, update: Update) {
        let newest = self.lock().push(update);
        self.newest.send_replace(newest);
    }

    /// What happened after `cursor`, at once if there is something, else as soon as there is, else
    /// nothing after `max_wait`. Without a cursor: the place to start from.
    pub async fn watch(&self, cursor: Option<WatchCursor>, max_wait: Duration) -> Watched {
        let mut newest = self.newest.subscribe();
        let now = *newest.borrow();
        let here = |seq| WatchCursor { epoch: self.epoch, seq };
        let Some(cursor) = cursor else {
            return Watched { updates: Vec::new(), next: here(now), resync: false };
        };
        if cursor.epoch != self.epoch || cursor.seq > now {
            return Watched { updates: Vec::new(), next: here(now), resync: true };
        }
        // The sender lives as long as self, so waiting can only end by news or by the clock.
        let news = newest.wait_for(|&newest| newest > cursor.seq);
        if tokio::time::timeout(max_wait.min(MAX_WAIT), news).await.is_err() {
            return Watched { updates: Vec::new(), next: cursor, resync: false };
        }
        match self.lock().after(cursor.seq) {
            Some((updates, seq)) => Watched { updates, next: here(seq), resync: false },
            None => Watched { updates: Vec::new(), next: here(now), resync: true },
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ring> {
        // No code under this lock leaves the ring half changed.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, update: Update) -> u64 {
        self.newest += 1;
        if let Update::Job { job } = &update {
            self.replace_job(job);
        }
        // What cannot be written would never reach a watcher, and counts for nothing.
        let bytes = WireCodec::MsgPack.encode(&update).map_or(0, |bytes| bytes.len());
        self.entries.push_back(Entry { seq: self.newest, update, bytes });
        while self.entries.len() > RING
            && let Some(Entry { seq, update, .. }) = self.entries.pop_front()
        {
            self.dropped = seq;
            if let Update::Job { job } = update {
                self.jobs.remove(&job.id);
            }
        }
        self.newest
    }

    fn replace_job(&mut self, job: &Job) {
        if let Some(older) = self.jobs.insert(job.id, self.newest)
            && let Ok(index) = self.entries.binary_search_by_key(&older, |entry| entry.seq)
        {
            self.entries.remove(index);
        }
    }

    /// Updates past `seq` and where they end; nothing when one past `seq` was dropped.
    fn after(&self, seq: u64) -> Option<(Vec<Update>, u64)> {
        if seq < self.dropped {
            return None;
        }
        let start = self.entries.partition_point(|entry| entry.seq <= seq);
        let mut updates = Vec::new();
        let mut room = ANSWER_BYTES;
        for Entry { seq, update, bytes } in self.entries.range(start..) {
            if updates.len() == PER_ANSWER || (*bytes > room && !updates.is_empty()) {
                return Some((updates, seq - 1));
            }
            updates.push(update.clone());
            room = room.saturating_sub(*bytes);
        }
        Some((updates, self.newest))
    }
}

#[cfg(test)]
mod tests {
    use vigie_protocol::Time;
    use vigie_protocol::event::{Event, Severity, Subject};
    use vigie_protocol::job::{JobSpec, JobState, Progress};
    use vigie_protocol::wire::MAX_FRAME;

    use super::*;

    fn event(seq: u64) -> Update {
        Update::Event {
            event: Event {
                seq,
                at: Time::default(),
                project: None,
                severity: Severity::Info,
                subject: Subject::Agent,
                text: format!("event {seq}"),
            },
        }
    }

    fn job(id: JobId, done: u64) -> Update {
        Update::Job {
            job: Box::new(Job {
                id,
                project: None,
                spec: JobSpec::Gc { dry_run: true },
                after: Vec::new(),
                state: JobState::Running,
                waits_for: Vec::new(),
                progress: Progress { done, ..Progress::default() },
                attempts: 1,
                outcome: None,
                failure: None,
                created: Time::default(),
                started: None,
                finished: None,
                by: "alice".to_owned(),
                worker_pid: None,
                generation: 1,
            }),
        }
    }

    const NO_WAIT: Duration = Duration::ZERO;

    #[tokio::test]
    async fn every_event_reaches_a_watcher_once_and_in_order() {
        let hub = Hub::new(7);
        let mut cursor = hub.watch(None, NO_WAIT).await.next;
        (1..=1_200).for_each(|seq| hub.publish(event(seq)));
        let mut seen = Vec::new();
        loop {
            let answer = hub.watch(Some(cursor), NO_WAIT).await;
            assert!(!answer.resync);
            if answer.updates.is_empty() {
                break;
            }
            seen.extend(answer.updates);
            cursor = answer.next;
        }
        assert_eq!(seen, (1..=1_200).map(event).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_answer_fits_a_frame() {
        let hub = Hub::new(7);
        let mut cursor = hub.watch(None, NO_WAIT).await.next;
        let long = |seq, bytes| match event(seq) {
            Update::Event { event } => Update::Event { event: Event { text: "x".repeat(bytes), ..event } },
            other => other,
        };
        // Of one that is more than an answer holds, the answer is that one.
        let sent: Vec<Update> =
            (1..=40).map(|seq| long(seq, if seq == 20 { 2 << 20 } else { 200_000 })).collect();
        sent.iter().cloned().for_each(|update| hub.publish(update));
        let mut seen = Vec::new();
        while seen.len() < sent.len() {
            let answer = hub.watch(Some(cursor), NO_WAIT).await;
            let bytes = WireCodec::MsgPack.encode(&answer).expect("encoded").len();
            assert!(!answer.updates.is_empty() && bytes < MAX_FRAME, "{bytes} bytes");
            seen.extend(answer.updates);
            cursor = answer.next;
        }
        assert_eq!(seen, sent);
    }

    #[tokio::test]
    async fn progress_pushes_nothing_out() {
        let hub = Hub::new(7);
        let start = hub.watch(None, NO_WAIT).await.next;
        hub.publish(event(1));
        let id = JobId::new();
        (0..2 * RING as u64).for_each(|done| hub.publish(job(id, done)));
        let answer = hub.watch(Some(start), NO_WAIT).await;
        assert_eq!(answer.updates, [event(1), job(id, 2 * RING as u64 - 1)]);
    }

    #[tokio::test]
    async fn of_a_job_only_the_newest_row_is_told() {
        let hub = Hub::new(7);
        let start = hub.watch(None, NO_WAIT).await.next;
        let id = JobId::new();
        for done in 0..50 {
            hub.publish(job(id, done));
            hub.publish(event(done));
        }
        let answer = hub.watch(Some(start), NO_WAIT).await;
        let jobs: Vec<_> = answer.updates.iter().filter(|u| matches!(u, Update::Job { .. })).collect();
        assert_eq!(jobs, [&job(id, 49)]);
        assert_eq!(answer.updates.len(), 51);
    }

    #[tokio::test]
    async fn a_lost_place_means_resync() {
        let hub = Hub::new(7);
        let start = hub.watch(None, NO_WAIT).await.next;
        (0..RING as u64 + 2).for_each(|seq| hub.publish(event(seq)));
        for lost in [start, WatchCursor { epoch: 6, seq: 1 }, WatchCursor { epoch: 7, seq: u64::MAX }] {
            let answer = hub.watch(Some(lost), NO_WAIT).await;
            assert!(answer.resync && answer.updates.is_empty());
            assert!(!hub.watch(Some(answer.next), NO_WAIT).await.resync);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_waits_for_news_and_no_longer_than_asked() {
        let hub = std::sync::Arc::new(Hub::new(7));
        let cursor = hub.watch(None, NO_WAIT).await.next;
        let began = tokio::time::Instant::now();
        assert!(hub.watch(Some(cursor), Duration::from_secs(3)).await.updates.is_empty());
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        let waiting = tokio::spawn({
            let hub = hub.clone();
            async move { hub.watch(Some(cursor), Duration::MAX).await }
        });
        hub.publish(event(1));
        assert_eq!(waiting.await.expect("no panic").updates, [event(1)]);
    }
}
