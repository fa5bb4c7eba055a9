//! The agent and its workers are killed at every place where a crash could tear something, and at
//! random moments under load. Each time `vigie-agent store check` finds the state whole, what was
//! acknowledged is there, and the interrupted work comes to its end.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};
use vigie_core::fail_point::FailPoint;
use vigie_protocol::prediction::Prediction;
use vigie_protocol::service::{Predict, PredictionGet};
use vigie_protocol::{PredictionId, ProjectName};
use vigie_tests::kaggle::FakeKaggle;
use vigie_tests::{Agent, AgentOptions, data, flat, repository, subset};

/// What a crash may cost of the prediction log: the 50 ms that the README promises, and what a slow
/// test machine takes to write a group.
const WINDOW: Duration = Duration::from_millis(500);

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

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_fail_point() -> Result<()> {
    let points = FailPoint::ALL.into_iter().filter(|point| !ELSEWHERE.contains(point)).collect();
    let points: Arc<Mutex<Vec<FailPoint>>> = Arc::new(Mutex::new(points));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let points = points.clone();
        tasks.spawn(async move {
            loop {
                let Some(point) = points.lock().ok().and_then(|mut points| points.pop()) else {
                    return anyhow::Ok(());
                };
                killed_at(point).await.with_context(|| format!("killed at {point}"))?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn killed_at(point: FailPoint) -> Result<()> {
    // Not the first image: something must be there already.
    let passing = match point {
        FailPoint::ImportImage | FailPoint::ImportNoted | FailPoint::PackImage | FailPoint::BlobRenamed => 20,
        FailPoint::DownloadPiece => 2,
        _ => 1,
    };
    let web = FakeKaggle::start().await?;
    let options = fetching();
    let armed = options.clone().with("VIGIE_FAIL_POINT", &format!("{point}:{passing}"));
    let mut agent = Agent::start(&armed).await?;
    flat(&data("samples/products.zip"), &agent.state().join("flat"), 4)?;
    let pictures = agent.state().join("shop.zip");
    subset(&data("samples/products.zip"), &pictures, 8)?;
    web.put("/url.zip", fs::read(data("samples/products.zip"))?);
    web.put("/feed.zip", fs::read(&pictures)?);
    for command in LIFE {
        let done = step(&agent, &web, command).await?;
        if agent.has_ended()? {
            break;
        }
        done?;
    }
    ensure!(agent.has_ended()?, "it never came there");
    agent.kill()?;
    is_whole(&agent)?;

    agent.kill_and_restart(&options).await?;
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
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    is_whole(&agent)
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
            "PICTURE" => repository().join("core/tests/fixtures/nets/photo_cat.png").display().to_string(),
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

fn is_whole(agent: &Agent) -> Result<()> {
    let said = agent.store_check()?;
    ensure!(said.code == 0, "{said:?}\n{}", agent.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_under_load() -> Result<()> {
    let times = if std::env::var_os("VIGIE_SOAK").is_some() { 50 } else { 4 };
    let options = AgentOptions::default();
    let mut agent = Agent::start(&options).await?;
    subset(&data("samples/products.zip"), &agent.state().join("shop.zip"), 8)?;
    let web = FakeKaggle::start().await?;
    // Two models, so that the alias can move.
    for command in LIFE.iter().filter(|command| command[0] == "pipeline") {
        step(&agent, &web, command).await??;
    }
    let project: ProjectName = "shop".parse()?;
    let picture = fs::read(repository().join("core/tests/fixtures/nets/photo_cat.png"))?;
    let mut moves = 1;
    for round in 0..times {
        // As many answers as it takes: a moment that no clock chose.
        let answers = 1 + usize::from(rand_byte()?) * 2;
        let load = Load { project: project.clone(), picture: picture.clone(), answers };
        let done = load.until_killed(&mut agent).await.with_context(|| format!("round {round}"))?;
        is_whole(&agent)?;
        agent.kill_and_restart(&options).await?;

        for id in done.durable() {
            let get = PredictionGet { project: project.clone(), prediction: id };
            let found = agent.client().call(move |client, context| {
                let get = get.clone();
                async move { client.prediction_get(context, get).await }
            });
            found.await.with_context(|| format!("round {round}: an acknowledged prediction is lost"))?;
        }
        let history = agent.vigie_json(&["models", "history", "-p", "shop", "-n", "0"])?;
        let count = history.as_array().context("history")?.len();
        // The one under way when it died may have happened.
        ensure!(
            (moves + done.moves..=moves + done.moves + 1).contains(&count),
            "round {round}: {moves} moves before, {} acknowledged, {count} now",
            done.moves
        );
        moves = count;
    }
    Ok(())
}

/// Predictions and moves of the alias, until enough was answered.
struct Load {
    project: ProjectName,
    picture: Vec<u8>,
    answers: usize,
}

/// What was acknowledged before the agent was killed.
#[derive(Default)]
struct Acknowledged {
    predictions: HashMap<PredictionId, Instant>,
    moves: usize,
    killed: Option<Instant>,
}

impl Acknowledged {
    /// Those that were answered long enough before the end.
    fn durable(&self) -> impl Iterator<Item = PredictionId> {
        let limit = self.killed.and_then(|killed| killed.checked_sub(WINDOW));
        self.predictions
            .iter()
            .filter(move |(_, answered)| limit.is_some_and(|limit| **answered < limit))
            .map(|(id, _)| *id)
    }
}

impl Load {
    async fn until_killed(self, agent: &mut Agent) -> Result<Acknowledged> {
        let answered = Arc::new(AtomicUsize::new(0));
        let predictions = Arc::new(Mutex::new(HashMap::new()));
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let client = agent.client().clone();
            let (answered, predictions) = (answered.clone(), predictions.clone());
            let (project, picture) = (self.project.clone(), self.picture.clone());
            clients.spawn(async move {
                loop {
                    let request = Predict {
                        project: project.clone(),
                        image: picture.clone(),
                        blob: None,
                        top: 3,
                        name: None,
                    };
                    let answer: Result<Prediction, _> = client
                        .call(move |client, context| {
                            let request = request.clone();
                            async move { client.predict(context, request).await }
                        })
                        .await;
                    let Ok(answer) = answer else { return };
                    if let Ok(mut predictions) = predictions.lock() {
                        predictions.insert(answer.id, Instant::now());
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut done = Acknowledged::default();
        while answered.load(Ordering::Relaxed) < self.answers {
            let history = agent.vigie_json(&["models", "history", "-p", "shop", "-n", "1"])?;
            let to = if history[0]["to"] == 1 { "v2" } else { "v1" };
            agent.vigie_json(&[
                "models",
                "promote",
                to,
                "-p",
                "shop",
                "--override",
                "--reason",
                "load",
                "--yes",
            ])?;
            done.moves += 1;
        }
        agent.kill()?;
        done.killed = Some(Instant::now());
        clients.shutdown().await;
        done.predictions =
            predictions.lock().map(|mut found| std::mem::take(&mut *found)).unwrap_or_default();
        ensure!(!done.predictions.is_empty(), "nothing was answered");
        Ok(done)
    }
}

fn rand_byte() -> Result<u8> {
    let mut byte = [0];
    std::io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut byte)?;
    Ok(byte[0])
}
