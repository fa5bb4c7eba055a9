//! What a schedule may be, and what it will do.

use std::path::Path;

use vigie_protocol::dataset::Lineage;
use vigie_protocol::schedule::{
    CatchUp, EventFilter, PlannedFiring, Schedule, ScheduleAction, ScheduleSpec, Trigger,
};
use vigie_protocol::{ApiError, ErrorCode, ProjectName, Time};

use super::calendar::Calendar;
use super::plan::{MAX_CAUGHT_UP, Planner};

/// A day of seconds.
const DAY_S: u32 = 86_400;

/// The longest text of a schedule.
const MAX_TEXT: usize = 1_000;

/// Refuses a schedule that could never do what it says.
///
/// # Errors
/// `Invalid`, with what it may be; `Unsupported` for what a newer build would know.
pub(crate) fn check(project: Option<&ProjectName>, spec: &ScheduleSpec, now: Time) -> Result<(), ApiError> {
    let ScheduleSpec { trigger, action, catch_up, jitter_s, description } = spec;
    let range = |what: &str, value: u32, low: u32, high: u32| {
        if (low..=high).contains(&value) {
            Ok(())
        } else {
            Err(ApiError::invalid(format!("{what} is {value}; it may be {low} to {high}")))
        }
    };
    match trigger {
        Trigger::Cron { expression, time_zone } => {
            let calendar = Calendar::read(expression, time_zone)
                .map_err(|error| ApiError::invalid(error.to_string()))?;
            if calendar.after(now).is_none() {
                return Err(ApiError::invalid(format!("{expression:?} names no day of the next nine years")));
            }
        }
        Trigger::Interval { seconds } => range("the interval in seconds", *seconds, 60, 366 * DAY_S)?,
        Trigger::Event { on: EventFilter::Unknown, .. } | Trigger::Unknown => return Err(unknown("trigger")),
        Trigger::Event { on: _, debounce_s } => range("the debounce in seconds", *debounce_s, 0, DAY_S)?,
    }
    match catch_up {
        CatchUp::Skip | CatchUp::Once => {}
        CatchUp::All { at_most } => range("the number of firings to catch up", *at_most, 1, MAX_CAUGHT_UP)?,
        CatchUp::Unknown => return Err(unknown("way to catch up")),
    }
    range("the jitter in seconds", *jitter_s, 0, DAY_S)?;
    if description.len() > MAX_TEXT {
        return Err(ApiError::invalid(format!("a description has at most {MAX_TEXT} bytes")));
    }
    check_action(project, action)
}

fn check_action(project: Option<&ProjectName>, action: &ScheduleAction) -> Result<(), ApiError> {
    if *action == ScheduleAction::Unknown {
        return Err(unknown("action"));
    }
    match (action.of_agent(), project) {
        (true, Some(_)) => {
            let text = format!("to {} is for the whole agent, not for a project", action.name());
            return Err(ApiError::invalid(text).with_hint("set it without a project"));
        }
        (false, None) => {
            return Err(ApiError::invalid(format!("to {} needs a project", action.name())));
        }
        (true, None) | (false, Some(_)) => {}
    }
    match action {
        ScheduleAction::UpdateReference { from: Lineage::Reference, .. } => {
            Err(ApiError::invalid("reference is updated from source or from production, not from itself"))
        }
        ScheduleAction::Backup { folder } if !Path::new(folder).is_absolute() || folder.len() > MAX_TEXT => {
            let text = format!("{folder:?} is not an absolute path on the agent's machine");
            Err(ApiError::invalid(text))
        }
        ScheduleAction::CheckSource { .. }
        | ScheduleAction::Collect { .. }
        | ScheduleAction::UpdateReference { .. }
        | ScheduleAction::Preprocess
        | ScheduleAction::Gc
        | ScheduleAction::Backup { .. }
        | ScheduleAction::Unknown => Ok(()),
    }
}

fn unknown(what: &str) -> ApiError {
    ApiError::new(ErrorCode::Unsupported, format!("this agent does not know that {what}"))
        .with_hint("update the agent")
}

/// The next firings of a schedule; none while it is paused.
pub(crate) fn next_firings(schedule: &Schedule, now: Time, count: usize) -> Vec<PlannedFiring> {
    match Planner::of(schedule) {
        Ok(planner) if schedule.paused.is_none() => planner.next_firings(&schedule.progress, now, count),
        Ok(_) | Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(expression: &str) -> Trigger {
        Trigger::Cron { expression: expression.to_owned(), time_zone: "Europe/Paris".to_owned() }
    }

    fn said(project: Option<&str>, spec: &ScheduleSpec) -> String {
        let project: Option<ProjectName> = project.map(|name| name.parse().expect("a name"));
        let now = "2026-11-21T05:00:00Z".parse().expect("a time");
        check(project.as_ref(), spec, now).map_or_else(|error| error.message, |()| "good".to_owned())
    }

    #[test]
    fn a_schedule_can_do_what_it_says() {
        let good = ScheduleSpec {
            trigger: cron("30 2 * * *"),
            action: ScheduleAction::Preprocess,
            catch_up: CatchUp::Once,
            jitter_s: 600,
            description: String::new(),
        };
        let birds = Some("birds");
        let backup = |folder: &str| ScheduleAction::Backup { folder: folder.to_owned() };
        let update = |from| ScheduleAction::UpdateReference { from, accept: true };
        let with = |change: &dyn Fn(&mut ScheduleSpec)| {
            let mut spec = good.clone();
            change(&mut spec);
            spec
        };
        for (project, spec, expected) in [
            (birds, good.clone(), "good"),
            (None, good.clone(), "needs a project"),
            (None, with(&|spec| spec.action = ScheduleAction::Gc), "good"),
            (birds, with(&|spec| spec.action = ScheduleAction::Gc), "for the whole agent"),
            (None, with(&|spec| spec.action = backup("/backups")), "good"),
            (None, with(&|spec| spec.action = backup("backups")), "not an absolute path"),
            (birds, with(&|spec| spec.action = update(Lineage::Source)), "good"),
            (birds, with(&|spec| spec.action = update(Lineage::Reference)), "not from itself"),
            (birds, with(&|spec| spec.action = ScheduleAction::Unknown), "does not know that action"),
            (birds, with(&|spec| spec.trigger = cron("0 0 30 2 *")), "names no day"),
            (birds, with(&|spec| spec.trigger = cron("bad")), "five fields"),
            (birds, with(&|spec| spec.trigger = Trigger::Unknown), "does not know that trigger"),
            (birds, with(&|spec| spec.trigger = Trigger::Interval { seconds: 59 }), "it may be 60 to"),
            (birds, with(&|spec| spec.trigger = Trigger::Interval { seconds: u32::MAX }), "it may be 60 to"),
            (birds, with(&|spec| spec.catch_up = CatchUp::All { at_most: 0 }), "it may be 1 to 100"),
            (birds, with(&|spec| spec.jitter_s = 86_401), "it may be 0 to 86400"),
            (birds, with(&|spec| spec.description = "x".repeat(1_001)), "at most 1000"),
        ] {
            let said = said(project, &spec);
            assert!(said.contains(expected), "{said:?} lacks {expected:?}");
        }
    }
}
