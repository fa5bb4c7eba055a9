//! Whole states on disks that fail: nothing acknowledged is lost, nothing half is visible.
//!
//! A history is a list of steps, each of which can be repeated until it succeeds, as callers do with
//! their idempotency keys. It is carried out on a [`FaultyDisk`], once for every operation that can
//! fail. `VIGIE_SOAK=1` adds more dice and longer random histories.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use rayon::prelude::*;
use uuid::Uuid;
use vigie_protocol::dataset::{ChangeSet, DatasetRef, Lineage, SplitCounts};
use vigie_protocol::feedback::{Feedback, Said, Vote};
use vigie_protocol::job::{Job, JobState};
use vigie_protocol::model::{GateVerdict, MoveKind};
use vigie_protocol::prediction::Prediction;
use vigie_protocol::project::{Project, ProjectSettings};
use vigie_protocol::run::{Run, RunState};
use vigie_protocol::{
    AliasName, ChangeSetId, Hash, IdempotencyKey, JobId, ModelNumber, ProjectName, RunId, Time,
};

use super::audit::AuditDraft;
use super::catalog::{AliasMoveDraft, ModelDraft, Receipt, Voted};
use super::check::{self, Depth};
use super::disk::Disk;
use super::disk::faulty::{Fault, FaultyDisk, Refusal};
use super::facts::RedbFacts;
use super::gc::{self, GcPlan};
use super::samples::{
    at, change_set, decision, job, manifest, model, name, passport, prediction, project, run,
};
use super::state::Migration;
use super::{Blobs, PredictionLog, Result, State, StoreError};
use crate::observe::Silent;

/// Something done to a state. Numbers count from 1 and follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Three more images become the next version of `reference`.
    Import(u32),
    /// A training that ends, and its model.
    Train(u32),
    /// The model gets `production`.
    Promote(u32),
    /// Four predictions, two with pictures.
    Predict(u32),
    /// Two people say something of three of these.
    Say(u32),
    /// One prediction and its picture are erased.
    Forget(u32),
    /// What nothing names is removed.
    Collect,
}

/// A short life in which everything happens.
const SCRIPT: [Step; 9] = [
    Step::Import(1),
    Step::Train(1),
    Step::Promote(1),
    Step::Predict(1),
    Step::Say(1),
    Step::Import(2),
    Step::Collect,
    Step::Forget(1),
    Step::Predict(2),
];

const DAY: i64 = 24 * 3600;

fn birds() -> ProjectName {
    name("birds")
}

/// The same identity each time it is asked for.
fn identity(what: &str, number: u32) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Hash::of(format!("{what} {number}").as_bytes()).as_bytes()[..16]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}

fn key(method: &str, number: u32) -> IdempotencyKey {
    identity(method, number).into()
}

fn receipt(method: &'static str, number: u32) -> Receipt {
    let audit = AuditDraft {
        key: Some(key(method, number)),
        at: at(20),
        principal: "ada".to_owned(),
        role: "admin".to_owned(),
        via: "unix".to_owned(),
        method: method.to_owned(),
        target: number.to_string(),
        outcome: "ok".to_owned(),
        reason: None,
    };
    Receipt { key: key(method, number), method, request: None, at: at(20), audit: Some(audit) }
}

fn image(version: u32, n: u32) -> Vec<u8> {
    format!("image {version}.{n} ").repeat(40).into_bytes()
}

fn images_of(version: u32) -> Vec<Hash> {
    (1..=version).flat_map(|v| (0..3).map(move |n| Hash::of(&image(v, n)))).collect()
}

fn predictions_of(number: u32) -> Vec<Prediction> {
    (0..4)
        .map(|n| {
            // Half of them on the next day.
            let seconds = DAY + i64::from(n / 2) * DAY + i64::from(number * 10 + n);
            let picture = format!("picture {number}.{n}").into_bytes();
            Prediction {
                id: identity("prediction", number * 10 + n).into(),
                image: Hash::of(&picture),
                picture_kept: n % 2 == 0,
                ..prediction(seconds * 1_000_000, 1, "owl", 0.5)
            }
        })
        .map(|mut prediction| {
            let stamp = uuid::Timestamp::from_unix(
                uuid::NoContext,
                u64::try_from(prediction.at.as_micros() / 1_000_000).unwrap(),
                0,
            );
            let mut bytes = *Uuid::new_v7(stamp).as_bytes();
            bytes[6..].copy_from_slice(&prediction.id.uuid().as_bytes()[6..]);
            prediction.id = Uuid::from_bytes(bytes).into();
            prediction
        })
        .collect()
}

/// What people say of the predictions of a number: who, of which, what.
fn said_of(number: u32) -> [(&'static str, Prediction, Said); 4] {
    let [first, second, third, _]: [Prediction; 4] = predictions_of(number).try_into().unwrap();
    [
        ("ada", first, Said::Correct),
        ("ada", second, Said::WrongUnknown),
        ("ada", third.clone(), Said::Wrong { class: "jay".to_owned() }),
        ("bob", third, Said::WrongUnknown),
    ]
}

fn begin(state: &State) -> Result<()> {
    let settings = ProjectSettings { picture_days: 0, audit_percent: 50.0, ..ProjectSettings::default() };
    let project = Project { settings, ..project("birds") };
    state.catalog.create_project(&project, Some(&receipt("create", 0)))?;
    state.record_due()
}

/// Carries a step out; again after a failure, to the same end.
fn carry_out(state: &State, step: Step) -> Result<()> {
    let catalog = &state.catalog;
    match step {
        Step::Import(version) => {
            for n in 0..3 {
                state.blobs.put(&image(version, n))?;
            }
            let images = images_of(version);
            let manifest = state.blobs.put(&manifest(&images).encode())?;
            state.blobs.sync()?;
            let train = images.len() as u64;
            let set = ChangeSet {
                id: ChangeSetId::from(identity("set", version)),
                manifest,
                result: [("owl".to_owned(), SplitCounts { train, valid: 0, test: 0 })].into(),
                ..change_set("birds", Lineage::Reference, version.checked_sub(1).filter(|&base| base > 0))
            };
            let set = catalog.propose(&set, Some(&receipt("propose", version)))?;
            catalog.accept(&birds(), set.id, None, &decision(30), Some(&receipt("accept", version)))?;
            state.record_due()
        }
        Step::Train(number) => {
            let (job, run) = training(number);
            catalog.insert_training(&birds(), &job, &run, Some(&receipt("train", number)))?;
            let leases = catalog.acquire_leases(job.id, &["device:cpu".to_owned()], at(31))?;
            let leases = leases.map_err(|(resource, _)| StoreError::Precondition(resource))?;
            catalog
                .save_run(&birds(), &Run { state: RunState::Finished, best_epoch: Some(1), ..run.clone() })?;
            let weights = state.blobs.put(format!("weights {number}").as_bytes())?;
            let passport = passport(run.id, weights, images_of(1)[0]);
            let passport = state.blobs.put(&super::passport::encode(&passport))?;
            state.blobs.sync()?;
            catalog.register_model(&birds(), &ModelDraft { passport, weights, ..model(run.id) })?;
            catalog.save_job_fenced(&Job { state: JobState::Succeeded, ..job.clone() }, &leases)?;
            catalog.release_leases(job.id)?;
            state.record_due()
        }
        Step::Promote(number) => {
            let alias = AliasName::production();
            let held = match catalog.alias(&birds(), &alias) {
                Ok(alias) => alias.generation,
                Err(StoreError::NotFound { .. }) => 0,
                Err(error) => return Err(error),
            };
            let verdict =
                GateVerdict { candidate: ModelNumber(number), against: None, checks: Vec::new(), at: at(32) };
            let draft = AliasMoveDraft {
                alias,
                kind: MoveKind::Promote,
                to: ModelNumber(number),
                at: at(32),
                by: "ada".to_owned(),
                reason: None,
                verdict: Some(verdict),
                expected_generation: held,
            };
            catalog.move_alias(&birds(), &draft, Some(&receipt("promote", number)))?;
            state.record_due()
        }
        Step::Predict(number) => {
            let predictions = predictions_of(number);
            for n in 0..4 {
                state.blobs.put(format!("picture {number}.{n}").as_bytes())?;
            }
            state.blobs.sync()?;
            let group: Vec<_> = predictions.into_iter().map(|prediction| (birds(), prediction)).collect();
            state.log.append(&group)?;
            catalog.set_aside(&group)
        }
        Step::Say(number) => {
            for (n, (by, prediction, said)) in (0..).zip(said_of(number)) {
                if state.log.get(&birds(), prediction.id)?.is_none() {
                    continue; // it was forgotten
                }
                let picture = prediction.picture_kept && state.blobs.touch(prediction.image)?;
                let voted = Voted { about: Feedback::about(&prediction), picture };
                let vote = Vote { by: by.to_owned(), at: at(33), said, blind: true };
                catalog.give_feedback(&birds(), &voted, &vote, Some(&receipt("say", number * 10 + n)))?;
            }
            state.record_due()
        }
        Step::Forget(number) => {
            let now = Time::now();
            match state.forget(&birds(), predictions_of(number)[0].id, now) {
                // An earlier attempt came so far that only the picture may be left.
                Err(StoreError::NotFound { .. }) => state.erase_due(now),
                done => done,
            }
        }
        Step::Collect => {
            // Beyond the grace period of everything that was put just now.
            let now = Time::now().plus(gc::GRACE * 2);
            let plan = GcPlan { now, grace: gc::GRACE, dry_run: false };
            gc::collect(catalog, &state.log, &state.blobs, &plan, &Silent).map(drop)
        }
    }
}

fn training(number: u32) -> (Job, Run) {
    let id = JobId::from(identity("job", number));
    let job = Job { id, ..job(Some("birds")) };
    (job, Run { id: RunId::from(identity("run", number)), job: id, ..run() })
}

/// What a step made is there, whole, but for what one of the steps that were `begun` took away.
fn holds(state: &State, step: Step, begun: &[Step]) {
    let catalog = &state.catalog;
    let audited = |method: &'static str, number| {
        let lines = state.audit.page(None, usize::MAX).unwrap();
        let key = Some(key(method, number));
        assert_eq!(
            lines.iter().filter(|line| line.key == key).count(),
            1,
            "{method} {number} in the audit log"
        );
    };
    match step {
        Step::Import(version) => {
            let dataset = DatasetRef { lineage: Lineage::Reference, number: version };
            let dataset = catalog.dataset(&birds(), dataset).unwrap();
            assert_eq!(dataset.manifest, Hash::of(&manifest(&images_of(version)).encode()));
            for image in images_of(version) {
                assert!(state.blobs.get(image).unwrap().is_some());
            }
            audited("propose", version);
            audited("accept", version);
        }
        Step::Train(number) => {
            let (job, run) = training(number);
            assert_eq!(catalog.job(job.id).unwrap().state, JobState::Succeeded);
            assert_eq!(catalog.run(&birds(), run.id).unwrap().state, RunState::Finished);
            let model = catalog.model(&birds(), ModelNumber(number)).unwrap();
            assert!(state.blobs.get(model.weights).unwrap().is_some());
            // A later training that was cut short may hold one.
            assert!(catalog.leases().unwrap().iter().all(|lease| lease.holder != job.id));
            audited("train", number);
        }
        Step::Promote(number) => {
            let moves = catalog.alias_history(&birds(), &AliasName::production(), None, 100).unwrap();
            assert_eq!(moves.items.iter().filter(|moved| moved.to == ModelNumber(number)).count(), 1);
            let events = catalog.events(Some(&birds()), None, 100).unwrap().items;
            let told = |text: &str| text.contains(&format!("to v{number} "));
            assert_eq!(events.iter().filter(|event| told(&event.text)).count(), 1);
            audited("promote", number);
        }
        Step::Predict(number) => {
            let forgotten = begun.contains(&Step::Forget(number));
            for (n, prediction) in predictions_of(number).iter().enumerate() {
                if n == 0 && forgotten {
                    continue;
                }
                assert_eq!(state.log.get(&birds(), prediction.id).unwrap().as_ref(), Some(prediction));
                assert!(!prediction.picture_kept || state.blobs.get(prediction.image).unwrap().is_some());
            }
        }
        Step::Say(number) => {
            for (n, (by, prediction, said)) in (0..).zip(said_of(number)) {
                let Some(row) = catalog.feedback(&birds(), prediction.id).unwrap() else {
                    assert!(n == 0 && begun.contains(&Step::Forget(number)), "a vote is lost");
                    continue;
                };
                let own: Vec<_> = row.votes.iter().filter(|vote| vote.by == by).collect();
                assert_eq!((own.len(), &own[0].said), (1, &said));
                if row.state.needs_picture() {
                    assert!(state.blobs.get(row.image).unwrap().is_some());
                }
                audited("say", number * 10 + n);
            }
        }
        Step::Forget(number) => {
            let first = &predictions_of(number)[0];
            assert_eq!(state.log.get(&birds(), first.id).unwrap(), None);
            assert_eq!(catalog.feedback(&birds(), first.id).unwrap(), None);
            assert_eq!(state.blobs.get(first.image).unwrap(), None);
        }
        Step::Collect => {}
    }
}

fn open(disk: &FaultyDisk, dir: &Path) -> Result<State> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    State::open_on(disk, dir, Time::now(), None, &[])
}

fn fresh() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("state");
    std::fs::create_dir(&dir).unwrap();
    (parent, dir)
}

fn is_whole(dir: &Path, context: &str) {
    let report = check::check(dir, Depth::Bytes, at(4 * DAY), &Silent).unwrap();
    assert!(report.is_whole(), "{context}: {report:#?}");
}

/// Carries the script out while some operations are refused, trying each step again; the number of
/// operations it took.
fn with_refusals(steps: &[Step], fault: Fault) -> u64 {
    let (_parent, dir) = fresh();
    let disk = FaultyDisk::new(&dir, fault);
    // No caller tries more often than there are refusals.
    let until_done = |what: &str, attempt: &mut dyn FnMut() -> Result<()>| {
        for _ in 0..200 {
            match attempt() {
                Ok(()) => return,
                Err(StoreError::Io { .. } | StoreError::Database { .. }) => {}
                Err(error) => panic!("{fault:?} at {what}: {error}"),
            }
        }
        panic!("{fault:?}: {what} does not get done");
    };
    let mut state = None;
    until_done("opening", &mut || open(&disk, &dir).map(|opened| state = Some(opened)));
    let state = state.unwrap();
    until_done("the project", &mut || begin(&state));
    for &step in steps {
        until_done(&format!("{step:?}"), &mut || carry_out(&state, step));
    }
    steps.iter().for_each(|&step| holds(&state, step, steps));
    drop(state);
    is_whole(&dir, &format!("{fault:?}"));
    disk.operations()
}

/// Carries the script out until the power goes; then what was acknowledged is there, and the rest of
/// the script can be done. `false` when the script was over first.
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
fn the_script_holds_on_a_healthy_disk() {
    let operations = with_refusals(&SCRIPT, Fault::None);
    assert!(operations > 200, "{operations} operations are hardly a history");
}

#[test]
fn every_operation_may_be_refused() {
    let operations = with_refusals(&SCRIPT, Fault::None);
    let both = [Refusal::NoSpace, Refusal::InputOutput];
    (1..=operations).into_par_iter().for_each(|first| {
        if soak() {
            for (how, count) in both.iter().flat_map(|&how| [1, 2, 3, 20].map(|count| (how, count))) {
                with_refusals(&SCRIPT, Fault::Refuse { first, count, how });
            }
        } else {
            let how = both[first as usize % 2];
            with_refusals(&SCRIPT, Fault::Refuse { first, count: 3, how });
        }
    });
}

#[test]
fn the_power_may_go_at_every_operation() {
    let operations = with_refusals(&SCRIPT, Fault::None);
    (1..=operations).into_par_iter().for_each(|at| {
        if soak() {
            (0..20).map(Some).chain([None]).for_each(|dice| assert!(with_power_cut(&SCRIPT, at, dice)));
        } else {
            // By turns everything unflushed is lost, or half of it.
            assert!(with_power_cut(&SCRIPT, at, (at % 2 == 0).then_some(at)));
        }
    });
    assert!(!with_power_cut(&SCRIPT, operations + 1_000, None));
}

/// Steps that can follow one another, of any kind.
fn histories(length: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(0..7_u8, 1..length).prop_map(|kinds| {
        let (mut imports, mut trainings, mut promoted) = (0, 0, 0);
        let (mut predictions, mut forgotten, mut said) = (0, 0, 0);
        let mut steps = Vec::new();
        for kind in kinds {
            steps.push(match kind {
                0 => {
                    imports += 1;
                    Step::Import(imports)
                }
                // A training needs a version, a promotion a model, and so on.
                1 if imports > 0 => {
                    trainings += 1;
                    Step::Train(trainings)
                }
                2 if trainings > promoted => {
                    promoted += 1;
                    Step::Promote(promoted)
                }
                3 => {
                    predictions += 1;
                    Step::Predict(predictions)
                }
                4 if predictions > forgotten => {
                    forgotten += 1;
                    Step::Forget(forgotten)
                }
                // Never of what is forgotten by then: the agent would not find it.
                5 if predictions > said.max(forgotten) => {
                    said = predictions;
                    Step::Say(predictions)
                }
                _ => Step::Collect,
            });
        }
        steps
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if soak() { 2_000 } else { 24 }))]

    #[test]
    fn any_history_survives_any_fault(
        steps in histories(if soak() { 40 } else { 12 }),
        share in 0.0..1.0_f64,
        fault in 0..3_u8,
        count in 1..30_u64,
        dice in any::<u64>(),
    ) {
        let operations = with_refusals(&steps, Fault::None);
        let first = 1 + (operations as f64 * share) as u64;
        match fault {
            0 => {
                with_refusals(&steps, Fault::Refuse { first, count, how: Refusal::NoSpace });
            }
            1 => {
                with_refusals(&steps, Fault::Refuse { first, count, how: Refusal::InputOutput });
            }
            _ => {
                with_power_cut(&steps, first, Some(dice));
            }
        }
    }
}

/// A state in which everything happened, closed; for other tests.
pub(super) fn a_whole_state() -> (tempfile::TempDir, PathBuf) {
    let (parent, dir) = fresh();
    let state = open(&FaultyDisk::new(&dir, Fault::None), &dir).unwrap();
    begin(&state).unwrap();
    for step in SCRIPT {
        carry_out(&state, step).unwrap();
    }
    drop(state);
    (parent, dir)
}
