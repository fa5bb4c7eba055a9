//! One prediction: its picture, its best classes, where the time went.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::Hash;
use vigie_protocol::dataset::Split;
use vigie_protocol::prediction::Prediction as Record;

use super::facts::Facts;
use super::{Cx, Page, Subject, place_text};
use crate::out::{age, micros, safe};
use crate::tui::pictures::{self, Kind, Slot};
use crate::tui::state::{Answer, Cells, PictureState, Place, Query, Screen, Shown, State, View, Want};
use crate::tui::theme::Role;
use crate::tui::widgets::bars::{Bar, Bars};
use crate::tui::widgets::put;
use crate::tui::widgets::scale::Measure;
use crate::tui::widgets::sheet::wrapped;

pub(super) struct Prediction;

/// Of so many of the best classes a picture is shown beside the prediction's own.
const CLASSES: usize = 3;

impl Page for Prediction {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        let View::Prediction { place, id } = &screen.view else { return String::new() };
        format!("{id} · {}", place_text(state, place))
    }

    fn wants(&self, state: &State, screen: &Screen) -> Vec<Want> {
        let View::Prediction { place, id } = &screen.view else { return Vec::new() };
        let project = || place.project.clone();
        let mut wants =
            vec![Want { agent: place.agent, query: Query::Prediction { project: project(), id: *id } }];
        // Its model leads on to the run and the dataset version, and that to pictures of the classes.
        if let Some(found) = super::prediction(state, place, *id) {
            let query = Query::Model { project: project(), number: found.model };
            wants.push(Want { agent: place.agent, query });
            wants.extend(
                found.top.iter().take(CLASSES).filter_map(|one| samples(state, place, found, &one.class)),
            );
        }
        wants
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        let View::Prediction { place, id } = &screen.view else { return None };
        Some(Subject::Prediction { place: place.clone(), id: *id })
    }

    fn pictures(&self, state: &State, screen: &Screen, body: Rect) -> Vec<(Shown, Cells)> {
        let Some((found, agent)) = found(state, screen).zip(screen.view.agent()) else { return Vec::new() };
        let room = |area: Rect| (area.width, area.height);
        let own = found
            .picture_kept
            .then(|| (Shown { agent, image: found.image }, room(picture_area(screen, body))));
        let beside = learnt(state, screen, found).into_iter().zip(class_areas(screen, body));
        let beside =
            beside.filter_map(|((_, image), area)| Some((Shown { agent, image: image? }, room(area))));
        own.into_iter().chain(beside).collect()
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let Some(found) = found(cx.state, cx.screen) else {
            let text = "asking for the prediction…";
            put(buffer, body.x + 2, body.y + 1, body.width, text, cx.theme.style(Role::Dim));
            return;
        };
        let picture = picture_area(cx.screen, body);
        if found.picture_kept {
            draw_picture(cx, found.image, picture, buffer);
        } else {
            let text = "the picture was not kept (the project's policy)";
            put(buffer, picture.x, picture.y, picture.width, text, cx.theme.style(Role::Dim));
        }
        if cx.screen.full {
            return;
        }
        draw_classes(cx, found, body, buffer);
        let right =
            Rect { x: picture.right() + 2, width: body.right().saturating_sub(picture.right() + 2), ..body };
        put(buffer, right.x, right.y, right.width, "BEST CLASSES", cx.theme.style(Role::Title));
        let shares: Vec<[f64; 1]> = found.top.iter().map(|one| [f64::from(one.probability)]).collect();
        let bars: Vec<Bar<'_>> = found
            .top
            .iter()
            .zip(&shares)
            .map(|(one, parts)| Bar { name: &one.class, parts, interval: None })
            .collect();
        let high = (bars.len() as u16).min(right.height.saturating_sub(1));
        let (parts, selected, top) = (&[][..], None, 0);
        Bars { bars: &bars, parts, measure: Measure::Share, full: Some(1.0), selected, top }.draw(
            cx.theme,
            Rect { y: right.y + 1, height: high, ..right },
            buffer,
        );
        let y = right.y + high + 2;
        let area = Rect { y, height: right.bottom().saturating_sub(y), ..right };
        facts(cx, found).draw(cx.screen.scroll, cx.theme, area, buffer);
    }
}

fn found<'a>(state: &'a State, screen: &Screen) -> Option<&'a Record> {
    let View::Prediction { place, id } = &screen.view else { return None };
    super::prediction(state, place, *id)
}

/// The upper part of the left half of the body, or all of it.
fn picture_area(screen: &Screen, body: Rect) -> Rect {
    if screen.full {
        return body;
    }
    Rect { width: body.width / 2, height: body.height * 3 / 5, ..body }
}

/// Below the picture: room for one picture of each of the best classes, each with a line above it.
fn class_areas(screen: &Screen, body: Rect) -> Vec<Rect> {
    if screen.full {
        return Vec::new();
    }
    let above = picture_area(screen, body);
    let y = above.bottom() + 1;
    let width = above.width / CLASSES as u16;
    let area =
        |n: u16| Rect::new(above.x + n * width, y, width.saturating_sub(1), body.bottom().saturating_sub(y));
    (0..CLASSES as u16).map(area).collect()
}

/// Pictures of a class that the model learnt from.
fn samples(state: &State, place: &Place, found: &Record, class: &str) -> Option<Want> {
    let dataset = super::model(state, place, found.model)?.dataset;
    let (project, class) = (place.project.clone(), Some(class.to_owned()));
    let query = Query::Images { project, dataset, class, split: Some(Split::Train) };
    Some(Want { agent: place.agent, query })
}

/// The best classes, each with a picture that the model learnt it from, once there is one.
fn learnt<'a>(state: &State, screen: &Screen, found: &'a Record) -> Vec<(&'a str, Option<Hash>)> {
    let Some(place) = screen.view.place() else { return Vec::new() };
    let picture =
        |class: &str| match state.store.get(&samples(state, place, found, class)?)?.answer.as_ref()? {
            Answer::Images(rows) => rows.rows.first().map(|image| image.image),
            _ => None,
        };
    found.top.iter().take(CLASSES).map(|one| (one.class.as_str(), picture(&one.class))).collect()
}

fn draw_classes(cx: &Cx<'_>, found: &Record, body: Rect, buffer: &mut Buffer) {
    let classes = learnt(cx.state, cx.screen, found);
    for ((class, image), area) in classes.into_iter().zip(class_areas(cx.screen, body)) {
        let title = format!("a learnt {}", safe(class));
        put(buffer, area.x, area.y.saturating_sub(1), area.width, &title, cx.theme.style(Role::Dim));
        if let Some(image) = image {
            draw_picture(cx, image, area, buffer);
        }
    }
}

/// A picture, or the word for why there is none yet. The area is the room that was asked for.
pub(super) fn draw_picture(cx: &Cx<'_>, image: Hash, area: Rect, buffer: &mut Buffer) {
    // Sixels and iTerm2's images lie over the letters of whatever is drawn on top.
    if cx.state.overlay.is_some() && matches!(cx.state.picture_kind, Kind::Sixel | Kind::Iterm2) {
        return;
    }
    let cells = (area.width, area.height);
    let key = pictures::Key { image, kind: cx.state.picture_kind, cells };
    let (text, role) = match (cx.state.pictures.get(&(image, cells)), cx.album.get(&key)) {
        (_, Some(Slot::Ready(picture))) => {
            pictures::draw(picture, area, buffer);
            return;
        }
        (Some(PictureState::Failed(reason)), _) | (Some(PictureState::Ready), Some(Slot::Failed(reason))) => {
            (format!("no picture: {}", safe(reason)), Role::Warn)
        }
        (Some(PictureState::Gone), _) => ("no room for this picture beside the others".to_owned(), Role::Dim),
        (Some(PictureState::Asked | PictureState::Ready) | None, _) => {
            ("fetching the picture…".to_owned(), Role::Dim)
        }
    };
    for (line, y) in wrapped(&text, usize::from(area.width.max(1))).zip(area.y..area.bottom()) {
        put(buffer, area.x, y, area.width, &line, cx.theme.style(role));
    }
}

fn facts(cx: &Cx<'_>, found: &Record) -> Facts {
    let timings = &found.timings;
    let time = |us: u32| micros(u64::from(us));
    Facts::new()
        .field("answered", format!("{} ({})", cx.state.moment(found.at), age(cx.state.now, found.at)))
        .field("model", format!("{} (weights {})", found.model, found.weights.short()))
        .field("image", found.image.to_string())
        .field("name", found.name.as_deref().map_or("-".to_owned(), safe))
        .field(
            "feedback",
            found.feedback.as_ref().map_or("none".to_owned(), |said| match said.votes {
                1 => safe(&said.consensus.to_string()),
                votes => format!("{} ({votes} votes)", safe(&said.consensus.to_string())),
            }),
        )
        .field("asked by", safe(&found.by))
        .field("total", time(timings.total))
        .field("  waiting", time(timings.queue))
        .field("  decoding", time(timings.decode))
        .field("  network", time(timings.infer))
}
