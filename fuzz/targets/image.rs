//! An image file of whatever content: decoded within its limits, measured, made a network's input.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vigie_core::vision::{self, Limits, Measurement};
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::PreprocessSpec;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
    let Ok(image) = vision::decode(bytes, &limits) else { return };
    let (width, height) = image.dimensions();
    assert!(u64::from(width) * u64::from(height) <= limits.max_pixels);
    let Measurement { quality, .. } = vision::measure(&image, bytes);
    assert!((0.0..=1.0).contains(&quality.brightness) && quality.sharpness.is_finite());
    let spec = PreprocessSpec::for_network(Architecture::EfficientnetB0, 32);
    let pixels = vision::preprocess(&image, &spec);
    assert_eq!(pixels.len(), 3 * 32 * 32);
});
