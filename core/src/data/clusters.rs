//! Grouping images by what a network sees in them: agglomerative clustering of cosine distances with
//! average linkage, cut at a distance. The same images give the same clusters, in whatever order they
//! come.

use rayon::prelude::*;
use vigie_protocol::Hash;
use vigie_protocol::preprocess::PreprocessSpec;

use super::DataError;
use crate::infer::FeatureExtractor;
use crate::observe::{Observer, Step};
use crate::store::Blobs;
use crate::vision::{self, Limits, PixelRoom};

/// The most images that are grouped at once: their distances take 4 bytes a pair.
pub const MAX_IMAGES: usize = 2_000;

/// The mean cosine distance within which images count as alike, unless somebody says otherwise. With the
/// bundled network 118 of 130 bundled pictures of six kinds come together at it, in 16 clusters, and 116
/// of these with their own kind; at 0.3 fewer (85), at 0.6 kinds are mixed (104 of 128).
pub const DISTANCE: f32 = 0.45;

/// Images that go through the network between two looks at whether to stop.
const BATCH: usize = 32;

/// What a network sees in images: the features of each, or nothing where the picture is gone or cannot
/// be decoded.
///
/// # Errors
/// [`DataError::Cancelled`], [`DataError::Engine`], [`DataError::Store`].
pub fn features(
    images: &[Hash],
    network: &dyn FeatureExtractor,
    blobs: &dyn Blobs,
    observer: &dyn Observer,
) -> Result<Vec<Option<Vec<f32>>>, DataError> {
    let room = PixelRoom::new();
    let mut features = Vec::with_capacity(images.len());
    for (n, batch) in images.chunks(BATCH).enumerate() {
        if observer.cancelled() {
            return Err(DataError::Cancelled);
        }
        let (done, total) = ((n * BATCH) as u64, images.len() as u64);
        let fraction = 0.95 * done as f32 / total as f32;
        observer.step(Step { stage: "looking at images", done, total, unit: "images", fraction });
        let spec = network.preprocess();
        let read = |image: &Hash| pixels(blobs, *image, spec, &room);
        let pixels = batch.par_iter().map(read).collect::<Result<Vec<Option<Vec<u8>>>, DataError>>()?;
        let joined: Vec<u8> = pixels.iter().flatten().flatten().copied().collect();
        let found = network.features(&joined)?;
        let mut found = found.chunks(network.width().max(1)).map(<[f32]>::to_vec);
        features.extend(pixels.iter().map(|pixels| pixels.as_ref().and_then(|_| found.next())));
    }
    Ok(features)
}

fn pixels(
    blobs: &dyn Blobs,
    image: Hash,
    spec: &PreprocessSpec,
    room: &PixelRoom,
) -> Result<Option<Vec<u8>>, DataError> {
    let Some(bytes) = blobs.get(image)? else { return Ok(None) };
    let decoded = room.decode(&bytes, &Limits::default()).ok();
    Ok(decoded.map(|(image, _taken)| vision::preprocess(&image, spec)))
}

/// Groups features into clusters of at least two, as lists of their places: the largest cluster first,
/// in each the one first that is nearest to its others. Features that are all zero or not finite are
/// left out.
///
/// # Panics
/// When there are more than [`MAX_IMAGES`], or their widths differ.
pub fn clusters(features: &[&[f32]], distance: f32) -> Vec<Vec<usize>> {
    assert!(features.len() <= MAX_IMAGES, "{} images are too many to group", features.len());
    let normal: Vec<Option<Vec<f32>>> = features.iter().map(|one| normalised(one)).collect();
    let mut places: Vec<usize> = (0..normal.len()).filter(|&place| normal[place].is_some()).collect();
    // By content, not by the order they came in: ties are broken by place.
    let bits = |place: usize| normal[place].iter().flatten().map(|value| value.to_bits()).collect::<Vec<_>>();
    places.sort_by_cached_key(|&place| bits(place));
    let vectors: Vec<&[f32]> = places.iter().filter_map(|&place| normal[place].as_deref()).collect();
    let distances = Distances::of(&vectors);

    let mut found: Vec<Vec<usize>> = linked(&distances, vectors.len(), distance)
        .into_iter()
        .filter(|members| members.len() > 1)
        .map(|mut members| {
            let spread = |one: usize| members.iter().map(|&other| distances.get(one, other)).sum::<f32>();
            let middle = members.iter().copied().min_by(|&a, &b| spread(a).total_cmp(&spread(b)));
            members.sort_by_key(|&member| (Some(member) != middle, member));
            members
        })
        .collect();
    found.sort_by_key(|members| (std::cmp::Reverse(members.len()), members.iter().min().copied()));
    for members in &mut found {
        members.iter_mut().for_each(|member| *member = places[*member]);
    }
    found
}

fn normalised(features: &[f32]) -> Option<Vec<f32>> {
    let length = features.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    (length.is_finite() && length > 0.0)
        .then(|| features.iter().map(|value| (f64::from(*value) / length) as f32).collect())
}

/// Cosine distances, 0–2, of every pair.
struct Distances {
    n: usize,
    values: Vec<f32>,
}

impl Distances {
    fn of(vectors: &[&[f32]]) -> Self {
        let n = vectors.len();
        let mut values = vec![0.0; n * n];
        values.par_chunks_mut(n.max(1)).enumerate().for_each(|(i, row)| {
            for (j, value) in row.iter_mut().enumerate() {
                // Both halves from the same sum, so that they are equal to the last bit.
                let (a, b) = (vectors[i.min(j)], vectors[i.max(j)]);
                let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                *value = if i == j { 0.0 } else { (1.0 - cosine).clamp(0.0, 2.0) };
            }
        });
        Self { n, values }
    }

    fn get(&self, i: usize, j: usize) -> f32 {
        self.values[i * self.n + j]
    }
}

/// Clusters whose mean distance is within the limit, by chains of nearest neighbours (Murtagh 1983,
/// doi:10.1093/comjnl/26.4.354): in the square of the number of images.
fn linked(distances: &Distances, n: usize, limit: f32) -> Vec<Vec<usize>> {
    let mut between = distances.values.clone();
    let mut members: Vec<Vec<usize>> = (0..n).map(|one| vec![one]).collect();
    let mut active: Vec<bool> = vec![true; n];
    let mut merges: Vec<(f32, usize, usize)> = Vec::new();
    let mut sizes = vec![1.0_f32; n];
    let mut chain: Vec<usize> = Vec::new();
    loop {
        let Some(&end) = chain.last() else {
            // A chain begins anywhere; two are needed to merge.
            match active.iter().position(|&there| there) {
                Some(first) if active.iter().filter(|&&there| there).count() > 1 => chain.push(first),
                _ => break,
            }
            continue;
        };
        let before = chain.len().checked_sub(2).map(|at| chain[at]);
        // The one before in the chain wins ties, so that the chain ends.
        let mut nearest = before.map(|before| (between[end * n + before], before));
        for other in (0..n).filter(|&other| active[other] && other != end) {
            let far = between[end * n + other];
            if nearest.is_none_or(|(best, _)| far < best) {
                nearest = Some((far, other));
            }
        }
        let Some((far, other)) = nearest else { break };
        if Some(other) != before {
            chain.push(other);
            continue;
        }
        chain.truncate(chain.len() - 2);
        let (kept, gone) = (end.min(other), end.max(other));
        merges.push((far, kept, gone));
        active[gone] = false;
        for third in (0..n).filter(|&third| active[third] && third != kept) {
            let mean = (sizes[kept] * between[kept * n + third] + sizes[gone] * between[gone * n + third])
                / (sizes[kept] + sizes[gone]);
            between[kept * n + third] = mean;
            between[third * n + kept] = mean;
        }
        sizes[kept] += sizes[gone];
    }
    // Average linkage never brings a later merge below an earlier one it contains; the cut is by height.
    merges.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut root: Vec<usize> = (0..n).collect();
    for (_, kept, gone) in merges.into_iter().take_while(|(far, _, _)| *far <= limit) {
        let (kept, gone) = (top(&root, kept), top(&root, gone));
        if kept != gone {
            root[gone] = kept;
            let moved = std::mem::take(&mut members[gone]);
            members[kept].extend(moved);
        }
    }
    members
}

fn top(root: &[usize], mut one: usize) -> usize {
    while root[one] != one {
        one = root[one];
    }
    one
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use proptest::prelude::*;
    use vigie_protocol::model::Architecture;

    use super::*;
    use crate::store::blobs::FolderBlobs;

    #[test]
    fn an_image_is_decoded_when_there_is_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let picture = folder.path().join("picture.png");
        vision::RgbImage::new(4, 4).save(&picture).expect("a picture");
        let blobs = FolderBlobs::open(&folder.path().join("blobs")).expect("blobs");
        let image = blobs.put(&std::fs::read(&picture).expect("read")).expect("put");
        let spec = PreprocessSpec::for_network(Architecture::EfficientnetLite0, 32);
        let room = PixelRoom::of(16);
        let others = room.take(1);
        std::thread::scope(|scope| {
            let (sender, decoded) = mpsc::channel();
            let (blobs, spec, room) = (&blobs, &spec, &room);
            scope.spawn(move || sender.send(pixels(blobs, image, spec, room).expect("the blob")));
            assert!(decoded.recv_timeout(Duration::from_millis(100)).is_err(), "there is no room yet");
            drop(others);
            assert_eq!(decoded.recv().expect("an answer").map(|pixels| pixels.len()), Some(32 * 32 * 3));
        });
    }

    fn found(vectors: &[Vec<f32>], distance: f32) -> Vec<Vec<usize>> {
        clusters(&vectors.iter().map(Vec::as_slice).collect::<Vec<_>>(), distance)
    }

    #[test]
    fn what_points_the_same_way_is_together() {
        let vectors = [
            vec![1.0, 0.0, 0.0],
            vec![0.0, 5.0, 0.1],
            vec![9.0, 0.1, 0.0],
            vec![0.0, 0.0, 0.0],
            vec![1.0, 0.2, 0.0],
            vec![0.0, 1.0, 0.0],
            vec![0.0, 0.0, 1.0],
            vec![f32::NAN, 0.0, 1.0],
        ];
        assert_eq!(found(&vectors, 0.2), [vec![2, 4, 0], vec![1, 5]]);
        assert_eq!(found(&vectors, 0.0), Vec::<Vec<usize>>::new());
        assert_eq!(found(&vectors, 2.0).concat().len(), 6);
        assert_eq!(found(&[], 0.2), Vec::<Vec<usize>>::new());
    }

    /// The textbook's way, in the cube of the number of images.
    fn naive(vectors: &[Vec<f32>], limit: f32) -> Vec<Vec<usize>> {
        let normal: Vec<Vec<f32>> = vectors.iter().filter_map(|one| normalised(one)).collect();
        let refs: Vec<&[f32]> = normal.iter().map(Vec::as_slice).collect();
        let distances = Distances::of(&refs);
        let mut groups: Vec<Vec<usize>> = (0..refs.len()).map(|one| vec![one]).collect();
        loop {
            let mut best = None;
            for i in 0..groups.len() {
                for j in i + 1..groups.len() {
                    let pairs = groups[i].iter().flat_map(|&a| groups[j].iter().map(move |&b| (a, b)));
                    let sum: f32 = pairs.map(|(a, b)| distances.get(a, b)).sum();
                    let mean = sum / (groups[i].len() * groups[j].len()) as f32;
                    if mean <= limit && best.is_none_or(|(far, _, _)| mean < far) {
                        best = Some((mean, i, j));
                    }
                }
            }
            let Some((_, i, j)) = best else { break };
            let moved = groups.remove(j);
            groups[i].extend(moved);
        }
        groups.retain(|group| group.len() > 1);
        groups
    }

    fn sorted(mut groups: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups.sort();
        groups
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn chains_find_what_the_textbook_finds(
            vectors in prop::collection::vec(prop::collection::vec(0.01_f32..1.0, 5), 0..24), limit in 0.0_f32..0.4,
        ) {
            // A limit between two merges, so that rounding decides nothing.
            let textbook = [limit - 1e-4, limit, limit + 1e-4].map(|limit| sorted(naive(&vectors, limit)));
            prop_assume!(textbook[0] == textbook[1] && textbook[1] == textbook[2]);
            prop_assert_eq!(sorted(found(&vectors, limit)), textbook[1].clone());
        }

        #[test]
        fn the_order_does_not_matter(
            vectors in prop::collection::vec(prop::collection::vec(0.01_f32..1.0, 5), 0..24), turn in 0_usize..24,
        ) {
            let names = |vectors: &[Vec<f32>]| -> Vec<Vec<Vec<u32>>> {
                let bits = |place: &usize| vectors[*place].iter().map(|value| value.to_bits()).collect();
                found(vectors, 0.15).iter().map(|group| group.iter().map(bits).collect()).collect()
            };
            let mut turned = vectors.clone();
            if !turned.is_empty() {
                let by = turn % turned.len();
                turned.rotate_left(by);
            }
            prop_assert_eq!(names(&turned), names(&vectors));
        }
    }
}
