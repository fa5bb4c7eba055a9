#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use vigie_protocol::dataset::Split;

use super::*;
use crate::observe::Silent;
use crate::store::blobs::FolderBlobs;

struct Place {
    folder: tempfile::TempDir,
    blobs: FolderBlobs,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("pictures/owl")).unwrap();
        let blobs = FolderBlobs::open(&folder.path().join("blobs")).unwrap();
        Self { folder, blobs }
    }

    /// Takes the file in; `named`: whether the folder with pictures is.
    fn import(&self, content: &str, format: ManifestFormat, named: bool) -> Result<Proposal, DataError> {
        self.import_over(content, format, named, None, false)
    }

    fn import_over(
        &self,
        content: &str,
        format: ManifestFormat,
        named: bool,
        base: Option<Manifest>,
        replace: bool,
    ) -> Result<Proposal, DataError> {
        self.import_named(content, format, named, base, replace, ClassList::default())
    }

    fn import_named(
        &self,
        content: &str,
        format: ManifestFormat,
        named: bool,
        base: Option<Manifest>,
        replace: bool,
        classes: ClassList,
    ) -> Result<Proposal, DataError> {
        let file = self.folder.path().join("rows");
        std::fs::write(&file, content).unwrap();
        let images = named.then(|| self.folder.path().join("pictures"));
        let plan = ManifestPlan {
            file,
            format,
            name: "rows".to_owned(),
            images,
            base,
            replace,
            classes,
            nearness: Nearness::default(),
            unknown_labels: UnknownLabels::Quarantine,
            limits: ImportLimits { max_entries: 50, ..ImportLimits::default() },
        };
        import_manifest(&plan, &self.blobs, &Silent)
    }
}

/// A picture of one grey.
fn picture(grey: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let pixels = image::GrayImage::from_pixel(8, 8, image::Luma([grey]));
    pixels.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn image_of(bytes: &[u8], label: &str, split: Split, origin: &str) -> DatasetImage {
    let decoded = vision::decode(bytes, &vision::Limits::default()).unwrap();
    let Measurement { quality, fingerprint } = vision::measure(&decoded, bytes);
    let [label, origin, admission] = [label, origin, "imported, named OWL"].map(str::to_owned);
    DatasetImage {
        fingerprint,
        ..DatasetImage::new(Hash::of(bytes), label, split, origin, quality, admission)
    }
}

fn jsonl(images: &[DatasetImage]) -> String {
    let mut text = String::new();
    for image in images {
        let row = ManifestRow::new(image.clone(), None);
        writeln!(text, "{}", serde_json::to_string(&row).unwrap()).unwrap();
    }
    text
}

fn csv(images: &[DatasetImage]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for image in images {
        writer.serialize(ManifestRow::new(image.clone(), None)).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

#[test]
fn the_class_list_is_asked() {
    let place = Place::new();
    let pictures: Vec<Vec<u8>> = (0..4).map(|grey| picture(grey * 40)).collect();
    for bytes in &pictures {
        place.blobs.put(bytes).unwrap();
    }
    let aliases = [("Asio otus".to_owned(), "owl".to_owned())].into();
    let classes = ClassList { classes: [("owl".to_owned())].into(), aliases, ..ClassList::default() };
    // The first one twice, under two names of one class: no contradiction.
    let rows = [(0, "Asio otus"), (0, "owl"), (1, "OWL"), (2, "owll"), (3, "owl")];
    let images = rows.map(|(i, label)| DatasetImage {
        admission: "imported".to_owned(),
        ..image_of(&pictures[i], label, Split::Test, &format!("{i}.png"))
    });
    for (format, text) in [(ManifestFormat::Jsonl, jsonl(&images)), (ManifestFormat::Csv, csv(&images))] {
        let proposal = place.import_named(&text, format, false, None, false, classes.clone()).unwrap();
        assert_eq!(proposal.manifest.classes(), ["owl"]);
        assert_eq!((proposal.manifest.images().len(), proposal.duplicates), (3, 1));
        let renamed: Vec<(&str, u64)> =
            proposal.renames.iter().map(|rename| (rename.from.as_str(), rename.images)).collect();
        assert_eq!(renamed, [("Asio otus", 1), ("OWL", 1)]);
        let admitted = |i: usize| {
            let hash = Hash::of(&pictures[i]);
            let image = proposal.manifest.images().iter().find(|image| image.image == hash);
            image.unwrap().admission.as_str()
        };
        assert_eq!((admitted(1), admitted(3)), ("imported, named OWL", "imported"));
        let [left] = proposal.quarantine.as_slice() else { panic!("{:?}", proposal.quarantine) };
        assert_eq!(left.origin, "2.png");
        assert!(left.reason.contains("did you mean \"owl\"?"), "{}", left.reason);
    }
}

#[test]
fn what_is_written_out_comes_in_the_same() {
    let place = Place::new();
    let pictures: Vec<Vec<u8>> = (0..6).map(|grey| picture(grey * 40)).collect();
    for bytes in &pictures {
        place.blobs.put(bytes).unwrap();
    }
    let labels = ["owl", "snowy \"owl\", white", "42", "true", "1e5", "=owl"];
    let images: Vec<DatasetImage> = (0..6)
        .map(|i| image_of(&pictures[i], labels[i], Split::ALL[i % 3], &format!("owl/a,\n{i}.png")))
        .collect();
    let manifest = Manifest::new(images);
    for (format, text) in
        [(ManifestFormat::Jsonl, jsonl(manifest.images())), (ManifestFormat::Csv, csv(manifest.images()))]
    {
        let proposal = place.import(&text, format, false).unwrap();
        assert_eq!(proposal.quarantine, []);
        assert_eq!(proposal.manifest.encode(), manifest.encode(), "{format:?}");
        // Once more over itself: nothing changes.
        let again = place.import_over(&text, format, false, Some(manifest.clone()), true).unwrap();
        assert_eq!(again.manifest, manifest);
        assert_eq!(again.unchanged, 6);
    }
}

#[test]
fn images_come_from_a_folder_and_are_measured() {
    let place = Place::new();
    let bytes = picture(90);
    std::fs::write(place.folder.path().join("pictures/owl/1.png"), &bytes).unwrap();
    let row = format!("image,label,split,file\n{},owl,test,owl/1.png\n", Hash::of(&bytes));
    let proposal = place.import(&row, ManifestFormat::Csv, true).unwrap();
    let image = &proposal.manifest.images()[0];
    assert_eq!((image.split, image.quality.width), (Split::Test, 8));
    assert_eq!(place.blobs.get(image.image).unwrap(), Some(bytes.clone()));
}

#[test]
fn what_a_row_says_was_measured_must_fit_the_file() {
    let place = Place::new();
    let mut bytes = std::io::Cursor::new(Vec::new());
    let pixels = image::GrayImage::from_fn(16, 8, |x, y| image::Luma([(x * 9 + y * 5) as u8]));
    pixels.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    let bytes = bytes.into_inner();
    place.blobs.put(&bytes).unwrap();
    let right = image_of(&bytes, "owl", Split::Train, "1.jpg");
    let length = bytes.len() as u64;
    // Width, height and bytes as the row has them, and the width that is taken; the row alone says that
    // the picture is bright.
    for (width, height, bytes, taken) in [
        (16, 8, length, (16, 1.0)),
        (8, 16, length, (8, 1.0)), // turned by its orientation
        (16, 8, length - 1, (16, right.quality.brightness)),
        (15, 8, length, (16, right.quality.brightness)),
        (1, 1, 1, (16, right.quality.brightness)),
        (8, 8, length, (16, right.quality.brightness)),
    ] {
        let quality = Quality { width, height, bytes, brightness: 1.0, ..right.quality.clone() };
        let row = DatasetImage { quality, ..right.clone() };
        let proposal = place.import(&jsonl(&[row]), ManifestFormat::Jsonl, false).unwrap();
        let quality = &proposal.manifest.images()[0].quality;
        assert_eq!((quality.width, quality.brightness), taken, "{width}x{height}, {bytes} bytes");
        assert_eq!(quality.bytes, length);
    }

    let short = &bytes[..bytes.len() - 2];
    place.blobs.put(short).unwrap();
    let quality = Quality { bytes: length - 2, ..right.quality.clone() };
    let row = DatasetImage { image: Hash::of(short), quality, ..right };
    let proposal = place.import(&jsonl(&[row]), ManifestFormat::Jsonl, false).unwrap();
    let [left] = proposal.quarantine.as_slice() else { panic!("{:?}", proposal.quarantine) };
    assert_eq!(left.reason, "the file is cut short");
}

#[test]
fn rows_that_cannot_be_taken_are_left_out() {
    let place = Place::new();
    let (good, other) = (picture(10), picture(20));
    std::fs::write(place.folder.path().join("secret.png"), &other).unwrap();
    std::fs::write(place.folder.path().join("pictures/note.png"), "no image").unwrap();
    std::fs::write(place.folder.path().join("pictures/good.png"), &good).unwrap();
    place.blobs.put(b"a blob that is no image").unwrap();
    let row = |bytes: &[u8], label: &str, file: &str| {
        let hash = Hash::of(bytes);
        format!(r#"{{"image":"{hash}","label":"{label}","split":"train","file":"{file}"}}"#)
    };
    let lines = [
        row(&good, "owl", "good.png"),
        row(&other, "owl", "../secret.png"),
        row(&other, "owl", "/etc/hostname"),
        row(&other, "owl", "good.png"),
        row(&other, "owl", "missing.png"),
        row(b"no image", "owl", "note.png"),
        row(b"a blob that is no image", "owl", "x"),
        row(&good, " ", "good.png"),
        "not json".to_owned(),
        String::new(),
    ];
    let proposal = place.import(&lines.join("\n"), ManifestFormat::Jsonl, true).unwrap();
    assert_eq!(proposal.manifest.images().len(), 1);
    assert_eq!(proposal.quarantined, 8);
    let reasons: Vec<&str> = proposal.quarantine.iter().map(|row| row.reason.as_str()).collect();
    for word in ["leads out", "another image", "nor is it in the folder", "empty", "expected"] {
        assert!(reasons.iter().any(|reason| reason.contains(word)), "{word}: {reasons:?}");
    }
    // An image under two labels is in no class.
    let twice = [row(&good, "owl", "good.png"), row(&good, "jay", "good.png")].join("\n");
    let proposal = place.import(&twice, ManifestFormat::Jsonl, true).unwrap();
    assert_eq!((proposal.manifest.images().len(), proposal.quarantined), (0, 1));
}

#[test]
fn files_that_are_no_manifest_are_refused() {
    let place = Place::new();
    let long = format!("{{\"image\":\"{}\"}}", "x".repeat(2 << 20));
    let open = format!("image,label,split\n\"{}", "x".repeat(2 << 20));
    // Good rows, then a quote that nobody closes over many lines.
    let row = format!("{},owl,train\n", Hash::of(&picture(10)));
    let over_lines = format!("image,label,split\n{}\"{}", row.repeat(3), row.repeat(20_000));
    let many = "{}\n".repeat(51);
    for (content, format, word) in [
        ("", ManifestFormat::Jsonl, "no rows"),
        ("{}", ManifestFormat::Jsonl, "missing field"),
        ("label,split\nowl,train\n", ManifestFormat::Csv, "no column \"image\""),
        (&long, ManifestFormat::Jsonl, "more than 1048576 bytes"),
        (&open, ManifestFormat::Csv, "more than 1048576 bytes"),
        (&over_lines, ManifestFormat::Csv, "more than 1048576 bytes"),
        (&many, ManifestFormat::Jsonl, "more than 50 rows"),
        ("{}", ManifestFormat::Unknown, "does not know"),
    ] {
        let error = place.import(content, format, true).map(drop).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
