//! `vigie classes rename` and `vigie classes undo-rename`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use vigie_protocol::ProjectName;
use vigie_protocol::classes::{LabelMatch, Relabelling};
use vigie_protocol::dataset::{DatasetRef, DatasetVersion, Lineage, SplitCounts};
use vigie_protocol::job::JobSpec;
use vigie_protocol::service::{ClassCheck, DatasetGet};

use super::edit::pair;
use crate::app::App;
use crate::cli::Waiting;
use crate::cli::datasets::submit;
use crate::cli::jobs::finish;
use crate::cli::runs::newest;
use crate::exit::{Exit, Failure};
use crate::out::{Cell, Column, Table, count, note};
use crate::session::{Session, ask};

#[derive(Debug, Args)]
pub struct Rename {
    /// In which line: source, production or reference
    lineage: Lineage,
    /// The class and its new name, such as Owl=owl; a name that exists unites the two
    #[arg(value_name = "OLD=NEW", value_parser = pair, required_unless_present = "by_list")]
    renames: Vec<(String, String)>,
    /// All labels that the class list knows under another name
    #[arg(long, conflicts_with = "renames")]
    by_list: bool,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Only propose the change-set
    #[arg(long)]
    review: bool,
    #[command(flatten)]
    waiting: Waiting,
}

impl Rename {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { lineage, renames, by_list, dry_run, review, waiting } = self;
        let head = newest(session, &project, lineage)
            .await?
            .ok_or_else(|| Failure::new(Exit::NotFound, format!("{lineage} has no version yet")))?;
        let renames: BTreeMap<String, String> = match by_list {
            true => known_otherwise(session, &project, head).await?,
            false => renames.into_iter().collect(),
        };
        let request = DatasetGet { project: project.clone(), dataset: head };
        let version = ask!(session, dataset_get, request).await?;
        let preview = preview(&version, &renames);
        if dry_run {
            return Ok(app.out.value(&preview, |style| table(&preview).render(style))?);
        }
        if preview.iter().all(|row| row.images == 0) {
            note(format!("no image of {head} is renamed"));
            return Ok(app.out.value(&preview, |style| table(&preview).render(style))?);
        }
        note(table(&preview).render(&app.out.for_notes()).trim_end());
        let relabelling = Relabelling::classes(renames);
        let spec = JobSpec::Relabel { lineage, relabelling, accept: !review };
        finish(app, session, submit(session, project, spec).await?, waiting).await
    }
}

#[derive(Debug, Args)]
pub struct UndoRename {
    /// The version that renamed them, such as reference@v4
    dataset: DatasetRef,
    /// Only propose the change-set
    #[arg(long)]
    review: bool,
    #[command(flatten)]
    waiting: Waiting,
}

impl UndoRename {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { dataset: DatasetRef { lineage, number: version }, review, waiting } = self;
        let relabelling = Relabelling::Undo { version };
        let spec = JobSpec::Relabel { lineage, relabelling, accept: !review };
        finish(app, session, submit(session, project, spec).await?, waiting).await
    }
}

/// The labels of a version that the class list knows under another name.
async fn known_otherwise(
    session: &Session,
    project: &ProjectName,
    dataset: DatasetRef,
) -> Result<BTreeMap<String, String>, Failure> {
    let request = ClassCheck { project: project.clone(), labels: Vec::new(), dataset: Some(dataset) };
    let found = ask!(session, class_check, request).await?;
    let other = |LabelMatch { label, class, .. }: LabelMatch| {
        class.filter(|class| *class != label).map(|class| (label, class))
    };
    Ok(found.into_iter().filter_map(other).collect())
}

/// What a rename does to one class.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    from: String,
    to: String,
    /// Images that get the new label.
    images: u64,
    /// Images that have it already.
    joins: u64,
}

fn preview(version: &DatasetVersion, renames: &BTreeMap<String, String>) -> Vec<Row> {
    let images = |class: &String| version.classes.get(class).map_or(0, SplitCounts::total);
    let row = |(from, to): (&String, &String)| Row {
        from: from.clone(),
        to: to.clone(),
        images: if from == to { 0 } else { images(from) },
        joins: if renames.contains_key(to) { 0 } else { images(to) },
    };
    renames.iter().map(row).collect()
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(
        [
            Column::flexible("CLASS"),
            Column::flexible("BECOMES"),
            Column::figure("IMAGES"),
            Column::figure("JOINS"),
        ],
        "every label is as the class list has it",
    );
    for Row { from, to, images, joins } in rows {
        table.row([
            Cell::from(from.as_str()),
            to.as_str().into(),
            count(*images).into(),
            count(*joins).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use vigie_protocol::{ChangeSetId, Hash, Time};

    use super::*;

    #[test]
    fn a_preview_says_what_unites() {
        let counts = |train| SplitCounts { train, valid: 1, test: 0 };
        let version = DatasetVersion {
            dataset: "reference@v1".parse().expect("a version"),
            manifest: Hash::of(b""),
            created: Time::default(),
            by: String::new(),
            change_set: ChangeSetId::new(),
            classes: [("Owl".to_owned(), counts(2)), ("owl".to_owned(), counts(9))].into(),
            bytes: 0,
            window: None,
        };
        let renames = [("Owl", "owl"), ("kite", "Kite")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let rows = preview(&version, &renames.into());
        let row = |from: &str, to: &str, images, joins| Row {
            from: from.to_owned(),
            to: to.to_owned(),
            images,
            joins,
        };
        assert_eq!(rows, [row("Owl", "owl", 3, 10), row("kite", "Kite", 0, 0)]);
    }
}
