use proptest::prelude::*;
use vigie_protocol::schedule::ScheduleAction;

use super::*;

/// 05:00 on a winter's day, in UTC.
const NOW: &str = "2026-11-21T05:00:00Z";

fn now() -> Time {
    NOW.parse().expect("a time")
}

fn minutes(n: i64) -> Time {
    let span = Duration::from_secs(n.unsigned_abs() * 60);
    if n < 0 { now().minus(span) } else { now().plus(span) }
}

fn planner(trigger: Trigger, catch_up: CatchUp, jitter_s: u32) -> Planner {
    let action = ScheduleAction::Gc;
    let spec = ScheduleSpec { trigger, action, catch_up, jitter_s, description: String::new() };
    Planner::new(&spec, "/nightly".to_owned()).expect("a calendar")
}

fn every(minutes: u32) -> Trigger {
    Trigger::Interval { seconds: minutes * 60 }
}

fn hourly() -> Trigger {
    Trigger::Cron { expression: "0 * * * *".to_owned(), time_zone: "UTC".to_owned() }
}

fn come_to(through: i64) -> ScheduleProgress {
    ScheduleProgress { through: minutes(through), anchor: minutes(-6_000), event: 3, firings: 9 }
}

/// `due+5: missed 3` : what fires, with its due time in minutes from now.
fn told(plan: &Plan) -> Vec<String> {
    let told = plan.firings.iter().map(|firing| {
        let due = (firing.due.as_micros() - now().as_micros()) / 60_000_000;
        let cause = match &firing.cause {
            FiringCause::Due => "due".to_owned(),
            FiringCause::Missed { firings } => format!("missed {firings}"),
            FiringCause::Event { seq, events } => format!("event {seq} of {events}"),
            other => format!("{other:?}"),
        };
        format!("{due}: {cause}{}", if firing.skipped.is_some() { ", skipped" } else { "" })
    });
    told.collect()
}

#[test]
fn what_is_missed_is_caught_up_as_told() {
    use CatchUp::{All, Once, Skip, Unknown};
    for (catch_up, through, expected) in [
        // Nothing missed: due just now, or within the grace.
        (Skip, -60, &["0: due"][..]),
        (Once, -60, &["0: due"]),
        (All { at_most: 3 }, -60, &["0: due"]),
        // Missed besides what comes now.
        (Skip, -300, &["-60: missed 4, skipped", "0: due"]),
        (Unknown, -300, &["-60: missed 4, skipped", "0: due"]),
        (Once, -300, &["0: missed 5"]),
        (
            All { at_most: 3 },
            -300,
            &["-240: missed 1, skipped", "-180: missed 1", "-120: missed 1", "-60: missed 1", "0: due"],
        ),
        (All { at_most: 9 }, -180, &["-120: missed 1", "-60: missed 1", "0: due"]),
        (All { at_most: 0 }, -180, &["-120: missed 1, skipped", "-60: missed 1", "0: due"]),
        (Once, 0, &[]),
    ] {
        let plan = planner(hourly(), catch_up, 0).plan(&come_to(through), now());
        assert_eq!(told(&plan), expected, "{catch_up:?} from {through}");
        let through = if expected.is_empty() { through } else { 0 };
        assert_eq!(plan.progress, ScheduleProgress { through: minutes(through), ..come_to(0) });
        assert_eq!(plan.wake, Some(minutes(60)));
    }
    // Half an hour late: all of it was missed.
    let late = minutes(30);
    for (catch_up, expected) in [
        (Skip, &["0: missed 3, skipped"][..]),
        (Once, &["0: missed 3"]),
        (All { at_most: 2 }, &["-120: missed 1, skipped", "-60: missed 1", "0: missed 1"]),
    ] {
        let plan = planner(hourly(), catch_up, 0).plan(&come_to(-180), late);
        assert_eq!(told(&plan), expected, "{catch_up:?}");
    }
}

#[test]
fn a_year_of_minutes_is_not_gone_through() {
    let minutely = Trigger::Cron { expression: "* * * * *".to_owned(), time_zone: "Europe/Paris".to_owned() };
    for (trigger, catch_up) in [(minutely, CatchUp::Once), (every(1), CatchUp::Once)] {
        let plan = planner(trigger, catch_up, 0).plan(&come_to(-525_600), now());
        // Two are within the grace.
        assert_eq!(told(&plan), ["-1: missed 1000", "0: due"]);
    }
    let plan = planner(every(1), CatchUp::All { at_most: 100 }, 0).plan(&come_to(-525_600), now());
    assert_eq!(plan.firings.len(), 1 + 100 + 2);
    assert!(plan.firings[0].skipped.as_deref().is_some_and(|text| text.contains("1000 firings or more")));
}

#[test]
fn an_interval_keeps_to_its_grid() {
    let planner = planner(every(7), CatchUp::Skip, 0);
    let progress = ScheduleProgress { anchor: minutes(-7 * 100), ..come_to(-1) };
    let plan = planner.plan(&progress, now());
    assert_eq!((told(&plan), plan.wake), (vec!["0: due".to_owned()], Some(minutes(7))));
    let next = planner.next_firings(&plan.progress, now(), 3);
    assert_eq!(next.iter().map(|next| next.due).collect::<Vec<_>>(), [7, 14, 21].map(minutes));
}

#[test]
fn a_clock_that_is_set_back_doubles_nothing_and_silences_nothing_for_long() {
    let calendar = planner(hourly(), CatchUp::Once, 0);
    // By up to three hours: what was named has fired.
    let plan = calendar.plan(&come_to(120), now());
    assert_eq!((plan.firings.len(), plan.progress, plan.wake), (0, come_to(120), Some(minutes(180))));
    // By more: the clock was wrong before.
    let plan = calendar.plan(&come_to(50 * 60), now());
    assert_eq!((plan.firings.len(), plan.progress, plan.wake), (0, come_to(0), Some(minutes(60))));

    let interval = planner(every(10), CatchUp::Once, 0);
    let plan = interval.plan(&come_to(10), now());
    assert_eq!((plan.progress, plan.wake), (come_to(10), Some(minutes(20))));
    let plan = interval.plan(&come_to(11), now());
    assert_eq!(plan.progress, ScheduleProgress { anchor: now(), ..come_to(0) });
    assert_eq!(plan.wake, Some(minutes(10)));
    assert_eq!(interval.next_firings(&come_to(11), now(), 1)[0].due, minutes(10));
}

#[test]
fn what_waits_for_events_has_no_times() {
    for trigger in
        [Trigger::Event { on: vigie_protocol::schedule::EventFilter::Model, debounce_s: 5 }, Trigger::Unknown]
    {
        let planner = planner(trigger, CatchUp::Once, 60);
        let plan = planner.plan(&come_to(-999), now());
        assert_eq!(
            (plan.firings.len(), plan.wake, planner.next_firings(&come_to(0), now(), 5).len()),
            (0, None, 0)
        );
    }
}

#[test]
fn events_are_waited_out() {
    let pending = |first, last| Pending { first: minutes(first), last: minutes(last), seq: 41, count: 3 };
    let debounce = Duration::from_secs(600);
    for (first, last, expected, wake) in [
        (-10, -10, &["0: event 41 of 3"][..], None),
        (-30, -5, &[], Some(5)),
        // They do not stop: at last it fires all the same.
        (-100, -1, &["0: event 41 of 3"], None),
        (-99, -1, &[], Some(1)),
        // The clock was set back since.
        (3, 30, &["0: event 41 of 3"], None),
        (-500, -400, &["-400: event 41 of 3"], None),
    ] {
        let plan = pending(first, last).plan(&come_to(-1), debounce, now());
        assert_eq!(
            (told(&plan), plan.wake),
            (expected.iter().map(|&t| t.to_owned()).collect(), wake.map(minutes))
        );
        assert_eq!(plan.progress.event, if expected.is_empty() { 3 } else { 41 });
    }
    let at_once = pending(0, 0).plan(&come_to(-1), Duration::ZERO, now());
    assert_eq!(told(&at_once), ["0: event 41 of 3"]);
}

fn any_trigger() -> impl Strategy<Value = Trigger> {
    let cron = (
        0u32..60,
        0u32..24,
        prop::sample::select(vec!["Europe/Paris", "America/New_York", "Australia/Lord_Howe"]),
    )
        .prop_map(|(minute, hour, zone)| Trigger::Cron {
            expression: if hour < 4 {
                format!("{minute} * * * *")
            } else {
                format!("{minute} {hour},{} * * *", hour % 5)
            },
            time_zone: zone.to_owned(),
        });
    prop_oneof![cron, (1u32..2_000).prop_map(every)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However often and unevenly the planner is asked, restarted and looked at, each due time is
    /// accounted for once and in its order; and no firing comes before its time.
    #[test]
    fn nothing_is_lost_and_nothing_doubled(
        trigger in any_trigger(),
        jitter_s in prop_oneof![Just(0u32), 0u32..90_000],
        steps in prop::collection::vec(prop_oneof![20u64..90, 60u64..7_200, 7_200u64..400_000], 1..40),
    ) {
        let planner = planner(trigger, CatchUp::All { at_most: 100 }, jitter_s);
        let mut progress = come_to(0);
        let (mut time, mut accounted) = (now(), Vec::new());
        for step in steps {
            time = time.plus(Duration::from_secs(step));
            let promised = planner.next_firings(&progress, time, 2);
            prop_assert!(promised.windows(2).all(|pair| pair[0].due < pair[1].due && pair[0].at < pair[1].due));
            let plan = planner.plan(&progress, time);
            for firing in &plan.firings {
                prop_assert!(firing.due <= time);
                if let FiringCause::Missed { firings } = firing.cause && firing.skipped.is_some() {
                    accounted.push((firing.due, u64::from(firings)));
                } else {
                    accounted.push((firing.due, 1));
                }
            }
            // What was promised for later does not come now, what was promised for now does.
            prop_assert_eq!(promised.first().is_some_and(|first| first.at <= time), !plan.firings.is_empty());
            prop_assert!(plan.wake.is_some_and(|wake| wake > time));
            prop_assert_eq!(planner.plan(&plan.progress, time).firings, vec![]);
            progress = plan.progress;
        }
        prop_assert!(accounted.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let (mut all, mut after) = (0, now());
        while let Some(next) = planner.next(come_to(0).anchor, after).filter(|next| next.due <= progress.through) {
            all += 1;
            after = next.due;
        }
        let counted: u64 = accounted.iter().map(|(_, count)| count).sum();
        // Counting stops at a thousand for each look.
        prop_assert!(counted == all || (counted < all && all > COUNTED as u64), "{counted} of {all}");
    }
}
