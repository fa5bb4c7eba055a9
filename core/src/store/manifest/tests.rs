#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use vigie_protocol::dataset::{ClassChange, ImageChange, Placement, Quality};
use vigie_protocol::fingerprint::Fingerprint;

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
            saturation: (!n.is_multiple_of(4)).then_some(0.25),
            jpeg_quality: (n % 4 > 1).then_some(90),
        },
        admission: if n.is_multiple_of(2) { "imported" } else { "from source@v2" }.to_owned(),
        group: (n % 5 > 1).then(|| format!("é{}", n % 3)),
        fingerprint: Fingerprint::new(u64::from(n % 6) << 60),
        metadata: (0..n % 3).map(|key| (format!("k{key}"), format!("text {}", n % 7))).collect(),
    }
}

/// The image as a build knew it that knew neither groups nor fingerprints.
fn early(image: DatasetImage) -> DatasetImage {
    let DatasetImage { image, label, split, origin, quality, admission, .. } = image;
    let quality = Quality { saturation: None, jpeg_quality: None, ..quality };
    DatasetImage::new(image, label, split, origin, quality, admission)
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
fn a_splits_hash_is_that_of_its_images_and_labels() {
    use Split::{Test, Train};
    let before = images(&[(1, "owl", Train), (2, "jay", Train), (3, "owl", Test)]);
    let after = images(&[(1, "owl", Train), (2, "kite", Train), (3, "owl", Test)]);
    let (before, after) = (before.splits(), after.splits());
    assert_eq!(before.iter().map(|split| split.images).collect::<Vec<_>>(), [2, 0, 1]);
    assert_ne!(before[0].hash, after[0].hash, "a label changed");
    assert_eq!(before[1..], after[1..]);
}

#[test]
fn manifests_of_earlier_builds_keep_their_hash() {
    // The bytes that a build made which knew no more.
    let manifest = Manifest::new((0..40).map(|n| early(image(n, "owl", Split::Train))).collect());
    let bytes = manifest.encode();
    assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
    let name = Hash::of(&bytes).to_string();
    assert_eq!(name, "4f7ba1dca55d2349a58390c74aa74c1f6e9f86763a5f66cf5840225f215f671b");
    for later in ["saturation", "jpeg_quality", "fingerprint", "group", "metadata"] {
        assert!(!bytes.windows(later.len()).any(|window| window == later.as_bytes()), "{later}");
    }
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

/// Images whose content is their name.
fn images(images: &[(u32, &str, Split)]) -> Manifest {
    Manifest::new(images.iter().map(|&(n, label, split)| image(n, label, split)).collect())
}

/// What a version lists of a later one: each image that changed, in one line.
fn changes(differences: &Differences<'_>, a: Option<&Manifest>, b: &Manifest) -> BTreeMap<Hash, String> {
    let place = |place: Option<Placement>| {
        place.map_or("nothing".to_owned(), |place| format!("{}/{}", place.label, place.split))
    };
    let page = differences.page(a.map(Manifest::encode).as_deref(), &b.encode(), None, 100).unwrap();
    let line = |change: ImageChange| {
        let ImageChange { image, kind, from, to, origin } = change;
        (image, format!("{kind:?} {} -> {} ({origin})", place(from), place(to)))
    };
    page.images.items.into_iter().map(line).collect()
}

#[test]
fn differences_tell_every_way_to_change() {
    use Split::{Test, Train, Valid};
    let a = images(&[
        (1, "owl", Train),
        (2, "owl", Train),
        (3, "kite", Test),
        (4, "wren", Train),
        (6, "owl", Train),
    ]);
    let b = images(&[
        (1, "kite", Train),
        (2, "owl", Valid),
        (4, "wren", Train),
        (5, "owl", Train),
        (6, "jay", Test),
    ]);
    let one = |edit: fn(&mut ClassChange)| {
        let mut change = ClassChange::default();
        edit(&mut change);
        change
    };
    let classes = BTreeMap::from([
        ("jay".to_owned(), one(|class| (class.relabelled_in, class.moved) = (1, 1))),
        ("kite".to_owned(), one(|class| (class.removed, class.relabelled_in) = (1, 1))),
        ("owl".to_owned(), one(|class| (class.added, class.relabelled_out, class.moved) = (1, 2, 1))),
    ]);
    assert_eq!(class_changes(&a, &b), classes);
    assert!(class_changes(&a, &a).is_empty());

    let of = |n: u32| Hash::of(&n.to_le_bytes());
    let expected = [
        (1, "Relabelled owl/train -> kite/train (kite/é1.jpg)"),
        (2, "Moved owl/train -> owl/valid (owl/é2.jpg)"),
        (3, "Removed kite/test -> nothing (kite/é3.jpg)"),
        (5, "Added nothing -> owl/train (owl/é5.jpg)"),
        (6, "Relabelled owl/train -> jay/test (jay/é6.jpg)"),
    ];
    let lines = |numbers: &[u32]| -> BTreeMap<Hash, String> {
        let wanted = expected.iter().filter(|(n, _)| numbers.contains(n));
        wanted.map(|&(n, line)| (of(n), line.to_owned())).collect()
    };
    for (class, numbers) in [
        (None, &[1, 2, 3, 5, 6][..]),
        (Some("kite"), &[1, 3]),
        (Some("owl"), &[1, 2, 5, 6]),
        (Some("wren"), &[]),
        (Some("none such"), &[]),
    ] {
        assert_eq!(changes(&Differences { class }, Some(&a), &b), lines(numbers), "{class:?}");
    }
    let all = changes(&Differences::default(), None, &b);
    assert!(all.len() == 5 && all.values().all(|line| line.starts_with("Added nothing")), "{all:?}");
}

#[test]
fn pages_of_differences_join_to_the_whole() {
    let (a, b) = (sample(40), images(&[(3, "owl", Split::Train), (70, "owl", Split::Test)]));
    let whole = Differences::default().page(Some(&a.encode()), &b.encode(), None, 1_000).unwrap();
    assert_eq!((whole.images.items.len(), &whole.images.next), (41, &None));
    assert_eq!(whole.classes, class_changes(&a, &b));
    for limit in [1, 5, 40, 41] {
        // Both formats, one against the other.
        let (from, to) = (rows(&a), b.encode());
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = Differences::default().page(Some(&from), &to, cursor.as_ref(), limit).unwrap();
            assert_eq!(page.classes, whole.classes);
            assert!(page.images.next.is_none() || page.images.items.len() == limit);
            all.extend(page.images.items);
            cursor = page.images.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(all, whole.images.items, "by {limit}");
    }
    let strange = PageCursor("not a hash".to_owned());
    let read = Differences::default().page(None, &b.encode(), Some(&strange), 1);
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
            let _ = Differences::default().page(Some(bytes), &sample(7).encode(), None, 100);
        }
    }
}
