//! How sources are shown.

use vigie_protocol::import::{GivenSplit, GroupRule, ImportOptions};
use vigie_protocol::source::{Imported, Pending, Source, SourceState};

use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, when, words};

/// Sources, one a row.
pub fn table(sources: &[Source], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("NAME"),
            Column::text("STATE"),
            Column::text("LINE"),
            Column::text("CHECKED"),
            Column::text("IMPORTED"),
            Column::flexible("ORIGIN"),
            Column::flexible("REMARK"),
        ],
        "no sources; `vigie sources add NAME` sets one up",
    );
    for source in sources {
        table.row([
            source.name.as_str().into(),
            state(source.state),
            source.lineage.as_str().into(),
            source.checked.map_or_else(Cell::none, |checked| age(style.now, checked).into()),
            Cell::maybe(source.imported.as_ref().and_then(|imported| imported.dataset)),
            source.origin.to_string().into(),
            source.detail.as_str().into(),
        ]);
    }
    table
}

/// A source in full.
pub fn sheet(source: &Source, style: &Style) -> Sheet {
    let Source {
        project,
        name,
        origin,
        lineage,
        options,
        acceptance,
        preprocess,
        created,
        by,
        state: found,
        since,
        detail,
        checked,
        latest,
        imported,
        pending,
        declined,
        generation: _,
    } = source;
    let mut sheet = Sheet::new()
        .field("Source", name.as_str())
        .field("Project", project.as_str())
        .field("Origin", origin.to_string())
        .field("Line", lineage.as_str())
        .maybe("Read", reading(options))
        .field("New versions", words::accepted(*acceptance))
        .field("Then", if *preprocess { "packed at once" } else { "nothing more" })
        .field("Set up", format!("{} by {by}", when(style.now, *created)))
        .field("State", state(*found))
        .field("Since", when(style.now, *since))
        .field("Remark", if detail.is_empty() { Cell::none() } else { detail.as_str().into() })
        .field("Checked", checked.map_or_else(|| "never".to_owned(), |checked| when(style.now, checked)))
        .maybe("Newest", latest.as_ref());
    if let Some(Imported { revision, at, dataset }) = imported {
        let dataset = dataset.map(|dataset| format!(", in {dataset}")).unwrap_or_default();
        sheet = sheet.field("Imported", format!("{revision}, {}{dataset}", when(style.now, *at)));
    }
    if let Some(pending @ Pending { revision, job, change_set, failures, .. }) = pending {
        sheet = sheet.field("On its way", revision.to_string()).field("Job", job.to_string());
        if *failures > 0 && change_set.is_none() {
            sheet = sheet.field("Import", Cell::toned(pending.outlook(), Tone::Warn));
        }
        if let Some(set) = change_set {
            let text = format!("{set}; `vigie changesets show {set}`");
            sheet = sheet.field("To be reviewed", Cell::toned(text, Tone::Warn));
        }
    }
    sheet.maybe("Rejected", declined.as_ref())
}

/// A source's state in its colour.
fn state(state: SourceState) -> Cell {
    let tone = match state {
        SourceState::Ok => Tone::Good,
        SourceState::Vanished | SourceState::Forbidden | SourceState::Broken => Tone::Bad,
        SourceState::Licence | SourceState::Unreachable => Tone::Warn,
        SourceState::Unchecked | SourceState::Unknown => Tone::Dim,
    };
    Cell::toned(state.as_str(), tone)
}

/// How it is read, where that is not the usual way.
fn reading(options: &ImportOptions) -> Option<String> {
    let ImportOptions { given_split, table, group } = options;
    let split = match given_split {
        GivenSplit::Keep => None,
        GivenSplit::RedrawValid => Some("train and valid dealt anew".to_owned()),
        GivenSplit::Redraw => Some("splits dealt anew".to_owned()),
        GivenSplit::Unknown => Some("in a way this build does not know".to_owned()),
    };
    let table = table.as_ref().map(|table| format!("by {}, label {}", table.file, table.label));
    let group = group.as_ref().map(|group| match group {
        GroupRule::Column { column } => format!("grouped by {column}"),
        GroupRule::Path { pattern } => format!("grouped by {pattern}"),
        GroupRule::Unknown => "grouped in a way this build does not know".to_owned(),
    });
    let parts: Vec<String> = table.into_iter().chain(split).chain(group).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
