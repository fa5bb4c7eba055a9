//! What the gate says of a candidate.

use vigie_protocol::model::GateCheck;

use super::{Page, Subject, place_text};
use crate::tui::state::{Answer, Query, Screen, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;

pub(super) struct Gate;

const COLUMNS: [Column; 3] =
    [Column::short("VERDICT", 12), Column::short("CHECK", 24), Column::rest("EVIDENCE")];

impl Page for Gate {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        let View::Gate { place, candidate, alias } = &screen.view else { return String::new() };
        let verdict = match want(screen).and_then(|want| state.answer(want.agent, want.query)) {
            Some(Answer::Gate(verdict)) if verdict.passed() => ": passes",
            Some(Answer::Gate(_)) => ": REFUSED",
            _ => "",
        };
        format!("on {candidate} for {alias} of {}{verdict}", place_text(state, place))
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let slot = state.store.get(&want(screen)?);
        let checks: &[GateCheck] = match slot.and_then(|slot| slot.answer.as_ref()) {
            Some(Answer::Gate(verdict)) => &verdict.checks,
            _ => &[],
        };
        Some(Table {
            columns: &COLUMNS,
            source: Slice::boxed(checks, |check| check.name.clone(), move |check| row(state, check)),
            revision: slot.map_or(0, |slot| slot.revision),
            want: None,
            empty: super::waiting(slot, "the gate has no checks"),
        })
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        let View::Gate { place, candidate, .. } = &screen.view else { return None };
        Some(Subject::Model { place: place.clone(), number: *candidate })
    }
}

fn want(screen: &Screen) -> Option<Want> {
    let View::Gate { place, candidate, alias } = &screen.view else { return None };
    let (project, alias) = (place.project.clone(), alias.clone());
    Some(Want { agent: place.agent, query: Query::Gate { project, candidate: *candidate, alias } })
}

fn row(state: &State, check: &GateCheck) -> Row {
    let (role, word) = if check.passed { (Role::Good, "passed") } else { (Role::Bad, "FAILED") };
    Row::new(vec![
        Cell::text(format!("{} {word}", state.theme.mark(role))).role(role),
        Cell::text(&check.name),
        Cell::text(&check.detail),
    ])
    .fault(!check.passed)
}
