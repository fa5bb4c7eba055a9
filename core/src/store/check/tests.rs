//! A check finds what is broken, and nothing else.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::FileExt;

use super::*;
use crate::observe::Silent;
use crate::store::Blobs;
use crate::store::faults::a_whole_state;
use crate::store::samples::at;

mod agent;
mod patient;
mod project;

fn looked(dir: &Path, depth: Depth) -> Report {
    check(dir, depth, at(4 * 24 * 3600), &Silent).unwrap()
}

#[test]
fn a_whole_state_is_whole() {
    let (_parent, dir) = a_whole_state();
    let report = looked(&dir, Depth::Bytes);
    assert_eq!((report.broken, &report.findings[..]), (0, &[][..]));
    assert!(report.rows > 20 && report.blobs >= 10 && report.predictions == 7 && report.audit_lines > 5);
}

#[test]
fn looking_changes_nothing() {
    let (_parent, dir) = a_whole_state();
    let before = fs::read(dir.join(FACTS)).unwrap();
    looked(&dir, Depth::Bytes);
    assert!(fs::read(dir.join(FACTS)).unwrap() == before);
}

#[test]
fn a_running_agent_is_in_the_way() {
    let (_parent, dir) = a_whole_state();
    let _state = State::open(&dir, at(10), None).unwrap();
    let refused = check(&dir, Depth::Rows, at(10), &Silent);
    assert!(matches!(refused, Err(StoreError::Locked(_))));
}

#[test]
fn a_blob_that_is_missing_or_altered_is_named() {
    let (_parent, dir) = a_whole_state();
    let state = State::open(&dir, at(10), None).unwrap();
    let model = state.catalog.model(&"birds".parse().unwrap(), vigie_protocol::ModelNumber(1)).unwrap();
    let weights = state.blobs.path_of(model.weights);
    let whole = fs::read(&weights).unwrap();
    drop(state);

    fs::write(&weights, b"weightz 1").unwrap();
    assert!(looked(&dir, Depth::Rows).is_whole());
    let report = looked(&dir, Depth::Bytes);
    assert_eq!(report.broken, 1);
    assert_eq!(report.findings[0].place, "birds model v1");

    fs::remove_file(&weights).unwrap();
    let report = looked(&dir, Depth::Rows);
    assert_eq!(report.broken, 1);
    assert!(report.findings[0].detail.contains("is missing"), "{report:?}");

    // Putting it again heals it.
    fs::write(&weights, b"weightz 1").unwrap();
    let state = State::open(&dir, at(10), None).unwrap();
    state.blobs.put(&whole).unwrap();
    drop(state);
    assert!(looked(&dir, Depth::Bytes).is_whole());
}

#[test]
fn an_edited_audit_log_is_found_and_a_torn_one_noted() {
    let (_parent, dir) = a_whole_state();
    let path = dir.join(AUDIT);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 5]).unwrap();
    let report = looked(&dir, Depth::Rows);
    assert_eq!((report.broken, report.findings[0].weight), (0, Weight::Note));
    fs::write(&path, text.replacen("\"ada\"", "\"eve\"", 1)).unwrap();
    assert_eq!(looked(&dir, Depth::Rows).broken, 1);
}

/// Every bit of the facts that matters: either the start is refused, or everything is as it was.
#[test]
fn a_flipped_bit_in_the_facts_never_passes_for_a_fact() {
    let (_parent, dir) = a_whole_state();
    let path = dir.join(FACTS);
    let whole = fs::read(&path).unwrap();
    let facts = |dir: &Path| {
        let facts = RedbFacts::open(&dir.join(FACTS), None)?;
        let mut all = Vec::new();
        facts.each(&mut |key, fact| all.push((key.to_vec(), fact.map(|fact| fact.value).ok())))?;
        Ok::<_, StoreError>(all)
    };
    let expected = facts(&dir).unwrap();
    fs::write(&path, &whole).unwrap();

    let (mut refused, mut unharmed) = (0, 0);
    for at_byte in (0..whole.len()).step_by(whole.len() / 400 + 1) {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[whole[at_byte] ^ (1 << (at_byte % 8))], at_byte as u64).unwrap();
        match State::open(&dir, at(10), None) {
            Err(StoreError::Damaged { .. } | StoreError::Io { .. } | StoreError::Database { .. }) => {
                refused += 1
            }
            Err(error) => panic!("byte {at_byte}: {error:?}"),
            Ok(state) => {
                drop(state);
                assert!(facts(&dir).unwrap() == expected, "byte {at_byte} changed a fact unnoticed");
                unharmed += 1;
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(refused > 0 && unharmed > 0, "{refused} refused, {unharmed} unharmed");
}
