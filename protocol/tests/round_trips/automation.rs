//! Schedules and rules, of any content.

use proptest::prelude::*;
use vigie_protocol::dataset::{Decision, Lineage};
use vigie_protocol::job::JobState;
use vigie_protocol::rules::{
    ChainStep, ClassCount, ClassRule, Growth, RulesExplained, UpdatePolicy, UpdateRule, WaitingClass,
    WaitingRoom,
};
use vigie_protocol::schedule::{
    CatchUp, EventFilter, FiredJob, Firing, FiringCause, FiringState, PlannedFiring, Schedule,
    ScheduleAction, ScheduleProgress, ScheduleSpec, ScheduleStatus, Trigger,
};
use vigie_protocol::{AliasName, ScheduleName};

use crate::strategies::{dataset, id, project, real, time};

pub fn schedule_name() -> impl Strategy<Value = ScheduleName> {
    "[a-z0-9][a-z0-9_-]{0,62}".prop_map(|name| name.parse().expect("a name"))
}

fn lineage() -> impl Strategy<Value = Lineage> {
    prop::sample::select(Lineage::ALL.to_vec())
}

pub fn spec() -> impl Strategy<Value = ScheduleSpec> {
    let on = prop_oneof![
        prop::option::of(lineage()).prop_map(|lineage| EventFilter::Dataset { lineage }),
        Just(EventFilter::Alias { alias: Some(AliasName::production()) }),
        Just(EventFilter::DataChanged),
    ];
    let trigger = prop_oneof![
        any::<[String; 2]>().prop_map(|[expression, time_zone]| Trigger::Cron { expression, time_zone }),
        any::<u32>().prop_map(|seconds| Trigger::Interval { seconds }),
        (on, any::<u32>()).prop_map(|(on, debounce_s)| Trigger::Event { on, debounce_s }),
    ];
    let catch_up = prop_oneof![
        Just(CatchUp::Skip),
        Just(CatchUp::Once),
        any::<u32>().prop_map(|at_most| CatchUp::All { at_most }),
    ];
    (trigger, action(), catch_up, any::<u32>(), any::<String>()).prop_map(
        |(trigger, action, catch_up, jitter_s, description)| ScheduleSpec {
            trigger,
            action,
            catch_up,
            jitter_s,
            description,
        },
    )
}

fn action() -> impl Strategy<Value = ScheduleAction> {
    prop_oneof![
        "[a-z0-9][a-z0-9_-]{0,62}"
            .prop_map(|name| ScheduleAction::CheckSource { source: name.parse().expect("a name") }),
        (lineage(), any::<bool>())
            .prop_map(|(from, accept)| ScheduleAction::UpdateReference { from, accept }),
        any::<String>().prop_map(|folder| ScheduleAction::Backup { folder }),
        any::<bool>().prop_map(|accept| ScheduleAction::Collect { accept }),
        Just(ScheduleAction::Gc),
    ]
}

pub fn firing() -> impl Strategy<Value = Firing> {
    let cause = prop_oneof![
        Just(FiringCause::Due),
        any::<u32>().prop_map(|firings| FiringCause::Missed { firings }),
        any::<[u64; 2]>().prop_map(|[seq, events]| FiringCause::Event { seq, events }),
        any::<String>().prop_map(|by| FiringCause::Asked { by }),
    ];
    let job = (id(), any::<bool>())
        .prop_map(|(job, known)| FiredJob { job, state: known.then_some(JobState::Running) });
    let times = (time(), time(), prop::option::of(time()));
    let content = (prop::collection::vec(job, 0..3), any::<String>(), any::<u64>());
    (id(), schedule_name(), prop::option::of(project()), cause, action(), times, content).prop_map(
        |(id, schedule, project, cause, action, (due, began, ended), (jobs, detail, number))| Firing {
            id,
            schedule,
            project,
            number,
            cause,
            action,
            due,
            began,
            ended,
            state: FiringState::Submitted,
            jobs,
            detail,
        },
    )
}

pub fn status() -> impl Strategy<Value = ScheduleStatus> {
    let paused = (time(), any::<(String, Option<String>)>()).prop_map(|(at, (by, reason))| Decision {
        at,
        by,
        reason,
    });
    let planned = (time(), time()).prop_map(|(due, at)| PlannedFiring { due, at });
    let progress = (time(), time(), any::<[u64; 2]>())
        .prop_map(|(through, anchor, [event, firings])| ScheduleProgress { through, anchor, event, firings });
    let names = (schedule_name(), prop::option::of(project()), any::<String>(), any::<u64>());
    let content = (
        prop::option::of(paused),
        progress,
        prop::collection::vec(planned, 0..6),
        prop::option::of(firing()),
    );
    (names, spec(), time(), content).prop_map(
        |((name, project, by, generation), spec, created, (paused, progress, next, last))| ScheduleStatus {
            schedule: Schedule { name, project, spec, paused, created, by, generation, progress },
            next,
            last,
        },
    )
}

fn growth() -> impl Strategy<Value = Option<Growth>> {
    prop::option::of((real(), real(), any::<Option<u64>>()).prop_map(|(per_day, days, eta_days)| Growth {
        per_day,
        days,
        eta_days,
    }))
}

pub fn room() -> impl Strategy<Value = WaitingRoom> {
    let class = (any::<[String; 2]>(), any::<[u64; 4]>(), any::<bool>(), growth()).prop_map(
        |([class, sentence], [has, in_source, in_production, needs], enters, growth)| WaitingClass {
            class,
            has,
            in_source,
            in_production,
            needs,
            enters,
            growth,
            sentence,
        },
    );
    let figures = any::<(bool, Option<u64>, [u64; 2], String)>();
    let smallest =
        prop::option::of(any::<(String, u64)>().prop_map(|(class, images)| ClassCount { class, images }));
    (figures, prop::option::of(dataset()), smallest, prop::collection::vec(class, 0..3)).prop_map(
        |((simulated, needs, [total, entering], sentence), reference, smallest, waiting)| WaitingRoom {
            rule: ClassRule::Fixed { images: 7 },
            simulated,
            reference,
            smallest,
            needs,
            waiting,
            total,
            entering,
            sentence,
        },
    )
}

pub fn explained() -> impl Strategy<Value = RulesExplained> {
    let update = (dataset(), any::<[u64; 5]>(), any::<bool>(), real(), growth(), any::<String>()).prop_map(
        |(from, [new, waiting, relabelled, reference_images, needs], met, percent, growth, sentence)| {
            UpdateRule {
                from,
                new,
                waiting,
                relabelled,
                reference_images,
                needs,
                percent,
                met,
                growth,
                sentence,
            }
        },
    );
    let step = (lineage(), any::<Option<u32>>(), prop::option::of(id()))
        .prop_map(|(lineage, seen, job)| ChainStep { lineage, seen, job });
    let content = (prop::collection::vec(update, 0..3), prop::collection::vec(step, 0..3), any::<String>());
    (room(), content).prop_map(|(classes, (updates, chain, sentence))| RulesExplained {
        policy: UpdatePolicy::Accept,
        classes,
        updates,
        chain,
        sentence,
    })
}
