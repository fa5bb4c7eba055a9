//! Import of a manifest that was written to a file: each row names an image, its label and its split.
//!
//! The images are blobs already, or lie in a folder. What the rows say is taken as it is, so that a
//! manifest that is written out and read in again is the same one; only labels are put right by the
//! class list as those of any import, an image that the base has keeps its split, and images that belong
//! together go where theirs are.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use vigie_protocol::Hash;
use vigie_protocol::classes::{ClassList, UnknownLabels};
use vigie_protocol::dataset::{DatasetImage, Quality, Quarantined};
use vigie_protocol::exchange::{ManifestFormat, ManifestRow};

use super::listing::{Unread, left_out};
use super::{ImportLimits, folder};
use crate::data::DataError;
use crate::data::behind::write_behind;
use crate::data::changeset::{Proposal, merge};
use crate::data::labels::class_name;
use crate::data::naming::Names;
use crate::data::near::Nearness;
use crate::data::place::Offer;
use crate::observe::{Observer, Step};
use crate::store::Blobs;
use crate::store::manifest::Manifest;
use crate::vision::{self, Measurement, PixelRoom};

/// The longest row.
const ROW_BYTES: u64 = 1 << 20;
/// What is read at once of rows with commas.
const CSV_BUFFER: usize = 64 << 10;

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct ManifestPlan {
    /// The file.
    pub file: PathBuf,
    /// Its form.
    pub format: ManifestFormat,
    /// What to call it in messages.
    pub name: String,
    /// The folder that images lie in which are no blobs yet.
    pub images: Option<PathBuf>,
    /// The newest version of the line.
    pub base: Option<Manifest>,
    /// Whether images of the base that the file does not name leave.
    pub replace: bool,
    /// How alike images are that belong together.
    pub nearness: Nearness,
    /// The project's class list; an empty one takes every label as it is.
    pub classes: ClassList,
    /// What becomes of images whose label it lacks.
    pub unknown_labels: UnknownLabels,
    /// How much the file may hold.
    pub limits: ImportLimits,
}

/// Reads a manifest and proposes it as the next version of `plan.base`. A row that cannot be taken is
/// left out with its reason.
///
/// # Errors
/// [`DataError::Manifest`] when the file is no such manifest; [`DataError::TooMuch`],
/// [`DataError::Cancelled`], [`DataError::Io`], [`DataError::Store`].
pub fn import_manifest(
    plan: &ManifestPlan,
    blobs: &dyn Blobs,
    observer: &dyn Observer,
) -> Result<Proposal, DataError> {
    observer.step(Step { stage: "reading rows", done: 0, total: 0, unit: "rows", fraction: 0.0 });
    let Rows { mut rows, mut refused } = read_rows(plan)?;
    let mut names = Names::new(&plan.classes, plan.unknown_labels);
    rows.retain_mut(|row| {
        let right = names.put_right(row.image, &mut row.label, &mut row.admission);
        right.map_err(|reason| refused.push(left_out(place(row).to_owned(), reason))).is_ok()
    });
    let root = plan
        .images
        .as_deref()
        .map(|folder| folder.canonicalize().map_err(DataError::io("cannot open the folder", folder)));
    let reader = Reader { plan, blobs, root: root.transpose()?, room: PixelRoom::new() };
    let (done, total) = (AtomicU64::new(0), rows.len() as u64);
    let read = write_behind(
        || Ok(blobs.sync()?),
        |written| {
            let read = |row: &ManifestRow| {
                if observer.cancelled() {
                    return Err(DataError::Cancelled);
                }
                let read = match reader.read(row) {
                    Ok((measured, stored)) => {
                        written.add(stored);
                        Ok(measured)
                    }
                    Err(Unread::LeftOut(reason)) => Err(reason),
                    Err(Unread::Stop(error)) => return Err(error),
                };
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                let fraction = 0.99 * done as f32 / total as f32;
                observer.step(Step { stage: "reading images", done, total, unit: "images", fraction });
                Ok(read)
            };
            rows.par_iter().map(read).collect::<Result<Vec<Result<Measurement, String>>, DataError>>()
        },
    )?;
    let mut offered = Vec::with_capacity(rows.len());
    for (row, read) in rows.into_iter().zip(read) {
        match read {
            Ok(Measurement { quality, fingerprint }) => offered.push(row.image(quality, fingerprint)),
            Err(reason) => refused.push(left_out(place(&row).to_owned(), reason)),
        }
    }
    let (offered, duplicates) = once_each(offered, &mut refused);
    let offered = offered.into_iter().map(|image| Offer { given: Some(image.split), image }).collect();
    let merged =
        merge(plan.base.as_ref(), offered, plan.replace, [100, 0, 0], plan.nearness).leaving_out(refused);
    Ok(names.tell(plan.base.as_ref(), Proposal { duplicates, ..merged }))
}

/// What a row is called when it is left out.
fn place(row: &ManifestRow) -> &str {
    row.file.as_deref().unwrap_or(&row.origin)
}

struct Rows {
    rows: Vec<ManifestRow>,
    refused: Vec<Quarantined>,
}

impl Rows {
    fn take<E: std::fmt::Display>(&mut self, line: u64, row: Result<ManifestRow, E>) {
        let row = row.map_err(|error| error.to_string()).and_then(|mut row| {
            row.label = class_name(&row.label)?;
            Ok(row)
        });
        match row {
            Ok(row) => self.rows.push(row),
            Err(error) => self.refused.push(left_out(format!("line {line}"), error)),
        }
    }
}

fn read_rows(plan: &ManifestPlan) -> Result<Rows, DataError> {
    let ManifestPlan { file: path, format, name, limits, .. } = plan;
    let file = File::open(path).map_err(DataError::io("cannot open", path))?;
    let bad = |detail: String| DataError::Manifest { name: name.clone(), detail };
    let too_much = || {
        let what = format!("holds more than {} rows", limits.max_entries);
        DataError::TooMuch { name: name.clone(), what }
    };
    let mut found = Rows { rows: Vec::new(), refused: Vec::new() };
    let mut lines = 0;
    match format {
        ManifestFormat::Jsonl => {
            let mut reader = BufReader::new(file);
            let mut line = Vec::new();
            loop {
                line.clear();
                let read = reader.by_ref().take(ROW_BYTES).read_until(b'\n', &mut line);
                let read = read.map_err(DataError::io("cannot read", path))?;
                if read == 0 {
                    break;
                }
                lines += 1;
                if read as u64 == ROW_BYTES {
                    return Err(bad(format!("line {lines} has more than {ROW_BYTES} bytes")));
                }
                if lines > limits.max_entries {
                    return Err(too_much());
                }
                if !line.trim_ascii().is_empty() {
                    found.take(lines, serde_json::from_slice(&line));
                }
            }
        }
        ManifestFormat::Csv => {
            let since_row = Cell::new(0);
            let bounded = Bounded { file, since_row: &since_row };
            let mut reader = csv::ReaderBuilder::new().buffer_capacity(CSV_BUFFER).from_reader(bounded);
            let header = reader.headers().map_err(|error| bad(error.to_string()))?;
            for column in ["image", "label", "split"] {
                if !header.iter().any(|name| name == column) {
                    return Err(bad(format!("it has no column {column:?}")));
                }
            }
            for row in reader.deserialize() {
                since_row.set(0);
                lines += 1;
                if lines > limits.max_entries {
                    return Err(too_much());
                }
                match row {
                    Err(error) if error.is_io_error() => return Err(bad(error.to_string())),
                    // The header is the first line.
                    row => found.take(lines + 1, row),
                }
            }
        }
        ManifestFormat::Unknown => return Err(bad("this agent does not know its form".to_owned())),
    }
    if found.rows.is_empty() {
        let first = found.refused.first().map(|row| format!("{}: {}", row.origin, row.reason));
        return Err(bad(first.unwrap_or_else(|| "it has no rows".to_owned())));
    }
    Ok(found)
}

/// A file of rows, with a bound on what is read for one of them: a quote that nobody closes would make
/// one row of all that follows.
struct Bounded<'a> {
    file: File,
    /// Bytes since the last row; who takes rows sets it back.
    since_row: &'a Cell<u64>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // The reader's buffer may hold as much of the rows that follow.
        if self.since_row.get() > ROW_BYTES + CSV_BUFFER as u64 {
            return Err(std::io::Error::other(format!("a row has more than {ROW_BYTES} bytes")));
        }
        let read = self.file.read(buffer)?;
        self.since_row.set(self.since_row.get() + read as u64);
        Ok(read)
    }
}

struct Reader<'a> {
    plan: &'a ManifestPlan,
    blobs: &'a dyn Blobs,
    root: Option<PathBuf>,
    room: PixelRoom,
}

impl Reader<'_> {
    /// What a row's image is like, and the bytes that had to be stored.
    fn read(&self, row: &ManifestRow) -> Result<(Measurement, u64), Unread> {
        let stop = |error| Unread::Stop(DataError::Store(error));
        let (bytes, fresh) = match self.blobs.size(row.image).map_err(stop)? {
            // Nothing but images is ever taken for one, whatever blobs there are.
            Some(size) if size > self.plan.limits.image.max_bytes => {
                return Err(Unread::LeftOut(format!("the blob has {size} bytes")));
            }
            Some(_) => (self.blobs.get(row.image).map_err(stop)?.unwrap_or_default(), false),
            None => (self.file(row)?, true),
        };
        let measured = self.look_at(row, &bytes).map_err(|error| Unread::LeftOut(error.to_string()))?;
        // Also one that is there: refreshed, nothing collects it before the change-set names it.
        self.blobs.put(&bytes).map_err(stop)?;
        Ok((measured, if fresh { bytes.len() as u64 } else { 0 }))
    }

    fn file(&self, row: &ManifestRow) -> Result<Vec<u8>, Unread> {
        let out = |reason: &str| Unread::LeftOut(reason.to_owned());
        let Some(root) = &self.root else {
            return Err(out("the agent has no such image, and no folder was named that holds it"));
        };
        let path = Path::new(place(row));
        if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(out("its path leads out of the folder"));
        }
        let target = folder::target(&root.join(path), root)
            .map_err(|_| out("the agent has no such image, nor is it in the folder"))?;
        let bytes = folder::read(&target, self.plan.limits.image.max_bytes)?;
        if Hash::of(&bytes) == row.image { Ok(bytes) } else { Err(out("the file is another image")) }
    }

    /// Whether it is an image; measured when the row does not say what was measured, or says what the file
    /// shows to be wrong: what was measured bounds what later work may take for the image.
    fn look_at(&self, row: &ManifestRow, bytes: &[u8]) -> Result<Measurement, vision::DecodeError> {
        let limits = &self.plan.limits.image;
        let (width, height) = vision::size(bytes, limits)?;
        // After orientation, which may have turned it.
        let fits = |quality: &Quality| {
            let measured = (quality.width, quality.height);
            quality.bytes == bytes.len() as u64 && [(width, height), (height, width)].contains(&measured)
        };
        match row.quality().filter(fits) {
            Some(quality) => Ok(Measurement { quality, fingerprint: row.fingerprint }),
            None => self.room.measure(bytes, limits),
        }
    }
}

/// Each image once; one with two labels or splits is left out.
fn once_each(mut offered: Vec<DatasetImage>, refused: &mut Vec<Quarantined>) -> (Vec<DatasetImage>, u64) {
    offered.sort_by_key(|image| image.image);
    let (mut once, mut duplicates) = (Vec::with_capacity(offered.len()), 0);
    for same in offered.chunk_by(|a, b| a.image == b.image) {
        let first = &same[0];
        if same.iter().any(|image| image.label != first.label || image.split != first.split) {
            let reason = "it is named several times with different labels or splits";
            refused.push(left_out(first.image.to_string(), reason));
            continue;
        }
        duplicates += same.len() as u64 - 1;
        once.push(first.clone());
    }
    (once, duplicates)
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
