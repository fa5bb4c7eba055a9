//! Workers that die: serving does not notice, the job says what happened and resumes.

use anyhow::{Context, Result, ensure};
use vigie_protocol::job::{FailureCause, Job, JobState};
use vigie_protocol::run::Recipe;
use vigie_protocol::service::{JobGet, RunGet, TrainSubmit};
use vigie_protocol::{IdempotencyKey, JobId, ProjectName, RunId};
use vigie_tests::{Agent, AgentOptions, data, subset};

async fn agent_that_serves(options: &AgentOptions) -> Result<Agent> {
    let agent = Agent::start(options).await?;
    let pictures = agent.state().join("shop.zip");
    subset(&data("samples/products.zip"), &pictures, 20)?;
    let source = pictures.to_str().context("path")?;
    agent.vigie_json(&["pipeline", source, "-p", "shop", "--input", "64", "--epochs", "2"])?;
    Ok(agent)
}

async fn train(agent: &Agent, epochs: u32) -> Result<(JobId, RunId)> {
    let request = TrainSubmit {
        key: IdempotencyKey::new(),
        project: "shop".parse()?,
        dataset: "reference@v1".parse().map_err(anyhow::Error::msg)?,
        // Small steps and no early stop: long enough to be hit in the middle.
        recipe: Recipe { input: 64, epochs, batch: 4, patience: 0, ..Recipe::default() },
        after: Vec::new(),
    };
    let submitted = agent
        .client()
        .call(move |client, context| {
            let request = request.clone();
            async move { client.train_submit(context, request).await }
        })
        .await?;
    Ok((submitted.job.id, submitted.run))
}

async fn epochs(agent: &Agent, run: RunId) -> Result<Vec<u32>> {
    let project: ProjectName = "shop".parse()?;
    let run = agent
        .client()
        .call(move |client, context| {
            let request = RunGet { project: project.clone(), run };
            async move { client.run_get(context, request).await }
        })
        .await?;
    Ok(run.epochs.iter().map(|epoch| epoch.epoch).collect())
}

/// Waits until a run has some epochs that a kill cannot take back.
async fn has_epochs(agent: &Agent, run: RunId, wanted: usize) -> Result<()> {
    let look = async || Ok((epochs(agent, run).await?.len() >= wanted).then_some(()));
    agent.when(look).await
}

fn serves(agent: &Agent) -> Result<()> {
    let picture = vigie_tests::repository().join("core/tests/fixtures/nets/photo_cat.png");
    let answer = agent.vigie_json(&["predict", picture.to_str().context("path")?, "-p", "shop"])?;
    ensure!(answer["model"] == 1, "{answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_training_resumes_where_it_was() -> Result<()> {
    let agent = agent_that_serves(&AgentOptions::default()).await?;
    let (job, run) = train(&agent, 200).await?;
    has_epochs(&agent, run, 5).await?;
    let running = agent.job_when(job, |job| job.worker_pid.is_some()).await?;
    let pid = running.worker_pid.and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
    rustix::process::kill_process(pid.context("worker")?, rustix::process::Signal::KILL)?;
    let failed = agent.job_when(job, |job| job.failure.is_some()).await?;
    let failure = failed.failure.context("failure")?;
    ensure!(failure.cause == FailureCause::Killed, "{failure:?}");
    serves(&agent)?;

    let done = agent.job_succeeds(job).await?;
    ensure!(done.attempts == 2, "{done:?}");
    let after = epochs(&agent, run).await?;
    ensure!(after == (1..=200).collect::<Vec<_>>(), "every epoch once: {after:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_takes_its_jobs_up_again() -> Result<()> {
    let options = AgentOptions::default();
    let mut agent = agent_that_serves(&options).await?;
    let (job, run) = train(&agent, 200).await?;
    has_epochs(&agent, run, 5).await?;
    agent.kill_and_restart(&options).await?;
    serves(&agent)?;
    agent.job_succeeds(job).await?;
    let after = epochs(&agent, run).await?;
    ensure!(after == (1..=200).collect::<Vec<_>>(), "every epoch once: {after:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_out_of_memory_says_so_and_resumes_with_more() -> Result<()> {
    let roomy = AgentOptions::default();
    let mut agent = agent_that_serves(&roomy).await?;
    // Enough for a process to start, not for a network.
    let tight = AgentOptions::default().with("VIGIE_JOBS_MEMORY_LIMIT_MIB", "20");
    agent.kill_and_restart(&tight).await?;
    let (job, run) = train(&agent, 4).await?;
    let failed: Job = agent.job_end(job).await?;
    ensure!(failed.state == JobState::Failed, "{failed:?}");
    let failure = failed.failure.context("failure")?;
    ensure!(failure.cause == FailureCause::OutOfMemory && failure.hint.is_some(), "{failure:?}");
    serves(&agent)?;

    agent.kill_and_restart(&roomy).await?;
    let said = agent.vigie(&["jobs", "retry", &job.to_string()])?;
    ensure!(said.code == 0, "{said:?}");
    agent.job_succeeds(job).await?;
    ensure!(epochs(&agent, run).await?.len() == 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_stops_and_can_be_taken_up() -> Result<()> {
    let agent = agent_that_serves(&AgentOptions::default()).await?;
    let (job, run) = train(&agent, 300).await?;
    has_epochs(&agent, run, 5).await?;
    let said = agent.vigie(&["jobs", "cancel", &job.to_string()])?;
    ensure!(said.code == 0, "{said:?}");
    let ended = agent.job_end(job).await?;
    ensure!(ended.state == JobState::Cancelled, "{ended:?}");
    let kept = epochs(&agent, run).await?.len();
    ensure!(kept > 0 && kept < 300, "{kept} epochs");

    let said = agent.vigie(&["jobs", "retry", &job.to_string()])?;
    ensure!(said.code == 0, "{said:?}");
    agent.job_succeeds(job).await?;
    ensure!(epochs(&agent, run).await? == (1..=300).collect::<Vec<_>>());
    // A job that is over stays as it is.
    let done = agent
        .client()
        .call(move |client, context| async move { client.job_get(context, JobGet { job }).await })
        .await?;
    ensure!(done.state == JobState::Succeeded);
    Ok(())
}
