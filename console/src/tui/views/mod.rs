//! The views, one file each, and what they have in common: a table, a subject, links, pictures. A
//! view only describes and draws; it changes nothing.

mod agent;
mod agents;
mod aliases;
mod changesets;
mod compare;
mod datasets;
mod diff;
mod events;
mod facts;
mod frame;
mod gate;
mod help;
mod images;
mod job;
mod jobs;
pub(super) mod label;
mod listed;
mod log;
mod messages;
pub(super) mod models;
mod overview;
mod predict;
mod prediction;
pub(super) mod predictions;
mod projects;
mod reach;
pub(super) mod review;
pub(super) mod runs;
mod schedules;
mod services;
mod sources;
mod subject;
mod waiting_room;
mod when;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::pictures::Album;
use super::state::{Cells, Screen, Shown, State, View, Want};
use super::table::Table;
use super::theme::{Role, Theme};
use super::{update, widgets};

pub use frame::draw;
pub use overview::Concern;
pub(super) use reach::*;
pub use subject::Subject;

/// What drawing needs.
#[derive(Clone, Copy)]
pub struct Cx<'a> {
    /// What is known.
    pub state: &'a State,
    /// The screen that is drawn.
    pub screen: &'a Screen,
    /// How it looks.
    pub theme: &'a Theme,
    /// The pictures that can be drawn.
    pub album: &'a Album,
}

/// A view.
pub(super) trait Page: Sync {
    /// What it is about, behind its name in the title. The default is its project: `birds on gpu1`.
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        screen.view.place().map(|place| place_text(state, place)).unwrap_or_default()
    }

    /// Its panes or variants, by name; the shown one is `screen.tab`.
    fn tabs(&self) -> &'static [&'static str] {
        &[]
    }

    /// The data it shows.
    fn wants(&self, _state: &State, _screen: &Screen) -> Vec<Want> {
        Vec::new()
    }

    /// Its table.
    fn table<'a>(&self, _state: &'a State, _screen: &'a Screen) -> Option<Table<'a>> {
        None
    }

    /// What the n-th row of the table's source is about.
    fn subject(&self, _state: &State, _screen: &Screen, _n: usize) -> Option<Subject> {
        None
    }

    /// What the screen as a whole is about.
    fn about(&self, _state: &State, _screen: &Screen) -> Option<Subject> {
        None
    }

    /// Where in the body its table is drawn.
    fn table_area(&self, _state: &State, _screen: &Screen, body: Rect) -> Rect {
        body
    }

    /// The pictures it shows, each with the room it is drawn in.
    fn pictures(&self, _state: &State, _screen: &Screen, _body: Rect) -> Vec<(Shown, Cells)> {
        Vec::new()
    }

    /// Draws its body. The default is its table.
    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        draw_table(cx, self.table_area(cx.state, cx.screen, body), buffer);
    }
}

/// Draws the table of the screen.
fn draw_table(cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    if let Some(table) = page(&cx.screen.view).table(cx.state, cx.screen) {
        widgets::table::draw(cx, &table, area, buffer);
    }
}

/// The page of a view.
fn page(view: &View) -> &'static dyn Page {
    match view {
        View::Overview => &overview::Overview,
        View::Agents => &agents::Agents,
        View::Agent { .. } => &agent::Agent,
        View::Services => &services::Services,
        View::Projects => &projects::Projects,
        View::Datasets { .. } => &datasets::Datasets,
        View::Dataset { .. } => &datasets::Dataset,
        View::DatasetDiff { .. } => &diff::Diff,
        View::Images { .. } => &images::Images,
        View::ChangeSets { .. } => &changesets::ChangeSets,
        View::ChangeSet { .. } => &changesets::OneChangeSet,
        View::Review { .. } => &review::Review,
        View::Jobs => &jobs::Jobs,
        View::Job { .. } => &job::Job,
        View::Runs { .. } => &runs::Runs,
        View::Curves { .. } => &runs::Curves,
        View::Models { .. } => &models::Models,
        View::Model { .. } => &models::Model,
        View::Confusion { .. } => &models::Confusion,
        View::Compare { .. } => &compare::Compare,
        View::Gate { .. } => &gate::Gate,
        View::Aliases { .. } => &aliases::Aliases,
        View::Predictions { .. } => &predictions::Predictions,
        View::Prediction { .. } => &prediction::Prediction,
        View::Predict { .. } => &predict::Predict,
        View::Label { .. } => &label::Label,
        View::Sources { .. } => &sources::Sources,
        View::Schedules { .. } => &schedules::Schedules,
        View::Schedule { .. } => &schedules::OneSchedule,
        View::Waiting { .. } => &waiting_room::WaitingRoom,
        View::Events => &events::Events,
        View::Log { .. } => &log::Log,
        View::Messages => &messages::Messages,
        View::Help => &help::Help,
    }
}

/// The name of a view: what commands are scoped to, and the crumb on the way.
pub(super) fn name(view: &View) -> &'static str {
    match view {
        View::Overview => "overview",
        View::Agents => "agents",
        View::Agent { .. } => "agent",
        View::Services => "services",
        View::Projects => "projects",
        View::Datasets { .. } => "datasets",
        View::Dataset { .. } => "dataset",
        View::DatasetDiff { .. } => "diff",
        View::Images { .. } => "images",
        View::ChangeSets { .. } => "changesets",
        View::ChangeSet { .. } => "changeset",
        View::Review { .. } => "review",
        View::Jobs => "jobs",
        View::Job { .. } => "job",
        View::Runs { .. } => "runs",
        View::Curves { .. } => "curves",
        View::Models { .. } => "models",
        View::Model { .. } => "model",
        View::Confusion { .. } => "confusion",
        View::Compare { .. } => "compare",
        View::Gate { .. } => "gate",
        View::Aliases { .. } => "aliases",
        View::Predictions { .. } => "predictions",
        View::Prediction { .. } => "prediction",
        View::Predict { .. } => "predict",
        View::Label { .. } => "label",
        View::Sources { .. } => "sources",
        View::Schedules { .. } => "schedules",
        View::Schedule { .. } => "schedule",
        View::Waiting { .. } => "waiting",
        View::Events => "events",
        View::Log { .. } => "log",
        View::Messages => "messages",
        View::Help => "help",
    }
}

/// The command of the shell that shows the same; nothing for what only a console has.
#[cfg(test)]
pub(super) fn twin(view: &View) -> Option<&'static str> {
    Some(match view {
        View::Overview | View::Agent { .. } | View::Services => "agents health",
        View::Agents => "agents list",
        View::Projects => "projects list",
        View::Datasets { .. } => "datasets list",
        View::Dataset { .. } => "datasets show",
        View::DatasetDiff { .. } => "datasets diff",
        View::Images { .. } => "datasets images",
        View::ChangeSets { .. } => "changesets list",
        View::ChangeSet { .. } => "changesets show",
        View::Review { .. } => "changesets images",
        View::Jobs => "jobs list",
        View::Job { .. } => "jobs show",
        View::Runs { .. } => "runs list",
        View::Curves { .. } => "runs show",
        View::Models { .. } => "models list",
        View::Model { .. } | View::Confusion { .. } => "models show",
        View::Compare { .. } => "models compare",
        View::Gate { .. } => "models gate",
        View::Aliases { .. } => "models history",
        View::Predictions { .. } => "predictions list",
        View::Prediction { .. } => "predictions show",
        View::Predict { .. } => "predict",
        View::Label { .. } => "label next",
        View::Sources { .. } => "sources list",
        View::Schedules { .. } => "schedules list",
        View::Schedule { .. } => "schedules history",
        View::Waiting { .. } => "classes waiting",
        View::Events => "events list",
        View::Log { .. } => "agents log",
        View::Messages | View::Help => return None,
    })
}

/// Whether a view shows a table.
pub(super) fn has_table(view: &View) -> bool {
    !matches!(
        view,
        View::Agent { .. }
            | View::Job { .. }
            | View::Curves { .. }
            | View::Confusion { .. }
            | View::Prediction { .. }
            | View::Label { .. }
            | View::Log { .. }
            | View::Help
    )
}

/// The panes of a view.
pub(super) fn tabs(view: &View) -> &'static [&'static str] {
    page(view).tabs()
}

/// The title of the screen.
pub(super) fn title(state: &State) -> String {
    let screen = state.screen();
    let about = page(&screen.view).about_text(state, screen);
    if about.is_empty() { name(&screen.view).to_owned() } else { format!("{} {about}", name(&screen.view)) }
}

/// The table of the screen.
pub(super) fn table(state: &State) -> Option<Table<'_>> {
    page(&state.screen().view).table(state, state.screen())
}

/// The data the screen shows.
pub(super) fn wants(state: &State) -> Vec<Want> {
    page(&state.screen().view).wants(state, state.screen())
}

/// The pictures the screen shows, each with the room it is drawn in.
pub(super) fn pictures(state: &State) -> Vec<(Shown, Cells)> {
    page(&state.screen().view).pictures(state, state.screen(), update::body(state.size))
}

/// Rows of the table that fit under its header.
pub(super) fn table_height(state: &State) -> u16 {
    let screen = state.screen();
    page(&screen.view).table_area(state, screen, update::body(state.size)).height.saturating_sub(1)
}

/// What the screen as a whole is about.
pub(super) fn about(state: &State) -> Option<Subject> {
    page(&state.screen().view).about(state, state.screen())
}

/// What a table says that has no rows: that they are asked for, why they cannot be had, or `empty`.
fn waiting(slot: Option<&super::state::Slot>, empty: &str) -> String {
    match slot {
        None => "asking…".to_owned(),
        Some(slot) => match (&slot.answer, &slot.error) {
            (Some(_), _) => empty.to_owned(),
            (None, Some(error)) => {
                let hint = error.hint.as_ref().map(|hint| format!("\n{hint}")).unwrap_or_default();
                crate::out::safe(&error.message) + &hint
            }
            (None, None) => "asking…".to_owned(),
        },
    }
}

/// Says in the place of data that is not there why it is not.
fn draw_waiting(
    cx: &Cx<'_>,
    slot: Option<&super::state::Slot>,
    empty: &str,
    body: Rect,
    buffer: &mut Buffer,
) {
    for (line, y) in waiting(slot, empty).lines().zip(body.y + 1..body.bottom()) {
        widgets::put(buffer, body.x + 2, y, body.width.saturating_sub(2), line, cx.theme.style(Role::Dim));
    }
}

/// How a tone of the commands looks here.
fn role_of(tone: crate::out::Tone) -> Role {
    use crate::out::Tone;
    match tone {
        Tone::Plain | Tone::Environment(_) => Role::Text,
        Tone::Dim => Role::Dim,
        Tone::Good => Role::Good,
        Tone::Warn => Role::Warn,
        Tone::Bad => Role::Bad,
    }
}

/// `birds on gpu1`.
fn place_text(state: &State, place: &super::state::Place) -> String {
    format!("{} on {}", place.project, state.agent_name(place.agent))
}

#[cfg(test)]
mod tests;
