//! Faults: what a client sees of each, and that it passes when the fault does.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use vigie_protocol::event::{Severity, Update, WatchCursor};
use vigie_protocol::service::*;
use vigie_protocol::wire::client::AgentClient;
use vigie_protocol::wire::watch::{Watched as Told, Watcher};
use vigie_protocol::wire::{LinkState, MAX_WAIT};
use vigie_protocol::{ApiError, ErrorCode};
use vigie_tests::fleet::{SimAgent, Skew};

use crate::{ask, birds, fleet};

const HOUR: Duration = Duration::from_secs(3_600);

/// The state of a link once it is as wanted; a test in paused time does not wait in vain for long.
async fn link(client: &AgentClient, wanted: impl Fn(&LinkState) -> bool) -> LinkState {
    let mut status = client.status();
    timeout(HOUR, status.wait_for(|state| wanted(state))).await.expect("in time").expect("alive").clone()
}

fn connected(state: &LinkState) -> bool {
    matches!(state, LinkState::Connected(_))
}

async fn whoami(client: &AgentClient) -> Result<(), ApiError> {
    ask!(client, whoami, Empty {}).map(drop)
}

#[tokio::test(start_paused = true)]
async fn answers_are_as_late_as_the_line_is_long() {
    let (fleet, client) = fleet(1, 0);
    whoami(&client).await.expect("connected");
    let ms = Duration::from_millis;
    for (latency, jitter) in [(0, 0), (50, 0), (200, 100), (0, 30)] {
        fleet.agent(0).latency(ms(latency));
        fleet.agent(0).jitter(ms(jitter));
        for _ in 0..5 {
            let began = Instant::now();
            whoami(&client).await.expect("answered");
            let took = began.elapsed();
            let range = ms(2 * latency)..=ms(2 * (latency + jitter) + 4);
            assert!(range.contains(&took), "{latency} and {jitter}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_agent_is_silent_and_goes_on() {
    let (fleet, client) = fleet(1, 0);
    whoami(&client).await.expect("connected");
    let agent = fleet.agent(0);
    agent.stall();
    let error = whoami(&client).await.expect_err("silence");
    assert_eq!(error.code, ErrorCode::Timeout);
    assert!(connected(&client.status().borrow()), "the connection is open");
    agent.resume();
    whoami(&client).await.expect("answered");
    assert_eq!(agent.dials(), 1);

    // For so long that the client gives the connection up; dialing gets nowhere either.
    agent.stall();
    link(&client, |state| matches!(state, LinkState::Waiting { .. })).await;
    // Dialing succeeds, and then nobody shakes hands.
    let state = link(
        &client,
        |state| matches!(state, LinkState::Waiting { error, .. } if error.message.contains("said nothing")),
    )
    .await;
    assert!(agent.dials() > 1, "{state:?}");
    agent.resume();
    link(&client, connected).await;
    whoami(&client).await.expect("answered");
}

#[tokio::test(start_paused = true)]
async fn a_killed_agent_is_gone_until_it_starts_again() {
    let (fleet, client) = fleet(1, 1_000);
    let first = client.welcome().await.expect("connected");
    let agent = fleet.agent(0);
    agent.kill();
    let state = link(&client, |state| matches!(state, LinkState::Waiting { .. })).await;
    let LinkState::Waiting { error, .. } = state else { panic!("{state:?}") };
    assert_eq!(error.code, ErrorCode::Unavailable);
    let error = whoami(&client).await.expect_err("nobody there");
    assert!(error.message.contains("no agent listens on sim:agent-000") && error.hint.is_some(), "{error:?}");

    fleet.tick(HOUR);
    agent.restart();
    link(&client, connected).await;
    let second = client.welcome().await.expect("connected");
    assert_eq!((second.agent_id, agent.id()), (first.agent_id, agent.id()));
    assert!(second.epoch != first.epoch && second.epoch == agent.epoch());
    let health = ask!(client, health, Empty {}).expect("answered");
    assert_eq!((health.started, health.now), (fleet.now(), fleet.now()));
    // What ran when it was killed goes on, and the log has a gap.
    let jobs = ask!(client, job_list, JobList::default()).expect("listed").items;
    assert!(jobs.iter().any(|job| job.attempts == 2 && !job.state.is_final()));
    let counts =
        PredictionCounts { project: birds(), since: fleet.now().minus(HOUR / 2), until: fleet.now() };
    assert_eq!(ask!(client, prediction_counts, counts).expect("counted"), []);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_refused_hears_why() {
    let (fleet, client) = fleet(1, 0);
    whoami(&client).await.expect("connected");
    let refusal = ApiError::new(ErrorCode::Forbidden, "uid 1007 has no role here").with_hint("ask an admin");
    fleet.agent(0).refuse(refusal.clone());
    let state = link(&client, |state| matches!(state, LinkState::Refused { .. })).await;
    assert!(matches!(state, LinkState::Refused { error } if error == refusal));
    assert_eq!(whoami(&client).await, Err(refusal));
    fleet.agent(0).admit();
    link(&client, connected).await;
    whoami(&client).await.expect("let in");
}

#[tokio::test(start_paused = true)]
async fn an_agents_clock_may_be_wrong() {
    let (fleet, client) = fleet(2, 10_000);
    let agent = fleet.agent(0);
    let newest = async || {
        let list = PredictionList { project: birds(), filter: Default::default(), page: Default::default() };
        ask!(client, prediction_list, list).expect("listed").items
    };
    for (direction, by) in [(Skew::Ahead, HOUR), (Skew::Behind, HOUR * 2)] {
        agent.skew(by, direction);
        let shown = match direction {
            Skew::Ahead => fleet.now().plus(by),
            Skew::Behind => fleet.now().minus(by),
        };
        assert_eq!(agent.now(), shown);
        assert_eq!(ask!(client, health, Empty {}).expect("answered").now, shown);
        agent.emit(Severity::Info, "stamped");
        let events = ask!(client, event_list, EventList::default()).expect("listed").items;
        assert_eq!((events[0].at, events[0].text.as_str()), (shown, "stamped"));
        agent.restart();
        link(
            &client,
            |state| matches!(state, LinkState::Connected(welcome) if welcome.epoch == agent.epoch()),
        )
        .await;
        assert_eq!(client.welcome().await.expect("connected").server_time, shown);
        fleet.tick(HOUR * 4);
        let log = newest().await;
        assert!(log.is_sorted_by_key(|row| std::cmp::Reverse(row.at)), "in the order of its own times");
        crate::once("the log", &log);
    }
    assert_eq!(fleet.agent(1).now(), fleet.now(), "the others go right");
}

#[tokio::test(start_paused = true)]
async fn lost_answers_and_old_builds() {
    let (fleet, client) = fleet(1, 0);
    let agent: &SimAgent = fleet.agent(0);
    agent.lose(2);
    for _ in 0..2 {
        assert_eq!(whoami(&client).await.expect_err("lost").code, ErrorCode::Timeout);
    }
    whoami(&client).await.expect("the third arrives");
    assert_eq!(agent.asked("whoami"), 3);

    agent.version("0.0.9", &["prediction_counts", "gate_test"]);
    link(&client, |state| matches!(state, LinkState::Connected(welcome) if welcome.version == "0.0.9")).await;
    let (since, until) = (fleet.now(), fleet.now());
    let error = ask!(client, prediction_counts, PredictionCounts { project: birds(), since, until });
    let error = error.expect_err("it has no such method");
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::Unsupported, "the agent (0.0.9) is too old for prediction_counts")
    );
    assert_eq!(ask!(client, health, Empty {}).expect("it has that").version, "0.0.9");
    agent.version("0.1.0", &[]);
    link(&client, |state| matches!(state, LinkState::Connected(welcome) if welcome.version == "0.1.0")).await;
    let counts = ask!(client, prediction_counts, PredictionCounts { project: birds(), since, until });
    assert_eq!(counts, Ok(Vec::new()));
}

/// The texts of the events that a watcher is told next.
async fn told(watcher: &mut Watcher) -> Vec<String> {
    match timeout(HOUR, watcher.next()).await.expect("in time").expect("it goes on") {
        Told::Resync => vec!["resync".to_owned()],
        Told::Updates(updates) => updates
            .into_iter()
            .filter_map(|update| match update {
                Update::Event { event } => Some(event.text),
                Update::Job { .. } | Update::Unknown => None,
            })
            .collect(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_hears_of_everything_over_stalls_and_restarts() {
    let (fleet, client) = fleet(1, 0);
    let agent = fleet.agent(0);
    let start = ask!(client, watch, Watch { cursor: None, max_wait_ms: 0 }).expect("answered").next;
    assert_eq!(start.epoch, agent.epoch());
    let mut watcher = Watcher::spawn(&client, Some(start));
    for text in ["one", "two"] {
        agent.emit(Severity::Info, text);
        assert_eq!(told(&mut watcher).await, [text]);
    }
    agent.stall();
    agent.emit(Severity::Warning, "three");
    agent.resume();
    assert_eq!(told(&mut watcher).await, ["three"]);

    agent.restart();
    agent.emit(Severity::Error, "four");
    assert_eq!(told(&mut watcher).await, ["resync"]);
    agent.emit(Severity::Info, "five");
    assert_eq!(told(&mut watcher).await.last().map(String::as_str), Some("five"));
    let events = ask!(client, event_list, EventList::default()).expect("listed").items;
    let texts: Vec<&str> = events.iter().map(|event| event.text.as_str()).collect();
    let places =
        ["five", "four", "three", "two", "one"].map(|text| texts.iter().position(|other| *other == text));
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{places:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_waits_and_knows_lost_places() {
    let (fleet, client) = fleet(1, 0);
    let agent = fleet.agent(0);
    let watch = async |cursor, max_wait_ms| {
        let client = client.with_timeout(Duration::from_secs(40));
        ask!(client, watch, Watch { cursor: Some(cursor), max_wait_ms }).expect("answered")
    };
    let start = ask!(client, watch, Watch { cursor: None, max_wait_ms: 0 }).expect("answered").next;
    for (asked, waits) in [(0, Duration::ZERO), (3_000, Duration::from_secs(3)), (u32::MAX, MAX_WAIT)] {
        let began = Instant::now();
        let answer = watch(start, asked).await;
        assert!(answer.updates.is_empty() && !answer.resync && answer.next == start);
        let took = began.elapsed();
        assert!(took >= waits && took <= waits + Duration::from_millis(10), "{took:?}");
    }
    (0..501).for_each(|n| agent.emit(Severity::Info, &n.to_string()));
    for lost in
        [start, WatchCursor { epoch: start.epoch ^ 2, ..start }, WatchCursor { seq: u64::MAX, ..start }]
    {
        let answer = watch(lost, 0).await;
        assert!(answer.resync && answer.updates.is_empty());
        assert!(!watch(answer.next, 0).await.resync);
    }
}
