//! How near import and pack come to the floor that decoding sets.
//!
//! All three run on the same JPEGs, enlarged copies of the bundled products, on all cores:
//! `decode` alone with the bytes in memory, `import` from a folder into blobs, and `pack`.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use vigie_core::data::import::{ImportFile, ImportPlan, import};
use vigie_core::data::pack;
use vigie_core::observe::Silent;
use vigie_core::store::blobs::FolderBlobs;
use vigie_core::vision::{Limits, decode, resize};
use vigie_protocol::Hash;
use vigie_protocol::preprocess::{Interpolation, PREPROCESS_REVISION, PreprocessSpec};

/// Images in the set, and the pixels a side they are enlarged to.
const IMAGES: usize = 300;
const SIDE: u32 = 400;

/// Writes the set as `<class>/<image>.jpg` and returns the encoded files.
fn make_set(folder: &Path) -> Vec<Vec<u8>> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/samples/products.zip");
    let mut zip = zip::ZipArchive::new(File::open(sample).expect("sample")).expect("zip");
    let step = zip.len() / IMAGES;
    (0..IMAGES)
        .map(|i| {
            let mut entry = zip.by_index(i * step).expect("entry");
            let name = entry.name().expect("name").replace(".png", ".jpg");
            let mut png = Vec::new();
            entry.read_to_end(&mut png).expect("read");
            let small = decode(&png, &Limits::default()).expect("decode");
            let large = resize(&small, SIDE, SIDE, Interpolation::Bicubic);
            let mut jpeg = Vec::new();
            large.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, 90)).expect("encode");
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("parent")).expect("folders");
            fs::write(path, &jpeg).expect("write");
            jpeg
        })
        .collect()
}

fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("temp folder");
    let set = folder.path().join("set");
    let files = make_set(&set);
    let plan = ImportPlan::new(ImportFile::Folder(set), "set", None, [70, 15, 15]);
    let spec = PreprocessSpec {
        revision: PREPROCESS_REVISION,
        resize: 256,
        crop: 224,
        interpolation: Interpolation::Bicubic,
        mean: [127.0; 3],
        std: [128.0; 3],
    };

    let mut group = criterion.benchmark_group("images");
    group.throughput(Throughput::Elements(IMAGES as u64)).sample_size(10);
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            files.par_iter().for_each(|file| {
                black_box(decode(file, &Limits::default()).expect("decode"));
            });
        });
    });
    group.bench_function("import", |bencher| {
        bencher.iter_batched(
            || tempfile::tempdir_in(folder.path()).expect("temp folder"),
            |fresh| {
                let blobs = FolderBlobs::open(fresh.path()).expect("blobs");
                import(&plan, &blobs, &Silent).expect("import");
                fresh
            },
            BatchSize::PerIteration,
        );
    });
    let blobs = FolderBlobs::open(&folder.path().join("blobs")).expect("blobs");
    let manifest = import(&plan, &blobs, &Silent).expect("import").manifest;
    let path = folder.path().join("pack");
    group.bench_function("pack", |bencher| {
        bencher.iter(|| {
            pack::build(&manifest, Hash::of(b"bench"), &spec, &blobs, &path, &Silent).expect("pack")
        });
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
