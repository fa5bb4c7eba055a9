//! Import: files of a folder or zip become the proposal of a dataset version.
//!
//! Three passes. The first lists names and reads the layout from them, or from a table; the second
//! reads, decodes, measures and stores the images on all cores, one in flight per core and no more
//! pixels than there is room for; the third finds duplicates and contradictions and deals the splits.
//! One bad file never stops an import: it is left out with its reason. An import that was killed goes
//! on where it was, with its [`journal`].

mod archive;
mod folder;
mod gather;
mod journal;
mod layout;
mod listing;
pub mod manifest;
mod options;
mod placed;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use vigie_protocol::Hash;
use vigie_protocol::classes::{ClassList, UnknownLabels};
use vigie_protocol::dataset::{DatasetImage, Quarantined};
use vigie_protocol::import::ImportOptions;

use self::archive::Archive;
use self::gather::Found;
use self::journal::Journal;
use self::layout::Layout;
use self::listing::{Candidate, Listing, Place, Unread, left_out};
use self::placed::Placed;
use self::table::{TABLE_BYTES, Table};
use super::DataError;
use super::behind::write_behind;
use super::changeset::{Proposal, find};
use super::labels::Naming;
use super::near::Nearness;
use crate::fail_point::{self, FailPoint};
use crate::observe::{Level, Observer, Step};
use crate::store::Blobs;
use crate::store::manifest::Manifest;
use crate::vision::{self, Measurement, PixelRoom};

pub use self::options::check_options;

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
    /// How the source is read.
    pub options: ImportOptions,
    /// Where what was measured is noted, so that another attempt at the same import goes on from
    /// there; nowhere when absent.
    pub journal: Option<PathBuf>,
    /// Whether images of the base that the import lacks leave. Default: they stay.
    pub replace: bool,
    /// How alike images are that belong together.
    pub nearness: Nearness,
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
            options: ImportOptions::default(),
            journal: None,
            replace: false,
            nearness: Nearness::default(),
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
/// Layouts: `<class>/…/<image>` and `<split>/<class>/…/<image>` with the splits train, valid and
/// test (or val), each also inside one wrapping folder; or any folders and a table. Labels are put
/// right by the plan's class list. The blobs of all images are durable when this returns; those of
/// images that were left out afterwards are garbage for the collector.
///
/// # Errors
/// [`DataError::NoImages`], [`DataError::Archive`], [`DataError::Table`], [`DataError::TooMuch`] for
/// sources that are not what they should be; [`DataError::Options`] for choices that contradict;
/// [`DataError::Cancelled`]; [`DataError::Io`] and [`DataError::Store`] when this machine refuses.
pub fn import(plan: &ImportPlan, blobs: &dyn Blobs, observer: &dyn Observer) -> Result<Proposal, DataError> {
    check_options(&plan.options).map_err(DataError::Options)?;
    observer.step(Step { stage: "listing files", done: 0, total: 0, unit: "files", fraction: 0.0 });
    let mut listing = list(plan, observer)?;
    if listing.ignored > 0 {
        observer.note(Level::Info, &format!("{} files are no images and were left aside", listing.ignored));
    }
    let tables = std::mem::take(&mut listing.tables);
    let table = plan.options.table.as_ref().map(|table| read_table(plan, &table.file, tables)).transpose()?;
    let Listing { candidates, ignored, mut refused, .. } = listing;
    let Labelled { images: labelled, nameless } = label(plan, candidates, table, &mut refused)?;
    // Labels that the class list lacks are told one by one, and are no reason to doubt the source.
    if labelled.is_empty() && !nameless {
        return Err(match &plan.options.table {
            None => DataError::NoImages { name: plan.name.clone() },
            Some(table) => {
                let what = refused.first().map_or("no image", |left| &left.reason);
                let detail = format!("it says what none of the images is: {what}");
                DataError::Table { name: table.file.clone(), detail }
            }
        });
    }

    let journal = plan.journal.as_deref().map(Journal::open).transpose()?;
    let reader = Reader {
        plan,
        blobs,
        known: plan.base.as_ref(),
        room: PixelRoom::new(),
        journal,
        remembered: AtomicU64::new(0),
    };
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
            written.add(read.as_ref().map_or(0, |(_, measured)| measured.quality.bytes));
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            // The last hundredth is for what follows.
            let fraction = 0.99 * done as f32 / total as f32;
            observer.step(Step { stage: "reading images", done, total, unit: "images", fraction });
            Ok(read)
        };
        labelled.par_iter().map(read).collect::<Result<Vec<Result<(Hash, Measurement), String>>, DataError>>()
    })?;
    let remembered = reader.remembered.into_inner();
    if remembered > 0 {
        let text = format!("{remembered} images were measured by an earlier attempt and not decoded again");
        observer.note(Level::Info, &text);
    }

    let mut found = Vec::with_capacity(read.len());
    for ((Candidate { path, .. }, placed), read) in labelled.into_iter().zip(read) {
        match read {
            Ok((hash, measured)) => found.push(Found { path, placed, hash, measured }),
            Err(reason) => refused.push(left_out(path, reason)),
        }
    }
    fail_point::pass(FailPoint::ImportSynced);
    let proposal = Proposal { ignored, ..gather::gather(plan, found, refused) };
    observer.step(Step { stage: "proposed", done: total, total, unit: "images", fraction: 1.0 });
    Ok(proposal)
}

fn list(plan: &ImportPlan, observer: &dyn Observer) -> Result<Listing, DataError> {
    let table = plan.options.table.as_ref().map(|table| table.file.as_str());
    let mut listing = Listing::new(&plan.name, plan.limits.max_entries, table);
    match &plan.source {
        ImportFile::Folder(path) => folder::list(path, &mut listing, observer)?,
        ImportFile::Zip(path) => {
            let archive = Arc::new(Archive::open(path, &plan.name, plan.limits)?);
            archive.list(&mut listing, observer)?;
        }
    }
    // Directory order is the file system's whim; of two equal files the same one shall stay.
    listing.candidates.sort_by(|a, b| a.path.cmp(&b.path).then_with(|| a.place.cmp_file(&b.place)));
    make_distinct(&mut listing.candidates);
    Ok(listing)
}

/// Gives files whose names differ only in bytes that no text has names of their own.
fn make_distinct(candidates: &mut [Candidate]) {
    for same in candidates.chunk_by_mut(|a, b| a.path == b.path) {
        for (number, candidate) in same.iter_mut().enumerate().skip(1) {
            candidate.path.push_str(&format!(" ({})", number + 1));
        }
    }
}

/// Reads the table `name`, which is among `found` or, named by an absolute path, need not be in the
/// source.
fn read_table(plan: &ImportPlan, name: &str, found: Vec<(String, Place)>) -> Result<Table, DataError> {
    let wrong = |detail: String| DataError::Table { name: name.to_owned(), detail };
    let count = found.len();
    let mut found = found.into_iter();
    let place = match found.by_ref().find(|(path, _)| path == name || count == 1) {
        Some((_, place)) => place,
        None if count > 1 => {
            return Err(wrong("several files end like that; name it with all its folders".to_owned()));
        }
        None if Path::new(name).is_absolute() => Place::File(PathBuf::from(name)),
        None => return Err(wrong(format!("there is no such file in {}", plan.name))),
    };
    let bytes = match &place {
        Place::File(path) => folder::read(path, TABLE_BYTES),
        Place::Entry(archive, entry) => archive.read(entry, TABLE_BYTES),
    };
    let bytes = bytes.map_err(|unread| match unread {
        Unread::LeftOut(reason) => wrong(reason),
        Unread::Stop(error) => error,
    })?;
    Table::read(&bytes, name, &plan.options, plan.limits.max_entries)
}

/// What a source says of its images.
struct Labelled {
    images: Vec<(Candidate, Placed)>,
    /// Whether some were left out for a label that the class list lacks.
    nameless: bool,
}

/// What the source says of each image; what it says nothing of is left out.
fn label(
    plan: &ImportPlan,
    candidates: Vec<Candidate>,
    mut table: Option<Table>,
    refused: &mut Vec<Quarantined>,
) -> Result<Labelled, DataError> {
    let layout = Layout::of(candidates.iter().map(|candidate| candidate.path.as_str()));
    let pattern = placed::path_rule(plan.options.group.as_ref()).map_err(DataError::Options)?;
    if let Some(table) = &mut table {
        candidates.iter().for_each(|candidate| table.claim(&candidate.path));
        refused.extend(table.unclaimed());
    }
    let mut naming = Naming::new(&plan.classes, plan.unknown_labels);
    let mut nameless = false;
    let mut place = |path: &str| -> Result<Placed, String> {
        let placed = match &table {
            Some(table) => table.place(path)?,
            None => layout.place(path)?,
        };
        let named = naming.name(&placed.label).inspect_err(|_| nameless = true)?;
        let mut placed = placed.named(named);
        if let Some(found) = pattern.as_ref().and_then(|pattern| placed::group_in(pattern, path)) {
            placed.group = placed::group(found)?;
        }
        Ok(placed)
    };
    let mut labelled = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        match place(&candidate.path) {
            Ok(placed) => labelled.push((candidate, placed)),
            Err(reason) => refused.push(left_out(candidate.path, reason)),
        }
    }
    Ok(Labelled { images: labelled, nameless })
}

/// Carries one file from its place to its blob.
struct Reader<'a> {
    plan: &'a ImportPlan,
    blobs: &'a dyn Blobs,
    known: Option<&'a Manifest>,
    room: PixelRoom,
    journal: Option<Journal>,
    /// Images that the journal knew.
    remembered: AtomicU64,
}

impl Reader<'_> {
    fn read(&self, candidate: &Candidate) -> Result<(Hash, Measurement), Unread> {
        let max_bytes = self.plan.limits.image.max_bytes;
        let bytes = match &candidate.place {
            Place::File(path) => folder::read(path, max_bytes)?,
            Place::Entry(archive, entry) => archive.read(entry, max_bytes)?,
        };
        let known = self.measured_before(&bytes);
        let fresh = known.is_none();
        let measured = match known {
            Some(measured) => measured,
            None => {
                let limits = &self.plan.limits.image;
                self.room.measure(&bytes, limits).map_err(|error| Unread::LeftOut(error.to_string()))?
            }
        };
        let hash = self.blobs.put(&bytes).map_err(|error| Unread::Stop(error.into()))?;
        fail_point::pass(FailPoint::ImportImage);
        if let Some(journal) = self.journal.as_ref().filter(|_| fresh) {
            journal.add(hash, &measured);
            fail_point::pass(FailPoint::ImportNoted);
        }
        Ok((hash, measured))
    }

    /// What is known of an image that was decoded when it first came, or by an earlier attempt.
    fn measured_before(&self, bytes: &[u8]) -> Option<Measurement> {
        let earlier = self.journal.as_ref().filter(|journal| !journal.is_fresh());
        if self.known.is_none() && earlier.is_none() {
            return None;
        }
        let hash = Hash::of(bytes);
        let of_base = |image: &DatasetImage| {
            // An older build measured less.
            let whole = image.quality.saturation.is_some();
            let (quality, fingerprint) = (image.quality.clone(), image.fingerprint);
            whole.then_some(Measurement { quality, fingerprint })
        };
        self.known.and_then(|base| find(base.images(), hash)).and_then(of_base).or_else(|| {
            let measured = earlier?.get(hash)?.clone();
            self.remembered.fetch_add(1, Ordering::Relaxed);
            Some(measured)
        })
    }
}
