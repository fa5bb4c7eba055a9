//! Names in odd encodings, files that change while they are read, very many tiny ones, and zip files
//! with links or with entries that share their bytes.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use vigie_core::data::DataError;
use vigie_core::data::import::{ImportFile, ImportPlan};
use vigie_core::store::Blobs;
use vigie_core::vision::{Limits, decode};
use vigie_protocol::Hash;

use super::{World, origins, png, reason};
use zip::CompressionMethod::Stored;
use zip::write::SimpleFileOptions;

#[test]
fn names_that_read_alike_are_told_apart() {
    let world = World::new();
    fs::create_dir(world.folder.path().join("owl")).expect("folder");
    for (n, name) in [&b"caf\xe9.png"[..], b"caf\xe8.png", b"caf\xea.png"].into_iter().enumerate() {
        let path = world.folder.path().join("owl").join(std::ffi::OsStr::from_bytes(name));
        fs::write(path, png(n as u32)).expect("write");
    }
    let proposal = world.import(&world.plan()).expect("import");
    let expected = ["owl/caf\u{fffd}.png", "owl/caf\u{fffd}.png (2)", "owl/caf\u{fffd}.png (3)"];
    assert_eq!(origins(&proposal), expected);
    // The same file has the same name each time.
    assert_eq!(world.import(&world.plan()).expect("import").manifest, proposal.manifest);
}

/// Names as old programs wrote them: no flag for UTF-8, bytes of whatever code page they had.
#[test]
fn zip_names_of_old_code_pages_are_read() {
    let world = World::new();
    let zip = world.zip(&[("AAAA/1.png", png(1)), ("BBBB/2.png", png(2)), ("CCCC/3.png", png(3))]);
    let ImportFile::Zip(path) = &zip else { panic!("a zip") };
    let mut bytes = fs::read(path).expect("read");
    for (from, to) in [
        (&b"AAAA"[..], &b"\x82t\x82s"[..]), // "étés" in CP437
        (b"BBBB", b"\xe9t\xe9s"),           // "étés" in Latin-1
        (b"CCCC", b"\xff\xfe\x80\x81"),
    ] {
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(4).position(|window| window == from) {
            bytes[at + found..at + found + 4].copy_from_slice(to);
            at += found + 4;
        }
    }
    fs::write(path, bytes).expect("write");
    let proposal = world.import(&ImportPlan { source: zip.clone(), ..world.plan() }).expect("import");
    let classes: Vec<&str> = proposal.result.keys().map(String::as_str).collect();
    assert_eq!(proposal.manifest.images().len() as u64 + proposal.quarantined, 3);
    assert!(classes.contains(&"étés"), "{classes:?}");
    assert_eq!(classes.len(), proposal.manifest.images().len(), "each name is another: {classes:?}");
}

/// Whatever somebody writes meanwhile, what is kept of a file is one state of it, whole.
#[test]
fn a_file_that_changes_while_it_is_read_is_kept_whole_or_left_out() {
    let world = World::new();
    for n in 0..30 {
        world.put(&format!("owl/{n}.png"), &png(n));
    }
    let path = world.folder.path().join("owl/changing.png");
    fs::write(&path, png(100)).expect("write");
    let stop = AtomicBool::new(false);
    let proposals = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                turn += 1;
                // In place, so that a reader may see any half of it.
                let whole = png(100 + turn % 7);
                let cut = if turn.is_multiple_of(3) { whole.len() / 2 } else { whole.len() };
                fs::write(&path, &whole[..cut]).expect("write");
            }
        });
        let proposals: Vec<_> = (0..20).map(|_| world.import(&world.plan()).expect("import")).collect();
        stop.store(true, Ordering::Relaxed);
        proposals
    });
    for proposal in proposals {
        assert_eq!(proposal.manifest.images().len() as u64 + proposal.quarantined, 31);
        for image in proposal.manifest.images() {
            let bytes = world.blobs.get(image.image).expect("get").expect("there");
            assert_eq!(Hash::of(&bytes), image.image);
            assert_eq!(image.quality.bytes, bytes.len() as u64);
            assert!(decode(&bytes, &Limits::default()).is_ok());
        }
    }
}

#[test]
fn ten_thousand_tiny_files_are_taken() {
    let world = World::new();
    for n in 0..10_000_u32 {
        // Each picture twenty times, so that the test waits less for the disk.
        world.put(&format!("class-{:02}/{n:05}.png", n % 50), &png(n % 500));
    }
    let proposal = world.import(&world.plan()).expect("import");
    assert_eq!(
        (proposal.manifest.images().len(), proposal.duplicates, proposal.quarantined),
        (500, 9_500, 0)
    );
    assert_eq!(proposal.result.len(), 50);
    let names: BTreeSet<&str> = origins(&proposal).into_iter().collect();
    assert_eq!(names.len(), 500);
}

/// A link in a zip file names a file of whoever unpacks it.
#[test]
fn links_in_a_zip_file_are_left_out() {
    let world = World::new();
    let secret = world.folder.path().join("secret.png");
    fs::write(&secret, png(7)).expect("write");
    let path = world.folder.path().join("links.zip");
    let mut writer = zip::ZipWriter::new(fs::File::create(&path).expect("create"));
    let options = SimpleFileOptions::default();
    writer.start_file("owl/1.png", options).expect("entry");
    writer.write_all(&png(1)).expect("write");
    writer.add_symlink("owl/2.png", secret.to_str().expect("a path"), options).expect("link");
    writer.add_symlink("owl/3.png", "1.png", options).expect("link");
    writer.finish().expect("finish");
    let plan = ImportPlan { source: ImportFile::Zip(path), ..world.plan() };
    let proposal = world.import(&plan).expect("import");
    assert_eq!(origins(&proposal), ["owl/1.png"]);
    for link in ["owl/2.png", "owl/3.png"] {
        assert_eq!(reason(&proposal, link), "a symbolic link");
    }
    assert!(world.blobs.get(Hash::of(&png(7))).expect("get").is_none(), "what it names was read");
}

/// The bomb that unpacks nothing into itself: a hundred entries, each of the same modest bytes.
#[test]
fn entries_that_share_their_bytes_count_each() {
    let world = World::new();
    let path = world.folder.path().join("shared.zip");
    let mut writer = zip::ZipWriter::new(fs::File::create(&path).expect("create"));
    let options = SimpleFileOptions::default().compression_method(Stored);
    writer.start_file("owl/000.png", options).expect("entry");
    writer.write_all(&vec![7; 2 << 20]).expect("write");
    writer.finish().expect("finish");
    let once = fs::read(&path).expect("read");
    fs::write(&path, listed_often(&once, 100)).expect("write");

    let mut plan = ImportPlan { source: ImportFile::Zip(path.clone()), ..world.plan() };
    plan.limits.max_ratio = 10;
    let refused = world.import(&plan).expect_err("200 MiB out of 2");
    assert!(matches!(refused, DataError::TooMuch { .. }), "{refused}");
    fs::write(&path, listed_often(&once, 3)).expect("write");
    let few = world.import(&plan);
    assert!(!matches!(few, Err(DataError::TooMuch { .. })), "{few:?}");
}

/// A zip file of one entry whose directory lists it so often, under other names.
fn listed_often(zip: &[u8], times: u16) -> Vec<u8> {
    let find = |signature: &[u8]| zip.windows(4).rposition(|four| four == signature).expect("a zip file");
    let (directory, end) = (find(b"PK\x01\x02"), find(b"PK\x05\x06"));
    let entry = &zip[directory..end];
    let mut bytes = zip[..directory].to_vec();
    for number in 0..times {
        let mut entry = entry.to_vec();
        // The name follows 46 bytes of numbers (APPNOTE 4.3.12).
        entry[50..53].copy_from_slice(format!("{number:03}").as_bytes());
        bytes.extend(entry);
    }
    let mut tail = zip[end..].to_vec();
    let size = u32::try_from(entry.len() * usize::from(times)).expect("small");
    // Entries here, entries in all, and the bytes they take (APPNOTE 4.3.16).
    tail[8..10].copy_from_slice(&times.to_le_bytes());
    tail[10..12].copy_from_slice(&times.to_le_bytes());
    tail[12..16].copy_from_slice(&size.to_le_bytes());
    bytes.extend(tail);
    bytes
}
