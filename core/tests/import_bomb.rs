//! A zip bomb costs neither memory nor the rest of the import. Alone in its process, because it
//! measures the process.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};

use vigie_core::data::import::{ImportFile, ImportPlan, import};
use vigie_core::observe::Silent;
use vigie_core::store::blobs::FolderBlobs;
use vigie_core::vision::RgbImage;
use zip::write::SimpleFileOptions;

/// Most memory this process ever held, in MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

#[test]
fn gigabytes_of_zeros_are_one_bad_file() {
    let folder = tempfile::tempdir().expect("temp folder");
    let path = folder.path().join("bomb.zip");
    let mut writer = zip::ZipWriter::new(File::create(&path).expect("create"));
    let options = SimpleFileOptions::default().compression_level(Some(1));
    for i in 0..3 {
        let mut png = Cursor::new(Vec::new());
        let image = RgbImage::from_pixel(8, 8, image::Rgb([i * 50; 3]));
        image.write_to(&mut png, image::ImageFormat::Png).expect("png");
        writer.start_file(format!("owl/{i}.png"), options).expect("entry");
        writer.write_all(png.get_ref()).expect("write");
    }
    writer.start_file("owl/bomb.png", options).expect("entry");
    io::copy(&mut io::repeat(0).take(1200 << 20), &mut writer).expect("zeros");
    writer.finish().expect("finish");
    assert!(fs::metadata(&path).expect("size").len() < 16 << 20, "it is small on disk");

    let blobs = FolderBlobs::open(&folder.path().join("blobs")).expect("blobs");
    let before = peak();
    let plan = ImportPlan::new(ImportFile::Zip(path), "bomb.zip", None, [70, 15, 15]);
    let proposal = import(&plan, &blobs, &Silent).expect("the rest goes on");
    assert_eq!(proposal.manifest.images().len(), 3);
    assert_eq!(proposal.quarantine[0].origin, "owl/bomb.png");
    assert!(proposal.quarantine[0].reason.starts_with("unpacks to more than"), "{:?}", proposal.quarantine);
    // 64 MiB are read before it is clear; a growing buffer may hold twice that.
    assert!(peak() - before < 220, "the import took {} MiB", peak() - before);
}
