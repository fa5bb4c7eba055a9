//! Networks for inference only: each batch norm folded into the convolution before it.
//!
//! The result is plain numbers in host memory, from which every engine builds its own layout.

use vigie_protocol::model::Architecture;

use super::plan::{Activation, BlockPlan, ConvPlan, Padding, Plan};
use super::weights::{Weights, WeightsError};
use super::{check, plan};

/// A network without batch norms.
#[derive(Clone, Debug)]
pub struct Folded {
    /// 3 → 32 channels, stride 2.
    pub stem: FoldedConv,
    /// Inverted residual blocks, in order.
    pub blocks: Vec<FoldedBlock>,
    /// 1×1 to the width of the features.
    pub head: FoldedConv,
    /// Features to logits; absent when only features are wanted.
    pub classifier: Option<Dense>,
}

/// An inverted residual block.
#[derive(Clone, Debug)]
pub struct FoldedBlock {
    /// 1×1, to more channels.
    pub expand: Option<FoldedConv>,
    /// Filters each channel by itself.
    pub depthwise: FoldedConv,
    /// Squeeze-and-excite: reduce, SiLU, expand, logistic.
    pub squeeze: Option<(Dense, Dense)>,
    /// 1×1, to the block's width.
    pub project: FoldedConv,
    /// Whether the input is added to the output.
    pub residual: bool,
}

/// A convolution with bias, and its activation.
#[derive(Clone, Debug)]
pub struct FoldedConv {
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step of the kernel.
    pub stride: usize,
    /// Whether each channel is filtered by itself.
    pub depthwise: bool,
    /// How borders are filled.
    pub padding: Padding,
    /// What follows.
    pub activation: Activation,
    /// Outputs × inputs a group × height × width.
    pub weight: Vec<f32>,
    /// One an output.
    pub bias: Vec<f32>,
}

/// A matrix and a bias.
#[derive(Clone, Debug)]
pub struct Dense {
    /// Numbers in.
    pub inputs: usize,
    /// Numbers out.
    pub outputs: usize,
    /// Outputs × inputs.
    pub weight: Vec<f32>,
    /// One an output.
    pub bias: Vec<f32>,
}

impl Folded {
    /// Folds a network's weights. With `classes` the classifier is part of it and must be for that
    /// many; without, only the backbone is.
    ///
    /// # Errors
    /// When the weights are not the network's.
    pub fn new(
        architecture: Architecture,
        weights: &Weights,
        classes: Option<usize>,
    ) -> Result<Self, WeightsError> {
        let plan = plan(architecture)?;
        check::check(architecture, &plan, weights, classes)?;
        let Plan { stem, blocks, head, classifier } = &plan;
        Ok(Self {
            stem: conv(stem, weights),
            blocks: blocks.iter().map(|plan| block(plan, weights)).collect(),
            head: conv(head, weights),
            classifier: classes.map(|classes| dense(classifier, plan.width(), classes, weights)),
        })
    }

    /// Width of the features.
    pub fn width(&self) -> usize {
        self.head.outputs
    }
}

fn block(plan: &BlockPlan, weights: &Weights) -> FoldedBlock {
    let BlockPlan { expand, depthwise, squeeze, project, residual } = plan;
    FoldedBlock {
        expand: expand.as_ref().map(|plan| conv(plan, weights)),
        depthwise: conv(depthwise, weights),
        squeeze: squeeze.as_ref().map(|plan| {
            (
                dense(&plan.reduce, plan.channels, plan.inner, weights),
                dense(&plan.expand, plan.inner, plan.channels, weights),
            )
        }),
        project: conv(project, weights),
        residual: *residual,
    }
}

/// `γ (Wx − μ) / √(σ² + ε) + β` as one convolution, computed in f64.
fn conv(plan: &ConvPlan, weights: &Weights) -> FoldedConv {
    let values = |name: &str, part: &str| values(weights, name, part);
    let (gamma, beta) = (values(&plan.norm, "weight"), values(&plan.norm, "bias"));
    let (mean, variance) = (values(&plan.norm, "running_mean"), values(&plan.norm, "running_var"));
    let scales: Vec<f64> = (gamma.iter().zip(variance))
        .map(|(gamma, variance)| f64::from(*gamma) / (f64::from(*variance) + plan.epsilon).sqrt())
        .collect();
    let kernel = values(&plan.name, "weight");
    let weight = kernel
        .chunks_exact(kernel.len() / plan.outputs)
        .zip(&scales)
        .flat_map(|(filter, scale)| filter.iter().map(move |w| (f64::from(*w) * scale) as f32))
        .collect();
    let bias = (beta.iter().zip(mean).zip(&scales))
        .map(|((beta, mean), scale)| (f64::from(*beta) - f64::from(*mean) * scale) as f32)
        .collect();
    FoldedConv {
        inputs: plan.inputs,
        outputs: plan.outputs,
        kernel: plan.kernel,
        stride: plan.stride,
        depthwise: plan.depthwise,
        padding: plan.padding,
        activation: plan.activation,
        weight,
        bias,
    }
}

fn dense(name: &str, inputs: usize, outputs: usize, weights: &Weights) -> Dense {
    Dense {
        inputs,
        outputs,
        weight: values(weights, name, "weight").to_vec(),
        bias: values(weights, name, "bias").to_vec(),
    }
}

/// The values of a tensor that [`check`] has found to be there.
fn values<'a>(weights: &'a Weights, name: &str, part: &str) -> &'a [f32] {
    &weights.get(&format!("{name}.{part}")).expect("the weights were checked against the plan").values
}
