//! The whole way from images to a promoted model, step by step. Run again it does only what is not
//! done yet: versions, runs and models that exist already are used as they are.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use vigie_protocol::dataset::{ChangeSetState, DatasetRef, DatasetVersion, Lineage};
use vigie_protocol::import::ImportOptions;
use vigie_protocol::job::{JobOutcome, JobSpec};
use vigie_protocol::model::{GateVerdict, ModelVersion};
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::project::ProjectSettings;
use vigie_protocol::run::{Recipe, Run, RunState};
use vigie_protocol::service::{
    AliasMoved, ChangeSetGet, DatasetGet, Empty, JobChange, ModelGet, ModelList, ProjectCreate, Promote,
    RunGet, RunList,
};
use vigie_protocol::{AliasName, ChangeSetId, IdempotencyKey, ModelNumber, ProjectName, RunId};

use crate::cli::{datasets, models, runs};
use crate::exit::{Exit, Failure};
use crate::follow::to_the_end;
use crate::out::{Sheet, count, duration, note, percent};
use crate::session::{Session, ask, ask_to_the_end};

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In which project; it is created when missing.
    pub project: ProjectName,
    /// The folder or zip file with the images.
    pub source: PathBuf,
    /// How to train.
    pub recipe: Recipe,
    /// Whether the model takes production.
    pub promote: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The project.
    pub project: ProjectName,
    /// The version with the imported images.
    pub source: DatasetRef,
    /// The version that was learnt from.
    pub reference: DatasetVersion,
    /// The training.
    pub run: RunId,
    /// The model version.
    pub model: ModelVersion,
    /// What the gate said of it; absent when it held production already.
    pub verdict: Option<GateVerdict>,
    /// How it took production; absent when it was not to, or held it already.
    pub promoted: Option<AliasMoved>,
    /// Seconds all this took.
    pub seconds: f64,
}

const STEPS: [&str; 7] = ["project", "import", "update", "preprocess", "train", "evaluate", "promote"];

/// Carries the plan out, saying on standard error how each step ended.
pub async fn run(session: &Session, plan: &Plan) -> Result<Report, Failure> {
    let mut pipeline = Pipeline { session, project: &plan.project, step: 0, since: Instant::now() };
    let begun = Instant::now();
    match pipeline.run(plan, begun).await {
        Ok(report) => Ok(report),
        Err(failure) => Err(pipeline.stopped(failure)),
    }
}

struct Pipeline<'a> {
    session: &'a Session,
    project: &'a ProjectName,
    step: usize,
    since: Instant,
}

impl Pipeline<'_> {
    async fn run(&mut self, plan: &Plan, begun: Instant) -> Result<Report, Failure> {
        let Plan { project: _, source, recipe, promote } = plan;
        let made = self.project().await?;
        self.done(made);

        let source = datasets::import_source(self.session, source, false).await?;
        let spec = JobSpec::Import {
            source,
            lineage: Lineage::Source,
            accept: true,
            options: ImportOptions::default(),
        };
        let source = self.version(spec, Lineage::Source).await?;
        self.done(source.to_string());

        let (from, into) = (source, Lineage::Reference);
        let spec =
            JobSpec::Propose { from, into, accept: true, admit_all: false, only_add: false, window: None };
        let reference = self.version(spec, Lineage::Reference).await?;
        let request = DatasetGet { project: self.project.clone(), dataset: reference };
        let reference = ask!(self.session, dataset_get, request).await?;
        let (images, classes) = (count(reference.images()), reference.classes.len());
        self.done(format!("{}: {images} images in {classes} classes", reference.dataset));

        let spec = PreprocessSpec::for_network(recipe.architecture, recipe.input);
        let packed = self.job(JobSpec::Preprocess { dataset: reference.dataset, spec }).await?;
        self.done(packed.as_ref().map_or_else(|| "packed".to_owned(), crate::cli::jobs::outcome));

        let run = self.train(reference.dataset, recipe).await?;
        self.done(trained(&run));

        let model = self.evaluate(run.id).await?;
        self.done(format!("model {}: {} right on held-out images", model.number, model.accuracy));

        let (verdict, promoted) =
            if *promote { self.promote(model.number).await? } else { self.gate_only(model.number).await? };
        Ok(Report {
            project: self.project.clone(),
            source,
            reference,
            run: run.id,
            model,
            verdict,
            promoted,
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// What the step under way is called on screen.
    fn title(&self) -> String {
        format!("{}/{} {:<10}", self.step + 1, STEPS.len(), STEPS.get(self.step).unwrap_or(&""))
    }

    /// Says how the step ended, and goes on to the next.
    fn done(&mut self, result: String) {
        note(format!("{} {result} ({})", self.title(), duration(self.since.elapsed())));
        self.step += 1;
        self.since = Instant::now();
    }

    /// Names the step that failed, and how to go on.
    fn stopped(&self, failure: Failure) -> Failure {
        let Failure { exit, message, hint } = failure;
        let step = STEPS.get(self.step).unwrap_or(&"end");
        let again = "run the same command again: it goes on here, what is done is not done again";
        Failure {
            exit,
            message: format!("stopped at step {} ({step}): {message}", self.step + 1),
            hint: Some(hint.map_or_else(|| again.to_owned(), |hint| format!("{hint}; then {again}"))),
        }
    }

    async fn project(&self) -> Result<String, Failure> {
        let projects = ask!(self.session, project_list, Empty {}).await?;
        if projects.iter().any(|project| project.name == *self.project) {
            return Ok(format!("{} is there", self.project));
        }
        let request = ProjectCreate {
            key: IdempotencyKey::new(),
            name: self.project.clone(),
            description: String::new(),
            settings: ProjectSettings::default(),
        };
        ask!(self.session, project_create, request).await?;
        Ok(format!("{} created", self.project))
    }

    async fn job(&self, spec: JobSpec) -> Result<Option<JobOutcome>, Failure> {
        let job = datasets::submit(self.session, self.project.clone(), spec).await?;
        Ok(to_the_end(self.session, job.id, &self.title()).await?.outcome)
    }

    /// Runs a job that makes a dataset version, and returns that or the one that holds all already.
    async fn version(&self, spec: JobSpec, lineage: Lineage) -> Result<DatasetRef, Failure> {
        let known = match self.job(spec).await? {
            Some(JobOutcome::ChangeSet { dataset: Some(dataset), .. }) => Some(dataset),
            Some(JobOutcome::ChangeSet { dataset: None, change_set }) => {
                Some(self.undecided(change_set, lineage).await?)
            }
            Some(JobOutcome::NoChange { dataset }) => dataset,
            _ => None,
        };
        let newest = match known {
            Some(dataset) => Some(dataset),
            None => runs::newest(self.session, self.project, lineage).await?,
        };
        newest.ok_or_else(|| {
            Failure::new(Exit::Failed, "there are no images in it")
                .hint("the images of each class go into a folder that is called like the class")
        })
    }

    /// A change-set that was not accepted by itself does more than add: a person must look at it.
    async fn undecided(&self, change_set: ChangeSetId, lineage: Lineage) -> Result<DatasetRef, Failure> {
        let request = ChangeSetGet { project: self.project.clone(), change_set };
        let seen = ask!(self.session, change_set_get, request).await?;
        match (seen.state, seen.accepted_as) {
            (ChangeSetState::Accepted, Some(number)) => Ok(DatasetRef { lineage, number }),
            _ => {
                let message = format!("change-set {change_set} does more than add images and awaits review");
                Err(Failure::new(Exit::Conflict, message).hint(format!(
                    "look at it with `vigie changesets show {change_set} -p {0}` and accept it with `vigie changesets accept {change_set} -p {0}`",
                    self.project
                )))
            }
        }
    }

    /// The newest run of the same recipe on the same version is used, followed or taken up again.
    async fn train(&self, dataset: DatasetRef, recipe: &Recipe) -> Result<Run, Failure> {
        let runs = self
            .session
            .pages(0, async |page| {
                ask!(self.session, run_list, RunList { project: self.project.clone(), page }).await
            })
            .await?;
        let same = runs.into_iter().find(|run| run.dataset == dataset && run.recipe == *recipe);
        let (run, job) = match same {
            Some(run) if run.state == RunState::Finished => return Ok(run),
            Some(run) => {
                if matches!(run.state, RunState::Failed | RunState::Cancelled) {
                    let request = JobChange { key: IdempotencyKey::new(), job: run.job };
                    ask!(self.session, job_retry, request).await?;
                }
                (run.id, run.job)
            }
            None => {
                let submitted =
                    runs::submit(self.session, self.project.clone(), dataset, recipe.clone()).await?;
                (submitted.run, submitted.job.id)
            }
        };
        to_the_end(self.session, job, &self.title()).await?;
        ask!(self.session, run_get, RunGet { project: self.project.clone(), run }).await
    }

    async fn evaluate(&self, run: RunId) -> Result<ModelVersion, Failure> {
        let models = self
            .session
            .pages(0, async |page| {
                ask!(self.session, model_list, ModelList { project: self.project.clone(), page }).await
            })
            .await?;
        if let Some(model) = models.into_iter().find(|model| model.run == run) {
            return Ok(model);
        }
        match self.job(JobSpec::Evaluate { run }).await? {
            Some(JobOutcome::Model { number }) => {
                let request = ModelGet { project: self.project.clone(), number };
                Ok(ask!(self.session, model_get, request).await?.model)
            }
            _ => Err(Failure::new(Exit::Failed, "the evaluation registered no model version")),
        }
    }

    async fn promote(&mut self, candidate: ModelNumber) -> Result<Promoted, Failure> {
        let alias = AliasName::production();
        let holder = models::holder(self.session, self.project, &alias).await?;
        if holder.as_ref().is_some_and(|holder| holder.model == candidate) {
            self.done(format!("{candidate} is in production already"));
            return Ok((None, None));
        }
        let verdict = models::gate(self.session, self.project, candidate, &alias).await?;
        if !verdict.passed() {
            return Err(models::refused(&verdict).hint(format!(
                "`vigie models promote {candidate} -p {} --override --reason 'why'` goes on all the same",
                self.project
            )));
        }
        let request = Promote {
            key: IdempotencyKey::new(),
            project: self.project.clone(),
            candidate,
            alias,
            expected_generation: holder.map_or(0, |holder| holder.generation),
            reason: Some("vigie pipeline".to_owned()),
            override_gate: false,
        };
        let moved = ask_to_the_end!(self.session, promote, request).await?;
        self.done(format!("{candidate} passed the gate and is in production"));
        Ok((Some(verdict), Some(moved)))
    }

    async fn gate_only(&mut self, candidate: ModelNumber) -> Result<Promoted, Failure> {
        let verdict = models::gate(self.session, self.project, candidate, &AliasName::production()).await?;
        let word = if verdict.passed() { "would pass" } else { "would not pass" };
        self.done(format!("skipped; {candidate} {word} the gate"));
        Ok((Some(verdict), None))
    }
}

type Promoted = (Option<GateVerdict>, Option<AliasMoved>);

fn trained(run: &Run) -> String {
    let best = run.epochs.iter().find(|epoch| Some(epoch.epoch) == run.best_epoch);
    let epochs = run.epochs.len();
    match best {
        Some(best) => format!(
            "{epochs} epochs, best {} with {} right on validation images",
            best.epoch,
            percent(best.valid_accuracy)
        ),
        None => format!("{epochs} epochs"),
    }
}

impl Report {
    /// For people.
    pub fn sheet(&self) -> Sheet {
        let Self { project, source, reference, run, model, verdict, promoted, seconds } = self;
        let production = match (promoted, verdict) {
            (Some(moved), _) => match moved.alias.previous {
                Some(previous) => format!("{} since now; {previous} before", moved.alias.model),
                None => format!("{} since now, the first", moved.alias.model),
            },
            (None, None) => format!("{} already", model.number),
            (None, Some(verdict)) if verdict.passed() => "not asked for; the gate would pass it".to_owned(),
            (None, Some(_)) => "not asked for; the gate would refuse it".to_owned(),
        };
        Sheet::new()
            .field("Project", project.as_str())
            .field("Datasets", format!("{source}, {}", reference.dataset))
            .field("Images", format!("{} in {} classes", count(reference.images()), reference.classes.len()))
            .field("Run", run.to_string())
            .field("Model", format!("{} ({})", model.number, model.architecture))
            .field("Test accuracy", model.accuracy.to_string())
            .field("Production", production)
            .field("Took", duration(Duration::try_from_secs_f64(*seconds).unwrap_or_default()))
    }
}
