//! `vigie datasets export`, and manifests back in.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use vigie_protocol::ProjectName;
use vigie_protocol::dataset::{DatasetImage, DatasetRef, Lineage};
use vigie_protocol::exchange::{ManifestFormat, ManifestRow};
use vigie_protocol::import::ImportOptions;
use vigie_protocol::job::{ImportSource, JobSpec};
use vigie_protocol::service::DatasetImages;

use super::{Review, submit};
use crate::app::App;
use crate::cli::Waiting;
use crate::cli::jobs::finish;
use crate::exit::{Exit, Failure};
use crate::export::folder::{Exported, export};
use crate::export::{rows, write_new};
use crate::out::{Sheet, bytes, count, note};
use crate::session::{Session, ask};

#[derive(Debug, Args)]
pub struct Export {
    /// The version, such as reference@v3
    dataset: DatasetRef,
    /// The folder or file; "-" writes a manifest to standard output
    path: PathBuf,
    /// Pictures in split/class folders, or the manifest as JSON lines or CSV
    #[arg(long, value_enum, default_value = "imagefolder")]
    layout: ExportLayout,
    /// Only this class
    #[arg(long)]
    class: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportLayout {
    /// split/class/name.jpg, with the manifest beside them
    Imagefolder,
    /// A JSON object an image
    Jsonl,
    /// A row an image
    Csv,
}

impl Export {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { dataset, path, layout, class } = self;
        let images = images(&session.patient(), &project, dataset, class).await?;
        let format = match layout {
            ExportLayout::Imagefolder => {
                let title = format!("exporting {dataset}");
                let exported = export(session, images, &path, &title).await?;
                return Ok(app.out.value(&exported, |style| sheet(&exported).render(style))?);
            }
            ExportLayout::Jsonl => ManifestFormat::Jsonl,
            ExportLayout::Csv => ManifestFormat::Csv,
        };
        let rows: Vec<ManifestRow> = images.into_iter().map(|image| ManifestRow::new(image, None)).collect();
        let content = rows::encode(&rows, format)?;
        if path == Path::new("-") {
            return Ok(app.out.bytes(&content)?);
        }
        write_new(&path, &content)?;
        let exported = Exported {
            path: path.display().to_string(),
            images: rows.len() as u64,
            bytes: content.len() as u64,
            ..Exported::default()
        };
        Ok(app.out.value(&exported, |style| sheet(&exported).render(style))?)
    }
}

#[derive(Debug, Args)]
pub struct ImportManifest {
    /// The manifest: a .jsonl or .csv file that `vigie datasets export` wrote, or one with at least the
    /// columns image (its BLAKE3 hash), label and split
    file: PathBuf,
    /// The folder that its pictures lie in, where the agent does not have them; for an agent on another
    /// machine, the absolute path there
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// Into which line: source, production or reference
    #[arg(long, default_value = "source")]
    lineage: Lineage,
    /// Take images that it does not name out of the line
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    review: Review,
    #[command(flatten)]
    waiting: Waiting,
}

impl ImportManifest {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { file, images, lineage, replace, review, waiting } = self;
        let ending = file.extension().map(|ending| ending.to_ascii_lowercase());
        let format = match ending.as_ref().and_then(|ending| ending.to_str()) {
            Some("jsonl" | "ndjson") => ManifestFormat::Jsonl,
            Some("csv") => ManifestFormat::Csv,
            _ => {
                let text = format!("{} is neither a .jsonl nor a .csv file", file.display());
                return Err(Failure::usage(text).into());
            }
        };
        let images = images.map(|folder| on_agent(session, &folder)).transpose()?;
        let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let hash = session.upload(&file, &format!("sending {name}")).await?;
        let source = ImportSource::Manifest { hash, name, format, images, replace };
        let spec =
            JobSpec::Import { source, lineage, accept: !review.review, options: ImportOptions::default() };
        finish(app, session, submit(session, project, spec).await?, waiting).await
    }
}

/// The folder as the agent sees it.
fn on_agent(session: &Session, folder: &Path) -> Result<String, Failure> {
    let shown = folder.display();
    let absolute = match session.is_local() {
        true => folder
            .canonicalize()
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot open {shown}: {error}")))?,
        false if folder.is_absolute() => folder.to_owned(),
        false => {
            return Err(Failure::usage(format!("{shown} is not an absolute path"))
                .hint("the agent is elsewhere: name the folder as it is there"));
        }
    };
    absolute.to_str().map(str::to_owned).ok_or_else(|| Failure::usage(format!("{shown} is not valid UTF-8")))
}

async fn images(
    session: &Session,
    project: &ProjectName,
    dataset: DatasetRef,
    class: Option<String>,
) -> Result<Vec<DatasetImage>, Failure> {
    let images = session
        .pages(0, async |page| {
            let (project, class) = (project.clone(), class.clone());
            ask!(session, dataset_images, DatasetImages { project, dataset, class, split: None, page }).await
        })
        .await?;
    if images.is_empty() {
        note(format!("{dataset} has no such images"));
    }
    Ok(images)
}

fn sheet(exported: &Exported) -> Sheet {
    let Exported { path, images, written, there_already, bytes: size } = exported;
    Sheet::new()
        .field("Path", path.as_str())
        .field("Images", count(*images))
        .field("Written", format!("{}, {}", count(*written), bytes(*size)))
        .field("There already", count(*there_already))
}
