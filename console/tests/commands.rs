//! The commands as their users meet them: real processes against an agent that only pretends.

#[path = "commands/compare.rs"]
mod compare;
mod fake;
#[path = "commands/keys.rs"]
mod keys;
#[path = "commands/log.rs"]
mod log;
#[path = "commands/replay.rs"]
mod replay;

use fake::{Fake, World, ended};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use vigie_protocol::access::Principal;
use vigie_protocol::event::Event;
use vigie_protocol::health::{Finding, ServiceState};
use vigie_protocol::job::{ImportSource, Job, JobSpec, JobState};
use vigie_protocol::prediction::Prediction;
use vigie_protocol::project::Project;
use vigie_protocol::samples::Sample;
use vigie_protocol::{ApiError, ErrorCode};

#[tokio::test]
async fn json_is_the_protocols_own() {
    let fake = Fake::start(World::birds());
    let ran = fake.vigie("whoami -o json").await;
    assert_eq!((ran.code, ran.json::<Principal>().name.as_str()), (0, "alice"));
    let projects: Vec<Project> = fake.vigie("projects list -o json").await.json();
    assert_eq!(projects, fake.world().projects);
}

#[tokio::test]
async fn tables_are_safe_to_show() {
    let fake = Fake::start(World::birds());
    let ran = fake.vigie("projects list").await;
    assert_eq!(
        ran.stdout,
        "NAME   CREATED   BY     DESCRIPTION\nbirds  just now  alice  Birds\\u{1b}[2J at the feeder\n"
    );
    assert_eq!(ran.stderr, "");
}

#[tokio::test]
async fn every_way_to_fail_has_its_exit_code() {
    let fake = Fake::start(World::birds());
    for (error, code) in [
        (ErrorCode::Forbidden, 4),
        (ErrorCode::NotFound, 5),
        (ErrorCode::Conflict, 6),
        (ErrorCode::Internal, 1),
        (ErrorCode::Unavailable, 3),
    ] {
        fake.world().whoami = Some(Some(ApiError::new(error, "no").with_hint("do this")));
        let ran = fake.vigie("whoami").await;
        assert_eq!((ran.code, ran.stderr.as_str()), (code, "error: no\nhint: do this\n"));
        assert_eq!(ran.stdout, "");
    }
    fake.world().whoami = Some(None);
    assert_eq!(fake.vigie("whoami --timeout 100ms").await.code, 7);
    assert_eq!(fake.vigie("whoami --frobnicate").await.code, 2);
    assert_eq!(fake.vigie("whoami --agent nobody").await.code, 5);
    assert_eq!(fake.vigie("sources show nobody").await.code, 5);
    assert_eq!(fake.vigie("label answer --cluster 3 --class owl").await.code, 2, "of which clusters?");
    let ran = fake.vigie("whoami --agent unix:/nowhere/agent.sock").await;
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("hint: "), "{ran:?}");
}

#[tokio::test]
async fn a_self_check_that_wants_action_ends_badly() {
    let fake = Fake::start(World::birds());
    for (state, code) in [(ServiceState::Degraded, 0), (ServiceState::Down, 1)] {
        fake.world().findings = vec![Finding { state, ..Finding::sample() }];
        for line in ["doctor", "agents doctor", "agents doctor -o json"] {
            let ran = fake.vigie(line).await;
            assert_eq!(ran.code, code, "{line}: {ran:?}");
            assert_eq!(ran.stderr.contains("1 of 1 checks want action"), code == 1, "{line}: {ran:?}");
        }
    }
}

#[tokio::test]
async fn an_agent_that_died_is_told_from_one_that_is_back() {
    let fake = Fake::start(World::birds());
    fake.stop().await;
    let ran = fake.vigie("whoami").await;
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("no agent listens on") && ran.stderr.contains("hint: start"), "{ran:?}");
    fake.start_again();
    assert_eq!(fake.vigie("whoami").await.code, 0);
}

#[tokio::test]
async fn lists_are_merged_over_pages() {
    let fake = Fake::start(World::birds());
    for _ in 0..5 {
        assert_eq!(fake.vigie("blobs gc --no-wait").await.code, 0);
    }
    for (limit, expected) in [("0", 5), ("3", 3), ("50", 5)] {
        let jobs: Vec<Job> = fake.vigie(&format!("jobs list -n {limit} -o json")).await.json();
        assert_eq!(jobs.len(), expected);
    }
}

#[tokio::test]
async fn jobs_are_followed_to_their_end() {
    let fake = Fake::start(World::birds());
    let images = fake.file("images.zip", b"zip");
    let ran = fake.vigie(&format!("datasets import {images}")).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "made source@v1\n"), "{ran:?}");
    assert!(ran.stderr.contains("import: 50 % 1 s left · working 5/10 images"), "{ran:?}");

    fake.world().resyncs = true;
    let ran = fake.vigie(&format!("datasets import {images} -o json")).await;
    assert_eq!((ran.code, ran.json::<Job>().state), (0, JobState::Succeeded));
    fake.world().resyncs = false;

    fake.world().fails = Some("gc");
    let ran = fake.vigie("blobs gc").await;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("failed: out of memory: the worker used 9 GiB\nhint: "), "{ran:?}");

    let job = fake.vigie("blobs gc --no-wait").await.stdout;
    let ran = fake.vigie(&format!("jobs watch -o json {job}")).await;
    assert_eq!((ran.code, ran.stdout.lines().count()), (1, 3), "queued, running, failed: {ran:?}");
}

#[tokio::test]
async fn an_interruption_leaves_the_job_alone_and_says_so() {
    let mut world = World::birds();
    world.stands_still = true;
    let fake = Fake::start(world);
    let mut child = fake.command(["blobs", "gc"]).spawn().expect("started");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    stderr.read_line(&mut line).await.expect("progress");
    assert!(line.starts_with("gc: 0 % queued"), "{line:?}");
    let pid = i32::try_from(child.id().expect("running")).expect("a pid");
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::INT).expect("interrupted");
    line.clear();
    stderr.read_line(&mut line).await.expect("the end");
    assert!(line.starts_with("error: no longer watching; job "), "{line:?}");
    assert_eq!(ended(child).await.code, 130);
    assert_eq!(fake.world().jobs[0].state, JobState::Queued);
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let fake = Fake::start(World::birds());
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let mut command = fake.command(["projects", "list"]);
    let ran = ended(command.stdout(writer).spawn().expect("started")).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (141, ""));
}

#[tokio::test]
async fn one_bad_image_does_not_stop_the_others() {
    let fake = Fake::start(World::birds());
    let (bad, good) = (fake.file("bad.jpg", b"not an image"), fake.file("good.jpg", b"\xff\xd8"));
    let ran = fake.vigie(&format!("predict {bad} {good} --top 2")).await;
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stdout, format!("{good}: owl 93.1 % · 猫 6.9 %  (v1, 9.5 ms)\n"));
    assert!(ran.stderr.contains("bad.jpg: error: neither JPEG, PNG nor WebP"), "{ran:?}");
    let ran = fake.vigie(&format!("predict {good} -o json")).await;
    assert_eq!(ran.json::<Prediction>().name, Some(good));
}

#[tokio::test]
async fn files_go_up_and_come_down_whole() {
    let fake = Fake::start(World::birds());
    let content: Vec<u8> = (0..1_300_000u32).map(|i| (i % 251) as u8).collect();
    let file = fake.file("images.zip", &content);
    let hash = vigie_protocol::Hash::of(&content);

    let ran = fake.vigie(&format!("datasets import {file} --upload -o json")).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let JobSpec::Import { source, .. } = ran.json::<Job>().spec else { panic!("an import") };
    assert_eq!(source, ImportSource::Blob { hash, name: "images.zip".to_owned() });
    assert_eq!(fake.world().blobs[&hash], content);

    let back = fake.file("back", b"");
    assert_eq!(fake.vigie(&format!("blobs get {hash} {back}")).await.code, 0);
    assert_eq!(std::fs::read(&back).expect("there"), content);
    assert_eq!(fake.vigie(&format!("blobs get {} {back}", vigie_protocol::Hash::of(b"no"))).await.code, 5);

    // A large picture goes up as a blob by itself.
    let large = fake.file("large.png", &vec![7; 3_500_000]);
    assert_eq!(fake.vigie(&format!("predict {large}")).await.code, 0);
    assert_eq!(fake.world().blobs.len(), 2);
}

#[tokio::test]
async fn events_are_followed_without_repeating_any() {
    let fake = Fake::start(World::birds());
    let mut child = fake.command(["events", "list", "--follow", "-o", "json"]).spawn().expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    for seq in 1..=3 {
        let line = lines.next_line().await.expect("read").expect("a line");
        assert_eq!(serde_json::from_str::<Event>(&line).expect("an event").seq, seq);
    }
    child.kill().await.expect("ended");
}

#[tokio::test]
async fn the_pipeline_skips_what_is_done() {
    let fake = Fake::start(World::empty());
    let images = fake.file("images.zip", b"zip");
    let line = format!("pipeline {images} -p birds --input 96");

    fake.world().fails = Some("train");
    let ran = fake.vigie(&line).await;
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("error: stopped at step 5 (train): train job "), "{ran:?}");
    assert!(ran.stderr.contains("run the same command again"), "{ran:?}");

    fake.world().fails = None;
    fake.world().submitted.clear();
    let ran = fake.vigie(&line).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("Test accuracy  90.0 % [70.0–97.0, n=20]"), "{ran:?}");
    assert!(ran.stdout.contains("Production     v1 since now, the first"), "{ran:?}");
    assert_eq!(
        fake.world().submitted,
        ["import", "propose", "preprocess", "evaluate"],
        "the run was taken up"
    );

    let ran = fake.vigie(&line).await;
    assert!(ran.stdout.contains("Production     v1 already"), "{ran:?}");
    assert_eq!(fake.world().models.len(), 1);
}

#[tokio::test]
async fn promotion_asks_and_the_gate_decides() {
    let fake = Fake::start(World::empty());
    let images = fake.file("images.zip", b"zip");
    assert_eq!(fake.vigie(&format!("pipeline {images} -p birds --no-promote")).await.code, 0);

    let ran = fake.vigie("models promote v1").await;
    assert_eq!(ran.code, 2, "nobody is there to ask: {ran:?}");
    assert!(ran.stderr.contains("--yes"), "{ran:?}");
    assert_eq!(fake.vigie("models promote v1 --yes").await.code, 0);

    fake.world().gate_passes = false;
    let ran = fake.vigie("models promote v1 --yes").await;
    assert_eq!(ran.code, 6);
    assert!(ran.stderr.contains("the gate refuses v1: test-accuracy (90.0 % of 20)"), "{ran:?}");
    assert_eq!(fake.vigie("models promote v1 --yes --override").await.code, 2, "an override needs a reason");
    let ran = fake.vigie("models promote v1 --yes --override --reason because").await;
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("to go back to v1: vigie models rollback -p birds\n"), "{ran:?}");
    assert_eq!(fake.vigie("models rollback").await.code, 0, "no question at three in the morning");

    // Somebody else was faster, while the gate held the candidate against the holder before.
    let other = vigie_protocol::ModelNumber(9);
    for line in ["models promote v1 --yes", "models promote v1 --yes --override --reason because"] {
        fake.world().gate_passes = true;
        fake.world().promoted_meanwhile = Some(other);
        let ran = fake.vigie(line).await;
        assert_eq!(ran.code, 6, "{ran:?}");
        assert!(ran.stderr.contains("production moved meanwhile"), "{ran:?}");
        assert_eq!(fake.world().production.as_ref().map(|alias| alias.model), Some(other));
    }
    // An override is for what the gate was seen to refuse.
    fake.world().gate_passes = true;
    assert_eq!(fake.vigie("models promote v1 --yes --override --reason because").await.code, 0);
    assert_eq!(fake.world().overrides, 1, "the one above");
}

#[tokio::test]
async fn what_can_be_listed_can_be_shown() {
    let fake = Fake::start(World::empty());
    let images = fake.file("images.zip", b"zip");
    assert_eq!(fake.vigie(&format!("pipeline {images} -p birds")).await.code, 0);
    let run = fake.world().runs[0].id;
    let job = fake.world().jobs[0].id;
    for line in [
        "projects show",
        "datasets list",
        "datasets show source@v1",
        "runs list",
        &format!("runs show {run}"),
        "models list",
        "models show v1",
        &format!("jobs show {job}"),
        &format!("jobs log -f {job}"),
    ] {
        for form in ["table", "json"] {
            let ran = fake.vigie(&format!("{line} -o {form}")).await;
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}: {ran:?}");
        }
    }
    assert_eq!(fake.vigie("models show v9").await.code, 5);
}

#[tokio::test]
async fn a_change_that_outlives_its_call_is_asked_for_again_under_the_same_key() {
    let mut world = World::empty();
    world.slow_backups = 2;
    let fake = Fake::start(world);
    let ran = fake.vigie("backup /backups/monday --timeout 1s -o json").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let keys = fake.world().backups.clone();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}
