//! What happens by itself while time passes: scheduled jobs, a service that falters and recovers.

use std::time::Duration;

use vigie_protocol::Time;
use vigie_protocol::dataset::{DatasetRef, Lineage};
use vigie_protocol::health::ServiceState;
use vigie_protocol::import::ImportOptions;
use vigie_protocol::job::{FailureCause, ImportSource, JobFailure, JobSpec};
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::run::Recipe;

use super::super::dice::{below, mix, share};
use super::work::Fault;
use super::{Character, State};

/// Between two scheduled jobs of one agent, on average.
const SCHEDULE: Duration = Duration::from_secs(20 * 60);

/// Between two falterings of one agent, on average, and how long one lasts.
const FALTERS: Duration = Duration::from_secs(3 * 3_600);
const FALTERS_FOR: Duration = Duration::from_secs(180);

/// Scheduled jobs are not added to a queue that is longer than this.
const QUEUE: usize = 5;

/// What comes next, and when.
#[derive(Debug)]
pub(super) struct Life {
    scheduled: u64,
    next_job: Time,
    falters: Time,
    recovers: Option<Time>,
}

impl Life {
    pub(super) fn new(seed: u64, now: Time) -> Self {
        // Not all agents at once.
        let next_job = now.plus(SCHEDULE.mul_f64(share(mix(seed, 31))));
        let falters = now.plus(FALTERS.mul_f64(share(mix(seed, 32))));
        Self { scheduled: 0, next_job, falters, recovers: None }
    }
}

impl State {
    /// Life goes on for `span`, at whose end the clock shows `now`.
    pub(in super::super) fn live(&mut self, span: Duration, now: Time) {
        self.now = now;
        self.work_for(span);
        self.fire_due();
        if self.life.next_job <= now {
            self.schedule();
        }
        if self.life.falters <= now || self.life.recovers.is_some_and(|recovers| recovers <= now) {
            self.falter_or_recover();
        }
    }

    fn falter_or_recover(&mut self) {
        let (now, seed) = (self.now, self.identity.seed);
        if self.life.recovers.take_if(|recovers| *recovers <= now).is_some() {
            self.service("telemetry", ServiceState::Up, "");
        } else if self.life.falters <= now && self.life.recovers.is_none() {
            let whole = now.as_micros().cast_unsigned();
            self.life.falters = now.plus(FALTERS.mul_f64(0.5 + share(mix(seed, whole))));
            // What is down for good stays down.
            if self.identity.character != Character::Broken {
                self.life.recovers = Some(now.plus(FALTERS_FOR));
                self.service("telemetry", ServiceState::Degraded, "the sampler is late by 12 s");
            }
        }
    }

    /// The schedule asks for its next job, of each kind by turns.
    fn schedule(&mut self) {
        let turn = self.life.scheduled;
        self.life.scheduled += 1;
        let bits = mix(self.identity.seed ^ 0x5c, turn);
        self.life.next_job = self.now.plus(SCHEDULE.mul_f64(0.5 + share(bits)));
        let idle = matches!(self.identity.character, Character::Quiet | Character::Fresh);
        if idle || self.jobs.unfinished() >= QUEUE {
            return;
        }
        let Some(name) = self.projects.keys().nth(below(mix(bits, 1), self.projects.len())).cloned() else {
            return;
        };
        let head = self.projects.get(&name).and_then(|project| project.head(Lineage::Reference));
        let Some(dataset) = head.map(|head| head.dataset) else { return };
        let recipe = Recipe { epochs: 12, ..Recipe::default() };
        let spec = match turn % 6 {
            0 | 3 => JobSpec::Train { dataset, recipe, run: self.fresh_id(self.now) },
            1 => JobSpec::Import {
                source: ImportSource::Path { path: "/srv/pictures/nightly".to_owned() },
                lineage: Lineage::Source,
                accept: false,
                options: ImportOptions::default(),
            },
            2 => {
                let spec = PreprocessSpec::for_network(Architecture::EfficientnetLite0, 224);
                JobSpec::Preprocess { dataset, spec }
            }
            4 => JobSpec::Gc { dry_run: true },
            _ => {
                let from = DatasetRef { lineage: Lineage::Reference, number: dataset.number };
                let into = Lineage::Reference;
                JobSpec::Propose {
                    from,
                    into,
                    accept: false,
                    admit_all: false,
                    only_add: false,
                    window: None,
                }
            }
        };
        let project = (!matches!(spec, JobSpec::Gc { .. })).then_some(name);
        // The queue is short and everything that the job names is there.
        let Ok(job) = self.submit(project, spec, &[], "schedule") else { return };
        if let Some(row) = self.jobs.row_mut(job.id) {
            // Nothing new, or datasets and change-sets would pile up over a long day.
            row.work.finds = false;
            if turn % 5 == 4 {
                row.work.fault = Some(Fault { at: 0.4, failure: out_of_memory() });
            }
        }
    }
}

/// A worker that asked for too much.
pub(super) fn out_of_memory() -> JobFailure {
    JobFailure {
        cause: FailureCause::OutOfMemory,
        message: "the kernel killed the worker because memory ran out".to_owned(),
        hint: Some(
            "lower the recipe's batch or input, or raise the worker's memory limit in the agent's configuration"
                .to_owned(),
        ),
    }
}
