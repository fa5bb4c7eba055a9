//! Networks: their layers, their weights, their folding for inference.
//!
//! A [`Network`] is always made from [`Weights`] in host memory, whether these were drawn from a
//! seed, read from a file or kept by a checkpoint; nothing here depends on a global generator.
//! Images are already N×3×S×S and normalised; how they become that is `vision`'s and `infer`'s.

pub mod b0;
mod check;
pub mod fold;
mod init;
pub mod layers;
pub mod lite0;
pub mod plan;
mod pth;
pub mod weights;

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use vigie_protocol::model::Architecture;

use layers::{Block, ConvNorm};
use plan::Plan;
use weights::{Weights, WeightsError};

/// A classifier of images that can be trained: backbone, dropout, linear layer.
///
/// Batch norms and dropout behave as in training where the tensors' device has autodiff and the
/// module is not frozen ([`Module::freeze`]), and as in inference elsewhere.
#[derive(Module, Debug)]
pub struct Network {
    /// What sees the images.
    pub backbone: Backbone,
    /// Before the classifier.
    pub dropout: Dropout,
    /// Features to logits; its weight is features × classes, as burn has it.
    pub classifier: Linear,
    #[module(skip)]
    architecture: Architecture,
}

/// The part of a network that turns an image into features.
#[derive(Module, Debug)]
pub struct Backbone {
    /// 3 channels to 32, half the side.
    pub stem: ConvNorm,
    /// Inverted residual blocks, in order.
    pub blocks: Vec<Block>,
    /// To the features' width.
    pub head: ConvNorm,
}

impl Network {
    /// A network with initial weights from a seed.
    ///
    /// # Errors
    /// When this build does not know the architecture.
    ///
    /// # Panics
    /// When `dropout` is not in [0, 1) or `classes` is 0.
    pub fn new(
        architecture: Architecture,
        classes: usize,
        dropout: f64,
        seed: u64,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let plan = plan(architecture)?;
        let weights = init::network(&plan, classes, seed);
        Ok(Self::build(architecture, &plan, &weights, classes, dropout, device))
    }

    /// A network with these weights, which must be exactly its own.
    ///
    /// # Errors
    /// When a tensor is missing, unexpected, of another shape or not finite.
    ///
    /// # Panics
    /// When `dropout` is not in [0, 1) or `classes` is 0.
    pub fn from_weights(
        architecture: Architecture,
        weights: &Weights,
        classes: usize,
        dropout: f64,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let plan = plan(architecture)?;
        check::check(architecture, &plan, weights, Some(classes))?;
        Ok(Self::build(architecture, &plan, weights, classes, dropout, device))
    }

    /// A network with the backbone of these weights: where a training by transfer starts. The
    /// classifier is taken too if it is for as many classes; else it is a new one from the seed.
    ///
    /// # Errors
    /// When a tensor of the backbone is missing, of another shape or not finite, or when there are
    /// tensors that belong neither to the backbone nor to a classifier.
    ///
    /// # Panics
    /// When `dropout` is not in [0, 1) or `classes` is 0.
    pub fn from_backbone(
        architecture: Architecture,
        mut weights: Weights,
        classes: usize,
        dropout: f64,
        seed: u64,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let plan = plan(architecture)?;
        check::check(architecture, &plan, &weights, None)?;
        if check::check(architecture, &plan, &weights, Some(classes)).is_err() {
            init::classifier(&mut weights, &plan, classes, seed);
        }
        Ok(Self::build(architecture, &plan, &weights, classes, dropout, device))
    }

    fn build(
        architecture: Architecture,
        plan: &Plan,
        weights: &Weights,
        classes: usize,
        dropout: f64,
        device: &Device,
    ) -> Self {
        let [(weight, _), (bias, _)] = plan.classifier_tensors(classes);
        let mut classifier = LinearConfig::new(plan.width(), classes).init(device);
        // PyTorch keeps classes × features, burn the transpose.
        classifier.weight = Param::from_tensor(layers::tensor::<2>(weights, &weight, device).transpose());
        classifier.bias = Some(layers::param(weights, &bias, device));
        Self {
            backbone: Backbone {
                stem: ConvNorm::new(&plan.stem, weights, device),
                blocks: plan.blocks.iter().map(|plan| Block::new(plan, weights, device)).collect(),
                head: ConvNorm::new(&plan.head, weights, device),
            },
            dropout: DropoutConfig::new(dropout).init(),
            classifier,
            architecture,
        }
    }

    /// Every weight, in host memory, under its PyTorch name.
    ///
    /// # Panics
    /// When the device fails.
    pub fn to_weights(&self) -> Weights {
        let plan = plan(self.architecture).expect("a network was built from its plan");
        let mut weights = Weights::default();
        let Self { backbone: Backbone { stem, blocks, head }, dropout: _, classifier, architecture: _ } =
            self;
        stem.store(&plan.stem, &mut weights);
        for (block, plan) in blocks.iter().zip(&plan.blocks) {
            block.store(plan, &mut weights);
        }
        head.store(&plan.head, &mut weights);
        let [(weight, _), (bias, _)] = plan.classifier_tensors(0);
        layers::store(&mut weights, &weight, classifier.weight.val().transpose());
        if let Some(value) = &classifier.bias {
            layers::store(&mut weights, &bias, value.val());
        }
        weights
    }

    /// Which network this is.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Normalised images, N×3×S×S, to pooled features, N×1280.
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let Backbone { stem, blocks, head } = &self.backbone;
        let mut x = stem.forward(images);
        for block in blocks {
            x = block.forward(x);
        }
        head.forward(x).mean_dim(2).mean_dim(3).flatten(1, 3)
    }

    /// Pooled features, N×1280, to logits, N×classes.
    pub fn classify(&self, features: Tensor<2>) -> Tensor<2> {
        self.classifier.forward(self.dropout.forward(features))
    }

    /// Normalised images, N×3×S×S, to logits, N×classes.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.classify(self.features(images))
    }
}

/// The layers of a network.
///
/// # Errors
/// When this build does not know it.
pub fn plan(architecture: Architecture) -> Result<Plan, WeightsError> {
    match architecture {
        Architecture::EfficientnetLite0 => Ok(lite0::plan()),
        Architecture::EfficientnetB0 => Ok(b0::plan()),
        Architecture::Unknown => Err(WeightsError::Architecture(architecture)),
    }
}
