//! A folded network as burn tensors: runs wherever burn does.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::activation::sigmoid;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use vigie_protocol::preprocess::PreprocessSpec;

use super::{Engine, EngineError, FeatureExtractor, image_bytes, images};
use crate::nets::fold::{Dense, Folded, FoldedBlock, FoldedConv};
use crate::nets::layers::activate;
use crate::nets::plan::{Activation, Padding};

/// Most images that go through the network at once; more are cut into pieces.
const BATCH: usize = 32;

/// An [`Engine`] and [`FeatureExtractor`] on any burn device.
pub(super) struct BurnEngine {
    device: Device,
    spec: PreprocessSpec,
    mean: Tensor<4>,
    /// 1 / std.
    scale: Tensor<4>,
    stem: Conv,
    blocks: Vec<Block>,
    head: Conv,
    /// Inputs × outputs, and the bias.
    classifier: Option<(Tensor<2>, Tensor<2>)>,
    width: usize,
    classes: usize,
}

impl BurnEngine {
    pub(super) fn new(folded: &Folded, spec: PreprocessSpec, device: Device) -> Self {
        let channels = |values: [f32; 3]| {
            Tensor::<1>::from_data(TensorData::from(values), &device).reshape([1, 3, 1, 1])
        };
        let conv = |conv: &FoldedConv| Conv::new(conv, &device);
        Self {
            mean: channels(spec.mean),
            scale: channels(spec.std.map(f32::recip)),
            stem: conv(&folded.stem),
            blocks: folded.blocks.iter().map(|block| Block::new(block, &device)).collect(),
            head: conv(&folded.head),
            classifier: folded.classifier.as_ref().map(|dense| {
                (matrix(dense, &device).transpose(), vector(&dense.bias, &device).reshape([1, dense.outputs]))
            }),
            width: folded.width(),
            classes: folded.classifier.as_ref().map_or(0, |dense| dense.outputs),
            spec,
            device,
        }
    }

    /// uint8 N×S×S×3 to pooled features.
    fn pooled(&self, pixels: &[u8], count: usize) -> Tensor<2> {
        let side = self.spec.crop as usize;
        let data = TensorData::new(pixels.to_vec(), [count, side, side, 3]);
        // Bytes travel to the device, floats are made there.
        let x = Tensor::<4, Int>::from_data(data, (&self.device, DType::U8)).float().permute([0, 3, 1, 2]);
        let mut x = self.stem.forward((x - self.mean.clone()) * self.scale.clone());
        for block in &self.blocks {
            x = block.forward(x);
        }
        self.head.forward(x).mean_dim(2).mean_dim(3).flatten(1, 3)
    }

    fn batches(
        &self,
        pixels: &[u8],
        width: usize,
        answer: impl Fn(Tensor<2>) -> Tensor<2>,
    ) -> Result<Vec<f32>, EngineError> {
        let image = image_bytes(&self.spec);
        let mut found = Vec::with_capacity(images(&self.spec, pixels)? * width);
        for batch in pixels.chunks(BATCH * image) {
            // burn reports some failures of a device, as too little memory, by a panic. Nothing here
            // is changed by a batch, so the next one starts from what this one did.
            let compute = || answer(self.pooled(batch, batch.len() / image)).try_into_data();
            let data = catch_unwind(AssertUnwindSafe(compute))
                .map_err(|_| {
                    EngineError::Compute(format!("the device failed on {} images", batch.len() / image))
                })?
                .map_err(|e| EngineError::Compute(e.to_string()))?;
            let values = data.convert::<f32>().try_into_vec::<f32>();
            found.extend(values.map_err(|e| EngineError::Compute(format!("{e:?}")))?);
        }
        Ok(found)
    }
}

impl Engine for BurnEngine {
    fn preprocess(&self) -> &PreprocessSpec {
        &self.spec
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn logits(&self, pixels: &[u8]) -> Result<Vec<f32>, EngineError> {
        let Some((weight, bias)) = &self.classifier else {
            return Err(EngineError::Compute("this engine has no classifier".to_owned()));
        };
        self.batches(pixels, self.classes, |features| features.matmul(weight.clone()) + bias.clone())
    }
}

impl FeatureExtractor for BurnEngine {
    fn preprocess(&self) -> &PreprocessSpec {
        &self.spec
    }

    fn width(&self) -> usize {
        self.width
    }

    fn features(&self, pixels: &[u8]) -> Result<Vec<f32>, EngineError> {
        self.batches(pixels, self.width, |features| features)
    }
}

struct Block {
    expand: Option<Conv>,
    depthwise: Conv,
    squeeze: Option<(Conv, Conv)>,
    project: Conv,
    residual: bool,
}

impl Block {
    fn new(block: &FoldedBlock, device: &Device) -> Self {
        Self {
            expand: block.expand.as_ref().map(|conv| Conv::new(conv, device)),
            depthwise: Conv::new(&block.depthwise, device),
            squeeze: block.squeeze.as_ref().map(|(reduce, expand)| {
                (
                    Conv::pointwise(reduce, Activation::Silu, device),
                    Conv::pointwise(expand, Activation::Identity, device),
                )
            }),
            project: Conv::new(&block.project, device),
            residual: block.residual,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = input.clone();
        if let Some(expand) = &self.expand {
            x = expand.forward(x);
        }
        x = self.depthwise.forward(x);
        if let Some((reduce, expand)) = &self.squeeze {
            let mean = x.clone().mean_dim(2).mean_dim(3);
            x = x * sigmoid(expand.forward(reduce.forward(mean)));
        }
        x = self.project.forward(x);
        if self.residual { x + input } else { x }
    }
}

struct Conv {
    weight: Tensor<4>,
    bias: Tensor<1>,
    kernel: usize,
    stride: usize,
    groups: usize,
    padding: Padding,
    activation: Activation,
}

impl Conv {
    fn new(conv: &FoldedConv, device: &Device) -> Self {
        let FoldedConv { inputs, outputs, kernel, stride, depthwise, padding, activation, weight, bias } =
            conv;
        let group = if *depthwise { 1 } else { *inputs };
        let data = TensorData::new(weight.clone(), [*outputs, group, *kernel, *kernel]);
        Self {
            weight: Tensor::from_data(data, device),
            bias: vector(bias, device),
            kernel: *kernel,
            stride: *stride,
            groups: if *depthwise { *inputs } else { 1 },
            padding: *padding,
            activation: *activation,
        }
    }

    fn pointwise(dense: &Dense, activation: Activation, device: &Device) -> Self {
        Self {
            weight: matrix(dense, device).reshape([dense.outputs, dense.inputs, 1, 1]),
            bias: vector(&dense.bias, device),
            kernel: 1,
            stride: 1,
            groups: 1,
            padding: Padding::Symmetric,
            activation,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let padding = [height, width].map(|side| self.padding.of(side, self.kernel, self.stride));
        let options = ConvOptions::new_with_padding([self.stride; 2], padding, [1, 1], self.groups);
        activate(conv2d(x, self.weight.clone(), Some(self.bias.clone()), options), self.activation)
    }
}

fn matrix(dense: &Dense, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(dense.weight.clone(), [dense.outputs, dense.inputs]), device)
}

fn vector(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}
