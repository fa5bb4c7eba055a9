//! EfficientNet-B0 with torchvision's layout and tensor names (`features.0.0.weight`, …,
//! `classifier.1.weight`).

use super::plan::{
    Activation, BlockPlan, ConvPlan, HEAD_WIDTH, Padding, Plan, STAGES, STEM_WIDTH, SqueezePlan,
};

/// The layers of EfficientNet-B0.
pub fn plan() -> Plan {
    let mut blocks = Vec::new();
    let mut width = STEM_WIDTH;
    for (stage_index, stage) in STAGES.into_iter().enumerate() {
        for repeat in 0..stage.repeats {
            let stride = if repeat == 0 { stage.stride } else { 1 };
            let middle = width * stage.expansion;
            // torchvision numbers what a block contains, so a missing expansion shifts the rest.
            let mut layer = 0;
            let mut next = || {
                layer += 1;
                format!("features.{}.{repeat}.block.{}", stage_index + 1, layer - 1)
            };
            let expand = (stage.expansion > 1).then(|| conv(&next(), width, middle));
            let depthwise =
                ConvPlan { kernel: stage.kernel, stride, depthwise: true, ..conv(&next(), middle, middle) };
            let squeeze = next();
            let squeeze = Some(SqueezePlan {
                reduce: format!("{squeeze}.fc1"),
                expand: format!("{squeeze}.fc2"),
                channels: middle,
                inner: (width / 4).max(1),
            });
            let project =
                ConvPlan { activation: Activation::Identity, ..conv(&next(), middle, stage.outputs) };
            let residual = stride == 1 && width == stage.outputs;
            blocks.push(BlockPlan { expand, depthwise, squeeze, project, residual });
            width = stage.outputs;
        }
    }
    Plan {
        stem: ConvPlan { kernel: 3, stride: 2, ..conv("features.0", 3, STEM_WIDTH) },
        blocks,
        head: conv("features.8", width, HEAD_WIDTH),
        classifier: "classifier.1".to_owned(),
    }
}

/// A 1×1 convolution of stride 1; callers change what differs.
fn conv(prefix: &str, inputs: usize, outputs: usize) -> ConvPlan {
    ConvPlan {
        name: format!("{prefix}.0"),
        norm: format!("{prefix}.1"),
        inputs,
        outputs,
        kernel: 1,
        stride: 1,
        depthwise: false,
        padding: Padding::Symmetric,
        epsilon: 1e-5,
        activation: Activation::Silu,
    }
}
