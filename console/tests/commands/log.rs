//! `vigie agents`: what an agent is for, and what it says of itself.

use tokio::io::{AsyncBufReadExt, BufReader};
use vigie_protocol::service::AgentLogLine;

use crate::fake::{Fake, World};

#[tokio::test]
async fn the_environment_is_the_agents_word() {
    let fake = Fake::start(World::birds());
    let ran = fake.vigie("agents list").await;
    assert!(ran.stdout.contains("ENVIRONMENT") && ran.stdout.contains(" production   degraded "), "{ran:?}");
    let ran = fake.vigie("agents health").await;
    assert!(ran.stdout.contains("\nEnvironment     production\n"), "{ran:?}");
    let json: serde_json::Value = fake.vigie("agents health -o json").await.json();
    assert_eq!(json["environment"], serde_json::json!({"name": "production", "colour": "red"}));
}

#[tokio::test]
async fn an_agent_that_does_not_answer_is_named() {
    let fake = Fake::start(World::birds());
    let ran = fake.vigie("agents doctor --agent unix:/nowhere/agent.sock").await;
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stdout.starts_with("\nunix:/nowhere/agent.sock: "), "{ran:?}");
}

fn talkative(lines: u32) -> World {
    let mut world = World::birds();
    for n in 1..=lines {
        world.says(if n % 10 == 0 { "warn" } else { "info" }, &format!("line {n}\u{1b}[2J"));
    }
    world
}

#[tokio::test]
async fn the_newest_lines_are_printed() {
    let fake = Fake::start(talkative(2_000));
    let texts = |stdout: &str| -> Vec<String> {
        let line = |line: &str| serde_json::from_str::<AgentLogLine>(line).expect("a line").text;
        stdout.lines().map(line).map(|text| text.replace("\u{1b}[2J", "")).collect()
    };
    for (options, first, last, n) in [
        ("", "line 1951", "line 2000", 50),
        ("-n 3", "line 1998", "line 2000", 3),
        ("-n 0", "line 1", "line 2000", 2_000),
        ("-n 3 --level warn", "line 1980", "line 2000", 3),
        ("-n 0 --level warn", "line 10", "line 2000", 200),
    ] {
        let ran = fake.vigie(&format!("agents log -o json {options}")).await;
        let texts = texts(&ran.stdout);
        assert_eq!((ran.code, texts.len()), (0, n), "{options}: {}", ran.stderr);
        assert_eq!((texts[0].as_str(), texts[n - 1].as_str()), (first, last), "{options}");
    }
    let ran = fake.vigie("agents log -n 0 --level error").await;
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    let ran = fake.vigie("agents log -n 1").await;
    assert_eq!(ran.stdout, "2026-11-21 00:00:00 warn  vigie_agent::run: line 2000\\u{1b}[2J\n");
}

#[tokio::test]
async fn a_followed_log_goes_on_over_a_restart() {
    let fake = Fake::start(talkative(3));
    let mut child = fake.command(["agents", "log", "--follow"]).spawn().expect("started");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut stderr = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut next = async || stdout.next_line().await.expect("read").expect("a line");
    for n in 1..=3 {
        assert!(next().await.contains(&format!("line {n}")));
    }
    fake.world().says("error", "line 4");
    assert!(next().await.ends_with("error vigie_agent::run: line 4"));
    {
        // With more lines than before: only the epoch tells that they are others.
        let mut world = fake.world();
        world.log = (2, Vec::new());
        (0..9).for_each(|n| world.says("info", &format!("anew {n}")));
    }
    for n in 0..9 {
        assert!(next().await.ends_with(&format!("anew {n}")));
    }
    let mut warned = async || stderr.next_line().await.expect("read").expect("a warning");
    assert_eq!(warned().await, "warning: the agent was restarted");
    fake.world().log_dropped = 7;
    assert_eq!(warned().await, "warning: 7 lines came and went too fast to be read");
    child.kill().await.expect("ended");
}
