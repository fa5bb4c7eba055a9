//! A whole state to damage, row by row.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vigie_protocol::dataset::{ChangeSet, ChangeSetState, DatasetVersion};
use vigie_protocol::event::Event;
use vigie_protocol::feedback::{Feedback, FeedbackState};
use vigie_protocol::job::Lease;
use vigie_protocol::model::{Alias, AliasMove, ModelVersion};
use vigie_protocol::run::Run;
use vigie_protocol::source::Source;
use vigie_protocol::{ChangeSetId, JobId, ModelNumber};

use super::*;
use crate::store::blobs::FolderBlobs;
use crate::store::codec::encode;
use crate::store::key::Key;
use crate::store::{Batch, Facts, Order};

pub(super) const ALIAS: &[u8] = b"alias/birds/production/";
pub(super) const SCHEDULE: &[u8] = b"schedule/birds/nightly-1/";

/// A whole state that is about to be damaged.
pub(super) struct Patient {
    pub(super) dir: PathBuf,
    pub(super) facts: RedbFacts,
    pub(super) blobs: FolderBlobs,
}

/// The row of an alias: what nothing but the store reads.
#[derive(Serialize, Deserialize)]
struct AliasRow {
    alias: Alias,
    before: Vec<ModelNumber>,
}

impl Patient {
    pub(super) fn rows<T: DeserializeOwned>(&self, prefix: &[u8]) -> Vec<(Vec<u8>, T)> {
        let rows = self.facts.scan(prefix, None, Order::Ascending, usize::MAX).unwrap();
        rows.into_iter().map(|(key, fact)| (key, decode("a row", &fact.value).unwrap())).collect()
    }

    /// The first row of a kind that is as wanted.
    pub(super) fn find<T: DeserializeOwned>(
        &self,
        prefix: &[u8],
        wanted: impl Fn(&T) -> bool,
    ) -> (Vec<u8>, T) {
        self.rows(prefix).into_iter().find(|(_, row)| wanted(row)).unwrap()
    }

    pub(super) fn put<T: Serialize>(&self, key: Vec<u8>, row: &T) {
        self.facts.commit(&Batch { puts: vec![(key, encode(row))], ..Batch::default() }).unwrap();
    }

    pub(super) fn delete(&self, key: Vec<u8>) {
        assert!(self.facts.get(&key).unwrap().is_some(), "there is no {}", readable(&key));
        self.facts.commit(&Batch { deletes: vec![key], ..Batch::default() }).unwrap();
    }

    /// Damages the first row that is as wanted.
    pub(super) fn edit_found<T: Serialize + DeserializeOwned>(
        &self,
        prefix: &[u8],
        wanted: impl Fn(&T) -> bool,
        damage: impl FnOnce(&mut T),
    ) {
        let (key, mut row) = self.find(prefix, wanted);
        damage(&mut row);
        self.put(key, &row);
    }

    pub(super) fn edit<T: Serialize + DeserializeOwned>(&self, key: &[u8], damage: impl FnOnce(&mut T)) {
        self.edit_found(key, |_| true, damage);
    }

    pub(super) fn version(&self, damage: impl FnOnce(&mut DatasetVersion)) {
        self.edit(&version(2), damage);
    }

    /// The change-set of the second version of `reference`.
    pub(super) fn set(&self, damage: impl FnOnce(&mut ChangeSet)) {
        let version: DatasetVersion = self.find(&version(2), |_| true).1;
        let wanted = |set: &ChangeSet| set.id == version.change_set;
        self.edit_found(b"change-set/birds/", wanted, damage);
    }

    pub(super) fn proposed(&self, manifest: Hash) {
        let (_, set): (_, ChangeSet) = self.find(b"change-set/birds/", |_| true);
        let id = ChangeSetId::new();
        let set = ChangeSet { id, manifest, state: ChangeSetState::Proposed, accepted_as: None, ..set };
        self.put(Key::of("change-set").word("birds").uuid(id.uuid()).bytes(), &set);
    }

    pub(super) fn model(&self, damage: impl FnOnce(&mut ModelVersion)) {
        self.edit(&model(1), damage);
    }

    pub(super) fn alias(&self, damage: impl FnOnce(&mut Alias)) {
        self.edit(ALIAS, |row: &mut AliasRow| damage(&mut row.alias));
    }

    pub(super) fn moved(&self, number: u64, damage: impl FnOnce(&mut AliasMove)) {
        self.edit(&moved(number), damage);
    }

    pub(super) fn run(&self, damage: impl FnOnce(&mut Run)) {
        self.edit(b"run/birds/", damage);
    }

    pub(super) fn source(&self, damage: impl FnOnce(&mut Source)) {
        self.edit(b"source/birds/feeder-2/", damage);
    }

    pub(super) fn event(&self, wanted: impl Fn(&Event) -> bool, damage: impl FnOnce(&mut Event)) {
        self.edit_found(b"event/", wanted, damage);
    }

    pub(super) fn feedback(&self, state: FeedbackState, damage: impl FnOnce(&mut Feedback)) {
        self.edit_found(b"feedback/birds/", |row: &Feedback| row.state == state, damage);
    }

    pub(super) fn ended_job(&self) -> JobId {
        self.find(b"run/birds/", |_: &Run| true).1.job
    }

    pub(super) fn lease(&self, holder: JobId) {
        let lease = Lease { resource: "gpu".to_owned(), holder, token: 1, since: at(1) };
        self.put(Key::of("lease").text("gpu"), &lease);
    }

    pub(super) fn first_key(&self, prefix: &[u8]) -> Vec<u8> {
        self.facts.scan(prefix, None, Order::Ascending, 1).unwrap().remove(0).0
    }
}

pub(super) fn version(number: u32) -> Vec<u8> {
    Key::of("dataset").word("birds").word("reference").u32(number).bytes()
}

pub(super) fn model(number: u32) -> Vec<u8> {
    Key::of("model").word("birds").u32(number).bytes()
}

pub(super) fn moved(number: u64) -> Vec<u8> {
    Key::of("alias-move").word("birds").word("production").u64(number).bytes()
}

/// Damages a whole state; what the check then finds, in order of the alphabet.
fn findings(damage: fn(&Patient)) -> Vec<String> {
    let (_parent, dir) = a_whole_state();
    let facts = RedbFacts::open(&dir.join(FACTS), None).unwrap();
    let blobs = FolderBlobs::open(&dir.join(BLOBS)).unwrap();
    let patient = Patient { dir: dir.clone(), facts, blobs };
    damage(&patient);
    drop(patient);
    let mut found: Vec<String> =
        looked(&dir, Depth::Bytes).findings.iter().map(|finding| told(&dir, finding)).collect();
    found.sort();
    found
}

/// A finding without what each state has of its own: identities, hashes, binary keys and paths.
fn told(dir: &Path, finding: &Finding) -> String {
    let text = finding.to_string().replace(&dir.display().to_string(), "DIR");
    let own = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        Uuid::parse_str(bare).is_ok() || bare.parse::<Hash>().is_ok() || word.contains("\\x")
    };
    let words = text.split(' ').map(|word| {
        let end = if word.ends_with([':', ';', ',']) { &word[word.len() - 1..] } else { "" };
        if own(word) { format!("…{end}") } else { word.to_owned() }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    match finding.weight {
        Weight::Broken => text,
        Weight::Note => format!("note: {text}"),
    }
}

/// What is damaged, how, and every finding that comes of it.
pub(super) type Case = (&'static str, fn(&Patient), &'static [&'static str]);

pub(super) fn check_all(cases: &[Case]) {
    let mut wrong = String::new();
    for (what, damage, expected) in cases {
        let found = findings(*damage);
        if found != *expected {
            wrong += &format!("{what}:\n  expected {expected:#?}\n  found {found:#?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
