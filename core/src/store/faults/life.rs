//! What can be done to a state: a life is a list of steps.

use std::time::Duration;

use vigie_protocol::dataset::{ChangeSet, ClassChange, Lineage, SplitCounts};
use vigie_protocol::event::{Event, Severity, Subject};
use vigie_protocol::feedback::{Feedback, Vote};
use vigie_protocol::import::ImportOptions;
use vigie_protocol::job::{Job, JobState};
use vigie_protocol::model::{Alias, AliasMove, GateCheck, GateVerdict, MoveKind};
use vigie_protocol::project::{Project, ProjectSettings};
use vigie_protocol::run::{Run, RunState};
use vigie_protocol::schedule::{CatchUp, Firing, FiringState, ScheduleAction, ScheduleSpec, Trigger};
use vigie_protocol::source::{Acceptance, Pending, Revision, Source, SourceOrigin};
use vigie_protocol::{ChangeSetId, Hash, ModelNumber, Time};

use super::rows::{
    birds, bringing, feeder, identity, image, images_of, nightly, offered, predictions_of, production,
    receipt, said_of, taken_of, training,
};
use crate::observe::Silent;
use crate::store::catalog::{
    AcceptedPart, AliasMoveDraft, EventDraft, ModelDraft, ScheduleDraft, SourceDraft, Voted,
};
use crate::store::gc::{self, GcPlan};
use crate::store::samples::{at, change_set, decision, manifest, model, passport, project};
use crate::store::{Blobs, PredictionLog, Result, State, StoreError};

/// Something done to a state. Numbers of a kind count from 1 and follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Step {
    /// Three more images become the next version of `reference`.
    Import(u32),
    /// One of two images becomes the next version of `source`; the other is left.
    AcceptPart(u32),
    /// A training that ends, and its model.
    Train(u32),
    /// The model gets `production`.
    Promote(u32),
    /// The model gets `production` against the gate.
    Override(u32),
    /// `production` goes back to the holder before.
    Rollback(u32),
    /// Four predictions, two with pictures.
    Predict(u32),
    /// Two people say something of three of these.
    Say(u32),
    /// One prediction and its picture are erased.
    Forget(u32),
    /// A source is set up, and a version of it is on its way in.
    Follow(u32),
    /// The source is removed.
    Unfollow(u32),
    /// A schedule is set and fires once.
    Schedule(u32),
    /// What nothing names is removed.
    Collect,
}

pub(super) fn begin(state: &State) -> Result<()> {
    let settings = ProjectSettings { picture_days: 0, audit_percent: 50.0, ..ProjectSettings::default() };
    let project = Project { settings, ..project("birds") };
    state.catalog.create_project(&project, Some(&receipt("create", 0)))?;
    state.record_due()
}

/// Carries a step out; again after a failure, to the same end.
pub(super) fn carry_out(state: &State, step: Step) -> Result<()> {
    match step {
        Step::Import(version) => import(state, version)?,
        Step::AcceptPart(version) => accept_part(state, version)?,
        Step::Train(number) => train(state, number)?,
        Step::Promote(number) => promote(state, number, MoveKind::Promote, "promotion")?,
        Step::Override(number) => promote(state, number, MoveKind::Override, "override")?,
        Step::Rollback(number) => roll_back(state, number)?,
        Step::Predict(number) => predict(state, number)?,
        Step::Say(number) => say(state, number)?,
        Step::Forget(number) => forget(state, number)?,
        Step::Follow(number) => follow(state, number)?,
        Step::Unfollow(number) => unfollow(state, number)?,
        Step::Schedule(number) => schedule(state, number)?,
        Step::Collect => collect(state)?,
    }
    state.record_due()
}

fn import(state: &State, version: u32) -> Result<()> {
    for n in 0..3 {
        state.blobs.put(&image(version, n))?;
    }
    let images = images_of(version);
    let manifest = state.blobs.put(&manifest(&images).encode())?;
    state.blobs.sync()?;
    let catalog = &state.catalog;
    let set = proposal(Lineage::Reference, version, manifest, images.len());
    let set = catalog.propose(&set, Some(&receipt("propose", version)))?;
    catalog.accept(&birds(), set.id, None, &decision(30), Some(&receipt("accept", version))).map(drop)
}

fn accept_part(state: &State, version: u32) -> Result<()> {
    let put = |bytes: &[u8]| state.blobs.put(bytes);
    let images = taken_of(version);
    let (_, left) = (put(&offered(version, true))?, put(&offered(version, false))?);
    let all: Vec<Hash> = images.iter().copied().chain([left]).collect();
    let (proposed, taken) = (put(&manifest(&all).encode())?, put(&manifest(&images).encode())?);
    state.blobs.sync()?;
    let one = || [("owl".to_owned(), ClassChange { added: 1, ..ClassChange::default() })].into();
    let part = AcceptedPart {
        manifest: taken,
        classes: one(),
        left: one(),
        result: in_train(images.len()),
        bytes: 7,
    };
    let catalog = &state.catalog;
    let set = proposal(Lineage::Source, version, proposed, all.len());
    let set = catalog.propose(&set, Some(&receipt("propose-part", version)))?;
    let receipt = receipt("accept-part", version);
    catalog.accept_part(&birds(), set.id, Some(1), Some(&part), &decision(30), Some(&receipt)).map(drop)
}

fn proposal(lineage: Lineage, version: u32, manifest: Hash, images: usize) -> ChangeSet {
    let base = version.checked_sub(1).filter(|&base| base > 0);
    ChangeSet {
        id: ChangeSetId::from(identity(&format!("set of {lineage}"), version)),
        manifest,
        result: in_train(images),
        ..change_set("birds", lineage, base)
    }
}

fn in_train(images: usize) -> std::collections::BTreeMap<String, SplitCounts> {
    [("owl".to_owned(), SplitCounts { train: images as u64, valid: 0, test: 0 })].into()
}

fn train(state: &State, number: u32) -> Result<()> {
    let catalog = &state.catalog;
    let (job, run) = training(number);
    catalog.insert_training(&birds(), &job, &run, Some(&receipt("train", number)))?;
    let leases = catalog.acquire_leases(job.id, &["device:cpu".to_owned()], at(31))?;
    let leases = leases.map_err(|(resource, _)| StoreError::Precondition(resource))?;
    catalog.save_run(&birds(), &Run { state: RunState::Finished, best_epoch: Some(1), ..run.clone() })?;
    let weights = state.blobs.put(format!("weights {number}").as_bytes())?;
    let passport = passport(run.id, weights, images_of(1)[0]);
    let passport = state.blobs.put(&crate::store::passport::encode(&passport))?;
    state.blobs.sync()?;
    catalog.register_model(&birds(), &ModelDraft { passport, weights, ..model(run.id) })?;
    catalog.save_job_fenced(&Job { state: JobState::Succeeded, ..job.clone() }, &leases)?;
    catalog.release_leases(job.id)
}

fn promote(state: &State, number: u32, kind: MoveKind, method: &'static str) -> Result<()> {
    let held = match state.catalog.alias(&birds(), &production()) {
        Ok(alias) => Some(alias),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let check = GateCheck {
        name: "golden-set".to_owned(),
        passed: kind == MoveKind::Promote,
        detail: "as asked".to_owned(),
    };
    let verdict = GateVerdict {
        candidate: ModelNumber(number),
        against: held.as_ref().map(|alias| alias.model),
        checks: vec![check],
        at: at(32),
    };
    let generation = held.map_or(0, |alias| alias.generation);
    let draft = AliasMoveDraft { verdict: Some(verdict), ..moving(kind, number, method, number, generation) };
    state.catalog.move_alias(&birds(), &draft, Some(&receipt(method, number))).map(drop)
}

fn roll_back(state: &State, number: u32) -> Result<()> {
    let receipt = receipt("rollback", number);
    if state.catalog.receipt::<(Alias, AliasMove, Event)>(&receipt)?.is_some() {
        return Ok(()); // an earlier attempt moved it
    }
    let alias = state.catalog.alias(&birds(), &production())?;
    let to = alias.previous.map_or(0, |previous| previous.0);
    let draft = moving(MoveKind::Rollback, to, "rollback", number, alias.generation);
    state.catalog.move_alias(&birds(), &draft, Some(&receipt)).map(drop)
}

fn moving(kind: MoveKind, to: u32, method: &str, number: u32, generation: u64) -> AliasMoveDraft {
    AliasMoveDraft {
        alias: production(),
        kind,
        to: ModelNumber(to),
        // Each at a time of its own, as clocks give it.
        at: at(32).plus(Duration::from_millis(generation)),
        by: "ada".to_owned(),
        reason: Some(format!("{method} {number}")),
        verdict: None,
        expected_generation: generation,
    }
}

fn predict(state: &State, number: u32) -> Result<()> {
    for n in 0..4 {
        state.blobs.put(format!("picture {number}.{n}").as_bytes())?;
    }
    state.blobs.sync()?;
    let group: Vec<_> = predictions_of(number).into_iter().map(|prediction| (birds(), prediction)).collect();
    state.log.append(&group)?;
    state.catalog.set_aside(&group)
}

fn say(state: &State, number: u32) -> Result<()> {
    for (n, (by, prediction, said)) in (0..).zip(said_of(number)) {
        if state.log.get(&birds(), prediction.id)?.is_none() {
            continue; // it was forgotten
        }
        let picture = prediction.picture_kept && state.blobs.touch(prediction.image)?;
        let voted = Voted { about: Feedback::about(&prediction), picture };
        let vote = Vote { by: by.to_owned(), at: at(33), said, blind: true };
        let receipt = receipt("say", number * 10 + n);
        state.catalog.give_feedback(&birds(), &voted, &vote, Some(&receipt))?;
    }
    Ok(())
}

fn forget(state: &State, number: u32) -> Result<()> {
    let now = Time::now();
    match state.forget(&birds(), predictions_of(number)[0].id, now) {
        // An earlier attempt came so far that only the picture may be left.
        Err(StoreError::NotFound { .. }) => state.erase_due(now),
        done => done,
    }
}

fn follow(state: &State, number: u32) -> Result<()> {
    let job = bringing(number);
    state.catalog.insert_job(&job, Some(&receipt("bring", number)))?;
    let draft = SourceDraft {
        project: birds(),
        name: feeder(number),
        origin: SourceOrigin::Url { url: "https://example.org/birds.zip".to_owned() },
        lineage: Lineage::Source,
        options: ImportOptions::default(),
        acceptance: Acceptance::Ask,
        preprocess: false,
        at: at(34),
        by: "ada".to_owned(),
    };
    let source = state.catalog.set_source(&draft, None, Some(&receipt("follow", number)))?;
    let found = |source: &mut Source| {
        if source.pending.is_some() {
            return None; // an earlier attempt found it
        }
        source.pending = Some(Pending::new(Revision::Version { number: 1 }, job.id, None));
        Some(EventDraft {
            at: at(34),
            project: Some(birds()),
            severity: Severity::Info,
            subject: Subject::Source { source: source.name.clone() },
            text: format!("{} has something new", source.name),
        })
    };
    state.catalog.follow_source(&source, found).map(drop)
}

fn unfollow(state: &State, number: u32) -> Result<()> {
    let receipt = receipt("unfollow", number);
    if state.catalog.receipt::<Source>(&receipt)?.is_some() {
        return Ok(()); // an earlier attempt removed it
    }
    let source = state.catalog.source(&birds(), &feeder(number))?;
    state.catalog.remove_source(&birds(), &source.name, source.generation, Some(&receipt)).map(drop)
}

fn schedule(state: &State, number: u32) -> Result<()> {
    let (catalog, birds, name) = (&state.catalog, birds(), nightly(number));
    let draft = ScheduleDraft {
        project: Some(birds.clone()),
        name: name.clone(),
        spec: ScheduleSpec {
            trigger: Trigger::Interval { seconds: 3_600 },
            action: ScheduleAction::Preprocess,
            catch_up: CatchUp::Once,
            jitter_s: 0,
            description: String::new(),
        },
        at: at(35),
        by: "ada".to_owned(),
    };
    catalog.set_schedule(&draft, 0, Some(&receipt("schedule", number)))?;
    let firing = catalog.ask_firing(Some(&birds), &name, "ada", at(36), Some(&receipt("fire", number)))?;
    let ended = Firing { state: FiringState::Done, ended: Some(at(37)), ..firing };
    let subject = Subject::Schedule { schedule: name.clone(), firing: Some(ended.id), job: None };
    let told = EventDraft {
        at: at(37),
        project: Some(birds),
        severity: Severity::Info,
        subject,
        text: format!("{name} fired"),
    };
    catalog.end_firing(&ended, &told).map(drop)
}

fn collect(state: &State) -> Result<()> {
    // Beyond the grace period of everything that was put just now.
    let now = Time::now().plus(gc::GRACE * 2);
    let plan = GcPlan { now, grace: gc::GRACE, dry_run: false };
    gc::collect(&state.catalog, &state.log, &state.blobs, &plan, &Silent).map(drop)
}
