//! What a JPEG file says beside its picture: whether it is all there, and how hard it was compressed.

use std::sync::LazyLock;

const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;
const TABLES: u8 = 0xdb;

/// Whether the end-of-image marker is there. The decoder fills what is missing with grey and reports
/// success, as browsers do; a dataset must not take such pictures in silence. What follows the marker
/// is of no interest: cameras append previews there.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    Markers::of(bytes).any(|(code, _)| code == END_OF_IMAGE)
}

/// The quality that a file was compressed with, 1 to 100 on the scale of the IJG's library, whose
/// tables most writers use: the one whose luma table is nearest in sum. Nothing for other files.
pub(super) fn quality(bytes: &[u8]) -> Option<u8> {
    if !bytes.starts_with(&[0xff, 0xd8]) {
        return None;
    }
    let before_scan = Markers::of(bytes).take_while(|(code, _)| *code != START_OF_SCAN);
    let sum = before_scan.filter(|(code, _)| *code == TABLES).find_map(|(_, tables)| luma_sum(tables))?;
    let nearest = (1..=100_u8).min_by_key(|&quality| SUMS[usize::from(quality)].abs_diff(sum))?;
    Some(nearest)
}

/// The sum of the table number 0, if it is among these: each an octet of precision and number, then
/// 64 values of one or two octets.
fn luma_sum(mut tables: &[u8]) -> Option<u32> {
    while let Some((&head, rest)) = tables.split_first() {
        let wide = head >> 4 != 0;
        let (values, after) = rest.split_at_checked(if wide { 128 } else { 64 })?;
        if head & 0x0f == 0 {
            let wide_sum = || values.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
            return Some(if wide { wide_sum() } else { values.iter().map(|&value| u32::from(value)).sum() });
        }
        tables = after;
    }
    None
}

/// The luma table of ITU-T T.81, annex K; its order plays no part in a sum.
const LUMA: [u32; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17,
    22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78,
    87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];

/// The sum of the luma table at each quality, as the IJG scales it.
static SUMS: LazyLock<[u32; 101]> = LazyLock::new(|| {
    std::array::from_fn(|quality| {
        let quality = quality.max(1) as u32;
        let scale = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
        LUMA.iter().map(|value| ((value * scale + 50) / 100).clamp(1, 255)).sum()
    })
});

/// The markers of a file (ITU-T T.81, annex B) with what their segments hold.
struct Markers<'a> {
    rest: &'a [u8],
}

impl<'a> Markers<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(2..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Markers<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // Entropy-coded data, and the odd bytes some writers leave between segments.
            let marker = self.rest.iter().position(|&byte| byte == 0xff)?;
            let rest = &self.rest[marker..];
            let fill = rest.iter().take_while(|&&byte| byte == 0xff).count();
            let code = *rest.get(fill)?;
            self.rest = &rest[fill + 1..];
            match code {
                END_OF_IMAGE => {
                    self.rest = &[];
                    return Some((code, &[]));
                }
                // A stuffed zero, restarts and other markers without a segment.
                0x00 | 0x01 | 0xd0..=0xd8 => {}
                _ => {
                    // The segment's length counts its own two bytes.
                    let length = usize::from(u16::from_be_bytes(*self.rest.first_chunk()?)).max(2);
                    let (segment, after) = self.rest.split_at_checked(length)?;
                    self.rest = after;
                    return Some((code, &segment[2..]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quality_is_read_from_the_tables() {
        let image = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([x as u8 * 9, y as u8 * 5, 77]));
        for expected in [1, 10, 50, 75, 90, 95, 100] {
            let mut bytes = Vec::new();
            let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, expected);
            encoder.encode_image(&image).expect("encode");
            assert_eq!(quality(&bytes), Some(expected));
            for cut in 0..bytes.len().min(200) {
                let _ = quality(&bytes[..cut]);
            }
        }
        // 16-bit values behind a chroma table; all 16 is the table of quality 87 or so.
        let tables = [&[0x01][..], &[9; 64], &[0x10], &[0, 16].repeat(64)].concat();
        assert_eq!(luma_sum(&tables), Some(16 * 64));
        assert_eq!(luma_sum(&tables[..100]), None);
        assert_eq!(quality(b"\x89PNG\r\n"), None);
        assert_eq!(quality(b"\xff\xd8\xff\xd9"), None);
    }

    #[test]
    fn finds_the_end_past_segments_stuffing_and_restarts() {
        let head = b"\xff\xd8\xff\xe1\x00\x04\xff\xd9\xff\xda\x00\x02\x12\xff\x00\xff\xd0\x34";
        assert!(!is_complete(head), "an end marker inside EXIF is not the image's");
        let whole = [head.as_slice(), b"\xff\xff\xd9"].concat();
        assert!(is_complete(&whole));
        assert!(is_complete(&[&whole, b"camera preview".as_slice()].concat()));
        for cut in 0..whole.len() {
            assert!(!is_complete(&whole[..cut]), "cut at {cut}");
        }
    }
}
