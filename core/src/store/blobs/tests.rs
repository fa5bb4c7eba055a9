//! What a folder of blobs must do.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::store::disk::faulty::{Fault, FaultyDisk, Refusal};

fn folder() -> (tempfile::TempDir, FolderBlobs) {
    let dir = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(&dir.path().join("blobs")).unwrap();
    (dir, blobs)
}

fn listed(blobs: &FolderBlobs) -> Vec<(Hash, u64)> {
    let mut found = Vec::new();
    blobs.list(&mut |hash, size, _| found.push((hash, size))).unwrap();
    found.sort();
    found
}

#[test]
fn what_was_put_is_there() {
    let (_dir, blobs) = folder();
    let owl = blobs.put(b"owl").unwrap();
    assert_eq!(blobs.put(b"owl").unwrap(), owl);
    let (wren, size) = blobs.put_reader(&mut &b"wren"[..], 4, None).unwrap();
    assert_eq!((wren, size), (Hash::of(b"wren"), 4));
    blobs.sync().unwrap();

    assert_eq!(blobs.get(owl).unwrap().as_deref(), Some(&b"owl"[..]));
    assert_eq!(blobs.read_range(wren, 1, 2).unwrap(), Some((b"re".to_vec(), 4)));
    assert_eq!(blobs.read_range(wren, 9, usize::MAX).unwrap(), Some((Vec::new(), 4)));
    assert_eq!(blobs.size(wren).unwrap(), Some(4));
    let mut both = vec![(owl, 3), (wren, 4)];
    both.sort();
    assert_eq!(listed(&blobs), both);

    blobs.delete(owl).unwrap();
    blobs.delete(owl).unwrap();
    assert_eq!(blobs.get(owl).unwrap(), None);
    assert_eq!(blobs.read_range(owl, 0, 1).unwrap(), None);
    assert_eq!(blobs.size(owl).unwrap(), None);
}

#[test]
fn damage_is_noticed() {
    let (_dir, blobs) = folder();
    let hash = blobs.put(b"owl").unwrap();
    fs::write(blobs.path_of(hash), b"0wl").unwrap();
    assert!(matches!(blobs.get(hash), Err(StoreError::Damaged { .. })));
}

#[test]
fn streams_are_bounded_and_leave_nothing_behind() {
    let (_dir, blobs) = folder();
    let endless = blobs.put_reader(&mut io::repeat(7), 1 << 20, None);
    assert!(matches!(endless, Err(StoreError::TooLarge { limit: 1_048_576, .. })));
    let other = blobs.put_reader(&mut &b"wren"[..], 9, Some(Hash::of(b"owl")));
    assert!(matches!(other, Err(StoreError::Damaged { .. })));
    assert_eq!(listed(&blobs), []);
    assert_eq!(fs::read_dir(blobs.root.join(TEMPORARY)).unwrap().count(), 0);
}

#[test]
fn a_finished_file_is_taken_over() {
    let (dir, blobs) = folder();
    for round in 0..2 {
        let path = dir.path().join(format!("upload-{round}"));
        fs::write(&path, b"weights").unwrap();
        blobs.adopt(&path, Hash::of(b"weights")).unwrap();
        assert!(!path.exists());
    }
    assert_eq!(blobs.get(Hash::of(b"weights")).unwrap().as_deref(), Some(&b"weights"[..]));
}

#[test]
fn many_threads_put_the_same_blobs() {
    let (_dir, blobs) = folder();
    let payload = |n: u32| n.to_le_bytes().repeat(100);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..50 {
                    blobs.put(&payload(n)).unwrap();
                }
                blobs.sync().unwrap();
            });
        }
    });
    assert_eq!(listed(&blobs).len(), 50);
    assert!((0..50).all(|n| blobs.get(Hash::of(&payload(n))).unwrap().is_some()));
}

#[test]
fn a_refreshed_blob_is_not_deleted() {
    let (_dir, blobs) = folder();
    let hash = blobs.put(b"owl").unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let age = || File::open(blobs.path_of(hash)).unwrap().set_modified(old).unwrap();
    let limit = Time::from_micros(2_000_000_000);

    age();
    blobs.put(b"owl").unwrap();
    assert!(!blobs.delete_older(hash, limit).unwrap());
    assert!(blobs.get(hash).unwrap().is_some());
    age();
    assert!(blobs.delete_older(hash, limit).unwrap());
    assert!(blobs.get(hash).unwrap().is_none());
    assert!(!blobs.delete_older(hash, limit).unwrap());
}

#[test]
fn stale_temporaries_go_and_fresh_ones_stay() {
    let (_dir, blobs) = folder();
    let stale = blobs.root.join(TEMPORARY).join("stale");
    fs::write(&stale, b"half").unwrap();
    File::open(&stale).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let fresh = blobs.temporary().unwrap();
    assert_eq!(blobs.clean_temporaries(Time::from_micros(1_000_000)).unwrap(), 1);
    assert!(fresh.path.exists());
}

#[test]
fn a_failed_flush_is_told_to_who_put_what_it_lost() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("blobs");
    fs::create_dir_all(root.join(TEMPORARY)).unwrap();
    // The flush of the first file fails: after two files, each with its folder, its bytes, its name.
    let fault = Fault::Refuse { first: 9, count: 1, how: Refusal::InputOutput };
    let one = FolderBlobs::open_on(Arc::new(FaultyDisk::new(&root, fault)), &root);
    let other = one.apart();
    let (lost, kept) = (one.put(b"of one").unwrap(), other.put(b"of the other").unwrap());
    assert!(one.sync().is_err());
    other.sync().unwrap();
    assert_eq!((one.get(lost).unwrap(), other.get(kept).unwrap().is_some()), (None, true));
}

#[test]
fn what_somebody_else_found_since_is_not_taken_back() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("blobs");
    fs::create_dir_all(root.join(TEMPORARY)).unwrap();
    let fault = Fault::Refuse { first: 5, count: 1, how: Refusal::InputOutput };
    let one = FolderBlobs::open_on(Arc::new(FaultyDisk::new(&root, fault)), &root);
    let hash = one.put(b"of both").unwrap();
    // Another process finds it, flushes it and names it.
    let later = SystemTime::now() + Duration::from_secs(1);
    File::open(one.path_of(hash)).unwrap().set_modified(later).unwrap();
    assert!(one.sync().is_err());
    assert!(one.get(hash).unwrap().is_some());
}

#[test]
fn what_a_failed_flush_may_have_lost_is_written_again() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("blobs");
    fs::create_dir_all(root.join(TEMPORARY)).unwrap();
    let healthy = FolderBlobs::open(&root).unwrap();
    let old = healthy.put(b"old").unwrap();
    healthy.sync().unwrap();

    // The flush of the first file fails: after the file's folder, its file, its bytes, its name.
    let fault = Fault::Refuse { first: 5, count: 1, how: Refusal::InputOutput };
    let blobs = FolderBlobs::open_on(Arc::new(FaultyDisk::new(&root, fault)), &root);
    let new = blobs.put(b"new").unwrap();
    blobs.put(b"old").unwrap();
    assert!(matches!(blobs.sync(), Err(StoreError::Io { .. })));
    assert_eq!((blobs.get(new).unwrap(), blobs.get(old).unwrap().is_some()), (None, true));
    blobs.put(b"new").unwrap();
    blobs.sync().unwrap();
    assert!(blobs.get(new).unwrap().is_some());
}

#[test]
fn a_damaged_blob_is_written_anew_by_the_next_put() {
    let (_dir, blobs) = folder();
    let hash = blobs.put(b"owl").unwrap();
    fs::write(blobs.path_of(hash), b"0wl").unwrap();
    blobs.put(b"owl").unwrap();
    assert_eq!(blobs.get(hash).unwrap().as_deref(), Some(&b"owl"[..]));
}
