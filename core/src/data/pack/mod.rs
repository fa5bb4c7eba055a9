//! Packs: a dataset version decoded once, memory-mapped; what training reads.
//!
//! A pack is a cache under the hash of everything it depends on ([`id`]) and can be rebuilt at any
//! time. It is written under a temporary name, synced and renamed, and never changed afterwards.

mod build;
mod format;

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::Mmap;
use rayon::prelude::*;
use vigie_protocol::Hash;
use vigie_protocol::dataset::Split;
use vigie_protocol::preprocess::PreprocessSpec;

pub use self::build::{PackInfo, build};
use self::format::{Header, Row};
use super::DataError;
use crate::observe::{Observer, Step};

/// The name of the pack of a dataset version under a spec: equal names mean equal pixels.
pub fn id(manifest_hash: Hash, spec: &PreprocessSpec) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("vigie pack v1");
    hasher.update(&format::VERSION.to_le_bytes());
    hasher.update(manifest_hash.as_bytes());
    hasher.update(spec.pixel_hash().as_bytes());
    hasher.finalize().into()
}

/// An open pack. Rows are ordered train, valid, test, and by image hash within.
#[derive(Debug)]
pub struct Pack {
    path: PathBuf,
    header: Header,
    map: Mmap,
    /// Where each split's rows end.
    ends: [usize; 3],
}

impl Pack {
    /// Opens a pack and checks its header, its table of rows and its length. The pixels are not
    /// read; [`Pack::verify`] does that.
    ///
    /// # Errors
    /// [`DataError::Pack`] when it is torn, altered or of another format; [`DataError::Io`].
    #[expect(unsafe_code, reason = "training reads packs larger than memory")]
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io("cannot open the pack", path))?;
        // SAFETY: a pack is complete before it gets its name and no code writes to it under that
        // name: a new build replaces the name, and this mapping keeps the old file. Only an
        // outsider with write access to the state directory could change or shorten it.
        let map = unsafe { Mmap::map(&file) }.map_err(DataError::io("cannot map the pack", path))?;
        let broken = |detail: String| DataError::Pack { path: path.to_owned(), detail };
        let header = Header::read(&map).map_err(broken)?;
        let ends = header.check_table(&map).map_err(broken)?;
        Ok(Self { path: path.to_owned(), header, map, ends })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.header.rows
    }

    /// Whether it holds no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class names, in the order of labels.
    pub fn classes(&self) -> &[String] {
        &self.header.classes
    }

    /// What the pixels were made by.
    pub fn spec(&self) -> &PreprocessSpec {
        &self.header.spec
    }

    /// The hash of the manifest it was built from.
    pub fn manifest(&self) -> Hash {
        self.header.manifest
    }

    /// The class of a row, as an index into [`Pack::classes`].
    ///
    /// # Panics
    /// Like a slice, when `i` is not below [`Pack::len`]; so do the other accessors of rows.
    pub fn label(&self, i: usize) -> u32 {
        self.row(i).label
    }

    /// Where a row serves.
    pub fn split(&self, i: usize) -> Split {
        self.row(i).split
    }

    /// The rows of a split.
    pub fn rows(&self, split: Split) -> Range<usize> {
        let [train, valid, test] = self.ends;
        match split {
            Split::Train => 0..train,
            Split::Valid => train..valid,
            Split::Test => valid..test,
        }
    }

    /// The blob that a row was decoded from.
    pub fn image_hash(&self, i: usize) -> Hash {
        self.row(i).image
    }

    /// The pixels of a row: `crop`² RGB triples.
    pub fn pixels(&self, i: usize) -> &[u8] {
        self.pixels_range(i..i + 1)
    }

    /// The pixels of several rows, one after the other.
    pub fn pixels_range(&self, rows: Range<usize>) -> &[u8] {
        assert!(rows.start <= rows.end && rows.end <= self.len(), "rows {rows:?} of {}", self.len());
        &self.map[self.header.pixels_at(rows.start)..self.header.pixels_at(rows.end)]
    }

    /// Reads all pixels and checks them against their hashes, on all cores.
    ///
    /// # Errors
    /// [`DataError::Pack`] names the first damaged row; [`DataError::Cancelled`].
    pub fn verify(&self, observer: &dyn Observer) -> Result<(), DataError> {
        let done = AtomicU64::new(0);
        let total = self.len() as u64;
        let fault = |i: usize| {
            if observer.cancelled() {
                return Some(DataError::Cancelled);
            }
            if Hash::of(self.pixels(i)) != self.row(i).pixels {
                return Some(DataError::Pack {
                    path: self.path.clone(),
                    detail: format!("the pixels of row {i} (image {}) changed", self.image_hash(i)),
                });
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            let fraction = 0.99 * done as f32 / total as f32;
            observer.step(Step { stage: "checking the pack", done, total, unit: "images", fraction });
            None
        };
        (0..self.len()).into_par_iter().find_map_first(fault).map_or(Ok(()), Err)
    }

    fn row(&self, i: usize) -> Row {
        assert!(i < self.len(), "row {i} of {}", self.len());
        self.header.row(&self.map, i)
    }
}
