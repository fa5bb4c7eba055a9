//! Backup of a running state, and its restoration.
//!
//! A backup is a folder: the facts and each day of predictions as of one moment each, the blobs, the
//! audit log, and a list of all files with their BLAKE3. The facts are copied first and the blobs
//! after them: a blob is durable before a fact names it, and no collection removes one meanwhile, so
//! that none is missing but pictures that somebody had erased. What is damaged is left out, so that the
//! rest can be restored. Packs and runs' checkpoints are left out too; they can be made again.

mod partial;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use vigie_protocol::{AgentId, Hash, Time};

use self::partial::Partial;
use super::blobs::FolderBlobs;
use super::disk::RealDisk;
use super::flush::flush;
use super::state::{AUDIT, BLOBS, FACTS, PREDICTIONS, State};
use super::{Blobs, PredictionLog, Result, StoreError};
use crate::fail_point::{self, FailPoint};

/// One line a file, as `b3sum --check` reads it.
const LIST: &str = "files.b3";
/// Written last: a folder without it is no backup.
const HEADER: &str = "backup.json";
const FORMAT: u32 = 1;
/// Bounds the memory a hostile backup may take: some ten million files.
const LIST_BYTES: u64 = 2 << 30;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupHeader {
    /// Of this description.
    pub format: u32,
    /// When it was made.
    pub made: Time,
    /// Of which agent.
    pub agent: AgentId,
    /// Files in it, without this description.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs and days of predictions that were damaged and are not in it.
    #[serde(default)]
    pub damaged: u64,
    /// BLAKE3 of the list of files.
    pub list: Hash,
}

/// Copies a state into the folder `target` while others read and write. Blobs are hard links where
/// the file system allows.
///
/// # Errors
/// [`StoreError::Exists`] when there is something at `target`, [`StoreError::Io`]; then nothing is
/// left there. What a killed process leaves beside it, the next backup beside it removes.
pub fn backup(state: &State, target: &Path, now: Time) -> Result<BackupHeader> {
    if target.exists() {
        return Err(StoreError::Exists { what: target.display().to_string() });
    }
    let parent = target
        .parent()
        .filter(|parent| parent.is_dir())
        .ok_or_else(|| StoreError::NotFound { what: format!("the folder for {}", target.display()) })?;
    let partial = Partial::new_in(parent, ".vigie-backup-")?;
    let header = fill(state, partial.path(), now)?;
    fail_point::pass(FailPoint::BackupFilled);
    partial.becomes(target)?;
    Ok(header)
}

fn fill(state: &State, folder: &Path, now: Time) -> Result<BackupHeader> {
    let all_stay = state.blobs.all_stay();
    let mut list = List::default();
    let mut damaged = 0;
    state.facts.copy_to(&folder.join(FACTS))?;
    list.add(folder, Path::new(FACTS))?;
    fail_point::pass(FailPoint::BackupFacts);
    state.audit.copy_to(&folder.join(AUDIT))?;
    list.add(folder, Path::new(AUDIT))?;

    make_folder(&folder.join(PREDICTIONS))?;
    for day in state.log.days()? {
        let name = Path::new(PREDICTIONS).join(format!("{day}.redb"));
        match state.log.copy_day(&day, &folder.join(&name)) {
            Ok(()) => list.add(folder, &name)?,
            // One bad day must not keep everything else from being saved.
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(day, %error, "left a damaged day of predictions out of the backup");
                let _ = fs::remove_file(folder.join(&name));
                damaged += 1;
            }
            Err(error) => return Err(error),
        }
    }
    damaged += link_blobs(&state.blobs, folder, &mut list)?;
    drop(all_stay);

    let header = BackupHeader {
        format: FORMAT,
        made: now,
        agent: state.agent,
        files: list.files,
        bytes: list.bytes,
        damaged,
        list: Hash::of(list.text.as_bytes()),
    };
    write(&folder.join(LIST), list.text.as_bytes())?;
    make_durable(folder, &list.names)?;
    let json = serde_json::to_vec_pretty(&header).expect("plain structs in memory always encode");
    write(&folder.join(HEADER), &json)?;
    sync_folder(folder)?;
    Ok(header)
}

/// Links the blobs into the backup and lists them; says how many were left out. Each is read: nobody
/// looks at one that nothing names, and one that is damaged would keep the whole from being restored.
fn link_blobs(blobs: &FolderBlobs, folder: &Path, list: &mut List) -> Result<u64> {
    let mut there = Vec::new();
    blobs.list(&mut |hash, size, _| there.push((hash, size)))?;
    there.sort_unstable();
    make_folder(&folder.join(BLOBS))?;
    let link = |&(hash, size): &(Hash, u64)| -> Result<Option<Linked>> {
        let from = blobs.path_of(hash);
        let whole = match blake3::Hasher::new().update_mmap(&from) {
            Ok(hasher) => Hash::from(hasher.finalize()) == hash,
            // Erased meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("reading", &from, error)),
        };
        if !whole {
            tracing::error!(blob = %hash, "left a damaged blob out of the backup");
            return Ok(Some(Linked::Damaged));
        }
        let text = hash.to_string();
        let name = Path::new(BLOBS).join(&text[..2]).join(&text);
        Ok(link_or_copy(&from, &folder.join(&name))?.then_some(Linked::Whole { name, hash, size }))
    };
    // One after another: predictions and flushes share the threads that many at a time would take.
    let mut damaged = 0;
    for blob in &there {
        match link(blob)? {
            Some(Linked::Whole { name, hash, size }) => list.push(&name, hash, size),
            Some(Linked::Damaged) => damaged += 1,
            None => {}
        }
    }
    Ok(damaged)
}

/// A blob on its way into a backup.
enum Linked {
    Whole { name: PathBuf, hash: Hash, size: u64 },
    Damaged,
}

/// Makes the files of a folder, and their names, durable.
fn make_durable(folder: &Path, names: &[PathBuf]) -> Result<()> {
    let (blobs, others): (Vec<&PathBuf>, Vec<&PathBuf>) =
        names.iter().partition(|name| name.starts_with(BLOBS));
    let paths = |names: Vec<&PathBuf>| names.into_iter().map(|name| folder.join(name)).collect::<Vec<_>>();
    flush(&RealDisk, &folder.join(BLOBS), &paths(blobs))?;
    flush(&RealDisk, folder, &paths(others))
}

/// Makes a state directory from a backup. Every file is checked on its way.
///
/// # Errors
/// [`StoreError::Damaged`] when a file is missing or is not what was saved, [`StoreError::Exists`]
/// when `state_dir` is not empty; then nothing is left there.
pub fn restore(backup: &Path, state_dir: &Path) -> Result<BackupHeader> {
    if fs::read_dir(state_dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(StoreError::Exists { what: format!("a state in {}", state_dir.display()) });
    }
    let header: BackupHeader = serde_json::from_slice(&read_bounded(&backup.join(HEADER), 1 << 16)?)
        .map_err(|error| damaged(HEADER, error))?;
    if header.format != FORMAT {
        return Err(StoreError::Newer { found: header.format, known: FORMAT });
    }
    let text = read_bounded(&backup.join(LIST), LIST_BYTES)?;
    if Hash::of(&text) != header.list {
        return Err(damaged(LIST, "it is not the list that was written"));
    }
    let text = String::from_utf8(text).map_err(|error| damaged(LIST, error))?;
    let files = text.lines().map(parse).collect::<Result<BTreeMap<_, _>>>()?;

    let parent = state_dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| io_error("creating", parent, e))?;
    let partial = Partial::new_in(parent, ".vigie-restore-")?;
    for (name, hash) in &files {
        copy_checked(&backup.join(name), &partial.path().join(name), *hash)?;
    }
    make_durable(partial.path(), &files.keys().cloned().collect::<Vec<_>>())?;
    // A rename may replace an empty folder, and only that.
    partial.becomes(state_dir)?;
    Ok(header)
}

/// The files of a backup, as they are added.
#[derive(Default)]
struct List {
    text: String,
    names: Vec<PathBuf>,
    files: u64,
    bytes: u64,
}

impl List {
    fn add(&mut self, folder: &Path, name: &Path) -> Result<()> {
        let path = folder.join(name);
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap(&path).map_err(|e| io_error("reading", &path, e))?;
        self.push(name, hasher.finalize().into(), hasher.count());
        Ok(())
    }

    fn push(&mut self, name: &Path, hash: Hash, size: u64) {
        self.text += &format!("{hash}  {}\n", name.display());
        self.names.push(name.to_owned());
        self.files += 1;
        self.bytes += size;
    }
}

/// A line of the list. Names come from outside: only plain ones inside the folder are taken.
fn parse(line: &str) -> Result<(PathBuf, Hash)> {
    let (hash, name) = line.split_once("  ").ok_or_else(|| damaged(LIST, "a line has no name"))?;
    let hash = hash.parse().map_err(|error| damaged(LIST, error))?;
    let path = PathBuf::from(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || name.is_empty() {
        return Err(damaged(LIST, format!("{name:?} leads outside")));
    }
    Ok((path, hash))
}

fn copy_checked(from: &Path, to: &Path, hash: Hash) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|e| io_error("creating", folder, e))?;
    }
    let mut source = File::open(from).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => damaged(from.display(), "it is missing"),
        _ => io_error("opening", from, e),
    })?;
    let mut target = File::create_new(to).map_err(|e| io_error("creating", to, e))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = source.read(&mut buffer).map_err(|e| io_error("reading", from, e))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        target.write_all(&buffer[..read]).map_err(|e| io_error("writing", to, e))?;
    }
    if Hash::from(hasher.finalize()) == hash {
        Ok(())
    } else {
        Err(damaged(from.display(), "it is not what was saved"))
    }
}

/// `false` when the file is gone: a blob that nothing referred to was collected meanwhile.
fn link_or_copy(from: &Path, to: &Path) -> Result<bool> {
    if let Some(folder) = to.parent() {
        make_folder(folder)?;
    }
    if fs::hard_link(from, to).is_ok() {
        return Ok(true);
    }
    match fs::copy(from, to) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error("copying", from, error)),
    }
}

fn make_folder(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error("creating", path, error)),
        _ => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    File::create_new(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|e| io_error("writing", path, e))
}

fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => damaged(path.display(), "it is missing: the backup is not complete"),
        _ => io_error("opening", path, e),
    })?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| io_error("reading", path, e))?;
    if bytes.len() as u64 > limit {
        return Err(StoreError::TooLarge { what: path.display().to_string(), limit });
    }
    Ok(bytes)
}

fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| io_error("syncing", path, e))
}

fn damaged(what: impl std::fmt::Display, detail: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged { what: what.to_string(), detail: detail.to_string() }
}

fn io_error(doing: &str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { what: format!("{doing} {}", path.display()), source }
}

#[cfg(test)]
mod tests;
