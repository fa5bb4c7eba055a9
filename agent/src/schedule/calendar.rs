//! Cron expressions in a time zone, through changes of the clock.
//!
//! [`croner`] knows which wall-clock times an expression names; when those are, is decided here. An
//! expression that names hours means times of the day, and each comes once a day: one that the clock
//! leaps over comes as soon as it has leapt, one that comes twice counts the first time. An expression
//! for every hour of the day means a rhythm, which goes on by elapsed time.

use std::str::FromStr;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Span, Timestamp};
use vigie_protocol::Time;

/// Changes of the clock that are looked over for one firing: a century of them.
const SEGMENTS: usize = 400;

/// Wall-clock times that may lie behind because the clock was set back: a day of minutes.
const REPEATED: usize = 24 * 60;

/// No firing lies further ahead than this: a date such as 30 February never comes.
const HORIZON_YEARS: i64 = 9;

/// When an expression fires in a time zone.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    cron: Cron,
    zone: TimeZone,
    every_hour: bool,
}

/// Why a calendar cannot be read, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadCalendar(String);

impl Calendar {
    /// Reads an expression of five fields (minute, hour, day of the month, month, day of the week) in an
    /// IANA time zone.
    ///
    /// # Errors
    /// Which of the two cannot be read, and why.
    pub(super) fn read(expression: &str, zone: &str) -> Result<Self, BadCalendar> {
        let bad = |why: String| {
            let shown: String = expression.chars().take(80).collect();
            BadCalendar(format!("{shown:?} is no cron expression such as 30 2 * * MON-FRI: {why}"))
        };
        if expression.len() > 200 || expression.contains('@') || expression.split_whitespace().count() != 5 {
            return Err(bad("it has five fields: minute, hour, day, month, weekday".to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| bad(error.to_string()))?;
        let zone = TimeZone::get(zone).map_err(|_| {
            let shown: String = zone.chars().take(80).collect();
            BadCalendar(format!("{shown:?} is no time zone such as Europe/Paris or UTC"))
        })?;
        let every_hour = (0..24).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false));
        Ok(Self { cron, zone, every_hour })
    }

    /// The first firing after a time, if there is one within nine years.
    pub(super) fn after(&self, time: Time) -> Option<Time> {
        let after = time.timestamp();
        let found = if self.every_hour { self.rhythm(after) } else { self.times_of_day(after) }?;
        Some(Time::from_micros(found.as_microsecond()))
    }

    /// The wall-clock time that the expression names next.
    fn next_civil(&self, after: DateTime, inclusive: bool) -> Option<DateTime> {
        // In UTC every wall-clock time there is comes once.
        let start = after.to_zoned(TimeZone::UTC).ok()?;
        let horizon = start.checked_add(Span::new().years(HORIZON_YEARS)).ok()?;
        let next = self.cron.find_next_occurrence(&start, inclusive).ok()?;
        (next <= horizon).then(|| next.datetime())
    }

    /// Each named wall-clock time comes once. Later ones never come earlier, so the first that comes
    /// after `after` is the answer.
    fn times_of_day(&self, after: Timestamp) -> Option<Timestamp> {
        let mut civil = self.zone.to_datetime(after);
        for _ in 0..=REPEATED {
            civil = self.next_civil(civil, false)?;
            let ambiguous = self.zone.to_ambiguous_timestamp(civil);
            let instant = match ambiguous.offset() {
                AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok()?,
                AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok()?,
                AmbiguousOffset::Gap { before, .. } => self.end_of_gap(civil, before)?,
            };
            if instant > after {
                return Some(instant);
            }
        }
        None
    }

    /// When the clock has leapt over `civil`, which it would have reached under the offset `before`.
    fn end_of_gap(&self, civil: DateTime, before: Offset) -> Option<Timestamp> {
        let would_be = before.to_timestamp(civil).ok()?;
        let past = would_be.checked_add(Span::new().nanoseconds(1)).ok()?;
        self.zone.preceding(past).next().map(|change| change.timestamp())
    }

    /// By elapsed time: between two changes of the clock its offset is constant.
    fn rhythm(&self, after: Timestamp) -> Option<Timestamp> {
        let (mut from, mut inclusive) = (after, false);
        for _ in 0..SEGMENTS {
            let offset = self.zone.to_offset(from);
            let next = self.next_civil(offset.to_datetime(from), inclusive);
            let instant = next.and_then(|civil| offset.to_timestamp(civil).ok())?;
            match self.zone.following(from).next() {
                Some(change) if change.timestamp() <= instant => {
                    (from, inclusive) = (change.timestamp(), true);
                }
                _ => return Some(instant),
            }
        }
        None
    }
}

impl FromStr for Calendar {
    type Err = BadCalendar;

    /// An expression in UTC.
    fn from_str(expression: &str) -> Result<Self, BadCalendar> {
        Self::read(expression, "UTC")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Zoned;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Time {
        text.parse().expect("a time")
    }

    /// The next firings, as the zone's own clock shows them.
    fn firings(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let calendar = Calendar::read(expression, zone).expect("a calendar");
        let mut time = at(after);
        let mut found = Vec::new();
        for _ in 0..count {
            let Some(next) = calendar.after(time) else { break };
            let local = next.timestamp().to_zoned(calendar.zone.clone());
            found.push(local.strftime("%m-%d %H:%M%:z").to_string());
            time = next;
        }
        found
    }

    #[test]
    fn through_changes_of_the_clock() {
        for (expression, zone, after, expected) in [
            ("30 2 * * *", "UTC", "2026-03-28T12:00:00Z", &["03-29 02:30+00:00", "03-30 02:30+00:00"][..]),
            // Spring: 02:00 becomes 03:00.
            (
                "30 2 * * *",
                "Europe/Paris",
                "2026-03-27T12:00:00Z",
                &["03-28 02:30+01:00", "03-29 03:00+02:00", "03-30 02:30+02:00"],
            ),
            (
                "0,30 2 * * *",
                "Europe/Paris",
                "2026-03-28T12:00:00Z",
                &["03-29 03:00+02:00", "03-30 02:00+02:00"],
            ),
            (
                "0,30 2-3 * * *",
                "Europe/Paris",
                "2026-03-28T12:00:00Z",
                &["03-29 03:00+02:00", "03-29 03:30+02:00"],
            ),
            (
                "*/30 2 * * *",
                "America/New_York",
                "2026-03-07T12:00:00Z",
                &["03-08 03:00-04:00", "03-09 02:00-04:00"],
            ),
            (
                "0 3 * * *",
                "Europe/Paris",
                "2026-03-29T00:59:59Z",
                &["03-29 03:00+02:00", "03-30 03:00+02:00"],
            ),
            (
                "0 1 * * *",
                "Europe/Paris",
                "2026-03-28T12:00:00Z",
                &["03-29 01:00+01:00", "03-30 01:00+02:00"],
            ),
            // Autumn: 03:00 becomes 02:00.
            (
                "30 2 * * *",
                "Europe/Paris",
                "2026-10-24T12:00:00Z",
                &["10-25 02:30+02:00", "10-26 02:30+01:00"],
            ),
            (
                "*/20 2 * * *",
                "Europe/Paris",
                "2026-10-25T00:10:00Z",
                &["10-25 02:20+02:00", "10-25 02:40+02:00", "10-26 02:00+01:00"],
            ),
            // Asked in the hour that comes again: it was there already.
            ("30 2 * * *", "Europe/Paris", "2026-10-25T01:10:00Z", &["10-26 02:30+01:00"]),
            (
                "30 1 * * *",
                "America/New_York",
                "2026-10-31T12:00:00Z",
                &["11-01 01:30-04:00", "11-02 01:30-05:00"],
            ),
            // Half an hour, on the other side of the world.
            (
                "15 2 * * *",
                "Australia/Lord_Howe",
                "2026-10-03T00:00:00Z",
                &["10-04 02:30+11:00", "10-05 02:15+11:00"],
            ),
            (
                "45 1 * * *",
                "Australia/Lord_Howe",
                "2026-04-04T00:00:00Z",
                &["04-05 01:45+11:00", "04-06 01:45+10:30"],
            ),
            // Every hour: by elapsed time.
            (
                "0 * * * *",
                "Europe/Paris",
                "2026-03-28T23:30:00Z",
                &["03-29 01:00+01:00", "03-29 03:00+02:00", "03-29 04:00+02:00"],
            ),
            (
                "30 * * * *",
                "Europe/Paris",
                "2026-10-24T23:40:00Z",
                &["10-25 02:30+02:00", "10-25 02:30+01:00", "10-25 03:30+01:00"],
            ),
            (
                "*/30 0-23 * * *",
                "Australia/Lord_Howe",
                "2026-04-04T14:20:00Z",
                &["04-05 01:30+11:00", "04-05 01:30+10:30", "04-05 02:00+10:30"],
            ),
            (
                "0 * 29 2 *",
                "Europe/Paris",
                "2026-06-01T00:00:00Z",
                &["02-29 00:00+01:00", "02-29 01:00+01:00"],
            ),
            // A whole day left out: the date line moved.
            (
                "0 9 30 12 *",
                "Pacific/Apia",
                "2011-12-01T00:00:00Z",
                &["12-31 00:00+14:00", "12-30 09:00+14:00"],
            ),
            ("0 12 * * MON-FRI", "UTC", "2026-11-20T13:00:00Z", &["11-23 12:00+00:00", "11-24 12:00+00:00"]),
            ("0 0 30 2 *", "UTC", "2026-01-01T00:00:00Z", &[]),
            ("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", &["02-29 00:00+00:00"]),
        ] {
            let found = firings(expression, zone, after, expected.len().max(1));
            assert_eq!(found, expected, "{expression} in {zone}");
        }
    }

    #[test]
    fn what_is_no_calendar_is_refused() {
        for (expression, zone, why) in [
            ("", "UTC", "five fields"),
            ("* * * *", "UTC", "five fields"),
            ("0 * * * * *", "UTC", "five fields"),
            ("@daily", "UTC", "five fields"),
            ("60 * * * *", "UTC", "is no cron expression"),
            ("* 24 * * *", "UTC", "is no cron expression"),
            ("* * * * FOO", "UTC", "is no cron expression"),
            ("0 0 * * *", "Europe/Atlantis", "is no time zone"),
            ("0 0 * * *", "", "is no time zone"),
            ("0 0 * * *", "../../etc/passwd", "is no time zone"),
        ] {
            let error = Calendar::read(expression, zone).expect_err(expression).to_string();
            assert!(error.contains(why), "{error:?} lacks {why:?}");
        }
        let long = "0,".repeat(10_000) + "0 0 * * *";
        assert!(Calendar::read(&long, "UTC").expect_err("too long").to_string().len() < 400);
    }

    #[test]
    fn the_end_of_time_is_no_trouble() {
        let calendar = Calendar::from_str("0 0 * * *").expect("a calendar");
        for micros in [i64::MIN, i64::MAX, 0] {
            if let Some(next) = calendar.after(Time::from_micros(micros)) {
                assert!(next > Time::from_micros(micros));
            }
        }
    }

    /// Every minute that the expression names on the zone's clock, in the order of time, each once a
    /// day; those that do not exist as the end of their gap. Slow and plain.
    fn by_hand(calendar: &Calendar, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let mut civil = calendar.zone.to_datetime(from).date().to_datetime(jiff::civil::Time::midnight());
        let mut found = Vec::new();
        loop {
            let zoned: Zoned = calendar.zone.to_ambiguous_zoned(civil).earlier().expect("in range");
            let later = calendar.zone.to_ambiguous_zoned(civil).later().expect("in range");
            let exists = zoned.datetime() == civil;
            let instant = if exists {
                zoned.timestamp()
            } else {
                // The first minute after the gap.
                let mut minute = civil;
                while calendar.zone.to_ambiguous_zoned(minute).earlier().expect("in range").datetime()
                    != minute
                {
                    minute = minute.checked_add(Span::new().minutes(1)).expect("in range");
                }
                calendar.zone.to_ambiguous_zoned(minute).earlier().expect("in range").timestamp()
            };
            if instant > to && later.timestamp() > to {
                found.sort();
                found.dedup();
                return found;
            }
            let in_utc = civil.to_zoned(TimeZone::UTC).expect("in range");
            if instant > from && instant <= to && calendar.cron.is_time_matching(&in_utc).expect("a match") {
                found.push(instant);
            }
            civil = civil.checked_add(Span::new().minutes(1)).expect("in range");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Over the days around a change of the clock, times of the day are those found by hand.
        #[test]
        fn times_of_day_are_those_found_by_hand(
            zone in prop::sample::select(vec!["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC"]),
            (year, month, day) in prop::sample::select(vec![
                (2026, 3, 29), (2026, 10, 25), (2026, 3, 8), (2026, 11, 1), (2026, 4, 5), (2026, 10, 4),
            ]),
            minutes in prop::collection::btree_set(0u32..60, 1..4),
            hours in prop::collection::btree_set(0u32..5, 1..4),
            start in 0i64..(30 * 60),
        ) {
            let list = |set: &std::collections::BTreeSet<u32>| {
                set.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
            };
            let expression = format!("{} {} * * *", list(&minutes), list(&hours));
            let calendar = Calendar::read(&expression, zone).expect("a calendar");
            let eve = date(year, month, day).at(0, 0, 0, 0).to_zoned(calendar.zone.clone()).expect("a day");
            let from = eve.timestamp() - Span::new().hours(6) + Span::new().minutes(start);
            let to = from + Span::new().hours(50);
            let mut found = Vec::new();
            let mut after = from;
            while let Some(next) = calendar.times_of_day(after).filter(|next| *next <= to) {
                prop_assert!(next > after);
                found.push(next);
                after = next;
            }
            prop_assert_eq!(found, by_hand(&calendar, from, to), "{} in {}", expression, zone);
        }

        /// Every hour: neither a gap nor an hour twice, whatever the clock on the wall does.
        #[test]
        fn a_rhythm_goes_by_elapsed_time(
            zone in prop::sample::select(vec!["Europe/Paris", "America/New_York", "UTC", "Africa/Casablanca"]),
            minute in 0u32..60,
            day in 0i64..400,
        ) {
            let calendar = Calendar::read(&format!("{minute} * * * *"), zone).expect("a calendar");
            let mut after = at("2026-01-01T00:00:00Z").plus(std::time::Duration::from_secs(day as u64 * 86_400));
            let mut last = calendar.after(after).expect("a firing");
            for _ in 0..50 {
                after = calendar.after(last).expect("a firing");
                prop_assert_eq!(after.since(last).as_secs(), 3_600);
                last = after;
            }
        }
    }
}
