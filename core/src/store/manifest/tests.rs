#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use vigie_protocol::dataset::Quality;

use super::*;

fn image(n: u32, label: &str, split: Split) -> DatasetImage {
    DatasetImage {
        image: Hash::of(&n.to_le_bytes()),
        label: label.to_owned(),
        split,
        origin: format!("{label}/é{n}.jpg"),
        quality: Quality {
            width: 320 + n,
            height: 240,
            bytes: u64::from(n) << 33,
            brightness: 0.5,
            contrast: 0.1,
            sharpness: n as f32,
            channel_means: [0.1, 0.2, 0.3],
        },
        admission: if n.is_multiple_of(2) { "imported" } else { "from source@v2" }.to_owned(),
    }
}

fn sample(count: u32) -> Manifest {
    let labels = ["owl", "wren", "kite", ""];
    let images = (0..count).map(|n| image(n, labels[n as usize % 4], Split::ALL[n as usize % 3]));
    Manifest::new(images.collect())
}

/// A manifest as the first format laid it down.
fn rows(manifest: &Manifest) -> Vec<u8> {
    let mut bytes = vec![ROWS];
    rmp_serde::encode::write_named(&mut bytes, manifest.images()).unwrap();
    bytes
}

#[test]
fn both_formats_are_read() {
    for count in [0, 1, 50] {
        let manifest = sample(count);
        assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
        assert_eq!(Manifest::decode(&rows(&manifest)).unwrap(), manifest);
    }
    assert_eq!(sample(9).classes(), ["", "kite", "owl", "wren"]);
}

#[test]
fn what_is_no_manifest_is_damaged() {
    let whole = sample(20).encode();
    let unsorted = Manifest { images: sample(20).images.into_iter().rev().collect() }.encode();
    let unknown = [&[9], &whole[1..]].concat();
    for bytes in [&[][..], b"\x02", b"\x01x", &whole[..whole.len() - 1], &unsorted, &unknown] {
        assert!(matches!(Manifest::decode(bytes), Err(StoreError::Damaged { .. })));
    }
}

/// Pages in both formats hold what the images of the manifest say.
fn check(manifest: &Manifest, listing: &Listing<'_>, limit: usize) {
    let wanted: Vec<_> = manifest
        .images()
        .iter()
        .filter(|image| listing.class.is_none_or(|class| image.label == class))
        .filter(|image| listing.split.is_none_or(|split| image.split == split))
        .cloned()
        .collect();
    for bytes in [manifest.encode(), rows(manifest)] {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = listing.page(&bytes, cursor.as_ref(), limit).unwrap();
            assert!(page.items.len() <= limit);
            // No page is asked for in vain.
            assert!(page.next.is_none() || page.items.len() == limit);
            all.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(all, wanted, "{listing:?} by {limit}");
    }
}

#[test]
fn pages_hold_what_listings_want() {
    let manifest = sample(60);
    for class in [None, Some("owl"), Some("none such"), Some("")] {
        for split in [None, Some(Split::Train), Some(Split::Test)] {
            for limit in [1, 5, 15, 100] {
                check(&manifest, &Listing { class, split }, limit);
            }
        }
    }
    check(&sample(0), &Listing::default(), 10);
    let strange = PageCursor("not a hash".to_owned());
    let read = Listing::default().page(&manifest.encode(), Some(&strange), 1);
    assert!(matches!(read, Err(StoreError::BadCursor)));
}

proptest! {
    /// Whatever a disk does to the bytes, reading them ends in an answer.
    #[test]
    fn altered_bytes_make_nothing_panic(at: prop::sample::Index, value: u8, cut: prop::sample::Index) {
        let mut bytes = sample(12).encode();
        let at = at.index(bytes.len());
        bytes[at] = value;
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let _ = Manifest::decode(bytes);
            let _ = Listing { class: Some("owl"), split: None }.page(bytes, None, 5);
        }
    }
}
