//! Folders as a source.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::listing::{Candidate, Listing, Place, Unread, is_hidden, names_image};
use crate::data::DataError;
use crate::observe::Observer;

/// Lists a folder and its sub-folders. Symbolic links to folders are not entered; those to files
/// are read when their target lies in the folder.
pub(super) fn list(root: &Path, listing: &mut Listing, observer: &dyn Observer) -> Result<(), DataError> {
    let cannot_read = "cannot read the folder";
    let root = root.canonicalize().map_err(DataError::io(cannot_read, root))?;
    fs::read_dir(&root).map_err(DataError::io(cannot_read, &root))?;
    // Folders yet to be listed. Not opened before their turn: there may be more of them than a
    // process may have files open.
    let mut pending = vec![(root.clone(), String::new())];
    while let Some((folder, prefix)) = pending.pop() {
        let unlistable = |error: io::Error| format!("cannot list the folder: {error}");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                listing.refuse(prefix, unlistable(error));
                continue;
            }
        };
        for entry in entries {
            if observer.cancelled() {
                return Err(DataError::Cancelled);
            }
            listing.count()?;
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    listing.refuse(prefix.clone(), unlistable(error));
                    break;
                }
            };
            let file_name = entry.file_name();
            let name = file_name.to_string_lossy();
            let path = format!("{prefix}{name}");
            if is_hidden(&name) {
                listing.ignored += 1;
                continue;
            }
            match entry.file_type() {
                // Its name would become part of a class's.
                Ok(kind) if kind.is_dir() && file_name.to_str().is_none() => {
                    listing.refuse(path, "the folder's name is not UTF-8");
                }
                Ok(kind) if kind.is_dir() => pending.push((entry.path(), format!("{path}/"))),
                Ok(kind) if kind.is_file() && listing.wants(&path) => {
                    listing.tables.push((path, Place::File(entry.path())));
                }
                Ok(_) if !names_image(&name) => listing.ignored += 1,
                Ok(kind) if kind.is_symlink() => match target(&entry.path(), &root) {
                    Ok(target) => listing.candidates.push(Candidate { path, place: Place::File(target) }),
                    Err(reason) => listing.refuse(path, reason),
                },
                Ok(kind) if kind.is_file() => {
                    listing.candidates.push(Candidate { path, place: Place::File(entry.path()) });
                }
                Ok(_) => listing.refuse(path, NOT_A_FILE),
                Err(error) => listing.refuse(path, format!("cannot be read: {error}")),
            }
        }
    }
    Ok(())
}

const NOT_A_FILE: &str = "not a regular file";

/// Where a symbolic link leads, if that is allowed.
pub(super) fn target(link: &Path, root: &Path) -> Result<PathBuf, String> {
    let target =
        link.canonicalize().map_err(|error| format!("a symbolic link that leads nowhere: {error}"))?;
    if !target.starts_with(root) {
        return Err("a symbolic link that leads out of the folder".to_owned());
    }
    if target.is_file() { Ok(target) } else { Err(NOT_A_FILE.to_owned()) }
}

/// Reads a listed file, at most `max_bytes` of it.
pub(super) fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Unread> {
    let unreadable = |error: io::Error| Unread::LeftOut(format!("cannot be read: {error}"));
    let file = open_regular(path).map_err(unreadable)?;
    // As long as it says it is: otherwise the buffer grows, and is copied, again and again.
    let len = file.metadata().map_err(unreadable)?.len().min(max_bytes);
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default().saturating_add(1));
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > max_bytes {
        return Err(Unread::LeftOut(format!("the file has more than {max_bytes} bytes")));
    }
    Ok(bytes)
}

/// Opens a file without waiting: a FIFO in its place would block for ever.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other(NOT_A_FILE)) }
}
