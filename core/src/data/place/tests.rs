use proptest::prelude::*;
use vigie_protocol::Hash;
use vigie_protocol::dataset::{DatasetRef, Lineage, Quality};
use vigie_protocol::fingerprint::Fingerprint;

use super::*;
use crate::data::changeset::{Proposal, merge, propose, resplit};
use crate::store::manifest::Manifest;

/// An image whose group and look follow from its number, so that it is the same in every history.
fn image(n: u32, group: Option<&str>, print: u64) -> DatasetImage {
    let label = ["owl", "kite", "wren"][n as usize % 3].to_owned();
    let quality = Quality { width: 4, height: 3, ..Quality::default() };
    let (origin, admission) = (format!("{n}.jpg"), "imported".to_owned());
    DatasetImage {
        group: group.map(str::to_owned),
        fingerprint: Fingerprint::new(print),
        ..DatasetImage::new(Hash::of(&n.to_le_bytes()), label, Split::Train, origin, quality, admission)
    }
}

fn at(image: DatasetImage, split: Split) -> DatasetImage {
    DatasetImage { split, ..image }
}

fn offer(image: DatasetImage, given: Option<Split>) -> Offer {
    Offer { image, given }
}

fn split_of(placed: &Placed, n: u32) -> Option<Split> {
    let hash = Hash::of(&n.to_le_bytes());
    placed.images.iter().find(|image| image.image == hash).map(|image| image.split)
}

fn near() -> Nearness {
    Nearness::default()
}

/// Two looks that are far from each other.
const NIGHT: u64 = 0x0000_ffff_0000_ffff;
const DAY: u64 = 0xffff_0000_ffff_0000;

#[test]
fn new_images_join_their_group() {
    let known = [at(image(1, Some("p1"), NIGHT), Split::Test), at(image(2, None, DAY), Split::Valid)];
    let new = vec![
        offer(image(3, Some("p1"), 0), None),
        offer(image(4, None, DAY ^ 1), Some(Split::Train)),
        // Through another new one.
        offer(image(5, Some("p2"), NIGHT ^ 3), None),
        offer(image(6, Some("p2"), 0), None),
        offer(image(7, Some("p7"), 0), Some(Split::Valid)),
        offer(image(8, Some("p7"), 0), Some(Split::Test)),
        offer(image(9, Some("p7"), 0), None),
    ];
    let placed = place(&known, new, [70, 15, 15], near());
    assert_eq!(placed.bridging, []);
    for (n, split) in [(3, Split::Test), (4, Split::Valid), (5, Split::Test), (6, Split::Test)] {
        assert_eq!(split_of(&placed, n), Some(split), "{n}");
    }
    // The most held-out of what the source gives.
    for n in [7, 8, 9] {
        assert_eq!(split_of(&placed, n), Some(Split::Test), "{n}");
    }
}

#[test]
fn what_ties_two_splits_together_is_left_out() {
    let known = [at(image(1, Some("p1"), NIGHT), Split::Train), at(image(2, None, DAY), Split::Test)];
    let new = vec![
        offer(image(3, Some("p1"), DAY ^ 1), None),
        offer(image(4, Some("p1"), 0), None),
        offer(image(5, None, DAY ^ 6), None),
    ];
    let placed = place(&known, new, [70, 15, 15], near());
    let reason = "it would tie two splits together: \"p1\" has 1.jpg in train, it looks like 2.jpg in test; \
                  re-split the line first";
    let left_out = Quarantined { origin: "3.jpg".to_owned(), reason: reason.to_owned() };
    assert_eq!(placed.bridging, [left_out]);
    assert_eq!(split_of(&placed, 4), Some(Split::Train));
    assert_eq!(split_of(&placed, 5), Some(Split::Test));

    // A line that crosses already (its author's splits) takes nothing more of that group.
    let known = [at(image(1, Some("p1"), 0), Split::Train), at(image(2, Some("p1"), 0), Split::Test)];
    let placed = place(&known, vec![offer(image(3, Some("p1"), 0), None)], [70, 15, 15], near());
    assert_eq!((placed.images.len(), placed.bridging.len()), (0, 1));
}

#[test]
fn how_alike_is_alike_enough_is_set() {
    let known = [at(image(1, None, NIGHT), Split::Test), at(image(2, None, DAY), Split::Valid)];
    // Six bits from the first.
    let placed = |bits| {
        let new = vec![offer(image(3, None, NIGHT ^ 0x3f), Some(Split::Train))];
        split_of(&place(&known, new, [70, 15, 15], Nearness::bits(bits)), 3)
    };
    let (apart, together) = (Some(Split::Train), Some(Split::Test));
    assert_eq!([0, 4, 5, 6, 8].map(placed), [apart, apart, apart, together, together]);

    // A line of another setting: who is in it keeps the split, and what would tie the two is left out.
    let known = [at(image(1, None, NIGHT), Split::Test), at(image(2, None, NIGHT ^ 0x3f), Split::Valid)];
    let new = || vec![offer(image(3, None, NIGHT ^ 0x07), None)];
    let placed = place(&known, new(), [70, 15, 15], Nearness::bits(3));
    assert_eq!((split_of(&placed, 3), placed.bridging.len()), (None, 1), "three bits from both");
    let placed = place(&known, new(), [70, 15, 15], Nearness::bits(2));
    assert_eq!((placed.images.len(), placed.bridging.len()), (1, 0));
}

/// What happens to a line.
#[derive(Clone, Debug)]
enum Step {
    Import { images: Vec<u32>, given: Option<Split>, replace: bool },
    Update { images: Vec<u32> },
    Resplit,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let images = || prop::collection::vec(0_u32..150, 1..50);
    let given = prop::option::of((0..3_usize).prop_map(|split| Split::ALL[split]));
    let step = prop_oneof![
        6 => (images(), given, prop::bool::weighted(0.1))
            .prop_map(|(images, given, replace)| Step::Import { images, given, replace }),
        2 => images().prop_map(|images| Step::Update { images }),
        1 => Just(Step::Resplit),
    ];
    prop::collection::vec(step, 1..8)
}

/// Images of a world: some share a group, some look alike, some both.
fn of_world(n: u32, world: &[(u8, u8)]) -> DatasetImage {
    let (group, look) = world[n as usize % world.len()];
    let name = (group < 40).then(|| format!("p{group}"));
    let centre = u64::from(look / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    image(n, name.as_deref(), if look < 200 { centre ^ u64::from(look % 8) } else { 0 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever happened to a line, no group is in two splits, and who stayed stayed where it was.
    #[test]
    fn no_history_tears_a_group(
        steps in steps(),
        world in prop::collection::vec(any::<(u8, u8)>(), 150),
    ) {
        let mut line: Option<Manifest> = None;
        for step in steps {
            let before = line.clone().unwrap_or_default();
            let images = |numbers: &[u32]| -> Vec<DatasetImage> {
                let distinct: BTreeSet<u32> = numbers.iter().copied().collect();
                distinct.into_iter().map(|n| of_world(n, &world)).collect()
            };
            let mut stays = true;
            let proposal: Proposal = match &step {
                Step::Import { images: numbers, given, replace } => {
                    let offers = images(numbers).into_iter().map(|image| offer(image, *given)).collect();
                    merge(line.as_ref(), offers, *replace, [70, 15, 15], near())
                }
                Step::Update { images: numbers } => {
                    let dealt = place(&[], images(numbers).into_iter().map(|i| offer(i, None)).collect(), [70, 15, 15], near());
                    let from = DatasetRef { lineage: Lineage::Source, number: 1 };
                    propose(&Manifest::new(dealt.images), from, None, line.as_ref(), near())
                }
                Step::Resplit => {
                    stays = false;
                    resplit(&before, [70, 15, 15], near())
                }
            };
            let after = proposal.manifest;
            let groups = Groups::of(after.images().iter(), near());
            prop_assert_eq!(groups.crossing(after.images()), BTreeSet::new(), "after {:?}", step);
            if stays {
                for image in before.images() {
                    let found = after.images().iter().find(|other| other.image == image.image);
                    prop_assert!(found.is_none_or(|found| found.split == image.split), "{}", image.origin);
                }
            } else {
                prop_assert_eq!(before.images().len(), after.images().len());
            }
            line = Some(after);
        }
    }

    /// After a re-split each class of groups of one class has its shares within its largest group.
    #[test]
    fn a_resplit_brings_shares_back_and_unites_groups(
        images in prop::collection::vec((0_u8..60, 0..3_usize), 1..150),
    ) {
        // Groups of one class each: the group names it.
        let images: Vec<DatasetImage> = (0..).zip(&images).map(|(n, &(group, split))| {
            let label = ["owl", "kite", "wren"][usize::from(group) % 3].to_owned();
            let name = (group < 30).then(|| format!("p{group}"));
            DatasetImage { label, ..at(image(n, name.as_deref(), 0), Split::ALL[split]) }
        }).collect();
        let after = resplit(&Manifest::new(images), [70, 15, 15], near());
        let groups = Groups::of(after.manifest.images().iter(), near());
        prop_assert_eq!(groups.crossing(after.manifest.images()), BTreeSet::new());
        for (class, counts) in &after.result {
            let of_class = |members: &&Vec<usize>| &after.manifest.images()[members[0]].label == class;
            let largest = groups.members.iter().filter(of_class).map(Vec::len).max().unwrap_or(0) as f64;
            let total = counts.total() as f64;
            for (count, share) in [(counts.train, 0.7), (counts.valid, 0.15), (counts.test, 0.15)] {
                prop_assert!((count as f64 - share * total).abs() <= largest, "{class}: {counts:?}");
            }
        }
    }
}
