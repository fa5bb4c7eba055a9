//! The loop on a clock that the tests move: tokio's for what elapses, a skew for what is set.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vigie_core::store::catalog::{Catalog, EventDraft, ScheduleDraft};
use vigie_core::store::facts::RedbFacts;
use vigie_protocol::event::{Event, Severity, Subject};
use vigie_protocol::health::ServiceState;
use vigie_protocol::schedule::{
    CatchUp, EventFilter, FiredJob, Firing, FiringCause, FiringState, ScheduleAction, ScheduleSpec, Trigger,
};
use vigie_protocol::{ApiError, ErrorCode, JobId, ModelNumber, ScheduleName, Time};

use super::*;

/// What an action comes to.
enum Script {
    Comes(Result<Acted, ApiError>),
    Panics,
    Hangs,
}

/// An agent that does what the test says: done, when it says nothing.
struct Fake {
    began: Instant,
    skew_s: Mutex<i64>,
    script: Mutex<VecDeque<Script>>,
    acted: Mutex<Vec<Firing>>,
    at_work: Mutex<Option<JobId>>,
    told: Mutex<Vec<String>>,
    health: Mutex<String>,
    changes: watch::Sender<u64>,
}

impl World for Fake {
    fn now(&self) -> Time {
        let time = noon().plus(self.began.elapsed());
        let skew = *self.skew_s.lock().unwrap();
        let span = Duration::from_secs(skew.unsigned_abs());
        if skew < 0 { time.minus(span) } else { time.plus(span) }
    }

    async fn act(&self, firing: &Firing) -> Result<Acted, ApiError> {
        self.acted.lock().unwrap().push(firing.clone());
        self.changes.send_modify(|count| *count += 1);
        let script = self.script.lock().unwrap().pop_front();
        match script {
            None => Ok(Acted::Done("done".to_owned())),
            Some(Script::Comes(result)) => result,
            Some(Script::Panics) => panic!("as the test says"),
            Some(Script::Hangs) => std::future::pending().await,
        }
    }

    async fn at_work(&self, _: &[FiredJob]) -> Result<Option<JobId>, ApiError> {
        Ok(*self.at_work.lock().unwrap())
    }

    fn tell(&self, event: Event) {
        self.told.lock().unwrap().push(event.text);
        self.changes.send_modify(|count| *count += 1);
    }

    async fn health(&self, _: ServiceState, detail: String) {
        *self.health.lock().unwrap() = detail;
    }
}

fn noon() -> Time {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn name(text: &str) -> ScheduleName {
    text.parse().unwrap()
}

fn minutes(n: u32) -> Trigger {
    Trigger::Interval { seconds: n * 60 }
}

struct Test {
    _folder: tempfile::TempDir,
    catalog: Catalog,
    world: Arc<Fake>,
    handle: SchedulerHandle,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl Test {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let facts = RedbFacts::open(&folder.path().join("meta.redb"), None).unwrap();
        let world = Fake {
            began: Instant::now(),
            skew_s: Mutex::default(),
            script: Mutex::default(),
            acted: Mutex::default(),
            at_work: Mutex::default(),
            told: Mutex::default(),
            health: Mutex::default(),
            changes: watch::Sender::new(0),
        };
        Self {
            _folder: folder,
            catalog: Catalog::new(Arc::new(facts)),
            world: Arc::new(world),
            handle: SchedulerHandle::default(),
            stop: CancellationToken::new(),
            running: None,
        }
    }

    fn set(&self, text: &str, trigger: Trigger, catch_up: CatchUp) {
        let (action, description) = (ScheduleAction::Gc, String::new());
        let spec = ScheduleSpec { trigger, action, catch_up, jitter_s: 0, description };
        let (at, by) = (self.world.now(), "ada".to_owned());
        let draft = ScheduleDraft { project: None, name: name(text), spec, at, by };
        self.catalog.set_schedule(&draft, 0, None).unwrap();
        self.handle.wake();
    }

    fn start(&mut self) {
        self.stop = CancellationToken::new();
        let scheduler = Scheduler::new(self.world.clone(), self.catalog.clone(), self.handle.clone());
        self.running = Some(tokio::spawn(scheduler.run(self.stop.clone())));
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        self.running.take().unwrap().await.unwrap();
    }

    /// As a power cut would.
    async fn kill(&mut self) {
        let running = self.running.take().unwrap();
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
    }

    fn says(&self, script: impl IntoIterator<Item = Script>) {
        self.world.script.lock().unwrap().extend(script);
    }

    fn set_clock(&self, by_s: i64) {
        *self.world.skew_s.lock().unwrap() += by_s;
    }

    fn history(&self, text: &str) -> Vec<Firing> {
        self.catalog.firings(None, &name(text), None, 1_000).unwrap().items
    }

    /// Waits until the newest firing of a schedule is the `number`th and has ended.
    async fn ended(&self, text: &str, number: u64) -> Firing {
        self.until(|| {
            let newest = self.history(text).into_iter().next();
            newest.filter(|newest| newest.number >= number && newest.state != FiringState::Begun)
        })
        .await
    }

    async fn until<T>(&self, found: impl Fn() -> Option<T>) -> T {
        let mut changes = self.world.changes.subscribe();
        let patience = Duration::from_secs(40 * 24 * 3_600);
        tokio::time::timeout(patience, async {
            loop {
                changes.mark_unchanged();
                if let Some(found) = found() {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        })
        .await
        .unwrap()
    }

    fn acted(&self) -> Vec<Firing> {
        self.world.acted.lock().unwrap().clone()
    }

    fn minutes_of_acts(&self) -> Vec<u64> {
        self.acted().iter().map(|firing| firing.due.since(noon()).as_secs() / 60).collect()
    }
}

fn failed(code: ErrorCode) -> Script {
    Script::Comes(Err(ApiError::new(code, "not now").with_hint("wait")))
}

#[tokio::test(start_paused = true)]
async fn what_is_due_fires_when_it_is_due() {
    let mut test = Test::new();
    test.set("tidy", minutes(10), CatchUp::Once);
    test.start();
    let third = test.ended("tidy", 3).await;
    assert_eq!(test.minutes_of_acts(), [10, 20, 30]);
    assert_eq!(
        (third.state, &third.cause, third.detail.as_str()),
        (FiringState::Done, &FiringCause::Due, "done")
    );
    // To the second: nothing polls for it.
    assert!(third.ended.unwrap().since(third.due) < Duration::from_secs(2), "{third:?}");
    assert_eq!(
        test.world.told.lock().unwrap()[0],
        "schedule tidy, remove blobs that nothing refers to: done, done"
    );
    assert_eq!(*test.world.health.lock().unwrap(), "1 schedule");
    test.stop().await;
    assert_eq!(test.catalog.schedules_at_odds().unwrap(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_kill_between_firing_and_action_loses_and_doubles_nothing() {
    let mut test = Test::new();
    test.set("tidy", minutes(10), CatchUp::Once);
    // Laid down, and then the power went.
    let asked = test.catalog.ask_firing(None, &name("tidy"), "bob", noon(), None).unwrap();
    test.start();
    let ended = test.ended("tidy", 1).await;
    assert_eq!((ended.id, ended.state), (asked.id, FiringState::Done));
    // Begun, and then the power went: the same firing again, whose keys are the same.
    test.says([Script::Hangs]);
    let second = test.until(|| test.acted().get(1).cloned()).await;
    test.kill().await;
    test.start();
    let third = test.until(|| test.acted().get(2).cloned()).await;
    assert_eq!((third.id, third.number), (second.id, 2));
    // Cut off in good order: the same.
    test.ended("tidy", 2).await;
    test.says([Script::Hangs]);
    let fourth = test.until(|| test.acted().get(3).cloned()).await;
    test.stop().await;
    test.start();
    let fifth = test.until(|| test.acted().get(4).cloned()).await;
    assert_eq!(fifth.id, fourth.id);
    test.ended("tidy", 3).await;
    test.stop().await;
    test.start();
    test.ended("tidy", 4).await;
    assert_eq!(test.acted().len(), 6, "what has ended is not begun again");
    test.stop().await;
}

#[tokio::test(start_paused = true)]
async fn downtime_is_caught_up_as_told() {
    let mut test = Test::new();
    let hourly = || Trigger::Cron { expression: "0 * * * *".to_owned(), time_zone: "UTC".to_owned() };
    test.set("once", hourly(), CatchUp::Once);
    test.set("skip", hourly(), CatchUp::Skip);
    test.set("each", hourly(), CatchUp::All { at_most: 2 });
    tokio::time::advance(Duration::from_secs(5 * 3_600 + 1_800)).await;
    test.start();
    test.ended("each", 3).await;
    let causes = |text: &str| -> Vec<(FiringCause, FiringState)> {
        test.history(text).into_iter().rev().map(|firing| (firing.cause, firing.state)).collect()
    };
    let missed = |firings| FiringCause::Missed { firings };
    test.ended("once", 1).await;
    assert_eq!(causes("once"), [(missed(5), FiringState::Done)]);
    assert_eq!(causes("skip"), [(missed(5), FiringState::Skipped)]);
    let each =
        [(missed(3), FiringState::Skipped), (missed(1), FiringState::Done), (missed(1), FiringState::Done)];
    assert_eq!(causes("each"), each);
    test.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_set_under_it() {
    let mut test = Test::new();
    let hourly = Trigger::Cron { expression: "30 * * * *".to_owned(), time_zone: "Europe/Paris".to_owned() };
    test.set("tidy", hourly, CatchUp::Once);
    test.start();
    test.ended("tidy", 1).await;
    assert_eq!(test.minutes_of_acts(), [30]);
    // Back by an hour: half past one has been, and the next is half past two.
    test.set_clock(-3_600);
    test.ended("tidy", 2).await;
    assert_eq!(test.minutes_of_acts(), [30, 90]);
    assert_eq!(test.world.began.elapsed().as_secs() / 60, 150);
    // Forward by four: noticed within half a minute, and made up for by one.
    test.set_clock(4 * 3_600);
    let caught = test.ended("tidy", 3).await;
    assert_eq!(caught.cause, FiringCause::Missed { firings: 4 });
    assert!(test.world.began.elapsed().as_secs() <= 150 * 60 + 40);
    // Back by a day: it was wrong before, and the new one counts.
    test.set_clock(-24 * 3_600);
    let next = test.ended("tidy", 4).await;
    assert!(next.due < noon(), "{next:?}");
    test.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_and_what_cannot_is_said() {
    let mut test = Test::new();
    test.set("tidy", minutes(60), CatchUp::Once);
    test.start();
    test.says([failed(ErrorCode::Overloaded), failed(ErrorCode::Storage)]);
    let first = test.ended("tidy", 1).await;
    assert_eq!((first.state, test.acted().len()), (FiringState::Done, 3));
    assert!(first.ended.unwrap().since(first.due) >= Duration::from_secs(35));
    assert!(test.acted().iter().all(|firing| firing.id == first.id));

    test.says([failed(ErrorCode::NotFound)]);
    let second = test.ended("tidy", 2).await;
    assert_eq!((second.state, second.detail.as_str()), (FiringState::Failed, "not now; wait"));
    test.says((0..5).map(|_| failed(ErrorCode::Overloaded)));
    assert_eq!(test.ended("tidy", 3).await.state, FiringState::Failed);
    let events = test.catalog.events_since(0, 10).unwrap();
    let severities: Vec<Severity> = events.iter().map(|event| event.severity).collect();
    assert_eq!(severities, [Severity::Info, Severity::Warning, Severity::Warning]);
    test.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_and_not_the_end() {
    let mut test = Test::new();
    test.set("tidy", minutes(10), CatchUp::Once);
    test.start();
    test.says([Script::Panics]);
    let first = test.ended("tidy", 1).await;
    assert_eq!((first.state, test.acted().len()), (FiringState::Failed, 1));
    assert_eq!(test.ended("tidy", 2).await.state, FiringState::Done);
    test.stop().await;
}

#[tokio::test(start_paused = true)]
async fn firings_do_not_pile_up() {
    let mut test = Test::new();
    test.set("tidy", minutes(10), CatchUp::Once);
    test.start();
    let job = JobId::new();
    let jobs = vec![job];
    test.says([Script::Comes(Ok(Acted::Submitted { jobs, detail: "removing".to_owned() }))]);
    let first = test.ended("tidy", 1).await;
    assert_eq!(
        (first.state, first.jobs.as_slice()),
        (FiringState::Submitted, &[FiredJob { job, state: None }][..])
    );
    *test.world.at_work.lock().unwrap() = Some(job);
    let second = test.ended("tidy", 2).await;
    assert_eq!(second.state, FiringState::Skipped);
    assert!(second.detail.contains(&job.to_string()), "{second:?}");
    // Whoever asks gets it all the same.
    test.catalog.ask_firing(None, &name("tidy"), "bob", test.world.now(), None).unwrap();
    test.handle.wake();
    assert_eq!(test.ended("tidy", 3).await.state, FiringState::Done);
    // A slow action holds its own schedule up, and no other.
    *test.world.at_work.lock().unwrap() = None;
    test.says([Script::Hangs]);
    test.until(|| test.acted().get(2).cloned()).await;
    test.set("other", minutes(10), CatchUp::Once);
    test.ended("other", 2).await;
    let open = test.catalog.open_firings().unwrap();
    assert!(open.len() >= 2 && open.iter().all(|firing| firing.schedule == name("tidy")), "{open:?}");
    test.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_kept() {
    let mut test = Test::new();
    test.set("tidy", minutes(10), CatchUp::All { at_most: 9 });
    test.set("other", minutes(10), CatchUp::Once);
    let by = || vigie_protocol::dataset::Decision { at: noon(), by: "bob".to_owned(), reason: None };
    test.catalog.pause_schedule(None, &name("tidy"), Some(&by()), noon(), None).unwrap();
    test.start();
    test.ended("other", 5).await;
    assert!(test.history("tidy").is_empty());
    test.catalog.pause_schedule(None, &name("tidy"), None, test.world.now(), None).unwrap();
    test.handle.wake();
    assert_eq!(test.ended("tidy", 1).await.cause, FiringCause::Due);
    test.catalog.remove_schedule(None, &name("tidy"), None).unwrap();
    test.handle.wake();
    test.ended("other", 9).await;
    assert!(test.history("tidy").is_empty());
    test.stop().await;
}

#[tokio::test(start_paused = true)]
async fn events_fire_once_they_are_over() {
    let mut test = Test::new();
    let happens = |test: &Test, subject| {
        let draft = EventDraft {
            at: test.world.now(),
            project: None,
            severity: Severity::Info,
            subject,
            text: String::new(),
        };
        test.catalog.append_event(&draft).unwrap();
        test.handle.wake();
    };
    let model = || Subject::Model { number: ModelNumber(1) };
    happens(&test, model());
    let on = Trigger::Event { on: EventFilter::Model, debounce_s: 300 };
    test.set("tidy", on, CatchUp::Once);
    test.start();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(120)).await;
        happens(&test, model());
        happens(&test, Subject::Agent);
    }
    let first = test.ended("tidy", 1).await;
    // What was there before it was set does not count.
    assert_eq!(first.cause, FiringCause::Event { seq: 6, events: 3 });
    assert_eq!(first.due.since(noon()).as_secs(), 3 * 120 + 300);
    // One that happened before a kill fires after it.
    happens(&test, model());
    test.kill().await;
    tokio::time::advance(Duration::from_secs(9_000)).await;
    test.start();
    let second = test.ended("tidy", 2).await;
    assert!(matches!(second.cause, FiringCause::Event { events: 1, .. }), "{second:?}");
    tokio::time::advance(Duration::from_secs(9_000)).await;
    test.stop().await;
    assert_eq!(test.history("tidy").len(), 2);
}
