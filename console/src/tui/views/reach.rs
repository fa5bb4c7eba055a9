//! From the screen to what is under the user's hand: rows, subjects, the things they name.

use std::collections::BTreeSet;

use vigie_protocol::dataset::ChangeSet;
use vigie_protocol::job::Job;
use vigie_protocol::model::ModelVersion;
use vigie_protocol::prediction::Prediction;
use vigie_protocol::run::Run;
use vigie_protocol::schedule::ScheduleStatus;
use vigie_protocol::source::Source;
use vigie_protocol::{ChangeSetId, ModelNumber, PredictionId, ProjectName, RunId, ScheduleName, SourceName};

use super::{Subject, about, page, table};
use crate::tui::command::{Command, Scope};
use crate::tui::effect::Effect;
use crate::tui::filter::Filter;
use crate::tui::state::{AgentIndex, Answer, Hand, Place, Query, Question, State, View};
use crate::tui::table::Column;
use crate::tui::update;

/// The columns of the screen's table.
pub(in crate::tui) fn columns(state: &State) -> Option<&'static [Column]> {
    table(state).map(|table| table.columns)
}

/// How many rows are shown, once filtered.
pub(in crate::tui) fn shown_rows(state: &State) -> usize {
    match &state.screen().table.order {
        Some(order) => order.len(),
        None => table(state).map_or(0, |table| table.source.count()),
    }
}

/// The row of the source that stands in the n-th place shown.
pub(in crate::tui) fn source_row(state: &State, shown: usize) -> Option<usize> {
    match &state.screen().table.order {
        Some(order) => order.get(shown).map(|row| *row as usize),
        None => (shown < shown_rows(state)).then_some(shown),
    }
}

/// Where a row of the source is shown.
pub(in crate::tui) fn position_of(state: &State, source: usize) -> Option<usize> {
    match &state.screen().table.order {
        Some(order) => order.iter().position(|row| *row as usize == source),
        None => Some(source),
    }
}

/// The row of the source that is selected. Among rows that have no order yet it is found by its
/// identity: in its place of the order before may stand any other.
fn selected_row(state: &State) -> Option<usize> {
    let screen = &state.screen().table;
    let shown = source_row(state, screen.selected);
    let (Some(_), Some(key)) = (&screen.order_asked, &screen.selected_key) else { return shown };
    let table = table(state)?;
    let rows = table.source.count();
    let is_it = |n: &usize| *n < rows && table.source.key(*n) == *key;
    shown.filter(is_it).or_else(|| (0..rows).find(is_it)).or(shown)
}

/// The identity of the selected row.
pub(in crate::tui) fn selected_key(state: &State) -> Option<String> {
    let at = selected_row(state)?;
    table(state).filter(|table| at < table.source.count()).map(|table| table.source.key(at))
}

/// The identities of all rows shown.
pub(in crate::tui) fn shown_keys(state: &State) -> Vec<String> {
    let Some(table) = table(state) else { return Vec::new() };
    let rows = (0..shown_rows(state)).filter_map(|shown| source_row(state, shown));
    rows.filter(|at| *at < table.source.count()).map(|at| table.source.key(at)).collect()
}

/// Takes the marks off rows that are gone.
pub(in crate::tui) fn drop_dead_marks(state: &mut State) {
    // A list that is being fetched anew has no rows for a moment: that kills no marks.
    if table(state).is_some_and(|table| table.source.count() > 0) {
        for mark in dead_marks(state) {
            state.nav.top_mut().table.marks.remove(&mark);
        }
    }
}

/// The marks of rows that are not there.
fn dead_marks(state: &State) -> BTreeSet<String> {
    let mut dead = state.screen().table.marks.clone();
    // What a change-set changes stays the same however the list of it is narrowed: marks in a review are
    // a choice that is made over several looks.
    if dead.is_empty() || matches!(state.screen().view, View::Review { .. }) {
        return BTreeSet::new();
    }
    let Some(table) = table(state) else { return BTreeSet::new() };
    for n in 0..table.source.count() {
        dead.remove(&table.source.key(n));
    }
    dead
}

/// What is under the user's hand.
pub(in crate::tui) fn hand(state: &State) -> Hand {
    let subject = subject(state).or_else(|| about(state));
    Hand { screen: state.screen().id, subject, asked: update::question(state) }
}

/// Whether what was under the user's hand when the line or the menu was opened still is, with all that
/// was marked.
///
/// # Errors
/// What changed.
pub(in crate::tui) fn still_at_hand(state: &State) -> Result<(), String> {
    let Some(before) = &state.hand else { return Ok(()) };
    let now = hand(state);
    let changed = if before.screen != now.screen {
        "this is another screen"
    } else if before.asked != now.asked {
        match now.asked {
            Some(Question::Image(_)) => "another picture is asked now",
            Some(Question::Cluster { .. }) => "another cluster is asked now",
            None => "nothing is asked here any more",
        }
    } else if before.subject != now.subject {
        "the row is gone"
    } else if !dead_marks(state).is_empty() {
        "a marked row is gone"
    } else {
        return Ok(());
    };
    Err(format!("{changed}: nothing was done"))
}

/// What the selected row is about.
pub(in crate::tui) fn subject(state: &State) -> Option<Subject> {
    let screen = state.screen();
    let at = selected_row(state)?;
    page(&screen.view).subject(state, screen, at)
}

/// The first that `wanted` takes, of what is selected and what the screen is about.
pub(in crate::tui) fn at_hand<T>(state: &State, wanted: impl Fn(Subject) -> Option<T>) -> Option<T> {
    subject(state).and_then(&wanted).or_else(|| about(state).and_then(&wanted))
}

/// The model version at hand.
///
/// # Errors
/// That there is none.
pub(in crate::tui) fn model_at_hand(state: &State) -> Result<(Place, ModelNumber), String> {
    let found = at_hand(state, |subject| match subject {
        Subject::Model { place, number } => Some((place, number)),
        _ => None,
    });
    found.ok_or_else(|| "no model version is selected".to_owned())
}

/// What keys act on: the marked rows, else the selected one, else what the screen is about.
pub(in crate::tui) fn subjects(state: &State) -> Vec<Subject> {
    let screen = state.screen();
    if screen.table.marks.is_empty() {
        return subject(state).or_else(|| about(state)).into_iter().collect();
    }
    let Some(table) = table(state) else { return Vec::new() };
    let marked = (0..table.source.count()).filter(|n| screen.table.marks.contains(&table.source.key(*n)));
    marked.filter_map(|n| page(&screen.view).subject(state, screen, n)).collect()
}

/// Where what is selected, or what the screen is about, leads.
pub(in crate::tui) fn links(state: &State) -> Vec<(String, View)> {
    let found = subject(state).or_else(|| about(state));
    let here = &state.screen().view;
    let mut links = found.map(|subject| subject.links(state)).unwrap_or_default();
    links.retain(|(_, view)| view != here);
    links
}

/// The agent that would be asked for something.
pub(in crate::tui) fn acting_agent(state: &State) -> Option<AgentIndex> {
    let found = subject(state).or_else(|| about(state)).map(|subject| subject.agent());
    found.or_else(|| state.screen().view.agent()).or_else(|| state.place().map(|place| place.agent))
}

/// The project of what is selected.
pub(in crate::tui) fn subject_place(state: &State) -> Option<Place> {
    subject(state).or_else(|| about(state))?.place().cloned()
}

/// What names the selected row.
pub(in crate::tui) fn copied(state: &State) -> Option<String> {
    let named = subject(state).or_else(|| about(state)).map(|subject| subject.text(state));
    named.or_else(|| selected_key(state))
}

/// The selected row as JSON.
pub(in crate::tui) fn row_json(state: &State) -> Option<String> {
    table(state)?.source.json(selected_row(state)?)
}

/// The table as a CSV file: the rows shown, all of them.
pub(in crate::tui) fn save_table(state: &State) -> Option<Effect> {
    let table = table(state)?;
    let field = |text: &str| {
        // RFC 4180; and what a spreadsheet would take for a formula is quoted off.
        let guarded = if text.starts_with(['=', '+', '-', '@']) && text.parse::<f64>().is_err() {
            format!("'{text}")
        } else {
            text.to_owned()
        };
        if guarded.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", guarded.replace('"', "\"\""))
        } else {
            guarded
        }
    };
    let line = |cells: Vec<String>| cells.join(",") + "\r\n";
    let mut text = line(table.columns.iter().map(|column| field(&column.name.to_lowercase())).collect());
    for at in (0..shown_rows(state)).filter_map(|shown| source_row(state, shown)) {
        text.push_str(&line(table.source.row(at).cells.iter().map(|cell| field(&cell.text)).collect()));
    }
    Some(Effect::Save { name: format!("vigie-{}.csv", super::name(&state.screen().view)), text })
}

/// The screen as text.
pub(in crate::tui) fn screen_text(state: &State) -> String {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    let mut buffer = Buffer::empty(area);
    super::draw(state, &crate::tui::pictures::Album::new(0), area, &mut buffer);
    crate::tui::widgets::text_of(&buffer)
}

/// Whether a command acts on a row, rather than on the console.
pub(in crate::tui) fn is_about_row(command: &Command) -> bool {
    matches!(command.scope, Scope::In(_))
        || matches!(command.name, "open" | "links" | "copy" | "copy-json" | "mark")
}

/// Whether a filter can be applied to this screen.
///
/// # Errors
/// What is wrong with it.
pub(in crate::tui) fn check_filter(state: &State, filter: &Filter, columns: &[Column]) -> Result<(), String> {
    match &state.screen().view {
        View::Predictions { place, .. } => super::predictions::parse(&filter.0, state, place).map(|_| ()),
        _ => filter.compile(columns).map(|_| ()),
    }
}

/// The filter was typed to its end: what the agent can filter by is asked of the agent.
pub(in crate::tui) fn commit_filter(state: &mut State) {
    let View::Predictions { place, .. } = &state.screen().view else { return };
    let place = place.clone();
    if let Ok((filter, rest)) = super::predictions::parse(&state.screen().table.filter.0, state, &place) {
        let screen = state.nav.top_mut();
        screen.view = View::Predictions { place, filter };
        screen.table.filter = rest;
        screen.table.begin_anew();
    }
}

/// The job that a subject names, as newly as it is known.
pub(in crate::tui) fn job<'a>(state: &'a State, subject: &Subject) -> Option<&'a Job> {
    let Subject::Job { agent, job: id } = subject else { return None };
    let asked = match state.answer(*agent, Query::Job { job: *id }) {
        Some(Answer::Job(job)) => Some(&**job),
        _ => None,
    };
    let told = state.fleet.get(*agent)?.snapshot.jobs.iter().find(|job| job.id == *id);
    // Progress is told by the watch without a new generation; who is ahead is the newer one.
    match (asked, told) {
        (Some(asked), Some(told)) if asked.generation > told.generation => Some(asked),
        (asked, None) => asked,
        (_, told) => told,
    }
}

/// A run, as newly as it is known.
pub(in crate::tui) fn run<'a>(state: &'a State, place: &Place, id: RunId) -> Option<&'a Run> {
    let project = place.project.clone();
    if let Some(Answer::Run(run)) =
        state.answer(place.agent, Query::Run { project: project.clone(), run: id })
    {
        return Some(run);
    }
    match state.answer(place.agent, Query::Runs { project })? {
        Answer::Runs(rows) => rows.rows.iter().find(|run| run.id == id),
        _ => None,
    }
}

/// A model version, from the list.
pub(in crate::tui) fn model<'a>(
    state: &'a State,
    place: &Place,
    number: ModelNumber,
) -> Option<&'a ModelVersion> {
    let project = place.project.clone();
    if let Some(Answer::Model(detail)) =
        state.answer(place.agent, Query::Model { project: project.clone(), number })
    {
        return Some(&detail.model);
    }
    match state.answer(place.agent, Query::Models { project })? {
        Answer::Models(rows) => rows.rows.iter().find(|model| model.number == number),
        _ => None,
    }
}

/// A prediction, fetched by itself or with the list that is shown.
pub(in crate::tui) fn prediction<'a>(
    state: &'a State,
    place: &Place,
    id: PredictionId,
) -> Option<&'a Prediction> {
    let project = place.project.clone();
    if let Some(Answer::Prediction(found)) = state.answer(place.agent, Query::Prediction { project, id }) {
        return Some(found);
    }
    state.nav.path().find_map(|screen| {
        let View::Predictions { place: at, filter } = &screen.view else { return None };
        let query = Query::Predictions { project: at.project.clone(), filter: filter.clone() };
        match state.answer(at.agent, query)? {
            Answer::Predictions(rows) if at == place => rows.rows.iter().find(|found| found.id == id),
            _ => None,
        }
    })
}

/// A change-set, as newly as it is known.
pub(in crate::tui) fn find_change_set<'a>(
    state: &'a State,
    place: &Place,
    id: ChangeSetId,
) -> Option<&'a ChangeSet> {
    let project = place.project.clone();
    if let Some(Answer::ChangeSet(set)) =
        state.answer(place.agent, Query::ChangeSet { project: project.clone(), id })
    {
        return Some(set);
    }
    match state.answer(place.agent, Query::ChangeSets { project })? {
        Answer::ChangeSets(rows) => rows.rows.iter().find(|set| set.id == id),
        _ => None,
    }
}

/// The change-set under the user's hand.
pub(in crate::tui) fn change_set(state: &State) -> Option<(Place, ChangeSet)> {
    let (place, id) = at_hand(state, |subject| match subject {
        Subject::ChangeSet { place, id } => Some((place, id)),
        _ => None,
    })?;
    let set = find_change_set(state, &place, id)?.clone();
    Some((place, set))
}

/// A source of a project.
pub(in crate::tui) fn source<'a>(state: &'a State, place: &Place, name: &SourceName) -> Option<&'a Source> {
    match state.answer(place.agent, Query::Sources { project: place.project.clone() })? {
        Answer::Sources(sources) => sources.iter().find(|source| source.name == *name),
        _ => None,
    }
}

/// A schedule of a project, or of the whole agent.
pub(in crate::tui) fn schedule<'a>(
    state: &'a State,
    place: &Place,
    project: Option<&ProjectName>,
    name: &ScheduleName,
) -> Option<&'a ScheduleStatus> {
    let is_it = |status: &&ScheduleStatus| {
        status.schedule.project.as_ref() == project && status.schedule.name == *name
    };
    match state.answer(place.agent, Query::Schedules)? {
        Answer::Schedules(schedules) => schedules.iter().find(is_it),
        _ => None,
    }
}
