//! The classes that wait to enter reference: what each has, what it needs, and when it gets there.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::rules::{Growth, WaitingClass, WaitingRoom as Room};

use super::{Cx, Page, Subject, draw_table, place_text};
use crate::out::{count, safe};
use crate::tui::state::{Answer, Query, Screen, Slot, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;
use crate::tui::widgets::put;
use crate::tui::widgets::sheet::{Item, Sheet};

pub(super) struct WaitingRoom;

const COLUMNS: [Column; 7] = [
    Column::short("CLASS", 32),
    Column::figure("HAS"),
    Column::figure("NEEDS"),
    Column::figure("A DAY"),
    Column::figures("DAYS LEFT", 20),
    Column::figure("IN SOURCE"),
    Column::figure("IN PRODUCTION"),
];

/// Lines above the table: what the rule says, and how another is tried.
const HEAD: u16 = 4;

impl Page for WaitingRoom {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        let View::Waiting { place, threshold } = &screen.view else { return String::new() };
        let tried = threshold.map(|images| format!("at {} images, ", count(images.into())));
        format!("{}{}", tried.unwrap_or_default(), place_text(state, place))
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let slot = state.store.get(&want(screen)?);
        let room = room(slot);
        let simulated = room.is_some_and(|room| room.simulated);
        Some(Table {
            columns: &COLUMNS,
            source: Slice::boxed(
                room.map_or(&[], |room| room.waiting.as_slice()),
                |class| class.class.clone(),
                move |class| row(class, simulated),
            ),
            revision: slot.map_or(0, |slot| slot.revision),
            want: None,
            empty: super::waiting(slot, "no class waits: reference has each that source or production has"),
        })
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        Some(Subject::Project(screen.view.place()?.clone()))
    }

    fn table_area(&self, _: &State, _: &Screen, body: Rect) -> Rect {
        let head = HEAD.min(body.height);
        Rect { y: body.y + head, height: body.height - head, ..body }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        draw_table(cx, self.table_area(cx.state, cx.screen, body), buffer);
        let Some(room) = room(want(cx.screen).and_then(|want| cx.state.store.get(&want))) else { return };
        let sentence = safe(&room.sentence);
        let two = Rect { height: 2.min(body.height), ..body };
        Sheet { items: &[Item::Text(&sentence)], top: 0 }.draw(cx.theme, two, buffer);
        let keys = cx.state.keymap.shown("simulate");
        let unlisted = room.total.saturating_sub(room.waiting.len() as u64);
        let mut hint = format!("{keys} tries a rule of another number of images");
        if room.simulated {
            hint = format!("only tried, :waiting shows the project's own rule; {keys} tries another number");
        }
        if unlisted > 0 {
            hint.push_str(&format!("; {} more wait", count(unlisted)));
        }
        put(buffer, body.x, body.y + 2, body.width, &hint, cx.theme.style(Role::Dim));
    }
}

fn want(screen: &Screen) -> Option<Want> {
    let View::Waiting { place, threshold } = &screen.view else { return None };
    let query = Query::Waiting { project: place.project.clone(), threshold: *threshold };
    Some(Want { agent: place.agent, query })
}

fn room(slot: Option<&Slot>) -> Option<&Room> {
    match slot?.answer.as_ref()? {
        Answer::Waiting(room) => Some(room),
        _ => None,
    }
}

fn row(class: &WaitingClass, simulated: bool) -> Row {
    let figure = |n: u64| Cell::figure(count(n), n as f64);
    let left = match &class.growth {
        _ if class.enters => {
            Cell::figure(if simulated { "would enter" } else { "may enter" }, 0.0).role(Role::Good)
        }
        Some(Growth { eta_days: Some(days), .. }) => figure(*days),
        Some(Growth { eta_days: None, .. }) => {
            Cell::figure("never at this rate", f64::INFINITY).role(Role::Warn)
        }
        None => Cell::figure("not known yet", f64::INFINITY).role(Role::Dim),
    };
    Row::new(vec![
        Cell::text(&class.class),
        figure(class.has),
        figure(class.needs),
        class.growth.map_or_else(Cell::none, |growth| {
            Cell::figure(format!("{:+.1}", growth.per_day), growth.per_day)
        }),
        left,
        figure(class.in_source),
        figure(class.in_production),
    ])
}
