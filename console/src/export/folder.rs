//! A dataset version as folders of pictures: `split/class/name`, as imports read it.

use std::path::Path;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use vigie_protocol::dataset::DatasetImage;
use vigie_protocol::exchange::{ManifestFormat, ManifestRow};
use vigie_protocol::job;

use super::names::{class_folder, file_name};
use super::{Wrote, rows, write_new};
use crate::exit::{Exit, Failure};
use crate::out::Progress;
use crate::session::Session;

/// The manifest beside the folders, by which an import makes the very same version again.
pub const MANIFEST: &str = "manifest.jsonl";

/// Pictures that are fetched at one time: over a slow line most of the time is waiting for answers.
const AT_ONCE: usize = 8;
/// The largest picture, which is held in memory. Agents take none that is larger.
const LARGEST: u64 = 256 << 20;

/// What an export came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Where it lies.
    pub path: String,
    /// Images of the version.
    pub images: u64,
    /// Pictures that are new.
    pub written: u64,
    /// Pictures that were there already.
    pub there_already: u64,
    /// Bytes of the new ones.
    pub bytes: u64,
}

/// Writes the pictures into a folder, and the manifest beside them when all are there. What is there
/// already, from an export that was interrupted, is not fetched again.
///
/// # Errors
/// When another file has a picture's name, and what goes wrong with the agent or the disk.
pub async fn export(
    session: &Session,
    images: Vec<DatasetImage>,
    folder: &Path,
    title: &str,
) -> Result<Exported, Failure> {
    let total = images.len() as u64;
    let mut exported = Exported { path: folder.display().to_string(), images: total, ..Exported::default() };
    let mut progress = Progress::new(title);
    let mut rows = Vec::with_capacity(images.len());
    let mut writing = stream::iter(images)
        .map(|image| async move { write(session, image, folder).await })
        .buffered(AT_ONCE);
    while let Some((row, wrote, bytes)) = writing.try_next().await? {
        match wrote {
            Wrote::New => {
                exported.written += 1;
                exported.bytes += bytes;
            }
            Wrote::Same => exported.there_already += 1,
        }
        rows.push(row);
        let done = rows.len() as u64;
        let state = job::Progress {
            stage: "writing pictures".to_owned(),
            done,
            total,
            unit: "images".to_owned(),
            fraction: done as f32 / total.max(1) as f32,
            eta_s: None,
            rate: None,
        };
        progress.update(&state, Instant::now());
    }
    drop(progress);
    make(folder)?;
    write_new(&folder.join(MANIFEST), &rows::encode(&rows, ManifestFormat::Jsonl)?)?;
    Ok(exported)
}

async fn write(
    session: &Session,
    image: DatasetImage,
    folder: &Path,
) -> Result<(ManifestRow, Wrote, u64), Failure> {
    let class = format!("{}/{}", image.split, class_folder(&image.label));
    // Most names say of what kind a picture is; then one that is there need not be fetched to know it.
    let guess = format!("{class}/{}", file_name(&image, b""));
    if is_there(&folder.join(&guess), &image).await {
        return Ok((ManifestRow::new(image, Some(guess)), Wrote::Same, 0));
    }
    let content = session.fetch(image.image, LARGEST).await?;
    let file = format!("{class}/{}", file_name(&image, &content));
    let path = folder.join(&file);
    make(&folder.join(class))?;
    let bytes = content.len() as u64;
    let wrote = write_new(&path, &content)?;
    Ok((ManifestRow::new(image, Some(file)), wrote, bytes))
}

/// Whether a file is the picture.
async fn is_there(path: &Path, image: &DatasetImage) -> bool {
    let (path, bytes, hash) = (path.to_owned(), image.quality.bytes, image.image);
    let look = move || {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes)
            && std::fs::read(&path).is_ok_and(|content| vigie_protocol::Hash::of(&content) == hash)
    };
    tokio::task::spawn_blocking(look).await.unwrap_or(false)
}

fn make(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot make {}: {error}", folder.display())))
}
