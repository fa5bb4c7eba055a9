//! The sources of a project: where its images come from again and again, and how each was found.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::Time;
use vigie_protocol::source::{Pending, Source, SourceState};

use super::facts::Facts;
use super::{Cx, Page, Subject, draw_table, when};
use crate::out::{age, safe, words};
use crate::tui::state::{Answer, Query, Screen, State, Want};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;

pub(super) struct Sources;

const COLUMNS: [Column; 7] = [
    Column::short("NAME", 20),
    Column::short("STATE", 13),
    Column::figure("SINCE"),
    Column::short("NEWEST", 20),
    Column::short("IMPORTED", 15),
    Column::short("ON ITS WAY", 12),
    Column::rest("ORIGIN"),
];

impl Page for Sources {
    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let slot = state.store.get(&want(screen)?);
        Some(Table {
            columns: &COLUMNS,
            source: Slice::boxed(
                rows(state, screen),
                |source| source.name.to_string(),
                move |source| row(state, source),
            ),
            revision: slot.map_or(0, |slot| slot.revision),
            want: None,
            empty: super::waiting(slot, "no sources: `vigie sources add NAME` sets one up"),
        })
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let name = rows(state, screen).get(n)?.name.clone();
        Some(Subject::Source { place: screen.view.place()?.clone(), name })
    }

    fn table_area(&self, _: &State, _: &Screen, body: Rect) -> Rect {
        Rect { height: body.height / 2, ..body }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let table = self.table_area(cx.state, cx.screen, body);
        draw_table(cx, table, buffer);
        let at = super::source_row(cx.state, cx.screen.table.selected);
        if let Some(source) = at.and_then(|at| rows(cx.state, cx.screen).get(at)) {
            let y = (table.bottom() + 1).min(body.bottom());
            let below = Rect { y, height: body.bottom() - y, ..body };
            facts(cx.state, source).draw(cx.screen.scroll, cx.theme, below, buffer);
        }
    }
}

fn want(screen: &Screen) -> Option<Want> {
    let place = screen.view.place()?;
    Some(Want { agent: place.agent, query: Query::Sources { project: place.project.clone() } })
}

fn rows<'a>(state: &'a State, screen: &Screen) -> &'a [Source] {
    match want(screen).and_then(|want| state.store.get(&want)).and_then(|slot| slot.answer.as_ref()) {
        Some(Answer::Sources(sources)) => sources,
        _ => &[],
    }
}

fn row(state: &State, source: &Source) -> Row {
    let role = role(source.state);
    let imported = source.imported.as_ref().and_then(|imported| imported.dataset);
    Row::new(vec![
        Cell::text(source.name.as_str()),
        Cell::text(format!("{} {}", state.theme.mark(role), source.state)).role(role),
        if source.state == SourceState::Unchecked { Cell::none() } else { when::ago(state, source.since) },
        source.latest.as_ref().map_or_else(Cell::none, |latest| Cell::text(latest.to_string())),
        imported.map_or_else(Cell::none, |dataset| Cell::text(dataset.to_string())),
        source.pending.as_ref().map_or_else(Cell::none, |pending| match pending.change_set {
            Some(_) => Cell::text("to review").role(Role::Warn),
            None => Cell::text("importing").role(Role::Busy),
        }),
        Cell::text(source.origin.to_string()),
    ])
    .fault(matches!(role, Role::Bad | Role::Warn))
}

fn role(state: SourceState) -> Role {
    match state {
        SourceState::Ok => Role::Good,
        SourceState::Vanished | SourceState::Forbidden | SourceState::Broken => Role::Bad,
        SourceState::Licence | SourceState::Unreachable => Role::Warn,
        SourceState::Unchecked | SourceState::Unknown => Role::Dim,
    }
}

fn dated(state: &State, at: Time) -> String {
    format!("{} ({})", state.moment(at), age(state.now, at))
}

fn facts(state: &State, source: &Source) -> Facts {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { safe(text) };
    let mut facts = Facts::new()
        .field("source", format!("{}, {}", source.name, safe(&source.origin.to_string())))
        .field("remark", or_dash(&source.detail))
        .field("checked", source.checked.map_or("never".to_owned(), |at| dated(state, at)))
        .field("into", source.lineage.to_string())
        .field("new versions", words::accepted(source.acceptance));
    if let Some(imported) = &source.imported {
        let text = format!("{}, {}", imported.revision, dated(state, imported.at));
        facts = facts.field("imported", safe(&text));
    }
    if let Some(pending @ Pending { revision, job, change_set, failures, .. }) = &source.pending {
        let text = match change_set {
            Some(set) => format!("{revision}, in change-set {set} that waits for a decision"),
            None => format!("{revision}, imported by job {job}"),
        };
        facts = facts.field("on its way", safe(&text));
        if *failures > 0 && change_set.is_none() {
            facts = facts.field("import", pending.outlook());
        }
    }
    match &source.declined {
        Some(declined) => facts.field("rejected", safe(&declined.to_string())),
        None => facts,
    }
}
