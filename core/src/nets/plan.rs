//! A network as a list of named layers, before any tensor exists.
//!
//! One plan per network ([`super::lite0`], [`super::b0`]) is the only place that knows shapes and
//! tensor names; modules, initial weights, loading, saving and folding are all derived from it.

/// A whole network: stem, blocks, head, global average, classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// 3 → 32 channels, 3×3, stride 2.
    pub stem: ConvPlan,
    /// Inverted residual blocks, in order.
    pub blocks: Vec<BlockPlan>,
    /// 1×1 to the width of the features.
    pub head: ConvPlan,
    /// Prefix of the classifier's `weight` and `bias`.
    pub classifier: String,
}

impl Plan {
    /// Width of the pooled features.
    pub fn width(&self) -> usize {
        self.head.outputs
    }

    /// Every convolution that a batch norm follows, in the order of the forward pass.
    pub fn convs(&self) -> impl Iterator<Item = &ConvPlan> {
        let blocks = self
            .blocks
            .iter()
            .flat_map(|block| block.expand.iter().chain([&block.depthwise]).chain([&block.project]));
        std::iter::once(&self.stem).chain(blocks).chain([&self.head])
    }

    /// Every squeeze-and-excite, in the order of the forward pass.
    pub fn squeezes(&self) -> impl Iterator<Item = &SqueezePlan> {
        self.blocks.iter().filter_map(|block| block.squeeze.as_ref())
    }

    /// Name and shape of every tensor but the classifier's, as PyTorch has them.
    pub fn backbone_tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut tensors = Vec::new();
        for conv in self.convs() {
            tensors.push((format!("{}.weight", conv.name), conv.shape().to_vec()));
            for part in ["weight", "bias", "running_mean", "running_var"] {
                tensors.push((format!("{}.{part}", conv.norm), vec![conv.outputs]));
            }
        }
        for SqueezePlan { reduce, expand, channels, inner } in self.squeezes() {
            tensors.push((format!("{reduce}.weight"), vec![*inner, *channels, 1, 1]));
            tensors.push((format!("{reduce}.bias"), vec![*inner]));
            tensors.push((format!("{expand}.weight"), vec![*channels, *inner, 1, 1]));
            tensors.push((format!("{expand}.bias"), vec![*channels]));
        }
        tensors
    }

    /// Name and shape of the classifier's tensors, as PyTorch has them.
    pub fn classifier_tensors(&self, classes: usize) -> [(String, Vec<usize>); 2] {
        let Self { classifier, .. } = self;
        [
            (format!("{classifier}.weight"), vec![classes, self.width()]),
            (format!("{classifier}.bias"), vec![classes]),
        ]
    }
}

/// An inverted residual block (MBConv; Sandler et al. 2018, arXiv:1801.04381).
#[derive(Clone, Debug, PartialEq)]
pub struct BlockPlan {
    /// 1×1, to more channels; absent where the expansion is 1.
    pub expand: Option<ConvPlan>,
    /// Filters each channel by itself.
    pub depthwise: ConvPlan,
    /// Rescales channels by what the whole image shows.
    pub squeeze: Option<SqueezePlan>,
    /// 1×1, to the block's width, without activation.
    pub project: ConvPlan,
    /// Whether the block's input is added to its output.
    pub residual: bool,
}

/// A convolution without bias, its batch norm and its activation.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvPlan {
    /// Prefix of the convolution's `weight`.
    pub name: String,
    /// Prefix of the batch norm's `weight`, `bias`, `running_mean`, `running_var`.
    pub norm: String,
    /// Channels in.
    pub inputs: usize,
    /// Channels out; equals `inputs` where the convolution is depthwise.
    pub outputs: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step of the kernel.
    pub stride: usize,
    /// Whether each channel is filtered by itself.
    pub depthwise: bool,
    /// How borders are filled.
    pub padding: Padding,
    /// The batch norm's epsilon.
    pub epsilon: f64,
    /// What follows the batch norm.
    pub activation: Activation,
}

impl ConvPlan {
    /// Shape of the convolution's weight: outputs, inputs a group, height, width.
    pub fn shape(&self) -> [usize; 4] {
        let inputs = if self.depthwise { 1 } else { self.inputs };
        [self.outputs, inputs, self.kernel, self.kernel]
    }
}

/// Squeeze-and-excite (Hu et al. 2018, arXiv:1709.01507): mean over the image, two 1×1 convolutions
/// with bias, a factor for each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct SqueezePlan {
    /// Prefix of the first convolution's `weight` and `bias`; SiLU follows.
    pub reduce: String,
    /// Prefix of the second convolution's `weight` and `bias`; the logistic function follows.
    pub expand: String,
    /// Channels that are rescaled.
    pub channels: usize,
    /// Channels between the two convolutions.
    pub inner: usize,
}

/// How a convolution fills what lies outside of the image: with zeros, but how many where?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// TensorFlow's "same": the output has ⌈input / stride⌉ pixels and an odd pixel of padding goes
    /// to the bottom and the right.
    Same,
    /// PyTorch's: ⌊kernel / 2⌋ on every side.
    Symmetric,
}

impl Padding {
    /// Zeros (before, after) one axis of `input` pixels.
    pub fn of(self, input: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Padding::Same => {
                let needed = (input.div_ceil(stride).max(1) - 1) * stride + kernel;
                let total = needed.saturating_sub(input);
                (total / 2, total - total / 2)
            }
            Padding::Symmetric => (kernel / 2, kernel / 2),
        }
    }
}

/// What is applied to each number after a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x · logistic(x)`.
    Silu,
}

/// One row of the paper's table 1: blocks that share a width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// Side of the depthwise kernel.
    pub kernel: usize,
    /// Stride of the first block; the others have 1.
    pub stride: usize,
    /// Depthwise channels a channel of input.
    pub expansion: usize,
    /// Width of its blocks.
    pub outputs: usize,
    /// Number of blocks.
    pub repeats: usize,
}

/// EfficientNet-B0 (Tan & Le 2019, arXiv:1905.11946, table 1). Lite0 has the same stages.
pub(super) const STAGES: [Stage; 7] = [
    Stage { kernel: 3, stride: 1, expansion: 1, outputs: 16, repeats: 1 },
    Stage { kernel: 3, stride: 2, expansion: 6, outputs: 24, repeats: 2 },
    Stage { kernel: 5, stride: 2, expansion: 6, outputs: 40, repeats: 2 },
    Stage { kernel: 3, stride: 2, expansion: 6, outputs: 80, repeats: 3 },
    Stage { kernel: 5, stride: 1, expansion: 6, outputs: 112, repeats: 3 },
    Stage { kernel: 5, stride: 2, expansion: 6, outputs: 192, repeats: 4 },
    Stage { kernel: 3, stride: 1, expansion: 6, outputs: 320, repeats: 1 },
];

/// Channels after the stem.
pub(super) const STEM_WIDTH: usize = 32;
/// Channels after the head, and of the features.
pub(super) const HEAD_WIDTH: usize = 1280;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_follows_tensorflow_and_pytorch() {
        for (padding, input, kernel, stride, expected) in [
            (Padding::Same, 224, 3, 2, (0, 1)),
            (Padding::Same, 225, 3, 2, (1, 1)),
            (Padding::Same, 112, 5, 2, (1, 2)),
            (Padding::Same, 7, 5, 1, (2, 2)),
            (Padding::Same, 56, 1, 1, (0, 0)),
            (Padding::Symmetric, 224, 3, 2, (1, 1)),
            (Padding::Symmetric, 7, 5, 1, (2, 2)),
        ] {
            assert_eq!(padding.of(input, kernel, stride), expected, "{padding:?} {input} {kernel} {stride}");
        }
    }
}
