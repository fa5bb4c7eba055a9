//! Near duplicates: pictures that are one picture to the eye, whatever their size and encoding.
//!
//! Two images are alike when their fingerprints differ in few bits, how many is a project's setting,
//! and their brightness, contrast and shape agree: re-encoded and resized copies do, neighbours of a
//! burst often. Flat pictures have no fingerprint, and so no neighbours.
//!
//! Pairs are found by multi-index hashing (Norouzi, Punjani and Fleet, 2012): of five parts of the 64
//! bits at least one is equal in two fingerprints that differ in four, so that only fingerprints with
//! an equal part are compared. The more bits may differ, the smaller the parts and the more there is to
//! compare: 100,000 fingerprints take one core about 0.1 s with 4 bits, and 2 s with 8.

use vigie_protocol::dataset::DatasetImage;
use vigie_protocol::fingerprint::Fingerprint;
use vigie_protocol::project::{NEAR_BITS, ProjectSettings};

/// In how many bits of 64 the fingerprints of near duplicates differ at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nearness {
    bits: u32,
}

impl Nearness {
    /// So many bits; the most that a project may set when there are more.
    pub fn bits(bits: u8) -> Self {
        Self { bits: bits.min(*NEAR_BITS.end()).into() }
    }

    /// The bits of each part of a fingerprint, of which there is one more than bits may differ. Of five
    /// parts each has every fifth bit, so that it has low frequencies, in which pictures of one kind
    /// agree, and high ones, in which they do not.
    fn masks(self) -> Vec<u64> {
        let parts = self.bits as usize + 1;
        let mut masks = vec![0; parts];
        (0..64).for_each(|bit| masks[bit % parts] |= 1 << bit);
        masks
    }
}

impl Default for Nearness {
    fn default() -> Self {
        Self::bits(ProjectSettings::default().near_bits)
    }
}

/// How far brightness and contrast of near duplicates differ at most, of 1.
const LIGHT: f32 = 0.03;
/// How far their aspects differ at most, as a logarithm: 5 %.
const SHAPE: f32 = 0.05;

/// Of pictures with one fingerprint each is held against so many of its neighbours in brightness, so
/// that a set of placeholders costs no square. Neighbours of neighbours still make one cluster.
const NEIGHBOURS: usize = 256;

/// What of an image is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    print: Fingerprint,
    brightness: f32,
    contrast: f32,
    shape: f32,
}

impl Look {
    /// The look of an image; none for flat pictures.
    pub fn of(image: &DatasetImage) -> Option<Self> {
        let quality = &image.quality;
        Some(Self {
            print: image.fingerprint?,
            brightness: quality.brightness,
            contrast: quality.contrast,
            shape: quality.aspect().ln(),
        })
    }

    /// In how many bits the fingerprints of two near duplicates differ; nothing when they are none.
    pub fn near(&self, other: &Self, nearness: Nearness) -> Option<u32> {
        let bits = self.print.distance(other.print);
        (bits <= nearness.bits && self.agrees(other)).then_some(bits)
    }

    fn agrees(&self, other: &Self) -> bool {
        let close = |a: f32, b: f32, most: f32| (a - b).abs() <= most;
        close(self.brightness, other.brightness, LIGHT)
            && close(self.contrast, other.contrast, LIGHT)
            && close(self.shape, other.shape, SHAPE)
    }
}

/// Calls `visit` with every pair of near duplicates once, as places in `looks`, and the bits in which
/// they differ.
pub fn each_pair(looks: &[Option<Look>], nearness: Nearness, visit: &mut dyn FnMut(usize, usize, u32)) {
    let mut members: Vec<(usize, Look)> =
        looks.iter().enumerate().filter_map(|(i, look)| Some((i, (*look)?))).collect();
    members.sort_by(|(i, a), (j, b)| {
        a.print.cmp(&b.print).then_with(|| a.brightness.total_cmp(&b.brightness)).then(i.cmp(j))
    });
    let classes: Vec<&[(usize, Look)]> = members.chunk_by(|a, b| a.1.print == b.1.print).collect();
    for class in &classes {
        for (n, a) in class.iter().enumerate() {
            between(a, &class[n + 1..], 0, visit);
        }
    }
    let prints: Vec<u64> = classes.iter().map(|class| class[0].1.print.bits()).collect();
    each_near_print(&prints, nearness, &mut |a, b, bits| {
        for member in classes[a] {
            let darkest = member.1.brightness - LIGHT;
            let start = classes[b].partition_point(|other| other.1.brightness < darkest);
            between(member, &classes[b][start..], bits, visit);
        }
    });
}

/// Pairs of one image with those beside it in brightness, the darkest first.
fn between(
    (i, a): &(usize, Look),
    others: &[(usize, Look)],
    bits: u32,
    visit: &mut dyn FnMut(usize, usize, u32),
) {
    let reach = others.iter().take(NEIGHBOURS).take_while(|(_, b)| b.brightness - a.brightness <= LIGHT);
    for (j, _) in reach.filter(|(_, b)| a.agrees(b)) {
        visit(*i, *j, bits);
    }
}

/// Every pair of different prints that differ in few bits, once.
fn each_near_print(prints: &[u64], nearness: Nearness, visit: &mut dyn FnMut(usize, usize, u32)) {
    let masks = nearness.masks();
    let mut order: Vec<(u64, u64, u32)> = Vec::with_capacity(prints.len());
    // Beside each other in memory: comparing them is all that this costs.
    let mut sorted: Vec<u64> = Vec::with_capacity(prints.len());
    for (part, mask) in masks.iter().enumerate() {
        order.clear();
        order.extend(prints.iter().zip(0_u32..).map(|(&print, n)| (print & mask, print, n)));
        order.sort_unstable();
        sorted.clear();
        sorted.extend(order.iter().map(|&(_, print, _)| print));
        let mut rest = sorted.as_slice();
        for bucket in order.chunk_by(|a, b| a.0 == b.0) {
            let (prints, behind) = rest.split_at(bucket.len());
            rest = behind;
            for (a, print) in prints.iter().enumerate() {
                for (b, other) in (a + 1..).zip(&prints[a + 1..]) {
                    let different = print ^ other;
                    let bits = different.count_ones();
                    // Told once, at the first part in which they agree.
                    if bits <= nearness.bits && masks[..part].iter().all(|mask| different & mask != 0) {
                        visit(bucket[a].2 as usize, bucket[b].2 as usize, bits);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn look(bits: u64, brightness: f32) -> Option<Look> {
        let print = Fingerprint::new(bits)?;
        Some(Look { print, brightness, contrast: 0.2, shape: 0.0 })
    }

    fn pairs(looks: &[Option<Look>], nearness: Nearness) -> BTreeMap<(usize, usize), u32> {
        let mut found = BTreeMap::new();
        each_pair(looks, nearness, &mut |i, j, bits| {
            assert_eq!(found.insert((i.min(j), i.max(j)), bits), None, "{i} and {j} twice");
        });
        found
    }

    #[test]
    fn light_and_shape_must_agree() {
        let a = look(0xff, 0.5).expect("look");
        let near = |other: Look| a.near(&other, Nearness::default());
        assert_eq!(near(a), Some(0));
        assert_eq!(near(Look { brightness: 0.525, ..a }), Some(0));
        assert_eq!(near(Look { brightness: 0.54, ..a }), None);
        assert_eq!(near(Look { contrast: 0.24, ..a }), None);
        assert_eq!(near(Look { shape: 0.1, ..a }), None);
        assert_eq!(near(look(0xf0, 0.5).expect("look")), Some(4));
        assert_eq!(near(look(0xe0, 0.5).expect("look")), None);
        let within = |bits, other| a.near(&look(other, 0.5).expect("look"), Nearness::bits(bits));
        assert_eq!((within(0, 0xff), within(0, 0xfe)), (Some(0), None));
        assert_eq!((within(8, 0x01_00), within(8, 0x03_ff)), (None, Some(2)));
        assert_eq!(
            (within(8, 0x00_01), within(99, 0xff_ff), within(99, 0x01_ff_ff)),
            (Some(7), Some(8), None)
        );
    }

    proptest! {
        /// Against the comparison of all with all.
        #[test]
        fn all_pairs_are_found_once(
            centres in prop::collection::vec(any::<u64>(), 1..4),
            images in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::collection::vec(0_u8..64, 0..6), 0_u8..6), 0..60,
            ),
            nearness in prop::sample::select(vec![0, 1, 4, 8]).prop_map(Nearness::bits),
        ) {
            let looks: Vec<Option<Look>> = images.iter().map(|(centre, flips, light)| {
                let bits = flips.iter().fold(*centre.get(&centres), |bits, flip| bits ^ 1 << flip);
                look(bits, f32::from(*light) * 0.02)
            }).collect();
            let mut expected = BTreeMap::new();
            for (j, b) in looks.iter().enumerate() {
                for (i, a) in looks[..j].iter().enumerate() {
                    if let Some(bits) = a.zip(*b).and_then(|(a, b)| a.near(&b, nearness)) {
                        expected.insert((i, j), bits);
                    }
                }
            }
            prop_assert_eq!(pairs(&looks, nearness), expected);
        }
    }

    #[test]
    fn placeholders_make_one_cluster_at_no_square() {
        let looks: Vec<Option<Look>> = (0..20_000).map(|n| look(77, n as f32 / 1e6)).collect();
        let (mut count, mut linked) = (0, vec![false; looks.len()]);
        each_pair(&looks, Nearness::default(), &mut |i, j, _| {
            count += 1;
            linked[i.max(j)] = true;
        });
        assert!(count <= looks.len() * NEIGHBOURS);
        assert!(linked[1..].iter().all(|&linked| linked));
    }

    /// Fingerprints as unevenly spread as those of pictures of one kind: a quarter of the bits is the
    /// same in nine of ten. The bound holds without optimisation too.
    #[test]
    fn a_hundred_thousand_take_a_moment() {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state ^ state >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        let looks: Vec<Option<Look>> = (0..100_000)
            .map(|n| {
                let common = if n % 10 == 0 { random() } else { 0x0f0f } & 0xffff;
                look(random() & !0xffff | common, (n % 500) as f32 / 500.0)
            })
            .collect();
        let started = Instant::now();
        let found = pairs(&looks, Nearness::default()).len();
        let took = started.elapsed();
        assert!(found < 1000, "{found}");
        assert!(took < Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 }), "{took:?}");
    }
}
