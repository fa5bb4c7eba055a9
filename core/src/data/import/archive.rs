//! Zip files as a source, with the guards that files from anywhere need.
//!
//! Nothing is ever unpacked to disk, and no size in a header is believed: entries are read through
//! a bound, and the bytes that came out are added up.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zip::ZipReadOptions;
use zip::read::{Config, OwnedZipFileEntry};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use super::folder::open_regular;
use super::listing::{Candidate, Listing, Place, Unread, is_hidden, names_image};
use super::{ImportLimits, RATIO_FREE};
use crate::data::DataError;
use crate::observe::Observer;

/// An open zip file, read from many threads at once.
pub(super) struct Archive {
    file: SharedFile,
    name: String,
    limits: ImportLimits,
    /// Bytes unpacked so far.
    unpacked: AtomicU64,
    /// Those of entries within their own limits. Only these are held against the ratio of the
    /// whole, so that one bomb among good images stays one bad file.
    taken: AtomicU64,
}

impl Archive {
    pub fn open(path: &Path, name: &str, limits: ImportLimits) -> Result<Self, DataError> {
        let file = open_regular(path).map_err(DataError::io("cannot open", path))?;
        let len = file.metadata().map_err(DataError::io("cannot read", path))?.len();
        Ok(Self {
            file: SharedFile::new(file, len),
            name: name.to_owned(),
            limits,
            unpacked: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        })
    }

    /// Walks the central directory, entry by entry.
    pub fn list(self: &Arc<Self>, listing: &mut Listing, observer: &dyn Observer) -> Result<(), DataError> {
        let mut archive =
            ZipIterable::try_new(self.file.clone(), Config::default()).map_err(|e| self.broken(&e))?;
        for entry in archive.files().map_err(|e| self.broken(&e))? {
            if observer.cancelled() {
                return Err(DataError::Cancelled);
            }
            listing.count()?;
            let entry = entry.map_err(|e| self.broken(&e))?;
            if entry.is_dir() {
                continue;
            }
            let Ok(name) = entry.name() else {
                listing
                    .refuse(String::from_utf8_lossy(entry.name_raw()).into_owned(), "its name is unreadable");
                continue;
            };
            let path = match components(&name) {
                Ok(components) if components.iter().any(|component| is_hidden(component)) => None,
                Ok(components) => Some(components.join("/")).filter(|path| {
                    components.last().is_some_and(|last| names_image(last)) || listing.wants(path)
                }),
                Err(reason) => {
                    listing.refuse(name.into_owned(), reason);
                    continue;
                }
            };
            match path {
                None => listing.ignored += 1,
                Some(path) if entry.is_symlink() => listing.refuse(path, "a symbolic link"),
                Some(path) if entry.encrypted() => {
                    listing.refuse(path, "encrypted, make the zip file without a password");
                }
                Some(path) => {
                    drop(name);
                    let entry = Box::new(OwnedZipFileEntry::from(entry));
                    let place = Place::Entry(Arc::clone(self), entry);
                    if listing.wants(&path) {
                        listing.tables.push((path, place));
                    } else {
                        listing.candidates.push(Candidate { path, place });
                    }
                }
            }
        }
        Ok(())
    }

    /// Unpacks one entry of at most `max_bytes`, within the limits of the whole.
    pub fn read(&self, entry: &OwnedZipFileEntry, max_bytes: u64) -> Result<Vec<u8>, Unread> {
        let left_out = |reason: String| Unread::LeftOut(reason);
        let ImportLimits { max_unpacked, max_ratio, .. } = self.limits;
        // What is packed lies in the file: this size bounds what is read, so it can be trusted.
        let suspicious = RATIO_FREE.max(entry.compressed_size().saturating_mul(max_ratio));
        let most = max_bytes.min(suspicious);

        let mut file = self.file.clone();
        let mut bytes = Vec::new();
        let read = entry
            .as_ref()
            .with_reader(&mut file, ZipReadOptions::new())
            .map_err(|error| left_out(format!("damaged or unsupported in the zip file: {error}")))
            .and_then(|reader| {
                let mut reader = reader.take(most.saturating_add(1));
                reader
                    .read_to_end(&mut bytes)
                    .map_err(|error| left_out(format!("damaged in the zip file: {error}")))
            });

        let count = bytes.len() as u64;
        let add = |counter: &AtomicU64| counter.fetch_add(count, Ordering::Relaxed) + count;
        if add(&self.unpacked) > max_unpacked {
            return Err(self.too_much(max_unpacked));
        }
        read?;
        if count > max_bytes {
            return Err(left_out(format!("unpacks to more than {max_bytes} bytes")));
        }
        if count > suspicious {
            return Err(left_out(format!(
                "unpacks to more than {max_ratio} times its size, as zip bombs do"
            )));
        }
        // Entries may overlap, so that each is modest and their sum is not.
        let whole = RATIO_FREE.max(self.file.len.saturating_mul(max_ratio));
        if add(&self.taken) > whole {
            return Err(self.too_much(whole));
        }
        Ok(bytes)
    }

    fn too_much(&self, limit: u64) -> Unread {
        let what = format!("unpacks to more than {limit} bytes");
        Unread::Stop(DataError::TooMuch { name: self.name.clone(), what })
    }

    fn broken(&self, error: &ZipError) -> DataError {
        DataError::Archive { name: self.name.clone(), detail: error.to_string() }
    }
}

/// The parts of an entry's name; refused when they would lead out of the archive.
fn components(name: &str) -> Result<Vec<&str>, &'static str> {
    // Some Windows programs write backslashes.
    let separator = |c| c == '/' || c == '\\';
    if name.starts_with(separator) {
        return Err("its path is absolute");
    }
    if name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic() {
        return Err("its path names a drive");
    }
    if name.contains('\0') {
        return Err("its path holds a null byte");
    }
    let components: Vec<&str> =
        name.split(separator).filter(|part| !part.is_empty() && *part != ".").collect();
    if components.contains(&"..") {
        return Err("its path leads out of the archive");
    }
    Ok(components)
}

/// A handle on a file with a place and a small window of its own, so that threads neither wait for
/// each other nor ask the system for every few bytes of a directory entry.
struct SharedFile {
    file: Arc<File>,
    len: u64,
    position: u64,
    window: Vec<u8>,
    /// Where in the file the window begins.
    window_start: u64,
}

impl SharedFile {
    const WINDOW: usize = 32 << 10;

    fn new(file: File, len: u64) -> Self {
        Self { file: Arc::new(file), len, position: 0, window: Vec::new(), window_start: 0 }
    }
}

impl Clone for SharedFile {
    fn clone(&self) -> Self {
        Self { file: Arc::clone(&self.file), len: self.len, position: 0, window: Vec::new(), window_start: 0 }
    }
}

impl Read for SharedFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let within = |start: u64, len: usize, at: u64| {
            at.checked_sub(start).and_then(|skip| usize::try_from(skip).ok()).filter(|&skip| skip < len)
        };
        if within(self.window_start, self.window.len(), self.position).is_none() {
            if out.len() >= Self::WINDOW {
                let n = self.file.read_at(out, self.position)?;
                self.position += n as u64;
                return Ok(n);
            }
            self.window.resize(Self::WINDOW, 0);
            let read = self.file.read_at(&mut self.window, self.position);
            self.window.truncate(*read.as_ref().unwrap_or(&0));
            self.window_start = self.position;
            read?;
        }
        let Some(skip) = within(self.window_start, self.window.len(), self.position) else { return Ok(0) };
        let available = &self.window[skip..];
        let n = available.len().min(out.len());
        out[..n].copy_from_slice(&available[..n]);
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for SharedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_refused() {
        for (name, expected) in [
            ("products/owl/1.png", Some("products/owl/1.png")),
            ("./owl//1.png", Some("owl/1.png")),
            ("products\\owl\\1.png", Some("products/owl/1.png")),
            ("owl/..1.png", Some("owl/..1.png")),
            ("../evil.png", None),
            ("owl/../../evil.png", None),
            ("owl\\..\\evil.png", None),
            ("/etc/evil.png", None),
            ("\\\\host\\evil.png", None),
            ("C:\\evil.png", None),
            ("c:evil.png", None),
            ("owl/1\0.png", None),
        ] {
            assert_eq!(components(name).ok().map(|parts| parts.join("/")).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn the_shared_file_reads_like_a_cursor() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i * 31 % 251) as u8).collect();
        let mut file = tempfile::tempfile().expect("temp file");
        io::Write::write_all(&mut file, &bytes).expect("write");
        let mut shared = SharedFile::new(file, bytes.len() as u64);
        let mut cursor = io::Cursor::new(&bytes);
        for (at, len) in [(0, 10), (5, 40_000), (99_990, 100), (40_000, 3), (39_990, 60_010), (200_000, 4)] {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            shared.seek(SeekFrom::Start(at)).expect("seek");
            cursor.seek(SeekFrom::Start(at)).expect("seek");
            (&mut shared).take(len).read_to_end(&mut a).expect("read");
            (&mut cursor).take(len).read_to_end(&mut b).expect("read");
            assert!(a == b, "{len} bytes at {at}");
        }
        assert!(shared.seek(SeekFrom::Current(-1_000_000)).is_err());
    }
}
