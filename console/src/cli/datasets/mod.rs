//! `vigie datasets`.

mod balance;
mod diff;
mod export;
mod figures;
mod import;
mod input;
mod labels;
mod show;
mod window;

use std::path::Path;

use clap::{Args, Subcommand};
use vigie_protocol::dataset::{DatasetRef, Lineage, Split};
use vigie_protocol::job::{ImportSource, Job, JobSpec};
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::service::{DatasetGet, DatasetImages, DatasetList, JobSubmit};
use vigie_protocol::{IdempotencyKey, ProjectName};

use crate::app::App;
use crate::cli::jobs::finish;
use crate::cli::{Limit, Waiting};
use crate::exit::{Exit, Failure};
use crate::session::{Session, ask};

pub use diff::kind as change_kind;
pub use import::Reading;
pub use show::classes_table;

const EXAMPLES: &str = "\
Examples:
  vigie datasets import birds.zip             pictures in one folder a class
  vigie datasets import birds.zip --review    only propose; `vigie changesets accept` decides
  vigie datasets import --url https://example.org/birds.zip --checksum sha256:9f86d0…
  vigie datasets import --kaggle gpiosenka/100-bird-species --version 2
  vigie datasets import xray.zip --redraw-split=valid --group-pattern '(person[0-9]+)_'
  vigie datasets import shop/ --csv products.csv --image-column image \\
      --label \"category | strip '[\\\"]' | part 1 of '>>'\" --group product_id
  vigie datasets resplit reference            propose new splits: groups whole, shares as set
  vigie datasets update source@v1 reference   bring what was imported into what models learn from
  vigie datasets show reference@v1
  vigie datasets images reference@v1 --class owl --split test
  vigie datasets diff reference@v1 reference@v2
  vigie datasets update production@v9 reference --last 1000   only the newest 1,000 images
  vigie datasets balance reference@v2 --plan weights          what would it come to?
  vigie datasets label-check reference@v2                     which labels may be wrong?
  vigie datasets label-accept 3f2a 91cc                       they get the suggested labels
  vigie datasets export reference@v2 birds/                   split/class/name.jpg, and the manifest
  vigie datasets import-manifest birds/manifest.jsonl --images birds/
  vigie datasets history --csv logs/
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
    /// Show how large the images of each class are
    Sizes {
        /// The version, such as reference@v3
        dataset: DatasetRef,
    },
    /// Tell two versions apart, class by class and image by image
    Diff(diff::Diff),
    /// Import a folder or zip file: one folder a class, or a table that says what the images are
    ///
    /// With --url or --kaggle the agent downloads it; its configuration must allow that. `vigie sources
    /// --help` says where credentials lie, and how to follow what changes.
    Import {
        #[command(flatten)]
        input: input::Input,
        /// Into which line: source, production or reference
        #[arg(long, default_value = "source")]
        lineage: Lineage,
        #[command(flatten)]
        reading: Reading,
        #[command(flatten)]
        review: Review,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Propose new splits for a line: groups whole, shares as set, as few images moved as possible
    ///
    /// Images keep their split from version to version, so that nothing a model was judged on is
    /// learnt by its successor. A re-split breaks that on purpose; it is a change-set that waits for
    /// `vigie changesets accept`. Figures of models from before it are not comparable with later ones.
    Resplit {
        /// The line: source, production or reference
        lineage: Lineage,
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
        /// Let every class in, also those that wait until they are large enough
        #[arg(long)]
        admit_all: bool,
        /// Only add images: what both lines have keeps the label it has
        #[arg(long)]
        only_add: bool,
        #[command(flatten)]
        window: window::WindowOptions,
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
    /// List versions with how they came about, or write the lines' logs as CSV
    History(figures::History),
    /// Show all that is known of a dataset version and a model version together, or write it as CSV
    Metadata(figures::Metadata),
    /// Show what it would take for all classes to weigh the same, and do it if asked
    Balance(balance::BalanceCommand),
    /// Look for labels that a classifier contradicts which did not learn from them
    LabelCheck(labels::Check),
    /// List the checks of labels, newest first
    LabelChecks {
        #[command(flatten)]
        limit: Limit,
    },
    /// List images whose label may be wrong, the least credible labels first
    LabelIssues(labels::Issues),
    /// Give images the label that the check suggests, or another one
    LabelAccept(labels::Accept),
    /// Say that labels are right, so that no check brings them up again
    LabelKeep(labels::Keep),
    /// Write a version to files: pictures in folders, or its manifest
    Export(export::Export),
    /// Import a manifest that was exported, with its splits, and its labels as the class list has them
    ImportManifest(export::ImportManifest),
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
                Ok(app.out.value(&versions, |style| show::table(&versions, style).render(style))?)
            }
            Verb::Show { dataset } => {
                let version = ask!(session, dataset_get, DatasetGet { project, dataset }).await?;
                Ok(app.out.value(&version, |style| show::sheet(&version, style).render(style))?)
            }
            Verb::Images { dataset, class, split, limit } => {
                let images = session
                    .pages(limit.limit, async |page| {
                        let (project, class) = (project.clone(), class.clone());
                        let request = DatasetImages { project, dataset, class, split, page };
                        ask!(session, dataset_images, request).await
                    })
                    .await?;
                Ok(app.out.value(&images, |style| show::images_table(&images).render(style))?)
            }
            Verb::Sizes { dataset } => {
                let sizes = ask!(session, dataset_sizes, DatasetGet { project, dataset }).await?;
                Ok(app.out.value(&sizes, |style| show::sizes_table(&sizes).render(style))?)
            }
            Verb::Diff(diff) => diff.run(app, session, project).await,
            Verb::Import { input, lineage, reading, review, waiting } => {
                let options = reading.options(input.path(), session.is_local() && !input.is_sent())?;
                let source = input.source(session).await?;
                let spec = JobSpec::Import { source, lineage, accept: !review.review, options };
                finish(app, session, submit(session, project, spec).await?, waiting).await
            }
            Verb::Resplit { lineage, waiting } => {
                let job = submit(session, project, JobSpec::Resplit { lineage }).await?;
                finish(app, session, job, waiting).await
            }
            Verb::Update { from, into, admit_all, only_add, window, review, waiting } => {
                let (accept, window) = (!review.review, window.window());
                let spec = JobSpec::Propose { from, into, accept, admit_all, only_add, window };
                finish(app, session, submit(session, project, spec).await?, waiting).await
            }
            Verb::Preprocess { dataset, input, architecture, waiting } => {
                let spec = PreprocessSpec::for_network(architecture, input);
                let spec = JobSpec::Preprocess { dataset, spec };
                finish(app, session, submit(session, project, spec).await?, waiting).await
            }
            Verb::History(history) => history.run(app, session, project).await,
            Verb::Metadata(metadata) => metadata.run(app, session, project).await,
            Verb::Balance(balance) => balance.run(app, session, project).await,
            Verb::LabelCheck(check) => check.run(app, session, project).await,
            Verb::LabelChecks { limit } => labels::checks(app, session, project, limit).await,
            Verb::LabelIssues(issues) => issues.run(app, session, project).await,
            Verb::LabelAccept(accept) => accept.run(app, session, project).await,
            Verb::LabelKeep(keep) => keep.run(app, session, project).await,
            Verb::Export(export) => export.run(app, session, project).await,
            Verb::ImportManifest(import) => import.run(app, session, project).await,
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
