//! One prediction: its picture, its best classes, where the time went.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::prediction::Prediction as Record;

use super::facts::Facts;
use super::{Cx, Page, Subject, place_text};
use crate::out::{age, micros, safe};
use crate::tui::pictures::{self, Kind, Slot};
use crate::tui::state::{PictureState, Query, Screen, Shown, State, View, Want};
use crate::tui::theme::Role;
use crate::tui::widgets::bars::{Bar, Bars};
use crate::tui::widgets::put;
use crate::tui::widgets::scale::Measure;

pub(super) struct Prediction;

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
        // Its model leads on to the run and the dataset version.
        if let Some(found) = super::prediction(state, place, *id) {
            let query = Query::Model { project: project(), number: found.model };
            wants.push(Want { agent: place.agent, query });
        }
        wants
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        let View::Prediction { place, id } = &screen.view else { return None };
        Some(Subject::Prediction { place: place.clone(), id: *id })
    }

    fn pictures(&self, state: &State, screen: &Screen, body: Rect) -> (Vec<Shown>, (u16, u16)) {
        let area = picture_area(screen, body);
        let shown = found(state, screen)
            .filter(|found| found.picture_kept)
            .zip(screen.view.agent())
            .map(|(found, agent)| Shown { agent, image: found.image });
        (shown.into_iter().collect(), (area.width, area.height))
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

/// Half the body, or all of it.
fn picture_area(screen: &Screen, body: Rect) -> Rect {
    if screen.full { body } else { Rect { width: body.width / 2, ..body } }
}

/// A picture, or the word for why there is none yet. The area is the room that was asked for.
pub(super) fn draw_picture(cx: &Cx<'_>, image: vigie_protocol::Hash, area: Rect, buffer: &mut Buffer) {
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
        (Some(PictureState::Failed(reason)), _) | (_, Some(Slot::Failed(reason))) => {
            (format!("no picture: {}", safe(reason)), Role::Warn)
        }
        (Some(PictureState::Asked | PictureState::Ready) | None, _) => {
            ("fetching the picture…".to_owned(), Role::Dim)
        }
    };
    put(buffer, area.x, area.y, area.width, &text, cx.theme.style(role));
}

fn facts(cx: &Cx<'_>, found: &Record) -> Facts {
    let timings = &found.timings;
    let time = |us: u32| micros(u64::from(us));
    Facts::new()
        .field("answered", format!("{} ({})", cx.state.moment(found.at), age(cx.state.now, found.at)))
        .field("model", format!("{} (weights {})", found.model, found.weights.short()))
        .field("image", found.image.to_string())
        .field("name", found.name.as_deref().map_or("-".to_owned(), safe))
        .field("asked by", safe(&found.by))
        .field("total", time(timings.total))
        .field("  waiting", time(timings.queue))
        .field("  decoding", time(timings.decode))
        .field("  network", time(timings.infer))
}
