#![expect(clippy::unwrap_used, reason = "tests")]

use vigie_protocol::dataset::Quality;
use vigie_protocol::fingerprint::Fingerprint;

use super::*;

const LOOK: u64 = 0x1234_5678_9abc_def0;

fn image(n: u8, label: &str, split: Split, print: u64) -> DatasetImage {
    let quality = Quality {
        width: 400,
        height: 300,
        brightness: 0.4 + f32::from(n % 10) / 100.0,
        ..Quality::default()
    };
    let (origin, admission) = (format!("{n}.jpg"), "imported".to_owned());
    DatasetImage {
        fingerprint: Fingerprint::new(print),
        ..DatasetImage::new(Hash::from([n; 32]), label.to_owned(), split, origin, quality, admission)
    }
}

/// The findings of a page's rows, each in one line.
fn lines(base: &Manifest, proposed: &Manifest, changes: &Changes<'_>, limit: usize) -> Vec<String> {
    let review = Review::of(Some(base), proposed, Nearness::default());
    let (base, proposed) = (base.encode(), proposed.encode());
    let (mut lines, mut cursor) = (Vec::new(), None);
    loop {
        let page = changes.page(&review, Some(&base), &proposed, cursor.as_ref(), limit).unwrap();
        assert!(page.items.len() <= limit);
        for ChangeSetImage { change, findings, .. } in page.items {
            let findings: Vec<String> = findings.iter().map(|finding| format!("{finding:?}")).collect();
            lines.push(format!("{} {:?}: {}", change.origin, change.kind, findings.join("; ")));
        }
        cursor = page.next;
        if cursor.is_none() {
            return lines;
        }
    }
}

fn world() -> (Manifest, Manifest) {
    use Split::{Test, Train, Valid};
    let base: Vec<DatasetImage> = (10..60)
        .map(|n| image(n, if n % 2 == 0 { "owl" } else { "kite" }, Train, u64::from(n) << 32 | 0x5555))
        .chain([image(1, "owl", Test, LOOK)])
        .collect();
    let mut proposed = base.clone();
    proposed.retain(|image| image.origin != "10.jpg");
    proposed[0].label = "kite".to_owned(); // 11 stays kite: no change
    proposed[1].label = "jay".to_owned();
    proposed[2].split = Test;
    let mut dark = image(5, "kite", Valid, 0);
    dark.quality.brightness = 0.0;
    proposed.extend([
        image(2, "owl", Train, LOOK ^ 7), // leaks
        image(3, "owl", Test, LOOK ^ 1),
        image(4, "kite", Train, !LOOK),
        dark,
    ]);
    // As if all of one look were no finding: of these there are many.
    for image in proposed.iter_mut().filter(|image| image.origin.len() == 6) {
        image.fingerprint = None;
    }
    (Manifest::new(base), Manifest::new(proposed))
}

#[test]
fn a_review_names_what_deserves_a_second_look() {
    let (base, proposed) = world();
    let review = Review::of(Some(&base), &proposed, Nearness::default());
    let counts = FindingCounts { near_duplicates: 2, leaks: 2, outliers: 1, enter_test: 2 };
    assert_eq!(review.counts, counts);
    let all = lines(&base, &proposed, &Changes::default(), 3);
    assert_eq!(all, lines(&base, &proposed, &Changes::default(), 100));
    let hash = |n: u8| format!("Hash({})", Hash::from([n; 32]).short());
    let two_leaks = "NearDuplicate { of: HASH, origin: \"3.jpg\", label: \"owl\", bits: 2 }; Leak { of: ONE, \
                     origin: \"1.jpg\", split: Test }";
    let three_leaks = "NearDuplicate { of: HASH, origin: \"2.jpg\", label: \"owl\", bits: 2 }; Leak { of: \
                       HASH, origin: \"2.jpg\", split: Train }; EntersTest";
    let expected = [
        format!("2.jpg Added: {}", two_leaks.replace("HASH", &hash(3)).replace("ONE", &hash(1))),
        format!("3.jpg Added: {}", three_leaks.replace("HASH", &hash(2))),
        "4.jpg Added: ".to_owned(),
        "5.jpg Added: Outlier { feature: Brightness, value: 0.0, z: -14.838788 }".to_owned(),
        "10.jpg Removed: ".to_owned(),
        "12.jpg Relabelled: ".to_owned(),
        "13.jpg Moved: EntersTest".to_owned(),
    ];
    assert_eq!(all, expected);
}

#[test]
fn pages_list_what_is_asked_for() {
    let (base, proposed) = world();
    let count = |changes: Changes<'_>| lines(&base, &proposed, &changes, 2).len();
    assert_eq!(count(Changes::default()), 7);
    assert_eq!(count(Changes { kind: Some(ChangeKind::Added), ..Changes::default() }), 4);
    assert_eq!(count(Changes { kind: Some(ChangeKind::Moved), ..Changes::default() }), 1);
    assert_eq!(count(Changes { kind: Some(ChangeKind::Removed), ..Changes::default() }), 1);
    assert_eq!(count(Changes { class: Some("jay"), ..Changes::default() }), 1);
    assert_eq!(count(Changes { only_findings: true, ..Changes::default() }), 3);
    let nothing = Review::of(Some(&proposed), &proposed, Nearness::default());
    assert_eq!(nothing, Review::default());
    // Of an empty line everything is new.
    assert_eq!(Review::of(None, &base, Nearness::default()).counts.enter_test, 1);
}

/// Images of one line, re-imported with what they belong to.
#[test]
fn a_group_that_newly_crosses_splits_is_told() {
    use Split::{Test, Train};
    let base = [image(1, "owl", Train, 0), image(2, "owl", Test, 0), image(3, "owl", Train, 0)];
    let line = |groups: [Option<&str>; 3]| {
        let grouped = base.iter().zip(groups);
        Manifest::new(
            grouped
                .map(|(image, group)| DatasetImage { group: group.map(str::to_owned), ..image.clone() })
                .collect(),
        )
    };
    let (ann, bob) = (Some("ann"), Some("bob"));
    for (before, after, leaks) in [
        ([None; 3], [ann, ann, bob], 2),
        ([None; 3], [ann, bob, ann], 0),
        ([None, ann, None], [ann, ann, None], 1),
        ([ann, ann, None], [ann, ann, bob], 0), // crossed before
        ([ann, bob, None], [bob, bob, None], 1),
        ([ann, ann, None], [None; 3], 0),
    ] {
        let review = Review::of(Some(&line(before)), &line(after), Nearness::default());
        assert_eq!(review.counts, FindingCounts { leaks, ..FindingCounts::default() }, "{after:?}");
    }
}
