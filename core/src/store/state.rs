//! The state directory: one agent's memory, opened by one process at a time.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use vigie_protocol::{AgentId, PredictionId, ProjectName, Time};

use super::audit::{AuditDraft, AuditLog};
use super::blobs::FolderBlobs;
use super::catalog::Catalog;
use super::codec::{decode, encode};
use super::disk::{Disk, RealDisk};
use super::facts::{Pair, RedbFacts};
use super::gc::{self, Erasure, GRACE};
use super::log::DayLog;
use super::{Batch, Expect, Facts, PredictionLog, RepairProgress, Result, StoreError};
use crate::fail_point::{self, FailPoint};
use crate::observe::Silent;

pub(super) const FACTS: &str = "meta.redb";
pub(super) const PREDICTIONS: &str = "predictions";
pub(super) const BLOBS: &str = "blobs";
pub(super) const AUDIT: &str = "audit.log";
pub(super) const PACKS: &str = "packs";
pub(super) const RUNS: &str = "runs";
const LOCK: &str = "lock";

const AGENT_KEY: &[u8] = b"agent/";
/// What a new state directory starts with.
const FIRST_SCHEMA: u32 = 1;

/// How the facts of one schema become those of the next: called with every fact's key and value,
/// answers with the new ones, or nothing to drop the fact.
pub(super) struct Migration {
    pub(super) to: u32,
    pub(super) change: fn(&[u8], &[u8]) -> Result<Option<Pair>>,
}

/// In order, each from the schema before; none since the first schema.
const MIGRATIONS: &[Migration] = &[];

/// An open state directory.
pub struct State {
    /// What the catalog stands on.
    pub facts: Arc<RedbFacts>,
    /// What exists.
    pub catalog: Catalog,
    /// Immutable bytes.
    pub blobs: Arc<FolderBlobs>,
    /// Predictions.
    pub log: Arc<DayLog>,
    /// Who did what.
    pub audit: Arc<AuditLog>,
    /// The agent this state is.
    pub agent: AgentId,
    dir: PathBuf,
    /// Held while lines go from the catalog to the audit log, so that each goes once.
    recording: Mutex<()>,
    /// Held while somebody says of pictures that they are to go, or looks whether they may.
    erasing: Mutex<()>,
    /// Held for as long as the state is open; the system lets go of it even after a kill.
    _lock: File,
}

impl State {
    /// Opens a state directory, making it when it is missing: takes its lock, checks its schema,
    /// migrates an older one (the facts before are kept as `meta.redb.bak-<schema>`). `repair` is
    /// told how far a repair after a crash is.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it, [`StoreError::Newer`] when a newer build
    /// wrote it, [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn open(dir: &Path, now: Time, repair: Option<RepairProgress>) -> Result<Self> {
        Self::open_on(Arc::new(RealDisk), dir, now, repair, MIGRATIONS)
    }

    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        now: Time,
        repair: Option<RepairProgress>,
        migrations: &[Migration],
    ) -> Result<Self> {
        for folder in
            [dir.to_owned(), dir.join(BLOBS), dir.join(PREDICTIONS), dir.join(PACKS), dir.join(RUNS)]
        {
            // Only folders made here get the narrow mode: an administrator may have opened others.
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(|e| io_error("creating", &folder, e))?;
        }
        let lock = take_lock(dir)?;
        let facts = open_facts(&disk, &dir.join(FACTS), repair)?;
        migrate(&facts, &*disk, dir, migrations)?;
        let blobs = FolderBlobs::open_on(disk.clone(), &dir.join(BLOBS));
        fs::create_dir_all(blobs.temporaries()).map_err(|e| io_error("creating", &blobs.temporaries(), e))?;
        blobs.clean_temporaries(now.minus(GRACE))?;
        let state = Self {
            agent: agent_id(&*facts)?,
            catalog: Catalog::new(facts.clone()),
            facts,
            blobs: Arc::new(blobs),
            log: Arc::new(DayLog::open_on(disk.clone(), &dir.join(PREDICTIONS))),
            audit: Arc::new(AuditLog::open_on(&disk, &dir.join(AUDIT))?),
            dir: dir.to_owned(),
            recording: Mutex::default(),
            erasing: Mutex::default(),
            _lock: lock,
        };
        // Neither keeps an agent from serving. Lines are tried again while it runs; erasures, which
        // look through all references, with the next one and at the next start.
        if let Err(error) = state.record_due() {
            tracing::warn!(%error, "the audit log cannot be written");
        }
        if let Err(error) = state.erase_due(now) {
            tracing::warn!(%error, "what was to be erased is not yet");
        }
        // A file is durable only when its name is, up to the folder that was there before.
        for folder in [Some(dir), dir.parent()].into_iter().flatten() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            disk.sync(folder).map_err(|e| io_error("syncing", folder, e))?;
        }
        Ok(state)
    }

    /// Writes a line of the audit log, behind those that are due.
    ///
    /// # Errors
    /// Those of the facts and of the audit log; what was due stays due.
    pub fn record(&self, draft: &AuditDraft) -> Result<()> {
        self.record_due()?;
        self.audit.append(draft).map(drop)
    }

    /// Writes the lines of changes that are committed and that the audit log does not know yet.
    ///
    /// # Errors
    /// Those of the facts and of the audit log; what was not written stays due.
    pub fn record_due(&self) -> Result<()> {
        let _one_at_a_time = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let due = self.catalog.audit_due()?;
        if due.is_empty() {
            return Ok(());
        }
        fail_point::pass(FailPoint::AuditDue);
        for (_, draft) in &due {
            self.audit.append(draft)?;
        }
        fail_point::pass(FailPoint::AuditWritten);
        self.catalog.audit_written(due.into_iter().map(|(row, _)| row).collect())
    }

    /// Erases a prediction: its record and its feedback at once, its picture unless something else
    /// names it. What a crash leaves undone is done when the state is opened.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; those of the store.
    pub fn forget(&self, project: &ProjectName, prediction: PredictionId, now: Time) -> Result<()> {
        let missing = || StoreError::NotFound { what: format!("prediction {prediction}") };
        let logged = self.log.get(project, prediction)?.map(|found| found.image);
        // Feedback outlives the record.
        let said = self.catalog.feedback(project, prediction)?.map(|feedback| feedback.image);
        let image = logged.or(said).ok_or_else(missing)?;
        let one_at_a_time = self.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        self.catalog.begin_erasure(image)?;
        // Before the record: who finds that one asks again, and this is done again.
        self.catalog.erase_feedback(project, prediction)?;
        self.log.forget(project, prediction)?;
        fail_point::pass(FailPoint::PredictionForgotten);
        drop(one_at_a_time);
        self.erase_due(now)
    }

    /// Erases what [`State::forget`] was asked to and could not: on a disk that refused, or while a job
    /// ran that might have named it.
    ///
    /// # Errors
    /// Those of the store; what is left stays due.
    pub fn erase_due(&self, now: Time) -> Result<()> {
        // Nobody says that a picture has a name while somebody else takes it away.
        let _one_at_a_time = self.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        let due = self.catalog.erasures()?;
        if due.is_empty() {
            return Ok(());
        }
        let erased = gc::erase(&self.catalog, &self.log, &self.blobs, &due, now, &Silent)?;
        for (hash, erasure) in due.into_iter().zip(erased) {
            match erasure {
                Erasure::Gone | Erasure::Named => self.catalog.end_erasure(hash)?,
                Erasure::Waits => {}
            }
        }
        Ok(())
    }

    /// Keeps agents off a state directory while someone looks at it. A backup has no lock, and needs
    /// none.
    pub(super) fn lock_to_look(dir: &Path) -> Result<Option<File>> {
        if dir.join(LOCK).exists() { take_lock(dir).map(Some) } else { Ok(None) }
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of packs, which can be rebuilt.
    pub fn packs(&self) -> PathBuf {
        self.dir.join(PACKS)
    }

    /// The folder of runs: checkpoints of trainings.
    pub fn runs(&self) -> PathBuf {
        self.dir.join(RUNS)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("dir", &self.dir).field("agent", &self.agent).finish_non_exhaustive()
    }
}

fn take_lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK);
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = open.map_err(|e| io_error("opening", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error("locking", &path, error)),
    }
}

/// Opens the facts, after a look at every page: nothing else would notice a bit that flipped, and
/// whatever was decided on it would be wrong.
fn open_facts(disk: &Arc<dyn Disk>, path: &Path, repair: Option<RepairProgress>) -> Result<Arc<RedbFacts>> {
    if fs::metadata(path).is_ok_and(|file| file.len() > 0) {
        RedbFacts::verify(path)?;
    }
    Ok(Arc::new(RedbFacts::open_on(disk, path, repair)?))
}

fn migrate(facts: &RedbFacts, disk: &dyn Disk, dir: &Path, migrations: &[Migration]) -> Result<()> {
    let known = known_schema(migrations);
    let Some(found) = facts.schema()? else { return facts.set_schema(known) };
    refuse_newer(found, known)?;
    if found < known {
        keep_copy(facts, disk, &dir.join(format!("{FACTS}.bak-{found}")))?;
    }
    for migration in migrations.iter().filter(|migration| migration.to > found) {
        facts.migrate(migration.to, migration.change)?;
        tracing::info!(schema = migration.to, "migrated the facts");
    }
    Ok(())
}

/// The newest schema that this build knows.
fn known_schema(migrations: &[Migration]) -> u32 {
    migrations.last().map_or(FIRST_SCHEMA, |migration| migration.to)
}

fn refuse_newer(found: u32, known: u32) -> Result<()> {
    if found > known { Err(StoreError::Newer { found, known }) } else { Ok(()) }
}

/// Refuses facts that only a newer build can read.
///
/// # Errors
/// [`StoreError::Newer`], and those of the facts.
pub(super) fn check_schema(facts: &RedbFacts) -> Result<()> {
    facts.schema()?.map_or(Ok(()), |found| refuse_newer(found, known_schema(MIGRATIONS)))
}

/// Copies the facts, whole or not at all. A copy that is there is left: it was made by a migration
/// that did not get to its end, so the facts are still the same.
fn keep_copy(facts: &RedbFacts, disk: &dyn Disk, path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let partial = path.with_extension("partial");
    if partial.exists() {
        disk.remove(&partial).map_err(|e| io_error("removing", &partial, e))?;
    }
    facts.copy_to(&partial)?;
    disk.rename(&partial, path).map_err(|e| io_error("renaming", &partial, e))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    disk.sync(folder).map_err(|e| io_error("syncing", folder, e))
}

/// Who this state is: drawn once.
fn agent_id(facts: &dyn Facts) -> Result<AgentId> {
    if let Some(fact) = facts.get(AGENT_KEY)? {
        return decode("the agent's identity", &fact.value);
    }
    let agent = AgentId::new();
    facts.commit(&Batch {
        expects: vec![Expect::Absent(AGENT_KEY.to_vec())],
        puts: vec![(AGENT_KEY.to_vec(), encode(&agent))],
        deletes: Vec::new(),
    })?;
    Ok(agent)
}

fn io_error(doing: &str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { what: format!("{doing} {}", path.display()), source }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn now() -> Time {
        Time::from_micros(1_795_219_200_000_000)
    }

    fn open(dir: &Path) -> Result<State> {
        State::open(dir, now(), None)
    }

    #[test]
    fn a_state_is_made_once_and_opened_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("var/state");
        let state = open(&dir).unwrap();
        let agent = state.agent;
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(state.packs().is_dir() && state.runs().is_dir());
        assert!(matches!(open(&dir), Err(StoreError::Locked(path)) if path == dir));
        drop(state);
        assert_eq!(open(&dir).unwrap().agent, agent);
    }

    fn upper(key: &[u8], value: &[u8]) -> Result<Option<Pair>> {
        Ok((key != b"old").then(|| (key.to_vec(), value.to_ascii_uppercase())))
    }

    fn refuse(_: &[u8], _: &[u8]) -> Result<Option<Pair>> {
        Err(StoreError::Precondition("cannot".to_owned()))
    }

    #[test]
    fn an_older_state_is_migrated_and_a_newer_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let put = |key: &[u8]| Batch { puts: vec![(key.to_vec(), b"abc".to_vec())], ..Batch::default() };
        let state = open(dir).unwrap();
        state.facts.commit(&put(b"old")).unwrap();
        let generation = state.facts.commit(&put(b"kept")).unwrap();
        state.facts.commit(&Batch { deletes: vec![AGENT_KEY.to_vec()], ..Batch::default() }).unwrap();
        drop(state);

        let failing = [Migration { to: 2, change: refuse }];
        assert!(State::open_on(Arc::new(RealDisk), dir, now(), None, &failing).is_err());
        let steps = [Migration { to: 2, change: upper }, Migration { to: 3, change: upper }];
        let state = State::open_on(Arc::new(RealDisk), dir, now(), None, &steps).unwrap();
        assert_eq!(state.facts.get(b"old").unwrap(), None);
        let kept = state.facts.get(b"kept").unwrap().unwrap();
        assert_eq!((kept.value.as_slice(), kept.generation), (&b"ABC"[..], generation));
        assert!(state.facts.commit(&put(b"new")).unwrap() > generation);
        drop(state);

        assert!(matches!(open(dir), Err(StoreError::Newer { found: 3, known: 1 })));
        let before = RedbFacts::open(&dir.join("meta.redb.bak-1"), None).unwrap();
        assert_eq!(before.get(b"old").unwrap().unwrap().value, b"abc");
        assert_eq!(before.schema().unwrap(), Some(1));
    }

    #[test]
    fn a_state_that_was_not_closed_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let state = open(&dir.join("a")).unwrap();
        // The files as they are while the state is open: what a killed process leaves behind.
        fs::create_dir(dir.join("b")).unwrap();
        fs::copy(dir.join("a").join(FACTS), dir.join("b").join(FACTS)).unwrap();
        let (told, heard) = std::sync::mpsc::channel();
        let repair: RepairProgress = Box::new(move |share| told.send(share).unwrap());
        let reopened = State::open(&dir.join("b"), now(), Some(repair)).unwrap();
        assert_eq!(reopened.agent, state.agent);
        assert!(heard.try_iter().all(|share| (0.0..=1.0).contains(&share)));
    }
}
