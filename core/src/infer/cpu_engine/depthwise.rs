//! Depthwise convolutions: each channel filtered by itself. The input carries its own zero border,
//! so no tap has to ask whether it is inside of the image.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::simd::{Finish, apply, run};

/// Vectors of channels a tile.
const VECTORS: usize = 2;

/// A depthwise convolution.
pub(super) struct Depthwise {
    /// Channels, a multiple of 16.
    pub channels: usize,
    /// Side of the kernel: 3 or 5.
    pub kernel: usize,
    /// Step of the kernel: 1 or 2.
    pub stride: usize,
    /// Kernel × kernel × channels.
    weight: Vec<f32>,
    bias: Vec<f32>,
    finish: Finish,
}

impl Depthwise {
    /// Packs `weight`, channels × kernel × kernel.
    pub(super) fn new(weight: &[f32], bias: &[f32], kernel: usize, stride: usize, finish: Finish) -> Self {
        let (channels, taps) = (bias.len(), kernel * kernel);
        let weight = (0..taps).flat_map(|tap| (0..channels).map(move |c| weight[c * taps + tap])).collect();
        Self { channels, kernel, stride, weight, bias: bias.to_vec(), finish }
    }

    /// Computes some rows of the output, `width` pixels each, from a whole bordered input of
    /// `input_width` pixels a row.
    pub(super) fn run(
        &self,
        input: &[f32],
        input_width: usize,
        rows: Range<usize>,
        output: &mut [f32],
        width: usize,
    ) {
        run(Rows { layer: self, input, input_width, rows, output, width });
    }
}

struct Rows<'a> {
    layer: &'a Depthwise,
    input: &'a [f32],
    input_width: usize,
    rows: Range<usize>,
    output: &'a mut [f32],
    width: usize,
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (self.layer.kernel, self.layer.stride) {
            (3, 1) => self.all::<S, 3, 1>(simd),
            (3, _) => self.all::<S, 3, 2>(simd),
            (_, 1) => self.all::<S, 5, 1>(simd),
            _ => self.all::<S, 5, 2>(simd),
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn all<S: Simd, const K: usize, const T: usize>(self, simd: S) {
        let Self { layer, input, input_width, rows, output, width } = self;
        // From here on, positions count vectors.
        let channels = layer.channels / S::F32_LANES;
        let (input, _) = S::as_simd_f32s(input);
        let (weight, _) = S::as_simd_f32s(&layer.weight);
        let (bias, _) = S::as_simd_f32s(&layer.bias);
        let (output, _) = S::as_mut_simd_f32s(output);
        for (y, output) in rows.zip(output.chunks_exact_mut(width * channels)) {
            let input = &input[y * T * input_width * channels..][..K * input_width * channels];
            for channel in (0..channels).step_by(VECTORS) {
                let tile = Tile { input, row: input_width * channels, weight, bias, channels, channel };
                let mut x = 0;
                while x < width {
                    let output = &mut output[x * channels + channel..];
                    let left = width - x;
                    match left {
                        1 => tile.pixels::<S, K, T, 1>(simd, x, output, layer.finish),
                        2 => tile.pixels::<S, K, T, 2>(simd, x, output, layer.finish),
                        3 => tile.pixels::<S, K, T, 3>(simd, x, output, layer.finish),
                        _ => tile.pixels::<S, K, T, 4>(simd, x, output, layer.finish),
                    }
                    x += left.min(4);
                }
            }
        }
    }
}

struct Tile<'a, V> {
    /// The K rows of input that a row of output sees.
    input: &'a [V],
    /// Vectors a row.
    row: usize,
    weight: &'a [V],
    bias: &'a [V],
    channels: usize,
    channel: usize,
}

impl<V: Copy> Tile<'_, V> {
    #[inline(always)]
    fn pixels<S: Simd<f32s = V>, const K: usize, const T: usize, const M: usize>(
        &self,
        simd: S,
        x: usize,
        output: &mut [V],
        finish: Finish,
    ) {
        let Self { input, row, weight, bias, channels, channel } = *self;
        let mut sums = [[bias[channel], bias[channel + 1]]; M];
        for ky in 0..K {
            let line = &input[ky * row + x * T * channels + channel..];
            let taps = &weight[ky * K * channels + channel..];
            for kx in 0..K {
                let tap = &taps[kx * channels..][..VECTORS];
                for m in 0..M {
                    let pixel = &line[(m * T + kx) * channels..][..VECTORS];
                    for v in 0..VECTORS {
                        sums[m][v] = simd.mul_add_e_f32s(pixel[v], tap[v], sums[m][v]);
                    }
                }
            }
        }
        for (m, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                output[m * channels + v] = apply(simd, sum, finish);
            }
        }
    }
}
