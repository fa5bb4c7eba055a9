//! Whether a preprocess spec can be carried out by this build.

use vigie_protocol::preprocess::{Interpolation, PREPROCESS_REVISION, PreprocessSpec};

/// Largest side of an input, in pixels: far above any classifier's, and small enough that a spec
/// from a foreign file cannot ask for more memory than there is.
pub const MAX_INPUT: u32 = 2048;

/// A spec that this build does not carry out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    /// Made by another revision of the code, whose pixels differ.
    #[error("preprocess revision {found} is unknown, this build carries out revision {PREPROCESS_REVISION}")]
    Revision {
        /// What the spec names.
        found: u32,
    },
    /// Its sizes do not fit together.
    #[error(
        "a crop of {crop} from a resize of {resize} is impossible, it takes 1 <= crop <= resize <= {MAX_INPUT}"
    )]
    Sizes {
        /// Side of the crop.
        crop: u32,
        /// Shorter side after the resize.
        resize: u32,
    },
    /// Mean or standard deviation would make numbers that are none.
    #[error("the normalisation needs finite means and positive, finite standard deviations")]
    Normalisation,
    /// Its resampling filter is a newer build's.
    #[error("its resampling filter is unknown, this build has bilinear and bicubic")]
    Interpolation,
}

/// Checks a spec before anything relies on it.
///
/// # Errors
/// [`InvalidSpec`] says what is wrong.
pub fn check(spec: &PreprocessSpec) -> Result<(), InvalidSpec> {
    let &PreprocessSpec { revision, resize, crop, interpolation, mean, std } = spec;
    if revision != PREPROCESS_REVISION {
        return Err(InvalidSpec::Revision { found: revision });
    }
    if crop == 0 || crop > resize || resize > MAX_INPUT {
        return Err(InvalidSpec::Sizes { crop, resize });
    }
    if !mean.iter().all(|x| x.is_finite()) || !std.iter().all(|x| x.is_finite() && *x > 0.0) {
        return Err(InvalidSpec::Normalisation);
    }
    match interpolation {
        Interpolation::Bilinear | Interpolation::Bicubic => Ok(()),
        Interpolation::Unknown => Err(InvalidSpec::Interpolation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_specs_are_refused() {
        let good = PreprocessSpec {
            revision: PREPROCESS_REVISION,
            resize: 256,
            crop: 224,
            interpolation: Interpolation::Bicubic,
            mean: [127.0; 3],
            std: [128.0; 3],
        };
        assert_eq!(check(&good), Ok(()));
        for bad in [
            PreprocessSpec { revision: 99, ..good.clone() },
            PreprocessSpec { crop: 0, ..good.clone() },
            PreprocessSpec { crop: 257, ..good.clone() },
            PreprocessSpec { resize: 1 << 20, ..good.clone() },
            PreprocessSpec { mean: [f32::NAN; 3], ..good.clone() },
            PreprocessSpec { std: [1.0, 0.0, 1.0], ..good.clone() },
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
    }
}
