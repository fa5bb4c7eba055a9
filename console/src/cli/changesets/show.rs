//! How change-sets are shown.

use std::collections::BTreeMap;

use vigie_protocol::classes::{Rename, RenameKind};
use vigie_protocol::dataset::{ChangeSet, ChangeSetState, ClassChange, Decision};
use vigie_protocol::review::FindingCounts;

use crate::cli::datasets::classes_table;
use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, bytes, count, signed, when};

/// Change-sets, one a row.
pub fn table(change_sets: &[ChangeSet], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("ID"),
            Column::text("STATE"),
            Column::text("LINE"),
            Column::figure("ADDED"),
            Column::figure("REMOVED"),
            Column::figure("RELABELLED"),
            Column::figure("LEFT OUT"),
            Column::text("CREATED"),
            Column::flexible("ORIGIN"),
        ],
        "no change-sets",
    );
    for set in change_sets {
        let totals = set.totals();
        table.row([
            set.id.to_string().into(),
            state(set),
            set.lineage.as_str().into(),
            signed('+', totals.added).into(),
            signed('-', totals.removed).into(),
            signed('~', totals.relabelled_in).into(),
            count(set.quarantined).into(),
            age(style.now, set.created).into(),
            set.origin.as_str().into(),
        ]);
    }
    table
}

fn state(set: &ChangeSet) -> Cell {
    match (set.state, set.accepted_as) {
        (ChangeSetState::Proposed, _) => Cell::toned("proposed", Tone::Warn),
        (ChangeSetState::Accepted, Some(number)) => Cell::toned(format!("accepted as v{number}"), Tone::Good),
        (ChangeSetState::Accepted, None) => Cell::toned("accepted", Tone::Good),
        (ChangeSetState::Rejected, _) => Cell::toned("rejected", Tone::Dim),
        (ChangeSetState::Unknown, _) => Cell::toned("unknown", Tone::Dim),
    }
}

/// One change-set.
pub fn sheet(set: &ChangeSet, style: &Style) -> Sheet {
    let ChangeSet {
        id,
        project,
        lineage,
        base,
        state: _,
        origin,
        created,
        by,
        manifest: _,
        classes,
        result,
        bytes: size,
        unchanged,
        duplicates,
        quarantine,
        quarantined,
        renames,
        window,
        findings,
        left,
        accepted_as: _,
        decided,
        generation: _,
    } = set;
    let mut sheet = Sheet::new()
        .field("Change-set", id.to_string())
        .field("State", state(set))
        .field("Project", project.as_str())
        .field(
            "Line",
            match base {
                Some(base) => format!("{lineage}, after v{base}"),
                None => format!("{lineage}, its first version"),
            },
        )
        .field("Origin", origin.as_str())
        .maybe("Window", window.as_ref())
        .field("Proposed", format!("{} by {by}", when(style.now, *created)))
        .field("Size then", bytes(*size))
        .field("Unchanged", count(*unchanged))
        .field("Duplicates", count(*duplicates))
        .maybe("Findings", told(findings));
    if let Some(Decision { at, by, reason }) = decided {
        sheet = sheet
            .field("Decided", format!("{} by {by}", when(style.now, *at)))
            .maybe("Reason", reason.as_ref());
    }
    if !renames.is_empty() {
        sheet = sheet.table("Renamed", renames_table(renames));
    }
    sheet = sheet.table("Changes", changes_table(classes));
    if !left.is_empty() {
        sheet = sheet.table("Not taken", changes_table(left));
    }
    sheet = sheet.table("The version it makes", classes_table(result));
    if *quarantined > 0 {
        let mut left_out = Table::new([Column::flexible("FILE"), Column::flexible("WHY")], "none");
        for file in quarantine {
            left_out.row([Cell::from(file.origin.as_str()), file.reason.as_str().into()]);
        }
        let shown = quarantine.len() as u64;
        let title = match quarantined - shown.min(*quarantined) {
            0 => format!("Left out ({quarantined})"),
            more => format!("Left out ({quarantined}, {more} of them not listed)"),
        };
        sheet = sheet.table(title, left_out);
    }
    sheet
}

/// Images that got another label than they came with.
fn renames_table(renames: &[Rename]) -> Table {
    let mut table = Table::new(
        [
            Column::flexible("LABEL"),
            Column::flexible("BECAME"),
            Column::figure("IMAGES"),
            Column::text("WHY"),
        ],
        "none",
    );
    for Rename { from, to, images, kind } in renames {
        let why = match kind {
            RenameKind::Alias => "an alias",
            RenameKind::Folded => "written otherwise",
            RenameKind::Asked => "asked for",
            RenameKind::Unknown => "unknown",
        };
        table.row([Cell::from(from.as_str()), to.as_str().into(), count(*images).into(), why.into()]);
    }
    table
}

/// What happens to each class.
pub fn changes_table(classes: &BTreeMap<String, ClassChange>) -> Table {
    let mut changes = Table::new(
        [
            Column::flexible("CLASS"),
            Column::figure("ADDED"),
            Column::figure("REMOVED"),
            Column::figure("RELABELLED IN"),
            Column::figure("OUT"),
            Column::figure("MOVED"),
        ],
        "nothing",
    );
    for (class, change) in classes {
        let ClassChange { added, removed, relabelled_in, relabelled_out, moved } = *change;
        changes.row([
            Cell::from(class.as_str()),
            signed('+', added).into(),
            signed('-', removed).into(),
            signed('+', relabelled_in).into(),
            signed('-', relabelled_out).into(),
            signed('~', moved).into(),
        ]);
    }
    changes
}

/// What a reviewer should look at, in words; nothing when there is nothing.
fn told(findings: &FindingCounts) -> Option<String> {
    let FindingCounts { near_duplicates, leaks, outliers, enter_test } = *findings;
    let told: Vec<String> = [
        (near_duplicates, "look like another image"),
        (leaks, "have their group in two splits"),
        (outliers, "are unusual"),
        (enter_test, "enter the test split"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{} {what}", count(n)))
    .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

#[cfg(test)]
mod tests {
    use vigie_protocol::Time;
    use vigie_protocol::samples::Sample;

    use super::*;

    #[test]
    fn nothing_is_said_twice() {
        let style = Style { colour: false, width: None, now: Time::default() };
        let text = sheet(&ChangeSet::sample(), &style).render(&style);
        for title in ["Changes", "Renamed", "Not taken", "The version it makes"] {
            assert_eq!(text.lines().filter(|line| line.starts_with(title)).count(), 1, "{title}: {text}");
        }
    }
}
