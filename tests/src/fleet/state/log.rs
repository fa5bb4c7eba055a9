//! A project's prediction log: stretches of computed predictions, each under one model, and the few
//! that somebody asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use vigie_protocol::prediction::{HourCount, Prediction, PredictionFilter};
use vigie_protocol::{ModelNumber, PredictionId, Time};

use super::source::{Facts, Source, Wanted};

/// Predictions asked for that are kept; older ones go, so that a day of asking costs no memory.
const ASKED_KEPT: usize = 2_000;

/// Places from here on are of predictions that somebody asked for.
const ASKED: u64 = 1 << 41;

/// The log. Clones are cheap enough to be read without holding up the agent.
#[derive(Clone, Debug)]
pub(super) struct Log {
    source: Arc<Source>,
    /// Microseconds between two computed predictions; `None` when there are none.
    period: Option<i64>,
    stretches: Vec<Stretch>,
    asked: BTreeMap<Position, Prediction>,
    asked_ever: u64,
    forgotten: BTreeSet<PredictionId>,
}

/// Computed predictions in a row: the `k`-th at `start` plus `k` periods and a little.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// The place of its first.
    first: u64,
    start: Time,
    model: ModelNumber,
    /// How many there are; `None` while it goes on.
    length: Option<u64>,
}

/// A place in the log's order: by time, then by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    at: Time,
    place: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.as_micros(), self.place)
    }
}

impl FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (at, place) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self { at: Time::from_micros(at.parse()?), place: place.parse()? })
    }
}

impl Log {
    /// An empty log whose predictions come every `period` microseconds.
    pub(super) fn new(source: Arc<Source>, period: Option<i64>) -> Self {
        Self {
            source,
            period: period.map(|period| period.max(1)),
            stretches: Vec::new(),
            asked: BTreeMap::new(),
            asked_ever: 0,
            forgotten: BTreeSet::new(),
        }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Adds `length` predictions of the past.
    pub(super) fn past(&mut self, start: Time, model: ModelNumber, length: u64) {
        let first = self.next_place();
        self.stretches.push(Stretch { first, start, model, length: Some(length) });
    }

    /// From `now` on predictions are made by `model`.
    pub(super) fn begin(&mut self, now: Time, model: ModelNumber) {
        self.end(now);
        let first = self.next_place();
        self.stretches.push(Stretch { first, start: now, model, length: None });
    }

    /// The stretch that goes on began only `now`.
    pub(super) fn rewind(&mut self, now: Time, model: ModelNumber) {
        self.stretches.pop_if(|last| last.length.is_none());
        let first = self.next_place();
        self.stretches.push(Stretch { first, start: now, model, length: None });
    }

    /// From `now` on there are no more.
    pub(super) fn end(&mut self, now: Time) {
        let period = self.period;
        if let Some(last) = self.stretches.last_mut() {
            last.length = Some(last.length_at(now, period));
        }
    }

    /// The model that answers now.
    pub(super) fn model(&self) -> Option<ModelNumber> {
        self.stretches.last().filter(|last| last.length.is_none()).map(|last| last.model)
    }

    fn next_place(&self) -> u64 {
        self.stretches.last().map_or(0, |last| last.first + last.length.unwrap_or(0))
    }

    /// Keeps a prediction that somebody asked for, which `make` makes for its place.
    pub(super) fn ask(&mut self, make: impl FnOnce(&Source, u64) -> Prediction) -> Prediction {
        let place = ASKED + self.asked_ever;
        self.asked_ever += 1;
        let prediction = make(&self.source, place);
        self.asked.insert(Position { at: prediction.at, place }, prediction.clone());
        if self.asked.len() > ASKED_KEPT {
            self.asked.pop_first();
        }
        prediction
    }

    /// Predictions from the newest on, past `after`, each with its position; those that the filter does
    /// not want come without content.
    pub(super) fn rows<'a>(
        &'a self,
        filter: &'a PredictionFilter,
        after: Option<Position>,
        now: Time,
    ) -> impl Iterator<Item = (Position, Option<Prediction>)> + 'a {
        let wanted = Wanted::new(filter, self.source.plan());
        let until = filter.until.map(|until| Position { at: until, place: 0 });
        // The smaller of the two: `None` is no limit at all.
        let before = [after, until].into_iter().flatten().min();
        let since = filter.since;
        let walk = self.walk(before, now).take_while(move |(at, _)| since.is_none_or(|since| at.at >= since));
        walk.map(move |(position, found)| {
            let row = match found {
                Found::Asked(prediction) => filter.matches(prediction).then(|| prediction.clone()),
                Found::Computed(model) => {
                    let facts = self.source.facts(position.place);
                    let matches = wanted.matches(&facts, position.at, model);
                    matches.then(|| self.source.prediction(position.place, position.at, model))
                }
            };
            (position, row.filter(|row| !self.forgotten.contains(&row.id)))
        })
    }

    /// One prediction.
    pub(super) fn get(&self, id: PredictionId, now: Time) -> Option<Prediction> {
        if self.forgotten.contains(&id) {
            return None;
        }
        let place = self.source.place(id);
        if place >= ASKED {
            return self.asked.values().find(|prediction| prediction.id == id).cloned();
        }
        let stretch = self.stretches.iter().rev().find(|stretch| stretch.first <= place)?;
        let k = place - stretch.first;
        let at = self.at(stretch, k)?;
        let there = k < stretch.length_at(now, self.period) && self.source.id(place, at) == id;
        there.then(|| self.source.prediction(place, at, stretch.model))
    }

    /// Leaves a prediction out from now on.
    pub(super) fn forget(&mut self, id: PredictionId) {
        self.asked.retain(|_, prediction| prediction.id != id);
        self.forgotten.insert(id);
    }

    /// When the `k`-th prediction of a stretch was made: somewhere in the first half of its period.
    fn at(&self, stretch: &Stretch, k: u64) -> Option<Time> {
        let period = self.period?;
        let half = (period / 2).max(1).cast_unsigned();
        let little = (self.source.bits(stretch.first + k) % half).cast_signed();
        let past = i64::try_from(k).ok()?.checked_mul(period)?.checked_add(little)?;
        Some(Time::from_micros(stretch.start.as_micros().saturating_add(past)))
    }

    /// How many predictions of a stretch come before a position.
    fn count_before(&self, stretch: &Stretch, before: Option<Position>, now: Time) -> u64 {
        let all = stretch.length_at(now, self.period);
        let (Some(before), Some(period)) = (before, self.period) else { return all };
        let past = before.at.as_micros() - stretch.start.as_micros();
        let Ok(k) = u64::try_from(past.div_euclid(period)) else { return 0 };
        // Those of earlier periods are all before it; the one of this period may be.
        let this = self.at(stretch, k).map(|at| Position { at, place: stretch.first + k });
        let before_it = k + u64::from(this.is_some_and(|this| this < before));
        before_it.min(all)
    }

    /// Everything before a position, newest first.
    fn walk(&self, before: Option<Position>, now: Time) -> Walk<'_> {
        let heads = self
            .stretches
            .iter()
            .filter_map(|stretch| Head::new(self, *stretch, self.count_before(stretch, before, now)))
            .collect();
        let asked = match before {
            Some(before) => self.asked.range(..before),
            None => self.asked.range(..),
        };
        Walk { log: self, heads, asked: asked.rev().peekable() }
    }
}

impl Stretch {
    fn length_at(&self, now: Time, period: Option<i64>) -> u64 {
        let Some(period) = period else { return 0 };
        self.length.unwrap_or_else(|| {
            let past = now.as_micros().saturating_sub(self.start.as_micros()) / period;
            u64::try_from(past).unwrap_or(0)
        })
    }
}

/// What lies at a position.
enum Found<'a> {
    Computed(ModelNumber),
    Asked(&'a Prediction),
}

/// The newest prediction of a stretch that was not walked over yet.
struct Head {
    stretch: Stretch,
    k: u64,
    position: Position,
}

impl Head {
    /// The last of the first `left` predictions.
    fn new(log: &Log, stretch: Stretch, left: u64) -> Option<Self> {
        let k = left.checked_sub(1)?;
        let position = Position { at: log.at(&stretch, k)?, place: stretch.first + k };
        Some(Self { stretch, k, position })
    }
}

/// Merges stretches and what was asked for: clocks that were set back make them overlap.
struct Walk<'a> {
    log: &'a Log,
    heads: Vec<Head>,
    asked: std::iter::Peekable<std::iter::Rev<std::collections::btree_map::Range<'a, Position, Prediction>>>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = (Position, Found<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let newest = self.heads.iter().enumerate().max_by_key(|(_, head)| head.position);
        let newest = newest.map(|(index, head)| (index, head.position));
        let asked = self.asked.peek().map(|(position, _)| **position);
        let (index, position) = match (newest, asked) {
            (Some((_, computed)), Some(asked)) if asked > computed => return self.next_asked(),
            (Some(newest), _) => newest,
            (None, _) => return self.next_asked(),
        };
        let Head { stretch, k, .. } = self.heads.swap_remove(index);
        self.heads.extend(Head::new(self.log, stretch, k));
        Some((position, Found::Computed(stretch.model)))
    }
}

impl<'a> Walk<'a> {
    fn next_asked(&mut self) -> Option<(Position, Found<'a>)> {
        self.asked.next().map(|(position, prediction)| (*position, Found::Asked(prediction)))
    }
}

/// A count of predictions by hour, model and class, which may be taken in pieces: of half a million
/// predictions it takes a while, in which others want to be answered.
pub(in super::super) struct Counting {
    log: Log,
    first: i64,
    now: Time,
    /// Where the next piece begins.
    before: Position,
    hours: BTreeMap<(i64, ModelNumber), Sums>,
}

#[derive(Default)]
struct Sums {
    predictions: u64,
    confidence: f64,
    total_us: u64,
    classes: BTreeMap<usize, u64>,
}

impl Counting {
    /// Of the hours that hold `since` to `until`, both included.
    pub(super) fn new(log: Log, since: Time, until: Time, now: Time) -> Self {
        let end = Time::from_micros(until.hour().saturating_add(1).saturating_mul(HOUR));
        let before = Position { at: end, place: 0 };
        Self { log, first: since.hour(), now, before, hours: BTreeMap::new() }
    }

    /// Counts up to `rows` more; whether that was all.
    pub(in super::super) fn go_on(&mut self, rows: usize) -> bool {
        let Self { log, first, now, before, hours } = self;
        let mut count = 0;
        for (position, found) in log.walk(Some(*before), *now).take(rows) {
            if position.at.hour() < *first {
                return true;
            }
            count += 1;
            *before = position;
            let (facts, model) = match found {
                Found::Computed(model) => (log.source.facts(position.place), model),
                Found::Asked(prediction) => {
                    let class = log
                        .source
                        .plan()
                        .classes
                        .binary_search_by(|name| name.as_str().cmp(prediction.class()));
                    let (confidence, timings) = (prediction.confidence(), prediction.timings);
                    (Facts { class: class.unwrap_or(0), confidence, timings }, prediction.model)
                }
            };
            if !log.forgotten.is_empty()
                && log.forgotten.contains(&log.source.id(position.place, position.at))
            {
                continue;
            }
            let sums = hours.entry((position.at.hour(), model)).or_default();
            sums.predictions += 1;
            sums.confidence += f64::from(facts.confidence);
            sums.total_us += u64::from(facts.timings.total);
            *sums.classes.entry(facts.class).or_default() += 1;
        }
        count < rows
    }

    /// What was counted.
    pub(in super::super) fn done(self) -> Vec<HourCount> {
        let classes = &self.log.source.plan().classes;
        let count = |((hour, model), sums): ((i64, ModelNumber), Sums)| HourCount {
            hour: Time::from_micros(hour.saturating_mul(HOUR)),
            model,
            predictions: sums.predictions,
            confidence_sum: sums.confidence,
            total_us_sum: sums.total_us,
            classes: sums.classes.into_iter().map(|(class, n)| (classes[class].clone(), n)).collect(),
        };
        self.hours.into_iter().map(count).collect()
    }
}

/// Microseconds in an hour.
const HOUR: i64 = 3_600_000_000;
