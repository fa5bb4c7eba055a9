//! EfficientNet-Lite0: B0 without squeeze-and-excite, ReLU6 for SiLU, TensorFlow's padding; stem and
//! head keep B0's widths. Tensor names are those of the PyTorch port of the TensorFlow checkpoint
//! (`_conv_stem.weight`, `_blocks.0._depthwise_conv.weight`, …, `_fc.weight`).

use super::plan::{Activation, BlockPlan, ConvPlan, HEAD_WIDTH, Padding, Plan, STAGES, STEM_WIDTH};

/// The layers of EfficientNet-Lite0.
pub fn plan() -> Plan {
    let mut blocks = Vec::new();
    let mut width = STEM_WIDTH;
    for stage in STAGES {
        for repeat in 0..stage.repeats {
            let stride = if repeat == 0 { stage.stride } else { 1 };
            let prefix = format!("_blocks.{}", blocks.len());
            let middle = width * stage.expansion;
            let expand = (stage.expansion > 1).then(|| conv(&prefix, "_expand_conv", "_bn0", width, middle));
            let depthwise = ConvPlan {
                kernel: stage.kernel,
                stride,
                depthwise: true,
                ..conv(&prefix, "_depthwise_conv", "_bn1", middle, middle)
            };
            let project = ConvPlan {
                activation: Activation::Identity,
                ..conv(&prefix, "_project_conv", "_bn2", middle, stage.outputs)
            };
            let residual = stride == 1 && width == stage.outputs;
            blocks.push(BlockPlan { expand, depthwise, squeeze: None, project, residual });
            width = stage.outputs;
        }
    }
    Plan {
        stem: ConvPlan { kernel: 3, stride: 2, ..conv("", "_conv_stem", "_bn0", 3, STEM_WIDTH) },
        blocks,
        head: conv("", "_conv_head", "_bn1", width, HEAD_WIDTH),
        classifier: "_fc".to_owned(),
    }
}

/// A 1×1 convolution of stride 1; callers change what differs.
fn conv(prefix: &str, name: &str, norm: &str, inputs: usize, outputs: usize) -> ConvPlan {
    let path = |last: &str| if prefix.is_empty() { last.to_owned() } else { format!("{prefix}.{last}") };
    ConvPlan {
        name: path(name),
        norm: path(norm),
        inputs,
        outputs,
        kernel: 1,
        stride: 1,
        depthwise: false,
        padding: Padding::Same,
        epsilon: 1e-3,
        activation: Activation::Relu6,
    }
}
