//! How near import and pack come to the floor that decoding sets, and whether memory stays flat.
//!
//! `tests/speed` makes the 20,000 photographs and runs this; by hand:
//! `VIGIE_PHOTOS=FOLDER cargo bench --workspace --bench import`. Without the photographs it measures
//! the bundled products alone.
//!
//! Import decodes each image once and so does pack, so that each is held against decoding alone:
//! the same files, in memory already, on the same threads, before and after. Pack resamples as well;
//! what that costs by itself is measured too.

mod figures;

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figures::{Spent, Times, figure, forget_peak, peak};
use rayon::prelude::*;
use vigie_core::data::import::{ImportFile, ImportPlan, import};
use vigie_core::data::pack;
use vigie_core::observe::Silent;
use vigie_core::store::Blobs;
use vigie_core::store::blobs::FolderBlobs;
use vigie_core::vision::{Limits, RgbImage, decode, measure, preprocess, size};
use vigie_protocol::Hash;
use vigie_protocol::preprocess::{Interpolation, PREPROCESS_REVISION, PreprocessSpec};

/// Images of the smaller run that memory is compared with.
const FEW: usize = 2_000;
/// Images of which packs are built as well: those of 100,000 take 15 GB.
const PACKED: usize = 20_000;
/// Files read at once for the floor, so that reading is no part of it and memory is not either.
const CHUNK: usize = 1_000;

fn main() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("temp folder");
    let products = scratch.path().join("products");
    unpack(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/samples/products.zip"), &products);
    whole_run("products, PNG 28x28", &files(&products), scratch.path());
    let Some(photos) = env::var_os("VIGIE_PHOTOS").map(PathBuf::from) else { return };
    let photos = files(&photos);
    one_photo(&photos, scratch.path());
    // Memory is compared: what it takes for a few it shall take for all.
    let few: Vec<PathBuf> = photos.iter().step_by((photos.len() / FEW).max(1)).cloned().collect();
    whole_run("photographs, a part", &few, scratch.path());
    whole_run("photographs", &photos, scratch.path());
}

fn unpack(zip: &Path, folder: &Path) {
    let mut zip = zip::ZipArchive::new(File::open(zip).expect("sample")).expect("zip");
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).expect("entry");
        let path = folder.join(entry.name().expect("name").as_ref());
        if entry.is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("read");
            fs::create_dir_all(path.parent().expect("parent")).expect("folders");
            fs::write(path, bytes).expect("write");
        }
    }
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    let mut found: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

fn spec() -> PreprocessSpec {
    PreprocessSpec {
        revision: PREPROCESS_REVISION,
        resize: 256,
        crop: 224,
        interpolation: Interpolation::Bicubic,
        mean: [127.0; 3],
        std: [128.0; 3],
    }
}

/// Where the time of one image goes, on one thread.
fn one_photo(files: &[PathBuf], scratch: &Path) {
    let limits = Limits::default();
    let bytes: Vec<Vec<u8>> =
        files.iter().step_by((files.len() / 300).max(1)).map(|file| fs::read(file).expect("read")).collect();
    let images: Vec<_> = bytes.iter().map(|bytes| decode(bytes, &limits).expect("decode")).collect();
    let blobs = FolderBlobs::open(&scratch.join("some")).expect("blobs");
    let each = |name: &str, body: &dyn Fn(usize)| {
        let mut times = Times::default();
        (0..bytes.len()).for_each(|i| times.take(|| body(i)));
        figure(&format!("a photograph: {name}"), times.summary(), "");
    };
    each("decode", &|i| {
        black_box(decode(&bytes[i], &limits).expect("decode"));
    });
    each("its size by the header", &|i| {
        black_box(size(&bytes[i], &limits).expect("header"));
    });
    each("measure", &|i| {
        black_box(measure(&images[i], &bytes[i]));
    });
    each("hash", &|i| {
        black_box(Hash::of(&bytes[i]));
    });
    each("put as a blob", &|i| {
        black_box(blobs.put(&bytes[i]).expect("put"));
    });
    each("preprocess to 224x224", &|i| {
        black_box(preprocess(&images[i], &spec()));
    });
    figure("  sync of those blobs", Times::of(1, || blobs.sync().expect("sync")).summary(), "");
}

/// Decodes files and does `rest` with the image; reading them is not counted.
fn floor_of(files: &[PathBuf], rest: impl Fn(RgbImage) + Sync) -> Spent {
    let mut sum = Spent::default();
    for chunk in files.chunks(CHUNK) {
        let bytes: Vec<Vec<u8>> = chunk.iter().map(|file| fs::read(file).expect("read")).collect();
        let (spent, ()) = Spent::by(|| {
            bytes.par_iter().for_each(|bytes| rest(decode(bytes, &Limits::default()).expect("decode")));
        });
        sum += spent;
    }
    sum
}

fn whole_run(name: &str, files: &[PathBuf], scratch: &Path) {
    // A folder of its own, and nothing is removed before the end: ext4 looks at every inode that was
    // freed in the last minutes when it makes a new one, which took more time than import itself.
    let scratch = tempfile::tempdir_in(scratch).expect("temp folder").keep();
    // Links, so that a part of the set is a set.
    let set = scratch.join("set");
    for file in files {
        let class = file.parent().and_then(Path::file_name).expect("a class folder");
        let link = set.join(class).join(file.file_name().expect("a file"));
        fs::create_dir_all(link.parent().expect("parent")).expect("folders");
        fs::hard_link(file, &link).or_else(|_| fs::copy(file, &link).map(drop)).expect("link");
    }
    let plan = ImportPlan::new(ImportFile::Folder(set.clone()), "set", None, [70, 15, 15]);
    let blobs = FolderBlobs::open(&scratch.join("blobs")).expect("blobs");
    let packed = scratch.join("pack");

    let decode_alone = || floor_of(files, |image| drop(black_box(image)));
    // Twice, so that a machine that slows down meanwhile shows half of it here too.
    let mut decoding = decode_alone();
    forget_peak();
    let (importing, proposal) = Spent::by(|| import(&plan, &blobs, &Silent).expect("import"));
    let import_peak = peak();
    let manifest = proposal.manifest;
    assert_eq!(manifest.images().len() as u64 + proposal.duplicates, files.len() as u64);
    forget_peak();
    let packing = (files.len() <= PACKED).then(|| {
        Spent::by(|| {
            pack::build(&manifest, Hash::of(b"bench"), &spec(), &blobs, &packed, &Silent).expect("pack")
        })
        .0
    });
    let pack_peak = peak();
    decoding += decode_alone();

    let floor = Spent { wall: decoding.wall / 2, cpu: decoding.cpu / 2 };
    let say = |what: &str, spent: Spent, passes: u32, goal: &str| {
        let rate = files.len() as f64 * f64::from(passes) / spent.cpu.as_secs_f64();
        let share = |floor: Duration, spent: Duration| {
            100.0 * f64::from(passes) * floor.as_secs_f64() / spent.as_secs_f64()
        };
        let (cpu, wall) = (share(floor.cpu, spent.cpu), share(floor.wall, spent.wall));
        let found = format!("{rate:.0} images/s/core");
        figure(
            &format!("{name}, {}: {what}", files.len()),
            found,
            &format!("{goal} {cpu:.0} % of the floor, {wall:.0} % by the clock"),
        );
    };
    say("decode alone", floor, 1, "");
    say(&format!("import, {import_peak} MiB"), importing, 1, ">= 80 %:");
    let Some(packing) = packing else { return };
    let resampling = floor_of(files, |image| drop(black_box(preprocess(&image, &spec()))));
    let mut both = importing;
    both += packing;
    say("decode and resample", resampling, 1, "");
    say(&format!("pack, {pack_peak} MiB"), packing, 1, ">= 80 %:");
    say("both", both, 2, ">= 80 %:");
}
