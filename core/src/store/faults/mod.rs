//! Whole states on disks that fail: nothing acknowledged is lost, nothing half is visible.
//!
//! A life is a list of steps, each of which can be repeated until it succeeds, as callers do with
//! their idempotency keys. It is carried out on a [`FaultyDisk`], once for every operation that can
//! fail. `VIGIE_SOAK=1` adds more dice and longer random lives.

#![expect(clippy::unwrap_used, reason = "tests")]

mod holds;
mod life;
mod random;
mod rows;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use vigie_protocol::Time;
use vigie_protocol::classes::ClassList;

use self::holds::holds;
use self::life::{begin, carry_out};
use self::rows::{birds, training};
use super::check::{self, Depth};
use super::disk::Disk;
use super::disk::faulty::{Fault, FaultyDisk, Refusal};
use super::facts::RedbFacts;
use super::label_report::{self, LabelReport};
use super::samples::{at, label_check};
use super::state::Migration;
use super::{Blobs, Result, State, StoreError};
use crate::observe::Silent;

pub(super) use self::life::Step;

/// Short lives in which, together, everything happens: their operations are few, because each is gone
/// through once for every one of them.
const LIVES: [&[Step]; 3] = [
    &[
        Step::Import(1),
        Step::Train(1),
        Step::Promote(1),
        Step::Predict(1),
        Step::Say(1),
        Step::Import(2),
        Step::Collect,
        Step::Forget(1),
        Step::Predict(2),
    ],
    &[
        Step::Import(1),
        Step::Train(1),
        Step::Promote(1),
        Step::Train(2),
        Step::Override(2),
        Step::Rollback(1),
    ],
    &[Step::AcceptPart(1), Step::Follow(1), Step::AcceptPart(2), Step::Unfollow(1), Step::Schedule(1)],
];

/// All of that in one life, and more of what numbers follow in.
const LONG_LIFE: [Step; 21] = [
    Step::Import(1),
    Step::Train(1),
    Step::Promote(1),
    Step::Predict(1),
    Step::Say(1),
    Step::Import(2),
    Step::AcceptPart(1),
    Step::Collect,
    Step::Forget(1),
    Step::Predict(2),
    Step::Say(2),
    Step::Import(3),
    Step::Train(2),
    Step::Override(2),
    Step::Rollback(1),
    Step::Train(3),
    Step::Promote(3),
    Step::Follow(1),
    Step::Follow(2),
    Step::Unfollow(1),
    Step::Schedule(1),
];

const DAY: i64 = 24 * 3600;

/// A state in which everything happened, closed; for other tests.
pub(super) fn a_whole_state() -> (tempfile::TempDir, PathBuf) {
    static FILES: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let (_parent, dir) = fresh();
        let state = open(&FaultyDisk::new(&dir, Fault::None), &dir).unwrap();
        begin(&state).unwrap();
        LONG_LIFE.iter().for_each(|&step| carry_out(&state, step).unwrap());
        add_what_no_step_does(&state);
        drop(state);
        let mut files = Vec::new();
        let mut folders = vec![dir.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.strip_prefix(&dir).unwrap().to_owned(), fs::read(path).unwrap()));
                }
            }
        }
        files
    });
    let (parent, dir) = fresh();
    for (path, bytes) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    (parent, dir)
}

/// Rows that one commit makes and nothing else changes.
fn add_what_no_step_does(state: &State) {
    let [owl, jay] = ["owl", "jay"].map(str::to_owned);
    let list = ClassList {
        aliases: [("hibou".to_owned(), owl.clone())].into(),
        classes: [owl, jay].into(),
        ..ClassList::default()
    };
    state.catalog.set_class_list(&birds(), 0, &list, None).unwrap();
    let report = state.blobs.put(&label_report::encode(&LabelReport::default())).unwrap();
    state.blobs.sync().unwrap();
    let job = training(1).0.id;
    state.catalog.save_label_check(&birds(), &label_check(job, report)).unwrap();
}

fn open(disk: &FaultyDisk, dir: &Path) -> Result<State> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    State::open_on(disk, dir, Time::now(), None, &[])
}

fn fresh() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("state");
    fs::create_dir(&dir).unwrap();
    (parent, dir)
}

fn is_whole(dir: &Path, context: &str) {
    let report = check::check(dir, Depth::Bytes, at(4 * DAY), &Silent).unwrap();
    assert!(report.is_whole(), "{context}: {report:#?}");
}

/// Carries a life out while some operations are refused, trying each step again; the number of
/// operations it took. Between the first refusal of a step and its next attempt nothing half is visible, and what was
/// done before is there.
fn with_refusals(steps: &[Step], fault: Fault, between: Between) -> u64 {
    let (_parent, dir) = fresh();
    let disk = FaultyDisk::new(&dir, fault);
    // No caller tries more often than there are refusals.
    let until_done = |what: &str, attempt: &mut dyn FnMut() -> Result<()>, look: &dyn Fn(&str)| {
        for attempts in 0..200 {
            match attempt() {
                Ok(()) => return,
                Err(StoreError::Io { .. } | StoreError::Database { .. }) if attempts > 0 => {}
                Err(StoreError::Io { .. } | StoreError::Database { .. }) => look(what),
                Err(error) => panic!("{fault:?} at {what}: {error}"),
            }
        }
        panic!("{fault:?}: {what} does not get done");
    };
    let mut state = None;
    until_done("opening", &mut || open(&disk, &dir).map(|opened| state = Some(opened)), &|_| {});
    let state = state.unwrap();
    until_done("the project", &mut || begin(&state), &|_| {});
    for (done, &step) in steps.iter().enumerate() {
        let look = |what: &str| match between {
            Between::Reads => disk.calmly(|| {
                steps[..done].iter().for_each(|&earlier| holds(&state, earlier, &steps[..=done]));
            }),
            Between::Kill => {
                let report = check::look(&dir, Depth::Rows, at(4 * DAY), &Silent).unwrap();
                assert!(report.is_whole(), "{fault:?}, killed during {what}: {report:#?}");
            }
        };
        until_done(&format!("{step:?}"), &mut || carry_out(&state, step), &look);
    }
    steps.iter().for_each(|&step| holds(&state, step, steps));
    drop(state);
    is_whole(&dir, &format!("{fault:?}"));
    disk.operations()
}

/// What is looked at between a refusal and the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    /// What was done before, through the state that met the refusal.
    Reads,
    /// The rows on disk, as a process killed now would leave them. Leaves it to the next attempt to
    /// open spoilt files again.
    Kill,
}

impl Between {
    /// Each of the two about as often, whatever else goes by the number's lowest bit.
    fn by_turns(number: u64) -> Self {
        if (number / 2).is_multiple_of(2) { Self::Reads } else { Self::Kill }
    }
}

/// Carries a life out until the power goes; then what was acknowledged is there, and the rest of
/// it can be done. `false` when it was over first.
fn with_power_cut(steps: &[Step], at_operation: u64, dice: Option<u64>) -> bool {
    let context = format!("power cut at operation {at_operation}, dice {dice:?}");
    let (_parent, dir) = fresh();
    let disk = FaultyDisk::new(&dir, Fault::PowerCut { at: at_operation });
    let mut done = Vec::new();
    let mut begun = false;
    if let Ok(state) = open(&disk, &dir) {
        begun = begin(&state).is_ok();
        for &step in steps {
            if !begun || carry_out(&state, step).is_err() {
                break;
            }
            done.push(step);
        }
    }
    if !disk.is_off() {
        return false;
    }
    disk.lose_unflushed(dice);

    let healthy = FaultyDisk::new(&dir, Fault::None);
    let state = open(&healthy, &dir).unwrap_or_else(|error| panic!("{context}: {error:?}"));
    assert!(!begun || state.catalog.project(&birds()).is_ok(), "{context}");
    // The step that was cut short may have done all or nothing; those after it excuse no loss.
    let begun_steps = &steps[..steps.len().min(done.len() + 1)];
    done.iter().for_each(|&step| holds(&state, step, begun_steps));
    drop(state);
    is_whole(&dir, &context);

    let state = open(&healthy, &dir).unwrap();
    begin(&state).unwrap();
    for &step in &steps[done.len()..] {
        carry_out(&state, step).unwrap_or_else(|error| panic!("{context}, then {step:?}: {error}"));
    }
    steps.iter().for_each(|&step| holds(&state, step, steps));
    drop(state);
    is_whole(&dir, &format!("{context}, and the rest"));
    true
}

fn soak() -> bool {
    std::env::var_os("VIGIE_SOAK").is_some()
}

/// The facts of an older schema become those of a newer one, or stay what they were.
#[test]
fn a_migration_may_be_cut_anywhere() {
    let renamed = |key: &[u8], value: &[u8]| Ok(Some((key.to_vec(), value.to_vec())));
    let migrations = [Migration { to: 2, change: renamed }, Migration { to: 3, change: renamed }];
    let facts = |state: &State| {
        let mut all = Vec::new();
        state.facts.each(&mut |key, fact| all.push((key.to_vec(), fact.unwrap().value))).unwrap();
        all
    };
    for operation in 1.. {
        let (_parent, dir) = a_whole_state();
        let before = facts(&open(&FaultyDisk::new(&dir, Fault::None), &dir).unwrap());
        let disk = FaultyDisk::new(&dir, Fault::PowerCut { at: operation });
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        drop(State::open_on(shared, &dir, at(10), None, &migrations));
        if !disk.is_off() {
            assert!(operation > 20, "{operation} operations are no migration");
            return;
        }
        disk.lose_unflushed((operation % 2 == 0).then_some(operation));
        let healthy: Arc<dyn Disk> = Arc::new(FaultyDisk::new(&dir, Fault::None));
        let state = State::open_on(healthy, &dir, at(10), None, &migrations).unwrap();
        assert!(facts(&state) == before, "cut at operation {operation}");
        drop(state);
        let kept = RedbFacts::open(&dir.join("meta.redb.bak-1"), None).unwrap();
        assert_eq!(kept.schema().unwrap(), Some(1), "cut at operation {operation}");
    }
}

#[test]
fn lives_hold_on_a_healthy_disk() {
    for steps in LIVES.into_iter().chain([&LONG_LIFE[..]]) {
        let operations = with_refusals(steps, Fault::None, Between::Reads);
        assert!(operations > 100, "{operations} operations are hardly a life");
    }
}

/// A flush of many files at once, one that the file system leaves to be done file by file, and one of
/// few files: the faults meet each of them.
#[test]
fn lives_flush_in_every_way() {
    let (_parent, dir) = fresh();
    let disk = FaultyDisk::new(&dir, Fault::None);
    let state = open(&disk, &dir).unwrap();
    begin(&state).unwrap();
    LIVES[0].iter().for_each(|&step| carry_out(&state, step).unwrap());
    let (everything, left) = disk.flushes_of_everything();
    assert!(everything > 0 && left > 0, "{everything} of everything, {left} left to be done one by one");
}

#[test]
fn every_operation_may_be_refused() {
    for steps in LIVES {
        let operations = with_refusals(steps, Fault::None, Between::Reads);
        let both = [Refusal::NoSpace, Refusal::InputOutput];
        (1..=operations).into_par_iter().for_each(|first| {
            let between = Between::by_turns(first);
            if soak() {
                for (how, count) in both.iter().flat_map(|&how| [1, 2, 3, 20].map(|count| (how, count))) {
                    with_refusals(steps, Fault::Refuse { first, count, how }, between);
                }
            } else {
                let how = both[first as usize % 2];
                with_refusals(steps, Fault::Refuse { first, count: 3, how }, between);
            }
        });
    }
}

#[test]
fn the_power_may_go_at_every_operation() {
    for steps in LIVES {
        let operations = with_refusals(steps, Fault::None, Between::Reads);
        (1..=operations).into_par_iter().for_each(|at| {
            if soak() {
                (0..20).map(Some).chain([None]).for_each(|dice| assert!(with_power_cut(steps, at, dice)));
            } else {
                // By turns everything unflushed is lost, or half of it.
                assert!(with_power_cut(steps, at, (at % 2 == 0).then_some(at)));
            }
        });
        assert!(!with_power_cut(steps, operations + 1_000, None));
    }
}
