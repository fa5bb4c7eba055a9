//! Schedules and rules: simulated agents do nothing by themselves, and no class of theirs waits.

use vigie_protocol::access::Principal;
use vigie_protocol::page::Page;
use vigie_protocol::project::Project;
use vigie_protocol::rules::{ClassRule, RulesExplained, WaitingRoom};
use vigie_protocol::schedule::{Firing, Schedule, ScheduleStatus};
use vigie_protocol::service::{
    ClassWaiting, Empty, InProject, ScheduleHistory, ScheduleList, SchedulePause, ScheduleRemove,
    ScheduleRun, ScheduleSet,
};
use vigie_protocol::{ApiError, ProjectName, ScheduleName};

use super::State;
use super::refusal::{missing, precondition};

impl State {
    pub(in super::super) fn schedule_list(
        &mut self,
        _: &Principal,
        request: ScheduleList,
    ) -> Result<Vec<ScheduleStatus>, ApiError> {
        request.project.map_or(Ok(Vec::new()), |project| self.project(&project).map(|_| Vec::new()))
    }

    pub(in super::super) fn schedule_set(
        &mut self,
        _: &Principal,
        request: ScheduleSet,
    ) -> Result<Schedule, ApiError> {
        if let Some(project) = &request.project {
            self.project(project)?;
        }
        Err(precondition("a simulated agent fires no schedules"))
    }

    pub(in super::super) fn schedule_remove(
        &mut self,
        _: &Principal,
        request: ScheduleRemove,
    ) -> Result<Empty, ApiError> {
        no_schedule(request.project.as_ref(), &request.name)
    }

    pub(in super::super) fn schedule_pause(
        &mut self,
        _: &Principal,
        request: SchedulePause,
    ) -> Result<Schedule, ApiError> {
        no_schedule(request.project.as_ref(), &request.name)
    }

    pub(in super::super) fn schedule_run(
        &mut self,
        _: &Principal,
        request: ScheduleRun,
    ) -> Result<Firing, ApiError> {
        no_schedule(request.project.as_ref(), &request.name)
    }

    pub(in super::super) fn schedule_history(
        &mut self,
        _: &Principal,
        request: ScheduleHistory,
    ) -> Result<Page<Firing>, ApiError> {
        no_schedule(request.project.as_ref(), &request.name)
    }

    pub(in super::super) fn class_waiting(
        &mut self,
        _: &Principal,
        request: ClassWaiting,
    ) -> Result<WaitingRoom, ApiError> {
        let project = &self.project(&request.project)?.project;
        Ok(empty_room(project, request.threshold))
    }

    pub(in super::super) fn rules_explain(
        &mut self,
        _: &Principal,
        request: InProject,
    ) -> Result<RulesExplained, ApiError> {
        let project = &self.project(&request.project)?.project;
        Ok(RulesExplained {
            policy: project.settings.update_policy,
            classes: empty_room(project, None),
            updates: Vec::new(),
            chain: Vec::new(),
            sentence: "nothing happens by itself on a simulated agent".to_owned(),
        })
    }
}

fn no_schedule<T>(project: Option<&ProjectName>, name: &ScheduleName) -> Result<T, ApiError> {
    let of = project.map_or("the agent", ProjectName::as_str);
    Err(missing(format_args!("schedule {name} of {of}"))
        .with_hint("see what there is with `vigie schedules list`"))
}

fn empty_room(project: &Project, threshold: Option<u32>) -> WaitingRoom {
    WaitingRoom {
        rule: threshold.map_or(project.settings.class_rule, |images| ClassRule::Fixed { images }),
        simulated: threshold.is_some(),
        reference: None,
        smallest: None,
        needs: threshold.map(u64::from),
        waiting: Vec::new(),
        total: 0,
        entering: 0,
        sentence: "no class waits: reference has every class of source and production".to_owned(),
    }
}
