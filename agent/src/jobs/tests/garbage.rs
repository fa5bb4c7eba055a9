//! What garbage collection removes beside blobs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use vigie_core::data::pack;
use vigie_protocol::Hash;
use vigie_protocol::blob::GcReport;
use vigie_protocol::dataset::{DatasetRef, Lineage};
use vigie_protocol::job::{JobOutcome, JobSpec, JobState};
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::PreprocessSpec;

use super::super::*;
use super::world::{World, proposed};
use crate::worker::WorkDone;

async fn collected(world: &World, dry_run: bool) -> GcReport {
    let id = world.submit(JobSpec::Gc { dry_run }, &[]).await;
    match world.until(id, |job| job.state.is_final()).await.outcome {
        Some(JobOutcome::Gc { report }) => report,
        other => panic!("{other:?}"),
    }
}

/// A file that nobody wrote to for years.
fn old_file(path: PathBuf) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"four").unwrap();
    File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    path
}

#[tokio::test(start_paused = true)]
async fn a_pack_goes_once_no_job_needs_it() {
    let world = World::new();
    for version in ["first", "second"] {
        let import = world.import(Lineage::Reference, &[]).await;
        world.worker().await.done(proposed(version)).await;
        world.until(import, |job| job.state == JobState::Succeeded).await;
    }
    let spec = PreprocessSpec::for_network(Architecture::EfficientnetLite0, 224);
    let id = pack::id(Hash::of(b"first"), &spec);
    let dataset = DatasetRef { lineage: Lineage::Reference, number: 1 };
    let reading = world.submit(JobSpec::Preprocess { dataset, spec }, &[]).await;
    let worker = world.worker().await;

    let options = JobOptions::new(world.folder.path());
    let idle = Hash::of(b"of another time");
    let needed = old_file(options.pack(id));
    let [pack, features] = [options.pack(idle), options.features(idle)].map(old_file);
    let claims = rebuildable::claims(&world.catalog, &options).unwrap();
    assert_eq!(claims.into_iter().collect::<Vec<_>>(), [format!("pack:{idle}")]);

    let dry = collected(&world, true).await;
    assert_eq!((dry.rebuildable, dry.rebuildable_bytes, dry.removed), (2, 8, false));
    let mut named: Vec<PathBuf> = dry.rebuildable_files.iter().map(|file| file.path.clone().into()).collect();
    named.sort();
    assert_eq!(named, [&features, &pack].map(|path| path.strip_prefix(world.folder.path()).unwrap()));
    // Without the leases somebody may be about to read it.
    assert_eq!(rebuildable::collect(&world.catalog, &options, &[], false).unwrap(), []);
    let there = |paths: [&PathBuf; 3]| paths.map(|path| Path::exists(path));
    assert_eq!(there([&needed, &pack, &features]), [true, true, true]);

    let wet = collected(&world, false).await;
    assert_eq!((wet.rebuildable, wet.rebuildable_bytes, wet.removed), (2, 8, true));
    assert_eq!(there([&needed, &pack, &features]), [true, false, false]);

    worker.done(WorkDone::Pack { id, images: 1, bytes: 4, reused: true }).await;
    world.until(reading, |job| job.state == JobState::Succeeded).await;
    assert_eq!(collected(&world, false).await.rebuildable, 1);
    assert!(!needed.exists());
    assert_eq!(world.catalog.leases().unwrap(), []);
}
