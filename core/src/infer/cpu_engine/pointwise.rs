//! 1×1 convolutions: a matrix product whose bias, activation and residual are applied to each tile
//! while it is still in registers.
//!
//! Tiles are 6 pixels × 2 vectors of outputs: 12 accumulators, 2 weights and one input leave one of
//! AVX2's 16 registers free; with 4 × 3 the compiler spills an accumulator in the innermost loop.
//! Weights are packed once, in panels of up to 2 vectors, in the order they are read.

use pulp::{Simd, WithSimd};

use super::simd::{Finish, apply, lanes, run};

/// Pixels a tile.
const PIXELS: usize = 6;
/// Vectors of outputs a panel.
const VECTORS: usize = 2;
/// Floats of input that are gone through for each panel: a quarter of a common L2 cache.
const BLOCK: usize = 64 * 1024;

/// A 1×1 convolution with packed weights.
pub(super) struct Pointwise {
    /// Channels in.
    pub inputs: usize,
    /// Channels out, a multiple of the vector length; those added for it are zero before `finish`.
    pub outputs: usize,
    /// For each panel: inputs × panel width.
    panels: Vec<f32>,
    bias: Vec<f32>,
    finish: Finish,
}

/// Where pixels go: rows of `width` pixels, `row` floats apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Pixels a row.
    pub width: usize,
    /// Floats from a row to the next.
    pub row: usize,
    /// Floats before the first pixel.
    pub start: usize,
}

impl Pointwise {
    /// Packs `weight`, outputs × inputs.
    pub(super) fn new(weight: &[f32], bias: &[f32], finish: Finish) -> Self {
        let lanes = lanes();
        let inputs = weight.len() / bias.len();
        let outputs = bias.len().next_multiple_of(lanes);
        let mut panels = Vec::with_capacity(outputs * inputs);
        let mut first = 0;
        while first < outputs {
            let width = (outputs - first).min(VECTORS * lanes);
            for input in 0..inputs {
                panels.extend(
                    (first..first + width).map(|output| {
                        if output < bias.len() { weight[output * inputs + input] } else { 0.0 }
                    }),
                );
            }
            first += width;
        }
        let mut bias = bias.to_vec();
        bias.resize(outputs, 0.0);
        Self { inputs, outputs, panels, bias, finish }
    }

    /// Computes pixels × inputs into `output`, laid out by `place`. `residual`, pixels × outputs, is
    /// added after the activation.
    pub(super) fn run(&self, input: &[f32], output: &mut [f32], place: Place, residual: Option<&[f32]>) {
        run(Product { layer: self, input, output, place, residual });
    }

    /// Computes pixels × inputs into pixels × outputs.
    pub(super) fn run_flat(&self, input: &[f32], output: &mut [f32], residual: Option<&[f32]>) {
        let width = input.len() / self.inputs;
        self.run(input, output, Place { width, row: width * self.outputs, start: 0 }, residual);
    }
}

struct Product<'a> {
    layer: &'a Pointwise,
    input: &'a [f32],
    output: &'a mut [f32],
    place: Place,
    residual: Option<&'a [f32]>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, input, output, place, residual } = self;
        let block = (BLOCK / layer.inputs).max(PIXELS).next_multiple_of(PIXELS);
        for (index, input) in input.chunks(block * layer.inputs).enumerate() {
            let first = index * block;
            let residual = residual.map(|residual| &residual[first * layer.outputs..]);
            block_of_pixels(simd, layer, input, first, output, place, residual);
        }
    }
}

#[inline(always)]
fn block_of_pixels<S: Simd>(
    simd: S,
    layer: &Pointwise,
    input: &[f32],
    first: usize,
    output: &mut [f32],
    place: Place,
    residual: Option<&[f32]>,
) {
    let (mut panels, _) = S::as_simd_f32s(&layer.panels);
    let (mut bias, _) = S::as_simd_f32s(&layer.bias);
    let mut column = 0;
    while !bias.is_empty() {
        let vectors = bias.len().min(VECTORS);
        let (panel, more) = panels.split_at(vectors * layer.inputs);
        let mut walk = Walk { place, column: first % place.width, row: first / place.width };
        for (tile, input) in input.chunks(PIXELS * layer.inputs).enumerate() {
            let residual = residual.map(|residual| &residual[tile * PIXELS * layer.outputs + column..]);
            let tile = Tile { layer, input, panel, bias, output, column, residual };
            match vectors {
                2 => tile.run::<S, 2>(simd, &mut walk),
                _ => tile.run::<S, 1>(simd, &mut walk),
            }
        }
        panels = more;
        bias = &bias[vectors..];
        column += vectors * S::F32_LANES;
    }
}

/// Goes from pixel to pixel of an output.
struct Walk {
    place: Place,
    column: usize,
    row: usize,
}

impl Walk {
    /// Where the next pixel starts.
    #[inline(always)]
    fn next(&mut self, outputs: usize) -> usize {
        let at = self.place.start + self.row * self.place.row + self.column * outputs;
        self.column += 1;
        if self.column == self.place.width {
            self.column = 0;
            self.row += 1;
        }
        at
    }
}

struct Tile<'a, V> {
    layer: &'a Pointwise,
    input: &'a [f32],
    panel: &'a [V],
    bias: &'a [V],
    output: &'a mut [f32],
    column: usize,
    residual: Option<&'a [f32]>,
}

impl<V: Copy> Tile<'_, V> {
    #[inline(always)]
    fn run<S: Simd<f32s = V>, const N: usize>(self, simd: S, walk: &mut Walk) {
        match self.input.len() / self.layer.inputs {
            6 => self.pixels::<S, 6, N>(simd, walk),
            5 => self.pixels::<S, 5, N>(simd, walk),
            4 => self.pixels::<S, 4, N>(simd, walk),
            3 => self.pixels::<S, 3, N>(simd, walk),
            2 => self.pixels::<S, 2, N>(simd, walk),
            _ => self.pixels::<S, 1, N>(simd, walk),
        }
    }

    #[inline(always)]
    fn pixels<S: Simd<f32s = V>, const M: usize, const N: usize>(self, simd: S, walk: &mut Walk) {
        let Self { layer, input, panel, bias, output, column, residual } = self;
        let depth = layer.inputs;
        let (panel, _) = panel.as_chunks::<N>();
        let panel = &panel[..depth];
        let rows: [&[f32]; M] = std::array::from_fn(|row| &input[row * depth..][..depth]);
        let start: [V; N] = std::array::from_fn(|v| bias[v]);
        let mut sums = [start; M];
        for k in 0..depth {
            let weights = &panel[k];
            for m in 0..M {
                let x = simd.splat_f32s(rows[m][k]);
                for n in 0..N {
                    sums[m][n] = simd.mul_add_e_f32s(x, weights[n], sums[m][n]);
                }
            }
        }
        for (m, sums) in sums.into_iter().enumerate() {
            let at = walk.next(layer.outputs) + column;
            let (pixel, _) = S::as_mut_simd_f32s(&mut output[at..][..N * S::F32_LANES]);
            for (n, sum) in sums.into_iter().enumerate() {
                pixel[n] = apply(simd, sum, layer.finish);
            }
            if let Some(residual) = residual {
                let (residual, _) = S::as_simd_f32s(&residual[m * layer.outputs..][..N * S::F32_LANES]);
                for n in 0..N {
                    pixel[n] = simd.add_f32s(pixel[n], residual[n]);
                }
            }
        }
    }
}
