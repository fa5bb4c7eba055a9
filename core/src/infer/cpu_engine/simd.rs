//! What the kernels share: vectors through safe types.

use pulp::{Simd, WithSimd};

pub(super) use crate::vector::run;

/// What is applied to each number of a layer's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// Nothing.
    Identity,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x · logistic(x)`.
    Silu,
    /// `1 / (1 + e⁻ˣ)`.
    Logistic,
}

/// Numbers in one vector: 8 with AVX2, 4 with NEON, 1 where there is neither.
pub(super) fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    run(Lanes)
}

/// Applies `finish` to a vector.
#[inline(always)]
pub(super) fn apply<S: Simd>(simd: S, x: S::f32s, finish: Finish) -> S::f32s {
    match finish {
        Finish::Identity => x,
        Finish::Relu6 => simd.min_f32s(simd.max_f32s(x, simd.splat_f32s(0.0)), simd.splat_f32s(6.0)),
        Finish::Silu => simd.mul_f32s(x, logistic(simd, x)),
        Finish::Logistic => logistic(simd, x),
    }
}

/// `1 / (1 + e⁻ˣ)`, within 2e-7 of the exact value.
#[inline(always)]
fn logistic<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))))
}

/// `eˣ` within 2 units in the last place between −87 and 88, and its value there beyond: the method
/// of Cephes' `expf`. x = n ln 2 + r; a polynomial gives eʳ, the exponent bits 2ⁿ.
#[inline(always)]
fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    let x = simd.min_f32s(simd.max_f32s(x, splat(-87.0)), splat(88.0));
    // Adding 1.5 · 2²³ rounds to an integer and leaves it in the low bits of the mantissa.
    let shifter = splat(12_582_912.0);
    let shifted = simd.mul_add_e_f32s(x, splat(std::f32::consts::LOG2_E), shifter);
    let n = simd.sub_f32s(shifted, shifter);
    // ln 2 in two parts, so that r keeps its last bits.
    let r = simd.mul_add_e_f32s(n, splat(-0.693_359_4), x);
    let r = simd.mul_add_e_f32s(n, splat(2.121_944_4e-4), r);
    let mut p = splat(1.987_569_1e-4);
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = simd.mul_add_e_f32s(p, r, splat(c));
    }
    p = simd.mul_add_e_f32s(p, simd.mul_f32s(r, r), simd.add_f32s(r, splat(1.0)));
    // Bits above the exponent fall out of the shift, so the shifter's own need no masking.
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Each<'a>(&'a mut [f32], Finish);

    impl WithSimd for Each<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for x in S::as_mut_simd_f32s(self.0).0 {
                *x = apply(simd, *x, self.1);
            }
        }
    }

    #[test]
    fn activations_are_exact_to_the_documented_error() {
        let inputs: Vec<f32> = (-160_000..160_000).map(|i| i as f32 / 1000.0).collect();
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        for (finish, tolerance, exact) in [
            (Finish::Identity, 0.0, &(|x| x) as &dyn Fn(f64) -> f64),
            (Finish::Relu6, 0.0, &|x| x.clamp(0.0, 6.0)),
            (Finish::Logistic, 2e-7, &logistic),
            (Finish::Silu, 2e-6, &|x| x * logistic(x)),
        ] {
            let mut found = inputs.clone();
            run(Each(&mut found, finish));
            for (x, found) in inputs.iter().zip(found) {
                let exact = exact(f64::from(*x));
                // SiLU's error grows with its value.
                let allowed = tolerance * exact.abs().max(1.0);
                assert!(
                    (f64::from(found) - exact).abs() <= allowed,
                    "{finish:?}({x}) = {found}, not {exact}"
                );
            }
        }
    }
}
