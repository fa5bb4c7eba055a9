//! Downloads that nobody needs any more: of jobs that have ended for good.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use vigie_core::store::StoreError;
use vigie_core::store::catalog::Catalog;
use vigie_protocol::JobId;

use super::part::job_of;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Their bytes.
    pub bytes: u64,
}

/// Finds the files in `folder` that belong to no unfinished job and to no source's pending version,
/// and that nobody wrote to for `grace` before `now`. Blocks.
///
/// # Errors
/// Those of the store, and of the folder.
pub fn find(
    catalog: &Catalog,
    folder: &Path,
    now: SystemTime,
    grace: Duration,
) -> Result<Leftovers, StoreError> {
    let failed = |source| StoreError::Io { what: format!("looking through {}", folder.display()), source };
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Leftovers::default()),
        Err(error) => return Err(failed(error)),
    };
    let needed = needed(catalog)?;
    let mut found = Leftovers::default();
    for entry in listed {
        let path = entry.map_err(failed)?.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let age = metadata.modified().ok().and_then(|written| now.duration_since(written).ok());
        let is_needed = job_of(&path).is_some_and(|job| needed.contains(&job));
        if metadata.is_file() && !is_needed && age.is_some_and(|age| age >= grace) {
            found.bytes += metadata.len();
            found.files.push(path);
        }
    }
    found.files.sort();
    Ok(found)
}

/// Finds leftovers, and removes them unless it is a dry run. Blocks.
///
/// # Errors
/// As [`find`]; what was removed by then stays removed.
pub fn collect(
    catalog: &Catalog,
    folder: &Path,
    now: SystemTime,
    grace: Duration,
    dry_run: bool,
) -> Result<Leftovers, StoreError> {
    let found = find(catalog, folder, now, grace)?;
    for file in found.files.iter().filter(|_| !dry_run) {
        fs::remove_file(file)
            .map_err(|source| StoreError::Io { what: format!("removing {}", file.display()), source })?;
    }
    Ok(found)
}

/// The jobs that may still go on with what they have.
fn needed(catalog: &Catalog) -> Result<HashSet<JobId>, StoreError> {
    let mut needed: HashSet<JobId> = catalog.unfinished_jobs()?.iter().map(|job| job.id).collect();
    for project in catalog.projects()? {
        let sources = catalog.sources(&project.name)?;
        needed.extend(sources.into_iter().filter_map(|source| Some(source.pending?.job)));
    }
    Ok(needed)
}
