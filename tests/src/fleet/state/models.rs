//! Model versions. Their passports, with confusion and outcomes, are worked out when somebody looks.

use vigie_core::evaluate::confusion::Confusion;
use vigie_core::evaluate::stats::proportion;
use vigie_protocol::access::Principal;
use vigie_protocol::dataset::{DatasetRef, Split};
use vigie_protocol::model::{Architecture, Evaluation, Golden, ModelVersion, Outcome, Passport};
use vigie_protocol::page::Page;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::service::{ModelDetail, ModelGet, ModelList};
use vigie_protocol::{ApiError, ModelNumber, RunId, Time};

use super::super::dice::{hash, mix, share};
use super::super::world::{Content, Plan};
use super::State;
use super::page::{cursor, page};
use super::projects::InState;
use super::refusal::missing;

/// A prime above any number of test images: steps of it reach each of them once.
const STEP: usize = 104_729;

/// Images that a model keeps with their logits.
const GOLDEN: usize = 4;

/// A model version and what its passport is worked out from.
#[derive(Clone, Debug)]
pub(super) struct ModelRow {
    pub(super) version: ModelVersion,
    content: Content,
    /// Test images that it gets right.
    right: usize,
    /// Whether this machine says of the golden set what the passport says.
    pub(super) reproduces: bool,
}

/// How a model version came to be.
pub(super) struct Registered<'a> {
    pub(super) run: RunId,
    pub(super) dataset: DatasetRef,
    pub(super) content: Content,
    pub(super) architecture: Architecture,
    /// Share of the test images that it gets right.
    pub(super) accuracy: f64,
    pub(super) at: Time,
    pub(super) by: &'a str,
}

impl InState {
    /// Registers the next model version.
    pub(super) fn register(&mut self, registered: &Registered<'_>) -> ModelNumber {
        let &Registered { run, dataset, content, architecture, accuracy, at, by } = registered;
        let number = ModelNumber(self.models.last().map_or(0, |last| last.version.number.0) + 1);
        let tested = self.plan.counts(content).values().map(|counts| counts.test).sum::<u64>();
        let right = (tested as f64 * accuracy.clamp(0.0, 1.0)).round() as u64;
        let version = ModelVersion {
            number,
            passport: hash(self.plan.seed ^ 0x9a, u64::from(number.0)),
            weights: self.log.source().weights(number),
            architecture,
            classes: u32::try_from(self.plan.classes.len()).unwrap_or(u32::MAX),
            dataset,
            run,
            accuracy: proportion(right, tested),
            created: at,
            by: by.to_owned(),
        };
        let right = usize::try_from(right).unwrap_or(usize::MAX);
        self.models.push(ModelRow { version, content, right, reproduces: true });
        number
    }

    pub(super) fn model(&self, number: ModelNumber) -> Result<&ModelRow, ApiError> {
        let found = self.models.iter().find(|model| model.version.number == number);
        found.ok_or_else(|| missing(format_args!("model {number}")))
    }

    pub(super) fn passport(&self, model: &ModelRow) -> Passport {
        let version = &model.version;
        let preprocess = PreprocessSpec::for_network(version.architecture, 224);
        let epoch = self.runs.get(&version.run).and_then(|row| row.run.best_epoch);
        Passport {
            architecture: version.architecture,
            classes: self.plan.classes.clone(),
            preprocess_hash: preprocess.hash(),
            preprocess,
            weights: version.weights,
            dataset: version.dataset,
            manifest: self.plan.manifest(model.content),
            run: version.run,
            epoch: epoch.unwrap_or(1),
            temperature: 1.1 + 0.4 * share(mix(self.plan.seed, u64::from(version.number.0))),
            evaluation: model.evaluation(&self.plan),
            golden: model.golden(&self.plan),
            made_by: "vigie-agent 0.1.0 on cpu".to_owned(),
        }
    }
}

impl ModelRow {
    /// The test images, in the order of their numbers.
    fn tested(&self, plan: &Plan) -> Vec<usize> {
        plan.images(self.content).filter(|&image| plan.split(image) == Split::Test).collect()
    }

    fn outcomes(&self, plan: &Plan) -> Vec<Outcome> {
        let tested = self.tested(plan);
        let wrong = tested.len().saturating_sub(self.right);
        let classes = plan.classes.len();
        let index = |class: usize| u32::try_from(class).unwrap_or(u32::MAX);
        let outcome = |(place, &image): (usize, &usize)| {
            let truth = plan.label(self.content, image);
            // Models of one project stumble over much the same images, the worse ones over more.
            let stumbles = (place * STEP + self.version.number.0 as usize) % tested.len() < wrong;
            let bits = mix(plan.seed ^ u64::from(self.version.number.0), image as u64);
            let confidence = (0.55 + 0.45 * share(bits)) as f32;
            let predicted =
                if stumbles { (truth + 1 + (bits % 3) as usize % (classes - 1)) % classes } else { truth };
            // The neighbour of the last class may be the first one, which may be the truth again.
            let predicted = if stumbles && predicted == truth { (truth + 1) % classes } else { predicted };
            let truth_probability = if stumbles { (1.0 - confidence) * 0.7 } else { confidence };
            Outcome {
                image: plan.pictures().hash(image),
                truth: index(truth),
                predicted: index(predicted),
                confidence,
                truth_probability,
            }
        };
        tested.iter().enumerate().map(outcome).collect()
    }

    fn evaluation(&self, plan: &Plan) -> Evaluation {
        let outcomes = self.outcomes(plan);
        let mut confusion = Confusion::new(plan.classes.len());
        for outcome in &outcomes {
            confusion.count(outcome.truth, outcome.predicted);
        }
        let n = outcomes.len() as u64;
        let right = (self.right as u64).min(n);
        let loss: f64 =
            outcomes.iter().map(|outcome| -f64::from(outcome.truth_probability).max(1e-6).ln()).sum();
        Evaluation {
            dataset: self.version.dataset,
            manifest: plan.manifest(self.content),
            accuracy: confusion.accuracy(),
            top3_accuracy: proportion(right + (n - right) / 2, n),
            balanced_accuracy: confusion.balanced_accuracy(),
            macro_f1: confusion.macro_f1(),
            log_loss: loss / n.max(1) as f64,
            calibration_error: 0.021,
            calibration_error_raw: 0.064,
            classes: confusion.report(&plan.classes),
            confusion: confusion.counts().to_vec(),
            outcomes,
        }
    }

    fn golden(&self, plan: &Plan) -> Vec<Golden> {
        let logits = |image: usize| {
            let logit = |class: u64| (8.0 * share(mix(mix(plan.seed, image as u64), class)) - 4.0) as f32;
            (0..).take(plan.classes.len()).map(logit).collect()
        };
        let golden = self.tested(plan).into_iter().take(GOLDEN);
        golden.map(|image| Golden { image: plan.pictures().hash(image), logits: logits(image) }).collect()
    }
}

impl State {
    pub(in super::super) fn model_list(
        &mut self,
        _: &Principal,
        request: ModelList,
    ) -> Result<Page<ModelVersion>, ApiError> {
        let ModelList { project, page: wanted } = request;
        let project = self.project(&project)?;
        let after: Option<ModelNumber> = cursor(&wanted)?;
        let rows = project.models.iter().rev();
        let rows = rows.filter(|row| after.is_none_or(|after| row.version.number < after));
        Ok(page(&wanted, rows.map(|row| (row.version.number, Some(row.version.clone())))))
    }

    pub(in super::super) fn model_get(
        &mut self,
        _: &Principal,
        request: ModelGet,
    ) -> Result<ModelDetail, ApiError> {
        let project = self.project(&request.project)?;
        let model = project.model(request.number)?;
        let held = project.aliases.values().filter(|row| row.alias.model == request.number);
        let aliases = held.map(|row| row.alias.name.clone()).collect();
        Ok(ModelDetail { model: model.version.clone(), passport: project.passport(model), aliases })
    }
}
