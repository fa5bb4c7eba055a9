//! A lineage of 100,000 images: how two versions are told apart, how fast its lists open.
//!
//! `cargo bench --workspace --bench lineage`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use vigie_core::data::changeset::{propose, split_counts};
use vigie_core::data::near::Nearness;
use vigie_core::store::manifest::{Differences, Listing, Manifest, class_changes};
use vigie_core::store::{Blobs, State};
use vigie_protocol::dataset::{
    ChangeSet, ChangeSetState, DatasetImage, DatasetRef, Decision, Lineage, Quality, Quarantined, Split,
};
use vigie_protocol::fingerprint::Fingerprint;
use vigie_protocol::page::PageCursor;
use vigie_protocol::project::Project;
use vigie_protocol::review::FindingCounts;
use vigie_protocol::{ChangeSetId, Hash, ProjectName, Time};

const IMAGES: u32 = 100_000;
const CLASSES: u32 = 200;
/// As many as a page shows when nobody asks for more, or fewer.
const PAGE: usize = 100;
const VERSIONS: u32 = 150;

fn image(n: u32) -> DatasetImage {
    let image = Hash::of(&n.to_le_bytes());
    let class = format!("species {:03}", n % CLASSES);
    DatasetImage {
        image,
        split: Split::ALL[usize::from(image.as_bytes()[0]) % 3],
        origin: format!("train/{class}/IMG_{n:07}.jpg"),
        label: class,
        quality: Quality {
            width: 400,
            height: 300,
            bytes: 31_000 + u64::from(n % 997),
            brightness: 0.5,
            contrast: 0.2,
            sharpness: n as f32,
            channel_means: [0.4, 0.5, 0.6],
            saturation: Some(0.25),
            jpeg_quality: Some(90),
        },
        admission: if n.is_multiple_of(3) { "imported" } else { "from source@v2" }.to_owned(),
        group: Some(format!("burst {}", n / 3)),
        fingerprint: image
            .as_bytes()
            .first_chunk()
            .and_then(|bits| Fingerprint::new(u64::from_le_bytes(*bits))),
        metadata: BTreeMap::new(),
    }
}

/// Two versions of which one in a hundred images was removed, one relabelled, one moved, and which
/// differ by 2,000 additions.
fn versions() -> [Manifest; 2] {
    let older: Vec<DatasetImage> = (0..IMAGES).map(image).collect();
    let kept = older.iter().enumerate().filter(|(n, _)| n % 100 != 1);
    let changed = kept.map(|(n, image)| match n % 100 {
        2 => DatasetImage { label: "species 000".to_owned(), ..image.clone() },
        3 => DatasetImage { split: Split::Test, ..image.clone() },
        _ => image.clone(),
    });
    let newer = changed.chain((IMAGES..IMAGES + 2_000).map(image)).collect();
    [Manifest::new(older), Manifest::new(newer)]
}

fn birds() -> ProjectName {
    "birds".parse().expect("a name")
}

/// A state whose reference line has [`VERSIONS`] versions; each change-set lists as many files
/// that were left out as one may.
fn history(state: &State, manifest: Hash, images: &Manifest) {
    let at = Time::from_micros(1_795_219_200_000_000);
    let project = Project::new(birds(), at, "ada");
    state.catalog.create_project(&project, None).expect("project");
    let left_out = |n| Quarantined {
        origin: format!("train/species 001/IMG_{n:07}.jpg"),
        reason: "the image is damaged: it ends early".to_owned(),
    };
    let result = split_counts(images.images());
    for number in 1..=VERSIONS {
        let set = ChangeSet {
            id: ChangeSetId::new(),
            project: birds(),
            lineage: Lineage::Reference,
            base: Some(number - 1).filter(|&base| base > 0),
            state: ChangeSetState::Proposed,
            origin: "import of birds.zip".to_owned(),
            created: at,
            by: "ada".to_owned(),
            manifest,
            classes: BTreeMap::new(),
            result: result.clone(),
            bytes: 3_200_000_000,
            unchanged: 0,
            duplicates: 0,
            quarantine: (0..1_000).map(left_out).collect(),
            quarantined: 1_000,
            renames: Vec::new(),
            window: None,
            findings: FindingCounts::default(),
            left: BTreeMap::new(),
            accepted_as: None,
            decided: None,
            generation: 0,
        };
        state.catalog.propose(&set, None).expect("propose");
        let decision = Decision { at, by: "ada".to_owned(), reason: None };
        state.catalog.accept(&birds(), set.id, None, &decision, None).expect("accept");
    }
}

fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("temp folder");
    let state = State::open(folder.path(), Time::now(), None).expect("state");
    let [older, newer] = versions();
    let [a, b] = [&older, &newer].map(|manifest| state.blobs.put(&manifest.encode()).expect("put"));
    history(&state, a, &older);
    let bytes = |hash| state.blobs.get(hash).expect("get").expect("there");
    let read = |hash| Manifest::decode(&bytes(hash)).expect("decode");

    let mut group = criterion.benchmark_group("lineage");
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.bench_function("encode", |bencher| bencher.iter(|| older.encode()));
    group.bench_function("read and check the blob", |bencher| bencher.iter(|| bytes(a)));
    group.bench_function("read and decode", |bencher| bencher.iter(|| read(a)));
    group.bench_function("diff of two in memory", |bencher| bencher.iter(|| class_changes(&older, &newer)));
    group.bench_function("diff of two on disk", |bencher| bencher.iter(|| class_changes(&read(a), &read(b))));
    group.bench_function("page of a diff", |bencher| {
        let all = Differences::default();
        bencher.iter(|| black_box(all.page(Some(&bytes(a)), &bytes(b), None, PAGE).expect("page")));
    });
    let source = DatasetRef { lineage: Lineage::Source, number: 2 };
    group.bench_function("propose one to the other", |bencher| {
        bencher.iter(|| propose(&newer, source, None, Some(&older), Nearness::default()));
    });

    let middle = PageCursor(older.images()[IMAGES as usize / 2].image.to_string());
    let rare = Listing { class: Some("species 007"), split: Some(Split::Test) };
    for (name, listing, cursor) in [
        ("page of images", Listing::default(), None),
        ("page of images, in the middle", Listing::default(), Some(&middle)),
        ("page of images, a class of a split", rare, None),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(listing.page(&bytes(a), cursor, PAGE).expect("page")));
        });
    }
    group.bench_function("page of versions", |bencher| {
        bencher
            .iter(|| state.catalog.datasets(&birds(), Some(Lineage::Reference), None, PAGE).expect("page"));
    });
    group.bench_function("page of change-sets", |bencher| {
        bencher.iter(|| state.catalog.change_sets(&birds(), None, PAGE).expect("page"));
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
