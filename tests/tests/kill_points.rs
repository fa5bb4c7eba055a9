//! The agent and its workers are killed at every place where a crash could tear something. Each time
//! `vigie-agent store check` finds the state whole, what was acknowledged is there, and the interrupted
//! work comes to its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail, ensure};
use vigie_core::fail_point::FailPoint;
use vigie_protocol::ProjectName;
use vigie_protocol::service::{InProject, Predict};
use vigie_tests::kaggle::FakeKaggle;
use vigie_tests::{Agent, AgentOptions, Said, Seen, ask, binary, data, flat, repository, run, subset};

/// Everything an agent does, in an order in which it can be done; each command can be repeated.
const LIFE: &[&[&str]] = &[
    &["pipeline", "PICTURES", "-p", "shop", "--input", "64", "--epochs", "2"],
    &["predict", "PICTURE", "-p", "shop"],
    // It also waits for the prediction's record.
    &["backup", "BACKUP"],
    &["feedback", "give", "PREDICTION", "-p", "shop", "--class", "a new kind", "--new"],
    &["feedback", "collect", "-p", "shop"],
    &["pipeline", "PICTURES", "-p", "shop", "--input", "64", "--epochs", "2", "--seed", "2", "--no-promote"],
    &["models", "promote", "v2", "-p", "shop", "--override", "--reason", "kill points", "--yes"],
    &["models", "rollback", "-p", "shop"],
    &["predictions", "forget", "PREDICTION", "-p", "shop", "--yes"],
    &[
        "datasets",
        "import",
        "FLAT",
        "-p",
        "shop",
        "--lineage",
        "production",
        "--csv",
        "products.csv",
        "--image-column",
        "image",
        "--label",
        "category | strip '[\"]' | part 1 of '>>'",
        "--group",
        "product",
        "--review",
    ],
    &["changesets", "accept", "CHANGESET", "-p", "shop", "--class", "bag"],
    &["datasets", "resplit", "production", "-p", "shop"],
    &["datasets", "import", "--url", "URL", "--lineage", "production", "-p", "shop"],
    &["sources", "add", "feed", "--url", "FEED", "--accept-under", "100%", "--preprocess", "-p", "shop"],
    &["sources", "check", "feed", "-p", "shop"],
    &["blobs", "gc", "--remove"],
];

/// Places that no command of [`LIFE`] leads to; each has tests of its own.
const ELSEWHERE: &[FailPoint] = &[
    // What the agent does by itself: `automation.rs`.
    FailPoint::FiringLaid,
    FailPoint::FiringActed,
    FailPoint::RulesSubmitted,
];

/// A place, and at which of its passings.
#[derive(Clone, Copy, Debug)]
struct Kill {
    point: FailPoint,
    passing: u32,
    /// The words that the command under way begins with, where it matters which one it is.
    during: &'static [&'static str],
}

impl Kill {
    /// Every place there is in a [`LIFE`].
    fn all() -> Vec<Self> {
        let mut kills = Vec::new();
        for point in FailPoint::ALL.into_iter().filter(|point| !ELSEWHERE.contains(point)) {
            let kill = |passing, during| Kill { point, passing, during };
            match point {
                // Not the first image: something must be there already.
                FailPoint::ImportImage
                | FailPoint::ImportNoted
                | FailPoint::PackImage
                | FailPoint::BlobRenamed => kills.push(kill(20, &[])),
                FailPoint::DownloadPiece => kills.push(kill(2, &[])),
                // An alias moves in three ways.
                FailPoint::AliasBeforeMove | FailPoint::AliasAfterMove | FailPoint::Swapped => {
                    kills.push(kill(1, &["pipeline"]));
                    kills.push(kill(2, &["models", "promote"]));
                    kills.push(kill(3, &["models", "rollback"]));
                }
                FailPoint::BackupFacts | FailPoint::BackupFilled => kills.push(kill(1, &["backup"])),
                _ => kills.push(kill(1, &[])),
            }
        }
        kills
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_fail_point() -> Result<()> {
    let kills: Arc<Mutex<Vec<Kill>>> = Arc::new(Mutex::new(Kill::all()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let kills = kills.clone();
        tasks.spawn(async move {
            loop {
                let Some(kill) = kills.lock().ok().and_then(|mut kills| kills.pop()) else {
                    return anyhow::Ok(());
                };
                killed_at(kill).await.with_context(|| format!("{kill:?}"))?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn killed_at(kill: Kill) -> Result<()> {
    let Kill { point, passing, during } = kill;
    let project: ProjectName = "shop".parse()?;
    let web = FakeKaggle::start().await?;
    let options = fetching();
    let armed = options.clone().with("VIGIE_FAIL_POINT", &format!("{point}:{passing}"));
    let mut agent = Agent::start(&armed).await?;
    flat(&data("samples/products.zip"), &agent.state().join("flat"), 4)?;
    let pictures = agent.state().join("shop.zip");
    subset(&data("samples/products.zip"), &pictures, 8)?;
    web.put("/url.zip", fs::read(data("samples/products.zip"))?);
    web.put("/feed.zip", fs::read(&pictures)?);
    let (acknowledged, last) = lives_until_killed(&mut agent, &web, &project).await?;
    ensure!(last.starts_with(during), "it died under {last:?}");
    agent.kill()?;
    agent.is_whole()?;
    let half = half_backups(&agent)?;

    agent.kill_and_restart(&options).await?;
    acknowledged.is_kept(&Seen::of(agent.client(), &project).await?)?;
    serves_what_is_committed(&agent, &project).await?;
    for command in LIFE {
        step(&agent, &web, command).await??;
    }
    let feed = &agent.vigie_json(&["sources", "show", "feed", "-p", "shop"])?;
    ensure!(!feed["imported"].is_null() && feed["pending"].is_null(), "{feed}");
    // A source has its versions packed by itself.
    let listed = agent.vigie_json(&["jobs", "list", "-n", "0"])?;
    for job in listed.as_array().context("jobs")? {
        let said = agent.vigie(&["jobs", "watch", job["id"].as_str().context("id")?])?;
        ensure!(said.code == 0, "{job}: {said:?}");
    }
    // All that was acknowledged is still there, and what was repeated is there once.
    acknowledged.forgettable().is_kept(&Seen::of(agent.client(), &project).await?)?;
    if matches!(point, FailPoint::BackupFacts | FailPoint::BackupFilled) {
        ensure!(half.len() == 1, "a killed backup left {half:?}");
        backs_up_again(&agent, &project).await?;
    }
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    agent.is_whole()
}

/// Carries [`LIFE`] out until the agent dies. Returns all that was acknowledged before the command under
/// way, and that command.
async fn lives_until_killed(
    agent: &mut Agent,
    web: &FakeKaggle,
    project: &ProjectName,
) -> Result<(Seen, &'static [&'static str])> {
    let mut acknowledged = Seen::default();
    for &command in LIFE {
        // It may die while nobody asks it for anything: at the writing of a prediction.
        let Some(seen) = agent.while_alive(Seen::of(agent.client(), project)).await else {
            return Ok((acknowledged, command));
        };
        let seen = seen?;
        acknowledged.is_kept(&seen).with_context(|| format!("before {command:?}"))?;
        acknowledged =
            if command.starts_with(&["predictions", "forget"]) { seen.forgettable() } else { seen };
        let done = step(agent, web, command).await?;
        if agent.has_ended()? {
            return Ok((acknowledged, command));
        }
        done?;
    }
    bail!("it never came there")
}

/// The holder of the alias answers, not the one before or after it.
async fn serves_what_is_committed(agent: &Agent, project: &ProjectName) -> Result<()> {
    let Ok(aliases) = ask!(agent.client(), alias_list, InProject { project: project.clone() }).await else {
        return Ok(()); // there is no project yet
    };
    let Some(alias) = aliases.first() else { return Ok(()) };
    let image = fs::read(picture())?;
    let request = Predict { project: project.clone(), image, blob: None, top: 3, name: None };
    let answer = ask!(agent.client(), predict, request).await?;
    ensure!(answer.model == alias.model, "{alias:?} does not serve: {answer:?}");
    Ok(())
}

/// What a killed backup left: it has no name yet, and what is not complete is refused as a backup.
fn half_backups(agent: &Agent) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(agent.state())? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".vigie-backup-")) {
            found.push(path);
        }
    }
    for half in found.iter().filter(|half| !half.join("backup.json").exists()) {
        let said = restored(half, &agent.state().join("from-half"))?;
        ensure!(said.code == 1 && said.err.contains("the backup is not complete"), "{said:?}");
    }
    Ok(found)
}

/// The next backup removes what the killed one left, is whole, and what is made from it says the same.
async fn backs_up_again(agent: &Agent, project: &ProjectName) -> Result<()> {
    let (copy, state) = (agent.state().join("copy-2"), agent.state().join("restored"));
    let said = agent.vigie(&["backup", copy.to_str().context("path")?])?;
    ensure!(said.code == 0, "{said:?}");
    ensure!(half_backups(agent)?.is_empty(), "what a killed backup left stays");
    let said = restored(&copy, &state)?;
    ensure!(said.code == 0, "{said:?}");
    for whole in [&copy, &state] {
        let said = run(Command::new(binary("vigie-agent")?).args(["store", "check"]).arg(whole))?;
        ensure!(said.code == 0 && said.out.contains("whole: "), "{}: {said:?}", whole.display());
    }
    let restored = Agent::start_on(state, &fetching()).await?;
    let (here, there) =
        (Seen::of(agent.client(), project).await?, Seen::of(restored.client(), project).await?);
    // The backup's own line is written when it is made.
    there.is_kept(&here)?;
    Seen { audit: Vec::new(), ..here }.is_kept(&there)
}

fn restored(backup: &Path, state: &Path) -> Result<Said> {
    run(Command::new(binary("vigie-agent")?).arg("restore").arg(backup).arg("--state").arg(state))
}

fn picture() -> PathBuf {
    repository().join("core/tests/fixtures/nets/photo_cat.png")
}

/// An agent that may fetch from this machine.
fn fetching() -> AgentOptions {
    AgentOptions::default()
        .with("VIGIE_SOURCES_ENABLED", "true")
        .with("VIGIE_SOURCES_ALLOW_PRIVATE", "true")
        .with("VIGIE_SOURCES_DISK_RESERVE_MIB", "0")
}

/// Carries a command of [`LIFE`] out. The inner result is the command's own.
async fn step(agent: &Agent, web: &FakeKaggle, command: &[&str]) -> Result<Result<()>> {
    let state = agent.state();
    let path = |name: &str| state.join(name).display().to_string();
    let mut arguments: Vec<String> = Vec::new();
    for word in command {
        arguments.push(match *word {
            "PICTURES" => path("shop.zip"),
            "PICTURE" => picture().display().to_string(),
            "URL" => web.file_url("/url.zip"),
            "FEED" => web.file_url("/feed.zip"),
            "BACKUP" => path("copy"),
            "FLAT" => path("flat"),
            "CHANGESET" => match proposed(agent) {
                Some(id) => id,
                None => return Ok(Ok(())), // it was decided before
            },
            "PREDICTION" => match a_prediction(agent) {
                Some(id) => id,
                None => return Ok(Ok(())), // it was forgotten before
            },
            word => word.to_owned(),
        });
    }
    match command[0] {
        "backup" if state.join("copy").exists() => return Ok(Ok(())),
        // What is to be collected must be old.
        "blobs" => an_old_orphan(state)?,
        _ => {}
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(said) = agent.vigie_while_alive(&arguments).await? else {
        return Ok(Err(anyhow!("the agent died under {arguments:?}\n{}", agent.log())));
    };
    // What was carried out before the crash is refused the second time.
    let again = ["already", "changes nothing of the class"].iter().any(|word| said.err.contains(word));
    let done = said.code == 0 || again;
    Ok(done.then_some(()).with_context(|| format!("{arguments:?}: {said:?}\n{}", agent.log())))
}

fn a_prediction(agent: &Agent) -> Option<String> {
    let listed = agent.vigie_json(&["predictions", "list", "-p", "shop"]).ok()?;
    Some(listed[0]["id"].as_str()?.to_owned())
}

/// The newest change-set that waits for a decision.
fn proposed(agent: &Agent) -> Option<String> {
    let listed = agent.vigie_json(&["changesets", "list", "-p", "shop"]).ok()?;
    let waiting = listed.as_array()?.iter().find(|set| set["state"] == "proposed")?;
    Some(waiting["id"].as_str()?.to_owned())
}

/// Puts a blob that nothing names, and makes all of them old.
fn an_old_orphan(state: &Path) -> Result<()> {
    let bytes = b"nothing names this";
    let name = vigie_protocol::Hash::of(bytes).to_string();
    let shard = state.join("blobs").join(&name[..2]);
    fs::create_dir_all(&shard)?;
    fs::write(shard.join(&name), bytes)?;
    for shard in fs::read_dir(state.join("blobs"))? {
        for blob in fs::read_dir(shard?.path())? {
            File::open(blob?.path())?.set_modified(SystemTime::UNIX_EPOCH)?;
        }
    }
    Ok(())
}
