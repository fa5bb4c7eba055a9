//! What the first pass finds: names that may be images, and where to read them.

use std::cmp::Ordering;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use vigie_protocol::dataset::Quarantined;
use zip::read::OwnedZipFileEntry;

use super::archive::Archive;
use crate::data::DataError;

/// Endings of image files, those included that cannot be read: leaving out a GIF is worth a
/// line, leaving aside a README is not.
const IMAGE_ENDINGS: [&str; 15] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif", "jp2",
    "jxl",
];

/// A file whose name says that it is an image.
pub(super) struct Candidate {
    /// Path inside the source, with `/`.
    pub path: String,
    /// Where to read it.
    pub place: Place,
}

/// Where to read a file.
pub(super) enum Place {
    /// In the file system.
    File(PathBuf),
    /// In a zip file; boxed, because the entry is large.
    Entry(Arc<Archive>, Box<OwnedZipFileEntry>),
}

impl Place {
    /// The order of files whose names read alike; entries of a zip file stay in theirs.
    pub fn cmp_file(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Place::File(a), Place::File(b)) => a.cmp(b),
            (Place::Entry(..), _) | (_, Place::Entry(..)) => Ordering::Equal,
        }
    }
}

/// Why a file was not read.
pub(super) enum Unread {
    /// It alone is left out.
    LeftOut(String),
    /// The import cannot go on.
    Stop(DataError),
}

/// The names of a source.
pub(super) struct Listing {
    pub candidates: Vec<Candidate>,
    /// Files that are no images by their name.
    pub ignored: u64,
    /// Files that cannot be read, or must not.
    pub refused: Vec<Quarantined>,
    /// Files that may be the wanted table.
    pub tables: Vec<(String, Place)>,
    wanted: Option<String>,
    entries: u64,
    max_entries: u64,
    name: String,
}

impl Listing {
    /// Of the source `name`, in which a table may be wanted.
    pub fn new(name: &str, max_entries: u64, table: Option<&str>) -> Self {
        Self {
            candidates: Vec::new(),
            ignored: 0,
            refused: Vec::new(),
            tables: Vec::new(),
            wanted: table.map(str::to_owned),
            entries: 0,
            max_entries,
            name: name.to_owned(),
        }
    }

    /// Whether a file may be the wanted table: it has its path, or the end of its path.
    pub fn wants(&self, path: &str) -> bool {
        let wanted = self.wanted.as_deref();
        wanted.is_some_and(|wanted| {
            path.strip_suffix(wanted).is_some_and(|head| head.is_empty() || head.ends_with('/'))
        })
    }

    /// Counts a file or folder of any kind.
    pub fn count(&mut self) -> Result<(), DataError> {
        self.entries += 1;
        if self.entries > self.max_entries {
            let what = format!("holds more than {} files", self.max_entries);
            return Err(DataError::TooMuch { name: self.name.clone(), what });
        }
        Ok(())
    }

    pub fn refuse(&mut self, path: String, reason: impl Display) {
        self.refused.push(left_out(path, reason));
    }
}

/// A line of the report.
pub(super) fn left_out(origin: String, reason: impl Display) -> Quarantined {
    Quarantined { origin, reason: reason.to_string() }
}

/// Whether a file or folder is the system's or hidden.
pub(super) fn is_hidden(component: &str) -> bool {
    component.starts_with('.') || component == "__MACOSX"
}

/// Whether a name says that the file is an image.
pub(super) fn names_image(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, ending)| {
        !stem.is_empty() && IMAGE_ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_images_from_the_rest() {
        for name in ["a.jpg", "b.JPEG", "c.d.png", "e.webp", "f.gif"] {
            assert!(names_image(name), "{name}");
        }
        for name in ["README", "labels.csv", "jpg", ".png", "a.jpg.txt", "Thumbs.db", "inner.zip"] {
            assert!(!names_image(name), "{name}");
        }
        assert!(is_hidden(".git") && is_hidden("__MACOSX") && !is_hidden("owl"));
    }

    #[test]
    fn entries_are_bounded() {
        let mut listing = Listing::new("x.zip", 2, None);
        assert!(listing.count().is_ok() && listing.count().is_ok());
        assert_eq!(
            listing.count().expect_err("bounded").to_string(),
            "x.zip holds more than 2 files; raise the import's limits if you trust it"
        );
    }
}
