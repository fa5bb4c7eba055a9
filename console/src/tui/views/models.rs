//! Model versions: all of them, one with its passport and classes, its confusion matrix.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::model::{Alias, ClassReport, ModelVersion};
use vigie_protocol::service::ModelDetail;

use super::facts::Facts;
use super::listed::Listed;
use super::{Cx, Page, Subject, draw_table, place_text, when};
use crate::out::{percent, safe};
use crate::tui::state::{Answer, Query, Screen, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;
use crate::tui::widgets::heatmap::{HeatView, Heatmap};
use crate::tui::widgets::put;

/// The model versions of a project.
pub(in crate::tui) struct Models;
/// One model version.
pub(in crate::tui) struct Model;
/// Its confusion matrix.
pub(in crate::tui) struct Confusion;

const VERSIONS: [Column; 8] = [
    Column::figure("VERSION"),
    Column::short("ALIASES", 22),
    Column::figures("TEST ACCURACY", 28),
    Column::short("ARCHITECTURE", 20),
    Column::figure("CLASSES"),
    Column::short("DATASET", 16),
    Column::figure("MADE"),
    Column::rest("BY"),
];

const CLASSES: [Column; 5] = [
    Column::short("CLASS", 28),
    Column::figures("RECALL", 28),
    Column::figures("PRECISION", 28),
    Column::figure("F1"),
    Column::figure("TEST IMAGES"),
];

const TABS: [&str; 2] = ["classes", "passport"];

impl Page for Models {
    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let aliases = screen.view.place().and_then(|place| state.glance(place));
        let aliases = aliases.map(|glance| glance.aliases.as_slice()).unwrap_or_default();
        let mut table = listed(state, screen)?.table(
            &VERSIONS,
            |model| model.number.to_string(),
            move |model| row(state, model, aliases),
            "no model version yet: E on a finished run registers one",
        );
        // Aliases come with the agent's snapshot.
        table.revision = table.revision.wrapping_add(state.revision);
        Some(table)
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let number = listed(state, screen)?.rows.get(n)?.number;
        Some(Subject::Model { place: screen.view.place()?.clone(), number })
    }
}

/// Its rows, as far as they are here.
fn listed<'a>(state: &'a State, screen: &Screen) -> Option<Listed<'a, ModelVersion>> {
    Some(Listed::of(state, want(screen)?, |answer| match answer {
        Answer::Models(rows) => Some(rows),
        _ => None,
    }))
}

fn want(screen: &Screen) -> Option<Want> {
    let place = screen.view.place()?;
    Some(Want { agent: place.agent, query: Query::Models { project: place.project.clone() } })
}

fn row(state: &State, model: &ModelVersion, aliases: &[Alias]) -> Row {
    let held: Vec<&str> =
        aliases.iter().filter(|alias| alias.model == model.number).map(|alias| alias.name.as_str()).collect();
    let held_cell = if held.is_empty() {
        Cell::none()
    } else {
        Cell::text(format!("{} {}", state.theme.mark(Role::Good), held.join(", "))).role(Role::Good)
    };
    Row::new(vec![
        Cell::figure(model.number.to_string(), f64::from(model.number.0)).role(Role::Accent),
        held_cell,
        when::share(&model.accuracy),
        Cell::text(model.architecture.as_str()),
        Cell::figure(model.classes.to_string(), f64::from(model.classes)),
        Cell::text(model.dataset.to_string()),
        when::ago(state, model.created),
        Cell::text(&model.by),
    ])
}

/// The want of a model version with its passport.
pub(super) fn detail_want(screen: &Screen) -> Option<Want> {
    let (View::Model { place, number } | View::Confusion { place, number }) = &screen.view else {
        return None;
    };
    Some(Want { agent: place.agent, query: Query::Model { project: place.project.clone(), number: *number } })
}

fn detail<'a>(state: &'a State, screen: &Screen) -> Option<&'a ModelDetail> {
    match state.store.get(&detail_want(screen)?)?.answer.as_ref()? {
        Answer::Model(detail) => Some(detail),
        _ => None,
    }
}

fn about_text(state: &State, screen: &Screen) -> String {
    let (View::Model { place, number } | View::Confusion { place, number }) = &screen.view else {
        return String::new();
    };
    let held = state.glance(place).map(|glance| glance.aliases.as_slice()).unwrap_or_default();
    let held: Vec<&str> =
        held.iter().filter(|alias| alias.model == *number).map(|alias| alias.name.as_str()).collect();
    let held = if held.is_empty() { String::new() } else { format!(" ({})", held.join(", ")) };
    format!("{number}{held} of {}", place_text(state, place))
}

impl Page for Model {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        about_text(state, screen)
    }

    fn tabs(&self) -> &'static [&'static str] {
        &TABS
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        detail_want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let slot = detail_want(screen).and_then(|want| state.store.get(&want));
        let classes: &[ClassReport] = detail(state, screen)
            .map(|detail| detail.passport.evaluation.classes.as_slice())
            .unwrap_or_default();
        Some(Table {
            columns: &CLASSES,
            source: Slice::boxed(classes, |class| class.class.clone(), class_row),
            revision: slot.map_or(0, |slot| slot.revision),
            want: None,
            empty: super::waiting(slot, "it knows no classes"),
        })
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let View::Model { place, .. } = &screen.view else { return None };
        let passport = &detail(state, screen)?.passport;
        let class = passport.evaluation.classes.get(n)?.class.clone();
        // On the passport's pane keys act on the model as a whole.
        (screen.tab == 0).then(|| Subject::Class { place: place.clone(), dataset: passport.dataset, class })
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        let View::Model { place, number } = &screen.view else { return None };
        Some(Subject::Model { place: place.clone(), number: *number })
    }

    fn table_area(&self, _: &State, _: &Screen, body: Rect) -> Rect {
        Rect { y: body.y + 3, height: body.height.saturating_sub(3), ..body }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        if let Some(detail) = detail(cx.state, cx.screen) {
            let evaluation = &detail.passport.evaluation;
            let summary = [
                format!("test accuracy {}   top three {}", evaluation.accuracy, evaluation.top3_accuracy),
                format!(
                    "balanced {}   macro F1 {:.3}   log loss {:.4}   calibration error {} (before {})",
                    percent(evaluation.balanced_accuracy),
                    evaluation.macro_f1,
                    evaluation.log_loss,
                    percent(evaluation.calibration_error),
                    percent(evaluation.calibration_error_raw)
                ),
            ];
            for (i, line) in summary.iter().enumerate() {
                put(buffer, body.x, body.y + i as u16, body.width, line, cx.theme.style(Role::Text));
            }
            if cx.screen.tab == 1 {
                let area = self.table_area(cx.state, cx.screen, body);
                return passport(cx, detail).draw(cx.screen.scroll, cx.theme, area, buffer);
            }
        }
        draw_table(cx, self.table_area(cx.state, cx.screen, body), buffer);
    }
}

fn class_row(class: &ClassReport) -> Row {
    Row::new(vec![
        Cell::text(&class.class),
        when::share(&class.recall),
        when::share(&class.precision),
        Cell::figure(format!("{:.3}", class.f1), class.f1),
        Cell::figure(class.recall.n.to_string(), class.recall.n as f64),
    ])
    .fault(class.recall.n > 0 && class.recall.high < 0.5)
}

fn passport(cx: &Cx<'_>, detail: &ModelDetail) -> Facts {
    let ModelDetail { model, passport, aliases } = detail;
    let held: Vec<String> = aliases.iter().map(ToString::to_string).collect();
    Facts::new()
        .field("version", model.number.to_string())
        .field("aliases", if held.is_empty() { "none".to_owned() } else { held.join(", ") })
        .field("architecture", passport.architecture.to_string())
        .field("classes", passport.classes.len().to_string())
        .field("learnt from", format!("{} (manifest {})", passport.dataset, passport.manifest.short()))
        .field("run", format!("{}, epoch {}", passport.run, passport.epoch))
        .field("preprocess", passport.preprocess_hash.short())
        .field("weights", passport.weights.to_string())
        .field("temperature", format!("{:.4}", passport.temperature))
        .field("golden set", format!("{} images", passport.golden.len()))
        .field(
            "judged on",
            format!("{}, {} test images", passport.evaluation.dataset, passport.evaluation.outcomes.len()),
        )
        .field("made by", safe(&passport.made_by))
        .field("registered", format!("{} by {}", cx.state.moment(model.created), safe(&model.by)))
}

impl Page for Confusion {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        about_text(state, screen)
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        detail_want(screen).into_iter().collect()
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        let View::Confusion { place, number } = &screen.view else { return None };
        Some(Subject::Model { place: place.clone(), number: *number })
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let Some(detail) = detail(cx.state, cx.screen) else {
            let slot = detail_want(cx.screen).and_then(|want| cx.state.store.get(&want));
            super::draw_waiting(cx, slot, "it has no confusion matrix", body, buffer);
            return;
        };
        let passport = &detail.passport;
        let names: Vec<&str> = passport.classes.iter().map(String::as_str).collect();
        let matrix = &passport.evaluation.confusion;
        Heatmap { matrix, names: &names, view: &cx.screen.heat }.draw(cx.theme, body, buffer);
    }
}

/// Moves the cursor of the matrix.
pub(in crate::tui) fn steer(state: &mut State, down: isize, right: isize) {
    with_heat(state, |heat, classes| heat.moved(down, right, classes));
}

/// More of the matrix, or closer.
pub(in crate::tui) fn zoom(state: &mut State, closer: bool) {
    with_heat(state, |heat, classes| if closer { heat.zoom_in(classes) } else { heat.zoom_out(classes) });
}

fn with_heat(state: &mut State, change: impl FnOnce(HeatView, usize) -> HeatView) {
    let classes = detail(state, state.screen()).map_or(0, |detail| detail.passport.classes.len());
    let screen = state.nav.top_mut();
    screen.heat = change(screen.heat, classes);
}
