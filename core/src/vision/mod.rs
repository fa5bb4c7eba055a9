//! From encoded bytes to the pixels a model sees.
//!
//! Training and serving go through the same two functions, [`decode()`] and [`preprocess`], so that
//! a model never sees in production what it did not see in training. Normalisation is not here: it
//! happens on the device.

mod decode;
mod fingerprint;
mod jpeg;
mod quality;
mod resize;
mod room;
pub mod spec;

pub use decode::{DecodeError, Limits, decode, size};
pub use image::RgbImage;
pub use quality::{Measurement, measure};
pub use resize::{preprocess, resize};
pub use room::{PixelRoom, Taken};
