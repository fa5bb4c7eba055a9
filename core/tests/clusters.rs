//! The bundled pictures, grouped by what the bundled network sees in them: what is grouped is of one
//! kind, and most of what is of one kind is grouped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use vigie_core::data::clusters::{DISTANCE, clusters, features};
use vigie_core::infer::{self, WeightsFrom};
use vigie_core::observe::Silent;
use vigie_core::store::Blobs;
use vigie_core::store::blobs::FolderBlobs;
use vigie_protocol::Hash;
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::PreprocessSpec;

fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data").join(name)
}

/// Some pictures of some classes of an archive, stored.
fn pictures(blobs: &FolderBlobs, archive: &str, classes: &[&str], each: usize) -> Vec<(String, Hash)> {
    let mut zip = zip::ZipArchive::new(File::open(bundled(archive)).expect("bundled")).expect("a zip");
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).expect("an entry");
        let name = entry.name().expect("a name").into_owned();
        let class = name.rsplit('/').nth(1).unwrap_or_default().to_owned();
        let count = taken.entry(class.clone()).or_default();
        if entry.is_file() && classes.contains(&class.as_str()) && *count < each {
            *count += 1;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("read");
            found.push((class, blobs.put(&bytes).expect("stored")));
        }
    }
    found
}

#[test]
fn what_looks_alike_is_of_one_kind() {
    let dir = tempfile::tempdir().expect("a folder");
    let blobs = FolderBlobs::open(dir.path()).expect("blobs");
    let mut all = pictures(&blobs, "samples/products.zip", &["trouser", "bag", "ankle_boot", "dress"], 12);
    all.extend(pictures(&blobs, "samples/digits.zip", &["zero", "one"], 8));
    let architecture = Architecture::EfficientnetLite0;
    let spec = PreprocessSpec::for_network(architecture, 96);
    let weights = bundled("weights/efficientnet-lite0.safetensors");
    let network =
        infer::features(architecture, WeightsFrom::Path(&weights), &spec, "cpu").expect("a network");
    let mut images: Vec<Hash> = all.iter().map(|(_, image)| *image).collect();
    images.push(Hash::of(b"nowhere"));
    let seen = features(&images, network.as_ref(), &blobs, &Silent).expect("features");
    assert!(seen.iter().take(all.len()).all(Option::is_some) && seen.last() == Some(&None));
    let vectors: Vec<&[f32]> = seen.iter().flatten().map(Vec::as_slice).collect();

    let found = clusters(&vectors, DISTANCE);
    let (mut pure, mut grouped) = (0, 0);
    for members in &found {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        members.iter().for_each(|&place| *kinds.entry(&all[place].0).or_default() += 1);
        pure += kinds.values().max().copied().unwrap_or(0);
        grouped += members.len();
    }
    let total = all.len();
    assert!(grouped * 10 >= total * 7, "{grouped} of {total} in {} clusters", found.len());
    assert!(pure * 20 >= grouped * 19, "{pure} of {grouped} are with their own kind");
    assert!(found.len() * 3 <= total, "{} clusters of {total} images save no work", found.len());
}
