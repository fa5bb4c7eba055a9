//! Clients that ask for everything at once, and note what was acknowledged to them.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use vigie_protocol::dataset::{DatasetVersion, Lineage};
use vigie_protocol::feedback::{Feedback, Said};
use vigie_protocol::import::ImportOptions;
use vigie_protocol::job::{ImportSource, Job, JobOutcome, JobSpec, JobState};
use vigie_protocol::model::{Alias, AliasMove};
use vigie_protocol::prediction::Prediction;
use vigie_protocol::run::{EpochMetrics, Recipe};
use vigie_protocol::service::{
    Backup, DatasetGet, FeedbackGive, InProject, JobGet, JobSubmit, Predict, Promote, Rollback, RunGet,
    TrainSubmit,
};
use vigie_protocol::wire::AgentClient;
use vigie_protocol::{AliasName, Hash, IdempotencyKey, JobId, ModelNumber, ProjectName, RunId};
use vigie_tests::{Agent, News, ask, repository, zip_of};

/// Clients that give feedback. Each spends half its time on the prediction that it gives it on.
pub const GIVING: usize = 4;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Move,
    Predict,
    Feedback,
    Import,
    Train,
    Backup,
}

impl Kind {
    pub const ALL: [Kind; 6] =
        [Kind::Move, Kind::Predict, Kind::Feedback, Kind::Import, Kind::Train, Kind::Backup];
}

/// How often something was done.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    begun: usize,
    ended: usize,
}

/// What was acknowledged before a kill.
#[derive(Debug, Default)]
pub struct Acknowledged {
    pub moves: Vec<AliasMove>,
    /// With when the answer was there.
    pub predictions: Vec<(Instant, Prediction)>,
    pub feedback: Vec<Feedback>,
    /// The longest that giving feedback took: a few syncs of the disk that all share.
    pub slowest: Duration,
    pub jobs: Vec<JobId>,
    pub versions: Vec<DatasetVersion>,
    /// The epochs that a run was seen to have.
    pub epochs: HashMap<RunId, Vec<EpochMetrics>>,
    pub backups: Vec<PathBuf>,
    /// Where backups go; removed when this is dropped.
    pub folder: Option<TempDir>,
}

impl fmt::Display for Acknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} moves, {} predictions, {} words of feedback, {} jobs, {} versions, {} epochs and {} backups \
             were acknowledged",
            self.moves.len(),
            self.predictions.len(),
            self.feedback.len(),
            self.jobs.len(),
            self.versions.len(),
            self.epochs.values().map(Vec::len).sum::<usize>(),
            self.backups.len(),
        )
    }
}

/// Clients at work.
pub struct Load {
    clients: JoinSet<Result<()>>,
    noted: Arc<Mutex<Acknowledged>>,
    doing: watch::Receiver<HashMap<Kind, Count>>,
    folder: TempDir,
}

impl Load {
    /// Starts all of them; `round` makes what they import and train new.
    pub fn start(agent: &Agent, project: &ProjectName, round: u32) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("vigie-").tempdir_in("/tmp")?;
        let (doing, seen) = watch::channel(HashMap::new());
        let noted = Arc::default();
        let picture = std::fs::read(repository().join("core/tests/fixtures/nets/photo_cat.png"))?;
        let client = |name: &str| Client {
            client: agent.new_client(name),
            project: project.clone(),
            picture: picture.clone(),
            // Imports go on after a restart: their files stay as long as the state does.
            files: agent.state().to_owned(),
            backups: folder.path().to_owned(),
            round,
            noted: Arc::clone(&noted),
            doing: doing.clone(),
        };
        let mut clients = JoinSet::new();
        clients.spawn(client("moves").move_the_alias());
        clients.spawn(client("imports").import());
        clients.spawn(client("trainings").train());
        clients.spawn(client("backups").back_up());
        for number in 0..GIVING {
            clients.spawn(client(&format!("feedback {number}")).give_feedback());
        }
        for number in 0..3 {
            clients.spawn(client(&format!("predictions {number}")).predict_on());
        }
        Ok(Self { clients, noted, doing: seen, folder })
    }

    /// Waits until each kind is at work and something of each that is quick was acknowledged.
    pub async fn everything_is_under_way(&mut self) -> Result<()> {
        let mut doing = self.doing.clone();
        let quick = [Kind::Move, Kind::Predict, Kind::Feedback];
        let begun = doing.wait_for(|doing| {
            Kind::ALL.iter().all(|kind| doing.contains_key(kind))
                && quick.iter().all(|kind| doing[kind].ended > 0)
        });
        tokio::select! {
            begun = tokio::time::timeout(Duration::from_secs(60), begun) => {
                begun.with_context(|| format!("begun is {:?}", self.doing.borrow()))??;
                Ok(())
            }
            Some(ended) = self.clients.join_next() => ended?.context("a client gave up"),
        }
    }

    /// Lets them work. None of them ends by itself.
    pub async fn goes_on_for(&mut self, span: Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(span) => Ok(()),
            Some(ended) = self.clients.join_next() => ended?.context("a client gave up"),
        }
    }

    /// What has begun and not ended.
    pub fn under_way(&self) -> Vec<Kind> {
        self.doing
            .borrow()
            .iter()
            .filter(|(_, count)| count.begun > count.ended)
            .map(|(kind, _)| *kind)
            .collect()
    }

    /// What was acknowledged to them.
    pub async fn stop(mut self) -> Acknowledged {
        self.clients.shutdown().await;
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        Acknowledged { folder: Some(self.folder), ..std::mem::take(&mut *noted) }
    }
}

struct Client {
    client: AgentClient,
    project: ProjectName,
    picture: Vec<u8>,
    files: PathBuf,
    backups: PathBuf,
    round: u32,
    noted: Arc<Mutex<Acknowledged>>,
    doing: watch::Sender<HashMap<Kind, Count>>,
}

/// Something that has begun, until it is dropped.
struct Doing<'a>(&'a Client, Kind);

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        self.0.doing.send_modify(|doing| doing.entry(self.1).or_default().ended += 1);
    }
}

impl Client {
    fn doing(&self, kind: Kind) -> Doing<'_> {
        self.doing.send_modify(|doing| doing.entry(kind).or_default().begun += 1);
        Doing(self, kind)
    }

    fn noted(&self) -> MutexGuard<'_, Acknowledged> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forth against the gate, and back.
    async fn move_the_alias(self) -> Result<()> {
        let aliases = ask!(self.client, alias_list, InProject { project: self.project.clone() }).await?;
        let mut alias: Alias = aliases.into_iter().next().context("an alias")?;
        loop {
            let _doing = self.doing(Kind::Move);
            let candidate = ModelNumber(if alias.model == ModelNumber(1) { 2 } else { 1 });
            let forth = Promote {
                key: IdempotencyKey::new(),
                project: self.project.clone(),
                candidate,
                alias: alias.name,
                expected_generation: alias.generation,
                reason: Some("load".to_owned()),
                override_gate: true,
            };
            let forth = ask!(self.client, promote, forth).await?;
            self.noted().moves.push(forth.moved);
            let back = Rollback {
                key: IdempotencyKey::new(),
                project: self.project.clone(),
                alias: AliasName::production(),
                expected_generation: Some(forth.alias.generation),
                reason: None,
            };
            let back = ask!(self.client, rollback, back).await?;
            self.noted().moves.push(back.moved);
            alias = back.alias;
        }
    }

    async fn predict(&self) -> Result<Prediction> {
        let request = Predict {
            project: self.project.clone(),
            image: self.picture.clone(),
            blob: None,
            top: 3,
            name: None,
        };
        let answer = ask!(self.client, predict, request).await?;
        self.noted().predictions.push((Instant::now(), answer.clone()));
        Ok(answer)
    }

    async fn predict_on(self) -> Result<()> {
        loop {
            let _doing = self.doing(Kind::Predict);
            self.predict().await?;
        }
    }

    async fn give_feedback(self) -> Result<()> {
        loop {
            let prediction = self.predict().await?.id;
            let _doing = self.doing(Kind::Feedback);
            let said = Said::Correct;
            let (key, project) = (IdempotencyKey::new(), self.project.clone());
            let give = FeedbackGive { key, project, prediction, said, blind: false, new_class: false };
            let asked = Instant::now();
            let given = ask!(self.client, feedback_give, give).await?;
            let mut noted = self.noted();
            noted.slowest = noted.slowest.max(asked.elapsed());
            noted.feedback.push(given);
        }
    }

    async fn import(self) -> Result<()> {
        for number in 0_u32.. {
            let path = self.files.join(format!("import-{}-{number}.zip", self.round));
            new_pictures(&path, &[self.round.to_le_bytes(), number.to_le_bytes()].concat())?;
            let source = ImportSource::Path { path: path.display().to_string() };
            let (lineage, options) = (Lineage::Source, ImportOptions::default());
            let request = JobSubmit {
                key: IdempotencyKey::new(),
                project: Some(self.project.clone()),
                spec: JobSpec::Import { source, lineage, accept: true, options },
                after: Vec::new(),
            };
            let job = ask!(self.client, job_submit, request).await?.id;
            self.noted().jobs.push(job);
            let job = self.followed(job, Kind::Import, None).await?;
            let Some(JobOutcome::ChangeSet { dataset: Some(dataset), .. }) = job.outcome else {
                bail!("no version came of an import: {job:?}");
            };
            let version = DatasetGet { project: self.project.clone(), dataset };
            let version = ask!(self.client, dataset_get, version).await?;
            self.noted().versions.push(version);
        }
        Ok(())
    }

    async fn train(self) -> Result<()> {
        for number in 0.. {
            let request = TrainSubmit {
                key: IdempotencyKey::new(),
                project: self.project.clone(),
                dataset: "reference@v1".parse().map_err(anyhow::Error::msg)?,
                // Small steps and no early stop: long enough to be hit in the middle.
                recipe: Recipe {
                    input: 64,
                    epochs: 60,
                    batch: 4,
                    patience: 0,
                    seed: 100 + u64::from(self.round) * 1_000 + number,
                    ..Recipe::default()
                },
                after: Vec::new(),
            };
            let submitted = ask!(self.client, train_submit, request).await?;
            self.noted().jobs.push(submitted.job.id);
            self.followed(submitted.job.id, Kind::Train, Some(submitted.run)).await?;
        }
        Ok(())
    }

    /// A job once it has succeeded, and the epochs of its run whenever there is news.
    async fn followed(&self, id: JobId, kind: Kind, run: Option<RunId>) -> Result<Job> {
        let mut news = News::default();
        let mut doing = None;
        loop {
            news.wait(&self.client).await?;
            let job = ask!(self.client, job_get, JobGet { job: id }).await?;
            if job.state == JobState::Running && doing.is_none() {
                doing = Some(self.doing(kind));
            }
            if let Some(run) = run {
                let get = RunGet { project: self.project.clone(), run };
                let epochs = ask!(self.client, run_get, get).await?.epochs;
                self.noted().epochs.insert(run, epochs);
            }
            match job.state {
                JobState::Succeeded => return Ok(job),
                state if state.is_final() => bail!("{job:?}"),
                _ => {}
            }
        }
    }

    async fn back_up(self) -> Result<()> {
        for number in 0.. {
            let _doing = self.doing(Kind::Backup);
            let target = self.backups.join(format!("backup-{number}"));
            let request = Backup { key: IdempotencyKey::new(), path: target.display().to_string() };
            ask!(self.client, backup, request).await?;
            self.noted().backups.push(target);
        }
        Ok(())
    }
}

/// A zip file with pictures that nobody has seen before, of two classes that the project has.
fn new_pictures(to: &std::path::Path, seed: &[u8]) -> Result<()> {
    let mut entries = Vec::new();
    for number in 0_u8..12 {
        let picture = image::RgbImage::from_fn(32, 32, |x, y| {
            let cell = [seed, &[number], &(x / 4).to_le_bytes(), &(y / 4).to_le_bytes()].concat();
            let colour = Hash::of(&cell);
            let [red, green, blue, ..] = colour.as_bytes();
            image::Rgb([*red, *green, *blue])
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Png)?;
        let class = if number % 2 == 0 { "bag" } else { "coat" };
        entries.push((format!("{class}/{number}.png"), bytes.into_inner()));
    }
    let entries: Vec<_> = entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    zip_of(to, &entries)
}
