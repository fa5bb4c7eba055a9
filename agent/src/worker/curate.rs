//! The work on what a line holds: windows, other labels, balance, checks of labels.

use std::path::Path;

use vigie_core::data::balance;
use vigie_core::data::changeset::{self, Proposal};
use vigie_core::data::confident::{Confident, find_issues};
use vigie_core::data::groups::Groups;
use vigie_core::data::import::ImportLimits;
use vigie_core::data::import::manifest::{ManifestPlan, import_manifest};
use vigie_core::data::near::Nearness;
use vigie_core::data::pack::Pack;
use vigie_core::data::relabel::{self, Relabel};
use vigie_core::evaluate::stats::proportion;
use vigie_core::observe::{Level, Observer};
use vigie_core::store::Blobs;
use vigie_core::store::blobs::FolderBlobs;
use vigie_core::store::label_report::{self, LabelReport};
use vigie_core::store::manifest::Manifest;
use vigie_core::train::{FoldPlan, OutOfFold, out_of_fold};
use vigie_protocol::Hash;
use vigie_protocol::label_check::LabelIssue;

use super::carry_out::{
    base_manifest, make_pack, manifest, note_leaks, note_proposal, proposed, share_of_pack,
};
use super::failure::{Failure, refused};
use super::part::Part;
use super::task::{RelabelWork, Work, WorkDone};

/// Candidates that a report holds; of more, the least credible labels.
const ISSUES_KEPT: usize = 50_000;
/// The longest text of a candidate, in bytes.
const MAX_ORIGIN: usize = 1_000;

/// A manifest that was written to a file.
pub(super) fn import_rows(
    work: &Work,
    nearness: Nearness,
    observer: &dyn Observer,
) -> Result<WorkDone, Failure> {
    let Work::ImportManifest { file, format, name, images, base, replace, classes, unknown_labels, blobs } =
        work
    else {
        return Err(refused("the task is no import of a manifest"));
    };
    let blobs = FolderBlobs::open(blobs)?;
    let plan = ManifestPlan {
        file: file.clone(),
        format: *format,
        name: name.clone(),
        images: images.clone(),
        base: base_manifest(&blobs, *base)?,
        replace: *replace,
        nearness,
        classes: classes.clone(),
        unknown_labels: *unknown_labels,
        limits: ImportLimits::default(),
    };
    let proposal = import_manifest(&plan, &blobs, observer)?;
    note_proposal(&proposal, observer);
    let proposed = proposed(&blobs, plan.base.as_ref(), proposal, nearness)?;
    note_leaks(&proposed, observer);
    Ok(WorkDone::Proposed(proposed))
}

/// New splits.
pub(super) fn resplit(
    base: Hash,
    split_percent: [u8; 3],
    nearness: Nearness,
    blobs: &Path,
) -> Result<WorkDone, Failure> {
    in_line(&FolderBlobs::open(blobs)?, base, nearness, |base| {
        changeset::resplit(base, split_percent, nearness)
    })
}

/// Other labels.
pub(super) fn relabel(
    base: Hash,
    relabelling: &RelabelWork,
    nearness: Nearness,
    blobs: &Path,
) -> Result<WorkDone, Failure> {
    let blobs = FolderBlobs::open(blobs)?;
    let how = match relabelling {
        RelabelWork::Classes(renames) => Relabel::Classes(renames.clone()),
        RelabelWork::Images(labels) => Relabel::Images(labels.clone()),
        RelabelWork::Undo { before, after } => {
            Relabel::Undo { before: base_manifest(&blobs, *before)?, after: manifest(&blobs, *after)? }
        }
    };
    in_line(&blobs, base, nearness, |base| relabel::relabel(base, &how))
}

/// Fewer train images of large classes.
pub(super) fn balance_down(
    base: Hash,
    per_class: Option<u64>,
    seed: u64,
    nearness: Nearness,
    blobs: &Path,
) -> Result<WorkDone, Failure> {
    in_line(&FolderBlobs::open(blobs)?, base, nearness, |base| balance::down(base, per_class, seed))
}

fn in_line(
    blobs: &FolderBlobs,
    base: Hash,
    nearness: Nearness,
    change: impl FnOnce(&Manifest) -> Proposal,
) -> Result<WorkDone, Failure> {
    let base = manifest(blobs, base)?;
    Ok(WorkDone::Proposed(proposed(blobs, Some(&base), change(&base), nearness)?))
}

/// Labels that contradict a classifier that did not learn from them.
pub(super) fn check_labels(
    work: &Work,
    nearness: Nearness,
    observer: &dyn Observer,
) -> Result<WorkDone, Failure> {
    let Work::LabelCheck { pack: pack_work, recipe, weights, cache, folds, device, threads } = work else {
        return Err(refused("the task is no check of labels"));
    };
    let share = share_of_pack(pack_work);
    make_pack(pack_work, &Part::new(observer, 0.0, share))?;
    let blobs = FolderBlobs::open(&pack_work.blobs)?;
    let (pack, manifest) = (Pack::open(&pack_work.path)?, manifest(&blobs, pack_work.manifest)?);
    let plan = FoldPlan {
        pack: &pack_work.path,
        groups: &groups_of_rows(&pack, &manifest, nearness)?,
        recipe,
        preprocess: &pack_work.spec,
        weights,
        cache,
        folds: *folds,
        device,
        threads: *threads,
    };
    let answers = out_of_fold(&plan, &Part::new(observer, share, 1.0))?;
    let OutOfFold { rows, labels, probabilities, classes } = &answers;
    if rows.len() < pack.len() {
        let text = format!(
            "{} of {} images were not judged: all images of their class belong together",
            pack.len() - rows.len(),
            pack.len()
        );
        observer.note(Level::Warn, &text);
    }
    let found = find_issues(labels, probabilities, *classes);
    let agreeing = labels
        .iter()
        .zip(probabilities.chunks_exact(*classes))
        .filter(|(label, row)| row.iter().all(|probability| *probability <= row[**label as usize]));
    let agreement = proportion(agreeing.count() as u64, labels.len() as u64);

    let report = LabelReport { issues: issues(&pack, &manifest, &answers, &found) };
    let issues = report.issues.len() as u64;
    let report = blobs.put(&label_report::encode(&report))?;
    blobs.sync()?;
    Ok(WorkDone::LabelsChecked { report, images: labels.len() as u64, agreement, issues })
}

/// The group of each row of a pack: explicit groups, and near duplicates.
fn groups_of_rows(pack: &Pack, manifest: &Manifest, nearness: Nearness) -> Result<Vec<usize>, Failure> {
    let groups = Groups::of(manifest.images().iter(), nearness);
    let group = |row: usize| {
        let hash = pack.image_hash(row);
        let place = manifest.images().binary_search_by_key(&hash, |image| image.image);
        place
            .map(|place| groups.of[place])
            .map_err(|_| refused(format!("the pack has the image {}, which its version lacks", hash.short())))
    };
    (0..pack.len()).map(group).collect()
}

/// The candidates as people see them.
fn issues(pack: &Pack, manifest: &Manifest, answers: &OutOfFold, found: &Confident) -> Vec<LabelIssue> {
    let OutOfFold { rows, labels, probabilities, classes } = answers;
    found
        .candidates
        .iter()
        .take(ISSUES_KEPT)
        .filter_map(|candidate| {
            let (row, label) = (candidate.row, labels[candidate.row] as usize);
            let hash = pack.image_hash(rows[row]);
            let images = manifest.images();
            let image = &images[images.binary_search_by_key(&hash, |image| image.image).ok()?];
            let mut origin = image.origin.clone();
            origin.truncate(origin.floor_char_boundary(MAX_ORIGIN));
            Some(LabelIssue {
                image: hash,
                label: image.label.clone(),
                suggested: pack.classes()[candidate.suggested].clone(),
                score: candidate.score as f32,
                label_probability: probabilities[row * classes + label],
                suggested_probability: probabilities[row * classes + candidate.suggested],
                split: image.split,
                origin,
            })
        })
        .collect()
}
