//! The labelling desk: one picture, as large as the screen allows, and the keys that answer. Its tabs
//! are the queues: what nobody knows, the audit, the clusters.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::feedback::{Cluster, Clusters, LabelItem, LabelQueue};

use super::{Cx, Page, draw_waiting, place_text, prediction};
use crate::out::{age, count, safe};
use crate::tui::state::{
    Answer, Cells, Desk, Labelling, Place, Query, Screen, Shown, Slot, State, View, Want,
};
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
/// Cells of a picture in the grid of a cluster.
const THUMB: (u16, u16) = (18, 9);

impl Page for Label {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        screen.view.place().map(|place| place_text(state, place)).unwrap_or_default()
    }

    fn tabs(&self) -> &'static [&'static str] {
        &["deferred", "audit", "clusters"]
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        let Some(Desk { place, .. }) = desk(screen) else { return Vec::new() };
        let classes = Query::LabelClasses { project: place.project.clone() };
        want(screen).into_iter().chain([Want { agent: place.agent, query: classes }]).collect()
    }

    fn pictures(&self, state: &State, screen: &Screen, body: Rect) -> Vec<(Shown, Cells)> {
        let Some(desk) = desk(screen) else { return Vec::new() };
        let agent = desk.place.agent;
        if desk.queue == LabelQueue::Cluster {
            let mut shown = Vec::new();
            // The one looked at, then its neighbour: going on must not wait.
            for cluster in waiting_clusters(state).skip(selected(state)).take(2) {
                let places = grid(grid_area(body)).into_iter().zip(&cluster.examples);
                shown
                    .extend(places.map(|(area, &image)| (Shown { agent, image }, (area.width, area.height))));
            }
            return shown;
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
            return draw_clusters(cx, body, buffer);
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

/// Whether what was predicted must not be seen.
pub(in crate::tui) fn is_hidden(state: &State) -> bool {
    desk(state.screen()).is_some_and(|desk| {
        let here = state.labelling.desk.as_ref() == Some(&desk);
        desk.queue == LabelQueue::Audit && !(here && state.labelling.shown)
    })
}

/// The clusters, once they are here.
pub(in crate::tui) fn clusters(state: &State) -> Option<&Clusters> {
    match answer(state)? {
        Answer::LabelClusters(clusters) => Some(clusters),
        _ => None,
    }
}

/// The cluster that is looked at.
pub(in crate::tui) fn cluster(state: &State) -> Option<&Cluster> {
    waiting_clusters(state).nth(selected(state))
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

/// The clusters that were not answered here.
fn waiting_clusters(state: &State) -> impl Iterator<Item = &Cluster> {
    let all = clusters(state);
    let over = move |cluster: &&Cluster| match (&state.labelling.clusters, all.and_then(|all| all.made)) {
        (Some((made, answered)), Some(of)) => !(*made == of && answered.contains(&cluster.number)),
        _ => true,
    };
    all.into_iter().flat_map(|all| &all.clusters).filter(over)
}

/// The place of the cluster that is looked at; past the last one it is the last.
fn selected(state: &State) -> usize {
    usize::from(state.screen().scroll).min(waiting_clusters(state).count().saturating_sub(1))
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
    line(&item.name.as_deref().map_or("(no name)".to_owned(), safe), cx.theme.style(Role::Text), buffer);
    line(&format!("{} by {}", age(cx.state.now, item.at), item.model), dim, buffer);
    for vote in item.votes.iter().take(3) {
        line(&format!("{}: {}", safe(&vote.by), safe(&vote.said.to_string())), dim, buffer);
    }
    line("", dim, buffer);
    if is_hidden(cx.state) {
        let key = cx.state.keymap.shown("reveal");
        line("predicted classes are hidden", dim, buffer);
        line(&format!("{key} shows them (not blind then)"), dim, buffer);
        return;
    }
    line("PREDICTED", cx.theme.style(Role::Title), buffer);
    let names: Vec<String> =
        (1..).zip(&item.top).map(|(n, one)| format!("{n} {}", safe(&one.class))).collect();
    let shares: Vec<[f64; 1]> = item.top.iter().map(|one| [f64::from(one.probability)]).collect();
    let bars: Vec<Bar<'_>> =
        names.iter().zip(&shares).map(|(name, parts)| Bar { name, parts, interval: None }).collect();
    let high = (bars.len() as u16).min(side.bottom().saturating_sub(y));
    let (parts, selected, top) = (&[][..], None, 0);
    Bars { bars: &bars, parts, measure: Measure::Share, full: Some(1.0), selected, top }.draw(
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

/// Below the lines on top.
fn grid_area(body: Rect) -> Rect {
    Rect { y: body.y + 3, height: body.height.saturating_sub(3), ..body }
}

/// The places of the pictures of a cluster.
fn grid(area: Rect) -> Vec<Rect> {
    let (across, down) = (area.width / THUMB.0, area.height / THUMB.1);
    let place = |n: u16| {
        Rect::new(area.x + n % across * THUMB.0, area.y + n / across * THUMB.1, THUMB.0 - 1, THUMB.1 - 1)
    };
    (0..across * down).map(place).collect()
}

fn draw_clusters(cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
    let slot: Option<&Slot> = want(cx.screen).and_then(|want| cx.state.store.get(&want));
    let keys = |name| cx.state.keymap.shown(name);
    let Some(cluster) = cluster(cx.state) else {
        let empty = format!("no clusters are left; {} groups what is deferred anew", keys("regroup"));
        return draw_waiting(cx, slot, &empty, body, buffer);
    };
    let (n, all) = (selected(cx.state) + 1, waiting_clusters(cx.state).count());
    let outside = clusters(cx.state).map_or(0, |clusters| clusters.outside);
    let head = format!(
        "cluster {} ({n} of {all}), {} images that look alike; {} deferred images are in none",
        cluster.number,
        count(cluster.images),
        count(outside)
    );
    put(buffer, body.x, body.y, body.width, &head, cx.theme.style(Role::Title));
    let predicted: Vec<String> =
        (1..).zip(&cluster.predicted).map(|(n, class)| format!("{n} {}", safe(class))).collect();
    let text = format!("mostly predicted as {}", predicted.join(", "));
    put(buffer, body.x, body.y + 1, body.width, &text, cx.theme.style(Role::Dim));
    for (area, &image) in grid(grid_area(body)).into_iter().zip(&cluster.examples) {
        prediction::draw_picture(cx, image, area, buffer);
    }
}
