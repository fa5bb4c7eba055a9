//! Schedules and their firings.

use vigie_core::store::StoreError;
use vigie_core::store::catalog::{Catalog, ScheduleDraft};
use vigie_protocol::dataset::Decision;
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::page::Page;
use vigie_protocol::schedule::{Firing, Schedule, ScheduleStatus};
use vigie_protocol::service::{
    Empty, ScheduleHistory, ScheduleList, SchedulePause, ScheduleRemove, ScheduleRun, ScheduleSet,
};
use vigie_protocol::{ApiError, ErrorCode, ProjectName, ScheduleName, Time};

use super::Api;
use super::api::Change;
use crate::schedule::{check, next_firings};

/// Firings to come that a list shows.
const NEXT: usize = 5;

pub(super) async fn list(api: Api, request: ScheduleList) -> Result<Vec<ScheduleStatus>, ApiError> {
    if let Some(project) = &request.project {
        api.project(project.clone()).await?;
    }
    api.read(move |state| {
        let now = Time::now();
        let schedules = state.catalog.schedules()?.into_iter();
        let wanted = schedules
            .filter(|schedule| request.project.is_none() || schedule.project == request.project)
            .map(|schedule| status(&state.catalog, schedule, now));
        wanted.collect()
    })
    .await
}

fn status(catalog: &Catalog, schedule: Schedule, now: Time) -> Result<ScheduleStatus, StoreError> {
    let page = catalog.firings(schedule.project.as_ref(), &schedule.name, None, 1)?;
    let last = page.items.into_iter().next().map(|firing| with_states(catalog, firing)).transpose()?;
    Ok(ScheduleStatus { next: next_firings(&schedule, now, NEXT), schedule, last })
}

/// A firing with where its jobs stand.
fn with_states(catalog: &Catalog, mut firing: Firing) -> Result<Firing, StoreError> {
    for fired in &mut firing.jobs {
        fired.state = match catalog.job(fired.job) {
            Ok(job) => Some(job.state),
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
    }
    Ok(firing)
}

pub(super) async fn history(api: Api, request: ScheduleHistory) -> Result<Page<Firing>, ApiError> {
    let ScheduleHistory { project, name, page } = request;
    api.schedule(project.clone(), name.clone()).await?;
    api.read(move |state| {
        let catalog = &state.catalog;
        let page = catalog.firings(project.as_ref(), &name, page.cursor.as_ref(), page.capped_limit())?;
        let items = page.items.into_iter().map(|firing| with_states(catalog, firing));
        Ok(Page { items: items.collect::<Result<_, _>>()?, next: page.next })
    })
    .await
}

pub(super) async fn set(api: Api, request: ScheduleSet) -> Result<Schedule, ApiError> {
    let ScheduleSet { key, project, name, expected_generation, spec } = request;
    let now = Time::now();
    check(project.as_ref(), &spec, now)?;
    if let Some(project) = &project {
        api.project(project.clone()).await?;
    }
    let change =
        Change { key, method: "schedule_set", target: target(project.as_ref(), &name), reason: None };
    let draft = ScheduleDraft { project, name, spec, at: now, by: api.who() };
    api.change::<Schedule, Schedule, _>(change, move |api, receipt| async move {
        let schedule = api
            .read(move |state| state.catalog.set_schedule(&draft, expected_generation, Some(&receipt)))
            .await?;
        let text = format!("schedule {} was set: {}", schedule.name, schedule.spec.action.name());
        api.changed(schedule.project.clone(), &schedule.name, text).await;
        Ok(schedule)
    })
    .await
}

pub(super) async fn remove(api: Api, request: ScheduleRemove) -> Result<Empty, ApiError> {
    let ScheduleRemove { key, project, name } = request;
    let target = target(project.as_ref(), &name);
    let change = Change { key, method: "schedule_remove", target, reason: None };
    api.change::<(), Empty, _>(change, move |api, receipt| async move {
        let (of, schedule) = (project.clone(), name.clone());
        api.read(move |state| state.catalog.remove_schedule(of.as_ref(), &schedule, Some(&receipt))).await?;
        api.changed(project, &name, format!("schedule {name} was removed")).await;
        Ok(Empty {})
    })
    .await
}

pub(super) async fn pause(api: Api, request: SchedulePause) -> Result<Schedule, ApiError> {
    let SchedulePause { key, project, name, pause, reason } = request;
    let target = format!("{} {}", target(project.as_ref(), &name), if pause { "pause" } else { "resume" });
    let change = Change { key, method: "schedule_pause", target, reason: reason.clone() };
    let now = Time::now();
    let paused = pause.then(|| Decision { at: now, by: api.who(), reason });
    api.change::<Schedule, Schedule, _>(change, move |api, receipt| async move {
        let schedule = api
            .read(move |state| {
                let (catalog, project) = (&state.catalog, project.as_ref());
                catalog.pause_schedule(project, &name, paused.as_ref(), now, Some(&receipt))
            })
            .await?;
        let word = if schedule.paused.is_some() { "paused" } else { "resumed" };
        let text = format!("schedule {} was {word}", schedule.name);
        api.changed(schedule.project.clone(), &schedule.name, text).await;
        Ok(schedule)
    })
    .await
}

pub(super) async fn run(api: Api, request: ScheduleRun) -> Result<Firing, ApiError> {
    let ScheduleRun { key, project, name } = request;
    let change =
        Change { key, method: "schedule_run", target: target(project.as_ref(), &name), reason: None };
    api.change::<Firing, Firing, _>(change, move |api, receipt| async move {
        let by = api.who();
        let firing = api
            .read(move |state| {
                state.catalog.ask_firing(project.as_ref(), &name, &by, Time::now(), Some(&receipt))
            })
            .await?;
        api.app.schedules.wake();
        Ok(firing)
    })
    .await
}

fn target(project: Option<&ProjectName>, name: &ScheduleName) -> String {
    project.map_or_else(|| name.to_string(), |project| format!("{project}/{name}"))
}

impl Api {
    /// The schedule, or `NotFound` with what to do.
    async fn schedule(&self, project: Option<ProjectName>, name: ScheduleName) -> Result<Schedule, ApiError> {
        let found = self.read(move |state| state.catalog.schedule(project.as_ref(), &name)).await;
        found.map_err(|error| match error.code {
            ErrorCode::NotFound => error.with_hint("see what there is with `vigie schedules list`"),
            _ => error,
        })
    }

    /// Somebody changed a schedule: those who watch are told, and the scheduler looks again.
    async fn changed(&self, project: Option<ProjectName>, name: &ScheduleName, text: String) {
        self.app.schedules.wake();
        let subject = Subject::Schedule { schedule: name.clone(), firing: None, job: None };
        let text = format!("{text}, by {}", self.who());
        self.app.event(project, Severity::Info, subject, text).await;
    }
}
