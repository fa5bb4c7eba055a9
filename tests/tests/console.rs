//! The console's loop against a simulated fleet: links that fail, data that stalls, bytes that count.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vigie::tui::state::{Answer, Link, PictureState, Query, State, View};
use vigie_protocol::feedback::LabelQueue;
use vigie_protocol::{ApiError, ErrorCode};
use vigie_tests::console::{Console, clock_of};
use vigie_tests::fleet::{Fleet, FleetOptions};

/// Real time that a machine under load may need.
const PATIENCE: Duration = Duration::from_secs(60);

fn small() -> Arc<Fleet> {
    Arc::new(Fleet::new(&FleetOptions { agents: 8, predictions: 20_000, ..FleetOptions::default() }))
}

fn console(fleet: &Arc<Fleet>, runtime: &tokio::runtime::Runtime) -> Console {
    let names = fleet.names();
    let agents = names.into_iter().enumerate().map(|(i, name)| (name, fleet.dialer(i))).collect();
    Console::new(agents, (120, 40), clock_of(fleet), runtime.handle())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn connected(console: &mut Console, agents: usize) {
    let all = |state: &State| {
        let there = |agent: &vigie::tui::state::Agent| {
            agent.snapshot.is_connected() && agent.snapshot.health.is_some()
        };
        state.fleet.agents.iter().filter(|agent| there(agent)).count() == agents
    };
    assert!(console.until(PATIENCE, all), "not every agent is there");
}

fn link(console: &Console, agent: usize) -> &Link {
    &console.state().fleet.agents[agent].snapshot.link
}

#[test]
fn every_kind_of_loss_is_told_and_survived() {
    let (fleet, runtime) = (small(), runtime());
    let mut console = console(&fleet, &runtime);
    connected(&mut console, 8);
    fleet.agent(0).kill();
    fleet.agent(1).refuse(ApiError::new(ErrorCode::Forbidden, "not today").with_hint("ask bob"));
    let told = |state: &State| {
        let link = |agent: usize| &state.fleet.agents[agent].snapshot.link;
        matches!(link(0), Link::Waiting { .. }) && matches!(link(1), Link::Refused { .. })
    };
    assert!(console.until(PATIENCE, told), "{:?} {:?}", link(&console, 0), link(&console, 1));
    // What is lost is still shown, with its age; the console answers.
    assert!(console.state().fleet.agents[0].snapshot.health.is_some());
    console.press("? esc 2 3 4 6 0 1");
    assert_eq!(console.state().screen().view, View::Overview);
    fleet.agent(0).restart();
    assert!(console.until(PATIENCE, |state| state.fleet.agents[0].snapshot.is_connected()));
    // All gone: the console stays.
    (0..8).for_each(|agent| fleet.agent(agent).kill());
    assert!(
        console.until(PATIENCE, |state| state
            .fleet
            .agents
            .iter()
            .all(|agent| !agent.snapshot.is_connected()))
    );
    console.press("? esc 2 j j enter esc 1");
}

#[test]
fn a_stalled_agent_keeps_nobody_waiting() {
    let (fleet, runtime) = (small(), runtime());
    let mut console = console(&fleet, &runtime);
    connected(&mut console, 8);
    fleet.agent(2).stall();
    console.go("project birds@agent-002");
    console.go("predictions");
    let slowest = console.press("j k j k G g g 1 2 3 4");
    assert!(slowest < Duration::from_secs(1), "a key took {slowest:?}");
    // The others go on.
    console.go("project birds@agent-000");
    console.go("predictions");
    assert!(console.until(PATIENCE, |state| vigie::tui::shown_rows(state) > 0));
}

#[test]
fn long_lists_are_read_as_they_are_scrolled() {
    let (fleet, runtime) = (small(), runtime());
    let mut console = console(&fleet, &runtime);
    connected(&mut console, 8);
    console.go("project birds@agent-000");
    console.go("predictions");
    assert!(console.until(PATIENCE, |state| vigie::tui::shown_rows(state) >= 200));
    for rows in [400, 600, 800] {
        console.press("G");
        assert!(console.until(PATIENCE, |state| vigie::tui::shown_rows(state) >= rows), "{rows}");
    }
}

#[test]
fn an_idle_console_writes_nothing_but_ages() {
    let fleet =
        Arc::new(Fleet::new(&FleetOptions { agents: 1, predictions: 100, ..FleetOptions::default() }));
    let runtime = runtime();
    let mut console = console(&fleet, &runtime);
    connected(&mut console, 1);
    fleet.agent(0).stall();
    console.press("8");
    for _ in 0..10 {
        console.pass(Duration::from_secs(1));
    }
    console.written();
    // Nothing comes, nothing is pressed, no second passes: nothing is drawn.
    for _ in 0..60 {
        console.pass(Duration::from_secs(1));
    }
    assert_eq!(console.written().writes, 0);
    // Seconds that change no age that is shown are not drawn either.
    let now = console.state().now;
    let mut writes = 0;
    for second in 1..=60 {
        console.second(now.plus(Duration::from_secs(second)));
        writes += console.written().writes;
    }
    assert!(writes <= 30, "{writes} frames in an idle minute");
}

/// The image that is asked for at the labelling desk, if its picture can be drawn at once.
fn ready(state: &State) -> Option<vigie_protocol::PredictionId> {
    let View::Label { place } = &state.screen().view else { return None };
    let query = Query::LabelNext { project: place.project.clone(), queue: LabelQueue::Deferred };
    let Some(Answer::LabelNext { items, .. }) = state.answer(place.agent, query) else { return None };
    let next = state.labelling.upcoming(&items.rows).next()?;
    let drawable = |((image, _), fate): (&(vigie_protocol::Hash, _), &PictureState)| {
        *image == next.image && *fate != PictureState::Asked
    };
    state.pictures.iter().any(drawable).then_some(next.prediction)
}

/// Sixty pictures, each answered as soon as it is seen, over a link on which every answer takes 160 ms:
/// the key is answered by the next picture, not by the agent.
#[test]
fn labelling_does_not_wait_for_the_link() {
    const PICTURES: u64 = 60;
    let (fleet, runtime) = (small(), runtime());
    fleet.warm();
    // 80 ms each way.
    fleet.agent(0).latency(Duration::from_millis(80));
    let mut console = console(&fleet, &runtime);
    connected(&mut console, 8);
    console.go("project birds@agent-000");
    console.go("label");
    assert!(console.until(PATIENCE, |state| ready(state).is_some()), "the first picture does not come");

    let begun = Instant::now();
    let (mut slowest, mut largest) = (Duration::ZERO, 0);
    let mut seen = std::collections::BTreeSet::new();
    for n in 1..=PICTURES {
        let shown = ready(console.state()).expect("the picture is there");
        assert!(seen.insert(shown), "{shown} is asked twice");
        console.pass(Duration::from_millis(100));
        console.written();
        // From the key to the bytes of the frame, which shows another image with its picture.
        slowest = slowest.max(console.press("y"));
        largest = largest.max(console.written().bytes);
        assert_eq!(console.state().labelling.answered, n, "the answer counts at once");
        assert_ne!(ready(console.state()), Some(shown));
        // Nobody waits for the answers: only for the pictures beyond, which come while one is looked at.
        assert!(console.until(PATIENCE, |state| ready(state).is_some()), "picture {n} does not come");
    }
    let took = begun.elapsed();
    assert!(slowest < Duration::from_millis(150), "a key took {slowest:?}");
    assert!(took < Duration::from_secs(60), "{PICTURES} pictures took {took:?}: that is no picture a second");
    // A frame of half-blocks is what a remote terminal has to take in before the next second.
    assert!(largest < 128 << 10, "a frame of {largest} bytes");
    assert!(console.until(PATIENCE, |state| state.asked.is_empty()), "answers are under way");
    assert_eq!(fleet.agent(0).asked("feedback_give"), PICTURES, "each answer went out once");

    // An agent that goes away costs no answer unnoticed: what it never took is asked again.
    let before = console.state().labelling.answered;
    fleet.agent(0).refuse(ApiError::new(ErrorCode::Forbidden, "not today"));
    console.press("y");
    assert!(console.until(PATIENCE, |state| state.asked.is_empty()), "nobody says what became of it");
    assert_eq!(console.state().labelling.answered, before);
}
