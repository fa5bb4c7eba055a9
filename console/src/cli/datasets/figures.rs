//! `vigie datasets history` and `vigie datasets metadata`.

use std::path::{Path, PathBuf};

use clap::Args;
use vigie_protocol::dataset::{ClassChange, DatasetRef, Lineage};
use vigie_protocol::history::{DatasetHistory, DatasetModelMetadata, SplitFigures};
use vigie_protocol::service::{DatasetList, DatasetMetadata};
use vigie_protocol::{ModelNumber, ProjectName};

use crate::app::App;
use crate::cli::Limit;
use crate::exit::{Exit, Failure};
use crate::export::{tables, write_new};
use crate::out::{Cell, Column, Sheet, Style, Table, age, count, note, signed, when};
use crate::session::{Session, ask};

#[derive(Debug, Args)]
pub struct History {
    /// Only of this line: source, production or reference
    lineage: Option<Lineage>,
    /// Write `<line>_history.csv` into this folder, for each line; "-" with one line: standard output
    #[arg(long, value_name = "FOLDER")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    limit: Limit,
}

impl History {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { lineage, csv, limit } = self;
        let Some(folder) = csv else {
            let rows = history(session, &project, lineage, limit.limit).await?;
            return Ok(app.out.value(&rows, |style| table(&rows, style).render(style))?);
        };
        if folder == Path::new("-") {
            let lineage = lineage.ok_or_else(|| Failure::usage("name the line that is to be written"))?;
            let rows = log(session, &project, lineage).await?;
            return Ok(app.out.bytes(&tables::history(&rows)?)?);
        }
        std::fs::create_dir_all(&folder).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot make {}: {error}", folder.display()))
        })?;
        let mut files = Vec::new();
        for line in Lineage::ALL.into_iter().filter(|line| lineage.is_none_or(|only| only == *line)) {
            let rows = log(session, &project, line).await?;
            let path = folder.join(format!("{line}_history.csv"));
            write_new(&path, &tables::history(&rows)?)?;
            note(format!("wrote {} ({} versions)", path.display(), rows.len()));
            files.push(path.display().to_string());
        }
        Ok(app.out.value(&files, |_| String::new())?)
    }
}

#[derive(Debug, Args)]
pub struct Metadata {
    /// The model version, such as v7
    model: ModelNumber,
    /// The dataset version; the one that the model learnt from when absent
    dataset: Option<DatasetRef>,
    /// Write it as CSV: into a file, or into a folder as `<dataset>_<model>_metadata.csv`; "-" for
    /// standard output
    #[arg(long, value_name = "PATH")]
    csv: Option<PathBuf>,
}

impl Metadata {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { model, dataset, csv } = self;
        let request = DatasetMetadata { project, model, dataset };
        let session = session.patient();
        let metadata = ask!(session, dataset_metadata, request).await?;
        let Some(path) = csv else {
            return Ok(app.out.value(&metadata, |style| sheet(&metadata, style).render(style))?);
        };
        let content = tables::metadata(&metadata)?;
        if path == Path::new("-") {
            return Ok(app.out.bytes(&content)?);
        }
        let path = if path.is_dir() { path.join(tables::metadata_name(&metadata)) } else { path };
        write_new(&path, &content)?;
        note(format!("wrote {}", path.display()));
        Ok(app.out.value(&path.display().to_string(), |_| String::new())?)
    }
}

/// A whole line as a log, oldest first.
async fn log(
    session: &Session,
    project: &ProjectName,
    lineage: Lineage,
) -> Result<Vec<DatasetHistory>, Failure> {
    let mut rows = history(session, project, Some(lineage), 0).await?;
    rows.reverse();
    Ok(rows)
}

async fn history(
    session: &Session,
    project: &ProjectName,
    lineage: Option<Lineage>,
    limit: usize,
) -> Result<Vec<DatasetHistory>, Failure> {
    session
        .pages(limit, async |page| {
            ask!(session, dataset_history, DatasetList { project: project.clone(), lineage, page }).await
        })
        .await
}

fn table(rows: &[DatasetHistory], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("VERSION"),
            Column::text("CREATED"),
            Column::figure("IMAGES"),
            Column::figure("ADDED"),
            Column::figure("REMOVED"),
            Column::figure("RELABELLED"),
            Column::figure("CLASSES"),
            Column::text("BY"),
            Column::flexible("ORIGIN"),
        ],
        "no dataset versions yet; `vigie datasets import FILE` makes one",
    );
    for DatasetHistory { version, origin, change, unchanged: _, quarantined: _, reason: _ } in rows {
        let ClassChange { added, removed, relabelled_in, relabelled_out: _, moved: _ } = *change;
        table.row([
            version.dataset.to_string().into(),
            age(style.now, version.created).into(),
            count(version.images()).into(),
            signed('+', added).into(),
            signed('-', removed).into(),
            signed('~', relabelled_in).into(),
            version.classes.len().to_string().into(),
            version.by.as_str().into(),
            Cell::from(origin.as_str()),
        ]);
    }
    table
}

fn sheet(metadata: &DatasetModelMetadata, style: &Style) -> Sheet {
    let DatasetModelMetadata { dataset, model, trained_on, manifest, splits, accuracy, .. } = metadata;
    let mut table =
        Table::new([Column::text("SPLIT"), Column::figure("IMAGES"), Column::text("HASH")], "no images");
    for SplitFigures { split, images, hash } in splits {
        table.row([split.to_string().into(), count(*images).into(), hash.to_string().into()]);
    }
    Sheet::new()
        .field("Dataset", format!("{dataset}, {}", when(style.now, metadata.dataset_created)))
        .field("Manifest", manifest.to_string())
        .field("Classes", metadata.dataset_classes.len().to_string())
        .field("Model", format!("{model}, {}", when(style.now, metadata.model_created)))
        .field("Trained on", trained_on.to_string())
        .field("Architecture", metadata.architecture.to_string())
        .field("Run", format!("{}, epoch {}", metadata.run, metadata.epoch))
        .field("Accuracy", accuracy.to_string())
        .field("Balanced", format!("{:.3}", metadata.balanced_accuracy))
        .field("Macro F1", format!("{:.3}", metadata.macro_f1))
        .field("Temperature", format!("{:.3}", metadata.temperature))
        .field("Weights", metadata.weights.to_string())
        .table("Splits", table)
}
