//! Proposed dataset versions, and one of them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::dataset::{ChangeSet, ChangeSetState, ClassChange};

use super::listed::Listed;
use super::{Cx, Page, Subject, draw_table, when};
use crate::out::{count, safe, signed, words};
use crate::tui::state::{Answer, Query, Screen, State, View, Want};
use crate::tui::table::{Cell, Column, Row, Slice, Table};
use crate::tui::theme::Role;
use crate::tui::widgets::put;

/// The change-sets of a project.
pub(super) struct ChangeSets;
/// One of them.
pub(super) struct OneChangeSet;

const SETS: [Column; 9] = [
    Column::short("CHANGE-SET", 10),
    Column::short("STATE", 12),
    Column::short("LINEAGE", 12),
    Column::figure("ADDED"),
    Column::figure("REMOVED"),
    Column::figure("RELABELLED"),
    Column::figure("LEFT OUT"),
    Column::figure("PROPOSED"),
    Column::rest("ORIGIN"),
];

const CLASSES: [Column; 7] = [
    Column::short("CLASS", 32),
    Column::figure("ADDED"),
    Column::figure("REMOVED"),
    Column::figure("RELABELLED IN"),
    Column::figure("OUT"),
    Column::figure("MOVED"),
    Column::figure("THEN"),
];

impl Page for ChangeSets {
    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        want(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        Some(listed(state, screen)?.table(
            &SETS,
            |set| set.id.to_string(),
            move |set| row(state, set),
            "no change-set yet: `vigie datasets import` or a source proposes one",
        ))
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let id = listed(state, screen)?.rows.get(n)?.id;
        Some(Subject::ChangeSet { place: screen.view.place()?.clone(), id })
    }
}

/// Its rows, as far as they are here.
fn listed<'a>(state: &'a State, screen: &Screen) -> Option<Listed<'a, ChangeSet>> {
    Some(Listed::of(state, want(screen)?, |answer| match answer {
        Answer::ChangeSets(rows) => Some(rows),
        _ => None,
    }))
}

fn want(screen: &Screen) -> Option<Want> {
    let place = screen.view.place()?;
    Some(Want { agent: place.agent, query: Query::ChangeSets { project: place.project.clone() } })
}

fn state_cell(state: &State, set: &ChangeSet) -> Cell {
    let (role, word) = standing(set);
    Cell::text(format!("{} {word}", state.theme.mark(role))).role(role)
}

/// Where it stands, and how that looks.
pub(super) fn standing(set: &ChangeSet) -> (Role, &'static str) {
    match set.state {
        ChangeSetState::Proposed => (Role::Warn, "proposed"),
        ChangeSetState::Accepted => (Role::Good, "accepted"),
        ChangeSetState::Rejected => (Role::Dim, "rejected"),
        ChangeSetState::Unknown => (Role::Dim, "unknown"),
    }
}

fn row(state: &State, set: &ChangeSet) -> Row {
    let totals = set.totals();
    let id = set.id.to_string();
    let change = |sign, n: u64| Cell::figure(signed(sign, n), n as f64);
    Row::new(vec![
        Cell::text(&id[id.len().saturating_sub(8)..]),
        state_cell(state, set),
        Cell::text(set.lineage.as_str()),
        change('+', totals.added).role(Role::Good),
        change('-', totals.removed).role(Role::Bad),
        Cell::figure(count(totals.relabelled_in), totals.relabelled_in as f64),
        Cell::figure(count(set.quarantined), set.quarantined as f64),
        when::ago(state, set.created),
        Cell::text(&set.origin),
    ])
    .fault(set.state == ChangeSetState::Proposed)
}

impl Page for OneChangeSet {
    fn wants(&self, _: &State, screen: &Screen) -> Vec<Want> {
        one(screen).into_iter().collect()
    }

    fn table<'a>(&self, state: &'a State, screen: &'a Screen) -> Option<Table<'a>> {
        let View::ChangeSet { place, id } = &screen.view else { return None };
        let slot = one(screen).and_then(|want| state.store.get(&want));
        let set = super::find_change_set(state, place, *id);
        let classes: Vec<(String, ClassChange)> = set
            .map(|set| set.classes.iter().map(|(name, change)| (name.clone(), *change)).collect())
            .unwrap_or_default();
        Some(Table {
            columns: &CLASSES,
            source: Slice::owned(
                classes,
                |(name, _): &(String, ClassChange)| name.clone(),
                move |(name, change)| class_row(set, name, change),
            ),
            revision: set.map_or(0, |set| set.generation + 1),
            want: None,
            empty: super::waiting(slot, "it changes no class"),
        })
    }

    fn subject(&self, state: &State, screen: &Screen, n: usize) -> Option<Subject> {
        let View::ChangeSet { place, id } = &screen.view else { return None };
        let class = super::find_change_set(state, place, *id)?.classes.keys().nth(n)?.clone();
        Some(Subject::ChangedClass { place: place.clone(), id: *id, class })
    }

    fn about(&self, _: &State, screen: &Screen) -> Option<Subject> {
        match &screen.view {
            View::ChangeSet { place, id } => Some(Subject::ChangeSet { place: place.clone(), id: *id }),
            _ => None,
        }
    }

    fn table_area(&self, _: &State, _: &Screen, body: Rect) -> Rect {
        let head = 6.min(body.height);
        Rect { y: body.y + head, height: (body.height - head) * 2 / 3, ..body }
    }

    fn draw(&self, cx: &Cx<'_>, body: Rect, buffer: &mut Buffer) {
        let table = self.table_area(cx.state, cx.screen, body);
        if let View::ChangeSet { place, id } = &cx.screen.view
            && let Some(set) = super::find_change_set(cx.state, place, *id)
        {
            head(cx, set, body, buffer);
            let left_out = Rect { y: table.bottom(), height: body.bottom() - table.bottom(), ..body };
            quarantine(cx, set, left_out, buffer);
        }
        draw_table(cx, table, buffer);
    }
}

fn one(screen: &Screen) -> Option<Want> {
    let View::ChangeSet { place, id } = &screen.view else { return None };
    Some(Want { agent: place.agent, query: Query::ChangeSet { project: place.project.clone(), id: *id } })
}

fn class_row(set: Option<&ChangeSet>, name: &str, change: &ClassChange) -> Row {
    let then = set.and_then(|set| set.result.get(name)).map_or(0, |counts| counts.total());
    let changed = |sign, n: u64| Cell::figure(signed(sign, n), n as f64);
    Row::new(vec![
        Cell::text(name),
        changed('+', change.added).role(Role::Good),
        changed('-', change.removed).role(Role::Bad),
        changed('+', change.relabelled_in),
        changed('-', change.relabelled_out),
        Cell::figure(count(change.moved), change.moved as f64),
        Cell::figure(count(then), then as f64),
    ])
    .fault(change.removed > 0 || change.relabelled_out > 0)
}

fn head(cx: &Cx<'_>, set: &ChangeSet, body: Rect, buffer: &mut Buffer) {
    let base = set.base.map_or("nothing".to_owned(), |base| format!("{}@v{base}", set.lineage));
    let became =
        set.accepted_as.map(|number| format!(", became {}@v{number}", set.lineage)).unwrap_or_default();
    let decided = set.decided.as_ref().map_or("undecided".to_owned(), |decided| {
        let reason = decided.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("decided {} by {}{reason}", cx.state.clock(decided.at), decided.by)
    });
    let mut lines = vec![
        format!("{} against {base}{became}", set.origin),
        format!("proposed {} by {}; {decided}", cx.state.clock(set.created), set.by),
        format!(
            "{} unchanged, {} exact duplicates, {} files left out",
            count(set.unchanged),
            count(set.duplicates),
            count(set.quarantined)
        ),
    ];
    if let Some(found) = words::findings(&set.findings) {
        lines.push(format!("{found}: {} looks through them", cx.state.keymap.shown("review")));
    }
    if !set.left.is_empty() {
        let left: ClassChange = set.left.values().sum();
        lines.push(format!(
            "a part of it: not taken were {} added, {} removed, {} relabelled",
            count(left.added),
            count(left.removed),
            count(left.relabelled_in)
        ));
    }
    for (i, line) in lines.iter().enumerate() {
        put(buffer, body.x, body.y + i as u16, body.width, &safe(line), cx.theme.style(Role::Text));
    }
}

fn quarantine(cx: &Cx<'_>, set: &ChangeSet, area: Rect, buffer: &mut Buffer) {
    if set.quarantine.is_empty() {
        return;
    }
    let title = format!("LEFT OUT ({})", count(set.quarantined));
    put(buffer, area.x, area.y, area.width, &title, cx.theme.style(Role::Title));
    for (i, file) in set.quarantine.iter().take(usize::from(area.height.saturating_sub(1))).enumerate() {
        let text = safe(&format!("{}  {}", file.origin, file.reason));
        put(
            buffer,
            area.x + 2,
            area.y + 1 + i as u16,
            area.width.saturating_sub(2),
            &text,
            cx.theme.style(Role::Dim),
        );
    }
}
