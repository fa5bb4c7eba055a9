//! `vigie datasets`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use vigie_protocol::dataset::{DatasetImage, DatasetRef, DatasetVersion, Lineage, Split, SplitCounts};
use vigie_protocol::job::{ImportSource, Job, JobSpec};
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::service::{DatasetGet, DatasetImages, DatasetList, JobSubmit};
use vigie_protocol::{IdempotencyKey, ProjectName};

use crate::app::App;
use crate::cli::jobs::finish;
use crate::cli::{Limit, Waiting};
use crate::exit::{Exit, Failure};
use crate::out::{Cell, Column, Sheet, Style, Table, age, bytes, count, percent, when};
use crate::session::{Session, ask};

const EXAMPLES: &str = "\
Examples:
  vigie datasets import birds.zip             pictures in one folder a class
  vigie datasets import birds.zip --review    only propose; `vigie changesets accept` decides
  vigie datasets update source@v1 reference   bring what was imported into what models learn from
  vigie datasets show reference@v1
  vigie datasets images reference@v1 --class owl --split test
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Datasets {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List dataset versions, newest first
    List {
        /// Only of this line: source, production or reference
        #[arg(long)]
        lineage: Option<Lineage>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show one version with its images per class and split
    Show {
        /// The version, such as reference@v3
        dataset: DatasetRef,
    },
    /// List the images of a version
    Images {
        /// The version, such as reference@v3
        dataset: DatasetRef,
        /// Only this class
        #[arg(long)]
        class: Option<String>,
        /// Only this split: train, valid or test
        #[arg(long, value_parser = split)]
        split: Option<Split>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Import a folder or zip file with one folder a class
    Import {
        /// The folder or zip file
        source: PathBuf,
        /// Into which line: source, production or reference
        #[arg(long, default_value = "source")]
        lineage: Lineage,
        /// Send the zip file to the agent, although the agent could read it where it is
        #[arg(long)]
        upload: bool,
        #[command(flatten)]
        review: Review,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Bring what one version has and another line lacks into that line
    Update {
        /// From which version, such as source@v2
        from: DatasetRef,
        /// Into which line
        #[arg(default_value = "reference")]
        into: Lineage,
        #[command(flatten)]
        review: Review,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Decode a version into what trainings read (trainings do it themselves when needed)
    Preprocess {
        /// The version, such as reference@v3
        dataset: DatasetRef,
        /// Side of the network's input in pixels
        #[arg(long, default_value_t = 224, value_name = "PIXELS")]
        input: u32,
        /// The network that will read it
        #[arg(long, default_value = "efficientnet-lite0", value_name = "NAME")]
        architecture: Architecture,
        #[command(flatten)]
        waiting: Waiting,
    },
}

/// Who decides on a change-set.
#[derive(Clone, Copy, Debug, Args)]
struct Review {
    /// Accept the change-set at once when nothing but additions is in it (this is the default)
    #[arg(long, conflicts_with = "review")]
    accept: bool,
    /// Only propose the change-set
    #[arg(long)]
    review: bool,
}

impl Datasets {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let project = app.project(session).await?;
        match self.verb {
            Verb::List { lineage, limit } => {
                let versions = session
                    .pages(limit.limit, async |page| {
                        let request = DatasetList { project: project.clone(), lineage, page };
                        ask!(session, dataset_list, request).await
                    })
                    .await?;
                Ok(app.out.value(&versions, |style| table(&versions, style).render(style))?)
            }
            Verb::Show { dataset } => {
                let version = ask!(session, dataset_get, DatasetGet { project, dataset }).await?;
                Ok(app.out.value(&version, |style| sheet(&version, style).render(style))?)
            }
            Verb::Images { dataset, class, split, limit } => {
                let images = session
                    .pages(limit.limit, async |page| {
                        let (project, class) = (project.clone(), class.clone());
                        let request = DatasetImages { project, dataset, class, split, page };
                        ask!(session, dataset_images, request).await
                    })
                    .await?;
                Ok(app.out.value(&images, |style| images_table(&images).render(style))?)
            }
            Verb::Import { source, lineage, upload, review, waiting } => {
                let source = import_source(session, &source, upload).await?;
                let spec = JobSpec::Import { source, lineage, accept: !review.review };
                finish(app, session, submit(session, project, spec).await?, waiting).await
            }
            Verb::Update { from, into, review, waiting } => {
                let spec = JobSpec::Propose { from, into, accept: !review.review };
                finish(app, session, submit(session, project, spec).await?, waiting).await
            }
            Verb::Preprocess { dataset, input, architecture, waiting } => {
                let spec = PreprocessSpec::for_network(architecture, input);
                let spec = JobSpec::Preprocess { dataset, spec };
                finish(app, session, submit(session, project, spec).await?, waiting).await
            }
        }
    }
}

/// Asks for a job of a project.
pub async fn submit(session: &Session, project: ProjectName, spec: JobSpec) -> Result<Job, Failure> {
    let request = JobSubmit { key: IdempotencyKey::new(), project: Some(project), spec, after: Vec::new() };
    ask!(session, job_submit, request).await
}

/// How the agent gets at `path`: where it is, when the agent is on this machine; else as a blob.
pub async fn import_source(session: &Session, path: &Path, upload: bool) -> Result<ImportSource, Failure> {
    let shown = path.display();
    let unusable = |reason: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("cannot import {shown}: {reason}"))
    };
    let absolute = path.canonicalize().map_err(|error| unusable(&error))?;
    let name =
        absolute.file_name().map_or_else(|| "import".to_owned(), |name| name.to_string_lossy().into_owned());
    if session.is_local() && !upload {
        let path = absolute.to_str().ok_or_else(|| unusable(&"its path is not valid UTF-8"))?.to_owned();
        return Ok(ImportSource::Path { path });
    }
    if absolute.is_dir() {
        let reason =
            if upload { "a folder cannot be sent" } else { "it is a folder, and the agent is elsewhere" };
        return Err(unusable(&reason).hint("zip it (`zip -r -0 images.zip FOLDER`) and import the zip file"));
    }
    let hash = session.upload(&absolute, &format!("sending {name}")).await?;
    Ok(ImportSource::Blob { hash, name })
}

fn split(text: &str) -> Result<Split, String> {
    let split = Split::ALL.into_iter().find(|split| split.to_string() == text);
    split.ok_or_else(|| format!("{text:?} is not a split; they are train, valid, test"))
}

fn table(versions: &[DatasetVersion], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("VERSION"),
            Column::figure("CLASSES"),
            Column::figure("IMAGES"),
            Column::figure("SIZE"),
            Column::text("CREATED"),
            Column::flexible("BY"),
        ],
        "no dataset versions yet; `vigie datasets import FILE` makes one",
    );
    for version in versions {
        table.row([
            version.dataset.to_string().into(),
            version.classes.len().to_string().into(),
            count(version.images()).into(),
            bytes(version.bytes).into(),
            age(style.now, version.created).into(),
            version.by.as_str().into(),
        ]);
    }
    table
}

fn sheet(version: &DatasetVersion, style: &Style) -> Sheet {
    let DatasetVersion { dataset, manifest, created, by, change_set, classes, bytes: size } = version;
    Sheet::new()
        .field("Version", dataset.to_string())
        .field(
            "Images",
            format!("{} in {} classes, {}", count(version.images()), classes.len(), bytes(*size)),
        )
        .field("Created", format!("{} by {by}", when(style.now, *created)))
        .field("Change-set", change_set.to_string())
        .field("Manifest", manifest.to_string())
        .table("Images", classes_table(classes))
}

/// Images per class and split.
pub fn classes_table(classes: &std::collections::BTreeMap<String, SplitCounts>) -> Table {
    let mut table = Table::new(
        [
            Column::flexible("CLASS"),
            Column::figure("TRAIN"),
            Column::figure("VALID"),
            Column::figure("TEST"),
            Column::figure("TOTAL"),
            Column::figure("SHARE"),
        ],
        "no images",
    );
    let all: u64 = classes.values().map(SplitCounts::total).sum();
    for (class, counts) in classes {
        let SplitCounts { train, valid, test } = *counts;
        let total = counts.total();
        table.row([
            Cell::from(class.as_str()),
            count(train).into(),
            count(valid).into(),
            count(test).into(),
            count(total).into(),
            percent(total as f64 / all.max(1) as f64).into(),
        ]);
    }
    table
}

fn images_table(images: &[DatasetImage]) -> Table {
    let mut table = Table::new(
        [
            Column::text("IMAGE"),
            Column::text("CLASS"),
            Column::text("SPLIT"),
            Column::figure("PIXELS"),
            Column::figure("SIZE"),
            Column::flexible("ORIGIN"),
        ],
        "no such images",
    );
    for image in images {
        let DatasetImage { image, label, split, origin, quality, admission: _ } = image;
        table.row([
            image.to_string().into(),
            label.as_str().into(),
            split.to_string().into(),
            format!("{}x{}", quality.width, quality.height).into(),
            bytes(quality.bytes).into(),
            origin.as_str().into(),
        ]);
    }
    table
}
