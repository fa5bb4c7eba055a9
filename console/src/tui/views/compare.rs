//! A candidate against a base: where it is better, where worse, and whether the difference is more
//! than chance.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::model::Proportion;

use super::{Cx, Page, Subject, draw_table, place_text, when};
use crate::compare::{ClassComparison, Comparison, Overlap};
use crate::out::{count, percent};
use crate::tui::state::{Answer, Query, Screen, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;
use crate::tui::widgets::put;

pub(super) struct Compare;

const COLUMNS: [Column; 5] = [
    Column::short("CLASS", 28),
    Column::figure("DIFFERENCE"),
    Column::figures("CANDIDATE RECALL", 28),
    Column::figures("BASE RECALL", 28),
    Column::figure("TEST IMAGES"),
];

/// Lines above the table.
const HEAD: u16 = 5;

impl Page for Compare {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        let View::Compare { place, candidate, base } = &screen.view else { return String::new() };
        format!("{candidate} against {base} of {}", place_text(state, place))
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let slot = want(screen).and_then(|want| state.store.get(&want));
        let classes = found(state, screen).map(|found| found.classes.as_slice()).unwrap_or_default();
        Some(Table {
            columns: &COLUMNS,
            source: Slice::boxed(classes, |class| class.class.clone(), row),
            revision: slot.map_or(0, |slot| slot.revision),
            want: None,
            empty: super::waiting(slot, "they know no class"),
        })
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        let View::Compare { place, candidate, .. } = &screen.view else { return None };
        Some(Subject::Model { place: place.clone(), number: *candidate })
    }

    fn table_area(&self, _: &State, _: &Screen, body: Rect) -> Rect {
        Rect { y: body.y + HEAD, height: body.height.saturating_sub(HEAD), ..body }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        if let Some(found) = found(cx.state, cx.screen) {
            head(cx, found, body, buffer);
        }
        draw_table(cx, self.table_area(cx.state, cx.screen, body), buffer);
    }
}

fn want(screen: &Screen) -> Option<Want> {
    let View::Compare { place, candidate, base } = &screen.view else { return None };
    let (project, candidate, base) = (place.project.clone(), *candidate, *base);
    Some(Want { agent: place.agent, query: Query::Compare { project, candidate, base } })
}

fn found<'a>(state: &'a State, screen: &Screen) -> Option<&'a Comparison> {
    match state.store.get(&want(screen)?)?.answer.as_ref()? {
        Answer::Compare(found) => Some(found),
        _ => None,
    }
}

fn head(cx: &Cx<'_>, found: &Comparison, body: Rect, buffer: &mut Buffer) {
    let line = |word: &str, overall: &crate::compare::Overall| {
        format!(
            "{word:<10} {}   log loss {:.4}   calibration error {}   on {}",
            overall.accuracy,
            overall.log_loss,
            percent(overall.calibration_error),
            overall.dataset
        )
    };
    let paired = &found.paired;
    let chance = match paired.p_value {
        Some(p) if p < 0.05 => format!("more than chance (p = {p:.3}, McNemar's exact test)"),
        Some(p) => format!("no more than chance may do (p = {p:.3}, McNemar's exact test)"),
        None => "not to be said: no image was shown to both".to_owned(),
    };
    let overlap = match found.overlap {
        Overlap::Same => (Role::Dim, "both were tested on the same images".to_owned()),
        Overlap::Partial => (
            Role::Warn,
            format!(
                "only {} images were shown to both: the figures above are of others too",
                count(paired.images())
            ),
        ),
        Overlap::None => (Role::Bad, "they were tested on different images: compare nothing".to_owned()),
    };
    let pairs = format!(
        "of {} images both right {}, only the candidate {}, only the base {}, neither {}: {chance}",
        count(paired.images()),
        count(paired.both),
        count(paired.only_candidate),
        count(paired.only_base),
        count(paired.neither)
    );
    let lines = [
        (Role::Text, line("candidate", &found.candidate)),
        (Role::Text, line("base", &found.base)),
        (Role::Accent, pairs),
        overlap,
    ];
    for (i, (role, text)) in lines.iter().enumerate() {
        put(buffer, body.x, body.y + i as u16, body.width, text, cx.theme.style(*role));
    }
}

fn row(class: &ClassComparison) -> Row {
    let recall = |recall: &Option<Proportion>| recall.as_ref().map_or_else(Cell::none, when::share);
    let difference = class.difference.map_or_else(Cell::none, |difference| {
        let role = if difference < 0.0 {
            Role::Bad
        } else if difference > 0.0 {
            Role::Good
        } else {
            Role::Dim
        };
        Cell::figure(format!("{:+.1}", difference * 100.0), difference).role(role)
    });
    Row::new(vec![
        Cell::text(&class.class),
        difference,
        recall(&class.candidate),
        recall(&class.base),
        class
            .candidate
            .or(class.base)
            .map_or_else(Cell::none, |recall| Cell::figure(count(recall.n), recall.n as f64)),
    ])
    .fault(class.difference.is_some_and(|difference| difference < 0.0))
}
