//! A full disk: changes and jobs fail cleanly, predictions go on and say what they shed, and with
//! room again everything goes on without a restart. Downloads keep what leaves room for the agent.

use std::io::Write;

use anyhow::{Context, Result, ensure};
use vigie_protocol::ProjectName;
use vigie_protocol::health::{AgentHealth, ServiceState};
use vigie_protocol::job::{Job, JobState};
use vigie_protocol::prediction::Prediction;
use vigie_protocol::service::{Empty, Predict};
use vigie_tests::kaggle::{FakeKaggle, Fault};
use vigie_tests::{Agent, AgentOptions, SmallDisk, data, repository, subset};

/// Predictions that may wait while the disk refuses.
const QUEUE: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_disk_stops_and_what_not() -> Result<()> {
    let disk = SmallDisk::mount(96)?;
    let state = disk.path().join("state");
    std::fs::create_dir(&state)?;
    let options = AgentOptions::default().with("VIGIE_SERVING_LOG_QUEUE", &QUEUE.to_string());
    let mut agent = Agent::start_on(state, &options).await?;
    let folder = tempfile::tempdir()?;
    let (first, second) = (folder.path().join("first.zip"), folder.path().join("second.zip"));
    subset(&data("samples/products.zip"), &first, 8)?;
    subset(&data("samples/products.zip"), &second, 12)?;
    let (first, second) = (first.to_str().context("path")?, second.to_str().context("path")?);
    agent.vigie_json(&["pipeline", first, "-p", "shop", "--input", "64", "--epochs", "2"])?;
    predict(&agent).await?;

    disk.fill()?;
    for arguments in [
        &["datasets", "import", second, "-p", "shop"][..],
        &["runs", "start", "reference@v1", "-p", "shop", "--input", "64", "--epochs", "2", "--seed", "9"],
    ] {
        let said = agent.vigie(arguments)?;
        ensure!(said.code != 0, "{arguments:?} went through on a full disk: {said:?}");
        ensure!(said.err.to_lowercase().contains("space"), "{arguments:?} does not say why: {said:?}");
    }
    // More than may wait: each is answered, and what is not logged is counted.
    for _ in 0..QUEUE * 4 {
        predict(&agent).await?;
    }
    let full = agent.when(async || {
        let health = health(&agent).await?;
        Ok((service(&health, "prediction-log") == Some(ServiceState::Degraded)).then_some(health))
    });
    let full = full.await?;
    ensure!(full.prediction_log.shed > 0, "{:?}", full.prediction_log);

    disk.make_room()?;
    let recovered = agent.when(async || {
        let health = health(&agent).await?;
        let up = service(&health, "prediction-log") == Some(ServiceState::Up);
        Ok((up && service(&health, "store") == Some(ServiceState::Up) && health.prediction_log.pending == 0)
            .then_some(health))
    });
    let recovered = recovered.await?;
    ensure!(
        recovered.prediction_log.shed >= full.prediction_log.shed,
        "what was shed stays counted: {:?}",
        recovered.prediction_log
    );
    agent.vigie_json(&["datasets", "import", second, "-p", "shop"])?;
    let answer = predict(&agent).await?;
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    let said = agent.store_check()?;
    ensure!(said.code == 0, "{said:?}");

    let agent = Agent::start_on(agent.state().to_owned(), &options).await?;
    agent.vigie_json(&["predictions", "show", &answer.id.to_string(), "-p", "shop"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_fills_the_disk_goes_on_with_room() -> Result<()> {
    let disk = SmallDisk::mount(192)?;
    let state = disk.path().join("state");
    std::fs::create_dir(&state)?;
    let kaggle = FakeKaggle::start().await?;
    kaggle.put("/files/birds.zip", heavy_zip()?);
    // Its server does not say how long it is, so that nobody sees it coming.
    kaggle.script("/files/birds.zip", [Fault::NoLength]);
    let options = AgentOptions::default()
        .with("VIGIE_SOURCES_ENABLED", "true")
        .with("VIGIE_SOURCES_ALLOW_PRIVATE", "true")
        .with("VIGIE_SOURCES_DISK_RESERVE_MIB", "0")
        .with("HOME", "/nonexistent");
    let agent = Agent::start_on(state, &options).await?;
    agent.vigie_json(&["projects", "create", "shop"])?;

    disk.leave(20)?;
    let url = kaggle.file_url("/files/birds.zip");
    let import =
        agent.vigie_json(&["datasets", "import", "--url", &url, "--review", "-p", "shop", "--no-wait"])?;
    let job: Job = serde_json::from_value(import)?;
    let failed = agent.job_end(job.id).await?;
    let told = || format!("{failed:?}\n{:#?}\n{}", kaggle.take_seen(), agent.log());
    let failure = failed.failure.as_ref().with_context(told)?;
    ensure!(failure.message.contains("the disk is full"), "{}", told());
    ensure!(failure.hint.as_ref().is_some_and(|hint| hint.contains("make room")), "{}", told());
    ensure!(failed.attempts == 1, "the server is not asked again and again: {}", told());
    ensure!(kaggle.take_seen().len() == 1, "the server is not asked again and again");
    // There is room for the agent itself, and something to go on with.
    agent.vigie_json(&["projects", "create", "another"])?;
    let part = agent.state().join(format!("downloads/{}.part", job.id));
    let kept = std::fs::metadata(&part)?.len();
    ensure!((1 << 20..=12 << 20).contains(&kept), "{kept} bytes of the download are kept");

    disk.make_room()?;
    agent.vigie_json(&["jobs", "retry", &job.id.to_string()])?;
    let done = agent.job_end(job.id).await?;
    let seen = kaggle.take_seen();
    ensure!(done.state == JobState::Succeeded, "{done:?}\n{seen:#?}");
    let range = seen.first().and_then(|seen| seen.header("range"));
    ensure!(seen.len() == 1 && range == Some(&*format!("bytes={kept}-")), "{seen:#?}");
    Ok(())
}

/// Pictures, and beside them 32 MiB that are stored as they are.
fn heavy_zip() -> Result<Vec<u8>> {
    let file = tempfile::NamedTempFile::new()?;
    subset(&data("samples/products.zip"), file.path(), 4)?;
    let mut zip =
        zip::ZipWriter::new_append(std::fs::File::options().read(true).write(true).open(file.path())?)?;
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("notes.bin", stored)?;
    zip.write_all(&vec![7; 32 << 20])?;
    zip.finish()?;
    Ok(std::fs::read(file.path())?)
}

async fn predict(agent: &Agent) -> Result<Prediction> {
    let project: ProjectName = "shop".parse()?;
    let image = std::fs::read(repository().join("core/tests/fixtures/nets/photo_cat.png"))?;
    let answer = agent.client().call(move |client, context| {
        let request =
            Predict { project: project.clone(), image: image.clone(), blob: None, top: 3, name: None };
        async move { client.predict(context, request).await }
    });
    answer.await.context("a prediction failed")
}

async fn health(agent: &Agent) -> Result<AgentHealth> {
    let health = agent.client().call(|client, context| async move { client.health(context, Empty {}).await });
    Ok(health.await?)
}

fn service(health: &AgentHealth, name: &str) -> Option<ServiceState> {
    health.services.iter().find(|service| service.name == name).map(|service| service.state)
}
