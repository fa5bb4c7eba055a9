//! The vector unit: chosen at run time, used through safe types.

use pulp::{Simd, WithSimd};

/// Runs an operation compiled for the best vector unit there is: AVX2 with FMA, or NEON.
pub(crate) fn run<Op: WithSimd>(op: Op) -> Op::Output {
    // `Arch` would look for it only under a feature of pulp that all other users of it would get too.
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        return Simd::vectorize(simd, op);
    }
    pulp::Arch::new().dispatch(op)
}
