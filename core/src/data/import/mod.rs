//! Import: files of a folder or zip become the proposal of a dataset version.
//!
//! Three passes. The first lists names and reads the layout from them; the second reads, decodes,
//! measures and stores the images on all cores, one in flight per core and no more pixels than there
//! is room for; the third finds duplicates and contradictions and deals the splits. One bad file
//! never stops an import: it is left out with its reason.

mod archive;
mod folder;
mod gather;
mod layout;
mod listing;
pub mod manifest;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use vigie_protocol::Hash;
use vigie_protocol::classes::{ClassList, UnknownLabels};
use vigie_protocol::dataset::Quality;

use self::archive::Archive;
use self::gather::Found;
use self::layout::{Layout, Placed};
use self::listing::{Candidate, Listing, Place, Unread};
use super::DataError;
use super::behind::write_behind;
use super::changeset::{Proposal, find};
use super::labels::Naming;
use super::room::PixelRoom;
use crate::fail_point::{self, FailPoint};
use crate::observe::{Level, Observer, Step};
use crate::store::Blobs;
use crate::store::manifest::Manifest;
use crate::vision;

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct ImportPlan {
    /// Where the files are.
    pub source: ImportFile,
    /// What to call it in messages and change-sets: `products.zip`.
    pub name: String,
    /// The newest version of the line, which the import adds to.
    pub base: Option<Manifest>,
    /// Shares of train, valid and test for new images, in percent.
    pub split_percent: [u8; 3],
    /// What becomes of splits that the layout gives.
    pub given_split: GivenSplit,
    /// Whether images of the base that the import lacks leave. Default: they stay.
    pub replace: bool,
    /// How much a source may hold.
    pub limits: ImportLimits,
    /// The classes that the project knows; an empty list takes every label as it is.
    pub classes: ClassList,
    /// What becomes of labels that the list lacks.
    pub unknown_labels: UnknownLabels,
}

impl ImportPlan {
    /// The usual plan: add to `base` under default limits, keep the splits that the layout gives.
    pub fn new(source: ImportFile, name: &str, base: Option<Manifest>, split_percent: [u8; 3]) -> Self {
        Self {
            source,
            name: name.to_owned(),
            base,
            split_percent,
            given_split: GivenSplit::Keep,
            replace: false,
            limits: ImportLimits::default(),
            classes: ClassList::default(),
            unknown_labels: UnknownLabels::default(),
        }
    }
}

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportFile {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A zip file of this machine.
    Zip(PathBuf),
}

impl ImportFile {
    /// A folder if the path is one, else a zip file.
    pub fn at(path: &Path) -> Self {
        if path.is_dir() { Self::Folder(path.to_owned()) } else { Self::Zip(path.to_owned()) }
    }
}

/// What becomes of splits that the layout gives (`train/owl/1.jpg`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GivenSplit {
    /// New images keep them. A split that the layout lacks is dealt from its train images.
    #[default]
    Keep,
    /// New images are dealt anew by content.
    Redraw,
}

/// How much a source may hold before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportLimits {
    /// Of each image.
    pub image: vision::Limits,
    /// Files and folders of all kinds.
    pub max_entries: u64,
    /// Bytes that a zip file may unpack to, all entries together.
    pub max_unpacked: u64,
    /// How many times its packed size an entry, or the whole of a zip file, may unpack to. Counts
    /// beyond [`RATIO_FREE`].
    pub max_ratio: u64,
}

/// Unpacked bytes below which no compression ratio is suspicious: 10 MiB.
pub const RATIO_FREE: u64 = 10 << 20;

impl Default for ImportLimits {
    /// 5,000,000 entries; zip files unpack to at most 64 GiB and 200 times their size. Deflate
    /// reaches 1032:1 on zeros; images, compressed already, stay near 1:1.
    fn default() -> Self {
        Self {
            image: vision::Limits::default(),
            max_entries: 5_000_000,
            max_unpacked: 64 << 30,
            max_ratio: 200,
        }
    }
}

/// Reads a source and proposes it as the next version of `plan.base`.
///
/// Labels are put right by the plan's class list. Layouts: `<class>/…/<image>` and `<split>/<class>/…/<image>` with the splits train, valid and
/// test (or val), each also inside one wrapping folder. The blobs of all images are durable when
/// this returns; those of images that were left out afterwards are garbage for the collector.
///
/// # Errors
/// [`DataError::NoImages`], [`DataError::Archive`], [`DataError::TooMuch`] for sources that are
/// not what they should be; [`DataError::Cancelled`]; [`DataError::Io`] and [`DataError::Store`]
/// when this machine refuses.
pub fn import(plan: &ImportPlan, blobs: &dyn Blobs, observer: &dyn Observer) -> Result<Proposal, DataError> {
    observer.step(Step { stage: "listing files", done: 0, total: 0, unit: "files", fraction: 0.0 });
    let Listing { candidates, ignored, mut refused, .. } = list(plan, observer)?;
    if ignored > 0 {
        observer.note(Level::Info, &format!("{ignored} files are no images and were left aside"));
    }

    let layout = Layout::of(candidates.iter().map(|candidate| candidate.path.as_str()));
    let mut naming = Naming::new(&plan.classes, plan.unknown_labels);
    let mut labelled = Vec::with_capacity(candidates.len());
    let mut nameless = false;
    for candidate in candidates {
        let placed = layout.place(&candidate.path).and_then(|placed| {
            let named = naming.name(&placed.label).inspect_err(|_| nameless = true)?;
            Ok(placed.named(named))
        });
        match placed {
            Ok(placed) => labelled.push((candidate, placed)),
            Err(reason) => refused.push(listing::left_out(candidate.path, reason)),
        }
    }
    if labelled.is_empty() && !nameless {
        return Err(DataError::NoImages { name: plan.name.clone() });
    }

    let reader = Reader { plan, blobs, known: plan.base.as_ref(), room: PixelRoom::new() };
    let total = labelled.len() as u64;
    let done = AtomicU64::new(0);
    let flush = || Ok(blobs.sync()?);
    let read = write_behind(flush, |written| {
        let read = |(candidate, _): &(Candidate, Placed)| {
            if observer.cancelled() {
                return Err(DataError::Cancelled);
            }
            let read = match reader.read(candidate) {
                Ok(read) => Ok(read),
                Err(Unread::LeftOut(reason)) => Err(reason),
                Err(Unread::Stop(error)) => return Err(error),
            };
            written.add(read.as_ref().map_or(0, |(_, quality)| quality.bytes));
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            // The last hundredth is for what follows.
            let fraction = 0.99 * done as f32 / total as f32;
            observer.step(Step { stage: "reading images", done, total, unit: "images", fraction });
            Ok(read)
        };
        labelled.par_iter().map(read).collect::<Result<Vec<Result<(Hash, Quality), String>>, DataError>>()
    })?;

    let mut found = Vec::with_capacity(read.len());
    for ((Candidate { path, .. }, placed), read) in labelled.into_iter().zip(read) {
        match read {
            Ok((hash, quality)) => found.push(Found { path, placed, hash, quality }),
            Err(reason) => refused.push(listing::left_out(path, reason)),
        }
    }
    fail_point::pass(FailPoint::ImportSynced);
    let proposal = Proposal { ignored, ..gather::gather(plan, found, refused) };
    observer.step(Step { stage: "proposed", done: total, total, unit: "images", fraction: 1.0 });
    Ok(proposal)
}

fn list(plan: &ImportPlan, observer: &dyn Observer) -> Result<Listing, DataError> {
    let mut listing = Listing::new(&plan.name, plan.limits.max_entries);
    match &plan.source {
        ImportFile::Folder(path) => folder::list(path, &mut listing, observer)?,
        ImportFile::Zip(path) => {
            let archive = Arc::new(Archive::open(path, &plan.name, plan.limits)?);
            archive.list(&mut listing, observer)?;
        }
    }
    // Directory order is the file system's whim; of two equal files the same one shall stay.
    listing.candidates.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

/// Carries one file from its place to its blob.
struct Reader<'a> {
    plan: &'a ImportPlan,
    blobs: &'a dyn Blobs,
    known: Option<&'a Manifest>,
    room: PixelRoom,
}

impl Reader<'_> {
    fn read(&self, candidate: &Candidate) -> Result<(Hash, Quality), Unread> {
        let bytes = match &candidate.place {
            Place::File(path) => folder::read(path, self.plan.limits.image.max_bytes)?,
            Place::Entry(archive, entry) => archive.read(entry)?,
        };
        let known = self.known.and_then(|base| find(base.images(), Hash::of(&bytes)));
        let quality = match known {
            // Decoded and measured when it first came.
            Some(image) => image.quality.clone(),
            None => self.look_at(&bytes).map_err(|error| Unread::LeftOut(error.to_string()))?,
        };
        let hash = self.blobs.put(&bytes).map_err(|error| Unread::Stop(error.into()))?;
        fail_point::pass(FailPoint::ImportImage);
        Ok((hash, quality))
    }

    fn look_at(&self, bytes: &[u8]) -> Result<Quality, vision::DecodeError> {
        let limits = &self.plan.limits.image;
        let _room = self.room.take(vision::pixels(bytes, limits)?);
        let image = vision::decode(bytes, limits)?;
        Ok(vision::measure(&image, bytes.len() as u64))
    }
}
