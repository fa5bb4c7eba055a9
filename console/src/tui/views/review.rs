//! A change-set image by image: what becomes of each, what speaks for a second look, and its picture
//! beside the one it resembles.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::Hash;
use vigie_protocol::dataset::ChangeKind;
use vigie_protocol::review::{ChangeSetImage, ImageFinding};

use super::facts::Facts;
use super::listed::Listed;
use super::{Cx, Page, Subject, changesets, diff, draw_table, prediction};
use crate::out::{count, safe, words};
use crate::tui::state::{Answer, Cells, Query, Screen, Shown, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Table};
use crate::tui::theme::Role;
use crate::tui::widgets::put;

pub(super) struct Review;

const COLUMNS: [Column; 6] = [
    Column::short("CHANGE", 13),
    Column::short("FROM", 24),
    Column::short("TO", 24),
    Column::short("SPLIT", 13),
    Column::short("FINDINGS", 32),
    Column::rest("ORIGIN"),
];

const TABS: [&str; 2] = ["all", "findings"];
/// Lines above the table: where the change-set stands, what of it is shown.
const HEAD: u16 = 3;

impl Page for Review {
    fn tabs(&self) -> &'static [&'static str] {
        &TABS
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        let View::Review { place, id, .. } = &screen.view else { return Vec::new() };
        let set = Query::ChangeSet { project: place.project.clone(), id: *id };
        want(screen).into_iter().chain([Want { agent: place.agent, query: set }]).collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let empty = match &screen.view {
            View::Review { class: None, kind: None, .. } if screen.tab == 0 => "it changes no image",
            _ if screen.tab == 1 => "nothing speaks for a second look here; tab shows all images",
            _ => "no such images; :class and :kind all show the others",
        };
        Some(listed(state, screen)?.table(
            &COLUMNS,
            |image| image.change.image.to_string(),
            move |image| row(state, image),
            empty,
        ))
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let View::Review { place, id, .. } = &screen.view else { return None };
        let image = listed(state, screen)?.rows.get(n)?.change.image;
        Some(Subject::ChangedImage { place: place.clone(), id: *id, image })
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        let View::Review { place, id, .. } = &screen.view else { return None };
        Some(Subject::ChangeSet { place: place.clone(), id: *id })
    }

    fn table_area(&self, _: &State, screen: &Screen, body: Rect) -> Rect {
        if screen.full {
            return Rect { height: 0, ..body };
        }
        let head = HEAD.min(body.height);
        Rect { y: body.y + head, height: (body.height - head) * 2 / 5, ..body }
    }

    fn pictures(&self, state: &State, screen: &Screen, body: Rect) -> Vec<(Shown, Cells)> {
        let Some(agent) = screen.view.agent() else { return Vec::new() };
        let areas = picture_areas(self.below(state, screen, body), screen.full);
        // The selected one and the one it resembles first, then the next: going on must not wait.
        let pair = |by: usize| {
            let image = at(state, screen, screen.table.selected + by)?;
            Some([Some(image.change.image), resembled(image).map(|other| other.image)])
        };
        let shown = (0..2).filter_map(pair).flat_map(|pair| pair.into_iter().zip(areas));
        shown
            .filter_map(|(image, area)| Some((Shown { agent, image: image? }, (area.width, area.height))))
            .collect()
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        if !cx.screen.full {
            draw_head(cx, body, buffer);
            draw_table(cx, self.table_area(cx.state, cx.screen, body), buffer);
        }
        let Some(image) = at(cx.state, cx.screen, cx.screen.table.selected) else { return };
        let below = self.below(cx.state, cx.screen, body);
        let [own, other] = picture_areas(below, cx.screen.full);
        let title = |area: Rect, text: &str, buffer: &mut Buffer| {
            put(buffer, area.x, area.y.saturating_sub(1), area.width, text, cx.theme.style(Role::Dim));
        };
        title(own, &safe(&image.change.origin), buffer);
        prediction::draw_picture(cx, image.change.image, own, buffer);
        let mut right = own.right();
        if let Some(resembled) = resembled(image) {
            title(other, &safe(&resembled.title), buffer);
            prediction::draw_picture(cx, resembled.image, other, buffer);
            right = other.right();
        }
        if !cx.screen.full {
            let x = right + 2;
            let side = Rect { x, width: body.right().saturating_sub(x), ..below };
            facts(image).draw(cx.screen.scroll, cx.theme, side, buffer);
        }
    }
}

impl Review {
    /// Where pictures and facts are drawn.
    fn below(&self, state: &State, screen: &Screen, body: Rect) -> Rect {
        if screen.full {
            return body;
        }
        let y = (self.table_area(state, screen, body).bottom() + 1).min(body.bottom());
        Rect { y, height: body.bottom() - y, ..body }
    }
}

/// The class that the images shown are narrowed to, and the kind.
pub(in crate::tui) fn narrowed(state: &State) -> Option<(Option<String>, Option<ChangeKind>)> {
    match &state.screen().view {
        View::Review { class, kind, .. } => Some((class.clone(), *kind)),
        _ => None,
    }
}

/// The class of the selected image: the one it gets, or the one it had.
pub(in crate::tui) fn class_here(state: &State) -> Option<String> {
    let change = &at(state, state.screen(), state.screen().table.selected)?.change;
    change.to.as_ref().or(change.from.as_ref()).map(|placement| placement.label.clone())
}

/// The marked images.
pub(in crate::tui) fn marked(state: &State) -> Vec<Hash> {
    match &state.screen().view {
        View::Review { .. } => {
            state.screen().table.marks.iter().filter_map(|mark| mark.parse().ok()).collect()
        }
        _ => Vec::new(),
    }
}

/// The classes that the change-set at hand changes; nothing where none is looked at.
pub(in crate::tui) fn classes(state: &State) -> Option<Vec<String>> {
    if !matches!(state.screen().view, View::Review { .. } | View::ChangeSet { .. }) {
        return None;
    }
    let (_, set) = super::change_set(state)?;
    Some(set.classes.keys().cloned().collect())
}

fn want(screen: &Screen) -> Option<Want> {
    let View::Review { place, id, class, kind } = &screen.view else { return None };
    let (project, id, class, kind) = (place.project.clone(), *id, class.clone(), *kind);
    let query = Query::ChangeSetImages { project, id, class, kind, only_findings: screen.tab == 1 };
    Some(Want { agent: place.agent, query })
}

/// Its rows, as far as they are here.
fn listed<'a>(state: &'a State, screen: &Screen) -> Option<Listed<'a, ChangeSetImage>> {
    Some(Listed::of(state, want(screen)?, |answer| match answer {
        Answer::ChangeSetImages(rows) => Some(rows),
        _ => None,
    }))
}

/// The image in the n-th place shown.
fn at<'a>(state: &'a State, screen: &Screen, shown: usize) -> Option<&'a ChangeSetImage> {
    listed(state, screen)?.rows.get(super::source_row(state, shown)?)
}

/// Another image that a finding names.
struct Resembled {
    image: Hash,
    title: String,
}

/// The image that this one looks like, else one of its group that serves elsewhere.
fn resembled(image: &ChangeSetImage) -> Option<Resembled> {
    let near = image.findings.iter().find_map(|finding| match finding {
        ImageFinding::NearDuplicate { of, origin, label, .. } => {
            Some(Resembled { image: *of, title: format!("looks like {origin} ({label})") })
        }
        _ => None,
    });
    let leak = || {
        image.findings.iter().find_map(|finding| match finding {
            ImageFinding::Leak { of, origin, split } => {
                Some(Resembled { image: *of, title: format!("{split}: {origin}") })
            }
            _ => None,
        })
    };
    near.or_else(leak)
}

/// Room for the picture and for the one beside it, each with a line above it.
fn picture_areas(below: Rect, full: bool) -> [Rect; 2] {
    let width = below.width / if full { 2 } else { 3 };
    [0, 1].map(|n| Rect {
        x: below.x + n * width,
        y: below.y + 1.min(below.height),
        width: width.saturating_sub(1),
        height: below.height.saturating_sub(1),
    })
}

fn draw_head(cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
    let View::Review { place, id, class, kind } = &cx.screen.view else { return };
    let mut line = |n: u16, text: &str, role: Role| {
        put(buffer, body.x, body.y + n, body.width, text, cx.theme.style(role));
    };
    if let Some(set) = super::find_change_set(cx.state, place, *id) {
        let (role, word) = changesets::standing(set);
        let became =
            set.accepted_as.map(|number| format!(" as {}@v{number}", set.lineage)).unwrap_or_default();
        let part = if set.left.is_empty() { "" } else { ", a part of it" };
        let mark = cx.theme.mark(role);
        line(0, &format!("{mark} {word}{became}{part}: {}", safe(&set.origin)), role);
    }
    let kind = kind.and_then(|kind| {
        let (word, _) = crate::tui::command::CHANGES.into_iter().find(|(_, one)| *one == Some(kind))?;
        Some(word.to_owned())
    });
    let narrowed: Vec<String> =
        class.as_ref().map(|class| format!("class {}", safe(class))).into_iter().chain(kind).collect();
    let mut text = if narrowed.is_empty() { "every class and kind".to_owned() } else { narrowed.join(", ") };
    let marked = cx.screen.table.marks.len() as u64;
    if marked > 0 {
        text.push_str(&format!("; {} marked, shown or not", count(marked)));
    }
    line(1, &text, Role::Dim);
}

fn row(state: &State, image: &ChangeSetImage) -> Row {
    let [kind, from, to, split] = diff::change_cells(state, &image.change);
    let found: Vec<String> = image.findings.iter().map(short).collect();
    let found = match found.is_empty() {
        true => Cell::none(),
        false => Cell::text(found.join(", ")).role(Role::Warn).by(found.len() as f64),
    };
    let origin = Cell::text(&image.change.origin);
    Row::new(vec![kind, from, to, split, found, origin]).fault(!image.findings.is_empty())
}

/// A finding in a word or two.
fn short(finding: &ImageFinding) -> String {
    match finding {
        ImageFinding::NearDuplicate { .. } => "looks alike".to_owned(),
        ImageFinding::Leak { split, .. } => format!("leaks into {split}"),
        ImageFinding::Outlier { feature, .. } => format!("unusual {feature}"),
        ImageFinding::EntersTest => "enters test".to_owned(),
        ImageFinding::Unknown => "unknown".to_owned(),
    }
}

fn facts(image: &ChangeSetImage) -> Facts {
    let quality = &image.quality;
    let mut facts = Facts::new();
    for finding in &image.findings {
        facts = facts.field("found", safe(&words::finding(finding)));
    }
    if image.findings.is_empty() {
        facts = facts.field("found", "nothing that speaks for a second look");
    }
    facts
        .field("size", format!("{}×{}", quality.width, quality.height))
        .field("group", image.group.as_deref().map_or("-".to_owned(), safe))
        .field("image", image.change.image.short().to_string())
}
