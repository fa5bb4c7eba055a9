//! The console's loop against a simulated fleet: links that fail, data that stalls, bytes that count.

use std::sync::Arc;
use std::time::Duration;

use vigie::tui::state::{Link, View};
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
    let all = |state: &vigie::tui::state::State| {
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
    let told = |state: &vigie::tui::state::State| {
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
