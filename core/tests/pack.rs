//! Packs: what is in them, and that no torn or altered one is ever used.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vigie_core::data::DataError;
use vigie_core::data::pack::{Pack, build, id};
use vigie_core::observe::Silent;
use vigie_core::store::Blobs;
use vigie_core::store::blobs::FolderBlobs;
use vigie_core::store::manifest::Manifest;
use vigie_core::vision::{Limits, RgbImage, decode, measure, preprocess};
use vigie_protocol::Hash;
use vigie_protocol::dataset::{DatasetImage, Split};
use vigie_protocol::preprocess::{Interpolation, PREPROCESS_REVISION, PreprocessSpec};

fn spec() -> PreprocessSpec {
    PreprocessSpec {
        revision: PREPROCESS_REVISION,
        resize: 20,
        crop: 16,
        interpolation: Interpolation::Bicubic,
        mean: [127.0; 3],
        std: [128.0; 3],
    }
}

struct World {
    folder: TempDir,
    blobs: FolderBlobs,
    manifest: Manifest,
    hash: Hash,
}

impl World {
    /// Eleven pictures of three classes in all splits.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temp folder");
        let blobs = FolderBlobs::open(&folder.path().join("blobs")).expect("blobs");
        let images = (0..11_u32).map(|i| {
            let image =
                RgbImage::from_fn(30 + i, 25, |x, y| image::Rgb([x as u8 * 5, y as u8 * 9, i as u8 * 20]));
            let mut png = Cursor::new(Vec::new());
            image.write_to(&mut png, image::ImageFormat::Png).expect("png");
            let bytes = png.into_inner();
            let label = ["kite", "owl", "wren"][i as usize % 3].to_owned();
            let split = if i < 7 { Split::Train } else { Split::Test };
            let (origin, quality) = (format!("{i}.png"), measure(&image, &bytes).quality);
            DatasetImage::new(
                blobs.put(&bytes).expect("put"),
                label,
                split,
                origin,
                quality,
                "imported".to_owned(),
            )
        });
        let manifest = Manifest::new(images.collect());
        let hash = Hash::of(&manifest.encode());
        Self { manifest, hash, blobs, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("packs/one")
    }

    fn build(&self) -> Result<vigie_core::data::pack::PackInfo, DataError> {
        build(&self.manifest, self.hash, &spec(), &self.blobs, &self.path(), &Silent)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_pack_holds_what_preprocessing_gives() {
    let world = World::new();
    let info = world.build().expect("build");
    assert_eq!((info.images, info.classes), (11, 3));
    assert_eq!(info.id, id(world.hash, &spec()));
    assert_eq!(info.bytes, fs::metadata(world.path()).expect("size").len());
    assert_eq!(names(world.path().parent().expect("folder")), ["one"], "no temporary file stays");

    let pack = Pack::open(&world.path()).expect("open");
    pack.verify(&Silent).expect("verify");
    assert_eq!((pack.len(), pack.is_empty()), (11, false));
    assert_eq!(pack.classes(), ["kite", "owl", "wren"]);
    assert_eq!((pack.spec(), pack.manifest()), (&spec(), world.hash));
    assert_eq!([Split::Train, Split::Valid, Split::Test].map(|split| pack.rows(split)), [0..7, 7..7, 7..11]);
    let mut seen = Vec::new();
    for i in 0..pack.len() {
        let hash = pack.image_hash(i);
        let image =
            world.manifest.images().iter().find(|image| image.image == hash).expect("in the manifest");
        assert_eq!(pack.classes()[pack.label(i) as usize], image.label);
        assert_eq!(pack.split(i), image.split);
        assert!(pack.rows(image.split).contains(&i));
        let bytes = world.blobs.get(hash).expect("get").expect("there");
        let decoded = decode(&bytes, &Limits::default()).expect("decode");
        assert!(pack.pixels(i) == preprocess(&decoded, &spec()), "row {i}");
        seen.push((image.split, hash));
    }
    assert!(seen.is_sorted());
    assert_eq!(pack.pixels_range(2..5), [pack.pixels(2), pack.pixels(3), pack.pixels(4)].concat());
}

#[test]
fn normalisation_does_not_name_another_pack() {
    let world = World::new();
    let other = PreprocessSpec { mean: [0.0; 3], ..spec() };
    assert_eq!(id(world.hash, &spec()), id(world.hash, &other));
    assert_ne!(id(world.hash, &spec()), id(world.hash, &PreprocessSpec { crop: 15, ..spec() }));
    assert_ne!(id(world.hash, &spec()), id(Hash::of(b"another"), &spec()));
}

#[test]
fn torn_and_altered_packs_are_refused() {
    let world = World::new();
    world.build().expect("build");
    let whole = fs::read(world.path()).expect("read");
    let path = world.folder.path().join("altered");
    let opened = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("write");
        Pack::open(&path)
    };
    for cut in [0, 7, 47, 60, 200, 5000, whole.len() - 1] {
        let error = opened(&whole[..cut]).expect_err("torn").to_string();
        assert!(cut == 0 || error.contains("cannot be used, preprocess the dataset again"), "{error}");
    }
    assert!(opened(&[&whole, b"x".as_slice()].concat()).is_err());
    // Every byte up to the padding is vouched for by the header's hash.
    let table_end = whole[..4096].iter().rposition(|&byte| byte != 0).expect("not all zero");
    for at in (0..table_end).step_by(13) {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        assert!(opened(&altered).is_err(), "byte {at}");
    }
    let mut altered = whole.clone();
    *altered.last_mut().expect("pixels") ^= 1;
    let pack = opened(&altered).expect("only pixels differ");
    assert!(pack.verify(&Silent).expect_err("altered").to_string().contains("row 10"));
}

#[test]
fn an_unreadable_image_is_named_and_leaves_no_pack() {
    let world = World::new();
    let lost = &world.manifest.images()[4];
    world.blobs.delete(lost.image).expect("delete");
    match world.build().expect_err("one is missing") {
        DataError::Image { hash, origin, .. } => {
            assert_eq!((hash, origin), (lost.image, lost.origin.clone()))
        }
        other => panic!("{other}"),
    }
    assert!(names(world.path().parent().expect("folder")).is_empty());
}

#[test]
fn what_a_killed_build_left_is_removed_and_a_running_one_left_alone() {
    let world = World::new();
    let folder = world.path().parent().expect("folder").to_owned();
    fs::create_dir_all(&folder).expect("folder");
    fs::write(folder.join(".pack-dead.tmp"), b"half").expect("write");
    let running = fs::File::create(folder.join(".pack-running.tmp")).expect("create");
    running.lock().expect("lock");
    world.build().expect("build");
    assert_eq!(names(&folder), [".pack-running.tmp", "one"]);
    drop(running);
    world.build().expect("build");
    assert_eq!(names(&folder), ["one"]);
}

#[test]
fn empty_datasets_and_impossible_specs() {
    let world = World::new();
    let impossible = PreprocessSpec { crop: 500, ..spec() };
    let refused = build(&world.manifest, world.hash, &impossible, &world.blobs, &world.path(), &Silent);
    assert!(matches!(refused, Err(DataError::Spec(_))));

    build(&Manifest::default(), world.hash, &spec(), &world.blobs, &world.path(), &Silent).expect("build");
    let pack = Pack::open(&world.path()).expect("open");
    assert!(pack.is_empty() && pack.verify(&Silent).is_ok());
    assert_eq!(pack.rows(Split::Test), 0..0);
}
