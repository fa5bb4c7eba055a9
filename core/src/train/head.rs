//! The classifier on top of a frozen backbone: one linear layer, learnt by AdamW.

use burn::optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use vigie_protocol::run::Recipe;

use super::draws::Draws;
use super::features::FeatureTable;
use super::recipe::Schedule;
use crate::evaluate::probability::{negative_log_likelihood, softmax};

/// Rows that are measured at a time.
const MEASURED: usize = 1024;

/// A linear layer in host memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// classes × width, row-major.
    pub weight: Vec<f32>,
    /// One a class.
    pub bias: Vec<f32>,
}

/// A head that is being learnt, with all that the next step depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadState {
    /// For standardised features.
    pub head: Head,
    /// AdamW's first moments, shaped as the head.
    pub first: Head,
    /// AdamW's second moments.
    pub second: Head,
    /// Steps taken.
    pub steps: u64,
}

impl HeadState {
    /// Where every training starts: at zero, where all classes are equally likely. The problem is
    /// convex, so no symmetry needs breaking.
    pub fn new(classes: usize, width: usize) -> Self {
        let zero = Head { weight: vec![0.0; classes * width], bias: vec![0.0; classes] };
        Self { head: zero.clone(), first: zero.clone(), second: zero, steps: 0 }
    }

    /// Whether it is for so many classes and features.
    pub fn fits(&self, classes: usize, width: usize) -> bool {
        [&self.head, &self.first, &self.second]
            .iter()
            .all(|head| head.weight.len() == classes * width && head.bias.len() == classes)
    }
}

/// Learns a head epoch by epoch. What an epoch does depends only on the state, the recipe, the
/// epoch's number and the features, not on what the process did before.
pub struct Learner<'a> {
    recipe: &'a Recipe,
    schedule: Schedule,
    /// The head is small: on a GPU its steps would be mostly waiting.
    device: Device,
    width: usize,
    classes: usize,
    weight: Parameter<2>,
    bias: Parameter<1>,
    steps: u64,
    draws: Draws,
    /// One a class.
    class_weights: Vec<f32>,
}

/// A tensor that is learnt, and its moments.
struct Parameter<const D: usize> {
    value: Tensor<D>,
    optimizer: AdamW,
    state: AdamWState<D>,
}

impl<'a> Learner<'a> {
    /// Goes on from `state` towards `recipe.epochs` epochs of `draws`.
    pub fn new(recipe: &'a Recipe, state: &HeadState, width: usize, draws: Draws) -> Self {
        let device = Device::flex();
        let classes = state.head.bias.len();
        // burn's own epsilon, 1e-5, slows features with small gradients down. A decaying bias would
        // pull towards equally frequent classes.
        let optimizer =
            |decay: f64| AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(decay as f32).build();
        let HeadState { head, first, second, steps } = state;
        let (matrix, vector) = ([classes, width], [classes]);
        Self {
            recipe,
            schedule: Schedule::new(
                recipe.learning_rate,
                u64::from(recipe.epochs) * draws.len().div_ceil(recipe.batch as usize) as u64,
            ),
            width,
            classes,
            weight: Parameter {
                value: tensor(&head.weight, matrix, &device),
                optimizer: optimizer(recipe.weight_decay),
                state: moments(&first.weight, &second.weight, *steps, matrix, &device),
            },
            bias: Parameter {
                value: tensor(&head.bias, vector, &device),
                optimizer: optimizer(0.0),
                state: moments(&first.bias, &second.bias, *steps, vector, &device),
            },
            steps: *steps,
            draws,
            class_weights: vec![1.0; classes],
            device,
        }
    }

    /// Rows that an epoch learns from; a repeated row counts each time.
    pub fn rows(&self) -> usize {
        self.draws.len()
    }

    /// The same, with the errors of each class counting by its weight. The weights of a training's rows
    /// sum to their number, so that the loss keeps its scale.
    #[must_use]
    pub fn weighted(self, class_weights: Vec<f32>) -> Self {
        Self { class_weights, ..self }
    }

    /// One epoch over a standardised table, whose draws and their order seed and epoch decide; each draw
    /// of a row has a dropout of its own. The answer is the mean loss as trained, or nothing when
    /// `go_on`, which gets the rows done, said no between two steps.
    pub fn epoch(&mut self, table: &FeatureTable, epoch: u32, go_on: impl Fn(usize) -> bool) -> Option<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(self.recipe.seed);
        random.set_stream(u64::from(epoch));
        let order = self.draws.order(&mut random);
        let mut loss = 0.0;
        for (step, batch) in order.chunks(self.recipe.batch as usize).enumerate() {
            if !go_on(step * self.recipe.batch as usize) {
                return None;
            }
            loss += self.step(table, batch, &mut random);
        }
        Some(loss / order.len().max(1) as f64)
    }

    /// The learning rate of the step before this one.
    pub fn rate(&self) -> f64 {
        self.schedule.rate(self.steps.saturating_sub(1))
    }

    /// Mean cross-entropy and share of right answers on a standardised table.
    pub fn measure(&self, table: &FeatureTable) -> (f64, f64) {
        let (mut loss, mut right) = (0.0, 0u64);
        for (rows, labels) in table.values.chunks(MEASURED * self.width).zip(table.labels.chunks(MEASURED)) {
            let input = tensor::<2>(rows, [labels.len(), self.width], &self.device);
            let logits = values(self.logits(input, self.weight.value.clone(), self.bias.value.clone()));
            for (row, &label) in logits.chunks_exact(self.classes).zip(labels) {
                loss += negative_log_likelihood(row, label as usize, 1.0);
                let truth = row[label as usize];
                let ahead = row
                    .iter()
                    .enumerate()
                    .any(|(class, &logit)| logit > truth || (logit == truth && class < label as usize));
                right += u64::from(!ahead);
            }
        }
        let n = table.len().max(1) as f64;
        (loss / n, right as f64 / n)
    }

    /// What the head says of a standardised table: a row of probabilities for each of its rows.
    pub fn probabilities(&self, table: &FeatureTable) -> Vec<f32> {
        let mut all = Vec::with_capacity(table.len() * self.classes);
        for (rows, labels) in table.values.chunks(MEASURED * self.width).zip(table.labels.chunks(MEASURED)) {
            let input = tensor::<2>(rows, [labels.len(), self.width], &self.device);
            let logits = values(self.logits(input, self.weight.value.clone(), self.bias.value.clone()));
            for row in logits.chunks_exact(self.classes) {
                all.extend(softmax(row, 1.0).into_iter().map(|probability| probability as f32));
            }
        }
        all
    }

    /// All that the next epoch depends on.
    pub fn state(&self) -> HeadState {
        let Self {
            weight: Parameter { value: weight, state: AdamWState { momentum: of_weight }, .. }, ..
        } = self;
        let Self { bias: Parameter { value: bias, state: AdamWState { momentum: of_bias }, .. }, .. } = self;
        let head = |weight: &Tensor<2>, bias: &Tensor<1>| Head {
            weight: values(weight.clone()),
            bias: values(bias.clone()),
        };
        HeadState {
            head: head(weight, bias),
            first: head(&of_weight.moment_1, &of_bias.moment_1),
            second: head(&of_weight.moment_2, &of_bias.moment_2),
            steps: self.steps,
        }
    }

    /// Learns from a batch; the answer is the weighted sum of its rows' losses.
    fn step(&mut self, table: &FeatureTable, batch: &[usize], random: &mut ChaCha8Rng) -> f64 {
        let device = self.device.clone().autodiff();
        let n = batch.len();
        let input = tensor::<2>(&self.dropped(table, batch, random), [n, self.width], &device);
        let target = tensor::<2>(&self.targets(table, batch), [n, self.classes], &device);
        let weight = self.weight.value.clone().autodiff().require_grad();
        let bias = self.bias.value.clone().autodiff().require_grad();

        let log_probability = log_softmax(self.logits(input, weight.clone(), bias.clone()), 1);
        let losses = -(log_probability * target).sum_dim(1);
        // Summed here in order: a parallel sum need not give the same bits twice.
        let sum: f64 = values(losses.clone().inner()).into_iter().map(f64::from).sum();
        let gradients = losses.sum().div_scalar(self.weight_of(table, batch)).backward();

        let rate = self.schedule.rate(self.steps);
        self.weight.step(rate, weight.grad(&gradients));
        self.bias.step(rate, bias.grad(&gradients));
        self.steps += 1;
        sum
    }

    fn logits(&self, input: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
        input.matmul(weight.transpose()) + bias.unsqueeze()
    }

    /// The batch's rows, each feature left out with the recipe's probability and the others scaled
    /// up for it (Srivastava et al. 2014).
    fn dropped(&self, table: &FeatureTable, batch: &[usize], random: &mut ChaCha8Rng) -> Vec<f32> {
        let mut rows: Vec<f32> = batch.iter().flat_map(|&i| table.row(i)).copied().collect();
        let dropout = self.recipe.dropout as f32;
        if dropout > 0.0 {
            let kept = 1.0 / (1.0 - dropout);
            for value in &mut rows {
                *value *= if random.random::<f32>() < dropout { 0.0 } else { kept };
            }
        }
        rows
    }

    /// What a batch's rows count together: PyTorch's weighted mean, and one each without weights.
    fn weight_of(&self, table: &FeatureTable, batch: &[usize]) -> f64 {
        batch.iter().map(|&i| f64::from(self.class_weights[table.labels[i] as usize])).sum()
    }

    /// One-hot rows with the recipe's share spread over all classes (Szegedy et al. 2016,
    /// arXiv:1512.00567), each class by its weight.
    fn targets(&self, table: &FeatureTable, batch: &[usize]) -> Vec<f32> {
        let spread = (self.recipe.label_smoothing / self.classes as f64) as f32;
        let mut targets = vec![spread; batch.len() * self.classes];
        for (row, &i) in targets.chunks_exact_mut(self.classes).zip(batch) {
            row[table.labels[i] as usize] += 1.0 - self.recipe.label_smoothing as f32;
            row.iter_mut().zip(&self.class_weights).for_each(|(target, weight)| *target *= weight);
        }
        targets
    }
}

impl<const D: usize> Parameter<D> {
    /// A parameter without a gradient stays: it played no part.
    fn step(&mut self, rate: f64, gradient: Option<Tensor<D>>) {
        let Some(gradient) = gradient else { return };
        let (value, state) =
            self.optimizer.step(rate, self.value.clone(), gradient, Some(self.state.clone()));
        self.value = value;
        if let Some(state) = state {
            self.state = state;
        }
    }
}

fn moments<const D: usize>(
    first: &[f32],
    second: &[f32],
    steps: u64,
    shape: [usize; D],
    device: &Device,
) -> AdamWState<D> {
    AdamWState {
        momentum: AdaptiveMomentumState {
            time: steps as usize,
            moment_1: tensor(first, shape, device),
            moment_2: tensor(second, shape, device),
            max_moment_2: None,
        },
    }
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("the data was just made f32")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use vigie_protocol::run::ClassWeights;

    use super::*;
    use crate::data::balance::class_weight;

    #[derive(Deserialize)]
    struct Weighted {
        labels: Vec<u32>,
        logits: Vec<Vec<f32>>,
        weights: Vec<f32>,
        loss: f64,
    }

    /// Features that are the logits, and a head that passes them on: the loss of a step is then that of
    /// the logits.
    #[test]
    fn the_weighted_loss_is_scikit_learns() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/confident/weighted_loss.json");
        let text = std::fs::read_to_string(path).expect("the fixture");
        let case: Weighted = serde_json::from_str(&text).expect("its form");
        let counts =
            [0, 1, 2].map(|class| case.labels.iter().filter(|&&label| label == class).count() as u64);
        let weights = counts.map(|count| class_weight(count, 10, 3) as f32);
        assert_eq!(weights.as_slice(), case.weights, "scikit-learn's \"balanced\"");

        let table = FeatureTable { width: 3, values: case.logits.concat(), labels: case.labels };
        let mut state = HeadState::new(3, 3);
        state.head.weight = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        let recipe = Recipe {
            batch: 10,
            epochs: 1,
            dropout: 0.0,
            label_smoothing: 0.0,
            learning_rate: 1e-3,
            ..Recipe::default()
        };
        let learner =
            || Learner::new(&recipe, &state, 3, Draws::of(table.labels.clone(), ClassWeights::Even));
        let loss = |mut learner: Learner<'_>| learner.epoch(&table, 1, |_| true).expect("not stopped");
        let weighted = loss(learner().weighted(weights.to_vec()));
        assert!((weighted - case.loss).abs() < 1e-6, "{weighted} {}", case.loss);
        let even = loss(learner());
        assert!((even - case.loss).abs() > 0.05, "{even}: weights make a difference");
        assert_eq!(loss(learner().weighted(vec![1.0; 3])), even);
    }

    /// AdamW's first moments after one step are a tenth of the gradient, which for cross-entropy has a
    /// closed form: the mean of (probability − target) · features, weighted as PyTorch does it,
    /// Σ wᵢ gᵢ / Σ wᵢ.
    #[test]
    fn a_batch_is_a_weighted_mean() {
        let table =
            FeatureTable { width: 2, values: vec![1.0, -2.0, 0.5, 3.0, -1.0, 0.25], labels: vec![0, 0, 1] };
        let weights = [0.5f32, 4.0];
        let mut state = HeadState::new(2, 2);
        state.head.weight = vec![0.3, -0.1, 0.2, 0.4];
        let recipe = Recipe { batch: 3, epochs: 1, dropout: 0.0, label_smoothing: 0.0, ..Recipe::default() };
        let draws = Draws::of(table.labels.iter().copied(), ClassWeights::Balanced);
        let mut learner = Learner::new(&recipe, &state, 2, draws).weighted(weights.to_vec());
        learner.epoch(&table, 1, |_| true).expect("not stopped");
        let mut expected = [0.0f64; 4];
        let of_row = |row: usize| f64::from(weights[table.labels[row] as usize]);
        for row in 0..3 {
            let x = table.row(row);
            let logits: Vec<f32> = state.head.weight.chunks(2).map(|w| w[0] * x[0] + w[1] * x[1]).collect();
            for (class, probability) in softmax(&logits, 1.0).into_iter().enumerate() {
                let error = probability - f64::from(u8::from(table.labels[row] as usize == class));
                for (feature, &value) in x.iter().enumerate() {
                    expected[class * 2 + feature] += of_row(row) * error * f64::from(value) / 5.0;
                }
            }
        }
        assert_eq!((0..3).map(of_row).sum::<f64>(), 5.0);
        for (moment, expected) in learner.state().first.weight.iter().zip(expected) {
            assert!((f64::from(*moment) * 10.0 - expected).abs() < 1e-5, "{moment} {expected}");
        }
    }

    #[test]
    fn probabilities_are_those_of_the_head() {
        let mut state = HeadState::new(2, 2);
        state.head.weight = vec![1.0, 0.0, 0.0, 1.0];
        let recipe = Recipe::default();
        let learner = Learner::new(&recipe, &state, 2, Draws::of([0, 1], ClassWeights::Even));
        let table = FeatureTable { width: 2, values: vec![0.0, 0.0, 3f32.ln(), 0.0], labels: vec![0, 1] };
        let found = learner.probabilities(&table);
        for (found, expected) in found.iter().zip([0.5, 0.5, 0.75, 0.25]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
