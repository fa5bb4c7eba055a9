//! Collecting: images whose class people gave become a proposal for `production`, which only adds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vigie_protocol::Hash;
use vigie_protocol::dataset::{DatasetImage, Split};

use super::DataError;
use super::changeset::{Proposal, find, merge};
use super::near::Nearness;
use super::place;
use crate::observe::{Observer, Step};
use crate::store::Blobs;
use crate::store::catalog::{Fate, Source};
use crate::store::manifest::Manifest;
use crate::vision::{Limits, Measurement, PixelRoom};

/// An image and the class that was given to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// The image's blob.
    pub image: Hash,
    /// Its class.
    pub label: String,
    /// Where it came from: what its sender called it, and the prediction.
    pub origin: String,
    /// Who gave it its class, and where.
    pub admission: String,
    /// Why it is offered: every prediction of this image.
    pub sources: Vec<Source>,
}

/// A proposal, and what became of everything that was offered.
#[derive(Clone, Debug, PartialEq)]
pub struct Collection {
    /// The proposal.
    pub proposal: Proposal,
    /// In the order of the offers; each of an offer's sources has its fate.
    pub fates: Vec<(Source, Fate)>,
}

impl Collection {
    /// How many sources came to this.
    pub fn count(&self, wanted: Fate) -> usize {
        self.fates.iter().filter(|(_, fate)| *fate == wanted).count()
    }
}

/// Proposes to add what is offered to `base`. An image that `base` has keeps its class; of two offers of
/// one image the first counts; one that would tie two splits of `base` together is left out.
///
/// # Errors
/// [`DataError::Cancelled`], [`DataError::Store`].
pub fn collect(
    offers: &[Offer],
    base: Option<&Manifest>,
    split_percent: [u8; 3],
    nearness: Nearness,
    blobs: &dyn Blobs,
    observer: &dyn Observer,
) -> Result<Collection, DataError> {
    let room = PixelRoom::new();
    let (total, done) = (offers.len() as u64, AtomicU64::new(0));
    let known = base.map(Manifest::images).unwrap_or_default();
    let look = |offer: &Offer| {
        if observer.cancelled() {
            return Err(DataError::Cancelled);
        }
        let seen = match find(known, offer.image) {
            Some(image) if image.label == offer.label => Err(Fate::AlreadyThere),
            Some(_) => Err(Fate::Contradicts),
            None => match blobs.get(offer.image)? {
                Some(bytes) => {
                    // Refreshed, so that nothing collects it before the change-set names it.
                    blobs.put(&bytes)?;
                    room.measure(&bytes, &Limits::default()).map_err(|_| Fate::Gone)
                }
                None => Err(Fate::Gone),
            },
        };
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        let fraction = 0.99 * done as f32 / total.max(1) as f32;
        observer.step(Step { stage: "looking at images", done, total, unit: "images", fraction });
        Ok(seen)
    };
    let seen = offers.par_iter().map(look).collect::<Result<Vec<Result<Measurement, Fate>>, DataError>>()?;

    let mut images: BTreeMap<Hash, DatasetImage> = BTreeMap::new();
    let mut fates = Vec::new();
    for (offer, seen) in offers.iter().zip(seen) {
        let fate = match (seen, images.get(&offer.image)) {
            (Err(fate), _) => fate,
            (Ok(_), Some(first)) if first.label != offer.label => Fate::Contradicts,
            (Ok(_), Some(_)) => Fate::Taken,
            (Ok(measured), None) => {
                images.insert(offer.image, image(offer, measured));
                Fate::Taken
            }
        };
        fates.push((offer, fate));
    }
    let new = images.into_values().map(|image| place::Offer { image, given: None }).collect();
    let proposal = merge(base, new, false, split_percent, nearness);
    let fates = fates.into_iter().flat_map(|(offer, fate)| {
        let left_out = fate == Fate::Taken && find(proposal.manifest.images(), offer.image).is_none();
        let fate = if left_out { Fate::Contradicts } else { fate };
        offer.sources.iter().map(move |source| (*source, fate))
    });
    let fates = fates.collect();
    let collection = Collection { proposal, fates };
    observer.step(Step { stage: "proposed", done: total, total, unit: "images", fraction: 1.0 });
    Ok(collection)
}

fn image(offer: &Offer, Measurement { quality, fingerprint }: Measurement) -> DatasetImage {
    let Offer { image, label, origin, admission, sources: _ } = offer.clone();
    DatasetImage { fingerprint, ..DatasetImage::new(image, label, Split::Train, origin, quality, admission) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use vigie_protocol::PredictionId;

    use super::*;
    use crate::observe::Silent;
    use crate::store::blobs::FolderBlobs;

    fn png(shade: u8) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let image = image::RgbImage::from_pixel(16, 16, image::Rgb([shade, 90, 200]));
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn offer(image: Hash, label: &str) -> Offer {
        Offer {
            image,
            label: label.to_owned(),
            origin: "photo.png".to_owned(),
            admission: "ada said so".to_owned(),
            sources: vec![Source::Feedback { prediction: PredictionId::new(), generation: 1 }],
        }
    }

    fn fates(collection: &Collection) -> Vec<Fate> {
        collection.fates.iter().map(|(_, fate)| *fate).collect()
    }

    #[test]
    fn a_collection_only_adds_and_says_what_became_of_each() {
        use Fate::{AlreadyThere, Contradicts, Gone, Taken};
        let dir = tempfile::tempdir().unwrap();
        let blobs = FolderBlobs::open(dir.path()).unwrap();
        let [one, two, three] = [1, 2, 3].map(|shade| blobs.put(&png(shade)).unwrap());
        let text = blobs.put(b"no picture").unwrap();
        let offers = [
            offer(one, "owl"),
            offer(one, "owl"),
            offer(one, "jay"),
            offer(two, "jay"),
            offer(text, "owl"),
            offer(Hash::of(b"nowhere"), "owl"),
        ];
        let first = collect(&offers, None, [70, 15, 15], Nearness::default(), &blobs, &Silent).unwrap();
        assert_eq!(fates(&first), [Taken, Taken, Contradicts, Taken, Gone, Gone]);
        assert_eq!(first.proposal.manifest.images().len(), 2);
        assert!(first.proposal.only_adds());
        let owl = find(first.proposal.manifest.images(), one).unwrap();
        assert_eq!((owl.label.as_str(), owl.admission.as_str()), ("owl", "ada said so"));
        assert_eq!((owl.quality.width, owl.split), (16, Split::Train));

        let base = &first.proposal.manifest;
        let again = [offer(one, "owl"), offer(two, "owl"), offer(three, "owl")];
        let second = collect(&again, Some(base), [70, 15, 15], Nearness::default(), &blobs, &Silent).unwrap();
        assert_eq!(fates(&second), [AlreadyThere, Contradicts, Taken]);
        assert!(second.proposal.only_adds() && second.proposal.manifest.images().len() == 3);
        assert_eq!(find(second.proposal.manifest.images(), two).unwrap().label, "jay");

        let nothing =
            collect(&again[..1], Some(base), [70, 15, 15], Nearness::default(), &blobs, &Silent).unwrap();
        assert_eq!(nothing.proposal.manifest, *base);
    }
}
