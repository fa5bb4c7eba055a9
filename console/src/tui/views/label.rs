//! The labelling desk: one picture, as large as the screen allows, and the keys that answer. Its tabs
//! are the queues: what nobody knows, the audit, the clusters.

mod clusters;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::feedback::{LabelItem, LabelQueue};
use vigie_protocol::prediction::{Prediction, Scored};

pub(in crate::tui) use clusters::{across, cluster, clusters, members, members_want, on_a_page, picture};

use super::{Cx, Page, draw_waiting, prediction};
use crate::out::{age, count, safe};
use crate::tui::state::{Answer, Cells, Desk, Labelling, Place, Query, Screen, Shown, State, View, Want};
use crate::tui::theme::Role;
use crate::tui::widgets::bars::{Bar, Bars};
use crate::tui::widgets::put;
use crate::tui::widgets::scale::Measure;

pub(super) struct Label;

/// The queues in the order of the tabs.
const QUEUES: [LabelQueue; 3] = [LabelQueue::Deferred, LabelQueue::Audit, LabelQueue::Cluster];
/// Pictures that are made ready beyond the one shown: at one a second they are there in time over a
/// link of some hundred milliseconds.
const PREFETCHED: usize = 6;

impl Page for Label {
    fn tabs(&self) -> &'static [&'static str] {
        &["deferred", "audit", "clusters"]
    }

    fn wants(&self, state: &State, screen: &Screen) -> Vec<Want> {
        let Some(Desk { place, .. }) = desk(screen) else { return Vec::new() };
        let classes = Query::LabelClasses { project: place.project.clone() };
        let classes = Want { agent: place.agent, query: classes };
        let more = members_want(state).or_else(|| revealed_want(state));
        want(screen).into_iter().chain([classes]).chain(more).collect()
    }

    fn pictures(&self, state: &State, screen: &Screen, body: Rect) -> Vec<(Shown, Cells)> {
        let Some(desk) = desk(screen) else { return Vec::new() };
        let agent = desk.place.agent;
        if desk.queue == LabelQueue::Cluster {
            return clusters::pictures(state, screen, body);
        }
        let area = picture_area(screen, body);
        let room = (area.width, area.height);
        upcoming(state, 1 + PREFETCHED)
            .into_iter()
            .map(|item| (Shown { agent, image: item.image }, room))
            .collect()
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let Some(desk) = desk(cx.screen) else { return };
        if desk.queue == LabelQueue::Cluster {
            return clusters::draw(cx, body, buffer);
        }
        let slot = want(cx.screen).and_then(|want| cx.state.store.get(&want));
        let picture = picture_area(cx.screen, body);
        let side = side_area(picture, body);
        match next(cx.state) {
            Some(item) => {
                prediction::draw_picture(cx, item.image, picture, buffer);
                if !cx.screen.full {
                    draw_item(cx, item, side, buffer);
                }
            }
            None => draw_waiting(cx, slot, "nothing waits here; ctrl-l looks again", picture, buffer),
        }
        if !cx.screen.full {
            draw_progress(cx, &desk, side, buffer);
        }
    }
}

/// The desk that a screen shows.
pub(in crate::tui) fn desk(screen: &Screen) -> Option<Desk> {
    let View::Label { place } = &screen.view else { return None };
    let queue = QUEUES.get(usize::from(screen.tab)).copied().unwrap_or(LabelQueue::Deferred);
    Some(Desk { place: place.clone(), queue })
}

/// What a screen's queue is asked with.
pub(in crate::tui) fn want(screen: &Screen) -> Option<Want> {
    let Desk { place: Place { agent, project }, queue } = desk(screen)?;
    let query = match queue {
        LabelQueue::Cluster => Query::LabelClusters { project },
        queue => Query::LabelNext { project, queue },
    };
    Some(Want { agent, query })
}

/// The image that is asked for.
pub(in crate::tui) fn next(state: &State) -> Option<&LabelItem> {
    upcoming(state, 1).pop()
}

/// Up to `most` images, the one that is asked for first.
pub(in crate::tui) fn upcoming(state: &State, most: usize) -> Vec<&LabelItem> {
    let queue = match answer(state) {
        Some(Answer::LabelNext { items, .. }) => items.rows.as_slice(),
        _ => &[],
    };
    let here = desk(state.screen());
    match &state.labelling {
        sitting if sitting.desk == here => sitting.upcoming(queue).take(most).collect(),
        _ => queue.iter().take(most).collect(),
    }
}

/// Whether what was predicted is not seen: in an audit, until somebody asks for it and it is here.
pub(in crate::tui) fn is_hidden(state: &State) -> bool {
    desk(state.screen()).is_some_and(|desk| desk.queue == LabelQueue::Audit) && revealed(state).is_none()
}

/// The best classes of the image that is asked for, best first; none while they are hidden.
pub(in crate::tui) fn top(state: &State) -> &[Scored] {
    match next(state) {
        _ if is_hidden(state) => &[],
        Some(item) => revealed(state).map_or(&item.top, |prediction| &prediction.top),
        None => &[],
    }
}

/// What is asked for once the prediction of an audit is to be seen: the audit itself withholds it.
fn revealed_want(state: &State) -> Option<Want> {
    let desk = desk(state.screen())?;
    let sitting = &state.labelling;
    let wanted = desk.queue == LabelQueue::Audit && sitting.shown && sitting.desk.as_ref() == Some(&desk);
    let id = next(state).filter(|_| wanted)?.prediction;
    let query = Query::Prediction { project: desk.place.project, id };
    Some(Want { agent: desk.place.agent, query })
}

fn revealed(state: &State) -> Option<&Prediction> {
    match state.store.get(&revealed_want(state)?)?.answer.as_ref()? {
        Answer::Prediction(prediction) => Some(prediction),
        _ => None,
    }
}

/// Classes that an answer can name.
pub(in crate::tui) fn classes<'a>(state: &'a State, place: &Place) -> &'a [String] {
    let query = Query::LabelClasses { project: place.project.clone() };
    match state.answer(place.agent, query) {
        Some(Answer::LabelClasses(classes)) => classes,
        _ => &[],
    }
}

fn answer(state: &State) -> Option<&Answer> {
    state.store.get(&want(state.screen())?)?.answer.as_ref()
}

/// The left two thirds, or everything.
fn picture_area(screen: &Screen, body: Rect) -> Rect {
    if screen.full {
        return body;
    }
    Rect { width: body.width * 2 / 3, ..body }
}

fn side_area(picture: Rect, body: Rect) -> Rect {
    let x = picture.right() + 2;
    Rect { x, width: body.right().saturating_sub(x), ..body }
}

fn draw_item(cx: &Cx<'_>, item: &LabelItem, side: Rect, buffer: &mut Buffer) {
    let dim = cx.theme.style(Role::Dim);
    let mut y = side.y + 4;
    let mut line = |text: &str, style, buffer: &mut Buffer| {
        put(buffer, side.x, y, side.width, text, style);
        y += 1;
    };
    let name = match revealed(cx.state) {
        Some(prediction) => prediction.name.as_deref(),
        None => item.name.as_deref(),
    };
    // A file is often called after what it shows.
    let hidden = is_hidden(cx.state);
    if !hidden {
        line(&name.map_or("(no name)".to_owned(), safe), cx.theme.style(Role::Text), buffer);
    }
    line(&format!("{} by {}", age(cx.state.now, item.at), item.model), dim, buffer);
    for vote in item.votes.iter().take(3).filter(|_| !hidden) {
        line(&format!("{}: {}", safe(&vote.by), safe(&vote.said.to_string())), dim, buffer);
    }
    line("", dim, buffer);
    if hidden && revealed_want(cx.state).is_some() {
        return line("asking for the prediction…", dim, buffer);
    }
    if hidden {
        let key = cx.state.keymap.shown("reveal");
        line("name, prediction: hidden", dim, buffer);
        return line(&format!("{key} shows them, not blind"), dim, buffer);
    }
    let top = top(cx.state);
    line("PREDICTED", cx.theme.style(Role::Title), buffer);
    let names: Vec<String> = (1..).zip(top).map(|(n, one)| format!("{n} {}", safe(&one.class))).collect();
    let shares: Vec<[f64; 1]> = top.iter().map(|one| [f64::from(one.probability)]).collect();
    let bars: Vec<Bar<'_>> =
        names.iter().zip(&shares).map(|(name, parts)| Bar { name, parts, interval: None }).collect();
    let high = (bars.len() as u16).min(side.bottom().saturating_sub(y));
    let (parts, selected, full) = (&[][..], None, Some(1.0));
    Bars { bars: &bars, parts, measure: Measure::Share, full, selected, top: 0 }.draw(
        cx.theme,
        Rect { y, height: high, ..side },
        buffer,
    );
}

/// How many are done of how many, and how fast.
fn draw_progress(cx: &Cx<'_>, desk: &Desk, side: Rect, buffer: &mut Buffer) {
    let fresh = Labelling::default();
    let sitting = match &cx.state.labelling {
        sitting if sitting.desk.as_ref() == Some(desk) => sitting,
        _ => &fresh,
    };
    let (waiting, gone) = match answer(cx.state) {
        Some(Answer::LabelNext { waiting, gone, .. }) => (*waiting, *gone),
        _ => (0, 0),
    };
    let title = match desk.queue {
        LabelQueue::Audit => "WHAT IS IT? (blind)",
        _ => "WHAT IS IT?",
    };
    put(buffer, side.x, side.y, side.width, title, cx.theme.style(Role::Title));
    let total = waiting.max(sitting.answered);
    let pace = sitting.pace(cx.state.now).map_or(String::new(), |pace| format!(", {pace:.0} a minute"));
    let text = format!("{} of {}{pace}", count(sitting.answered), count(total));
    put(buffer, side.x, side.y + 1, side.width, &text, cx.theme.style(Role::Accent));
    let skipped = sitting.done.iter().filter(|done| done.said.is_none()).count() as u64;
    let mut notes = Vec::new();
    if skipped > 0 {
        notes.push(format!("{} skipped", count(skipped)));
    }
    if gone > 0 {
        notes.push(format!("{} without a picture", count(gone)));
    }
    put(buffer, side.x, side.y + 2, side.width, &notes.join(", "), cx.theme.style(Role::Dim));
}
