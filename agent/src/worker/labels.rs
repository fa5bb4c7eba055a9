//! Work on images that people label: collecting what they labelled, grouping what nobody could.

use vigie_core::data::collect::collect;
use vigie_core::data::near::Nearness;
use vigie_core::data::{DataError, clusters};
use vigie_core::infer::{self, WeightsFrom};
use vigie_core::observe::{Level, Observer};
use vigie_core::store::blobs::FolderBlobs;
use vigie_core::store::catalog::Fate;
use vigie_protocol::{Hash, PredictionId};

use super::carry_out::{base_manifest, proposed};
use super::failure::{Failure, refused};
use super::task::{Work, WorkDone};

pub(super) fn carry_out_collect(
    work: &Work,
    nearness: Nearness,
    observer: &dyn Observer,
) -> Result<WorkDone, Failure> {
    let Work::Collect { offers, differ, contradict, more, base, blobs, split_percent } = work else {
        return Err(refused("the task is no collection"));
    };
    let blobs = FolderBlobs::open(blobs)?;
    let base = base_manifest(&blobs, *base)?;
    let collection = collect(offers, base.as_ref(), *split_percent, nearness, &blobs, observer)?;
    for (count, text) in [
        (collection.count(Fate::Gone) as u64, "pictures are not kept any more: their images are left out"),
        (
            *contradict + collection.count(Fate::Contradicts) as u64,
            "images are in production under another class already, and stay there: a collection only adds",
        ),
        (*differ, "images are left out because people differ over several predictions of them"),
    ] {
        if count > 0 {
            observer.note(Level::Warn, &format!("{count} {text}"));
        }
    }
    if *more {
        observer.note(Level::Warn, "there are more than one job takes: collect again for the rest");
    }
    Ok(WorkDone::Gathered(proposed(&blobs, base.as_ref(), collection.proposal, nearness)?, collection.fates))
}

pub(super) fn carry_out_cluster(work: &Work, observer: &dyn Observer) -> Result<WorkDone, Failure> {
    let Work::Cluster { images, distance, model, architecture, weights, preprocess, blobs, device } = work
    else {
        return Err(refused("the task is no grouping"));
    };
    if images.is_empty() {
        return Ok(WorkDone::Clustered { model: *model, clusters: Vec::new() });
    }
    let blobs = FolderBlobs::open(blobs)?;
    let network = infer::features(*architecture, WeightsFrom::Path(weights), preprocess, device)
        .map_err(DataError::from)?;
    let (predictions, images): (Vec<PredictionId>, Vec<Hash>) = images.iter().copied().unzip();
    let features = clusters::features(&images, network.as_ref(), &blobs, observer)?;
    let (seen, features): (Vec<PredictionId>, Vec<Vec<f32>>) =
        predictions.into_iter().zip(features).filter_map(|(id, features)| Some((id, features?))).unzip();
    let left_out = images.len() - seen.len();
    if left_out > 0 {
        observer.note(Level::Warn, &format!("{left_out} pictures cannot be looked at and are left out"));
    }
    let refs: Vec<&[f32]> = features.iter().map(Vec::as_slice).collect();
    let found = clusters::clusters(&refs, *distance);
    let named = found.into_iter().map(|members| members.into_iter().map(|place| seen[place]).collect());
    Ok(WorkDone::Clustered { model: *model, clusters: named.collect() })
}
