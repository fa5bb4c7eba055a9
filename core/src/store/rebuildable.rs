//! The largest files of a state directory, which can be made again: packs, the features beside them,
//! and what a training computes on its way.
//!
//! Each is of use for a while only. A job that needs one that was removed makes it anew: that costs
//! time and nothing else. Checkpoints stay; nothing could make them again.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use vigie_protocol::dataset::Lineage;
use vigie_protocol::run::{Run, RunState};
use vigie_protocol::{Hash, ProjectName, RunId, Time};

use super::blobs::modified;
use super::catalog::Catalog;
use super::state::{PACKS, RUNS};
use super::{Result, StoreError};
use crate::data::DataError;
use crate::data::pack::{self, Pack};
use crate::train::{EXPORTED, FEATURES};

/// How long a file stays of which nobody knows whether it will be of use again.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

const PAGE: usize = 100;
const PACK: &str = "pack";
const FEATURES_OF_PACK: &str = "features";

/// What a file was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MadeFor {
    /// Whatever reads the pack of this name.
    Pack(Hash),
    /// This run.
    Run(RunId),
}

/// A file that can be made again and is of no use now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuildable {
    /// What for.
    pub made_for: MadeFor,
    /// Where it lies, from the state directory on.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Where a pack lies, from the state directory on.
pub fn pack_path(id: Hash) -> PathBuf {
    Path::new(PACKS).join(id.to_string()).with_extension(PACK)
}

/// Where the features of a pack's images lie, from the state directory on.
pub fn features_path(id: Hash) -> PathBuf {
    pack_path(id).with_extension(FEATURES_OF_PACK)
}

/// Where a run's folder lies, from the state directory on.
pub fn run_path(run: RunId) -> PathBuf {
    Path::new(RUNS).join(run.to_string())
}

/// Finds the files below `state` that are of no use at `now`, unless an unfinished job needs them: that
/// is for the caller to know.
///
/// A pack and its features are of use while they are of the newest version of a line, and for a day
/// after they were written or a training on them was asked for. What a training computed on its way is
/// of use until it has finished, or for a day after it was last written when it did not succeed.
///
/// # Errors
/// Those of the facts, and of the folders.
pub fn find(catalog: &Catalog, state: &Path, now: Time) -> Result<Vec<Rebuildable>> {
    let mut look = Look { catalog, state, since: now.minus(KEPT), found: Vec::new() };
    let (mut newest, mut learnt_from) = (HashSet::new(), HashSet::new());
    for project in catalog.projects()? {
        for lineage in Lineage::ALL {
            newest.extend(catalog.dataset_head(&project.name, lineage)?.map(|head| head.manifest));
        }
        look.runs(&project.name, &mut learnt_from)?;
    }
    look.packs(&newest, &learnt_from)?;
    Ok(look.found)
}

/// Removes a file that [`find`] found; one that is gone is no error.
///
/// # Errors
/// [`StoreError::Io`].
pub fn remove(state: &Path, file: &Rebuildable) -> Result<()> {
    let path = state.join(&file.path);
    match fs::remove_file(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|error| io_error("removing", &path, error)),
    }
}

struct Look<'a> {
    catalog: &'a Catalog,
    state: &'a Path,
    /// What was written since stays.
    since: Time,
    found: Vec<Rebuildable>,
}

impl Look<'_> {
    /// Looks through a project's runs; notes the packs that trainings were lately asked for on.
    fn runs(&mut self, project: &ProjectName, learnt_from: &mut HashSet<Hash>) -> Result<()> {
        let mut cursor = None;
        loop {
            let page = self.catalog.runs(project, cursor.as_ref(), PAGE)?;
            for run in &page.items {
                if run.created >= self.since {
                    learnt_from.insert(pack::id(run.manifest, &run.preprocess));
                }
                self.run(run)?;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    fn run(&mut self, run: &Run) -> Result<()> {
        let lasting = match run.state {
            RunState::Running | RunState::Unknown => return Ok(()),
            RunState::Finished => None,
            // It may be asked for again, and goes on from there.
            RunState::Failed | RunState::Cancelled => Some(self.since),
        };
        for name in [FEATURES, EXPORTED] {
            let file = self.look_at(MadeFor::Run(run.id), run_path(run.id).join(name))?;
            let idle = file.filter(|(_, written)| lasting.is_none_or(|since| *written < since));
            self.found.extend(idle.map(|(file, _)| file));
        }
        Ok(())
    }

    fn packs(&mut self, newest: &HashSet<Hash>, learnt_from: &HashSet<Hash>) -> Result<()> {
        let folder = self.state.join(PACKS);
        let failed = |error| io_error("reading", &folder, error);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let Some(id) = pack_of(Path::new(&name)) else { continue };
            let file = self.look_at(MadeFor::Pack(id), Path::new(PACKS).join(name))?;
            if let Some((file, written)) = file
                && written < self.since
                && !learnt_from.contains(&id)
                && !self.is_of(id, newest)
            {
                self.found.push(file);
            }
        }
        Ok(())
    }

    /// Whether a pack was made from one of these manifests. One that is damaged was made from none; one
    /// that cannot be read may have been.
    fn is_of(&self, id: Hash, manifests: &HashSet<Hash>) -> bool {
        match Pack::open(&self.state.join(pack_path(id))) {
            Ok(pack) => manifests.contains(&pack.manifest()),
            Err(DataError::Io { source, .. }) => source.kind() != ErrorKind::NotFound,
            Err(_) => false,
        }
    }

    /// A file that is there, and when it was last written.
    fn look_at(&self, made_for: MadeFor, path: PathBuf) -> Result<Option<(Rebuildable, Time)>> {
        let whole = self.state.join(&path);
        match fs::symlink_metadata(&whole) {
            Ok(metadata) if metadata.is_file() => {
                let (bytes, written) = (metadata.len(), modified(&metadata));
                Ok(Some((Rebuildable { made_for, path, bytes }, written)))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("looking at", &whole, error)),
        }
    }
}

/// The pack that a file is, or is beside.
fn pack_of(name: &Path) -> Option<Hash> {
    let of_pack = [PACK, FEATURES_OF_PACK].map(OsStr::new).contains(&name.extension()?);
    of_pack.then(|| name.file_stem()?.to_str()?.parse().ok()).flatten()
}

fn io_error(doing: &str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { what: format!("{doing} {}", path.display()), source }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeMap;
    use std::fs::File;
    use std::time::SystemTime;

    use vigie_protocol::dataset::DatasetRef;
    use vigie_protocol::preprocess::PreprocessSpec;

    use super::*;
    use crate::observe::Silent;
    use crate::store::State;
    use crate::store::manifest::Manifest;
    use crate::store::samples::{at, change_set, decision, name, project, run};

    const DAY: i64 = 24 * 3600;
    const NOW: i64 = 10 * DAY;

    struct World {
        dir: tempfile::TempDir,
        state: State,
    }

    fn spec() -> PreprocessSpec {
        run().preprocess
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let state = State::open(dir.path(), at(1), None).unwrap();
            state.catalog.create_project(&project("birds"), None).unwrap();
            Self { dir, state }
        }

        /// Another version of source; its manifest.
        fn version(&self, before: u32) -> Hash {
            let set = change_set("birds", Lineage::Source, (before > 0).then_some(before));
            self.state.catalog.propose(&set, None).unwrap();
            self.state.catalog.accept(&name("birds"), set.id, None, &decision(3), None).unwrap();
            set.manifest
        }

        /// A pack and its features, both written `days` ago.
        fn pack(&self, manifest: Hash, days: i64) -> Hash {
            let id = pack::id(manifest, &spec());
            let path = self.dir.path().join(pack_path(id));
            let (empty, blobs) = (Manifest::new(Vec::new()), &*self.state.blobs);
            pack::build(&empty, manifest, &spec(), blobs, &path, &Silent).unwrap();
            age(&path, days);
            self.file(&features_path(id), days);
            id
        }

        /// A run and what it computed `days` ago, asked for as long ago.
        fn run(&self, manifest: Hash, state: RunState, days: i64) -> Run {
            let created = at(NOW - days * DAY);
            let dataset = DatasetRef { lineage: Lineage::Source, number: 1 };
            let run = Run { manifest, state, created, dataset, ..run() };
            self.state.catalog.insert_run(&name("birds"), &run).unwrap();
            for file in [FEATURES, EXPORTED, "state.bin"] {
                self.file(&run_path(run.id).join(file), days);
            }
            run
        }

        fn file(&self, path: &Path, days: i64) {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, b"five.").unwrap();
            age(&path, days);
        }

        fn found(&self) -> BTreeMap<PathBuf, u64> {
            let found = find(&self.state.catalog, self.dir.path(), at(NOW)).unwrap();
            found.into_iter().map(|file| (file.path, file.bytes)).collect()
        }
    }

    fn age(path: &Path, days: i64) {
        let written = u64::try_from(NOW - days * DAY).unwrap();
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(written);
        File::open(path).unwrap().set_modified(written).unwrap();
    }

    #[test]
    fn packs_of_versions_that_were_followed_by_others_are_of_no_use() {
        let world = World::new();
        let [first, second, third] = [0, 1, 2].map(|before| world.version(before));
        let old = world.pack(first, 2);
        world.pack(second, 0);
        world.pack(third, 2);
        let found = world.found();
        assert_eq!(found.keys().collect::<Vec<_>>(), [&features_path(old), &pack_path(old)]);
        assert_eq!(found[&features_path(old)], 5);
        assert_eq!(
            found[&pack_path(old)],
            fs::metadata(world.dir.path().join(pack_path(old))).unwrap().len()
        );

        // A training that was asked for today reads it; one of the day before yesterday did.
        world.run(first, RunState::Running, 2);
        assert_eq!(world.found().len(), 2);
        world.run(first, RunState::Running, 0);
        assert_eq!(world.found(), BTreeMap::new());
    }

    #[test]
    fn what_is_damaged_or_lost_its_pack_is_of_no_use_and_strangers_stay() {
        let world = World::new();
        let newest = world.version(0);
        let torn = world.pack(newest, 2);
        world.file(&pack_path(torn), 2);
        let alone = features_path(Hash::of(b"alone"));
        world.file(&alone, 2);
        for stranger in ["notes.txt", "notes.pack", ".pack-x.tmp"] {
            world.file(&Path::new(PACKS).join(stranger), 9);
        }
        let expected = [pack_path(torn), features_path(torn), alone];
        assert_eq!(world.found().into_keys().collect::<HashSet<_>>(), HashSet::from(expected));
    }

    #[test]
    fn what_a_training_computed_goes_once_it_has_ended_and_its_checkpoints_stay() {
        let world = World::new();
        let made = |state, days| world.run(Hash::of(b"m"), state, days).id;
        let [finished, failed] = [(RunState::Finished, 0), (RunState::Failed, 2)].map(|(s, d)| made(s, d));
        for (state, days) in
            [(RunState::Running, 9), (RunState::Unknown, 9), (RunState::Failed, 0), (RunState::Cancelled, 0)]
        {
            made(state, days);
        }
        let of = |run| [FEATURES, EXPORTED].map(|file| run_path(run).join(file));
        let expected: HashSet<PathBuf> = [finished, failed].into_iter().flat_map(of).collect();
        assert_eq!(world.found().into_keys().collect::<HashSet<_>>(), expected);

        for file in find(&world.state.catalog, world.dir.path(), at(NOW)).unwrap() {
            remove(world.dir.path(), &file).unwrap();
            remove(world.dir.path(), &file).unwrap();
        }
        assert_eq!(world.found(), BTreeMap::new());
        assert!(world.dir.path().join(run_path(finished)).join("state.bin").exists());
    }
}
