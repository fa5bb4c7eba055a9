//! What an agent does by itself: the schedules of a project and of the whole agent, and what one of
//! them did.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::schedule::{Firing, FiringState, ScheduleStatus, Trigger};

use super::facts::Facts;
use super::listed::Listed;
use super::{Cx, Page, Subject, draw_table, place_text, role_of, when};
use crate::out::{count, safe, words};
use crate::tui::state::{Answer, Query, Screen, Slot, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;

/// The schedules of a project and of its agent.
pub(super) struct Schedules;
/// One of them, and its history.
pub(super) struct OneSchedule;

const COLUMNS: [Column; 7] = [
    Column::short("NAME", 16),
    Column::short("OF", 12),
    Column::short("NEXT", 16),
    Column::short("LAST", 13),
    Column::figure("AGO"),
    Column::short("FIRES", 28),
    Column::rest("DOES"),
];

const FIRINGS: [Column; 6] = [
    Column::figure("NO"),
    Column::figure("BEGAN"),
    Column::short("WHY", 16),
    Column::short("OUTCOME", 16),
    Column::short("JOB", 8),
    Column::rest("WHAT CAME OF IT"),
];

impl Page for Schedules {
    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        list(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let slot = state.store.get(&list(screen)?);
        let key = |status: &&ScheduleStatus| {
            let of = status.schedule.project.as_ref().map_or("", |project| project.as_str());
            format!("{of}/{}", status.schedule.name)
        };
        Some(Table {
            columns: &COLUMNS,
            source: Slice::owned(rows(state, screen), key, move |status| row(state, status)),
            revision: slot.map_or(0, |slot| slot.revision),
            want: None,
            empty: super::waiting(slot, "no schedules: `vigie schedules add --help` shows how to set one up"),
        })
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let schedule = &rows(state, screen).get(n)?.schedule;
        let (project, name) = (schedule.project.clone(), schedule.name.clone());
        Some(Subject::Schedule { place: screen.view.place()?.clone(), project, name })
    }

    fn table_area(&self, _: &State, _: &Screen, body: Rect) -> Rect {
        Rect { height: body.height / 2, ..body }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let table = self.table_area(cx.state, cx.screen, body);
        draw_table(cx, table, buffer);
        let at = super::source_row(cx.state, cx.screen.table.selected);
        if let Some(status) = at.and_then(|at| rows(cx.state, cx.screen).get(at).copied()) {
            let y = (table.bottom() + 1).min(body.bottom());
            let below = Rect { y, height: body.bottom() - y, ..body };
            facts(cx.state, status).draw(cx.screen.scroll, cx.theme, below, buffer);
        }
    }
}

impl Page for OneSchedule {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        let View::Schedule { place, project, name } = &screen.view else { return String::new() };
        match project {
            Some(_) => format!("{name} of {}", place_text(state, place)),
            None => format!("{name} of {}", state.agent_name(place.agent)),
        }
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        history(screen).into_iter().chain(list(screen)).collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let empty = "it has not fired yet; :fire fires it now";
        let row = move |firing: &Firing| firing_row(state, firing);
        Some(firings(state, screen)?.table(&FIRINGS, |firing| firing.number.to_string(), row, empty))
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let job = firings(state, screen)?.rows.get(n)?.jobs.first()?.job;
        Some(Subject::Job { agent: screen.view.agent()?, job })
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        let View::Schedule { place, project, name } = screen.view.clone() else { return None };
        Some(Subject::Schedule { place, project, name })
    }

    fn table_area(&self, _: &State, _: &Screen, body: Rect) -> Rect {
        let head = 9.min(body.height / 2);
        Rect { y: body.y + head, height: body.height - head, ..body }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let table = self.table_area(cx.state, cx.screen, body);
        draw_table(cx, table, buffer);
        if let View::Schedule { place, project, name } = &cx.screen.view
            && let Some(status) = super::schedule(cx.state, place, project.as_ref(), name)
        {
            let head = Rect { height: (table.y - body.y).saturating_sub(1), ..body };
            facts(cx.state, status).draw(cx.screen.scroll, cx.theme, head, buffer);
        }
    }
}

fn list(screen: &Screen) -> Option<Want> {
    Some(Want { agent: screen.view.agent()?, query: Query::Schedules })
}

fn history(screen: &Screen) -> Option<Want> {
    let View::Schedule { place, project, name } = &screen.view else { return None };
    let query = Query::Firings { project: project.clone(), name: name.clone() };
    Some(Want { agent: place.agent, query })
}

fn answer(slot: Option<&Slot>) -> Option<&Answer> {
    slot?.answer.as_ref()
}

/// The schedules of the project and of the whole agent.
fn rows<'a>(state: &'a State, screen: &Screen) -> Vec<&'a ScheduleStatus> {
    let Some((place, want)) = screen.view.place().zip(list(screen)) else { return Vec::new() };
    match answer(state.store.get(&want)) {
        Some(Answer::Schedules(schedules)) => schedules
            .iter()
            .filter(|status| status.schedule.project.as_ref().is_none_or(|of| *of == place.project))
            .collect(),
        _ => Vec::new(),
    }
}

/// What became of it when it fired, as far as that is here.
fn firings<'a>(state: &'a State, screen: &Screen) -> Option<Listed<'a, Firing>> {
    Some(Listed::of(state, history(screen)?, |answer| match answer {
        Answer::Firings(rows) => Some(rows),
        _ => None,
    }))
}

fn row(state: &State, status: &ScheduleStatus) -> Row {
    let ScheduleStatus { schedule, next, last } = status;
    let next = match (&schedule.paused, next.first()) {
        (Some(paused), _) => Cell::text(format!("paused by {}", paused.by)).role(Role::Warn),
        // The moment itself stands below.
        (None, Some(next)) => {
            let wait = when::coarse(next.at, state.now);
            let text = if wait == "now" { wait } else { format!("in {wait}") };
            Cell::text(text).by(next.at.as_micros() as f64)
        }
        (None, None) => Cell::none(),
    };
    let (last, ago, failed) = match last {
        Some(last) => {
            let (word, tone) = words::outcome(last);
            let role = role_of(tone);
            (Cell::text(word).role(role), when::ago(state, last.began), role == Role::Bad)
        }
        None => (Cell::none(), Cell::none(), false),
    };
    Row::new(vec![
        Cell::text(schedule.name.as_str()),
        Cell::text(schedule.project.as_ref().map_or("the agent", |project| project.as_str())),
        next,
        last,
        ago,
        Cell::text(words::fires(&schedule.spec.trigger)),
        Cell::text(schedule.spec.action.name()),
    ])
    .fault(failed)
}

fn firing_row(state: &State, firing: &Firing) -> Row {
    let (word, tone) = words::outcome(firing);
    let job = firing.jobs.first().map(|fired| fired.job.to_string());
    Row::new(vec![
        Cell::figure(count(firing.number), firing.number as f64),
        when::ago(state, firing.began),
        Cell::text(words::why(&firing.cause)),
        Cell::text(word).role(role_of(tone)),
        // The end of an id differs from its neighbours'; its beginning is the time.
        job.map_or_else(Cell::none, |job| Cell::text(&job[job.len().saturating_sub(8)..])),
        Cell::text(&firing.detail),
    ])
    .fault(firing.state == FiringState::Failed || role_of(tone) == Role::Bad)
}

fn facts(state: &State, status: &ScheduleStatus) -> Facts {
    let ScheduleStatus { schedule, next, last } = status;
    let next = match (&schedule.paused, next.first(), &schedule.spec.trigger) {
        (Some(paused), _, _) => {
            let reason = paused.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("paused {} by {}{reason}", state.moment(paused.at), paused.by)
        }
        (None, Some(next), _) => state.moment(next.at),
        (None, None, Trigger::Event { .. }) => "it waits for events".to_owned(),
        (None, None, _) => "never".to_owned(),
    };
    let last = last.as_ref().map_or("never".to_owned(), |last| {
        let (word, _) = words::outcome(last);
        format!("{word}, {}: {}", state.moment(last.began), last.detail)
    });
    let description = match schedule.spec.description.as_str() {
        "" => "-".to_owned(),
        text => safe(text),
    };
    Facts::new()
        .field("fires", safe(&words::fires(&schedule.spec.trigger)))
        .field("does", safe(&schedule.spec.action.name()))
        .field("next", safe(&next))
        .field("last", safe(&last))
        .field("for", description)
        .field("set by", safe(&schedule.by))
}
