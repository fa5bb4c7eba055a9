//! Dataset versions: the three lineages, and one version with its classes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::dataset::{ClassSizes, DatasetRef, DatasetVersion, Lineage, SplitCounts, Spread};

use super::listed::Listed;
use super::{Cx, Page, Subject, draw_table, place_text, when};
use crate::out::{bytes, count};
use crate::tui::state::{Answer, Place, Query, Screen, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;
use crate::tui::widgets::bars::{Bar, Bars};
use crate::tui::widgets::columns::Columns;
use crate::tui::widgets::put;
use crate::tui::widgets::scale::Measure;

/// The dataset versions of a project.
pub(super) struct Datasets;
/// One dataset version.
pub(super) struct Dataset;

const VERSIONS: [Column; 9] = [
    Column::text("VERSION"),
    Column::figure("IMAGES"),
    Column::figure("CLASSES"),
    Column::figure("TRAIN"),
    Column::figure("VALID"),
    Column::figure("TEST"),
    Column::figure("BYTES"),
    Column::figure("MADE"),
    Column::rest("BY"),
];

const CLASSES: [Column; 6] = [
    Column::short("CLASS", 32),
    Column::figure("IMAGES"),
    Column::figure("TRAIN"),
    Column::figure("VALID"),
    Column::figure("TEST"),
    Column::figure("SHARE"),
];

const SIZES: [Column; 5] = [
    Column::short("CLASS", 32),
    Column::figure("IMAGES"),
    Column::figures("WIDTH", 18),
    Column::figures("HEIGHT", 18),
    Column::figure("BYTES"),
];

/// Panes of one version.
const PANES: [&str; 2] = ["images", "sizes"];
const SIZES_PANE: u8 = 1;

const TABS: [&str; 4] = ["all", "source", "production", "reference"];

impl Page for Datasets {
    fn tabs(&self) -> &'static [&'static str] {
        &TABS
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        Some(listed(state, screen)?.table(
            &VERSIONS,
            |version| version.dataset.to_string(),
            move |version| row(state, version),
            "no version yet: `vigie datasets import FILE` makes the first",
        ))
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let dataset = listed(state, screen)?.rows.get(n)?.dataset;
        Some(Subject::Dataset { place: screen.view.place()?.clone(), dataset })
    }

    fn table_area(&self, _: &State, _: &Screen, body: Rect) -> Rect {
        // Under the table: how the images of the reference grew, or those of the lineage shown.
        Rect { height: body.height - (body.height / 3).min(9), ..body }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let table = self.table_area(cx.state, cx.screen, body);
        draw_table(cx, table, buffer);
        let area = Rect { y: table.bottom(), height: body.bottom() - table.bottom(), ..body };
        evolution(cx, area, buffer);
    }
}

/// Its rows, as far as they are here.
fn listed<'a>(state: &'a State, screen: &Screen) -> Option<Listed<'a, DatasetVersion>> {
    Some(Listed::of(state, want(screen)?, |answer| match answer {
        Answer::Datasets(rows) => Some(rows),
        _ => None,
    }))
}

fn want(screen: &Screen) -> Option<Want> {
    let View::Datasets { place } = &screen.view else { return None };
    let lineage = match screen.tab {
        1 => Some(Lineage::Source),
        2 => Some(Lineage::Production),
        3 => Some(Lineage::Reference),
        _ => None,
    };
    Some(Want { agent: place.agent, query: Query::Datasets { project: place.project.clone(), lineage } })
}

fn row(state: &State, version: &DatasetVersion) -> Row {
    let splits = version.classes.values().fold(SplitCounts::default(), |sum, class| SplitCounts {
        train: sum.train + class.train,
        valid: sum.valid + class.valid,
        test: sum.test + class.test,
    });
    let figure = |n: u64| Cell::figure(count(n), n as f64);
    Row::new(vec![
        Cell::text(version.dataset.to_string()).role(Role::Accent),
        figure(version.images()),
        figure(version.classes.len() as u64),
        figure(splits.train),
        figure(splits.valid),
        figure(splits.test),
        Cell::figure(bytes(version.bytes), version.bytes as f64),
        when::ago(state, version.created),
        Cell::text(&version.by),
    ])
}

/// Images of each version of one lineage, oldest first.
fn evolution(cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    let lineage = match super::subject(cx.state) {
        Some(Subject::Dataset { dataset, .. }) => dataset.lineage,
        _ => Lineage::Reference,
    };
    let Some(Answer::Datasets(rows)) =
        want(cx.screen).and_then(|want| cx.state.answer(want.agent, want.query))
    else {
        return;
    };
    let mut versions: Vec<&DatasetVersion> =
        rows.rows.iter().filter(|version| version.dataset.lineage == lineage).collect();
    versions.sort_by_key(|version| version.dataset);
    let title = format!("IMAGES OF {}, VERSION BY VERSION", lineage.as_str().to_uppercase());
    put(buffer, area.x, area.y, area.width, &title, cx.theme.style(Role::Title));
    let named: Vec<(String, Option<f64>)> = versions
        .iter()
        .map(|version| (format!("v{}", version.dataset.number), Some(version.images() as f64)))
        .collect();
    let columns: Vec<(&str, Option<f64>)> =
        named.iter().map(|(name, images)| (name.as_str(), *images)).collect();
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    Columns { columns: &columns, measure: Measure::Count }.draw(cx.theme, area, buffer);
}

impl Page for Dataset {
    fn about_text(&self, state: &State, screen: &Screen) -> String {
        match &screen.view {
            View::Dataset { place, dataset } => format!("{dataset} of {}", place_text(state, place)),
            _ => String::new(),
        }
    }

    fn tabs(&self) -> &'static [&'static str] {
        &PANES
    }

    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        let View::Dataset { place, dataset } = &screen.view else { return Vec::new() };
        let mut queries = vec![all_versions(place)];
        if screen.tab == SIZES_PANE {
            queries.push(sizes_of(place, *dataset));
        }
        queries.into_iter().map(|query| Want { agent: place.agent, query }).collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let View::Dataset { place, dataset } = &screen.view else { return None };
        if screen.tab == SIZES_PANE {
            return Some(sizes_table(state, place, *dataset));
        }
        let want = Want { agent: place.agent, query: all_versions(place) };
        let slot = state.store.get(&want);
        let version = find(state, place, *dataset);
        let total = version.map_or(0, DatasetVersion::images);
        let classes: Vec<(String, SplitCounts)> = version
            .map(|version| version.classes.iter().map(|(name, counts)| (name.clone(), *counts)).collect())
            .unwrap_or_default();
        Some(Table {
            columns: &CLASSES,
            source: Slice::owned(
                classes,
                |(name, _): &(String, SplitCounts)| name.clone(),
                move |(name, counts)| class_row(name, counts, total),
            ),
            revision: slot.map_or(0, |slot| slot.revision),
            want: None,
            empty: super::waiting(slot, "no such version among the newest; it may have been long ago"),
        })
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let View::Dataset { place, dataset } = &screen.view else { return None };
        let (class, _) = find(state, place, *dataset)?.classes.iter().nth(n)?;
        Some(Subject::Class { place: place.clone(), dataset: *dataset, class: class.clone() })
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        match &screen.view {
            View::Dataset { place, dataset } => {
                Some(Subject::Dataset { place: place.clone(), dataset: *dataset })
            }
            _ => None,
        }
    }

    fn table_area(&self, _: &State, _: &Screen, body: Rect) -> Rect {
        Rect { width: body.width.min(66), ..body }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let table = self.table_area(cx.state, cx.screen, body);
        draw_table(cx, table, buffer);
        // Bars beside the rows they belong to.
        let area =
            Rect { x: table.right() + 1, width: body.right().saturating_sub(table.right() + 1), ..table };
        if cx.screen.tab == SIZES_PANE {
            size_bars(cx, area, buffer);
        } else {
            count_bars(cx, area, buffer);
        }
    }
}

/// Images of the classes shown, split by split.
fn count_bars(cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    let View::Dataset { place, dataset } = &cx.screen.view else { return };
    let Some(version) = find(cx.state, place, *dataset) else { return };
    let most = version.classes.values().map(SplitCounts::total).max().unwrap_or(0);
    let classes: Vec<&SplitCounts> = version.classes.values().collect();
    let shown: Vec<[f64; 3]> = shown(cx, area)
        .filter_map(|at| classes.get(at))
        .map(|counts| [counts.train, counts.valid, counts.test].map(|n| n as f64))
        .collect();
    let bars: Vec<Bar<'_>> = shown.iter().map(|parts| Bar { name: "", parts, interval: None }).collect();
    let (parts, full) = (&["train", "valid", "test"][..], Some(most as f64));
    Bars { bars: &bars, parts, measure: Measure::Count, full, selected: None, top: 0 }
        .draw(cx.theme, area, buffer);
}

/// The widths of the images of the classes shown: the median, from the narrowest to the widest.
fn size_bars(cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
    let View::Dataset { place, dataset } = &cx.screen.view else { return };
    let Some(Answer::DatasetSizes(classes)) = cx.state.answer(place.agent, sizes_of(place, *dataset)) else {
        return;
    };
    let title = "median width, least to most";
    put(buffer, area.x, area.y, area.width, title, cx.theme.style(Role::Dim));
    let widest = classes.iter().map(|class| class.width.most).max().unwrap_or(0);
    let shown: Vec<([f64; 1], (f64, f64))> = shown(cx, area)
        .filter_map(|at| classes.get(at))
        .map(|class| ([class.width.median as f64], (class.width.least as f64, class.width.most as f64)))
        .collect();
    let bars: Vec<Bar<'_>> =
        shown.iter().map(|(parts, interval)| Bar { name: "", parts, interval: Some(*interval) }).collect();
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    Bars {
        bars: &bars,
        parts: &[],
        measure: Measure::Count,
        full: Some(widest as f64),
        selected: None,
        top: 0,
    }
    .draw(cx.theme, area, buffer);
}

/// The source's rows that the table beside shows, below its header.
fn shown(cx: &Cx<'_>, area: Rect) -> impl Iterator<Item = usize> {
    let first = cx.screen.table.offset;
    let rows = usize::from(area.height.saturating_sub(1));
    (first..first + rows).map_while(|place| super::source_row(cx.state, place))
}

fn sizes_of(place: &Place, dataset: DatasetRef) -> Query {
    Query::DatasetSizes { project: place.project.clone(), dataset }
}

fn sizes_table<'a>(state: &'a State, place: &Place, dataset: DatasetRef) -> Table<'a> {
    let want = Want { agent: place.agent, query: sizes_of(place, dataset) };
    let slot = state.store.get(&want);
    let classes: &[ClassSizes] = match slot.and_then(|slot| slot.answer.as_ref()) {
        Some(Answer::DatasetSizes(classes)) => classes,
        _ => &[],
    };
    Table {
        columns: &SIZES,
        source: Slice::boxed(classes, |class| class.class.clone(), sizes_row),
        revision: slot.map_or(0, |slot| slot.revision),
        want: None,
        empty: super::waiting(slot, "this version has no images"),
    }
}

fn sizes_row(class: &ClassSizes) -> Row {
    let ClassSizes { class, images, width, height, bytes: size } = class;
    let pixels = |of: &Spread| {
        let Spread { least, median, most } = *of;
        let text =
            if least == most { median.to_string() } else { format!("{median} ({least}\u{2013}{most})") };
        Cell::figure(text, median as f64)
    };
    Row::new(vec![
        Cell::text(class),
        Cell::figure(count(*images), *images as f64),
        pixels(width),
        pixels(height),
        Cell::figure(bytes(size.median), size.median as f64),
    ])
}

fn all_versions(place: &Place) -> Query {
    Query::Datasets { project: place.project.clone(), lineage: None }
}

fn find<'a>(state: &'a State, place: &Place, dataset: DatasetRef) -> Option<&'a DatasetVersion> {
    match state.answer(place.agent, all_versions(place))? {
        Answer::Datasets(rows) => rows.rows.iter().find(|version| version.dataset == dataset),
        _ => None,
    }
}

fn class_row(name: &str, counts: &SplitCounts, total: u64) -> Row {
    let figure = |n: u64| Cell::figure(count(n), n as f64);
    Row::new(vec![
        Cell::text(name),
        figure(counts.total()),
        figure(counts.train),
        figure(counts.valid),
        figure(counts.test),
        when::portion(counts.total() as f64 / total.max(1) as f64),
    ])
    // A class that no split can test, or learn from, is no class yet.
    .fault(counts.train == 0 || counts.test == 0)
}
