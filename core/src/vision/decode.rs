//! Bounded decoding of files that anyone may have made.

use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage, RgbaImage};

use super::jpeg;

/// What a file may ask for before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Encoded size in bytes.
    pub max_bytes: u64,
    /// Width × height.
    pub max_pixels: u64,
    /// The longer of width and height.
    pub max_side: u32,
}

impl Default for Limits {
    /// 64 MiB, 100 megapixels, 30,000 pixels a side: above any camera, below what hurts.
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_pixels: 100_000_000, max_side: 30_000 }
    }
}

/// Why bytes are not a usable image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// More encoded bytes than allowed.
    #[error("the file has more than {limit} bytes")]
    TooManyBytes {
        /// The limit in bytes.
        limit: u64,
    },
    /// The first bytes are of no image format.
    #[error("not an image")]
    NotAnImage,
    /// An image format, or a kind of it, that is not read.
    #[error("{0} is not supported, convert it to JPEG, PNG or WebP")]
    Unsupported(String),
    /// The header promises more pixels than allowed. Nothing was allocated for them.
    #[error("{width}x{height} is too large, the limit is {limit}")]
    TooLarge {
        /// Width by the header.
        width: u32,
        /// Height by the header.
        height: u32,
        /// Which limit, for people: `100000000 pixels`.
        limit: String,
    },
    /// The file ends before the image does.
    #[error("the file is cut short")]
    Truncated,
    /// The content contradicts the format.
    #[error("the image is damaged: {0}")]
    Damaged(String),
}

/// Decodes JPEG, PNG or WebP to upright 8-bit RGB.
///
/// The format is taken from the content, never from a name. The header's size is held against
/// `limits` before any pixel is allocated. The EXIF orientation is applied, transparency is laid
/// over black, 16-bit, grey, palette and CMYK pixels become RGB. Of an animation the first picture
/// counts. Colour profiles are ignored, as torchvision and Pillow's `convert` ignore them.
///
/// While it runs it holds up to 14 bytes a pixel (a progressive JPEG's coefficients, or 16-bit
/// RGBA and its conversions).
///
/// # Errors
/// [`DecodeError`]; no input makes it panic.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, DecodeError> {
    decode_after(bytes, limits, |_| ()).map(|(image, ())| image)
}

/// As [`decode()`], after `reserve` was told how many pixels there will be, and before memory is taken
/// for them; what it answers is handed on.
///
/// # Errors
/// As [`decode()`].
pub(super) fn decode_after<R>(
    bytes: &[u8],
    limits: &Limits,
    reserve: impl FnOnce(u64) -> R,
) -> Result<(RgbImage, R), DecodeError> {
    let format = whole_format_of(bytes, limits)?;
    // The decoders are other people's code fed with hostile bytes: a panic there is one more way
    // for a file to be damaged, and must not take an import or a server down.
    catch_unwind(AssertUnwindSafe(|| {
        let decoder = decoder_as(format, bytes, limits)?;
        let (width, height) = decoder.dimensions();
        let reserved = reserve(u64::from(width) * u64::from(height));
        Ok((finish(decoder)?, reserved))
    }))
    .unwrap_or_else(|_| Err(DecodeError::Damaged("the decoder gave up".to_owned())))
}

/// Width and height before orientation, by the header alone.
///
/// # Errors
/// [`DecodeError`] where [`decode()`] would fail before it decodes: also for a JPEG that is cut short.
pub fn size(bytes: &[u8], limits: &Limits) -> Result<(u32, u32), DecodeError> {
    let format = whole_format_of(bytes, limits)?;
    // As in `decode`.
    catch_unwind(AssertUnwindSafe(|| decoder_as(format, bytes, limits).map(|decoder| decoder.dimensions())))
        .unwrap_or_else(|_| Err(DecodeError::Damaged("the decoder gave up".to_owned())))
}

/// A decoder that has read the header, and found its size within the limits.
fn decoder_as<'a>(
    format: ImageFormat,
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<impl ImageDecoder + use<'a>, DecodeError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut bounds = image::Limits::default();
    // 16-bit RGBA takes eight bytes a pixel; the rest is for the decoder's own tables.
    bounds.max_alloc = Some(limits.max_pixels.saturating_mul(8).saturating_add(64 << 20));
    reader.limits(bounds);
    let decoder = reader.into_decoder().map_err(|error| refused(&error))?;
    check_size(decoder.dimensions(), limits)?;
    Ok(decoder)
}

fn finish(mut decoder: impl ImageDecoder) -> Result<RgbImage, DecodeError> {
    // A damaged EXIF block is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| refused(&error))?;
    image.apply_orientation(orientation);
    Ok(if image.color().has_alpha() { over_black(&image.into_rgba8()) } else { image.into_rgb8() })
}

/// The format of bytes that are not seen to be cut short.
fn whole_format_of(bytes: &[u8], limits: &Limits) -> Result<ImageFormat, DecodeError> {
    let format = format_of(bytes, limits)?;
    if format == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
        return Err(DecodeError::Truncated);
    }
    Ok(format)
}

fn format_of(bytes: &[u8], limits: &Limits) -> Result<ImageFormat, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if bytes.len() as u64 > limits.max_bytes {
        return Err(DecodeError::TooManyBytes { limit: limits.max_bytes });
    }
    match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => Ok(format),
        Ok(other) => Err(DecodeError::Unsupported(format!("{other:?}").to_uppercase())),
        // Phones send these, and the image crate has no name for them.
        Err(_) if bytes.get(4..8) == Some(b"ftyp") => Err(DecodeError::Unsupported("HEIF".to_owned())),
        Err(_) => Err(DecodeError::NotAnImage),
    }
}

fn check_size((width, height): (u32, u32), limits: &Limits) -> Result<(), DecodeError> {
    if width == 0 || height == 0 {
        return Err(DecodeError::Damaged(format!("its size is {width}x{height}")));
    }
    let too_large = |limit| Err(DecodeError::TooLarge { width, height, limit });
    if width.max(height) > limits.max_side {
        return too_large(format!("{} pixels a side", limits.max_side));
    }
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return too_large(format!("{} pixels", limits.max_pixels));
    }
    Ok(())
}

fn over_black(image: &RgbaImage) -> RgbImage {
    let mut out = RgbImage::new(image.width(), image.height());
    for (to, from) in out.pixels_mut().zip(image.pixels()) {
        let [r, g, b, alpha] = from.0.map(u32::from);
        // Rounded division by 255; at most 255, so the cast keeps the value.
        to.0 = [r, g, b].map(|channel| ((channel * alpha + 127) / 255) as u8);
    }
    out
}

fn refused(error: &ImageError) -> DecodeError {
    match error {
        ImageError::Unsupported(detail) => DecodeError::Unsupported(detail.to_string()),
        _ if ends_early(error) => DecodeError::Truncated,
        _ => DecodeError::Damaged(bounded(&error.to_string())),
    }
}

fn ends_early(error: &ImageError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == ErrorKind::UnexpectedEof) {
            return true;
        }
        cause = error.source();
    }
    // Wrapped where `source` does not show it.
    matches!(error, ImageError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof)
}

/// Decoders quote the file in their messages; a report of a thousand files need not.
fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transparency_lies_over_black() {
        let image = RgbaImage::from_raw(2, 1, vec![200, 100, 50, 255, 200, 100, 51, 128]).expect("size");
        assert_eq!(over_black(&image).into_raw(), [200, 100, 50, 100, 50, 26]);
    }

    #[test]
    fn sizes_are_held_against_the_limits() {
        let limits = Limits { max_bytes: 1 << 20, max_pixels: 1_000, max_side: 100 };
        for (size, fine) in [((10, 100), true), ((10, 101), false), ((0, 5), false), ((40, 40), false)] {
            assert_eq!(check_size(size, &limits).is_ok(), fine, "{size:?}");
        }
    }

    #[test]
    fn what_is_no_image_is_named() {
        let limits = Limits::default();
        let refused = |bytes: &[u8]| decode(bytes, &limits).expect_err("refused");
        assert_eq!(refused(b""), DecodeError::Empty);
        assert_eq!(refused(b"This is a note, not a photo.\n"), DecodeError::NotAnImage);
        assert_eq!(refused(b"GIF89a..........."), DecodeError::Unsupported("GIF".to_owned()));
        assert_eq!(refused(b"\0\0\0\x18ftypheic"), DecodeError::Unsupported("HEIF".to_owned()));
        let small = Limits { max_bytes: 3, ..limits };
        assert_eq!(decode(b"long", &small), Err(DecodeError::TooManyBytes { limit: 3 }));
        for bytes in [&b""[..], b"This is a note, not a photo.\n", b"GIF89a..........."] {
            assert_eq!(size(bytes, &limits), Err(refused(bytes)), "the header says it already");
        }
    }
}
