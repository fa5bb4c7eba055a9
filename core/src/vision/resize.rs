//! The geometry between a decoded image and a model's input.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use vigie_protocol::preprocess::{Interpolation, PreprocessSpec};

/// The pixels of a model's input before normalisation: `crop`² RGB triples, row by row.
///
/// Resizes the shorter side to `resize` and takes the centre, with the rounding of torchvision's
/// `Resize` and `CenterCrop` and the antialiased filters of Pillow. Only the pixels of the crop
/// are computed, which gives the same numbers and keeps an image of 30,000 × 1 from becoming one
/// of millions × 256. An image that already has the right size is not resampled; a smaller one is
/// enlarged. A crop larger than `resize` (which [`super::spec::check`] refuses) counts as `resize`
/// = `crop`; an image without pixels gives black.
pub fn preprocess(image: &RgbImage, spec: &PreprocessSpec) -> Vec<u8> {
    let crop = spec.crop;
    let (width, height) = image.dimensions();
    if width == 0 || height == 0 || crop == 0 {
        return vec![0; crop as usize * crop as usize * 3];
    }
    let (new_width, new_height) = resized(width, height, spec.resize.max(crop));
    let (left, top) = (centre(new_width, crop), centre(new_height, crop));
    if (new_width, new_height) == (u64::from(width), u64::from(height)) {
        return copy(image, left as usize, top as usize, crop as usize);
    }
    // The crop's corner and size in pixels of the original.
    let (scale_x, scale_y) = (f64::from(width) / new_width as f64, f64::from(height) / new_height as f64);
    let window = Window {
        left: left as f64 * scale_x,
        top: top as f64 * scale_y,
        width: f64::from(crop) * scale_x,
        height: f64::from(crop) * scale_y,
    };
    resample(image, window, crop, crop, spec.interpolation)
}

/// The whole image at another size, antialiased like Pillow's `resize`. Either size may be 0, which
/// gives an image without pixels.
pub fn resize(image: &RgbImage, width: u32, height: u32, interpolation: Interpolation) -> RgbImage {
    if width == 0 || height == 0 || image.width() == 0 || image.height() == 0 {
        return RgbImage::new(width, height);
    }
    let whole =
        Window { left: 0.0, top: 0.0, width: f64::from(image.width()), height: f64::from(image.height()) };
    let pixels = resample(image, whole, width, height, interpolation);
    RgbImage::from_raw(width, height, pixels).expect("resample fills width x height x 3 bytes")
}

/// A rectangle of the original, in fractions of pixels.
struct Window {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// Filters a window of the image; near its edges the filter sees the pixels outside it, so that a
/// window of a resize equals the same window cut from the whole resize.
///
/// Rows first, then columns, as Pillow does: between the two passes values are cut to 0–255, so
/// their order shows where the bicubic filter overshoots. Left alone, the resizer would take the
/// columns first.
fn resample(
    image: &RgbImage,
    window: Window,
    width: u32,
    height: u32,
    interpolation: Interpolation,
) -> Vec<u8> {
    let (filter, support) = match interpolation {
        Interpolation::Bilinear => (FilterType::Bilinear, 1.0),
        // `spec::check` lets nothing unknown come this far.
        Interpolation::Bicubic | Interpolation::Unknown => (FilterType::CatmullRom, 2.0),
    };
    let (source_width, source_height) = image.dimensions();
    // Rounding may push the far edge a hair beyond the image.
    let window_width = window.width.min(f64::from(source_width) - window.left);
    let window_height = window.height.min(f64::from(source_height) - window.top);

    // The rows that the second pass will look at.
    let reach = support * (window_height / f64::from(height)).max(1.0);
    let first = (window.top - reach).floor().max(0.0);
    let last = (window.top + window_height + reach).ceil().min(f64::from(source_height));
    let rows = last - first;

    let source = ImageRef::new(source_width, source_height, image.as_raw(), PixelType::U8x3)
        .expect("an RgbImage has width x height x 3 bytes");
    let mut narrowed = Image::new(width, rows as u32, PixelType::U8x3);
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    let across = options.crop(window.left, first, window_width, rows);
    let down = options.crop(0.0, window.top - first, f64::from(width), window_height);
    let mut resizer = Resizer::new();
    resizer
        .resize(&source, &mut narrowed, &across)
        .and_then(|()| resizer.resize(&narrowed, &mut target, &down))
        .expect("all images are U8x3 and the windows lie inside them");
    target.into_vec()
}

/// The size with a shorter side of `shorter`, as torchvision's `Resize` rounds it:
/// `int(shorter * long / short)`.
fn resized(width: u32, height: u32, shorter: u32) -> (u64, u64) {
    let (width, height, shorter) = (u64::from(width), u64::from(height), u64::from(shorter));
    if width <= height { (shorter, shorter * height / width) } else { (shorter * width / height, shorter) }
}

/// The offset of a centred crop, as torchvision's `center_crop` rounds it: Python's `round`, half
/// to even.
fn centre(side: u64, crop: u32) -> u64 {
    let spare = side.saturating_sub(u64::from(crop));
    let half = spare / 2;
    half + (spare % 2) * (half % 2)
}

fn copy(image: &RgbImage, left: usize, top: usize, crop: usize) -> Vec<u8> {
    let row_len = image.width() as usize * 3;
    let rows = image.as_raw().chunks_exact(row_len).skip(top).take(crop);
    rows.flat_map(|row| &row[left * 3..(left + crop) * 3]).copied().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vigie_protocol::preprocess::PREPROCESS_REVISION;

    use super::*;

    fn spec(resize: u32, crop: u32, interpolation: Interpolation) -> PreprocessSpec {
        PreprocessSpec {
            revision: PREPROCESS_REVISION,
            resize,
            crop,
            interpolation,
            mean: [0.0; 3],
            std: [1.0; 3],
        }
    }

    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x * 37 % 256) as u8, (y * 59 % 256) as u8, ((x * y) % 256) as u8])
        })
    }

    #[test]
    fn sizes_round_like_torchvision() {
        // int(73 * 320 / 213), int(256 * 640 / 427), int(256 * 333 / 500) …
        for (size, shorter, expected) in [
            ((320, 213), 73, (109, 73)),
            ((640, 427), 256, (383, 256)),
            ((427, 640), 256, (256, 383)),
            ((5, 5), 8, (8, 8)),
            ((30_000, 1), 256, (7_680_000, 256)),
        ] {
            assert_eq!(resized(size.0, size.1, shorter), expected, "{size:?} to {shorter}");
        }
        // round((side - crop) / 2): 4.5 and 0.5 go down, 5.5 goes up, to the even number.
        for (side, crop, expected) in [(73, 64, 4), (110, 64, 23), (75, 64, 6), (65, 64, 0), (64, 64, 0)] {
            assert_eq!(centre(side, crop), expected, "{side} - {crop}");
        }
    }

    #[test]
    fn the_right_size_is_left_alone() {
        let image = picture(9, 7);
        let expected: Vec<u8> = (1..6)
            .flat_map(|y| (2..7).map(move |x| (x, y)))
            .flat_map(|(x, y)| image.get_pixel(x, y).0)
            .collect();
        assert_eq!(preprocess(&image, &spec(7, 5, Interpolation::Bicubic)), expected);
    }

    #[test]
    fn extreme_shapes_cost_little() {
        for (width, height) in [(30_000, 1), (1, 30_000), (1, 1), (0, 0)] {
            let pixels = preprocess(&picture(width, height), &spec(256, 224, Interpolation::Bicubic));
            assert_eq!(pixels.len(), 224 * 224 * 3, "{width}x{height}");
        }
    }

    /// How far a window is from the same window cut from the whole resize, at most.
    fn worst(width: u32, height: u32, side: u32, crop: u32, interpolation: Interpolation) -> u8 {
        let image = picture(width, height);
        let (new_width, new_height) = resized(width, height, side);
        let whole = resize(&image, new_width as u32, new_height as u32, interpolation);
        let (left, top) = (centre(new_width, crop) as usize, centre(new_height, crop) as usize);
        let expected = copy(&whole, left, top, crop as usize);
        let found = preprocess(&image, &spec(side, crop, interpolation));
        assert_eq!(found.len(), expected.len());
        found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
    }

    /// The resizer rounds its weights to as many bits as the largest of them leaves, and a window
    /// may lack the largest: a value near a half may round the other way in each pass, and the
    /// second pass of the bicubic filter enlarges (its weights sum to 1.25 without their signs)
    /// what the first was off by. A window in the wrong place would be off by tens.
    const ROUNDING: u8 = 2;

    #[test]
    fn both_passes_may_round_the_other_way() {
        assert!(worst(8, 4, 42, 42, Interpolation::Bicubic) <= ROUNDING);
    }

    proptest! {
        #[test]
        fn a_window_equals_the_same_window_of_the_whole(
            width in 1_u32..90, height in 1_u32..90, side in 1_u32..48, less in 0_u32..20, bicubic: bool,
        ) {
            let interpolation = if bicubic { Interpolation::Bicubic } else { Interpolation::Bilinear };
            let crop = side.saturating_sub(less).max(1);
            let worst = worst(width, height, side, crop, interpolation);
            prop_assert!(worst <= ROUNDING, "differs by {}", worst);
        }
    }
}
