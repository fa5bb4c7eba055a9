//! What garbage collection removes beside blobs: files that a job makes again when it needs them.
//!
//! It claims what they were made for before it removes them, so that no job reads them meanwhile; what
//! came to be of no use since then waits for the next collection.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use vigie_core::store::StoreError;
use vigie_core::store::catalog::Catalog;
use vigie_core::store::rebuildable::{self, MadeFor, Rebuildable};
use vigie_protocol::Time;
use vigie_protocol::blob::{GcReport, RebuildableFile};
use vigie_protocol::job::{JobSpec, Lease};

use super::kinds::{self, PlanError};
use super::options::JobOptions;

/// Files that a report names.
const NAMED: usize = 100;

/// The resources that a collection claims, so that it may remove what is of no use.
///
/// # Errors
/// Those of the store.
pub(super) fn claims(catalog: &Catalog, options: &JobOptions) -> Result<BTreeSet<String>, StoreError> {
    Ok(idle(catalog, options)?.iter().map(resource).collect())
}

/// Finds the files that are of no use and that no unfinished job needs, and removes those that `leases`
/// are held on unless it only reports. Blocks.
///
/// # Errors
/// Those of the store; what was removed by then stays removed.
pub(super) fn collect(
    catalog: &Catalog,
    options: &JobOptions,
    leases: &[Lease],
    only_report: bool,
) -> Result<Vec<Rebuildable>, StoreError> {
    let mut files = idle(catalog, options)?;
    if !only_report {
        let held: HashSet<&str> = leases.iter().map(|lease| lease.resource.as_str()).collect();
        files.retain(|file| held.contains(resource(file).as_str()));
        files.iter().try_for_each(|file| rebuildable::remove(&options.state, file))?;
    }
    Ok(files)
}

/// Adds the files to a report.
pub(super) fn tell(mut files: Vec<Rebuildable>, report: GcReport) -> GcReport {
    files.sort_by_key(|file| Reverse(file.bytes));
    let named = files.iter().take(NAMED);
    let named =
        named.map(|file| RebuildableFile { path: file.path.display().to_string(), bytes: file.bytes });
    GcReport {
        rebuildable: files.len() as u64,
        rebuildable_bytes: files.iter().map(|file| file.bytes).sum(),
        rebuildable_files: named.collect(),
        ..report
    }
}

/// The files that are of no use and that no unfinished job needs.
fn idle(catalog: &Catalog, options: &JobOptions) -> Result<Vec<Rebuildable>, StoreError> {
    let mut needed = HashSet::new();
    for job in catalog.unfinished_jobs()? {
        if matches!(job.spec, JobSpec::Gc { .. }) {
            continue;
        }
        match kinds::resources(catalog, options, &job) {
            Ok(resources) => needed.extend(resources),
            // What it names is not there yet, and so no file of it is.
            Err(PlanError::Refused(_)) => {}
            Err(PlanError::Store(error)) => return Err(error),
        }
    }
    let mut files = rebuildable::find(catalog, &options.state, Time::now())?;
    files.retain(|file| !needed.contains(&resource(file)));
    Ok(files)
}

fn resource(file: &Rebuildable) -> String {
    match file.made_for {
        MadeFor::Pack(id) => kinds::pack_resource(id),
        MadeFor::Run(run) => kinds::run_resource(run),
    }
}
