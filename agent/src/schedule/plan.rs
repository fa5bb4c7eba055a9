//! What a schedule does at a time. Pure: the time is a parameter, and nothing is remembered but the
//! schedule's progress.

use std::collections::VecDeque;
use std::time::Duration;

use vigie_core::store::catalog::FiringDraft;
use vigie_protocol::Time;
use vigie_protocol::schedule::{
    CatchUp, FiringCause, PlannedFiring, Schedule, ScheduleProgress, ScheduleSpec, Trigger,
};

use super::calendar::{BadCalendar, Calendar};

/// A firing that comes so late is not late yet: a restart is no downtime.
pub(super) const GRACE: Duration = Duration::from_secs(60);

/// A clock that is set back by more than this was wrong before; up to it, what the calendar named has
/// fired already and does not fire again.
pub(super) const SET_BACK: Duration = Duration::from_secs(3 * 3600);

/// Missed firings are counted up to this many.
pub(super) const COUNTED: usize = 1_000;

/// The most missed firings that are made up for one by one.
pub(super) const MAX_CAUGHT_UP: u32 = 100;

/// An event trigger waits at most this many times its debounce after the first event.
const PATIENCE: u32 = 10;

/// When a schedule fires.
#[derive(Debug)]
pub(super) struct Planner {
    times: Times,
    jitter: Duration,
    catch_up: CatchUp,
    /// What its jitter is drawn by.
    identity: String,
}

#[derive(Debug)]
enum Times {
    Calendar(Box<Calendar>),
    Every(Duration),
    /// It waits for events, or for a newer build.
    None,
}

/// What is to be done at a time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// How far the schedule has come then.
    pub(super) progress: ScheduleProgress,
    /// What fires, oldest first.
    pub(super) firings: Vec<FiringDraft>,
    /// When to look again.
    pub(super) wake: Option<Time>,
}

impl Planner {
    /// The planner of a schedule.
    ///
    /// # Errors
    /// When its cron expression or time zone cannot be read.
    pub(super) fn of(schedule: &Schedule) -> Result<Self, BadCalendar> {
        let project = schedule.project.as_ref().map_or("", |project| project.as_str());
        Self::new(&schedule.spec, format!("{project}/{}", schedule.name))
    }

    fn new(spec: &ScheduleSpec, identity: String) -> Result<Self, BadCalendar> {
        let times = match &spec.trigger {
            Trigger::Cron { expression, time_zone } => {
                Times::Calendar(Box::new(Calendar::read(expression, time_zone)?))
            }
            Trigger::Interval { seconds } => Times::Every(Duration::from_secs(u64::from(*seconds).max(1))),
            Trigger::Event { .. } | Trigger::Unknown => Times::None,
        };
        let jitter = Duration::from_secs(spec.jitter_s.into());
        Ok(Self { times, jitter, catch_up: spec.catch_up, identity })
    }

    /// The next firings of a schedule that has come so far.
    pub(super) fn next_firings(
        &self,
        progress: &ScheduleProgress,
        now: Time,
        count: usize,
    ) -> Vec<PlannedFiring> {
        let mut after = self.clock_is_right(*progress, now).through;
        let mut planned = Vec::new();
        while planned.len() < count
            && let Some(next) = self.next(progress.anchor, after)
        {
            after = next.due;
            planned.push(next);
        }
        planned
    }

    /// What a schedule that has come so far does at `now`.
    pub(super) fn plan(&self, progress: &ScheduleProgress, now: Time) -> Plan {
        let mut progress = self.clock_is_right(*progress, now);
        let Due { times, count, next } = self.due(&progress, now);
        if let Some(newest) = times.back() {
            progress.through = newest.due;
        }
        let firings = self.firings(times, count, now);
        Plan { progress, firings, wake: next.map(|next| next.at) }
    }

    /// The progress as a clock leaves it that was set back.
    fn clock_is_right(&self, progress: ScheduleProgress, now: Time) -> ScheduleProgress {
        let ahead = progress.through.since(now);
        match &self.times {
            Times::Every(interval) if ahead > *interval => {
                ScheduleProgress { through: now, anchor: now, ..progress }
            }
            Times::Calendar(_) if ahead > SET_BACK => ScheduleProgress { through: now, ..progress },
            Times::Every(_) | Times::Calendar(_) | Times::None => progress,
        }
    }

    /// What is due by now, and what comes after.
    fn due(&self, progress: &ScheduleProgress, now: Time) -> Due {
        // A long time ago everything may have been missed: from how far back is there enough to count?
        let mut back = Duration::from_secs(3600);
        loop {
            let start = progress.through.max(now.minus(back));
            let due = self.due_since(progress.anchor, start, now);
            if start == progress.through || due.count >= COUNTED {
                return due;
            }
            back = back.saturating_mul(4);
        }
    }

    fn due_since(&self, anchor: Time, start: Time, now: Time) -> Due {
        let mut due = Due { times: VecDeque::new(), count: 0, next: None };
        let mut after = start;
        while let Some(next) = self.next(anchor, after) {
            if next.at > now {
                due.next = Some(next);
                break;
            }
            after = next.due;
            due.count += 1;
            due.times.push_back(next);
            if due.times.len() > MAX_CAUGHT_UP as usize + 2 {
                due.times.pop_front();
            }
        }
        due
    }

    /// What fires of all that is due.
    fn firings(&self, mut times: VecDeque<PlannedFiring>, count: usize, now: Time) -> Vec<FiringDraft> {
        let missed_before = |at: &PlannedFiring| now.since(at.at) > GRACE;
        let kept_missed = times.iter().filter(|time| missed_before(time)).count();
        let missed = count - (times.len() - kept_missed);
        let fresh = times.split_off(kept_missed);
        let draft = |due: Time, cause, skipped| FiringDraft { cause, due, began: now, skipped };
        let mut firings = Vec::new();
        if let Some(newest) = times.back().copied() {
            match self.catch_up {
                CatchUp::Skip | CatchUp::Unknown => {
                    firings.push(draft(newest.due, missed_cause(missed), Some(not_made_up_for(missed))));
                }
                // One that comes now anyway stands for those before it.
                CatchUp::Once if !fresh.is_empty() => {}
                CatchUp::Once => firings.push(draft(newest.due, missed_cause(missed), None)),
                CatchUp::All { at_most } => {
                    let wanted = at_most.clamp(1, MAX_CAUGHT_UP) as usize;
                    let older = times.len().saturating_sub(wanted);
                    if missed > wanted {
                        let skipped = missed - wanted;
                        let due = times.get(older.saturating_sub(1)).map_or(newest.due, |time| time.due);
                        firings.push(draft(due, missed_cause(skipped), Some(not_made_up_for(skipped))));
                    }
                    firings
                        .extend(times.iter().skip(older).map(|time| draft(time.due, missed_cause(1), None)));
                }
            }
        }
        for (n, time) in fresh.iter().enumerate() {
            let stands_for_missed = n == 0 && missed > 0 && self.catch_up == CatchUp::Once;
            let cause = if stands_for_missed { missed_cause(missed + 1) } else { FiringCause::Due };
            firings.push(draft(time.due, cause, None));
        }
        firings
    }

    /// The first firing whose time is after `after`.
    fn next(&self, anchor: Time, after: Time) -> Option<PlannedFiring> {
        let due = self.next_due(anchor, after)?;
        if self.jitter.is_zero() {
            return Some(PlannedFiring { due, at: due });
        }
        let room = self.next_due(anchor, due).map_or(Duration::MAX, |next| next.since(due));
        // Before the next one is due, so that they keep their order.
        let limit = self.jitter.min(room.saturating_sub(Duration::from_secs(1))).as_secs();
        let mut hasher = blake3::Hasher::new_derive_key("vigie schedule jitter v1");
        hasher.update(self.identity.as_bytes());
        hasher.update(&due.as_micros().to_le_bytes());
        let drawn = hasher.finalize().as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Some(PlannedFiring { due, at: due.plus(Duration::from_secs(drawn % (limit + 1))) })
    }

    fn next_due(&self, anchor: Time, after: Time) -> Option<Time> {
        match &self.times {
            Times::Calendar(calendar) => calendar.after(after),
            Times::Every(interval) => {
                let micros = i64::try_from(interval.as_micros()).ok()?;
                let since = after.as_micros().checked_sub(anchor.as_micros())?;
                let due = since.div_euclid(micros).checked_add(1)?.checked_mul(micros)?;
                let due = Time::from_micros(anchor.as_micros().checked_add(due)?);
                // At the end of time there is no next one.
                (due > after).then_some(due)
            }
            Times::None => None,
        }
    }
}

/// What is due by some time.
struct Due {
    /// The newest of it, oldest first.
    times: VecDeque<PlannedFiring>,
    /// All of it, or [`COUNTED`] and more.
    count: usize,
    /// What comes after.
    next: Option<PlannedFiring>,
}

fn missed_cause(firings: usize) -> FiringCause {
    FiringCause::Missed { firings: u32::try_from(firings.min(COUNTED)).unwrap_or(u32::MAX) }
}

fn not_made_up_for(firings: usize) -> String {
    match firings {
        1 => "missed while the agent was down, and not made up for".to_owned(),
        firings if firings >= COUNTED => {
            format!("{COUNTED} firings or more were missed while the agent was down, and are not made up for")
        }
        firings => format!("{firings} firings were missed while the agent was down, and are not made up for"),
    }
}

/// Events that a schedule has not fired for yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// When the first one happened.
    pub(super) first: Time,
    /// When the newest one happened.
    pub(super) last: Time,
    /// The number of the newest one.
    pub(super) seq: u64,
    /// How many.
    pub(super) count: u64,
}

impl Pending {
    /// When a schedule fires for them.
    pub(super) fn at(&self, debounce: Duration) -> Time {
        self.last.plus(debounce).min(self.first.plus(debounce * PATIENCE))
    }

    /// What a schedule with this progress does for them at `now`. Events from the future tell that the
    /// clock was set back: nobody knows how long ago they were.
    pub(super) fn plan(&self, progress: &ScheduleProgress, debounce: Duration, now: Time) -> Plan {
        let at = self.at(debounce);
        if now < at && self.last <= now {
            return Plan { progress: *progress, firings: Vec::new(), wake: Some(at) };
        }
        let cause = FiringCause::Event { seq: self.seq, events: self.count };
        let firing = FiringDraft { cause, due: at.min(now), began: now, skipped: None };
        let progress = ScheduleProgress { event: self.seq, through: now, ..*progress };
        Plan { progress, firings: vec![firing], wake: None }
    }
}

#[cfg(test)]
mod tests;
