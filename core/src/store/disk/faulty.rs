//! A disk that fails as real ones do: it refuses operations, or loses its power.
//!
//! It stands on a real folder and keeps a journal of what was changed and not yet flushed. When the
//! power goes, all of that or a part is undone, sector by sector; what was flushed stays.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use redb::StorageBackend;

use super::{Disk, DiskFile};

/// What a disk writes at once, or not at all.
const SECTOR: usize = 512;

/// What goes wrong, and when. Operations are counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// These operations are refused: no space left (reads go on), or an I/O error.
    Refuse { first: u64, count: u64, how: Refusal },
    /// The power goes during this operation, and everything after it fails.
    PowerCut { at: u64 },
}

/// How an operation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Refusal {
    NoSpace,
    InputOutput,
}

/// A folder with a journal. Clones share it.
#[derive(Clone, Debug)]
pub(in crate::store) struct FaultyDisk(Arc<Mutex<Machine>>);

#[derive(Debug)]
struct Machine {
    root: PathBuf,
    /// Removed files, which a power cut may bring back.
    graveyard: tempfile::TempDir,
    buried: u64,
    operations: u64,
    fault: Fault,
    off: bool,
    /// No operation fails or counts meanwhile.
    calm: bool,
    /// Flushes of everything that were asked for.
    everything: u64,
    /// Changes that were not flushed, oldest first.
    journal: Vec<Unflushed>,
}

#[derive(Debug)]
enum Unflushed {
    /// Bytes of a file; `old` is what was there.
    Bytes { file: u64, offset: u64, old: Vec<u8> },
    /// A file's length.
    Length { file: u64, old: u64 },
    /// A new name.
    Created { path: PathBuf },
    /// A moved name; what was at `to` lies in the graveyard.
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<PathBuf> },
    /// A name that went; its file lies in the graveyard.
    Removed { path: PathBuf, grave: PathBuf },
}

/// What an operation does, as far as it matters to a full disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Change,
}

impl FaultyDisk {
    /// Stands on an existing folder; the graveyard lies beside it.
    pub(in crate::store) fn new(root: &Path, fault: Fault) -> Self {
        let graveyard = tempfile::tempdir_in(root.parent().unwrap()).unwrap();
        Self(Arc::new(Mutex::new(Machine {
            root: root.to_owned(),
            graveyard,
            buried: 0,
            operations: 0,
            fault,
            off: false,
            calm: false,
            everything: 0,
            journal: Vec::new(),
        })))
    }

    /// How many operations there were.
    pub(in crate::store) fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// How many flushes of everything were carried out, and how many were left to be done file by file.
    pub(in crate::store) fn flushes_of_everything(&self) -> (u64, u64) {
        let asked = self.lock().everything;
        (asked.div_ceil(2), asked / 2)
    }

    /// Lets a test look through the disk: its operations neither fail nor count.
    pub(in crate::store) fn calmly<T>(&self, look: impl FnOnce() -> T) -> T {
        self.lock().calm = true;
        let seen = look();
        self.lock().calm = false;
        seen
    }

    /// Whether the power is gone.
    pub(in crate::store) fn is_off(&self) -> bool {
        self.lock().off
    }

    /// Undoes what was not flushed: all of it, or by the seed's dice half of it.
    pub(in crate::store) fn lose_unflushed(&self, seed: Option<u64>) {
        let mut machine = self.lock();
        machine.off = true;
        let mut dice = seed.map(ChaCha8Rng::seed_from_u64);
        let mut lost = || dice.as_mut().is_none_or(|dice| dice.random_bool(0.5));
        let journal = std::mem::take(&mut machine.journal);
        for change in journal.into_iter().rev() {
            match change {
                Unflushed::Bytes { file, offset, old } => {
                    let Some(path) = machine.path_of(file) else { continue };
                    let open = OpenOptions::new().write(true).open(path).unwrap();
                    let len = open.metadata().unwrap().len();
                    for (sector, bytes) in old.chunks(SECTOR).enumerate() {
                        let at = offset + (sector * SECTOR) as u64;
                        // A cut that was not lost took what lay behind it.
                        let there = len.saturating_sub(at).min(bytes.len() as u64) as usize;
                        if lost() {
                            open.write_all_at(&bytes[..there], at).unwrap();
                        }
                    }
                }
                Unflushed::Length { file, old } => {
                    if let Some(path) = machine.path_of(file)
                        && lost()
                    {
                        OpenOptions::new().write(true).open(path).unwrap().set_len(old).unwrap();
                    }
                }
                Unflushed::Created { path } => {
                    if lost() {
                        let _ = fs::remove_file(path);
                    }
                }
                Unflushed::Renamed { from, to, replaced } => {
                    if lost() && to.exists() {
                        fs::rename(&to, from).unwrap();
                        if let Some(grave) = replaced {
                            fs::rename(grave, to).unwrap();
                        }
                    }
                }
                Unflushed::Removed { path, grave } => {
                    if lost() && !path.exists() {
                        fs::rename(grave, path).unwrap();
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation and lets it pass, or not.
    fn pass(&self, kind: Kind) -> io::Result<MutexGuard<'_, Machine>> {
        let mut machine = self.lock();
        machine.is_on()?;
        if machine.calm {
            return Ok(machine);
        }
        machine.operations += 1;
        match machine.fault {
            Fault::Refuse { first, count, how }
                if (first..first.saturating_add(count)).contains(&machine.operations) =>
            {
                match (how, kind) {
                    (Refusal::NoSpace, Kind::Read) => {}
                    (Refusal::NoSpace, Kind::Change) => {
                        return Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()));
                    }
                    (Refusal::InputOutput, _) => {
                        return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
                    }
                }
            }
            // The operation itself is the last thing that reaches the disk's cache.
            Fault::PowerCut { at } if machine.operations >= at => machine.off = true,
            _ => {}
        }
        Ok(machine)
    }

    fn open(&self, path: &Path, options: &mut OpenOptions) -> io::Result<FaultyFile> {
        let mut machine = self.pass(Kind::Change)?;
        let fresh = !path.exists();
        let file = options.open(path)?;
        if fresh {
            machine.journal.push(Unflushed::Created { path: path.to_owned() });
        }
        let number = file.metadata()?.ino();
        Ok(FaultyFile { disk: self.clone(), file, number })
    }
}

impl Machine {
    /// A flush during which the power goes is none.
    fn is_on(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// Where a file lies now.
    fn path_of(&self, file: u64) -> Option<PathBuf> {
        let mut folders = vec![self.root.clone(), self.graveyard.path().to_owned()];
        let mut paths = HashMap::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let metadata = entry.metadata().unwrap();
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else {
                    paths.insert(metadata.ino(), entry.path());
                }
            }
        }
        paths.remove(&file)
    }

    /// Keeps a file that is about to lose its name.
    fn bury(&mut self, path: &Path) -> io::Result<PathBuf> {
        self.buried += 1;
        let grave = self.graveyard.path().join(self.buried.to_string());
        fs::hard_link(path, &grave)?;
        Ok(grave)
    }

    fn flush_file(&mut self, number: u64) {
        self.journal.retain(|change| {
            !matches!(change, Unflushed::Bytes { file, .. } | Unflushed::Length { file, .. } if *file == number)
        });
    }

    fn flush_folder(&mut self, folder: &Path) {
        self.journal.retain(|change| match change {
            Unflushed::Bytes { .. } | Unflushed::Length { .. } => true,
            Unflushed::Created { path } | Unflushed::Removed { path, .. } => path.parent() != Some(folder),
            Unflushed::Renamed { to, .. } => to.parent() != Some(folder),
        });
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.open(path, OpenOptions::new().read(true).write(true).create_new(true))?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        Ok(Box::new(self.open(path, options.read(true).write(true).create(true).truncate(false))?))
    }

    fn database(&self, builder: &redb::Builder, path: &Path) -> Result<redb::Database, redb::DatabaseError> {
        let mut options = OpenOptions::new();
        let file = self.open(path, options.read(true).write(true).create(true).truncate(false))?;
        builder.create_with_backend(file)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        // Folders are not lost: the files that would be lost with them are.
        let _machine = self.pass(Kind::Change)?;
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut machine = self.pass(Kind::Change)?;
        let replaced = to.exists().then(|| machine.bury(to)).transpose()?;
        fs::rename(from, to)?;
        let (from, to) = (from.to_owned(), to.to_owned());
        machine.journal.push(Unflushed::Renamed { from, to, replaced });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.pass(Kind::Change)?;
        let grave = machine.bury(path)?;
        fs::remove_file(path)?;
        machine.journal.push(Unflushed::Removed { path: path.to_owned(), grave });
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut machine = self.pass(Kind::Change)?;
        let metadata = fs::metadata(path)?;
        machine.is_on()?;
        if metadata.is_dir() {
            machine.flush_folder(path)
        } else {
            machine.flush_file(metadata.ino())
        }
        Ok(())
    }

    /// By turns it can and cannot, so that one life meets both.
    fn sync_everything(&self, _: &Path) -> io::Result<bool> {
        let mut machine = self.pass(Kind::Change)?;
        machine.is_on()?;
        machine.everything += 1;
        let can = machine.everything % 2 == 1;
        if can {
            machine.journal.clear();
        }
        Ok(can)
    }

    /// Fewer than an import or a prediction of a life brings.
    fn few(&self) -> usize {
        3
    }
}

/// A file whose changes are written down.
#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    file: File,
    number: u64,
}

impl FaultyFile {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut machine = self.disk.pass(Kind::Change)?;
        let len = self.file.metadata()?.len();
        let end = offset + data.len() as u64;
        let mut old = vec![0; (len.clamp(offset, end) - offset) as usize];
        self.file.read_exact_at(&mut old, offset)?;
        if end > len {
            machine.journal.push(Unflushed::Length { file: self.number, old: len });
        }
        // New bytes past the old end: zeros are what a lost sector leaves.
        old.resize(data.len(), 0);
        machine.journal.push(Unflushed::Bytes { file: self.number, offset, old });
        self.file.write_all_at(data, offset)
    }

    fn cut_to(&self, len: u64) -> io::Result<()> {
        let mut machine = self.disk.pass(Kind::Change)?;
        let before = self.file.metadata()?.len();
        if len < before {
            let mut old = vec![0; (before - len) as usize];
            self.file.read_exact_at(&mut old, len)?;
            machine.journal.push(Unflushed::Bytes { file: self.number, offset: len, old });
        }
        machine.journal.push(Unflushed::Length { file: self.number, old: before });
        self.file.set_len(len)
    }

    fn flush_down(&self) -> io::Result<()> {
        let mut machine = self.disk.pass(Kind::Change)?;
        machine.is_on()?;
        machine.flush_file(self.number);
        Ok(())
    }
}

impl Write for FaultyFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let end = self.file.metadata()?.len();
        self.write_at(data, end)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for FaultyFile {
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.cut_to(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.flush_down()
    }
}

impl StorageBackend for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        let _machine = self.disk.pass(Kind::Read)?;
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let _machine = self.disk.pass(Kind::Read)?;
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.cut_to(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.flush_down()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_at(data, offset)
    }
}
