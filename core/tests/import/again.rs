//! Imports that go on where an earlier attempt was.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use vigie_core::data::DataError;
use vigie_core::data::import::{ImportPlan, import};
use vigie_core::observe::{Level, Observer, Step};
use vigie_core::store::manifest::Manifest;
use vigie_protocol::dataset::{DatasetImage, Quality};
use vigie_protocol::run::EpochMetrics;

use super::{World, png};

/// Stops an import after some images, and hears what it says.
struct Listener {
    stop_after: u64,
    done: AtomicU64,
    notes: Mutex<Vec<String>>,
}

impl Listener {
    fn new(stop_after: u64) -> Self {
        Self { stop_after, done: AtomicU64::new(0), notes: Mutex::default() }
    }

    /// How many images were not decoded again.
    fn remembered(&self) -> u64 {
        let notes = self.notes.lock().expect("lock");
        let note = notes.iter().find(|note| note.contains("earlier attempt"));
        note.map_or(0, |note| note.split(' ').next().and_then(|n| n.parse().ok()).expect("a number"))
    }
}

impl Observer for Listener {
    fn step(&self, step: Step<'_>) {
        if step.stage == "reading images" {
            self.done.fetch_max(step.done, Ordering::Relaxed);
        }
    }
    fn note(&self, _: Level, text: &str) {
        self.notes.lock().expect("lock").push(text.to_owned());
    }
    fn epoch(&self, _: &EpochMetrics) {}
    fn cancelled(&self) -> bool {
        self.done.load(Ordering::Relaxed) >= self.stop_after
    }
}

fn journal(world: &World) -> PathBuf {
    world.blobs_folder.path().join("imports/one.journal")
}

#[test]
fn the_next_attempt_decodes_nothing_twice() {
    let world = World::new();
    for n in 0..40 {
        world.put(&format!("owl/{n}.png"), &png(n));
    }
    let plan = ImportPlan { journal: Some(journal(&world)), ..world.plan() };
    let first = Listener::new(15);
    assert!(matches!(import(&plan, &world.blobs, &first), Err(DataError::Cancelled)));
    let noted = (std::fs::metadata(journal(&world)).expect("journal").len() - 16) / 93;
    assert!((15..40).contains(&noted), "{noted}");

    // Meanwhile one of those measured changes, and the journal's end is torn.
    world.put("owl/0.png", &png(77));
    let bytes = std::fs::read(journal(&world)).expect("journal");
    std::fs::write(journal(&world), &bytes[..bytes.len() - 1]).expect("tear");
    let second = Listener::new(u64::MAX);
    let proposal = import(&plan, &world.blobs, &second).expect("import");
    assert!(second.remembered() >= noted - 2, "{} of {noted}", second.remembered());
    assert!(second.remembered() < noted);

    let fresh = import(&world.plan(), &world.blobs, &Listener::new(u64::MAX)).expect("import");
    assert_eq!(proposal, fresh, "as if it had been one attempt");

    // A third one decodes nothing at all.
    let third = Listener::new(u64::MAX);
    assert_eq!(import(&plan, &world.blobs, &third).expect("import"), fresh);
    assert_eq!(third.remembered(), 40);
}

#[test]
fn what_an_older_build_measured_is_measured_again() {
    let world = World::new();
    for n in 0..6 {
        world.put(&format!("owl/{n}.png"), &png(n));
    }
    let now = world.import(&world.plan()).expect("import").manifest;
    let early = |image: &DatasetImage| {
        let DatasetImage { image, label, split, origin, quality, admission, .. } = image.clone();
        let quality = Quality { saturation: None, jpeg_quality: None, ..quality };
        DatasetImage::new(image, label, split, origin, quality, admission)
    };
    let base = Manifest::new(now.images().iter().map(early).collect());
    let again = world.import(&ImportPlan { base: Some(base), ..world.plan() }).expect("import");
    assert_eq!(again.manifest, now);
    assert!(again.classes.is_empty());
}
