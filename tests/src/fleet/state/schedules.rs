//! Schedules: intervals and daily times fire by themselves while the simulation runs, what waits for
//! events only when somebody asks. Their jobs find nothing new unless somebody asked for them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use vigie_protocol::access::Principal;
use vigie_protocol::dataset::{Decision, Lineage};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::job::JobSpec;
use vigie_protocol::model::Architecture;
use vigie_protocol::page::Page;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::schedule::{
    FiredJob, Firing, FiringCause, FiringState, PlannedFiring, Schedule, ScheduleAction, ScheduleProgress,
    ScheduleSpec, ScheduleStatus, Trigger,
};
use vigie_protocol::service::{
    Empty, ScheduleHistory, ScheduleList, SchedulePause, ScheduleRemove, ScheduleRun, ScheduleSet,
};
use vigie_protocol::{ApiError, ErrorCode, FiringId, JobId, ProjectName, ScheduleName, Time};

use super::State;
use super::once::Change;
use super::page::{cursor, page};
use super::refusal::{check_generation, missing};

/// Firings that are kept of each schedule.
const KEPT: usize = 200;
/// Firings to come that a list shows.
const NEXT: usize = 5;
/// With so many unfinished jobs what is due is skipped.
const BUSY: usize = 5;
const DAY_S: i64 = 86_400;

/// The project and the name; schedules of the agent come first.
pub(super) type Key = (Option<ProjectName>, ScheduleName);

/// A schedule with its newest firings, oldest first.
#[derive(Clone, Debug)]
pub(super) struct ScheduleRow {
    pub(super) schedule: Schedule,
    pub(super) firings: VecDeque<Firing>,
}

pub(super) type Schedules = BTreeMap<Key, ScheduleRow>;

impl ScheduleRow {
    /// A schedule as it is set by `by`.
    pub(super) fn new((project, name): Key, spec: ScheduleSpec, by: &str, at: Time) -> Self {
        let progress = ScheduleProgress { through: at, anchor: at, ..ScheduleProgress::default() };
        let (by, created) = (by.to_owned(), at);
        let schedule = Schedule { name, project, spec, paused: None, created, by, generation: 1, progress };
        Self { schedule, firings: VecDeque::new() }
    }

    /// Keeps a firing, the newest so far.
    pub(super) fn push(&mut self, firing: Firing) {
        self.schedule.progress.firings = firing.number;
        self.firings.push_back(firing);
        if self.firings.len() > KEPT {
            self.firings.pop_front();
        }
    }

    /// The first firing that is due after a time.
    pub(super) fn due_after(&self, time: Time) -> Option<Time> {
        let (anchor, every) = match &self.schedule.spec.trigger {
            Trigger::Interval { seconds } => (self.schedule.progress.anchor, i64::from(*seconds)),
            Trigger::Cron { expression, time_zone } => (daily(expression, time_zone)?, DAY_S),
            Trigger::Event { .. } | Trigger::Unknown => return None,
        };
        let every = every.max(1) * 1_000_000;
        let passed = (time.as_micros() - anchor.as_micros()).div_euclid(every);
        Some(Time::from_micros(anchor.as_micros() + (passed + 1) * every))
    }

    fn next(&self, now: Time) -> Vec<PlannedFiring> {
        let mut due = now;
        let mut next = Vec::new();
        while self.schedule.paused.is_none() && next.len() < NEXT {
            let Some(then) = self.due_after(due) else { break };
            next.push(PlannedFiring { due: then, at: then });
            due = then;
        }
        next
    }
}

/// A time of the day, on the first day there was: all that is understood of the calendar here.
fn daily(expression: &str, time_zone: &str) -> Option<Time> {
    let (minute, rest) = expression.split_once(' ')?;
    let hour = rest.strip_suffix(" * * *")?;
    let (minute, hour): (i64, i64) = (minute.parse().ok()?, hour.parse().ok()?);
    let is_time = time_zone == "UTC" && (0..60).contains(&minute) && (0..24).contains(&hour);
    is_time.then(|| Time::from_micros((hour * 3_600 + minute * 60) * 1_000_000))
}

/// What came of an action.
enum Came {
    Submitted(JobId, String),
    Done(String),
    Nothing(String),
}

impl State {
    pub(in super::super) fn schedule_list(
        &mut self,
        _: &Principal,
        request: ScheduleList,
    ) -> Result<Vec<ScheduleStatus>, ApiError> {
        if let Some(project) = &request.project {
            self.project(project)?;
        }
        let wanted =
            |row: &&ScheduleRow| request.project.is_none() || row.schedule.project == request.project;
        let status = |row: &ScheduleRow| ScheduleStatus {
            schedule: row.schedule.clone(),
            next: row.next(self.now),
            last: row.firings.back().map(|firing| self.with_states(firing)),
        };
        Ok(self.schedules.values().filter(wanted).map(status).collect())
    }

    pub(in super::super) fn schedule_history(
        &mut self,
        _: &Principal,
        request: ScheduleHistory,
    ) -> Result<Page<Firing>, ApiError> {
        let before: Option<u64> = cursor(&request.page)?;
        let row = self.schedule_row(&(request.project, request.name))?;
        let rows =
            row.firings.iter().rev().filter(|firing| before.is_none_or(|before| firing.number < before));
        Ok(page(&request.page, rows.map(|firing| (firing.number, Some(self.with_states(firing))))))
    }

    pub(in super::super) fn schedule_set(
        &mut self,
        who: &Principal,
        request: ScheduleSet,
    ) -> Result<Schedule, ApiError> {
        let key = (request.project.clone(), request.name.clone());
        if let Trigger::Cron { expression, time_zone } = &request.spec.trigger
            && daily(expression, time_zone).is_none()
        {
            let text = "a simulated agent knows times of the day in UTC only, such as \"30 2 * * *\"";
            return Err(ApiError::new(ErrorCode::Unsupported, text));
        }
        let target = told(&key);
        let change =
            Change { key: request.key, method: "schedule_set", request: &request, target, reason: None, who };
        self.once(&change, |state| {
            if let Some(project) = &request.project {
                state.project(project)?;
            }
            let now = state.now;
            let there = state.schedules.get(&key);
            let generation = there.map_or(0, |there| there.schedule.generation);
            check_generation(format_args!("schedule {}", key.1), generation, request.expected_generation)?;
            let mut row = ScheduleRow::new(key.clone(), request.spec.clone(), &who.name, now);
            if let Some(there) = there {
                (row.schedule.created, row.schedule.generation) = (there.schedule.created, generation + 1);
                row.schedule.progress.firings = there.schedule.progress.firings;
                row.firings = there.firings.clone();
            }
            let schedule = row.schedule.clone();
            state.schedules.insert(key.clone(), row);
            state.tell_schedule(&key, format!("was set: {}", schedule.spec.action.name()));
            Ok(schedule)
        })
    }

    pub(in super::super) fn schedule_remove(
        &mut self,
        who: &Principal,
        request: ScheduleRemove,
    ) -> Result<Empty, ApiError> {
        let key = (request.project.clone(), request.name.clone());
        let (target, method) = (told(&key), "schedule_remove");
        let change = Change { key: request.key, method, request: &request, target, reason: None, who };
        self.once(&change, |state| {
            state.schedule_row(&key)?;
            state.schedules.remove(&key);
            state.tell_schedule(&key, "was removed".to_owned());
            Ok(Empty {})
        })
    }

    pub(in super::super) fn schedule_pause(
        &mut self,
        who: &Principal,
        request: SchedulePause,
    ) -> Result<Schedule, ApiError> {
        let key = (request.project.clone(), request.name.clone());
        let target = format!("{} {}", told(&key), if request.pause { "pause" } else { "resume" });
        let (method, reason) = ("schedule_pause", request.reason.clone());
        let change = Change { key: request.key, method, request: &request, target, reason, who };
        self.once(&change, |state| {
            let at = state.now;
            let reason = request.reason.clone();
            let paused = request.pause.then(|| Decision { at, by: who.name.clone(), reason });
            let row = state.schedules.get_mut(&key).ok_or_else(|| no_schedule(&key))?;
            row.schedule.paused = paused;
            row.schedule.generation += 1;
            // What fell due meanwhile is not made up for.
            row.schedule.progress.through = at;
            let schedule = row.schedule.clone();
            let word = if request.pause { "was paused" } else { "was resumed" };
            state.tell_schedule(&key, word.to_owned());
            Ok(schedule)
        })
    }

    pub(in super::super) fn schedule_run(
        &mut self,
        who: &Principal,
        request: ScheduleRun,
    ) -> Result<Firing, ApiError> {
        let key = (request.project.clone(), request.name.clone());
        let (target, method) = (told(&key), "schedule_run");
        let change = Change { key: request.key, method, request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let now = state.now;
            state.fire(&key, FiringCause::Asked { by: who.name.clone() }, now)
        })
    }

    /// Fires what is due; what was missed meanwhile is one firing.
    pub(super) fn fire_due(&mut self) {
        let now = self.now;
        let due = |row: &ScheduleRow| {
            let due = row.due_after(row.schedule.progress.through)?;
            (row.schedule.paused.is_none() && due <= now).then_some(due)
        };
        let due: Vec<(Key, Time)> =
            self.schedules.iter().filter_map(|(key, row)| Some((key.clone(), due(row)?))).collect();
        for (key, due) in due {
            if let Some(row) = self.schedules.get_mut(&key) {
                row.schedule.progress.through = now;
            }
            // The firing itself says when it failed.
            let _ = self.fire(&key, FiringCause::Due, due);
        }
    }

    fn fire(&mut self, key: &Key, cause: FiringCause, due: Time) -> Result<Firing, ApiError> {
        let schedule = self.schedule_row(key)?.schedule.clone();
        let (id, began): (FiringId, Time) = (self.fresh_id(self.now), self.now);
        let asked = matches!(cause, FiringCause::Asked { .. });
        let action = schedule.spec.action.clone();
        let (state, jobs, detail) = match self.act(key, &action, asked) {
            Ok(Came::Submitted(job, detail)) => {
                (FiringState::Submitted, vec![FiredJob { job, state: None }], detail)
            }
            Ok(Came::Done(detail)) => (FiringState::Done, Vec::new(), detail),
            Ok(Came::Nothing(detail)) => (FiringState::Skipped, Vec::new(), detail),
            Err(error) => (FiringState::Failed, Vec::new(), error.message),
        };
        let firing = Firing {
            id,
            schedule: key.1.clone(),
            project: key.0.clone(),
            number: schedule.progress.firings + 1,
            cause,
            action,
            due,
            began,
            ended: Some(began),
            state,
            jobs,
            detail,
        };
        let severity = if state == FiringState::Failed { Severity::Warning } else { Severity::Info };
        let job = firing.jobs.first().map(|fired| fired.job);
        let subject = Subject::Schedule { schedule: key.1.clone(), firing: Some(id), job };
        let text = format!("schedule {} fired: {}", key.1, firing.detail);
        self.event(key.0.as_ref(), severity, subject, text);
        if let Some(row) = self.schedules.get_mut(key) {
            row.push(firing.clone());
        }
        Ok(self.with_states(&firing))
    }

    fn act(&mut self, key: &Key, action: &ScheduleAction, asked: bool) -> Result<Came, ApiError> {
        let by = format!("schedule {}", key.1);
        if !asked && self.jobs.unfinished() >= BUSY {
            return Ok(Came::Nothing(format!("{} jobs are waiting already", self.jobs.unfinished())));
        }
        let project = || key.0.clone().ok_or_else(|| ApiError::invalid("this action needs a project"));
        let (spec, detail) = match action {
            ScheduleAction::CheckSource { source } => {
                let checked = self.check_source(&project()?, source, &by, asked)?;
                let (state, detail) = (checked.source.state, checked.source.detail);
                let detail = if detail.is_empty() { state.to_string() } else { detail };
                return match checked.job {
                    Some(job) => Ok(Came::Submitted(job.id, detail)),
                    None if state == vigie_protocol::source::SourceState::Ok => Ok(Came::Nothing(detail)),
                    None => {
                        let text = format!("{source} is {state}: {detail}");
                        Err(ApiError::new(ErrorCode::Precondition, text))
                    }
                };
            }
            ScheduleAction::Collect { accept } => {
                let detail = "collecting what people said of predictions".to_owned();
                (JobSpec::Collect { accept: *accept }, detail)
            }
            ScheduleAction::UpdateReference { from, accept } => {
                let Some(head) = self.project(&project()?)?.head(*from) else {
                    return Ok(Came::Nothing(format!("{from} has no version yet")));
                };
                let (from, into, accept) = (head.dataset, Lineage::Reference, *accept);
                let (admit_all, only_add, window) = (false, accept, None);
                let spec = JobSpec::Propose { from, into, accept, admit_all, only_add, window };
                (spec, format!("bringing what {from} has into {into}"))
            }
            ScheduleAction::Preprocess => {
                let Some(head) = self.project(&project()?)?.head(Lineage::Reference) else {
                    return Ok(Came::Nothing("reference has no version yet".to_owned()));
                };
                let (dataset, spec) =
                    (head.dataset, PreprocessSpec::for_network(Architecture::EfficientnetLite0, 224));
                (JobSpec::Preprocess { dataset, spec }, format!("packing {dataset}"))
            }
            ScheduleAction::Gc => {
                (JobSpec::Gc { dry_run: false }, "removing blobs that nothing refers to".to_owned())
            }
            ScheduleAction::Backup { folder } => {
                return Ok(Came::Done(format!("{folder} with 2,114 files, 1 GiB")));
            }
            ScheduleAction::Unknown => {
                let text = "this agent does not know that action";
                return Err(ApiError::new(ErrorCode::Unsupported, text));
            }
        };
        let job = self.submit(key.0.clone(), spec, &[], &by)?;
        if let Some(row) = self.jobs.row_mut(job.id) {
            row.work.finds = asked;
        }
        Ok(Came::Submitted(job.id, detail))
    }

    fn schedule_row(&self, key: &Key) -> Result<&ScheduleRow, ApiError> {
        if let Some(project) = &key.0 {
            self.project(project)?;
        }
        self.schedules.get(key).ok_or_else(|| no_schedule(key))
    }

    /// A firing with where its jobs stand now.
    fn with_states(&self, firing: &Firing) -> Firing {
        let mut firing = firing.clone();
        for fired in &mut firing.jobs {
            fired.state = self.jobs.get(fired.job).map(|job| job.state);
        }
        firing
    }

    fn tell_schedule(&mut self, (project, schedule): &Key, what: String) {
        let subject = Subject::Schedule { schedule: schedule.clone(), firing: None, job: None };
        let text = format!("schedule {schedule} {what}");
        self.event(project.as_ref(), Severity::Info, subject, text);
    }
}

/// The time of a firing of the past that was due so long ago.
pub(super) fn ago(now: Time, minutes: u64) -> Time {
    now.minus(Duration::from_secs(60 * minutes))
}

fn told((project, name): &Key) -> String {
    project.as_ref().map_or_else(|| name.to_string(), |project| format!("{project}/{name}"))
}

fn no_schedule((project, name): &Key) -> ApiError {
    let of = project.as_ref().map_or("the agent", ProjectName::as_str);
    missing(format_args!("schedule {name} of {of}"))
        .with_hint("see what there is with `vigie schedules list`")
}
