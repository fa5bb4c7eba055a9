//! What is shown of schedules.

use std::time::Duration;

use jiff::tz::TimeZone;
use vigie_protocol::Time;
use vigie_protocol::dataset::Decision;
use vigie_protocol::schedule::{CatchUp, Firing, Schedule, ScheduleSpec, ScheduleStatus, Trigger};

use crate::out::words::{fires, outcome, why};
use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, count, duration, when};

/// All schedules.
pub fn table(schedules: &[ScheduleStatus], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("NAME"),
            Column::text("OF"),
            Column::flexible("WHEN"),
            Column::flexible("DOES"),
            Column::text("NEXT"),
            Column::text("LAST"),
        ],
        "no schedules; `vigie schedules add --help` shows how to set one up",
    );
    for ScheduleStatus { schedule, next, last } in schedules {
        let next = match (&schedule.paused, next.first()) {
            (Some(_), _) => Cell::toned("paused", Tone::Warn),
            (None, Some(next)) => local(schedule, next.at).into(),
            (None, None) => Cell::none(),
        };
        let last = match last {
            Some(last) => {
                let (word, tone) = outcome(last);
                Cell::toned(format!("{word}, {}", age(style.now, last.began)), tone)
            }
            None => Cell::none(),
        };
        table.row([
            schedule.name.as_str().into(),
            schedule.project.as_ref().map_or("the agent", |project| project.as_str()).into(),
            fires(&schedule.spec.trigger).into(),
            schedule.spec.action.name().into(),
            next,
            last,
        ]);
    }
    table
}

/// One schedule.
pub fn sheet(schedule: &Schedule, style: &Style) -> Sheet {
    let Schedule { name, project, spec, paused, created, by, generation: _, progress } = schedule;
    let ScheduleSpec { trigger, action, catch_up, jitter_s, description } = spec;
    let mut sheet = Sheet::new()
        .field("Schedule", name.as_str())
        .field("Of", project.as_ref().map_or("the agent", |project| project.as_str()))
        .field("Fires", fires(trigger))
        .field("Does", action.name())
        .field("Missed", caught_up(*catch_up))
        .maybe("Jitter", (*jitter_s > 0).then(|| duration(Duration::from_secs((*jitter_s).into()))))
        .maybe("For", (!description.is_empty()).then_some(description))
        .field("Set", format!("{} by {by}", when(style.now, *created)))
        .field("Firings", count(progress.firings));
    if let Some(Decision { at, by, reason }) = paused {
        sheet = sheet
            .field("Paused", Cell::toned(format!("{} by {by}", when(style.now, *at)), Tone::Warn))
            .maybe("Because", reason.as_ref());
    }
    sheet
}

/// The next firings.
pub fn next_table(status: &ScheduleStatus, style: &Style) -> Table {
    let empty = match (&status.schedule.paused, &status.schedule.spec.trigger) {
        (Some(_), _) => "it is paused; `vigie schedules resume` lets it go on",
        (None, Trigger::Event { .. }) => "it waits for events",
        (None, _) => "never",
    };
    let mut table = Table::new([Column::text("DUE"), Column::text("COMES"), Column::text("IN")], empty);
    for next in &status.next {
        table.row([
            Cell::from(local(&status.schedule, next.due)),
            local(&status.schedule, next.at).into(),
            duration(next.at.since(style.now)).into(),
        ]);
    }
    table
}

/// What a schedule did.
pub fn history(firings: &[Firing], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::figure("NO"),
            Column::text("DUE"),
            Column::text("BEGAN"),
            Column::flexible("WHY"),
            Column::text("STATE"),
            Column::text("JOB"),
            Column::flexible("WHAT CAME OF IT"),
        ],
        "it has not fired yet",
    );
    for firing in firings {
        let (word, tone) = outcome(firing);
        table.row([
            count(firing.number).into(),
            utc(firing.due).into(),
            age(style.now, firing.began).into(),
            why(&firing.cause).into(),
            Cell::toned(word, tone),
            Cell::maybe(firing.jobs.first().map(|fired| fired.job)),
            Cell::from(firing.detail.as_str()),
        ]);
    }
    table
}

fn caught_up(catch_up: CatchUp) -> String {
    match catch_up {
        CatchUp::Skip => "firings are only noted".to_owned(),
        CatchUp::Once => "firings are made up for by one".to_owned(),
        CatchUp::All { at_most } => format!("firings are made up for, the newest {at_most}"),
        CatchUp::Unknown => "a way this console does not know".to_owned(),
    }
}

/// A moment on the clock that a schedule goes by.
pub fn local(schedule: &Schedule, at: Time) -> String {
    let zone = match &schedule.spec.trigger {
        Trigger::Cron { time_zone, .. } => TimeZone::get(time_zone).ok(),
        Trigger::Interval { .. } | Trigger::Event { .. } | Trigger::Unknown => None,
    };
    // A zone that this machine does not know is shown in UTC, which says so.
    at.timestamp().to_zoned(zone.unwrap_or(TimeZone::UTC)).strftime("%a %Y-%m-%d %H:%M %Z").to_string()
}

fn utc(at: Time) -> String {
    at.timestamp().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use vigie_protocol::schedule::{
        FiringCause, FiringState, PlannedFiring, ScheduleAction, ScheduleProgress,
    };

    use super::*;

    fn at(text: &str) -> Time {
        text.parse().expect("a time")
    }

    fn status() -> ScheduleStatus {
        let noon = at("2026-03-28T12:00:00Z");
        let schedule = Schedule {
            name: "nightly".parse().expect("a name"),
            project: "birds".parse().ok(),
            spec: ScheduleSpec {
                trigger: Trigger::Cron {
                    expression: "30 2 * * *".to_owned(),
                    time_zone: "Europe/Paris".to_owned(),
                },
                action: ScheduleAction::UpdateReference {
                    from: vigie_protocol::dataset::Lineage::Production,
                    accept: true,
                },
                catch_up: CatchUp::All { at_most: 3 },
                jitter_s: 90,
                description: "so that nobody forgets".to_owned(),
            },
            paused: None,
            created: noon,
            by: "alice".to_owned(),
            generation: 1,
            progress: ScheduleProgress { firings: 2, ..ScheduleProgress::default() },
        };
        let firing = |number, cause, state, detail: &str| Firing {
            id: vigie_protocol::FiringId::from(uuid::Uuid::nil()),
            schedule: schedule.name.clone(),
            project: schedule.project.clone(),
            number,
            cause,
            action: schedule.spec.action.clone(),
            due: noon,
            began: noon,
            ended: Some(noon),
            state,
            jobs: Vec::new(),
            detail: detail.to_owned(),
        };
        let last = firing(2, FiringCause::Missed { firings: 2 }, FiringState::Skipped, "not made up for");
        let next = at("2026-03-29T01:00:00Z");
        ScheduleStatus {
            schedule,
            next: vec![PlannedFiring { due: next, at: next.plus(Duration::from_secs(42)) }],
            last: Some(last),
        }
    }

    fn style() -> Style {
        Style { colour: false, width: None, now: at("2026-03-28T13:00:00Z") }
    }

    #[test]
    fn a_schedule_reads_like_what_it_does() {
        let (status, style) = (status(), style());
        insta::assert_snapshot!(table(std::slice::from_ref(&status), &style).render(&style), @r"
        NAME     OF     WHEN                     DOES                                                NEXT                       LAST
        nightly  birds  30 2 * * * Europe/Paris  update reference from production, accept additions  Sun 2026-03-29 03:00 CEST  skipped, 1 h ago
        ");
        insta::assert_snapshot!(sheet(&status.schedule, &style).render(&style), @r"
        Schedule  nightly
        Of        birds
        Fires     30 2 * * * Europe/Paris
        Does      update reference from production, accept additions
        Missed    firings are made up for, the newest 3
        Jitter    1 min 30 s
        For       so that nobody forgets
        Set       2026-03-28 12:00:00 UTC (1 h ago) by alice
        Firings   2
        ");
        insta::assert_snapshot!(next_table(&status, &style).render(&style), @r"
        DUE                        COMES                      IN
        Sun 2026-03-29 03:00 CEST  Sun 2026-03-29 03:00 CEST  12 h 00 min
        ");
        insta::assert_snapshot!(history(&[status.last.expect("one")], &style).render(&style), @r"
        NO  DUE                   BEGAN    WHY       STATE    JOB  WHAT CAME OF IT
         2  2026-03-28 12:00 UTC  1 h ago  2 missed  skipped  -    not made up for
        ");
    }
}
