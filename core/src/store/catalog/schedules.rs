//! Schedules and their firings.
//!
//! A firing is laid down together with the progress of its schedule, before its action begins; what
//! the action submits has keys made from the firing. So a crash at any moment loses no firing and
//! doubles none: whoever starts next carries out what [`Catalog::open_firings`] lists.

use serde::{Deserialize, Serialize};
use vigie_protocol::dataset::Decision;
use vigie_protocol::event::Event;
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::schedule::{Firing, FiringCause, FiringState, Schedule, ScheduleProgress, ScheduleSpec};
use vigie_protocol::{FiringId, ProjectName, ScheduleName, Time};

use super::change::Change;
use super::{Catalog, EventDraft, Key, Receipt, check_generation, missing};
use crate::store::{Order, Result, StoreError};

/// Firings that are kept of each schedule; older ones go, once they have ended.
pub const FIRINGS_KEPT: u64 = 200;

/// Firings of one schedule that may be open at one time: they wait for each other. More than are ever
/// caught up at once.
pub const FIRINGS_OPEN: usize = 150;

/// Schedules that an agent can have.
pub const MAX_SCHEDULES: usize = 1_000;

/// Stands for the agent where a project's name stands: no name of a project begins like this.
const AGENT: &str = "-agent";

fn scope(project: Option<&ProjectName>) -> &str {
    project.map_or(AGENT, ProjectName::as_str)
}

fn key(project: Option<&ProjectName>, name: &ScheduleName) -> Vec<u8> {
    Key::of("schedule").word(scope(project)).word(name.as_str()).bytes()
}

fn firings(project: Option<&ProjectName>, name: &ScheduleName) -> Key {
    Key::of("firing").word(scope(project)).word(name.as_str())
}

fn firing_key(project: Option<&ProjectName>, name: &ScheduleName, number: u64) -> Vec<u8> {
    firings(project, name).u64(number).bytes()
}

/// A row for each firing that has not ended.
fn open_key(id: FiringId) -> Vec<u8> {
    all_open().uuid(id.uuid()).bytes()
}

fn all_open() -> Key {
    Key::of("firing-open")
}

/// Whether a firing is among the [`FIRINGS_KEPT`] newest, the last of which is `newest`.
fn is_kept(number: u64, newest: u64) -> bool {
    newest < number.saturating_add(FIRINGS_KEPT)
}

/// Where an open firing lies.
#[derive(Serialize, Deserialize)]
struct OpenRow {
    #[serde(default)]
    project: Option<ProjectName>,
    schedule: ScheduleName,
    number: u64,
}

fn what(project: Option<&ProjectName>, name: &ScheduleName) -> String {
    match project {
        Some(project) => format!("schedule {name} of {project}"),
        None => format!("schedule {name} of the agent"),
    }
}

/// A schedule that somebody sets.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleDraft {
    /// Its project.
    pub project: Option<ProjectName>,
    /// Its name.
    pub name: ScheduleName,
    /// What it does, and when.
    pub spec: ScheduleSpec,
    /// When it is set.
    pub at: Time,
    /// By whom.
    pub by: String,
}

/// A firing before it has its number.
#[derive(Clone, Debug, PartialEq)]
pub struct FiringDraft {
    /// Why.
    pub cause: FiringCause,
    /// When it was due.
    pub due: Time,
    /// When it begins.
    pub began: Time,
    /// Why it is skipped, if it is.
    pub skipped: Option<String>,
}

impl Catalog {
    /// Sets a schedule: a new one when `expected_generation` is 0, else another content for the one
    /// there. Whatever was due before is settled.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without its project, [`StoreError::Conflict`] for another generation,
    /// [`StoreError::Precondition`] when there are [`MAX_SCHEDULES`].
    pub fn set_schedule(
        &self,
        draft: &ScheduleDraft,
        expected_generation: u64,
        receipt: Option<&Receipt>,
    ) -> Result<Schedule> {
        let ScheduleDraft { project, name, spec, at, by } = draft;
        let (project, key) = (project.as_ref(), key(project.as_ref(), name));
        self.change(receipt, |change| {
            if let Some(project) = project {
                change.project(project)?;
            }
            let before: Option<Schedule> = change.read(key.clone())?;
            let generation = before.as_ref().map_or(0, |before| before.generation);
            check_generation(what(project, name), generation, expected_generation)?;
            if before.is_none() && self.schedules()?.len() >= MAX_SCHEDULES {
                let text = format!("there are {MAX_SCHEDULES} schedules already; remove some");
                return Err(StoreError::Precondition(text));
            }
            let (created, paused, firings) = match before {
                Some(before) => (before.created, before.paused, before.progress.firings),
                None => (*at, None, 0),
            };
            let event = change.newest_event()?;
            let schedule = Schedule {
                name: name.clone(),
                project: project.cloned(),
                spec: spec.clone(),
                paused,
                created,
                by: by.clone(),
                generation: generation + 1,
                progress: ScheduleProgress { through: *at, anchor: *at, event, firings },
            };
            change.put(key.clone(), &schedule);
            Ok(schedule)
        })
    }

    /// Removes a schedule and its firings.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn remove_schedule(
        &self,
        project: Option<&ProjectName>,
        name: &ScheduleName,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        self.change(receipt, |change| {
            change.schedule(project, name)?;
            for (rest, _) in change.read_all::<Firing>(firings(project, name))? {
                change.delete([firings(project, name).bytes(), rest].concat());
            }
            for open in change.open_of(project, name)? {
                change.delete(open);
            }
            change.delete(key(project, name));
            Ok(())
        })
    }

    /// Pauses a schedule, or with no decision resumes it: whatever was due until `now` is settled then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn pause_schedule(
        &self,
        project: Option<&ProjectName>,
        name: &ScheduleName,
        paused: Option<&Decision>,
        now: Time,
        receipt: Option<&Receipt>,
    ) -> Result<Schedule> {
        self.change(receipt, |change| {
            let mut schedule = change.schedule(project, name)?;
            if schedule.paused.is_some() != paused.is_some() {
                schedule.paused = paused.cloned();
                schedule.generation += 1;
                schedule.progress.through = now;
                schedule.progress.event = change.newest_event()?;
                change.put(key(project, name), &schedule);
            }
            Ok(schedule)
        })
    }

    /// One schedule.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn schedule(&self, project: Option<&ProjectName>, name: &ScheduleName) -> Result<Schedule> {
        self.need(key(project, name), what(project, name))
    }

    /// All schedules: those of the agent first, then by project and name.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn schedules(&self) -> Result<Vec<Schedule>> {
        self.all(Key::of("schedule"))
    }

    /// Moves a schedule on: its progress and the firings that come with it, in one commit. Those that
    /// come while [`FIRINGS_OPEN`] have not ended are skipped.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is not as it was seen any more, [`StoreError::NotFound`].
    pub fn settle_schedule(
        &self,
        seen: &Schedule,
        progress: ScheduleProgress,
        drafts: &[FiringDraft],
    ) -> Result<Vec<Firing>> {
        let (project, name) = (seen.project.as_ref(), &seen.name);
        self.change(None, |change| {
            let mut schedule = change.schedule(project, name)?;
            if schedule != *seen {
                return Err(StoreError::Conflict { what: what(project, name) });
            }
            schedule.progress = ScheduleProgress { firings: schedule.progress.firings, ..progress };
            let mut open = change.open_of(project, name)?.len();
            let mut laid = Vec::with_capacity(drafts.len());
            for draft in drafts {
                let crowded = || format!("{open} firings before it have not ended");
                let skipped = draft.skipped.clone().or_else(|| (open >= FIRINGS_OPEN).then(crowded));
                open += usize::from(skipped.is_none());
                laid.push(change.add_firing(&mut schedule, &FiringDraft { skipped, ..draft.clone() })?);
            }
            change.put(key(project, name), &schedule);
            Ok(laid)
        })
    }

    /// Fires a schedule because somebody asks for it, whatever its own times are.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Precondition`] while [`FIRINGS_OPEN`] have not ended.
    pub fn ask_firing(
        &self,
        project: Option<&ProjectName>,
        name: &ScheduleName,
        by: &str,
        now: Time,
        receipt: Option<&Receipt>,
    ) -> Result<Firing> {
        let cause = FiringCause::Asked { by: by.to_owned() };
        let draft = FiringDraft { cause, due: now, began: now, skipped: None };
        self.change(receipt, |change| {
            let mut schedule = change.schedule(project, name)?;
            if change.open_of(project, name)?.len() >= FIRINGS_OPEN {
                let text = format!("{FIRINGS_OPEN} firings of {} have not ended", what(project, name));
                return Err(StoreError::Precondition(text + "; ask again when some have"));
            }
            let firing = change.add_firing(&mut schedule, &draft)?;
            change.put(key(project, name), &schedule);
            Ok(firing)
        })
    }

    /// Ends a firing, and records the event that tells of it. Nothing is recorded of a firing whose
    /// schedule was removed meanwhile, or that has ended before.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn end_firing(&self, firing: &Firing, event: &EventDraft) -> Result<Option<Event>> {
        let (project, name) = (firing.project.as_ref(), &firing.schedule);
        let row = firing_key(project, name, firing.number);
        self.change(None, |change| {
            let open: Option<OpenRow> = change.read(open_key(firing.id))?;
            let schedule: Option<Schedule> = change.read(key(project, name))?;
            let (Some(_), Some(schedule)) = (open, schedule) else { return Ok(None) };
            change.delete(open_key(firing.id));
            if is_kept(firing.number, schedule.progress.firings) {
                change.put(row.clone(), firing);
            } else {
                change.delete(row.clone());
            }
            change.add_event(event).map(Some)
        })
    }

    /// The firings whose actions are on their way, oldest first.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn open_firings(&self) -> Result<Vec<Firing>> {
        self.change(None, |change| {
            let mut open = Vec::new();
            for (rest, row) in change.read_all::<OpenRow>(all_open())? {
                let key = [all_open().bytes(), rest].concat();
                let OpenRow { project, schedule, number } = row;
                match change.read::<Firing>(firing_key(project.as_ref(), &schedule, number))? {
                    Some(firing) if open_key(firing.id) == key => open.push(firing),
                    // Builds before this one let go of firings that had not ended. One that nobody
                    // knows any more must not stop all others.
                    _ => change.delete(key),
                }
            }
            Ok(open)
        })
    }

    /// The firings of a schedule, newest first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub fn firings(
        &self,
        project: Option<&ProjectName>,
        name: &ScheduleName,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<Firing>> {
        self.page_down(firings(project, name), cursor, limit, |_| true)
    }

    /// The number of the newest event.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn newest_event(&self) -> Result<u64> {
        Change::new(&**self.facts()).newest_event()
    }

    /// Schedules and firings that do not tell the same; for checks.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn schedules_at_odds(&self) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        let mut open = 0;
        for schedule in self.schedules()? {
            let Schedule { project, name, progress, .. } = &schedule;
            let (project, what) = (project.as_ref(), what(schedule.project.as_ref(), name));
            if let Some(project) = project
                && let Err(error) = self.project(project)
            {
                faults.push(format!("{what}: {error}"));
            }
            let rows: Vec<Firing> = self.all(firings(project, name))?;
            if rows.last().map_or(0, |newest| newest.number) != progress.firings {
                faults.push(format!("{what}: its newest firing is not the one that it counts last"));
            }
            let (kept, older): (Vec<&Firing>, Vec<&Firing>) =
                rows.iter().partition(|firing| is_kept(firing.number, progress.firings));
            if kept.windows(2).any(|pair| pair[1].number != pair[0].number + 1) {
                faults.push(format!("{what}: a firing is missing between two others"));
            }
            if older.iter().any(|firing| firing.state != FiringState::Begun) {
                faults.push(format!("{what}: an old firing that has ended is still there"));
            }
            for firing in &rows {
                let listed = self.row::<OpenRow>(open_key(firing.id))?.is_some();
                open += usize::from(listed);
                if listed != (firing.state == FiringState::Begun) {
                    faults.push(format!("{what}: firing {} is in one of two lists only", firing.number));
                }
            }
        }
        if self.facts().scan(&all_open().bytes(), None, Order::Ascending, usize::MAX)?.len() != open {
            faults.push("an open firing is of no schedule".to_owned());
        }
        Ok(faults)
    }
}

impl Change<'_> {
    fn schedule(&mut self, project: Option<&ProjectName>, name: &ScheduleName) -> Result<Schedule> {
        self.read(key(project, name))?.ok_or_else(|| missing(what(project, name)))
    }

    /// The keys of the rows that a schedule's open firings have.
    fn open_of(&mut self, project: Option<&ProjectName>, name: &ScheduleName) -> Result<Vec<Vec<u8>>> {
        let rows = self.read_all::<OpenRow>(all_open())?.into_iter();
        let own = rows.filter(|(_, row)| row.project.as_ref() == project && row.schedule == *name);
        Ok(own.map(|(rest, _)| [all_open().bytes(), rest].concat()).collect())
    }

    /// Lays the next firing of a schedule down; the schedule itself is for the caller to write.
    fn add_firing(&mut self, schedule: &mut Schedule, draft: &FiringDraft) -> Result<Firing> {
        let FiringDraft { cause, due, began, skipped } = draft;
        schedule.progress.firings += 1;
        let number = schedule.progress.firings;
        let (project, name) = (schedule.project.as_ref(), &schedule.name);
        let firing = Firing {
            id: FiringId::new(),
            schedule: name.clone(),
            project: project.cloned(),
            number,
            cause: cause.clone(),
            action: schedule.spec.action.clone(),
            due: *due,
            began: *began,
            ended: skipped.as_ref().map(|_| *began),
            state: if skipped.is_some() { FiringState::Skipped } else { FiringState::Begun },
            jobs: Vec::new(),
            detail: skipped.clone().unwrap_or_default(),
        };
        self.add(firing_key(project, name, number), &firing);
        if skipped.is_none() {
            let open = OpenRow { project: project.cloned(), schedule: name.clone(), number };
            self.put(open_key(firing.id), &open);
        }
        if let Some(old) = number.checked_sub(FIRINGS_KEPT) {
            let old = firing_key(project, name, old);
            // One that has not ended stays until it has: the actions of its schedule wait for it.
            let before: Option<Firing> = self.read(old.clone())?;
            if before.is_some_and(|before| before.state != FiringState::Begun) {
                self.delete(old);
            }
        }
        Ok(firing)
    }
}
