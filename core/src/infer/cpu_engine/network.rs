//! One image through the network: layers in the order they run, and the buffers between them.

use std::ops::Range;

use rayon::prelude::*;

use super::depthwise::Depthwise;
use super::pointwise::{Place, Pointwise};
use super::simd::Finish;
use crate::nets::fold::{Dense, Folded, FoldedBlock, FoldedConv};
use crate::nets::plan::{Activation, Padding};

/// A folded network, packed for this machine.
pub(super) struct PackedNetwork {
    stem: Pointwise,
    padding: Padding,
    blocks: Vec<Block>,
    head: Pointwise,
    classifier: Option<Pointwise>,
}

struct Block {
    expand: Option<Pointwise>,
    depthwise: Depthwise,
    squeeze: Option<(Pointwise, Pointwise)>,
    project: Pointwise,
    residual: bool,
}

/// Buffers between layers, kept from one image to the next: giving them back to the system costs as
/// much as a layer.
#[derive(Default)]
pub(super) struct Buffers {
    /// The normalised image, with its border.
    image: Vec<f32>,
    /// A block's input.
    input: Vec<f32>,
    /// After the expansion, with a border.
    wide: Vec<f32>,
    /// After the depthwise convolution.
    filtered: Vec<f32>,
    /// A block's output.
    output: Vec<f32>,
}

/// The stem's kernel and stride.
const STEM_KERNEL: usize = 3;
const STEM_STRIDE: usize = 2;
/// Numbers that one pixel of the stem's output sees.
const STEM_TAPS: usize = STEM_KERNEL * STEM_KERNEL * 3;

impl PackedNetwork {
    pub(super) fn new(folded: &Folded) -> Self {
        Self {
            stem: stem(&folded.stem),
            padding: folded.stem.padding,
            blocks: folded.blocks.iter().map(block).collect(),
            head: pointwise(&folded.head),
            classifier: folded.classifier.as_ref().map(|layer| dense(layer, Finish::Identity)),
        }
    }

    /// Pooled features of one image of `side`² RGB pixels; `table` gives the normalised value of each
    /// byte of each channel. Each layer's rows are shared among `parts` threads.
    pub(super) fn features(
        &self,
        pixels: &[u8],
        side: usize,
        table: &[[f32; 3]; 256],
        buffers: &mut Buffers,
        parts: usize,
    ) -> Vec<f32> {
        let Buffers { image, input, wide, filtered, output } = buffers;
        let frame = Frame::new(side, 3, self.padding, STEM_KERNEL, STEM_STRIDE);
        frame.clear_border(image);
        for (row, pixels) in frame.rows(image).zip(pixels.chunks_exact(side * 3)) {
            for (to, from) in row.as_chunks_mut::<3>().0.iter_mut().zip(pixels.as_chunks::<3>().0) {
                *to = std::array::from_fn(|channel| table[usize::from(from[channel])][channel]);
            }
        }

        let mut side = frame.output;
        let (stem_input, stem_width) = (&**image, frame.width);
        let mut stem = Some(move |rows: Range<usize>, output: &mut [f32], place: Place| {
            self.run_stem(stem_input, stem_width, rows, output, place);
        });
        for block in &self.blocks {
            let Depthwise { channels, kernel, stride, .. } = block.depthwise;
            let frame = Frame::new(side, channels, self.padding, kernel, stride);
            frame.clear_border(wide);
            let place = Place { width: side, row: frame.row(), start: frame.before * channels };
            let inside = frame.inside(wide);
            split(parts, side, frame.row(), inside, |rows, output| match (&stem, &block.expand) {
                (Some(stem), _) => stem(rows, output, place),
                (None, Some(expand)) => {
                    let row = side * expand.inputs;
                    expand.run(&input[rows.start * row..rows.end * row], output, place, None);
                }
                // Only the first block does not expand, and the stem is its input.
                (None, None) => {}
            });
            stem = None;

            let length = frame.output * frame.output * channels;
            let row = frame.output * channels;
            let filtered = sized(filtered, length);
            split(parts, frame.output, row, filtered, |rows, output| {
                block.depthwise.run(wide, frame.width, rows, output, frame.output);
            });
            if let Some((reduce, expand)) = &block.squeeze {
                rescale(filtered, channels, reduce, expand);
            }

            let outputs = block.project.outputs;
            let to = sized(output, frame.output * frame.output * outputs);
            split(parts, frame.output, frame.output * outputs, to, |rows, output| {
                let of = |length: usize| rows.start * frame.output * length..rows.end * frame.output * length;
                let residual = block.residual.then(|| &input[of(outputs)]);
                block.project.run_flat(&filtered[of(channels)], output, residual);
            });
            std::mem::swap(input, output);
            side = frame.output;
        }

        let width = self.head.outputs;
        let to = sized(output, side * side * width);
        split(parts, side, side * width, to, |rows, output| {
            let row = side * self.head.inputs;
            self.head.run_flat(&input[rows.start * row..rows.end * row], output, None);
        });
        mean(to, width)
    }

    /// Logits of one image's features.
    pub(super) fn classify(&self, features: &[f32], logits: &mut [f32]) {
        if let Some(classifier) = &self.classifier {
            let mut padded = vec![0.0; classifier.outputs];
            classifier.run_flat(features, &mut padded, None);
            logits.copy_from_slice(&padded[..logits.len()]);
        }
    }

    /// The stem as a matrix product: what each pixel sees is copied together, a row at a time.
    fn run_stem(&self, image: &[f32], width: usize, rows: Range<usize>, output: &mut [f32], place: Place) {
        let mut taps = vec![0.0; place.width * STEM_TAPS];
        let first = rows.start;
        for y in rows {
            for (x, taps) in taps.chunks_exact_mut(STEM_TAPS).enumerate() {
                for (ky, taps) in taps.chunks_exact_mut(STEM_KERNEL * 3).enumerate() {
                    let at = ((y * STEM_STRIDE + ky) * width + x * STEM_STRIDE) * 3;
                    taps.copy_from_slice(&image[at..at + STEM_KERNEL * 3]);
                }
            }
            let output = &mut output[(y - first) * place.row..][..place.row];
            self.stem.run(&taps, output, place, None);
        }
    }
}

/// A square feature map with the border that the next convolution wants.
struct Frame {
    /// Pixels a side, without border.
    side: usize,
    channels: usize,
    /// Border above and to the left, in pixels.
    before: usize,
    /// Pixels a side, with border.
    width: usize,
    /// Pixels a side after the convolution.
    output: usize,
}

impl Frame {
    fn new(side: usize, channels: usize, padding: Padding, kernel: usize, stride: usize) -> Self {
        let (before, after) = padding.of(side, kernel, stride);
        let width = before + side + after;
        Self { side, channels, before, width, output: (width - kernel) / stride + 1 }
    }

    /// Floats a row, with border.
    fn row(&self) -> usize {
        self.width * self.channels
    }

    /// Makes the buffer as large as the frame, and the border zero.
    fn clear_border(&self, buffer: &mut Vec<f32>) {
        let Self { side, channels, before, width, output: _ } = *self;
        let buffer = sized(buffer, width * width * channels);
        for (y, row) in buffer.chunks_exact_mut(width * channels).enumerate() {
            if (before..before + side).contains(&y) {
                row[..before * channels].fill(0.0);
                row[(before + side) * channels..].fill(0.0);
            } else {
                row.fill(0.0);
            }
        }
    }

    /// The rows that are not border, whole.
    fn inside<'a>(&self, buffer: &'a mut [f32]) -> &'a mut [f32] {
        &mut buffer[self.before * self.row()..][..self.side * self.row()]
    }

    /// The rows that are not border, without their ends.
    fn rows<'a>(&self, buffer: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> {
        let (start, end) = (self.before * self.channels, (self.before + self.side) * self.channels);
        self.inside(buffer).chunks_exact_mut(self.row()).map(move |row| &mut row[start..end])
    }
}

/// Shares the rows of `output` among `parts` threads.
fn split(
    parts: usize,
    rows: usize,
    row: usize,
    output: &mut [f32],
    work: impl Fn(Range<usize>, &mut [f32]) + Sync,
) {
    if parts <= 1 {
        return work(0..rows, output);
    }
    let step = rows.div_ceil(parts);
    output
        .par_chunks_mut(step * row)
        .enumerate()
        .for_each(|(part, output)| work(part * step..rows.min((part + 1) * step), output));
}

/// Squeeze-and-excite, in place.
fn rescale(pixels: &mut [f32], channels: usize, reduce: &Pointwise, expand: &Pointwise) {
    let mut inner = vec![0.0; reduce.outputs];
    reduce.run_flat(&mean(pixels, channels), &mut inner, None);
    let mut factors = vec![0.0; expand.outputs];
    expand.run_flat(&inner[..expand.inputs], &mut factors, None);
    for pixel in pixels.chunks_exact_mut(channels) {
        for (value, factor) in pixel.iter_mut().zip(&factors) {
            *value *= factor;
        }
    }
}

/// Mean over the pixels, for each channel.
fn mean(pixels: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0; channels];
    for pixel in pixels.chunks_exact(channels) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += value;
        }
    }
    let scale = channels as f32 / pixels.len() as f32;
    sums.iter_mut().for_each(|sum| *sum *= scale);
    sums
}

/// The first `length` floats of a buffer that grows when it must.
fn sized(buffer: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    &mut buffer[..length]
}

fn block(block: &FoldedBlock) -> Block {
    let FoldedBlock { expand, depthwise, squeeze, project, residual } = block;
    let FoldedConv { weight, bias, kernel, stride, activation, .. } = depthwise;
    Block {
        expand: expand.as_ref().map(pointwise),
        depthwise: Depthwise::new(weight, bias, *kernel, *stride, finish(*activation)),
        squeeze: squeeze
            .as_ref()
            .map(|(reduce, expand)| (dense(reduce, Finish::Silu), dense(expand, Finish::Logistic))),
        project: pointwise(project),
        residual: *residual,
    }
}

/// The stem's weights, outputs × (height × width × RGB).
fn stem(conv: &FoldedConv) -> Pointwise {
    let taps = STEM_KERNEL * STEM_KERNEL;
    let weight: Vec<f32> = conv
        .weight
        .chunks_exact(STEM_TAPS)
        .flat_map(|filter| (0..STEM_TAPS).map(move |i| filter[i % 3 * taps + i / 3]))
        .collect();
    Pointwise::new(&weight, &conv.bias, finish(conv.activation))
}

fn pointwise(conv: &FoldedConv) -> Pointwise {
    Pointwise::new(&conv.weight, &conv.bias, finish(conv.activation))
}

fn dense(layer: &Dense, finish: Finish) -> Pointwise {
    Pointwise::new(&layer.weight, &layer.bias, finish)
}

fn finish(activation: Activation) -> Finish {
    match activation {
        Activation::Identity => Finish::Identity,
        Activation::Relu6 => Finish::Relu6,
        Activation::Silu => Finish::Silu,
    }
}
