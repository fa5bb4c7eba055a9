//! Every move of an alias: who, when, why, on what evidence.

use vigie_protocol::model::{AliasMove, MoveKind};

use super::listed::Listed;
use super::{Page, Subject, place_text, when};
use crate::tui::state::{Answer, Query, Screen, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Table};
use crate::tui::theme::Role;

pub(super) struct Aliases;

const COLUMNS: [Column; 8] = [
    Column::figure("MOVE"),
    Column::short("KIND", 12),
    Column::figure("FROM"),
    Column::figure("TO"),
    Column::figure("AGO"),
    Column::short("BY", 16),
    Column::short("GATE", 20),
    Column::rest("REASON"),
];

impl Page for Aliases {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        match &screen.view {
            View::Aliases { place, alias } => format!("{alias} of {}", place_text(state, place)),
            _ => String::new(),
        }
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        Some(listed(state, screen)?.table(
            &COLUMNS,
            |one| one.generation.to_string(),
            move |one| row(state, one),
            "it never moved",
        ))
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let number = listed(state, screen)?.rows.get(n)?.to;
        Some(Subject::Model { place: screen.view.place()?.clone(), number })
    }
}

/// Its rows, as far as they are here.
fn listed<'a>(state: &'a State, screen: &Screen) -> Option<Listed<'a, AliasMove>> {
    Some(Listed::of(state, want(screen)?, |answer| match answer {
        Answer::AliasHistory(rows) => Some(rows),
        _ => None,
    }))
}

fn want(screen: &Screen) -> Option<Want> {
    let View::Aliases { place, alias } = &screen.view else { return None };
    let query = Query::AliasHistory { project: place.project.clone(), alias: alias.clone() };
    Some(Want { agent: place.agent, query })
}

fn row(state: &State, one: &AliasMove) -> Row {
    let (role, word) = match one.kind {
        MoveKind::Promote => (Role::Good, "promote"),
        MoveKind::Override => (Role::Warn, "override"),
        MoveKind::Rollback => (Role::Busy, "rollback"),
        MoveKind::Unknown => (Role::Dim, "unknown"),
    };
    let gate = match &one.verdict {
        None => Cell::text("not asked").role(Role::Dim),
        Some(verdict) => {
            let passed = verdict.checks.iter().filter(|check| check.passed).count();
            let text = format!("{passed} of {} passed", verdict.checks.len());
            Cell::text(text).role(if verdict.passed() { Role::Good } else { Role::Bad })
        }
    };
    Row::new(vec![
        Cell::figure(one.generation.to_string(), one.generation as f64),
        Cell::text(format!("{} {word}", state.theme.mark(role))).role(role),
        one.from.map_or_else(Cell::none, |from| Cell::figure(from.to_string(), f64::from(from.0))),
        Cell::figure(one.to.to_string(), f64::from(one.to.0)).role(Role::Accent),
        when::ago(state, one.at),
        Cell::text(&one.by),
        gate,
        one.reason.as_ref().map_or_else(Cell::none, Cell::text),
    ])
    .fault(one.kind == MoveKind::Override)
}
