//! What changed from one dataset version to another: by class, and image by image with its picture.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::dataset::{ChangeKind, ClassChange, ImageChange, Placement};

use super::{Cx, Page, Subject, draw_table, place_text, prediction};
use crate::out::{count, signed};
use crate::tui::state::{Answer, Cells, Query, Screen, Shown, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;

pub(super) struct Diff;

const CLASSES: [Column; 6] = [
    Column::short("CLASS", 32),
    Column::figure("ADDED"),
    Column::figure("REMOVED"),
    Column::figure("RELABELLED IN"),
    Column::figure("OUT"),
    Column::figure("MOVED"),
];

const IMAGES: [Column; 5] = [
    Column::short("CHANGE", 13),
    Column::short("FROM", 24),
    Column::short("TO", 24),
    Column::short("SPLIT", 13),
    Column::rest("ORIGIN"),
];

const TABS: [&str; 2] = ["classes", "images"];

impl Page for Diff {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        let View::DatasetDiff { place, from, to } = &screen.view else { return String::new() };
        let from = from.map_or("nothing".to_owned(), |from| from.to_string());
        format!("{from} to {to} of {}", place_text(state, place))
    }

    fn tabs(&self) -> &'static [&'static str] {
        &TABS
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let want = want(screen)?;
        let slot = state.store.get(&want);
        let revision = slot.map_or(0, |slot| slot.revision);
        let empty = super::waiting(slot, "the versions hold the same images, labels and splits");
        let answer = slot.and_then(|slot| slot.answer.as_ref());
        if screen.tab == 0 {
            let classes: Vec<(String, ClassChange)> = match answer {
                Some(Answer::DatasetDiff { classes, .. }) => {
                    classes.iter().map(|(name, change)| (name.clone(), *change)).collect()
                }
                _ => Vec::new(),
            };
            let source = Slice::owned(classes, |(name, _): &(String, ClassChange)| name.clone(), class_row);
            return Some(Table { columns: &CLASSES, source, revision: revision * 2, want: None, empty });
        }
        let (rows, more): (&[ImageChange], bool) = match answer {
            Some(Answer::DatasetDiff { images, .. }) => (&images.rows, images.next.is_some()),
            _ => (&[], false),
        };
        let source =
            Slice::boxed(rows, |change| change.image.to_string(), move |change| image_row(state, change));
        // Two tables in one screen: their revisions must not meet.
        Some(Table { columns: &IMAGES, source, revision: revision * 2 + 1, want: Some((want, more)), empty })
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let View::DatasetDiff { place, to, .. } = &screen.view else { return None };
        let Answer::DatasetDiff { classes, images } = state.store.get(&want(screen)?)?.answer.as_ref()?
        else {
            return None;
        };
        let place = place.clone();
        if screen.tab == 0 {
            let class = classes.keys().nth(n)?.clone();
            return Some(Subject::Class { place, dataset: *to, class });
        }
        Some(Subject::Image { place, image: images.rows.get(n)?.image, dataset: *to })
    }

    fn table_area(&self, _: &State, screen: &Screen, body: Rect) -> Rect {
        if screen.tab == 0 { body } else { Rect { width: body.width - body.width / 3, ..body } }
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
        draw_table(cx, self.table_area(cx.state, cx.screen, body), buffer);
        if cx.screen.tab == 1
            && let Some(Subject::Image { image, .. }) = super::subject(cx.state)
        {
            prediction::draw_picture(cx, image, picture_area(body), buffer);
        }
    }
}

fn picture_area(body: Rect) -> Rect {
    let width = body.width / 3;
    Rect { x: body.right() - width + 1, width: width.saturating_sub(1), ..body }
}

fn want(screen: &Screen) -> Option<Want> {
    let View::DatasetDiff { place, from, to } = &screen.view else { return None };
    let query = Query::DatasetDiff { project: place.project.clone(), from: *from, to: *to };
    Some(Want { agent: place.agent, query })
}

fn class_row((name, change): &(String, ClassChange)) -> Row {
    let changed = |sign, n: u64| Cell::figure(signed(sign, n), n as f64);
    Row::new(vec![
        Cell::text(name),
        changed('+', change.added).role(Role::Good),
        changed('-', change.removed).role(Role::Bad),
        changed('+', change.relabelled_in),
        changed('-', change.relabelled_out),
        Cell::figure(count(change.moved), change.moved as f64),
    ])
    .fault(change.removed > 0 || change.relabelled_out > 0)
}

fn image_row(state: &State, change: &ImageChange) -> Row {
    let [kind, from, to, split] = change_cells(state, change);
    Row::new(vec![kind, from, to, split, Cell::text(&change.origin)])
        .fault(matches!(change.kind, ChangeKind::Removed | ChangeKind::Relabelled))
}

/// What becomes of an image, its class before and then, and where it serves.
pub(super) fn change_cells(state: &State, change: &ImageChange) -> [Cell; 4] {
    let (role, word) = match change.kind {
        ChangeKind::Added => (Role::Good, "added"),
        ChangeKind::Removed => (Role::Bad, "removed"),
        ChangeKind::Relabelled => (Role::Warn, "relabelled"),
        ChangeKind::Moved => (Role::Busy, "moved"),
        ChangeKind::Unknown => (Role::Dim, "unknown"),
    };
    let label = |placement: &Option<Placement>| {
        placement.as_ref().map_or_else(Cell::none, |placement| Cell::text(&placement.label))
    };
    let split = match (&change.from, &change.to) {
        (Some(from), Some(to)) if from.split != to.split => {
            Cell::text(format!("{} {} {}", from.split, state.theme.mark(Role::Accent), to.split))
        }
        (Some(at), _) | (None, Some(at)) => Cell::text(at.split.to_string()),
        (None, None) => Cell::none(),
    };
    let kind = Cell::text(format!("{} {word}", state.theme.mark(role))).role(role);
    [kind, label(&change.from), label(&change.to), split]
}
