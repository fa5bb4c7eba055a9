//! The prediction log, filtered by the agent: `class:owl conf<0.4 model:@production feedback:wrong
//! since:2h`.

use std::time::Duration;

use vigie_protocol::prediction::{Prediction, PredictionFilter};
use vigie_protocol::{AliasName, Time};

use super::listed::Listed;
use super::{Page, Subject, place_text, when};
use crate::out::micros;
use crate::tui::filter::Filter;
use crate::tui::state::{Answer, Place, Query, Screen, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Table};
use crate::tui::theme::Role;

pub(in crate::tui) struct Predictions;

const COLUMNS: [Column; 10] = [
    Column::figure("AGO"),
    Column::short("CLASS", 28),
    Column::figure("CONFIDENCE"),
    Column::short("SECOND", 24),
    Column::figure("MODEL"),
    Column::short("FEEDBACK", 20),
    Column::figure("TIME"),
    Column::short("PICTURE", 7),
    Column::short("BY", 16),
    Column::rest("NAME"),
];

impl Page for Predictions {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        let View::Predictions { place, filter } = &screen.view else { return String::new() };
        let filter = text(state, filter);
        let filter = if filter.is_empty() { filter } else { format!(" where {filter}") };
        format!("{}{filter}", place_text(state, place))
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        Some(listed(state, screen)?.table(
            &COLUMNS,
            |one| one.id.to_string(),
            move |one| row(state, one),
            "no prediction matches: i asks for one, : predictions clears the filter",
        ))
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let id = listed(state, screen)?.rows.get(n)?.id;
        Some(Subject::Prediction { place: screen.view.place()?.clone(), id })
    }
}

/// Its rows, as far as they are here.
fn listed<'a>(state: &'a State, screen: &Screen) -> Option<Listed<'a, Prediction>> {
    Some(Listed::of(state, want(screen)?, |answer| match answer {
        Answer::Predictions(rows) => Some(rows),
        _ => None,
    }))
}

fn want(screen: &Screen) -> Option<Want> {
    let View::Predictions { place, filter } = &screen.view else { return None };
    let query = Query::Predictions { project: place.project.clone(), filter: filter.clone() };
    Some(Want { agent: place.agent, query })
}

fn row(state: &State, one: &Prediction) -> Row {
    let confidence = f64::from(one.confidence());
    let second = one.top.get(1);
    Row::new(vec![
        when::ago(state, one.at),
        Cell::text(one.class()).role(Role::Accent),
        when::portion(confidence).role(if confidence < 0.5 { Role::Warn } else { Role::Text }),
        second.map_or_else(Cell::none, |second| {
            Cell::text(format!("{} {:.0} %", second.class, second.probability * 100.0)).role(Role::Dim)
        }),
        Cell::figure(one.model.to_string(), f64::from(one.model.0)),
        one.feedback.as_ref().map_or_else(Cell::none, |said| {
            let role = match said.consensus.right() {
                Some(true) => Role::Good,
                Some(false) => Role::Bad,
                None => Role::Warn,
            };
            Cell::text(said.consensus.to_string()).role(role)
        }),
        Cell::figure(micros(u64::from(one.timings.total)), f64::from(one.timings.total)),
        Cell::text(if one.picture_kept { "kept" } else { "-" }).role(Role::Dim),
        Cell::text(&one.by),
        one.name.as_ref().map_or_else(Cell::none, Cell::text),
    ])
    .fault(confidence < 0.5)
}

/// Reads a filter. What the agent can filter by becomes its filter; the other words are left to be
/// looked for in the rows that are here.
///
/// # Errors
/// What is wrong, for people.
pub(in crate::tui) fn parse(
    text: &str,
    state: &State,
    place: &Place,
) -> Result<(PredictionFilter, Filter), String> {
    let mut filter = match &state.screen().view {
        View::Predictions { filter, .. } if text.trim().is_empty() => filter.clone(),
        _ => PredictionFilter::default(),
    };
    let mut rest = Vec::new();
    for word in text.split_whitespace() {
        if let Some(class) = word.strip_prefix("class:") {
            filter.class = Some(class.to_owned()).filter(|class| !class.is_empty());
        } else if let Some(limit) = ["conf<", "confidence<"].iter().find_map(|head| word.strip_prefix(head)) {
            filter.confidence_below = Some(share(limit)?);
        } else if let Some(model) = word.strip_prefix("model:") {
            filter.model = Some(number(model, state, place)?);
        } else if let Some(word) = word.strip_prefix("feedback:") {
            filter.feedback = Some(word.parse()?);
        } else if let Some(span) = word.strip_prefix("since:") {
            filter.since = Some(moment(span, state.now)?);
        } else if let Some(span) = word.strip_prefix("until:") {
            filter.until = Some(moment(span, state.now)?);
        } else {
            rest.push(word);
        }
    }
    let rest = Filter(rest.join(" "));
    rest.compile(&COLUMNS)?;
    Ok((filter, rest))
}

/// A filter as it is typed.
pub(in crate::tui) fn text(state: &State, filter: &PredictionFilter) -> String {
    let PredictionFilter { model, class, confidence_below, since, until, feedback } = filter;
    let mut words = Vec::new();
    words.extend(class.as_ref().map(|class| format!("class:{class}")));
    words.extend(confidence_below.map(|limit| format!("conf<{limit}")));
    words.extend(model.map(|model| format!("model:{model}")));
    words.extend(feedback.map(|feedback| format!("feedback:{feedback}")));
    words.extend(since.map(|since| format!("since:{}", state.clock(since))));
    words.extend(until.map(|until| format!("until:{}", state.clock(until))));
    words.join(" ")
}

fn share(text: &str) -> Result<f32, String> {
    let (text, factor) = text.strip_suffix('%').map_or((text, 1.0), |text| (text, 0.01));
    let value: f32 = text.parse().map_err(|_| format!("{text:?} is not a share such as 0.4 or 40%"))?;
    Some(value * factor)
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "a share is 0 to 1".to_owned())
}

/// `v7`, or whoever holds an alias: `@production`.
fn number(text: &str, state: &State, place: &Place) -> Result<vigie_protocol::ModelNumber, String> {
    let Some(alias) = text.strip_prefix('@') else {
        return text
            .parse()
            .map_err(|_| format!("{text:?} is not a model version such as v7 or @production"));
    };
    let alias: AliasName = alias.parse().map_err(|error| format!("{error}"))?;
    let aliases = state.glance(place).map(|glance| glance.aliases.as_slice()).unwrap_or_default();
    let held = aliases.iter().find(|held| held.name == alias);
    held.map(|held| held.model).ok_or_else(|| format!("nobody holds {alias}"))
}

/// `2h` ago, or an RFC 3339 time.
fn moment(text: &str, now: Time) -> Result<Time, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let wrong =
        || format!("{text:?} is neither a span such as 30m, 2h, 7d nor a time such as 2026-11-21T08:00Z");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let n: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(now.minus(Duration::from_secs(n.saturating_mul(seconds))))
}
