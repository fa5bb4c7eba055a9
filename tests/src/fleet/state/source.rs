//! Predictions out of nothing: the one at a place is computed from the seed and the place, whenever it
//! is asked for.

use std::sync::Arc;

use vigie_protocol::prediction::{Prediction, PredictionFilter, Scored, Timings};
use vigie_protocol::{Hash, ModelNumber, PredictionId, Time};

use super::super::dice::{below, hash, low_bits, mix, pick, share, uuid};
use super::super::words::{self, PEOPLE};
use super::super::world::Plan;

/// Bits of an identity that hold the place.
const PLACE_BITS: u32 = 42;

/// Bits that hold the project, above the place; the agent's are above these.
const PROJECT_BITS: u32 = 6;

/// Classes in an answer.
const TOP: usize = 5;

/// The predictions of one project of one agent.
#[derive(Debug)]
pub(super) struct Source {
    plan: Arc<Plan>,
    seed: u64,
    agent: u64,
}

/// What filters and counters look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// The top class, as an index.
    pub(super) class: usize,
    pub(super) confidence: f32,
    pub(super) timings: Timings,
}

impl Source {
    /// The predictions of the `agent`-th agent.
    pub(super) fn new(plan: Arc<Plan>, agent_seed: u64, agent: u64) -> Self {
        let seed = mix(agent_seed, plan.index);
        Self { plan, seed, agent }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Bits for the place `n`.
    pub(super) fn bits(&self, n: u64) -> u64 {
        mix(self.seed, n)
    }

    pub(super) fn facts(&self, place: u64) -> Facts {
        self.facts_of(self.bits(place))
    }

    /// Some classes are asked for often, most rarely; most answers are sure of themselves.
    fn facts_of(&self, bits: u64) -> Facts {
        let classes = self.plan.classes.len();
        let rank = (share(bits).powi(2) * classes as f64) as usize;
        let class = (rank + below(self.seed, classes)) % classes;
        // The best of n is never below one in n.
        let floor = 1.1 / classes as f64;
        let confidence = floor + (0.999 - floor) * (1.0 - share(mix(bits, 1)).powi(3));
        let (queue, decode) = ((mix(bits, 2) % 900) as u32, 1_500 + (mix(bits, 3) % 2_000) as u32);
        // One in a hundred had to wait.
        let queue = if mix(bits, 4).is_multiple_of(100) { queue * 200 } else { queue };
        let infer = 6_000 + (mix(bits, 5) % 5_000) as u32;
        let timings = Timings { queue, decode, infer, total: queue + decode + infer + 120 };
        Facts { class, confidence: confidence as f32, timings }
    }

    pub(super) fn prediction(&self, place: u64, at: Time, model: ModelNumber) -> Prediction {
        let bits = self.bits(place);
        let kept = !mix(bits, 6).is_multiple_of(8);
        let image = if kept {
            self.plan.pictures().hash(below(mix(bits, 7), self.plan.images))
        } else {
            hash(self.seed, bits)
        };
        let name = match mix(bits, 8) % 50 {
            0 => Some(words::hostile(mix(bits, 9))),
            1..10 => None,
            _ => Some(format!("IMG_{:05}.jpg", mix(bits, 9) % 100_000)),
        };
        let by = (*pick(mix(bits, 10), &PEOPLE)).to_owned();
        Prediction { image, picture_kept: kept, by, name, ..self.answer(bits, place, at, model, TOP) }
    }

    /// The answer to an image that somebody sent: decided by the image and the model.
    pub(super) fn answer_to(
        &self,
        image: Hash,
        place: u64,
        at: Time,
        model: ModelNumber,
        top: usize,
    ) -> Prediction {
        let first = image.as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let bits = mix(mix(self.seed, first), u64::from(model.0));
        Prediction { image, picture_kept: true, ..self.answer(bits, place, at, model, top) }
    }

    fn answer(&self, bits: u64, place: u64, at: Time, model: ModelNumber, top: usize) -> Prediction {
        let Facts { class, confidence, timings } = self.facts_of(bits);
        let classes = &self.plan.classes;
        // Each next one has half of what is left, and never more than the one before.
        let mut left = 1.0 - confidence;
        let mut last = confidence;
        let mut scored = vec![Scored { class: classes[class].clone(), probability: confidence }];
        for k in 1..top.min(classes.len()) {
            last = last.min(left * 0.5);
            left -= last;
            let class = &classes[(class + k) % classes.len()];
            scored.push(Scored { class: class.clone(), probability: last });
        }
        Prediction {
            id: self.id(place, at),
            at,
            model,
            weights: self.weights(model),
            image: hash(self.seed, bits),
            picture_kept: false,
            top: scored,
            timings,
            by: String::new(),
            name: None,
            feedback: None,
        }
    }

    /// The hash of a model version's weights.
    pub(super) fn weights(&self, model: ModelNumber) -> Hash {
        hash(self.seed ^ 0x77, u64::from(model.0))
    }

    /// The identity of the prediction at a place.
    pub(super) fn id(&self, place: u64, at: Time) -> PredictionId {
        let low = self.agent << (PLACE_BITS + PROJECT_BITS) | self.plan.index << PLACE_BITS | place;
        uuid(at, low).into()
    }

    /// The place that an identity speaks of, if it is one of these predictions'.
    pub(super) fn place(&self, id: PredictionId) -> u64 {
        low_bits(id.uuid()) & ((1 << PLACE_BITS) - 1)
    }
}

/// A filter that was made ready for many looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    filter: &'a PredictionFilter,
    /// `None`: any class. `Some(None)`: one that the project does not have.
    class: Option<Option<usize>>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(filter: &'a PredictionFilter, plan: &Plan) -> Self {
        let class = filter.class.as_ref().map(|class| plan.classes.binary_search(class).ok());
        Self { filter, class }
    }

    /// What [`PredictionFilter::matches`] says, without the prediction itself.
    pub(super) fn matches(&self, facts: &Facts, at: Time, model: ModelNumber) -> bool {
        // Feedback is looked up where rows are shown.
        let PredictionFilter { model: wanted_model, class: _, confidence_below, since, until, feedback: _ } =
            self.filter;
        wanted_model.is_none_or(|wanted| wanted == model)
            && self.class.is_none_or(|class| class == Some(facts.class))
            && confidence_below.is_none_or(|limit| facts.confidence < limit)
            && since.is_none_or(|since| at >= since)
            && until.is_none_or(|until| at < until)
    }
}
