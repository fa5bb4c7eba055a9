//! A download on disk: the part that has come, and a small file beside it that says what it is a
//! part of. Both outlive a kill of the agent and a crash of the machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vigie_protocol::{Hash, JobId};

/// Bytes after which what came is made durable: about what a crash of the machine costs.
const SYNC_EVERY: u64 = 64 << 20;

const PART: &str = "part";
const ABOUT: &str = "json";
const WHOLE: &str = "zip";

/// Where the download of a job lies.
#[derive(Clone, Debug)]
pub(super) struct Place {
    folder: PathBuf,
    job: JobId,
}

impl Place {
    pub(super) fn new(folder: &Path, job: JobId) -> Self {
        Self { folder: folder.to_owned(), job }
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.job))
    }

    /// The whole file, once it is there.
    pub(super) fn whole(&self) -> PathBuf {
        self.file(WHOLE)
    }

    /// The file system that it fills.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes all of it.
    ///
    /// # Errors
    /// When a file that is there cannot be removed.
    pub(super) fn remove(&self) -> io::Result<()> {
        // What it is a part of goes last: a part without it is worth nothing.
        for extension in [WHOLE, PART, ABOUT] {
            remove(&self.file(extension))?;
        }
        Ok(())
    }
}

/// The job whose download a file is; nothing for other files.
pub(super) fn job_of(file: &Path) -> Option<JobId> {
    let extension = file.extension()?.to_str()?;
    [PART, ABOUT, WHOLE].contains(&extension).then(|| file.file_stem()?.to_str()?.parse().ok())?
}

/// What a part is a part of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct About {
    /// Digest of what was asked for; the URL itself may hold secrets.
    pub(super) source: Option<Hash>,
    /// The entity tag of the file.
    pub(super) etag: Option<String>,
    /// When the file was last modified, as its server writes it.
    pub(super) modified: Option<String>,
    /// Its length.
    pub(super) total: Option<u64>,
    /// The machine's boot in which the part was written.
    boot: String,
    /// Bytes that were durable then.
    durable: u64,
}

impl About {
    /// What a server says of a file.
    pub(super) fn of(etag: Option<String>, modified: Option<String>, total: Option<u64>) -> Self {
        Self { etag, modified, total, ..Self::default() }
    }

    /// Whether what comes now is the file that this is a part of, for certain.
    pub(super) fn is_same_file(&self, now: &About) -> bool {
        let known = self.etag.is_some() || self.modified.is_some();
        // Not every answer says how long it is.
        let as_long = self.total.zip(now.total).is_none_or(|(then, now)| then == now);
        known && self.etag == now.etag && self.modified == now.modified && as_long
    }
}

/// A part under way. Its calls block.
#[derive(Clone, Debug)]
pub(super) struct Part {
    place: Place,
    file: Arc<File>,
    pub(super) about: About,
    /// Bytes that are there.
    pub(super) len: u64,
    unsynced: u64,
}

impl Part {
    /// Opens the part of a job's download of `source`: an empty one when there is none, or one of
    /// something else.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn open(place: &Place, source: Hash) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&place.folder)?;
        let about = read_about(&place.file(ABOUT))?.filter(|about| about.source == Some(source));
        let options = OpenOptions::new().create(true).append(true).mode(0o600).clone();
        let file = options.open(place.file(PART))?;
        let len = file.metadata()?.len();
        let good = match &about {
            // What the kernel holds is what was written; after a crash only what was synced is.
            Some(about) if about.boot == boot() => len,
            Some(about) => len.min(about.durable),
            None => 0,
        };
        if good < len {
            file.set_len(good)?;
        }
        let about = about.unwrap_or_else(|| About { source: Some(source), ..About::default() });
        Ok(Self { place: place.clone(), file: Arc::new(file), about, len: good, unsynced: 0 })
    }

    /// Begins again, with what is known of the file now.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn begin(&mut self, about: About) -> io::Result<()> {
        self.file.set_len(0)?;
        (self.len, self.unsynced) = (0, 0);
        self.about = About { source: self.about.source, ..about };
        self.note(0)
    }

    /// Adds bytes at its end.
    ///
    /// # Errors
    /// Those of the disk; what was written by then is counted.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = (&*self.file).write_all(bytes);
        if written.is_err() {
            self.len = self.file.metadata()?.len();
        }
        written?;
        self.len += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY {
            self.file.sync_data()?;
            self.note(self.len)?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Bytes that its file still takes: those that are missing, and as many as the whole for the images
    /// that are taken out of it. Nothing when its length is not known.
    pub(super) fn needs(&self) -> Option<u64> {
        let total = self.about.total?;
        Some(total.saturating_sub(self.len).saturating_add(total))
    }

    /// Cuts off the last `bytes` of what came, as far as there are so many.
    ///
    /// # Errors
    /// Those of the disk; nothing stays then that could be taken for whole.
    pub(super) fn give_back(&mut self, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.len = self.len.saturating_sub(bytes);
        self.file.set_len(self.len)?;
        // What is written there again is not durable for having been so once.
        if self.about.durable > self.len
            && let Err(error) = self.note(self.len)
        {
            self.len = 0;
            self.file.set_len(0)?;
            return Err(error);
        }
        Ok(())
    }

    /// The whole file came: makes it durable under its name.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn complete(&self) -> io::Result<PathBuf> {
        self.file.sync_all()?;
        let whole = self.place.whole();
        fs::rename(self.place.file(PART), &whole)?;
        File::open(&self.place.folder)?.sync_all()?;
        Ok(whole)
    }

    /// Where its bytes lie.
    pub(super) fn path(&self) -> PathBuf {
        self.place.file(PART)
    }

    /// Writes down what it is a part of, of which `durable` bytes are.
    fn note(&mut self, durable: u64) -> io::Result<()> {
        self.about.boot = boot();
        self.about.durable = durable;
        let text = serde_json::to_vec(&self.about)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.place.folder)?;
        file.write_all(&text)?;
        file.as_file().sync_data()?;
        file.persist(self.place.file(ABOUT))?;
        Ok(())
    }
}

/// Whether the whole file of `source` is there.
pub(super) fn is_whole(place: &Place, source: Hash) -> io::Result<bool> {
    let about = read_about(&place.file(ABOUT))?;
    Ok(about.is_some_and(|about| about.source == Some(source)) && place.whole().is_file())
}

/// What lies there; nothing when there is none or when it cannot be understood.
fn read_about(path: &Path) -> io::Result<Option<About>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What changes when the machine starts anew; a text of its own where the kernel does not say.
fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    boot.map_or_else(|_| "unknown".to_owned(), |boot| boot.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn source() -> Hash {
        Hash::of(b"https://example.org/birds.zip")
    }

    fn about() -> About {
        About { etag: Some("\"1\"".to_owned()), total: Some(9), ..About::default() }
    }

    fn begun(place: &Place) -> Part {
        let mut part = Part::open(place, source()).unwrap();
        part.begin(about()).unwrap();
        part.write(b"12345").unwrap();
        part
    }

    #[test]
    fn a_part_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path(), JobId::new());
        drop(begun(&place));
        let mut part = Part::open(&place, source()).unwrap();
        assert_eq!((part.len, part.about.etag.as_deref()), (5, Some("\"1\"")));
        assert!(part.about.is_same_file(&about()) && !is_whole(&place, source()).unwrap());
        part.write(b"6789").unwrap();
        let whole = part.complete().unwrap();
        assert_eq!(fs::read(&whole).unwrap(), b"123456789");
        assert!(is_whole(&place, source()).unwrap() && !is_whole(&place, Hash::of(b"else")).unwrap());
        assert_eq!(job_of(&whole), Some(place.job));
        place.remove().unwrap();
        place.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_certain_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path(), JobId::new());
        drop(begun(&place));
        let of_something_else = Part::open(&place, Hash::of(b"else")).unwrap();
        assert_eq!((of_something_else.len, of_something_else.about.etag), (0, None));

        for damage in [&b"{\"torn"[..], b"", b"[]"] {
            drop(begun(&place));
            fs::write(place.file(ABOUT), damage).unwrap();
            assert_eq!(Part::open(&place, source()).unwrap().len, 0);
        }
    }

    #[test]
    fn after_a_crash_of_the_machine_only_what_was_durable_counts() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path(), JobId::new());
        for (durable, good) in [(3, 3), (0, 0), (900, 5)] {
            let mut part = begun(&place);
            part.note(durable).unwrap();
            let text = fs::read_to_string(place.file(ABOUT)).unwrap().replace(&boot(), "another boot");
            fs::write(place.file(ABOUT), text).unwrap();
            let part = Part::open(&place, source()).unwrap();
            assert_eq!((part.len, fs::metadata(part.path()).unwrap().len()), (good, good));
        }
    }

    #[test]
    fn what_is_given_back_is_not_taken_for_durable() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path(), JobId::new());
        for (durable, bytes, kept, still_durable) in
            [(5, 2, 3, 3), (2, 2, 3, 2), (5, 0, 5, 5), (5, 99, 0, 0), (0, 1, 4, 0)]
        {
            let mut part = begun(&place);
            part.note(durable).unwrap();
            part.give_back(bytes).unwrap();
            assert_eq!((part.len, part.needs()), (kept, Some(9 - kept + 9)));
            let part = Part::open(&place, source()).unwrap();
            assert_eq!((part.len, part.about.durable), (kept, still_durable));
            assert_eq!(fs::read(part.path()).unwrap(), b"12345"[..kept as usize]);
        }
    }

    #[test]
    fn only_a_known_file_is_the_same() {
        let nothing = About { total: Some(9), ..About::default() };
        assert!(!nothing.is_same_file(&nothing));
        let other = About { etag: Some("\"2\"".to_owned()), ..about() };
        let longer = About { total: Some(10), ..about() };
        let untold = About { total: None, ..about() };
        assert!(about().is_same_file(&untold) && untold.is_same_file(&about()));
        assert!(about().is_same_file(&about()));
        assert!(!about().is_same_file(&other) && !about().is_same_file(&longer));
        assert_eq!(job_of(Path::new("/x/notes.txt")), None);
    }
}
