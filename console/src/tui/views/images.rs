//! The pictures of a dataset version: a list, and the selected one beside it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::dataset::DatasetImage;

use super::listed::Listed;
use super::{Cx, Page, Subject, draw_table, place_text, prediction};
use crate::out::bytes;
use crate::tui::state::{Answer, Cells, Query, Screen, Shown, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Table};

pub(super) struct Images;

const COLUMNS: [Column; 7] = [
    Column::short("LABEL", 20),
    Column::short("SPLIT", 5),
    Column::figure("SIZE"),
    Column::figure("BYTES"),
    Column::figure("SHARPNESS"),
    Column::figure("BRIGHTNESS"),
    Column::rest("ORIGIN"),
];

impl Page for Images {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        let View::Images { place, dataset, class, split } = &screen.view else { return String::new() };
        let class = class.as_ref().map(|class| format!(" {class}")).unwrap_or_default();
        let split = split.map(|split| format!(" {split}")).unwrap_or_default();
        format!("{dataset}{class}{split} of {}", place_text(state, place))
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        Some(listed(state, screen)?.table(&COLUMNS, |image| image.image.to_string(), row, "no images here"))
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let View::Images { place, dataset, .. } = &screen.view else { return None };
        let image = listed(state, screen)?.rows.get(n)?.image;
        Some(Subject::Image { place: place.clone(), image, dataset: *dataset })
    }

    fn table_area(&self, _: &State, screen: &Screen, body: Rect) -> Rect {
        if screen.full {
            Rect { height: 0, ..body }
        } else {
            Rect { width: body.width - body.width * 2 / 5, ..body }
        }
    }

    fn pictures(&self, state: &State, screen: &Screen, body: Rect) -> Vec<(Shown, Cells)> {
        let area = picture_area(screen, body);
        let Some((listed, agent)) = listed(state, screen).zip(screen.view.agent()) else {
            return Vec::new();
        };
        // The selected one first, then its neighbours: going on must not wait.
        let at = |by: isize| {
            let shown = screen.table.selected.checked_add_signed(by)?;
            Some(Shown { agent, image: listed.rows.get(super::source_row(state, shown)?)?.image })
        };
        let room = |shown| (shown, (area.width, area.height));
        [0, 1, -1, 2].into_iter().filter_map(at).map(room).collect()
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        draw_table(cx, self.table_area(cx.state, cx.screen, body), buffer);
        if let Some(Subject::Image { image, .. }) = super::subject(cx.state) {
            prediction::draw_picture(cx, image, picture_area(cx.screen, body), buffer);
        }
    }
}

fn picture_area(screen: &Screen, body: Rect) -> Rect {
    if screen.full {
        return body;
    }
    let width = body.width * 2 / 5;
    Rect { x: body.right() - width + 1, width: width.saturating_sub(1), ..body }
}

fn want(screen: &Screen) -> Option<Want> {
    let View::Images { place, dataset, class, split } = &screen.view else { return None };
    let (project, dataset, class, split) = (place.project.clone(), *dataset, class.clone(), *split);
    Some(Want { agent: place.agent, query: Query::Images { project, dataset, class, split } })
}

/// Its rows, as far as they are here.
fn listed<'a>(state: &'a State, screen: &Screen) -> Option<Listed<'a, DatasetImage>> {
    Some(Listed::of(state, want(screen)?, |answer| match answer {
        Answer::Images(rows) => Some(rows),
        _ => None,
    }))
}

fn row(image: &DatasetImage) -> Row {
    let quality = &image.quality;
    let pixels = f64::from(quality.width) * f64::from(quality.height);
    Row::new(vec![
        Cell::text(&image.label),
        Cell::text(image.split.to_string()),
        Cell::figure(format!("{}×{}", quality.width, quality.height), pixels),
        Cell::figure(bytes(quality.bytes), quality.bytes as f64),
        Cell::figure(format!("{:.0}", quality.sharpness), f64::from(quality.sharpness)),
        Cell::figure(format!("{:.2}", quality.brightness), f64::from(quality.brightness)),
        Cell::text(&image.origin),
    ])
}
