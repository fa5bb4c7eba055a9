//! The whole loop on bundled pictures: a private agent, the pipeline, predictions, a summary.

mod agent;
mod assets;
mod live;
mod summary;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::{StreamExt, TryStreamExt};
use vigie_protocol::ProjectName;
use vigie_protocol::dataset::{DatasetImage, DatasetRef, Split};
use vigie_protocol::run::Recipe;
use vigie_protocol::service::{DatasetImages, Predict};

use crate::app::App;
use crate::exit::{Exit, Failure};
use crate::out::{Progress, note};
use crate::pipeline::{self, Plan};
use crate::session::{Session, ask};
use agent::Agent;
use assets::Assets;
use summary::{Place, Served, Summary};

/// Pictures of the test split that the fresh model is asked about.
const PREDICTIONS: usize = 100;
/// Asked for at once.
const CONCURRENCY: usize = 4;

/// No sample picture is larger.
const LARGEST: u64 = 64 << 20;

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to keep the state.
    pub keep: Option<PathBuf>,
    /// Other pictures than the bundled ones.
    pub data: Option<PathBuf>,
    /// Side of the network's input in pixels.
    pub input: u32,
    /// Passes over the train split.
    pub epochs: u32,
    /// Whether to end in the terminal UI, where there is a terminal.
    pub console: bool,
}

/// Runs the demo and prints its summary.
pub async fn run(app: &App, options: Options) -> anyhow::Result<()> {
    let begun = Instant::now();
    let Options { keep, data, input, epochs, console } = options;
    let assets = Assets::find(data)?;
    let state = StateDir::new(keep)?;
    note(format!("starting {} with its state in {}", assets.agent.display(), state.path().display()));
    let mut agent = Agent::start(&assets, state.path(), state.is_kept(), app).await?;
    let plan = Plan {
        project: project(&assets.samples)?,
        source: assets.samples.clone(),
        recipe: Recipe { input, epochs, ..Recipe::default() },
        promote: true,
    };
    let session = agent.session().clone();
    let outcome = tokio::select! {
        // An agent that ends under us is the better explanation of whatever failed because of it.
        biased;
        ended = agent.ended() => Err(ended),
        outcome = loop_once(&session, &plan) => outcome,
    };
    let (report, served) = match outcome {
        Ok(outcome) => outcome,
        Err(failure) => {
            let kept = state.is_kept() && failure.exit != Exit::Interrupted;
            if !kept {
                agent.stop().await;
            }
            return Err(explained(failure, &agent, &state).into());
        }
    };
    let place = Place::of(state.path(), state.is_kept(), agent.pid());
    let summary = Summary::new(report, served, place, begun.elapsed());
    app.out.value(&summary, |style| summary.sheet().render(style))?;
    let shown = if console && !app.out.is_json() && crate::out::is_interactive() {
        live::show(app, &session, &plan.project, &state.path().join("agent.sock")).await
    } else {
        Ok(())
    };
    match summary.how_to_go_on() {
        Some(text) => note(text),
        None => agent.stop().await,
    }
    shown
}

/// From pictures to a model that answers.
async fn loop_once(session: &Session, plan: &Plan) -> Result<(pipeline::Report, Served), Failure> {
    let report = pipeline::run(session, plan).await?;
    let served = predict(session, &plan.project, report.reference.dataset).await?;
    Ok((report, served))
}

/// Asks the fresh model about pictures that it has not learnt from.
async fn predict(session: &Session, project: &ProjectName, dataset: DatasetRef) -> Result<Served, Failure> {
    let images = session
        .pages(PREDICTIONS, async |page| {
            let (project, split) = (project.clone(), Some(Split::Test));
            let request = DatasetImages { project, dataset, class: None, split, page };
            ask!(session, dataset_images, request).await
        })
        .await?;
    // Fetched first: what is measured is the answering.
    let pictures: Vec<(DatasetImage, Vec<u8>)> = futures::stream::iter(images)
        .map(async |image| session.fetch(image.image, LARGEST).await.map(|picture| (image, picture)))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let total = pictures.len() as u64;
    let mut progress = Progress::new("predict");
    let begun = Instant::now();
    let mut answers = std::pin::pin!(
        futures::stream::iter(pictures)
            .map(async |(image, picture)| {
                let asked = Instant::now();
                let (project, name) = (project.clone(), Some(image.origin));
                let answer =
                    session.predict(Predict { project, image: picture, blob: None, top: 3, name }).await?;
                Ok::<_, Failure>((asked.elapsed(), answer.class() == image.label))
            })
            .buffer_unordered(CONCURRENCY)
    );
    let (mut latencies, mut right): (Vec<Duration>, u64) = Default::default();
    while let Some((latency, as_labelled)) = answers.next().await.transpose()? {
        latencies.push(latency);
        right += u64::from(as_labelled);
        let done = latencies.len() as u64;
        let state = vigie_protocol::job::Progress {
            stage: "predicting".to_owned(),
            done,
            total,
            unit: "pictures".to_owned(),
            fraction: done as f32 / total.max(1) as f32,
            eta_s: None,
            rate: None,
        };
        progress.update(&state, Instant::now());
    }
    Ok(Served::new(latencies, right, begun.elapsed()))
}

/// The failure with what the agent last said.
fn explained(failure: Failure, agent: &Agent, state: &StateDir) -> Failure {
    if failure.exit == Exit::Interrupted {
        return Failure::new(Exit::Interrupted, "interrupted; the agent was stopped");
    }
    let last_words = agent.last_words();
    if !last_words.is_empty() {
        note("the agent's last words:");
        last_words.iter().for_each(|line| note(format!("  {}", crate::out::safe(line))));
    }
    if state.is_kept() {
        return failure;
    }
    // The temporary state is gone: there is nothing to go on with.
    Failure { hint: Some("`vigie demo --keep DIR` keeps everything for a closer look".to_owned()), ..failure }
}

/// `products.zip` makes the project `products`.
fn project(samples: &Path) -> anyhow::Result<ProjectName> {
    let stem = samples.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    stem.parse().or_else(|_| "demo".parse()).context("no name for the project")
}

/// The folder with the agent's state.
enum StateDir {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl StateDir {
    fn new(keep: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(folder) = keep else {
            let folder = tempfile::Builder::new().prefix("vigie-demo-").tempdir();
            return folder.map(Self::Temporary).context("cannot make a temporary folder");
        };
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self::Kept(folder.canonicalize()?))
    }

    fn path(&self) -> &Path {
        match self {
            StateDir::Temporary(folder) => folder.path(),
            StateDir::Kept(folder) => folder,
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self, StateDir::Kept(_))
    }
}
