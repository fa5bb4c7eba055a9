//! Carries a task out with core's functions.

use std::path::PathBuf;

use vigie_core::data::DataError;
use vigie_core::data::admission::{Admission, Admitted, Feeding};
use vigie_core::data::changeset::{self, Proposal};
use vigie_core::data::import::{ImportFile, ImportPlan, import};
use vigie_core::data::naming::Names;
use vigie_core::data::near::Nearness;
use vigie_core::data::pack::{self, Pack};
use vigie_core::data::review::Review;
use vigie_core::data::window;
use vigie_core::evaluate::{EvaluatePlan, evaluate};
use vigie_core::observe::{Level, Observer};
use vigie_core::store::blobs::FolderBlobs;
use vigie_core::store::manifest::Manifest;
use vigie_core::store::{Blobs, passport};
use vigie_core::train::{TrainPlan, train};
use vigie_protocol::classes::Rename;
use vigie_protocol::job::JobFailure;
use vigie_protocol::model::Passport;
use vigie_protocol::{Hash, Time};

use super::failure::{Failure, refused};
use super::part::Part;
use super::task::{ImportInput, MadeModel, PackWork, Proposed, WindowWork, Work, WorkDone, WorkerTask};
use super::{curate, labels};

/// The longest path or reason of a file left out, in bytes: a thousand of them fit in a frame.
const MAX_QUARANTINE_TEXT: usize = 1_000;

/// How many classes that wait are listed.
const MAX_WAITING: usize = 100;

/// Share of a training or evaluation that making its pack is, when it is missing.
const PACK_SHARE: f32 = 0.15;

/// Does the work.
///
/// # Errors
/// The failure that the job shows.
pub(super) fn carry_out(task: &WorkerTask, observer: &dyn Observer) -> Result<WorkDone, JobFailure> {
    let WorkerTask { near_bits, work, memory_limit_mb: _, nice: _ } = task;
    let nearness = Nearness::bits(*near_bits);
    let done = match work {
        Work::Import { .. } => carry_out_import(work, nearness, observer),
        Work::ImportManifest { .. } => curate::import_rows(work, nearness, observer),
        Work::Propose { .. } => carry_out_propose(work, nearness, observer),
        Work::Collect { .. } => labels::carry_out_collect(work, nearness, observer),
        Work::Cluster { .. } => labels::carry_out_cluster(work, observer),
        Work::Relabel { base, relabelling, blobs } => curate::relabel(*base, relabelling, nearness, blobs),
        Work::Balance { base, per_class, seed, blobs } => {
            curate::balance_down(*base, *per_class, *seed, nearness, blobs)
        }
        Work::LabelCheck { .. } => curate::check_labels(work, nearness, observer),
        Work::Resplit { manifest, split_percent, blobs } => {
            curate::resplit(*manifest, *split_percent, nearness, blobs)
        }
        Work::Preprocess { pack } => carry_out_preprocess(pack, observer),
        Work::Train { .. } => carry_out_train(work, observer),
        Work::Evaluate { .. } => carry_out_evaluate(work, observer),
    };
    done.map_err(JobFailure::from)
}

fn carry_out_import(work: &Work, nearness: Nearness, observer: &dyn Observer) -> Result<WorkDone, Failure> {
    let Work::Import { input, name, base, blobs, split_percent, max_unpacked, .. } = work else {
        return Err(refused("the task is no import"));
    };
    let Work::Import { options, journal, classes, unknown_labels, .. } = work else {
        return Err(refused("the task is no import"));
    };
    let blobs = FolderBlobs::open(blobs)?;
    let source = match input {
        ImportInput::Path(path) if !path.exists() => {
            return Err(refused(format!("{} is not on the agent's machine", path.display())));
        }
        ImportInput::Path(path) => ImportFile::at(path),
        ImportInput::Zip(path) => ImportFile::Zip(path.clone()),
        ImportInput::Remote(source) => {
            return Err(refused(format!("{} was not downloaded", source.name())));
        }
    };
    let mut plan = ImportPlan {
        options: options.clone(),
        journal: Some(journal.clone()),
        classes: classes.clone(),
        unknown_labels: *unknown_labels,
        nearness,
        ..ImportPlan::new(source, name, base_manifest(&blobs, *base)?, *split_percent)
    };
    plan.limits.max_unpacked = *max_unpacked;
    let proposal = import(&plan, &blobs, observer)?;
    note_proposal(&proposal, observer);
    let proposed = proposed(&blobs, plan.base.as_ref(), proposal, nearness)?;
    note_leaks(&proposed, observer);
    Ok(WorkDone::Proposed(proposed))
}

/// What an import left out, and what it renamed, for the job's log.
pub(super) fn note_proposal(proposal: &Proposal, observer: &dyn Observer) {
    if proposal.quarantined > 0 {
        observer.note(Level::Warn, &format!("{} files were left out", proposal.quarantined));
        for left_out in proposal.quarantine.iter().take(20) {
            observer.note(Level::Warn, &format!("left out {}: {}", left_out.origin, left_out.reason));
        }
    }
    for Rename { from, to, images, kind: _ } in proposal.renames.iter().take(20) {
        observer.note(Level::Info, &format!("{images} images named {from:?} are {to:?}"));
    }
}

/// What of a proposal would serve in several splits, for the job's log.
pub(super) fn note_leaks(proposed: &Proposed, observer: &dyn Observer) {
    let leaks = proposed.findings.leaks;
    if leaks > 0 {
        let text = format!("{leaks} images belong to images of another split; re-split the line");
        observer.note(Level::Warn, &text);
    }
}

fn carry_out_propose(work: &Work, nearness: Nearness, observer: &dyn Observer) -> Result<WorkDone, Failure> {
    let Work::Propose {
        from,
        from_ref,
        into,
        rule,
        beside,
        only_add,
        window,
        classes,
        unknown_labels,
        blobs,
    } = work
    else {
        return Err(refused("the task is no proposal"));
    };
    let blobs = FolderBlobs::open(blobs)?;
    let (mut from, into) = (manifest(&blobs, *from)?, base_manifest(&blobs, *into)?);
    if let Some(WindowWork { window, asked, history }) = window {
        let all = from.images().len();
        let history = history.iter().map(|(at, hash)| Ok::<_, Failure>((*at, manifest(&blobs, *hash)?)));
        from = window::select(&from, window, *asked, history)?;
        let taken = from.images().len();
        observer.note(Level::Info, &format!("{taken} of the {all} images of {from_ref} are taken: {window}"));
    }
    let list = || Names::new(classes, *unknown_labels);
    let mut names = list();
    let (from, nameless) = names.of_manifest(from);
    let beside = base_manifest(&blobs, *beside)?.map(|beside| list().of_manifest(beside).0);
    let feeding = Feeding::of(from_ref.lineage, &from, beside.as_ref());
    let admission = Admission { rule: *rule, only_add: *only_add, into: into.as_ref(), feeding };
    let Admitted { manifest: entering, waiting, kept_label } = admission.admit(&from);
    for waits in waiting.iter().take(MAX_WAITING) {
        observer.note(Level::Warn, &waits.to_string());
    }
    if kept_label > 0 {
        let text = format!("{kept_label} images keep the label they have; only additions were asked for");
        observer.note(Level::Warn, &text);
    }
    let window = window.as_ref().map(|part| &part.window);
    let proposal = changeset::propose(&entering, *from_ref, window, into.as_ref(), nearness);
    let proposal = names.tell(into.as_ref(), proposal.leaving_out(nameless));
    let waiting = waiting.into_iter().take(MAX_WAITING).map(|waits| waits.class).collect();
    note_proposal(&proposal, observer);
    let proposed = proposed(&blobs, into.as_ref(), proposal, nearness)?;
    note_leaks(&proposed, observer);
    Ok(WorkDone::Proposed(Proposed { waiting, ..proposed }))
}

fn carry_out_preprocess(work: &PackWork, observer: &dyn Observer) -> Result<WorkDone, Failure> {
    let reused = make_pack(work, observer)?;
    let images = Pack::open(&work.path)?.len() as u64;
    let bytes = std::fs::metadata(&work.path)?.len();
    Ok(WorkDone::Pack { id: work.id, images, bytes, reused })
}

fn carry_out_train(work: &Work, observer: &dyn Observer) -> Result<WorkDone, Failure> {
    let Work::Train { pack, recipe, weights, run_dir, device, threads } = work else {
        return Err(refused("the task is no training"));
    };
    let share = share_of_pack(pack);
    make_pack(pack, &Part::new(observer, 0.0, share))?;
    let plan = TrainPlan {
        pack: &pack.path,
        recipe,
        preprocess: &pack.spec,
        weights,
        run_dir,
        device,
        threads: *threads,
        now: Time::now(),
    };
    let result = train(&plan, &Part::new(observer, share, 1.0))?;
    Ok(WorkDone::Trained {
        best_epoch: result.best_epoch,
        epochs: result.epochs,
        resumed_from: result.resumed_from,
    })
}

fn carry_out_evaluate(work: &Work, observer: &dyn Observer) -> Result<WorkDone, Failure> {
    let Work::Evaluate { pack, weights, run, run_dir, epoch, dataset, device, threads, made_by } = work
    else {
        return Err(refused("the task is no evaluation"));
    };
    let share = share_of_pack(pack);
    make_pack(pack, &Part::new(observer, 0.0, share))?;
    let plan = EvaluatePlan {
        pack: &pack.path,
        run_dir,
        weights,
        run: *run,
        epoch: Some(*epoch),
        dataset: *dataset,
        preprocess: &pack.spec,
        device,
        threads: *threads,
        made_by,
    };
    let evaluated = evaluate(&plan, &Part::new(observer, share, 1.0))?;
    let blobs = FolderBlobs::open(&pack.blobs)?;
    let made = store_model(&blobs, &evaluated.passport, &evaluated.weights_file)?;
    blobs.sync()?;
    Ok(WorkDone::Evaluated(made))
}

fn store_model(blobs: &FolderBlobs, passport: &Passport, weights: &PathBuf) -> Result<MadeModel, Failure> {
    let weights = blobs.put(&std::fs::read(weights)?)?;
    if weights != passport.weights {
        return Err(Failure::error("the exported weights changed while they were stored"));
    }
    Ok(MadeModel {
        passport: blobs.put(&passport::encode(passport))?,
        weights,
        architecture: passport.architecture,
        classes: u32::try_from(passport.classes.len()).map_err(|_| refused("there are too many classes"))?,
        accuracy: passport.evaluation.accuracy,
    })
}

/// Makes a pack unless a good one is there, of which every pixel is what it was; says whether it was.
pub(super) fn make_pack(work: &PackWork, observer: &dyn Observer) -> Result<bool, Failure> {
    match Pack::open(&work.path).and_then(|pack| pack.verify(observer).map(|()| pack)) {
        Ok(pack) if pack.manifest() == work.manifest => return Ok(true),
        Err(cancelled @ DataError::Cancelled) => return Err(cancelled.into()),
        Ok(_) => observer.note(Level::Warn, "the pack is of another dataset version; making it again"),
        Err(error) if work.path.exists() => {
            observer.note(Level::Warn, &format!("{error}; making it again"));
        }
        Err(_) => {}
    }
    let blobs = FolderBlobs::open(&work.blobs)?;
    let manifest = manifest(&blobs, work.manifest)?;
    pack::build(&manifest, work.manifest, &work.spec, &blobs, &work.path, observer)?;
    Ok(false)
}

pub(super) fn share_of_pack(work: &PackWork) -> f32 {
    if work.path.exists() { 0.0 } else { PACK_SHARE }
}

/// Looks at a proposal as its reviewer will, stores its manifest, durably, and makes the rest fit in
/// a frame.
pub(super) fn proposed(
    blobs: &FolderBlobs,
    base: Option<&Manifest>,
    proposal: Proposal,
    nearness: Nearness,
) -> Result<Proposed, Failure> {
    let findings = Review::of(base, &proposal.manifest, nearness).counts;
    let manifest = blobs.put(&proposal.manifest.encode())?;
    blobs.sync()?;
    let mut quarantine = proposal.quarantine;
    quarantine.truncate(changeset::QUARANTINE_LISTED);
    for left_out in &mut quarantine {
        for text in [&mut left_out.origin, &mut left_out.reason] {
            text.truncate(text.floor_char_boundary(MAX_QUARANTINE_TEXT));
        }
    }
    Ok(Proposed {
        manifest,
        classes: proposal.classes,
        result: proposal.result,
        bytes: proposal.bytes,
        unchanged: proposal.unchanged,
        duplicates: proposal.duplicates,
        quarantine,
        quarantined: proposal.quarantined,
        waiting: Vec::new(),
        renames: proposal.renames,
        findings,
    })
}

pub(super) fn base_manifest(blobs: &FolderBlobs, hash: Option<Hash>) -> Result<Option<Manifest>, Failure> {
    hash.map(|hash| manifest(blobs, hash)).transpose()
}

pub(super) fn manifest(blobs: &FolderBlobs, hash: Hash) -> Result<Manifest, Failure> {
    match blobs.get(hash)? {
        Some(bytes) => Ok(Manifest::decode(&bytes)?),
        None => Err(refused(format!("the manifest {} is missing from the blobs", hash.short()))),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use vigie_core::observe::Silent;
    use vigie_core::vision::RgbImage;
    use vigie_protocol::dataset::{DatasetImage, Quality, Split};
    use vigie_protocol::model::Architecture;
    use vigie_protocol::preprocess::PreprocessSpec;

    use super::*;

    #[test]
    fn a_pack_is_reused_only_when_every_pixel_is_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let blobs = FolderBlobs::open(&folder.join("blobs")).unwrap();
        let picture = folder.join("picture.png");
        RgbImage::new(4, 4).save(&picture).unwrap();
        let picture = std::fs::read(picture).unwrap();
        let quality = Quality { width: 4, height: 4, bytes: picture.len() as u64, ..Quality::default() };
        let [label, origin, admission] = ["owl", "owl/1.png", "imported"].map(str::to_owned);
        let hash = blobs.put(&picture).unwrap();
        let image = DatasetImage::new(hash, label, Split::Train, origin, quality, admission);
        let manifest = blobs.put(&Manifest::new(vec![image]).encode()).unwrap();
        let spec = PreprocessSpec::for_network(Architecture::EfficientnetLite0, 32);
        let (id, path) = (pack::id(manifest, &spec), folder.join("pack"));
        let work = PackWork { id, manifest, spec, blobs: folder.join("blobs"), path: path.clone() };
        assert!(!make_pack(&work, &Silent).unwrap(), "there was none");
        assert!(make_pack(&work, &Silent).unwrap(), "there is one");

        let whole = std::fs::read(&path).unwrap();
        let mut altered = whole.clone();
        *altered.last_mut().unwrap() ^= 1;
        for spoilt in [&altered[..], &whole[..whole.len() - 1], b""] {
            std::fs::write(&path, spoilt).unwrap();
            assert!(!make_pack(&work, &Silent).unwrap(), "{} bytes", spoilt.len());
            assert!(std::fs::read(&path).unwrap() == whole, "made anew");
        }
    }
}
