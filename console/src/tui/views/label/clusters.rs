//! The clusters at the labelling desk: the pictures of one in a grid, those that its answer leaves out
//! among them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use vigie_protocol::feedback::{Cluster, Clusters, LabelItem};

use super::super::{Cx, draw_waiting, prediction};
use super::{answer, desk};
use crate::out::{count, percent, safe};
use crate::tui::state::{Answer, AtClusters, Cells, Query, Screen, Shown, Slot, State, Want};
use crate::tui::theme::Role;
use crate::tui::update;
use crate::tui::widgets::put;

/// Cells of a picture in the grid, the line below it among them.
const THUMB: (u16, u16) = (18, 9);
/// Lines above the grid.
const HEAD: u16 = 3;

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

/// What is asked for the pictures of the cluster that is looked at.
pub(in crate::tui) fn members_want(state: &State) -> Option<Want> {
    let place = desk(state.screen())?.place;
    let (made, cluster) = (clusters(state)?.made?, cluster(state)?.number);
    let query = Query::LabelMembers { project: place.project, made, cluster };
    Some(Want { agent: place.agent, query })
}

/// The pictures of the cluster that is looked at, as far as they are here.
pub(in crate::tui) fn members(state: &State) -> &[LabelItem] {
    match members_slot(state).and_then(|slot| slot.answer.as_ref()) {
        Some(Answer::LabelNext { items, .. }) => &items.rows,
        _ => &[],
    }
}

/// The place of the picture that keys act on, among those here.
pub(in crate::tui) fn picture(state: &State) -> usize {
    let at = here(state).zip(cluster(state)).map_or(0, |(here, cluster)| here.picture(cluster.number));
    at.min(members(state).len().saturating_sub(1))
}

/// How many pictures stand side by side.
pub(in crate::tui) fn across(size: Cells) -> usize {
    usize::from(grid_area(update::body(size)).width / THUMB.0).max(1)
}

/// Pictures that fit.
pub(in crate::tui) fn on_a_page(size: Cells) -> usize {
    grid(grid_area(update::body(size))).len().max(1)
}

/// The pictures that are drawn, then those of the next cluster: going on must not wait.
pub(super) fn pictures(state: &State, screen: &Screen, body: Rect) -> Vec<(Shown, Cells)> {
    let Some(agent) = screen.view.agent() else { return Vec::new() };
    let places = grid(grid_area(body));
    let shown = |image| (Shown { agent, image }, (THUMB.0 - 1, THUMB.1 - 1));
    let now = page(state, places.len()).map(|(_, item)| shown(item.image));
    let next = waiting_clusters(state).nth(selected(state) + 1);
    // Before the list of the pictures is here, what was told of the cluster itself is shown.
    let told = cluster(state).filter(|_| members(state).is_empty());
    let examples = told.into_iter().chain(next);
    let examples = examples.flat_map(|cluster| cluster.examples.iter().take(places.len()));
    now.chain(examples.map(|&image| shown(image))).collect()
}

pub(super) fn draw(cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
    let state = cx.state;
    let slot: Option<&Slot> = super::want(cx.screen).and_then(|want| state.store.get(&want));
    let Some(cluster) = cluster(state) else {
        let regroup = state.keymap.shown("regroup");
        let empty = format!("no clusters are left; {regroup} groups what is deferred anew");
        return draw_waiting(cx, slot, &empty, body, buffer);
    };
    draw_head(cx, cluster, body, buffer);
    let places = grid(grid_area(body));
    if members(state).is_empty() {
        for (place, &image) in places.into_iter().zip(&cluster.examples) {
            prediction::draw_picture(cx, image, above(place), buffer);
        }
        return;
    }
    let at = picture(state);
    for (place, (n, item)) in places.iter().zip(page(state, places.len())) {
        prediction::draw_picture(cx, item.image, above(*place), buffer);
        draw_caption(cx, cluster.number, item, n == at, *place, buffer);
    }
}

/// The clusters that were not answered here.
fn waiting_clusters(state: &State) -> impl Iterator<Item = &Cluster> {
    let here = here(state);
    let over = move |cluster: &&Cluster| here.is_none_or(|here| !here.answered.contains(&cluster.number));
    clusters(state).into_iter().flat_map(|all| &all.clusters).filter(over)
}

/// The place of the cluster that is looked at; past the last one it is the last.
fn selected(state: &State) -> usize {
    usize::from(state.screen().scroll).min(waiting_clusters(state).count().saturating_sub(1))
}

/// What was done about the clusters that are shown.
fn here(state: &State) -> Option<&AtClusters> {
    state.labelling.clusters(state.screen().view.place()?, clusters(state)?.made?)
}

fn members_slot(state: &State) -> Option<&Slot> {
    state.store.get(&members_want(state)?)
}

/// The page of pictures that has the one keys act on, each with its place.
fn page(state: &State, fit: usize) -> impl Iterator<Item = (usize, &LabelItem)> {
    let fit = fit.max(1);
    members(state).iter().enumerate().skip(picture(state) / fit * fit).take(fit)
}

fn draw_head(cx: &Cx<'_>, cluster: &Cluster, body: Rect, buffer: &mut Buffer) {
    let state = cx.state;
    let (n, all) = (selected(state) + 1, waiting_clusters(state).count());
    let outside = clusters(state).map_or(0, |clusters| clusters.outside);
    let head = format!(
        "cluster {} ({n} of {all}), {} images that look alike; {} deferred images are in none",
        cluster.number,
        count(cluster.images),
        count(outside)
    );
    put(buffer, body.x, body.y, body.width, &head, cx.theme.style(Role::Title));
    let predicted: Vec<String> =
        (1..).zip(&cluster.predicted).map(|(n, class)| format!("{n} {}", safe(class))).collect();
    let mut text = format!("mostly predicted as {}", predicted.join(", "));
    let fit = grid(grid_area(body)).len().max(1);
    let pages = members(state).len().div_ceil(fit);
    if pages > 1 {
        text.push_str(&format!("; page {} of {pages}", picture(state) / fit + 1));
    }
    put(buffer, body.x, body.y + 1, body.width, &text, cx.theme.style(Role::Dim));
    let (text, role) = exceptions(state, cluster);
    put(buffer, body.x, body.y + 2, body.width, &text, cx.theme.style(role));
}

/// How many pictures the answer leaves out, or how that is done.
fn exceptions(state: &State, cluster: &Cluster) -> (String, Role) {
    let key = state.keymap.shown("except");
    let left_out = here(state).map_or(0, |here| here.exceptions(cluster.number).len() as u64);
    let gone = match members_slot(state).and_then(|slot| slot.answer.as_ref()) {
        Some(Answer::LabelNext { gone, .. }) => *gone,
        _ => 0,
    };
    let mut text = match left_out {
        0 => format!("one answer for all; {key} leaves a picture out"),
        many => format!(
            "{} left out: they stay deferred; the answer is for the other {}",
            count(many),
            count(cluster.images.saturating_sub(many))
        ),
    };
    if gone > 0 {
        text.push_str(&format!(" ({} of them without a picture)", count(gone)));
    }
    (text, if left_out > 0 { Role::Marked } else { Role::Dim })
}

/// Below a picture: whether keys act on it, whether it is left out, else what was predicted.
fn draw_caption(cx: &Cx<'_>, cluster: u32, item: &LabelItem, is_at: bool, place: Rect, buffer: &mut Buffer) {
    let out = here(cx.state).is_some_and(|here| here.leaves_out(cluster, item.prediction));
    let (mark, text, style) = if out {
        (cx.theme.mark(Role::Marked), "left out".to_owned(), cx.theme.style(Role::Marked))
    } else {
        let best = item.top.first().map_or_else(String::new, |best| {
            format!("{} {}", percent(f64::from(best.probability)), safe(&best.class))
        });
        (" ", best, cx.theme.style(Role::Dim))
    };
    let cursor = if is_at { cx.theme.mark(Role::Selected) } else { " " };
    let style = if is_at { cx.theme.style(Role::Selected) } else { style };
    let y = place.bottom().saturating_sub(1);
    buffer.set_style(
        Rect { y, height: 1, ..place }.intersection(buffer.area),
        if is_at { style } else { Style::new() },
    );
    put(buffer, place.x, y, place.width, &format!("{cursor}{mark} {text}"), style);
}

/// Below the lines on top.
fn grid_area(body: Rect) -> Rect {
    Rect { y: body.y + HEAD, height: body.height.saturating_sub(HEAD), ..body }
}

/// The places of pictures, each with a line below it.
fn grid(area: Rect) -> Vec<Rect> {
    let (across, down) = (area.width / THUMB.0, area.height / THUMB.1);
    let place = |n: u16| {
        Rect::new(area.x + n % across * THUMB.0, area.y + n / across * THUMB.1, THUMB.0 - 1, THUMB.1)
    };
    (0..across * down).map(place).collect()
}

/// The place of the picture itself.
fn above(place: Rect) -> Rect {
    Rect { height: place.height.saturating_sub(1), ..place }
}
