//! Classify: a file of this machine, or a sample from the list.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::dataset::{DatasetImage, DatasetRef, Lineage, Split};

use super::{Cx, Page, Subject, draw_table, prediction};
use crate::tui::state::{Answer, Cells, Place, Query, Screen, Shown, State, Want};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;
use crate::tui::widgets::put;

pub(super) struct Predict;

const COLUMNS: [Column; 3] =
    [Column::short("LABELLED", 24), Column::short("SPLIT", 6), Column::rest("SAMPLE")];

impl Page for Predict {
    fn wants(&self, state: &State, screen: &Screen) -> Vec<Want> {
        let Some(place) = screen.view.place() else { return Vec::new() };
        let versions = Want { agent: place.agent, query: versions(place) };
        std::iter::once(versions).chain(samples(state, place)).collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let place = screen.view.place()?;
        let want = samples(state, place);
        let slot = want.as_ref().and_then(|want| state.store.get(want));
        let (rows, more): (&[DatasetImage], bool) = match slot.and_then(|slot| slot.answer.as_ref()) {
            Some(Answer::Images(rows)) => (&rows.rows, rows.next.is_some()),
            _ => (&[], false),
        };
        let row = |image: &DatasetImage| {
            Row::new(vec![
                Cell::text(&image.label),
                Cell::text(image.split.to_string()),
                Cell::text(&image.origin),
            ])
        };
        Some(Table {
            columns: &COLUMNS,
            source: Slice::boxed(rows, |image| image.image.to_string(), row),
            revision: slot.map_or(0, |slot| slot.revision),
            want: want.map(|want| (want, more)),
            empty: "no samples: the reference has no test images yet. :predict FILE classifies a file"
                .to_owned(),
        })
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let place = screen.view.place()?;
        let dataset = newest(state, place)?;
        match state.store.get(&samples(state, place)?)?.answer.as_ref()? {
            Answer::Images(rows) => {
                Some(Subject::Image { place: place.clone(), image: rows.rows.get(n)?.image, dataset })
            }
            _ => None,
        }
    }

    fn table_area(&self, _: &State, _: &Screen, body: Rect) -> Rect {
        Rect { y: body.y + 2, height: body.height.saturating_sub(2), width: body.width / 2, ..body }
    }

    fn pictures(&self, state: &State, screen: &Screen, body: Rect) -> Vec<(Shown, Cells)> {
        let area = picture_area(body);
        let shown =
            super::subject(state).zip(screen.view.agent()).and_then(|(subject, agent)| match subject {
                Subject::Image { image, .. } => Some(Shown { agent, image }),
                _ => None,
            });
        shown.map(|shown| (shown, (area.width, area.height))).into_iter().collect()
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let keys = cx.state.keymap.shown("classify");
        let text = format!("{keys} classifies the sample · :predict FILE a file of this machine");
        put(buffer, body.x, body.y, body.width, &text, cx.theme.style(Role::Dim));
        draw_table(cx, self.table_area(cx.state, cx.screen, body), buffer);
        if let Some(Subject::Image { image, .. }) = super::subject(cx.state) {
            prediction::draw_picture(cx, image, picture_area(body), buffer);
        }
    }
}

fn picture_area(body: Rect) -> Rect {
    let x = body.x + body.width / 2 + 2;
    Rect { x, y: body.y + 2, width: body.right().saturating_sub(x), height: body.height.saturating_sub(2) }
}

fn versions(place: &Place) -> Query {
    Query::Datasets { project: place.project.clone(), lineage: Some(Lineage::Reference) }
}

/// The newest version of the reference.
fn newest(state: &State, place: &Place) -> Option<DatasetRef> {
    match state.answer(place.agent, versions(place))? {
        Answer::Datasets(rows) => rows.rows.first().map(|version| version.dataset),
        _ => None,
    }
}

/// Its test images: those that no model has learnt from.
fn samples(state: &State, place: &Place) -> Option<Want> {
    let dataset = newest(state, place)?;
    let (project, split) = (place.project.clone(), Some(Split::Test));
    Some(Want { agent: place.agent, query: Query::Images { project, dataset, class: None, split } })
}
