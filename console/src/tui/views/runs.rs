//! Trainings, and their curves over one another.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::RunId;
use vigie_protocol::run::{EpochMetrics, Run, RunState};

use super::listed::Listed;
use super::{Cx, Page, Subject, place_text, when};
use crate::out::{count, safe};
use crate::tui::state::{Answer, Query, Screen, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Table};
use crate::tui::theme::Role;
use crate::tui::update;
use crate::tui::widgets::chart::{Axis, Chart, Series, extent};
use crate::tui::widgets::put;
use crate::tui::widgets::scale::Measure;

/// The trainings of a project.
pub(super) struct Runs;
/// Curves of one or several of them.
pub(super) struct Curves;

const COLUMNS: [Column; 10] = [
    Column::short("RUN", 10),
    Column::short("STATE", 14),
    Column::short("DATASET", 16),
    Column::short("ARCHITECTURE", 20),
    Column::figure("EPOCHS"),
    Column::figure("BEST LOSS"),
    Column::figure("BEST ACCURACY"),
    Column::figure("RATE"),
    Column::figure("ASKED"),
    Column::rest("BY"),
];

/// What is drawn, by tab.
const METRICS: [&str; 4] = ["loss", "accuracy", "learning rate", "differences"];

impl Page for Runs {
    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        Some(listed(state, screen)?.table(
            &COLUMNS,
            |run| run.id.to_string(),
            move |run| row(state, run),
            "no training yet: t on a dataset version starts one",
        ))
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let run = listed(state, screen)?.rows.get(n)?.id;
        Some(Subject::Run { place: screen.view.place()?.clone(), run })
    }
}

/// Its rows, as far as they are here.
fn listed<'a>(state: &'a State, screen: &Screen) -> Option<Listed<'a, Run>> {
    Some(Listed::of(state, want(screen)?, |answer| match answer {
        Answer::Runs(rows) => Some(rows),
        _ => None,
    }))
}

fn want(screen: &Screen) -> Option<Want> {
    let place = screen.view.place()?;
    Some(Want { agent: place.agent, query: Query::Runs { project: place.project.clone() } })
}

/// The end of a run's id: its beginning is the time, alike for neighbours.
fn short(id: RunId) -> String {
    let text = id.to_string();
    text[text.len().saturating_sub(8)..].to_owned()
}

fn state_cell(state: &State, run: &Run) -> Cell {
    let (role, word) = match run.state {
        RunState::Running => (Role::Busy, "running"),
        RunState::Finished => (Role::Good, "finished"),
        RunState::Failed => (Role::Bad, "failed"),
        RunState::Cancelled => (Role::Warn, "cancelled"),
        RunState::Unknown => (Role::Dim, "unknown"),
    };
    Cell::text(format!("{} {word}", state.theme.mark(role))).role(role)
}

fn best(run: &Run) -> Option<&EpochMetrics> {
    run.epochs.iter().find(|epoch| Some(epoch.epoch) == run.best_epoch)
}

fn row(state: &State, run: &Run) -> Row {
    let best = best(run);
    Row::new(vec![
        Cell::text(short(run.id)).role(Role::Accent),
        state_cell(state, run),
        Cell::text(run.dataset.to_string()),
        Cell::text(run.recipe.architecture.as_str()),
        Cell::figure(format!("{}/{}", run.epochs.len(), run.recipe.epochs), run.epochs.len() as f64),
        best.map_or_else(Cell::none, |best| Cell::figure(format!("{:.4}", best.valid_loss), best.valid_loss)),
        best.map_or_else(Cell::none, |best| when::portion(best.valid_accuracy)),
        Cell::figure(format!("{:e}", run.recipe.learning_rate), run.recipe.learning_rate),
        when::ago(state, run.created),
        Cell::text(&run.by),
    ])
    .fault(run.state == RunState::Failed)
}

impl Page for Curves {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        let View::Curves { place, runs } = &screen.view else { return String::new() };
        let names: Vec<String> = runs.iter().map(|run| short(*run)).collect();
        format!("of {} · {}", names.join(", "), place_text(state, place))
    }

    fn tabs(&self) -> &'static [&'static str] {
        &METRICS
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        let View::Curves { place, runs } = &screen.view else { return Vec::new() };
        let query = |run: &RunId| Query::Run { project: place.project.clone(), run: *run };
        runs.iter().map(|run| Want { agent: place.agent, query: query(run) }).collect()
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        let View::Curves { place, runs } = &screen.view else { return None };
        Some(Subject::Run { place: place.clone(), run: *runs.first()? })
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let View::Curves { place, runs } = &cx.screen.view else { return };
        let found: Vec<&Run> = runs.iter().filter_map(|id| super::run(cx.state, place, *id)).collect();
        if found.is_empty() {
            put(buffer, body.x + 2, body.y + 1, body.width, "asking for the run…", cx.theme.style(Role::Dim));
            return;
        }
        if cx.screen.tab == 3 {
            return differences(cx, &found, body, buffer);
        }
        let curves = curves(&found, cx.screen.tab);
        if curves.iter().all(|(_, points)| points.is_empty()) {
            let text = match found.iter().any(|run| run.state == RunState::Running) {
                true => "no epoch is finished yet; the curve grows as they finish",
                false => "no epoch was finished",
            };
            put(buffer, body.x + 2, body.y + 1, body.width, text, cx.theme.style(Role::Dim));
            return;
        }
        let series = series(&curves);
        let y = if cx.screen.tab == 1 { Measure::Share } else { Measure::Number };
        let x = Axis { label: "epoch", measure: Measure::Count };
        Chart { series: &series, x, y, view: &cx.screen.chart, theme: cx.theme }.draw(body, buffer);
    }
}

type Points = Vec<(f64, Option<f64>)>;

/// What is drawn of the runs: of one both splits, of several the split that decides.
fn curves(runs: &[&Run], metric: u8) -> Vec<(String, Points)> {
    let of = |run: &Run, value: &dyn Fn(&EpochMetrics) -> f64| -> Points {
        let mut points = Points::new();
        for epoch in &run.epochs {
            // An epoch that is not there is a gap, not a line across.
            if let Some((last, _)) = points.last()
                && f64::from(epoch.epoch) > last + 1.0
            {
                points.push((last + 1.0, None));
            }
            let value = value(epoch);
            points.push((f64::from(epoch.epoch), Some(value).filter(|value| value.is_finite())));
        }
        points
    };
    let mut curves = Vec::new();
    for run in runs {
        let name =
            |what: &str| if runs.len() == 1 { what.to_owned() } else { format!("{} {what}", short(run.id)) };
        match metric {
            0 => {
                curves.push((name("valid loss"), of(run, &|epoch| epoch.valid_loss)));
                if runs.len() == 1 {
                    curves.push((name("train loss"), of(run, &|epoch| epoch.train_loss)));
                }
            }
            1 => curves.push((name("valid accuracy"), of(run, &|epoch| epoch.valid_accuracy))),
            _ => curves.push((name("learning rate"), of(run, &|epoch| epoch.learning_rate))),
        }
    }
    curves
}

fn series(curves: &[(String, Points)]) -> Vec<Series<'_>> {
    curves.iter().map(|(name, points)| Series { name, points }).collect()
}

/// The curves of the screen, to move its view over them.
fn with_curves(state: &mut State, change: impl FnOnce(&[Series<'_>], &mut Screen)) {
    let View::Curves { place, runs } = state.screen().view.clone() else { return };
    let found: Vec<Run> = runs.iter().filter_map(|id| super::run(state, &place, *id).cloned()).collect();
    let curves = curves(&found.iter().collect::<Vec<_>>(), state.screen().tab);
    change(&series(&curves), state.nav.top_mut());
}

/// Shows less of the curves, or more.
pub(in crate::tui) fn zoom(state: &mut State, closer: bool) {
    with_curves(state, |series, screen| {
        if let Some(extent) = extent(series) {
            screen.chart = if closer { screen.chart.zoom_in(extent) } else { screen.chart.zoom_out(extent) };
        }
    });
}

/// Moves the crosshair.
pub(in crate::tui) fn crosshair(state: &mut State, by: i32) {
    let across = Chart::plot_width(update::body(state.size).width);
    with_curves(state, |series, screen| {
        screen.chart = screen.chart.move_crosshair(series, by, across);
    });
}

/// In what the recipes differ; of one run, the whole recipe.
fn differences(cx: &Cx<'_>, runs: &[&Run], body: Rect, buffer: &mut Buffer) {
    let recipes: Vec<Vec<(String, String)>> = runs.iter().map(|run| recipe(run)).collect();
    let Some(first) = recipes.first() else { return };
    let mut y = body.y;
    let width = 22.min(body.width / (runs.len() as u16 + 1));
    let mut x = body.x + 20;
    for run in runs {
        x += put(buffer, x, y, width, &short(run.id), cx.theme.style(Role::Title)).max(width);
    }
    y += 1;
    for (i, (field, value)) in first.iter().enumerate() {
        let differs = recipes.iter().any(|other| other.get(i).is_some_and(|(_, other)| other != value));
        if (runs.len() > 1 && !differs) || y >= body.bottom() {
            continue;
        }
        put(buffer, body.x, y, 18, field, cx.theme.style(Role::Dim));
        let mut x = body.x + 20;
        for recipe in &recipes {
            let value = recipe.get(i).map_or("", |(_, value)| value.as_str());
            put(buffer, x, y, width.saturating_sub(2), &safe(value), cx.theme.style(Role::Text));
            x += width;
        }
        y += 1;
    }
    if y == body.y + 1 {
        put(buffer, body.x, y, body.width, "the recipes are the same", cx.theme.style(Role::Dim));
    }
}

/// A run's recipe, field by field, and what it came to.
fn recipe(run: &Run) -> Vec<(String, String)> {
    let mut fields = vec![("dataset".to_owned(), run.dataset.to_string())];
    // The recipe's own names, whatever fields it gains.
    if let Ok(serde_json::Value::Object(recipe)) = serde_json::to_value(&run.recipe) {
        fields.extend(recipe.into_iter().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name.replace('_', " "), value)
        }));
    }
    let best = best(run);
    fields.push(("epochs done".to_owned(), count(run.epochs.len() as u64)));
    fields.push((
        "best loss".to_owned(),
        best.map_or("-".to_owned(), |best| format!("{:.4}", best.valid_loss)),
    ));
    fields.push((
        "best accuracy".to_owned(),
        best.map_or("-".to_owned(), |best| crate::out::percent(best.valid_accuracy)),
    ));
    fields
}
