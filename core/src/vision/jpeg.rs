//! Whether a JPEG is all there.
//!
//! The decoder fills what is missing with grey and reports success, as browsers do; a dataset must
//! not take such pictures in silence.

/// Walks the markers (ITU-T T.81, annex B) to the end-of-image marker. What follows it is of no
/// interest: cameras append previews there.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        // Entropy-coded data, and the odd bytes some writers leave between segments.
        let Some(marker) = rest.iter().position(|&byte| byte == 0xff) else { return false };
        rest = &rest[marker..];
        let fill = rest.iter().take_while(|&&byte| byte == 0xff).count();
        let Some(&code) = rest.get(fill) else { return false };
        rest = &rest[fill + 1..];
        match code {
            0xd9 => return true,
            // A stuffed zero, restarts and other markers without a segment.
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                // The segment's length counts its own two bytes.
                let Some(&[high, low]) = rest.first_chunk() else { return false };
                let length = usize::from(u16::from_be_bytes([high, low]));
                let Some(after) = rest.get(length.max(2)..) else { return false };
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_complete;

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
