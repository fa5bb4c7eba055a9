//! What must be true after a kill and a restart.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use vigie_protocol::feedback::Feedback;
use vigie_protocol::model::AliasMove;
use vigie_protocol::page::PageRequest;
use vigie_protocol::prediction::Prediction;
use vigie_protocol::service::{Backup, DatasetGet, InProject, JobGet, Predict, PredictionList, RunGet};
use vigie_protocol::{IdempotencyKey, PredictionId, ProjectName};
use vigie_tests::{Agent, ask, binary, repository, run};

use crate::load::{Acknowledged, GIVING};

/// What a crash may cost of the prediction log: the 50 ms that the README promises, and what was being
/// written at that moment. The latter has no bound but the disk's: a group, its pictures and the group
/// before it each wait for a sync, beside a training, an import and a backup that sync the same disk.
/// How long that takes here is seen in the round itself.
fn window(done: &Acknowledged) -> Duration {
    Duration::from_millis(50) + (3 * done.slowest).max(Duration::from_millis(200))
}

/// What earlier rounds have proven to be there, and must stay.
pub struct Proof {
    project: ProjectName,
    moves: Vec<AliasMove>,
    predictions: HashSet<PredictionId>,
    feedback: usize,
    /// Predictions that were answered long enough before a kill.
    pub before_the_window: usize,
}

impl Proof {
    /// Begins with what there is.
    pub async fn new(agent: &Agent, project: &ProjectName) -> Result<Self> {
        let moves = moves(agent)?;
        Ok(Self {
            project: project.clone(),
            moves,
            predictions: HashSet::new(),
            feedback: 0,
            before_the_window: 0,
        })
    }

    /// Whether all that was acknowledged is there, before the kill at `killed` and before earlier ones.
    pub async fn holds(&mut self, agent: &Agent, done: &Acknowledged, killed: Instant) -> Result<()> {
        self.epochs(agent, done).await?;
        self.moves(agent, done).await?;
        self.feedback(agent, done)?;
        self.predictions(agent, done, killed).await?;
        for version in &done.versions {
            let get = DatasetGet { project: self.project.clone(), dataset: version.dataset };
            let found = ask!(agent.client(), dataset_get, get).await?;
            ensure!(found == *version, "was {version:?}, is {found:?}");
        }
        for job in &done.jobs {
            ask!(agent.client(), job_get, JobGet { job: *job })
                .await
                .context("an acknowledged job is lost")?;
            agent.job_succeeds(*job).await?;
        }
        backups(agent, done).await
    }

    async fn moves(&mut self, agent: &Agent, done: &Acknowledged) -> Result<()> {
        let found = moves(agent)?;
        let generations: Vec<u64> = found.iter().map(|moved| moved.generation).collect();
        ensure!(generations == (1..=found.len() as u64).collect::<Vec<_>>(), "{generations:?}");
        let known = self.moves.len() + done.moves.len();
        for (acknowledged, found) in self.moves.iter().chain(&done.moves).zip(&found) {
            ensure!(acknowledged == found, "was {acknowledged:?}, is {found:?}");
        }
        // The one under way when it died may have happened.
        ensure!(
            (known..=known + 1).contains(&found.len()),
            "{known} were acknowledged, {} are there",
            found.len()
        );

        // What is committed is what serves.
        let aliases = ask!(agent.client(), alias_list, InProject { project: self.project.clone() }).await?;
        let newest = found.last().context("a move")?;
        ensure!(aliases[0].model == newest.to && aliases[0].generation == newest.generation, "{aliases:?}");
        let image = fs::read(repository().join("core/tests/fixtures/nets/photo_cat.png"))?;
        let request = Predict { project: self.project.clone(), image, blob: None, top: 3, name: None };
        let answer = ask!(agent.client(), predict, request).await?;
        ensure!(answer.model == newest.to, "{newest:?} does not serve: {answer:?}");
        self.moves = found;
        Ok(())
    }

    fn feedback(&mut self, agent: &Agent, done: &Acknowledged) -> Result<()> {
        let listed = agent.vigie_json(&["feedback", "list", "-p", "shop", "-n", "0"])?;
        let found: Vec<Feedback> = serde_json::from_value(listed)?;
        for acknowledged in &done.feedback {
            let found = found.iter().find(|found| found.prediction == acknowledged.prediction);
            ensure!(found == Some(acknowledged), "was {acknowledged:?}, is {found:?}");
        }
        // Those under way when it died may have happened.
        let known = self.feedback + done.feedback.len();
        ensure!(
            (known..=known + GIVING).contains(&found.len()),
            "{known} were acknowledged, {} are there",
            found.len()
        );
        self.feedback = found.len();
        Ok(())
    }

    async fn predictions(&mut self, agent: &Agent, done: &Acknowledged, killed: Instant) -> Result<()> {
        let mut found = HashSet::new();
        let mut cursor = None;
        loop {
            let page = PageRequest { cursor, limit: 1_000 };
            let list = PredictionList { project: self.project.clone(), filter: Default::default(), page };
            let page = ask!(agent.client(), prediction_list, list).await?;
            found.extend(page.items.iter().map(|prediction: &Prediction| prediction.id));
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let lost = done.predictions.iter().filter(|(_, prediction)| !found.contains(&prediction.id));
        let oldest = lost.map(|(answered, _)| killed.saturating_duration_since(*answered)).max();
        let oldest = oldest.unwrap_or_default();
        let window = window(done);
        eprintln!(
            "the oldest prediction that was lost was answered {oldest:?} before the kill, of {window:?}"
        );
        ensure!(oldest < window, "a prediction is lost that was answered {oldest:?} before the kill");
        self.before_the_window +=
            done.predictions.iter().filter(|(answered, _)| *answered + window < killed).count();
        // Feedback is given on a prediction that is durable, and what was once found stays.
        let must_be = done.feedback.iter().map(|feedback| feedback.prediction);
        for id in must_be.chain(self.predictions.iter().copied()) {
            ensure!(found.contains(&id), "{id} is lost");
        }
        self.predictions = found;
        Ok(())
    }

    /// An epoch that was seen is not computed again, and none comes twice.
    async fn epochs(&self, agent: &Agent, done: &Acknowledged) -> Result<()> {
        for (run, seen) in &done.epochs {
            let get = RunGet { project: self.project.clone(), run: *run };
            let found = ask!(agent.client(), run_get, get).await?.epochs;
            ensure!(found.starts_with(seen), "seen were {seen:?}, there are {found:?}");
        }
        Ok(())
    }
}

/// All moves of the alias, the first one first.
fn moves(agent: &Agent) -> Result<Vec<AliasMove>> {
    let listed = agent.vigie_json(&["models", "history", "-p", "shop", "-n", "0"])?;
    let mut moves: Vec<AliasMove> = serde_json::from_value(listed)?;
    moves.reverse();
    Ok(moves)
}

/// Each backup that was acknowledged is whole; what a killed one left is gone after the next.
async fn backups(agent: &Agent, done: &Acknowledged) -> Result<()> {
    let folder = done.folder.as_ref().context("backups")?.path();
    let next = folder.join("next");
    let request = Backup { key: IdempotencyKey::new(), path: next.display().to_string() };
    ask!(agent.client(), backup, request).await?;
    // Each takes a second to check: the last one that was acknowledged, and the next.
    for backup in done.backups.last().into_iter().chain([&next]) {
        let said = run(Command::new(binary("vigie-agent")?).args(["store", "check"]).arg(backup))?;
        ensure!(said.code == 0 && said.out.contains("whole: "), "{}: {said:?}", backup.display());
    }
    let left = names(folder)?.into_iter().filter(|name| name.starts_with('.')).collect::<Vec<_>>();
    ensure!(left.is_empty(), "a killed backup left {left:?} for good");
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
