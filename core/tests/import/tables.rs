//! Tables, groups, near duplicates and splits that are drawn anew.

use std::collections::BTreeMap;
use std::path::PathBuf;

use image::imageops::{FilterType, resize};
use vigie_core::data::DataError;
use vigie_core::data::changeset::Proposal;
use vigie_core::data::groups::Groups;
use vigie_core::data::import::{ImportFile, ImportPlan};
use vigie_core::data::near::Nearness;
use vigie_core::vision::{Limits, decode};
use vigie_protocol::Hash;
use vigie_protocol::dataset::{DatasetImage, Split, SplitCounts};
use vigie_protocol::import::{GivenSplit, GroupRule, ImportOptions, TableOptions};

use super::{World, origins, png, reason};

const TABLE: &str = r#"uniq_id,product_category_tree,image,brand
a,"[""Home Furnishing >> Curtains >> Elegance""]",1.png,Elegance
b,"[""Home Furnishing >> Cushions""]",2.png,
c,"[""Watches >> Wrist Watches""]",3.png,Sonata
d,,4.png,Nobody
e,"[""Watches""]",lost.png,Sonata
"#;

fn table(file: &str, label: &str) -> TableOptions {
    TableOptions {
        file: file.to_owned(),
        image: "image".to_owned(),
        label: label.to_owned(),
        ..TableOptions::default()
    }
}

fn by(table: TableOptions) -> ImportOptions {
    ImportOptions { table: Some(table), ..ImportOptions::default() }
}

const FIRST_PART: &str = "product_category_tree | strip '[\"]' | part 1 of '>>'";

#[test]
fn a_flat_folder_with_a_table_is_read_by_its_label_expression() {
    let world = World::new();
    for n in 1..=5 {
        world.put(&format!("images/{n}.png"), &png(n));
    }
    world.put("products.csv", TABLE.as_bytes());
    let outside = tempfile::tempdir().expect("temp folder");
    let elsewhere = outside.path().join("table.csv");
    std::fs::write(&elsewhere, TABLE).expect("write");
    let zip: Vec<(String, Vec<u8>)> = (1..=5)
        .map(|n| (format!("shop/images/{n}.png"), png(n)))
        .chain([("shop/products.csv".to_owned(), TABLE.as_bytes().to_vec())])
        .collect();
    let zip: Vec<(&str, Vec<u8>)> = zip.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let zip = world.zip(&zip);

    let folder = world.plan().source;
    for (source, file) in [
        (folder.clone(), "products.csv"),
        (folder, elsewhere.to_str().expect("path")),
        (zip.clone(), "products.csv"),
        (zip, "shop/products.csv"),
    ] {
        let mut plan = ImportPlan { source, options: by(table(file, FIRST_PART)), ..world.plan() };
        // A table is no image: it may be larger than one.
        plan.limits.image.max_bytes = TABLE.len() as u64 - 1;
        let proposal = world.import(&plan).unwrap_or_else(|error| panic!("{file}: {error}"));
        let labels: BTreeMap<String, &DatasetImage> = proposal
            .manifest
            .images()
            .iter()
            .map(|image| (image.origin.rsplit('/').next().unwrap_or_default().to_owned(), image))
            .collect();
        let label = |name: &str| labels[name].label.as_str();
        assert_eq!(
            (label("1.png"), label("2.png"), label("3.png")),
            ("Home Furnishing", "Home Furnishing", "Watches")
        );
        let kept = |name: &str| labels[name].metadata.clone();
        let of = |brand: &str, id: &str| {
            BTreeMap::from([("brand".to_owned(), brand.to_owned()), ("uniq_id".to_owned(), id.to_owned())])
        };
        assert_eq!((kept("1.png"), kept("3.png")), (of("Elegance", "a"), of("Sonata", "c")));
        assert_eq!(kept("2.png"), BTreeMap::from([("uniq_id".to_owned(), "b".to_owned())]));
        let mut left_out: Vec<&str> = proposal.quarantine.iter().map(|left| left.reason.as_str()).collect();
        left_out.sort_unstable();
        assert_eq!(
            left_out,
            [
                format!("{file} has no row for it").as_str(),
                "the class name is empty",
                "there is no file \"lost.png\"",
            ]
        );
    }
}

#[test]
fn a_table_that_does_not_fit_is_refused_with_its_reason() {
    let world = World::new();
    world.put("1.png", &png(1));
    world.put("a/labels.csv", b"image,kind\n1.png,owl\n");
    world.put("b/labels.csv", b"image,kind\n1.png,owl\n");
    world.put("empty.csv", b"image,kind\n");
    for (options, expected) in [
        (table("missing.csv", "kind"), "there is no such file"),
        (table("labels.csv", "kind"), "several files end like that"),
        (table("a/labels.csv", "colour"), "no column \"colour\""),
        (table("empty.csv", "kind"), "says what none of the images is"),
        (table("/nowhere/labels.csv", "kind"), "cannot be read"),
        (table("a/labels.csv", "kind | run 'rm'"), "is not a step"),
    ] {
        let plan = ImportPlan { options: by(options), ..world.plan() };
        let error = world.import(&plan).expect_err(expected);
        assert!(matches!(error, DataError::Table { .. } | DataError::Options(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let plan = ImportPlan { options: by(table("a/labels.csv", "kind")), ..world.plan() };
    assert_eq!(origins(&world.import(&plan).expect("import")), ["1.png"]);
}

#[test]
fn a_split_column_and_a_group_column_are_read() {
    let world = World::new();
    let mut rows = "image,kind,set,patient\n".to_owned();
    for n in 0..30 {
        world.put(&format!("{n}.png"), &png(n));
        let set = if n < 6 { "test" } else { "train" };
        // Patient 0 has an image in both.
        rows.push_str(&format!("{n},owl,{set},p{}\n", if n == 20 { 0 } else { n }));
    }
    world.put("t.csv", rows.as_bytes());
    let mut options = by(TableOptions { split: Some("set".to_owned()), ..table("t.csv", "kind") });
    options.group = Some(GroupRule::Column { column: "patient".to_owned() });
    let kept = world.import(&ImportPlan { options: options.clone(), ..world.plan() }).expect("import");
    assert_eq!(kept.result["owl"].test, 7, "a patient's images go where the most held-out one is");
    assert_eq!(split(&kept, 20), Split::Test);
    let metadata = &kept.manifest.images()[0].metadata;
    assert!(metadata.is_empty(), "columns with a meaning are not kept twice: {metadata:?}");

    options.given_split = GivenSplit::Redraw;
    let redrawn = world.import(&ImportPlan { options, ..world.plan() }).expect("import");
    assert_eq!(redrawn.result["owl"], SplitCounts { train: 21, valid: 5, test: 4 });
    assert_eq!(split(&redrawn, 0), split(&redrawn, 20));
}

fn split(proposal: &Proposal, seed: u32) -> Split {
    let hash = Hash::of(&png(seed));
    proposal.manifest.images().iter().find(|image| image.image == hash).expect("there").split
}

/// As the chest X-rays come: a valid split of 16 images, and patients with several images.
#[test]
fn a_tiny_valid_split_is_drawn_anew_and_patients_stay_together() {
    let world = World::new();
    let mut seed = 0;
    for (split, patients) in [("train", 150), ("val", 8), ("test", 30)] {
        for patient in 0..patients {
            for shot in 0..if split == "val" { 2 } else { 1 + patient % 3 } {
                let class = if patient % 4 == 0 { "NORMAL" } else { "PNEUMONIA" };
                world.put(&format!("xray/{split}/{class}/person{split}{patient}_{shot}.png"), &png(seed));
                seed += 1;
            }
        }
    }
    let import = |given_split| {
        let group = Some(GroupRule::Path { pattern: r"(person[a-z]+\d+)_".to_owned() });
        let options = ImportOptions { given_split, group, ..ImportOptions::default() };
        world.import(&ImportPlan { options, ..world.plan() }).expect("import")
    };
    let totals = |proposal: &Proposal| {
        let sum = |of: fn(&SplitCounts) -> u64| proposal.result.values().map(of).sum::<u64>();
        [sum(|counts| counts.train), sum(|counts| counts.valid), sum(|counts| counts.test)]
    };
    let kept = import(GivenSplit::Keep);
    assert_eq!(totals(&kept)[1], 16);
    assert_eq!(totals(&kept)[2], 60);

    let valid = import(GivenSplit::RedrawValid);
    assert_eq!(totals(&valid)[2], 60, "the author's test split stays");
    // 15 of 85 of the rest, a patient more or less in each class.
    let share = 15.0 / 85.0 * (totals(&valid)[0] + totals(&valid)[1]) as f64;
    assert!((totals(&valid)[1] as f64 - share).abs() <= 6.0, "{:?}", totals(&valid));

    let all = import(GivenSplit::Redraw);
    for (class, counts) in &all.result {
        for (count, share) in [(counts.train, 0.7), (counts.valid, 0.15), (counts.test, 0.15)] {
            let off = count as f64 - share * counts.total() as f64;
            assert!(off.abs() <= 3.0, "{class}: {counts:?}");
        }
    }
    for proposal in [&kept, &valid, &all] {
        let images = proposal.manifest.images();
        assert!(images.iter().all(|image| image.group.is_some()));
        assert!(Groups::of(images.iter(), Nearness::default()).crossing(images).is_empty());
    }
}

/// Copies of real photographs, resized and compressed, are one picture to the split.
#[test]
fn near_duplicates_never_cross_splits() {
    let world = World::new();
    let fixture = |name: &str| {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/nets/photo_{name}.png"));
        std::fs::read(path).expect("fixture")
    };
    let jpeg = |name: &str, side: u32, quality: u8| {
        let whole = decode(&fixture(name), &Limits::default()).expect("decode");
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
        resize(&whole, side, side, FilterType::Triangle).write_with_encoder(encoder).expect("encode");
        bytes
    };
    for name in ["cat", "coffee", "rocket"] {
        world.put(&format!("train/photo/{name}.png"), &fixture(name));
        world.put(&format!("valid/photo/{name}-small.jpg"), &jpeg(name, 120, 80));
    }
    world.put("test/photo/cat-web.jpg", &jpeg("cat", 200, 60));
    for seed in 0..20 {
        world.put(&format!("train/card/{seed}.png"), &png(seed));
    }
    let proposal = world.import(&world.plan()).expect("import");
    let images = proposal.manifest.images();
    let split_of = |part: &str| {
        let mut splits: Vec<Split> =
            images.iter().filter(|image| image.origin.contains(part)).map(|image| image.split).collect();
        splits.dedup();
        splits
    };
    assert_eq!(split_of("cat"), [Split::Test]);
    assert_eq!(split_of("coffee"), [Split::Valid]);
    assert_eq!(split_of("rocket"), [Split::Valid]);
    let quality = |name: &str| {
        let image = images.iter().find(|image| image.origin.ends_with(name)).expect("there");
        (image.quality.jpeg_quality, image.fingerprint.is_some(), image.quality.saturation.is_some())
    };
    assert_eq!(quality("cat-web.jpg"), (Some(60), true, true));
    assert_eq!(quality("cat.png"), (None, true, true));

    // Another copy arrives later, under another name, and cannot leak.
    world.put("train/photo/again.jpg", &jpeg("coffee", 300, 90));
    let again = ImportPlan { base: Some(proposal.manifest.clone()), ..world.plan() };
    let again = world.import(&again).expect("import");
    let image = again.manifest.images().iter().find(|image| image.origin.ends_with("again.jpg"));
    assert_eq!(image.map(|image| image.split), Some(Split::Valid));
}

#[test]
fn what_would_tie_two_splits_is_named_among_what_was_left_out() {
    let world = World::new();
    world.put("train/owl/a_1.png", &png(1));
    world.put("test/owl/b_1.png", &png(2));
    world.put("test/kite/3.png", &png(3));
    let group = |pattern: &str| ImportOptions {
        group: Some(GroupRule::Path { pattern: pattern.to_owned() }),
        ..ImportOptions::default()
    };
    let base = world.import(&ImportPlan { options: group("([ab])_"), ..world.plan() }).expect("import");
    // The base's own groups are a and b; a rule that calls both the same comes too late for them.
    world.put("train/owl/new_1.png", &png(4));
    let plan = ImportPlan { options: group("_1"), base: Some(base.manifest), ..world.plan() };
    let later = world.import(&plan).expect("import");
    let reason = reason(&later, "train/owl/new_1.png");
    assert!(reason.starts_with("it would tie two splits together: \"_1\" has"), "{reason}");
    assert_eq!(later.quarantined, 1);
    assert_eq!(later.manifest.images().len(), 3);
}

#[test]
fn zip_files_are_their_own_source_of_tables() {
    let world = World::new();
    let ImportFile::Zip(path) =
        world.zip(&[("1.png", png(1)), ("../t.csv", b"image,kind\n1,owl\n".to_vec())])
    else {
        panic!("a zip")
    };
    // A table that leads out of the archive is none of it.
    let plan =
        ImportPlan { source: ImportFile::Zip(path), options: by(table("t.csv", "kind")), ..world.plan() };
    let error = world.import(&plan).expect_err("refused").to_string();
    assert!(error.contains("there is no such file"), "{error}");
}
