//! How fast the feeding lines grow.

use std::collections::BTreeMap;
use std::time::Duration;

use vigie_protocol::Time;
use vigie_protocol::dataset::{DatasetVersion, SplitCounts};
use vigie_protocol::rules::Growth;

/// How far back a rate looks.
const WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);

/// A history shorter than this tells no rate.
const SHORTEST_DAYS: f64 = 1.0;

const DAY_S: f64 = 24.0 * 3600.0;

/// Beyond this a date is no help to anyone.
const FAR_DAYS: u64 = 3_650;

/// The versions of lines over the last 30 days, as far as a rate needs them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// How long ago its beginning is; too short when it tells nothing.
    days: f64,
    began_with: BTreeMap<String, u64>,
    ends_with: BTreeMap<String, u64>,
}

impl History {
    /// The history of these lines up to `now`; each line's versions in any order, complete as far as
    /// the last one from before the window. Images that two lines hold count twice, at its beginning
    /// as at its end.
    pub fn of(lines: &[&[DatasetVersion]], now: Time) -> Self {
        let window = now.minus(WINDOW);
        let first = lines.iter().flat_map(|line| line.iter()).map(|version| version.created).min();
        let Some(began) = first.map(|first| first.max(window)) else { return Self::default() };
        Self {
            days: now.since(began).as_secs_f64() / DAY_S,
            began_with: held(lines, began),
            ends_with: held(lines, now),
        }
    }

    /// How fast a class grows, which has `has` images and needs `needs`.
    pub(super) fn of_class(&self, class: &str, has: u64, needs: Option<u64>) -> Option<Growth> {
        let count = |classes: &BTreeMap<String, u64>| classes.get(class).copied().unwrap_or(0);
        self.growth(count(&self.began_with), count(&self.ends_with), has, needs)
    }

    /// How fast all classes together grow, of whose images `has` are new and `needs` are needed.
    pub(super) fn of_all(&self, has: u64, needs: u64) -> Option<Growth> {
        let count = |classes: &BTreeMap<String, u64>| classes.values().sum();
        self.growth(count(&self.began_with), count(&self.ends_with), has, Some(needs))
    }

    fn growth(&self, began_with: u64, ends_with: u64, has: u64, needs: Option<u64>) -> Option<Growth> {
        if self.days < SHORTEST_DAYS {
            return None;
        }
        let per_day = (ends_with as f64 - began_with as f64) / self.days;
        let missing = needs.and_then(|needs| needs.checked_sub(has)).filter(|&missing| missing > 0);
        // The saturating cast bounds what an absurdly small rate gives.
        let eta_days =
            missing.filter(|_| per_day > 0.0).map(|missing| (missing as f64 / per_day).ceil() as u64);
        Some(Growth { per_day, days: self.days, eta_days })
    }
}

/// Images of each class at a time, over all lines.
fn held(lines: &[&[DatasetVersion]], at: Time) -> BTreeMap<String, u64> {
    let mut classes: BTreeMap<String, u64> = BTreeMap::new();
    for line in lines {
        let held = line.iter().filter(|version| version.created <= at);
        let Some(newest) = held.max_by_key(|version| version.dataset.number) else { continue };
        for (class, counts) in &newest.classes {
            *classes.entry(class.clone()).or_default() += SplitCounts::total(counts);
        }
    }
    classes
}

/// The part of a sentence that tells when something is reached.
pub(super) fn outlook(growth: Option<&Growth>) -> String {
    match growth {
        None => "; how fast it grows is not known yet".to_owned(),
        Some(Growth { per_day, days, eta_days: None }) => {
            let verb = if *per_day < 0.0 { "shrank" } else { "did not grow" };
            format!("; it {verb} over {}", in_days(*days))
        }
        Some(Growth { per_day, days, eta_days: Some(eta) }) => {
            let rate = if *per_day >= 9.95 { format!("{per_day:.0}") } else { format!("{per_day:.1}") };
            let eta = match eta {
                0 | 1 => "1 day".to_owned(),
                2..=FAR_DAYS => format!("{eta} days"),
                _ => "more than ten years".to_owned(),
            };
            format!(", at this rate {eta} ({rate} a day over {})", in_days(*days))
        }
    }
}

fn in_days(days: f64) -> String {
    match days.round() as u64 {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
