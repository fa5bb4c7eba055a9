//! Pictures as they come from the wild, against Pillow's reading of them.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use vigie_core::vision::{DecodeError, Limits, RgbImage, decode, preprocess, resize};
use vigie_protocol::preprocess::{Interpolation, PREPROCESS_REVISION, PreprocessSpec};

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vision").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn decoded(name: &str) -> RgbImage {
    decode(&fixture(name), &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn refusal(name: &str) -> DecodeError {
    decode(&fixture(name), &Limits::default()).expect_err(name)
}

/// Mean of each channel over the columns `0..until`.
fn means(image: &RgbImage, until: u32) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for (x, _, pixel) in image.enumerate_pixels() {
        if x < until {
            (0..3).for_each(|c| sums[c] += f64::from(pixel[c]));
        }
    }
    sums.map(|sum| sum / f64::from(until * image.height()))
}

fn worst(a: &RgbImage, b: &RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[derive(Deserialize)]
struct Described {
    file: String,
    width: u32,
    height: u32,
    mean_rgb: [f64; 3],
    mean_rgb_left_half: [f64; 3],
}

#[test]
fn every_kind_of_pixel_becomes_rgb() {
    let described: Vec<Described> = serde_json::from_slice(&fixture("formats.json")).expect("json");
    for Described { file, width, height, mean_rgb, mean_rgb_left_half } in described {
        let image = decoded(&file);
        assert_eq!(image.dimensions(), (width, height), "{file}");
        if file == "alpha.png" {
            // Its reference ignores alpha, which runs from clear at the top to opaque.
            let middle: f64 = means(&image, width)[0] / mean_rgb[0];
            assert!((0.4..0.6).contains(&middle), "{file}: {middle} of the light is left over black");
            assert!(image.get_pixel(60, 0).0.iter().all(|&c| c < 8), "{file}: the clear edge is black");
            continue;
        }
        for (found, expected) in
            [(means(&image, width), mean_rgb), (means(&image, width / 2), mean_rgb_left_half)]
        {
            for c in 0..3 {
                let off = (found[c] - expected[c]).abs();
                assert!(off < 1.5, "{file}: channel {c} is {} in place of {}", found[c], expected[c]);
            }
        }
    }
}

#[test]
fn orientation_is_undone() {
    let upright = decoded("orientation/upright.png");
    for number in 1..=8 {
        let image = decoded(&format!("orientation/{number}.jpg"));
        assert_eq!(image.dimensions(), upright.dimensions(), "{number}");
        let total: u64 =
            image.as_raw().iter().zip(upright.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = total as f64 / image.as_raw().len() as f64;
        assert!(mean < 5.0, "orientation {number} is off by a mean of {mean}");
    }
}

#[derive(Deserialize)]
struct Resized {
    source: String,
    filter: Interpolation,
    width: u32,
    height: u32,
    resized: String,
    cropped: Option<String>,
}

#[test]
fn resizing_is_pillow_s() {
    let cases: Vec<Resized> = serde_json::from_slice(&fixture("resize/resize.json")).expect("json");
    assert!(!cases.is_empty());
    for case in cases {
        let source = decoded(&format!("resize/{}", case.source));
        let expected = decoded(&format!("resize/{}", case.resized));
        let found = resize(&source, case.width, case.height, case.filter);
        assert!(worst(&found, &expected) <= 1, "{}: off by {}", case.resized, worst(&found, &expected));
        assert!(case.cropped.is_some() || preprocessed_like(&source, &expected, case.filter));
    }
}

/// A square source needs no crop, so the whole of `preprocess` has Pillow's answer.
fn preprocessed_like(source: &RgbImage, expected: &RgbImage, interpolation: Interpolation) -> bool {
    let side = expected.width();
    let spec = PreprocessSpec {
        revision: PREPROCESS_REVISION,
        resize: side,
        crop: side,
        interpolation,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    let found = RgbImage::from_raw(side, side, preprocess(source, &spec)).expect("size");
    worst(&found, expected) <= 1
}

#[test]
fn damaged_files_are_refused_with_their_reason() {
    assert_eq!(refusal("damaged/text.jpg"), DecodeError::NotAnImage);
    assert_eq!(refusal("damaged/empty.jpg"), DecodeError::Empty);
    assert_eq!(refusal("damaged/truncated.jpg"), DecodeError::Truncated);
    assert_eq!(refusal("damaged/truncated.png"), DecodeError::Truncated);
    let huge = refusal("damaged/huge.png");
    assert!(matches!(huge, DecodeError::TooLarge { width: 50_000, height: 50_000, .. }), "{huge}");
}

#[test]
fn no_cut_or_flipped_byte_panics() {
    for name in ["progressive.jpg", "grey.jpg", "palette.png", "alpha.png"] {
        let whole = fixture(name);
        for at in (0..whole.len()).step_by(whole.len() / 60 + 1) {
            let _ = decode(&whole[..at], &Limits::default());
            let mut flipped = whole.clone();
            flipped[at] ^= 0x5a;
            let _ = decode(&flipped, &Limits::default());
        }
    }
}
