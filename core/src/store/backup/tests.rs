#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vigie_protocol::blob::GcReport;
use vigie_protocol::dataset::{ChangeSet, Lineage};
use vigie_protocol::prediction::PredictionFilter;

use super::*;
use crate::observe::Silent;
use crate::store::audit::AuditDraft;
use crate::store::gc::{GRACE, GcPlan, collect};
use crate::store::samples::{at, change_set, decision, full_state, manifest, name, project};

fn open(dir: &Path) -> State {
    State::open(dir, at(10), None).unwrap()
}

fn unreferenced(state: &State) -> GcReport {
    let plan = GcPlan { now: at(60), grace: GRACE, dry_run: true };
    collect(&state.catalog, &state.log, &state.blobs, &plan, &Silent).unwrap()
}

fn record(state: &State) {
    let text = || "x".to_owned();
    let draft = AuditDraft {
        key: None,
        at: at(1),
        principal: text(),
        role: text(),
        via: text(),
        method: text(),
        target: text(),
        outcome: text(),
        reason: None,
    };
    state.audit.append(&draft).unwrap();
}

#[test]
fn a_restored_state_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (state, referenced) = full_state(&dir.path().join("state"));
    record(&state);
    let target = dir.path().join("backup");
    let made = backup(&state, &target, at(50)).unwrap();
    assert_eq!((made.files, made.agent), (referenced.len() as u64 + 1 + 3, state.agent));
    assert!(matches!(backup(&state, &target, at(50)), Err(StoreError::Exists { .. })));
    assert!(backup(&state, &dir.path().join("none/backup"), at(50)).is_err());

    let restored = dir.path().join("restored");
    fs::create_dir(&restored).unwrap();
    assert_eq!(restore(&target, &restored).unwrap(), made);
    assert!(matches!(restore(&target, &restored), Err(StoreError::Exists { .. })));
    let copy = open(&restored);
    assert_eq!(copy.agent, state.agent);
    assert_eq!(copy.catalog.projects().unwrap(), state.catalog.projects().unwrap());
    assert_eq!(copy.audit.verify().unwrap(), state.audit.verify().unwrap());
    let birds = name("birds");
    let page = |state: &State| {
        state.log.page(&birds, &PredictionFilter::default(), None, 10, Duration::MAX).unwrap()
    };
    assert_eq!(page(&copy), page(&state));
    assert!(referenced.iter().all(|&hash| copy.blobs.get(hash).unwrap().is_some()));
    let report = unreferenced(&copy);
    assert_eq!((report.referenced, report.missing), (referenced.len() as u64, vec![]));
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 3, "nothing temporary is left");
}

#[test]
fn what_is_damaged_is_left_out_and_the_rest_restored() {
    let dir = tempfile::tempdir().unwrap();
    let (state, referenced) = full_state(&dir.path().join("state"));
    // What the power leaves of an import that nobody went on with: a name, and nothing behind it.
    let torn = Hash::of(b"torn");
    fs::create_dir_all(state.blobs.path_of(torn).parent().unwrap()).unwrap();
    fs::write(state.blobs.path_of(torn), b"").unwrap();
    let target = dir.path().join("backup");
    let made = backup(&state, &target, at(50)).unwrap();
    assert_eq!((made.files, made.damaged), (referenced.len() as u64 + 1 + 3, 1));
    restore(&target, &dir.path().join("restored")).unwrap();
    let copy = open(&dir.path().join("restored"));
    assert_eq!(unreferenced(&copy).missing, []);
    assert_eq!(copy.blobs.size(torn).unwrap(), None);
}

#[test]
fn a_spoilt_backup_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (state, referenced) = full_state(&dir.path().join("state"));
    let target = dir.path().join("backup");
    backup(&state, &target, at(50)).unwrap();
    let restored = dir.path().join("restored");
    let blob = state.blobs.path_of(referenced[0]);
    let blob = target.join(BLOBS).join(blob.strip_prefix(dir.path().join("state/blobs")).unwrap());
    for file in [target.join(FACTS), blob, target.join(LIST), target.join(HEADER)] {
        let good = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap(); // it may be a hard link
        assert!(matches!(restore(&target, &restored), Err(StoreError::Damaged { .. })), "{file:?}");
        fs::write(&file, [&good[1..], b"x"].concat()).unwrap();
        assert!(matches!(restore(&target, &restored), Err(StoreError::Damaged { .. })), "{file:?}");
        assert!(!restored.exists());
        fs::write(&file, good).unwrap();
    }
    restore(&target, &restored).unwrap();
}

#[test]
fn names_that_lead_outside_are_refused() {
    let hash = Hash::of(b"x");
    assert_eq!(parse(&format!("{hash}  blobs/ab/cd")).unwrap(), ("blobs/ab/cd".into(), hash));
    for line in ["", "x", "x  y", &format!("{hash}  "), &format!("{hash}  ../x"), &format!("{hash}  /etc/x")]
    {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn a_backup_under_load_names_no_missing_blob() {
    let dir = tempfile::tempdir().unwrap();
    let state = open(&dir.path().join("state"));
    state.catalog.create_project(&project("birds"), None).unwrap();
    let stop = AtomicBool::new(false);
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut base = None;
            while !stop.load(Ordering::Relaxed) {
                let image = state.blobs.put(format!("image {base:?}").as_bytes()).unwrap();
                let manifest = state.blobs.put(&manifest(&[image]).encode()).unwrap();
                state.blobs.sync().unwrap();
                let set = ChangeSet { manifest, ..change_set("birds", Lineage::Source, base) };
                state.catalog.propose(&set, None).unwrap();
                let (set, _) = state.catalog.accept(&set.project, set.id, None, &decision(8), None).unwrap();
                base = set.accepted_as;
                told.send(()).unwrap();
            }
        });
        for round in 0..3 {
            heard.recv().unwrap();
            let target = dir.path().join(format!("backup-{round}"));
            backup(&state, &target, at(50)).unwrap();
            let restored = dir.path().join(format!("restored-{round}"));
            restore(&target, &restored).unwrap();
            let report = unreferenced(&open(&restored));
            assert!(report.referenced > 0 && report.missing.is_empty(), "{report:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
}
