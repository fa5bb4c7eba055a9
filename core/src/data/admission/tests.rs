#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use vigie_protocol::dataset::{DatasetRef, DatasetVersion, Quality, Split, SplitCounts};
use vigie_protocol::{ChangeSetId, Hash, Time};

use super::*;

const FROM: &str = "production@v4";

fn image(name: &str, label: &str) -> DatasetImage {
    let quality = Quality { width: 8, height: 8, bytes: 10, ..Quality::default() };
    let [label, origin, admission] = [label, name, "imported"].map(str::to_owned);
    DatasetImage::new(Hash::of(name.as_bytes()), label, Split::Train, origin, quality, admission)
}

/// `owl 3 jay 2` : images `owl-0` to `owl-2` and so on; `owl 2@5` begins at `owl-5`.
fn manifest(text: &str) -> Manifest {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut images = Vec::new();
    for pair in words.chunks(2) {
        let (count, first) = pair[1].split_once('@').unwrap_or((pair[1], "0"));
        let first: u32 = first.parse().unwrap();
        let count: u32 = count.parse().unwrap();
        images.extend((first..first + count).map(|n| image(&format!("{}-{n}", pair[0]), pair[0])));
    }
    Manifest::new(images)
}

fn day(n: i64) -> Time {
    Time::from_micros(1_795_219_200_000_000 + n * 86_400_000_000)
}

fn version(lineage: Lineage, number: u32, created: Time, text: &str) -> DatasetVersion {
    let counts = |images: u64| SplitCounts { train: images, valid: 0, test: 0 };
    let classes = sizes(manifest(text).images())
        .into_iter()
        .map(|(class, images)| (class.to_owned(), counts(images)))
        .collect();
    DatasetVersion {
        dataset: DatasetRef { lineage, number },
        manifest: Hash::of(text.as_bytes()),
        created,
        by: "ada".to_owned(),
        change_set: ChangeSetId::new(),
        classes,
        bytes: 0,
        window: None,
    }
}

fn room(
    rule: ClassRule,
    reference: Option<&str>,
    source: &str,
    production: &str,
    history: &History,
) -> Vec<String> {
    let reference = reference.map(manifest);
    let (source, production) = (manifest(source), manifest(production));
    let room = Room {
        rule,
        simulated: false,
        reference: reference.as_ref().map(|manifest| ("reference@v2".parse().unwrap(), manifest)),
        feeding: Feeding { source: Some(&source), production: Some(&production) },
        history,
    };
    let seen = room.look();
    let mut lines = vec![seen.sentence];
    lines.extend(seen.waiting.into_iter().map(|waits| waits.sentence));
    lines
}

#[test]
fn who_waits_and_why() {
    use ClassRule::{Fixed, None as NoRule, Smallest, Unknown};
    let none = History::default();
    let reference = Some("owl 8 jay 5");
    for (rule, reference, source, production, expected) in [
        (
            Smallest,
            reference,
            "owl 9",
            "jay 3",
            &["no class waits: reference has every class of source and production"][..],
        ),
        (
            Smallest,
            reference,
            "wren 3 kite 5",
            "wren 2@2",
            &[
                "reference lacks 2 classes, 1 may enter now (kite): a new class needs 5 images, as many as jay, the smallest class of reference",
                "kite has 5, needs 5: it may enter",
                // wren-2 is in both lines and counts once.
                "wren has 4, needs 5; how fast it grows is not known yet",
            ],
        ),
        (
            Smallest,
            reference,
            "wren 3",
            "wren 2@3",
            &[
                "reference lacks 1 class, 1 may enter now (wren): a new class needs 5 images, as many as jay, the smallest class of reference",
                "wren has 5, needs 5: it may enter",
            ],
        ),
        (
            Fixed { images: 3 },
            reference,
            "wren 2",
            "",
            &[
                "reference lacks 1 class, none may enter now: a new class needs 3 images",
                "wren has 2, needs 3; how fast it grows is not known yet",
            ],
        ),
        (
            NoRule,
            reference,
            "wren 1",
            "",
            &[
                "reference lacks 1 class, 1 may enter now (wren): a new class needs no images",
                "wren has 1, needs 0: it may enter",
            ],
        ),
        (
            Smallest,
            None,
            "wren 1",
            "",
            &[
                "reference lacks 1 class, 1 may enter now (wren): reference is empty, and whatever comes first founds it",
                "wren has 1, needs 0: it may enter",
            ],
        ),
        (
            Unknown,
            reference,
            "wren 90",
            "",
            &[
                "reference lacks 1 class: this build does not know the class rule",
                "wren has 90; this build does not know the project's class rule",
            ],
        ),
    ] {
        assert_eq!(
            room(rule, reference, source, production, &none),
            expected,
            "{rule:?} {source} + {production}"
        );
    }
}

#[test]
fn what_a_person_said_counts_for_the_class_they_said() {
    let source = manifest("wren 4");
    let corrected = Manifest::new(vec![image("wren-0", "kite")]);
    let feeding = Feeding { source: Some(&source), production: Some(&corrected) };
    let holdings = feeding.holdings();
    assert_eq!(holdings["wren"], Holding { has: 3, in_source: 3, in_production: 0 });
    assert_eq!(holdings["kite"], Holding { has: 1, in_source: 0, in_production: 1 });
}

#[test]
fn rates_are_told_where_the_history_tells() {
    let line = [
        version(Lineage::Production, 1, day(-60), "wren 100"),
        version(Lineage::Production, 2, day(-40), "wren 300"),
        version(Lineage::Production, 3, day(-10), "wren 610"),
    ];
    for (versions, now, has, expected) in [
        // From v2, which was there when the window of 30 days began.
        (&line[..], day(0), 610, "wren has 610, needs 846, at this rate 23 days (10 a day over 30 days)"),
        (&line[2..], day(0), 610, "wren has 610, needs 846; it did not grow over 10 days"),
        (&line[2..], day(-10), 610, "wren has 610, needs 846; how fast it grows is not known yet"),
        (&line[1..], day(-39), 300, "wren has 300, needs 846; it did not grow over 1 day"),
        // A clock that was set back knows no days.
        (&line[..], day(-90), 610, "wren has 610, needs 846; how fast it grows is not known yet"),
        (&[], day(0), 610, "wren has 610, needs 846; how fast it grows is not known yet"),
    ] {
        let history = History::of(&[versions], now);
        let reference = Some("jay 846");
        let seen = room(ClassRule::Smallest, reference, &format!("wren {has}"), "", &history);
        assert_eq!(seen[1], expected);
    }
    let slow =
        [version(Lineage::Source, 1, day(-30), "wren 1"), version(Lineage::Source, 2, day(-1), "wren 2")];
    let seen = room(ClassRule::Fixed { images: 1_000 }, None, "wren 2", "", &History::of(&[&slow], day(0)));
    assert_eq!(seen[1], "wren has 2, needs 1000, at this rate more than ten years (0.0 a day over 30 days)");
}

#[test]
fn a_threshold_is_tried_without_changing_anything() {
    let (reference, source) = (manifest("jay 90"), manifest("a 50 b 41 c 40 d 39 e 60 f 45 g 44 h 1"));
    let history = History::default();
    let mut tried = Room {
        rule: ClassRule::Fixed { images: 40 },
        simulated: true,
        reference: Some(("reference@v2".parse().unwrap(), &reference)),
        feeding: Feeding { source: Some(&source), production: None },
        history: &history,
    };
    let seen = tried.look();
    assert_eq!((seen.total, seen.entering, seen.needs), (8, 6, Some(40)));
    assert_eq!(seen.sentence, "at threshold 40, 6 of 8 classes would enter: e, a, f, g, b and 1 more");
    assert_eq!(seen.waiting[0].sentence, "e has 60, needs 40: it would enter");
    tried.rule = ClassRule::Fixed { images: 1_000 };
    assert_eq!(tried.look().sentence, "at threshold 1000, none of 8 classes would enter");
}

fn admitted(rule: Option<ClassRule>, only_add: bool) -> (BTreeSet<String>, Vec<String>, u64) {
    let into = manifest("owl 3 jay 2");
    let beside = manifest("wren 1@7");
    let mut images = manifest("owl 1 owl 2@5 wren 1 kite 2").images().to_vec();
    images.push(image("jay-0", "owl"));
    images.push(image("jay-1", "wren"));
    let from = Manifest::new(images);
    let admission = Admission {
        rule,
        only_add,
        into: Some(&into),
        feeding: Feeding::of(Lineage::Production, &from, Some(&beside)),
    };
    let Admitted { manifest, waiting, kept_label } = admission.admit(&from);
    let entered = manifest.images().iter().map(|image| format!("{} {}", image.origin, image.label)).collect();
    (entered, waiting.iter().map(Waits::to_string).collect(), kept_label)
}

#[test]
fn classes_that_wait_stay_out() {
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    let owls = ["owl-0 owl", "owl-5 owl", "owl-6 owl"];
    // wren: one here, one relabelled from jay, one in the other line; the smallest class has two.
    let enter = [&owls[..], &["kite-0 kite", "kite-1 kite", "wren-0 wren"]].concat();
    let relabelled = ["jay-0 owl", "jay-1 wren"];
    assert_eq!(
        admitted(Some(ClassRule::Smallest), false),
        (set(&[&enter[..], &relabelled].concat()), vec![], 0)
    );
    assert_eq!(admitted(Some(ClassRule::Smallest), true), (set(&enter), vec![], 2));
    let waits = vec![
        "class kite waits: it has 2 images and needs 4".to_owned(),
        "class wren waits: it has 3 images and needs 4".to_owned(),
    ];
    // What waits does not enter by relabelling either.
    let fixed = admitted(Some(ClassRule::Fixed { images: 4 }), false);
    assert_eq!(fixed, (set(&[&owls[..], &["jay-0 owl"]].concat()), waits, 0));
    assert_eq!(admitted(None, false).0.len(), 8);
    assert_eq!(admitted(Some(ClassRule::Unknown), false).1.len(), 2);
}

fn update(reference: &str, from: &str, rule: ClassRule, percent: f64) -> UpdateSaid {
    let (reference, from) = (manifest(reference), manifest(from));
    let history = History::default();
    let update = Update {
        from_ref: FROM.parse().unwrap(),
        from: &from,
        reference: (!reference.images().is_empty()).then_some(&reference),
        feeding: Feeding { source: None, production: Some(&from) },
        rule,
        percent,
        nameless: 0,
        history: &history,
    };
    let said = update.look();
    (said.new, said.needs, said.met, said.sentence)
}

type UpdateSaid = (u64, u64, bool, String);

#[test]
fn one_percent_is_worth_an_update() {
    let smallest = ClassRule::Smallest;
    for (reference, from, percent, new, needs, met, text) in [
        (
            "owl 200",
            "owl 201",
            1.0,
            1,
            2,
            false,
            "production@v4 has 1 new image for reference, needs 2 (1 % of 200); how fast it grows is not known yet",
        ),
        (
            "owl 200",
            "owl 202",
            1.0,
            2,
            2,
            true,
            "production@v4 has 2 new images for reference, needs 2 (1 % of 200): an update is worth it",
        ),
        (
            "owl 201",
            "owl 204",
            1.0,
            3,
            3,
            true,
            "production@v4 has 3 new images for reference, needs 3 (1 % of 201): an update is worth it",
        ),
        (
            "owl 200",
            "owl 200",
            0.0,
            0,
            1,
            false,
            "production@v4 has 0 new images for reference, needs 1 (0 % of 200); how fast it grows is not known yet",
        ),
        (
            "",
            "owl 1",
            1.0,
            1,
            1,
            true,
            "production@v4 has 1 new image for reference, needs 1, the first of it: an update is worth it",
        ),
        (
            "owl 200",
            "wren 50",
            1.0,
            0,
            2,
            false,
            "production@v4 has 0 new images for reference, needs 2 (1 % of 200); how fast it grows is not known yet; 50 more are of classes that wait",
        ),
        (
            "owl 200",
            "wren 50",
            f64::NAN,
            0,
            1,
            false,
            "production@v4 has 0 new images for reference, needs 1 (NaN % of 200); how fast it grows is not known yet; 50 more are of classes that wait",
        ),
    ] {
        assert_eq!(update(reference, from, smallest, percent), (new, needs, met, text.to_owned()));
    }
}

proptest! {
    /// What the room says of a class is what admission does with it, and nothing is lost: each image
    /// enters, waits or keeps its label.
    #[test]
    fn the_room_and_the_door_agree(
        reference in prop::collection::vec((0u8..4, 0u16..60), 0..40),
        source in prop::collection::vec((0u8..8, 0u16..60), 0..40),
        production in prop::collection::vec((0u8..8, 0u16..60), 1..40),
        fixed in 0u32..8,
        only_add: bool,
    ) {
        let made = |images: &[(u8, u16)]| Manifest::new(
            images.iter().map(|(class, n)| image(&n.to_string(), &format!("class-{class}"))).collect(),
        );
        let (reference, source, production) = (made(&reference), made(&source), made(&production));
        let rule = if fixed == 0 { ClassRule::Smallest } else { ClassRule::Fixed { images: fixed } };
        let feeding = Feeding { source: Some(&source), production: Some(&production) };
        let history = History::default();
        let seen = Room {
            rule,
            simulated: false,
            reference: Some(("reference@v1".parse().unwrap(), &reference)),
            feeding,
            history: &history,
        }.look();
        let door = Admission { rule: Some(rule), only_add, into: Some(&reference), feeding };
        for line in [&source, &production] {
            let Admitted { manifest, waiting, kept_label } = door.admit(line);
            let out: u64 = waiting.iter().map(|waits| waits.images).sum();
            prop_assert_eq!(manifest.images().len() as u64 + out + kept_label, line.images().len() as u64);
            let waiting: BTreeSet<&str> = waiting.iter().map(|waits| waits.class.as_str()).collect();
            for class in line.classes() {
                if let Some(in_room) = seen.waiting.iter().find(|waits| waits.class == class) {
                    prop_assert_eq!(waiting.contains(class.as_str()), !in_room.enters);
                }
            }
            if only_add {
                for image in manifest.images() {
                    let kept = find(reference.images(), image.image);
                    prop_assert!(kept.is_none_or(|kept| kept.label == image.label));
                }
            }
        }
        prop_assert_eq!(seen.entering, seen.waiting.iter().filter(|waits| waits.has >= waits.needs).count() as u64);
    }
}
