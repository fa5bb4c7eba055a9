//! The jobs of the past, and those that are under way when the simulation begins: one in every state,
//! with every kind of wait, failure and outcome.

use std::time::Duration;

use vigie_protocol::access::{Principal, Role};
use vigie_protocol::dataset::{DatasetRef, Lineage};
use vigie_protocol::import::ImportOptions;
use vigie_protocol::job::{
    FailureCause, ImportSource, Job, JobFailure, JobOutcome, JobSpec, JobState, Progress,
};
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::run::{Recipe, RunState};
use vigie_protocol::service::JobChange;
use vigie_protocol::{JobId, ModelNumber, ProjectName, RunId, Time};

use super::super::dice::hash;
use super::super::words::HOSTILE;
use super::jobs::JobRow;
use super::life::out_of_memory;
use super::outcome::collected;
use super::{Character, State};

/// The reference version that things of the past are about.
const REFERENCE: DatasetRef = DatasetRef { lineage: Lineage::Reference, number: 4 };

/// How a job of the past ended.
enum End {
    Succeeded(JobOutcome),
    Failed(JobFailure),
    Cancelled,
}

impl State {
    pub(super) fn remember_jobs(&mut self, present: Time) {
        let Some(name) = self.projects.keys().next().cloned() else { return };
        self.remember_ends(&name, present);
        self.remember_failures(&name, present);
        if self.identity.character != Character::Quiet {
            self.begin_jobs(&name, present);
        }
    }

    /// One job of each kind that ended well, and one that was cancelled.
    fn remember_ends(&mut self, name: &ProjectName, present: Time) {
        let seed = self.identity.seed;
        let preprocess = PreprocessSpec::for_network(Architecture::EfficientnetLite0, 224);
        let into = Lineage::Reference;
        let from = DatasetRef { lineage: Lineage::Source, number: 3 };
        let ends = [
            (
                300,
                import("/srv/pictures/monday"),
                End::Succeeded(JobOutcome::NoChange { dataset: Some(from) }),
            ),
            (
                250,
                JobSpec::Propose {
                    from,
                    into,
                    accept: true,
                    admit_all: false,
                    only_add: false,
                    window: None,
                },
                { End::Succeeded(JobOutcome::NoChange { dataset: Some(REFERENCE) }) },
            ),
            (240, JobSpec::Preprocess { dataset: REFERENCE, spec: preprocess }, {
                let (pack, images, bytes) = (hash(seed, 5), 16_800, 2_529_623_040);
                End::Succeeded(JobOutcome::Pack { pack, images, bytes, reused: false })
            }),
            (200, JobSpec::Gc { dry_run: false }, {
                End::Succeeded(JobOutcome::Gc { report: collected(seed, true) })
            }),
            (100, JobSpec::Unknown, End::Succeeded(JobOutcome::Unknown)),
            (90, import("/srv/pictures/a folder that somebody thought better of"), End::Cancelled),
        ];
        for (minutes, spec, end) in ends {
            let began = present.minus(Duration::from_secs(60 * minutes));
            self.job_of_the_past(Some(name), spec, began, began.plus(Duration::from_secs(200)), end);
        }
    }

    /// One failed job of each cause, most with a hint.
    fn remember_failures(&mut self, name: &ProjectName, present: Time) {
        let failure = |cause, message: &str, hint: Option<&str>| JobFailure {
            cause,
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        };
        let garbled = format!("the worker panicked: index out of bounds\n  at {}\nand more", HOSTILE[0]);
        let failures = [
            out_of_memory(),
            failure(
                FailureCause::Refused,
                "archive.zip holds no image",
                Some("give it folders of images, one for each class"),
            ),
            failure(FailureCause::Error, "the disk refused a write", Some("is the disk full?")),
            failure(
                FailureCause::Killed,
                "the worker was killed by SIGKILL",
                Some("if nobody did, the kernel may have run out of memory: look at its log (dmesg)"),
            ),
            failure(FailureCause::Crashed, &garbled, None),
            failure(
                FailureCause::Dependency,
                "the job it needs failed",
                Some("retry that job first, then this one"),
            ),
            failure(FailureCause::Interrupted, "the agent ended during attempt 50", None),
            failure(FailureCause::Unknown, "a cause that only a newer console knows", None),
        ];
        for (n, failure) in (1..).zip(failures) {
            let began = present.minus(Duration::from_secs(3_600 * (10 + n)));
            let spec = import(&format!("/srv/pictures/attempt-{n}"));
            self.job_of_the_past(
                Some(name),
                spec,
                began,
                began.plus(Duration::from_secs(70)),
                End::Failed(failure),
            );
        }
    }

    /// What is under way: a training and what waits for it, imports that wait for each other, one that
    /// is stopping, one that waits for a worker, one that is to be tried again.
    fn begin_jobs(&mut self, name: &ProjectName, present: Time) {
        self.now = present.minus(Duration::from_secs(600));
        let train = |state: &mut Self| {
            let run: RunId = state.fresh_id(state.now);
            let recipe = Recipe { batch: 32, ..Recipe::default() };
            (run, JobSpec::Train { dataset: REFERENCE, recipe, run })
        };
        let (run, training) = train(self);
        let training = self.queue(name, training, &[]);
        for _ in 0..16 {
            self.now = self.now.plus(Duration::from_secs(30));
            self.work_for(Duration::from_secs(30));
        }
        self.queue(name, JobSpec::Evaluate { run }, &[training]);
        let (_, next) = train(self);
        self.queue(name, next, &[]);
        self.queue(name, import("/srv/pictures/tuesday"), &[]);
        self.queue(name, import(&format!("/srv/pictures/{}", HOSTILE[4])), &[]);
        let spec = PreprocessSpec::for_network(Architecture::EfficientnetB0, 224);
        let stopping = self.queue(name, JobSpec::Preprocess { dataset: REFERENCE, spec }, &[]);
        self.queue(name, JobSpec::Gc { dry_run: true }, &[]);
        let spec = PreprocessSpec::for_network(Architecture::EfficientnetLite0, 96);
        let dataset = DatasetRef { number: 3, ..REFERENCE };
        let again = self.queue(name, JobSpec::Preprocess { dataset, spec }, &[]);
        self.now = present.minus(Duration::from_secs(60));
        self.work_for(Duration::from_secs(60));
        self.now = present;
        if let Some(row) = self.jobs.row_mut(again) {
            row.job.attempts = 1;
            row.job.failure = Some(out_of_memory());
            row.work.until = Some(present.plus(Duration::from_secs(8)));
        }
        let who = Principal { name: "bob".to_owned(), role: Role::Operator, via: "unix socket".to_owned() };
        let (key, job) = (self.fresh_id(present), stopping);
        self.job_cancel(&who, JobChange { key, job }).expect("it began a minute ago");
        self.start_what_may();
    }

    fn queue(&mut self, name: &ProjectName, spec: JobSpec, after: &[JobId]) -> JobId {
        let project = (!matches!(spec, JobSpec::Gc { .. })).then(|| name.clone());
        self.submit(project, spec, after, "alice").expect("the queue is short, and what it names is there").id
    }

    /// The job of a training of the past.
    pub(super) fn remember_training(
        &mut self,
        name: &ProjectName,
        run: RunId,
        began: Time,
        ended: Time,
        state: RunState,
        recipe: &Recipe,
    ) -> JobId {
        let spec = JobSpec::Train { dataset: REFERENCE, recipe: recipe.clone(), run };
        let end = match state {
            RunState::Failed => End::Failed(out_of_memory()),
            RunState::Cancelled => End::Cancelled,
            RunState::Running | RunState::Finished | RunState::Unknown => {
                End::Succeeded(JobOutcome::Run { run, best_epoch: 21 })
            }
        };
        self.job_of_the_past(Some(name), spec, began, ended, end)
    }

    /// The job that made a model version of the past.
    pub(super) fn remember_evaluation(
        &mut self,
        name: &ProjectName,
        run: RunId,
        number: ModelNumber,
        at: Time,
    ) {
        let end = End::Succeeded(JobOutcome::Model { number });
        let began = at.minus(Duration::from_secs(90));
        self.job_of_the_past(Some(name), JobSpec::Evaluate { run }, began, at, end);
    }

    fn job_of_the_past(
        &mut self,
        project: Option<&ProjectName>,
        spec: JobSpec,
        began: Time,
        ended: Time,
        end: End,
    ) -> JobId {
        let (id, seed): (JobId, u64) = (self.fresh_id(began), self.fresh_bits());
        let (state, outcome, failure, fraction) = match end {
            End::Succeeded(outcome) => (JobState::Succeeded, Some(outcome), None, 1.0),
            End::Failed(failure) => (JobState::Failed, None, Some(failure), 0.4),
            End::Cancelled => (JobState::Cancelled, None, None, 0.1),
        };
        let job = Job {
            id,
            project: project.filter(|_| !matches!(spec, JobSpec::Gc { .. })).cloned(),
            spec,
            after: Vec::new(),
            state,
            waits_for: Vec::new(),
            progress: Progress { stage: "done".to_owned(), fraction, ..Progress::default() },
            attempts: 1,
            outcome,
            failure,
            created: began,
            started: Some(began),
            finished: Some(ended),
            by: "schedule".to_owned(),
            worker_pid: None,
            generation: 3,
        };
        self.jobs.insert(JobRow::ended(job, seed, began));
        id
    }
}

fn import(path: &str) -> JobSpec {
    JobSpec::Import {
        source: ImportSource::Path { path: path.to_owned() },
        lineage: Lineage::Source,
        accept: false,
        options: ImportOptions::default(),
    }
}
