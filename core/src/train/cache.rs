//! Features on disk, chunk by chunk, so that an interrupted extraction goes on where it was.
//!
//! The file: a header (magic, version, width, rows, key), then chunks of up to 256 rows of f32, each
//! followed by the BLAKE3 of key, chunk index and rows. A chunk that does not match, and all after
//! it, are made again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use vigie_protocol::Hash;

use super::TrainError;
use super::durable::sync_folder;

/// Rows a chunk: at 1280 features 1.3 MB, some seconds of work on a CPU.
const CHUNK: usize = 256;
const MAGIC: &[u8; 8] = b"VIGIEFEA";
const VERSION: u32 = 1;

/// The features of a training's images, complete or being made.
#[derive(Debug)]
pub struct FeatureCache {
    path: PathBuf,
    file: File,
    key: Hash,
    width: usize,
    rows: usize,
    values: Vec<f32>,
}

impl FeatureCache {
    /// Opens the cache at `path` with the chunks that are whole, or a new one when there is none for
    /// this `key`, which names everything that decides the values.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn open(path: &Path, key: Hash, width: usize, rows: usize) -> Result<Self, TrainError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(TrainError::io("open", path))?;
        let mut cache = Self { path: path.to_owned(), file, key, width, rows, values: Vec::new() };
        cache.recover().map_err(TrainError::io("read", path))?;
        Ok(cache)
    }

    /// Rows when it is complete.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows that are durable.
    pub fn done(&self) -> usize {
        self.values.len() / self.width
    }

    /// The rows that the next call of [`FeatureCache::append`] takes; empty when all are there.
    pub fn next(&self) -> std::ops::Range<usize> {
        let done = self.done();
        done..self.rows.min(done + CHUNK)
    }

    /// Makes the rows [`FeatureCache::next`] durable.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn append(&mut self, values: &[f32]) -> Result<(), TrainError> {
        assert_eq!(values.len(), self.next().len() * self.width, "a chunk as next() says");
        let mut bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let digest = self.digest(self.done() / CHUNK, &bytes);
        bytes.extend(digest.as_bytes());
        let write = |file: &mut File| {
            file.write_all(&bytes)?;
            file.sync_data()
        };
        write(&mut self.file).map_err(TrainError::io("write", &self.path))?;
        self.values.extend(values);
        Ok(())
    }

    /// All rows, row-major.
    ///
    /// # Panics
    /// When rows are missing.
    pub fn into_values(self) -> Vec<f32> {
        assert_eq!(self.done(), self.rows, "every row was made");
        self.values
    }

    /// Reads what is whole, cuts off the rest, and leaves the file at its end.
    fn recover(&mut self) -> io::Result<()> {
        let header = self.header();
        let mut found = vec![0; header.len()];
        let known = match self.file.read_exact(&mut found) {
            Ok(()) => found == header,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        if !known {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&header)?;
            self.file.sync_all()?;
            return sync_folder(self.path.parent().unwrap_or(Path::new(".")));
        }
        let mut end = header.len() as u64;
        while !self.next().is_empty() {
            let mut bytes = vec![0; self.next().len() * self.width * 4 + 32];
            match self.file.read_exact(&mut bytes) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
            let (rows, digest) = bytes.split_at(bytes.len() - 32);
            if self.digest(self.done() / CHUNK, rows).as_bytes() != digest {
                break;
            }
            self.values.extend(rows.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            end += bytes.len() as u64;
        }
        self.file.set_len(end)?;
        self.file.seek(SeekFrom::Start(end))?;
        Ok(())
    }

    fn header(&self) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend((self.width as u64).to_le_bytes());
        header.extend((self.rows as u64).to_le_bytes());
        header.extend(self.key.as_bytes());
        header
    }

    fn digest(&self, chunk: usize, rows: &[u8]) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.key.as_bytes()).update(&(chunk as u64).to_le_bytes()).update(rows);
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const WIDTH: usize = 3;
    const ROWS: usize = 600;

    fn open(path: &Path, key: &[u8]) -> FeatureCache {
        FeatureCache::open(path, Hash::of(key), WIDTH, ROWS).unwrap()
    }

    fn rows(range: std::ops::Range<usize>) -> Vec<f32> {
        (range.start * WIDTH..range.end * WIDTH).map(|i| i as f32).collect()
    }

    fn fill(cache: &mut FeatureCache, chunks: usize) {
        for _ in 0..chunks {
            let next = cache.next();
            cache.append(&rows(next)).unwrap();
        }
    }

    #[test]
    fn it_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("features.bin");
        let mut cache = open(&path, b"a");
        assert_eq!((cache.done(), cache.next()), (0, 0..256));
        fill(&mut cache, 1);
        drop(cache);

        let mut cache = open(&path, b"a");
        assert_eq!(cache.done(), 256);
        fill(&mut cache, 2);
        assert!(cache.next().is_empty());
        assert_eq!(open(&path, b"a").into_values(), rows(0..ROWS));
    }

    #[test]
    fn torn_and_changed_chunks_are_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("features.bin");
        fill(&mut open(&path, b"a"), 3);
        let whole = std::fs::read(&path).unwrap();
        let header = 8 + 4 + 8 + 8 + 32;
        let chunk = 256 * WIDTH * 4 + 32;
        for (length, flip, done) in [
            (0, None, 0),
            (header - 1, None, 0),
            (header, None, 0),
            (header + chunk, None, 256),
            (whole.len() - 1, None, 512),
            (whole.len(), None, ROWS),
            (whole.len(), Some(header - 1), 0),
            (whole.len(), Some(header + 5), 0),
            (whole.len(), Some(header + chunk + 5), 256),
            (whole.len(), Some(whole.len() - 1), 512),
        ] {
            let mut bytes = whole[..length].to_vec();
            if let Some(at) = flip {
                bytes[at] ^= 1;
            }
            std::fs::write(&path, &bytes).unwrap();
            let mut cache = open(&path, b"a");
            assert_eq!(cache.done(), done, "{length} {flip:?}");
            let missing = (ROWS - done).div_ceil(CHUNK);
            fill(&mut cache, missing);
            assert_eq!(cache.into_values(), rows(0..ROWS));
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn another_key_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("features.bin");
        fill(&mut open(&path, b"a"), 3);
        assert_eq!(open(&path, b"b").done(), 0);
    }
}
