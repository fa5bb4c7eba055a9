#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use vigie_protocol::feedback::{Feedback, Said, Vote};
use vigie_protocol::job::{Job, JobState};
use vigie_protocol::project::ProjectSettings;

use super::*;
use crate::store::catalog::{Fate, Source, Voted};
use crate::store::samples::{at, decision, full_state, job, name};
use crate::store::{Batch, Fact, Facts, Order, State};

/// Makes every blob as old as the hills.
fn age(state: &State) {
    state
        .blobs
        .list(&mut |hash, _, _| {
            File::open(state.blobs.path_of(hash)).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        })
        .unwrap();
}

fn run(state: &State, now: Time, dry_run: bool) -> Result<GcReport> {
    let plan = GcPlan { now, grace: GRACE, dry_run };
    collect(&state.catalog, &state.log, &state.blobs, &plan, &Silent)
}

fn now() -> Time {
    at(100_000)
}

#[test]
fn what_is_referred_to_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (state, referenced) = full_state(&dir.path().join("state"));
    let orphan = Hash::of(b"not kept");
    age(&state);

    let dry = run(&state, now(), true).unwrap();
    assert_eq!((dry.referenced, dry.orphans, dry.removed), (referenced.len() as u64, 1, false));
    assert_eq!((dry.orphan_bytes, dry.examples, dry.missing), (8, vec![orphan], vec![]));
    assert!(state.blobs.get(orphan).unwrap().is_some());

    let wet = run(&state, now(), false).unwrap();
    assert!(wet.removed);
    assert_eq!(state.blobs.get(orphan).unwrap(), None);
    assert!(referenced.iter().all(|&hash| state.blobs.get(hash).unwrap().is_some()));
    assert_eq!(run(&state, now(), false).unwrap().orphans, 0);
}

#[test]
fn a_check_finds_what_is_missing_without_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (state, referenced) = full_state(&dir.path().join("state"));
    let look = || check(&state.catalog, &state.blobs, now()).unwrap();
    // All but the picture of a prediction.
    let count = referenced.len() as u64 - 1;
    assert_eq!(look(), Named { count, ..Named::default() });
    state.blobs.delete(referenced[0]).unwrap();
    assert_eq!(look(), Named { count, missing: vec![referenced[0]], ..Named::default() });
    fs::write(state.blobs.path_of(referenced[5]), b"spoilt").unwrap();
    assert!(look().damaged[0].contains(&referenced[5].short().to_string()));
}

#[test]
fn what_was_put_lately_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = full_state(&dir.path().join("state"));
    assert_eq!(run(&state, now(), false).unwrap().orphans, 0, "all blobs are younger than `now`");

    age(&state);
    let running = Job { state: JobState::Running, started: Some(Time::from_micros(0)), ..job(None) };
    state.catalog.insert_job(&running, None).unwrap();
    assert_eq!(run(&state, now(), false).unwrap().orphans, 0, "a job has run since before they were put");
    let ended = Job { state: JobState::Succeeded, ..running };
    state.catalog.save_job(&ended).unwrap();
    assert_eq!(run(&state, now(), false).unwrap().orphans, 1);
}

#[test]
fn nothing_goes_when_references_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let (state, referenced) = full_state(&dir.path().join("state"));
    age(&state);
    let manifest = referenced[5];
    fs::write(state.blobs.path_of(manifest), b"spoilt").unwrap();
    assert!(!run(&state, now(), false).unwrap().removed);
    state.blobs.delete(manifest).unwrap();
    let report = run(&state, now(), false).unwrap();
    assert_eq!((report.removed, report.missing), (false, vec![manifest]));
}

#[test]
fn pictures_expire() {
    let dir = tempfile::tempdir().unwrap();
    let (state, referenced) = full_state(&dir.path().join("state"));
    age(&state);
    let birds = name("birds");
    for (days, later, orphans) in [(2, 1, 1), (2, 3, 2), (0, 9_999, 1)] {
        let generation = state.catalog.project(&birds).unwrap().generation;
        let settings = ProjectSettings { picture_days: days, ..ProjectSettings::default() };
        state.catalog.update_project(&birds, generation, "", &settings, None).unwrap();
        let report = run(&state, at(later * 24 * 3600), true).unwrap();
        assert_eq!(report.orphans, orphans, "kept for {days} days, looked at after {later}");
    }
    assert!(referenced.contains(&Hash::of(b"picture")));
}

#[test]
fn feedback_keeps_its_picture_until_it_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = full_state(&dir.path().join("state"));
    let birds = name("birds");
    let generation = state.catalog.project(&birds).unwrap().generation;
    let settings = ProjectSettings { picture_days: 1, ..ProjectSettings::default() };
    state.catalog.update_project(&birds, generation, "", &settings, None).unwrap();
    let page = state.log.page(&birds, &Default::default(), None, 10, Duration::MAX).unwrap();
    let kept = page.items.into_iter().find(|prediction| prediction.picture_kept).unwrap();
    age(&state);
    let late = at(90 * 24 * 3600);
    let say = |said: Said| {
        let voted = Voted { about: Feedback::about(&kept), picture: true };
        let vote = Vote { by: "ada".to_owned(), at: at(9), said, blind: false };
        state.catalog.give_feedback(&birds, &voted, &vote, None).unwrap()
    };
    assert_eq!(run(&state, late, true).unwrap().orphans, 2);
    for said in [Said::Correct, Said::WrongUnknown, Said::Wrong { class: "jay".to_owned() }] {
        let row = say(said);
        assert_eq!(run(&state, late, true).unwrap().orphans, 1, "{:?}", row.state);
    }
    let row = state.catalog.feedback(&birds, kept.id).unwrap().unwrap();
    let source = Source::Feedback { prediction: kept.id, generation: row.generation };
    state.catalog.note_fates(&birds, &[(source, Fate::AlreadyThere)], None).unwrap();
    assert_eq!(run(&state, late, true).unwrap().orphans, 2, "it is in production, or nowhere");
}

#[test]
fn only_what_nothing_refers_to_is_erased() {
    let dir = tempfile::tempdir().unwrap();
    let (state, referenced) = full_state(&dir.path().join("state"));
    let erase = |hash| {
        let erased = erase(&state.catalog, &state.log, &state.blobs, &[hash], at(2), &Silent)?;
        Ok::<_, StoreError>(erased[0])
    };
    age(&state);
    let picture = Hash::of(b"picture");
    assert_eq!(erase(picture).unwrap(), Erasure::Named);
    let page = state.log.page(&name("birds"), &Default::default(), None, 10, Duration::MAX).unwrap();
    let kept = page.items.into_iter().find(|prediction| prediction.image == picture).unwrap();
    state.log.forget(&name("birds"), kept.id).unwrap().unwrap();
    // Somebody put the same picture again since it was asked for.
    state.blobs.put(b"picture").unwrap();
    assert_eq!(erase(picture).unwrap(), Erasure::Waits);
    age(&state);
    assert_eq!(erase(picture).unwrap(), Erasure::Gone);
    assert_eq!(state.blobs.get(picture).unwrap(), None);

    state.blobs.delete(referenced[5]).unwrap();
    assert!(erase(Hash::of(b"not kept")).is_err(), "a manifest is missing");
}

#[test]
fn what_a_running_job_may_be_about_to_name_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = full_state(&dir.path().join("state"));
    // Put by the job, before somebody asked for the erasure.
    let image = state.blobs.put(b"an image of both").unwrap();
    let begun = Time::now().minus(Duration::from_secs(60));
    let importing = job(Some("birds"));
    let importing = Job { state: JobState::Running, started: Some(begun), ..importing };
    let row = state.catalog.insert_job(&importing, None).unwrap();
    let now = Time::now().plus(Duration::from_secs(60));
    let erase = || erase(&state.catalog, &state.log, &state.blobs, &[image], now, &Silent).unwrap()[0];
    assert_eq!(erase(), Erasure::Waits);
    state.catalog.save_job(&Job { state: JobState::Failed, ..row }).unwrap();
    assert_eq!(erase(), Erasure::Gone);
}

/// Facts in which somebody accepts a change-set as soon as a list of them, or of versions, was read.
struct Meanwhile {
    state: Arc<State>,
    set: vigie_protocol::ChangeSetId,
    done: AtomicBool,
}

impl Facts for Meanwhile {
    fn get(&self, key: &[u8]) -> Result<Option<Fact>> {
        self.state.facts.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Fact)>> {
        let read = self.state.facts.scan(prefix, after, order, limit);
        let listed = [&b"change-set"[..], b"dataset"].iter().any(|list| prefix.starts_with(list));
        if listed && !self.done.swap(true, Ordering::SeqCst) {
            self.state.catalog.accept(&name("birds"), self.set, None, &decision(9), None)?;
        }
        read
    }

    fn commit(&self, batch: &Batch) -> Result<u64> {
        self.state.facts.commit(batch)
    }
}

#[test]
fn what_is_accepted_meanwhile_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (state, referenced) = full_state(&dir.path().join("state"));
    age(&state);
    let sets = state.catalog.change_sets(&name("birds"), None, 9).unwrap();
    let set = sets.items.into_iter().find(|set| set.state == ChangeSetState::Proposed).unwrap().id;
    let state = Arc::new(state);
    let meanwhile = Meanwhile { state: state.clone(), set, done: AtomicBool::new(false) };
    let catalog = Catalog::new(Arc::new(meanwhile));
    let plan = GcPlan { now: now(), grace: GRACE, dry_run: false };
    let report = collect(&catalog, &state.log, &state.blobs, &plan, &Silent).unwrap();
    assert_eq!((report.orphans, report.missing), (1, vec![]));
    assert_eq!(state.catalog.datasets(&name("birds"), None, None, 9).unwrap().items.len(), 2, "accepted");
    assert!(referenced.iter().all(|&hash| state.blobs.get(hash).unwrap().is_some()));
}
