//! A full disk: changes and jobs fail cleanly, predictions go on and say what they shed, and with
//! room again everything goes on without a restart. Downloads keep what leaves room for the agent.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use vigie_protocol::dataset::Lineage;
use vigie_protocol::health::{AgentHealth, ServiceState};
use vigie_protocol::import::ImportOptions;
use vigie_protocol::job::{FailureCause, ImportSource, Job, JobFailure, JobOutcome, JobSpec, JobState};
use vigie_protocol::prediction::Prediction;
use vigie_protocol::run::Recipe;
use vigie_protocol::service::{DatasetGet, Empty, JobChange, JobSubmit, Predict, RunGet, TrainSubmit};
use vigie_protocol::{IdempotencyKey, ProjectName, RunId};
use vigie_tests::kaggle::{FakeKaggle, Fault};
use vigie_tests::{Agent, AgentOptions, SmallDisk, ask, data, pictures, repository, subset};

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
async fn an_import_that_fills_the_disk_succeeds_with_room() -> Result<()> {
    const HEAVY: u64 = 24;
    let (disk, mut agent) = agent_on_a_small_disk().await?;
    let folder = tempfile::tempdir()?;
    let heavy = folder.path().join("heavy.zip");
    heavy_pictures(&heavy, HEAVY as usize)?;
    // Enough to begin with, a third of what its pictures take.
    disk.leave(HEAVY / 3)?;
    let source = ImportSource::Path { path: heavy.to_str().context("path")?.to_owned() };
    let (lineage, options) = (Lineage::Source, ImportOptions::default());
    let request = JobSubmit {
        key: IdempotencyKey::new(),
        project: Some("shop".parse()?),
        spec: JobSpec::Import { source, lineage, accept: true, options },
        after: Vec::new(),
    };
    let job = ask!(agent.client(), job_submit, request).await?.id;
    let failed = agent.job_end(job).await?;
    ensure!(failed.state == JobState::Failed, "{failed:?}");
    told_to_make_room(failed.failure.as_ref())?;
    ensure!(failed.progress.done > 0, "it had not begun: {failed:?}");
    for _ in 0..QUEUE {
        predict(&agent).await?;
    }
    // What is stored already is what the next attempt goes on with; half of a picture is nothing.
    ensure!(temporaries(agent.state())? == Vec::<PathBuf>::new());

    disk.make_room()?;
    let again = JobChange { key: IdempotencyKey::new(), job };
    ask!(agent.client(), job_retry, again).await?;
    let done = agent.job_succeeds(job).await?;
    let Some(JobOutcome::ChangeSet { dataset: Some(dataset), .. }) = done.outcome else {
        anyhow::bail!("{done:?}");
    };
    let version = ask!(agent.client(), dataset_get, DatasetGet { project: "shop".parse()?, dataset }).await?;
    ensure!(version.images() == 80 + HEAVY, "{version:?}");
    ends_whole(&mut agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_whose_disk_fills_up_goes_on_with_room() -> Result<()> {
    const EPOCHS: u32 = 200;
    let (disk, mut agent) = agent_on_a_small_disk().await?;
    let request = TrainSubmit {
        key: IdempotencyKey::new(),
        project: "shop".parse()?,
        dataset: "reference@v1".parse().map_err(anyhow::Error::msg)?,
        // Small steps and no early stop: long enough to be hit in the middle.
        recipe: Recipe { input: 64, epochs: EPOCHS, batch: 4, patience: 0, seed: 9, ..Recipe::default() },
        after: Vec::new(),
    };
    let submitted = ask!(agent.client(), train_submit, request).await?;
    let (job, run) = (submitted.job.id, submitted.run);
    let begun = async || Ok((epochs(&agent, run).await?.len() >= 3).then_some(()));
    agent.when(begun).await?;
    disk.fill()?;
    let failed = agent.job_end(job).await?;
    ensure!(failed.state == JobState::Failed, "{failed:?}");
    told_to_make_room(failed.failure.as_ref())?;
    for _ in 0..QUEUE {
        predict(&agent).await?;
    }
    ensure!(temporaries(agent.state())? == Vec::<PathBuf>::new());

    disk.make_room()?;
    // Its end is on disk as soon as there is room for it; only then it can be asked for again.
    let again = JobChange { key: IdempotencyKey::new(), job };
    agent.when(async || Ok(ask!(agent.client(), job_retry, again).await.ok())).await?;
    agent.job_succeeds(job).await?;
    let all = epochs(&agent, run).await?;
    ensure!(all == (1..=EPOCHS).collect::<Vec<_>>(), "every epoch once: {all:?}");
    ends_whole(&mut agent)
}

/// An agent that serves, on a disk of its own.
async fn agent_on_a_small_disk() -> Result<(SmallDisk, Agent)> {
    let disk = SmallDisk::mount(96)?;
    let state = disk.path().join("state");
    std::fs::create_dir(&state)?;
    let agent = Agent::start_on(state, &AgentOptions::default()).await?;
    let folder = tempfile::tempdir()?;
    let first = folder.path().join("first.zip");
    subset(&data("samples/products.zip"), &first, 8)?;
    let first = first.to_str().context("path")?;
    agent.vigie_json(&["pipeline", first, "-p", "shop", "--input", "64", "--epochs", "2"])?;
    predict(&agent).await?;
    Ok((disk, agent))
}

/// What a person reads of a job that met a full disk.
fn told_to_make_room(failure: Option<&JobFailure>) -> Result<()> {
    let JobFailure { cause, message, hint } = failure.context("it failed without a word")?;
    ensure!(*cause == FailureCause::Error && message.contains("No space left on device"), "{failure:?}");
    ensure!(hint.as_ref().is_some_and(|hint| hint.contains("make room")), "{failure:?}");
    Ok(())
}

/// Files under the state that are yet to get their name.
fn temporaries(state: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![state.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if name.starts_with('.') || folder.ends_with("blobs/tmp") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Stops the agent and checks what it leaves: nothing that is half, nothing that nobody needs.
fn ends_whole(agent: &mut Agent) -> Result<()> {
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    agent.is_whole()?;
    ensure!(temporaries(agent.state())? == Vec::<PathBuf>::new());
    let journals = std::fs::read_dir(agent.state().join("imports"));
    ensure!(journals.map_or(0, Iterator::count) == 0, "the journal of an import stays");
    Ok(())
}

async fn epochs(agent: &Agent, run: RunId) -> Result<Vec<u32>> {
    let run = ask!(agent.client(), run_get, RunGet { project: "shop".parse()?, run }).await?;
    Ok(run.epochs.iter().map(|epoch| epoch.epoch).collect())
}

/// Products that the first import has not, each followed by a mebibyte that no decoder looks at.
fn heavy_pictures(to: &Path, count: usize) -> Result<()> {
    let all = pictures(&data("samples/products.zip"), 12)?;
    // Stored as they are: an archive that unpacks to far more than it is, is refused.
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut zip = zip::ZipWriter::new(std::fs::File::create(to)?);
    // The first eight of each class are there.
    let new = all.into_iter().enumerate().filter(|(number, _)| number % 12 >= 8);
    for (number, (class, bytes)) in new.take(count) {
        zip.start_file(format!("{class}/{number}.png"), stored)?;
        zip.write_all(&bytes)?;
        zip.write_all(&vec![0; 1 << 20])?;
    }
    zip.finish()?;
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
