//! The modules that EfficientNets are made of, built from their plans and weights.

use burn::module::{Module, Param, ParamId, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::tensor::activation::{sigmoid, silu};
use burn::tensor::{Device, Tensor, TensorData};

use super::plan::{Activation, BlockPlan, ConvPlan, Padding, SqueezePlan};
use super::weights::Weights;

/// An inverted residual block.
#[derive(Module, Debug)]
pub struct Block {
    /// 1×1, to more channels.
    pub expand: Option<ConvNorm>,
    /// Filters each channel by itself.
    pub depthwise: ConvNorm,
    /// Rescales channels.
    pub squeeze: Option<Squeeze>,
    /// 1×1, to the block's width.
    pub project: ConvNorm,
    /// Whether the input is added to the output.
    residual: bool,
}

impl Block {
    pub(super) fn new(plan: &BlockPlan, weights: &Weights, device: &Device) -> Self {
        let conv = |plan: &ConvPlan| ConvNorm::new(plan, weights, device);
        Self {
            expand: plan.expand.as_ref().map(conv),
            depthwise: conv(&plan.depthwise),
            squeeze: plan.squeeze.as_ref().map(|plan| Squeeze::new(plan, weights, device)),
            project: conv(&plan.project),
            residual: plan.residual,
        }
    }

    /// N×C×H×W to N×C'×H'×W'.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = input.clone();
        if let Some(expand) = &self.expand {
            x = expand.forward(x);
        }
        x = self.depthwise.forward(x);
        if let Some(squeeze) = &self.squeeze {
            x = squeeze.forward(x);
        }
        x = self.project.forward(x);
        if self.residual { x + input } else { x }
    }

    pub(super) fn store(&self, plan: &BlockPlan, weights: &mut Weights) {
        let Self { expand, depthwise, squeeze, project, residual: _ } = self;
        if let (Some(layer), Some(plan)) = (expand, &plan.expand) {
            layer.store(plan, weights);
        }
        depthwise.store(&plan.depthwise, weights);
        if let (Some(layer), Some(plan)) = (squeeze, &plan.squeeze) {
            layer.store(plan, weights);
        }
        project.store(&plan.project, weights);
    }
}

/// A convolution, its batch norm, its activation.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// Without bias.
    pub conv: Conv2d,
    /// Momentum 0.1, as PyTorch's default.
    pub norm: BatchNorm,
    #[module(skip)]
    activation: Activation,
}

impl ConvNorm {
    pub(super) fn new(plan: &ConvPlan, weights: &Weights, device: &Device) -> Self {
        let mut conv = bare_conv(plan, device);
        conv.weight = param(weights, &format!("{}.weight", plan.name), device);
        let value = |part: &str| tensor(weights, &format!("{}.{part}", plan.norm), device);
        let mut norm = BatchNormConfig::new(plan.outputs).with_epsilon(plan.epsilon).init(device);
        norm.gamma = Param::from_tensor(value("weight"));
        norm.beta = Param::from_tensor(value("bias"));
        norm.running_mean = RunningState::with_id(ParamId::new(), value("running_mean"));
        norm.running_var = RunningState::with_id(ParamId::new(), value("running_var"));
        Self { conv, norm, activation: plan.activation }
    }

    /// N×C×H×W to N×C'×H'×W'.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        activate(self.norm.forward(self.conv.forward(x)), self.activation)
    }

    pub(super) fn store(&self, plan: &ConvPlan, weights: &mut Weights) {
        store(weights, &format!("{}.weight", plan.name), self.conv.weight.val());
        let mut put = |part: &str, value| store(weights, &format!("{}.{part}", plan.norm), value);
        put("weight", self.norm.gamma.val());
        put("bias", self.norm.beta.val());
        put("running_mean", self.norm.running_mean.value_sync());
        put("running_var", self.norm.running_var.value_sync());
    }
}

/// Squeeze-and-excite.
#[derive(Module, Debug)]
pub struct Squeeze {
    /// 1×1, to fewer channels.
    pub reduce: Conv2d,
    /// 1×1, back.
    pub expand: Conv2d,
}

impl Squeeze {
    fn new(plan: &SqueezePlan, weights: &Weights, device: &Device) -> Self {
        let SqueezePlan { reduce, expand, channels, inner } = plan;
        let conv = |name: &str, inputs: usize, outputs: usize| {
            let mut conv = pointwise(inputs, outputs, device);
            conv.weight = param(weights, &format!("{name}.weight"), device);
            conv.bias = Some(param(weights, &format!("{name}.bias"), device));
            conv
        };
        Self { reduce: conv(reduce, *channels, *inner), expand: conv(expand, *inner, *channels) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mean = x.clone().mean_dim(2).mean_dim(3);
        x * sigmoid(self.expand.forward(silu(self.reduce.forward(mean))))
    }

    fn store(&self, plan: &SqueezePlan, weights: &mut Weights) {
        for (name, conv) in [(&plan.reduce, &self.reduce), (&plan.expand, &self.expand)] {
            store(weights, &format!("{name}.weight"), conv.weight.val());
            if let Some(bias) = &conv.bias {
                store(weights, &format!("{name}.bias"), bias.val());
            }
        }
    }
}

/// Applies an activation to every number.
pub fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Identity => x,
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Silu => silu(x),
    }
}

/// The plan's convolution without bias, its weight still to be set.
fn bare_conv(plan: &ConvPlan, device: &Device) -> Conv2d {
    let side = plan.kernel / 2;
    Conv2dConfig::new([plan.inputs, plan.outputs], [plan.kernel; 2])
        .with_stride([plan.stride; 2])
        .with_groups(if plan.depthwise { plan.inputs } else { 1 })
        .with_padding(match plan.padding {
            // burn's "same" is TensorFlow's: from the input's size, the odd pixel at the end.
            Padding::Same => PaddingConfig2d::Same,
            Padding::Symmetric => PaddingConfig2d::Explicit(side, side, side, side),
        })
        .with_bias(false)
        .with_initializer(Initializer::Zeros)
        .init(device)
}

/// A 1×1 convolution, its weight and bias still to be set.
fn pointwise(inputs: usize, outputs: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([inputs, outputs], [1, 1]).with_initializer(Initializer::Zeros).init(device)
}

/// A trainable parameter with the values of a tensor that [`super::check`] has found to be there.
pub(super) fn param<const D: usize>(weights: &Weights, name: &str, device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(tensor(weights, name, device))
}

/// The values of a tensor that [`super::check`] has found to be there.
pub(super) fn tensor<const D: usize>(weights: &Weights, name: &str, device: &Device) -> Tensor<D> {
    let host = weights.get(name).expect("the weights were checked against the plan");
    Tensor::from_data(TensorData::new(host.values.clone(), host.shape.clone()), device)
}

/// Copies a tensor into host memory under its name.
pub(super) fn store<const D: usize>(weights: &mut Weights, name: &str, value: Tensor<D>) {
    let shape = value.dims().to_vec();
    let values = value.into_data().convert::<f32>().try_into_vec().expect("the data was just made f32");
    weights.insert(name, shape, values);
}
