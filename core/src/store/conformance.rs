//! What every implementation of [`Facts`] must do: held against a simple model.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::facts::RedbFacts;
use super::key::readable;
use super::{Batch, Expect, Fact, Facts, Order, Result, StoreError};

/// Facts in memory: the model, and a quick store for other tests.
#[derive(Debug, Default)]
pub(super) struct MemoryFacts(Mutex<(u64, BTreeMap<Vec<u8>, Fact>)>);

impl Facts for MemoryFacts {
    fn get(&self, key: &[u8]) -> Result<Option<Fact>> {
        Ok(self.0.lock().unwrap().1.get(key).cloned())
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Fact)>> {
        let facts = &self.0.lock().unwrap().1;
        let under = facts
            .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, fact)| (key.clone(), fact.clone()));
        Ok(match order {
            Order::Ascending => under
                .filter(|(key, _)| after.is_none_or(|after| key.as_slice() > after))
                .take(limit)
                .collect(),
            Order::Descending => {
                let mut all: Vec<_> =
                    under.filter(|(key, _)| after.is_none_or(|after| key.as_slice() < after)).collect();
                all.reverse();
                all.truncate(limit);
                all
            }
        })
    }

    fn commit(&self, batch: &Batch) -> Result<u64> {
        let (generation, facts) = &mut *self.0.lock().unwrap();
        for expect in &batch.expects {
            match expect {
                Expect::Absent(key) if facts.contains_key(key) => {
                    return Err(StoreError::Exists { what: readable(key) });
                }
                Expect::Generation(key, generation)
                    if facts.get(key).is_none_or(|fact| fact.generation != *generation) =>
                {
                    return Err(StoreError::Conflict { what: readable(key) });
                }
                _ => {}
            }
        }
        *generation += 1;
        for key in &batch.deletes {
            facts.remove(key);
        }
        for (key, value) in &batch.puts {
            facts.insert(key.clone(), Fact { value: value.clone(), generation: *generation });
        }
        Ok(*generation)
    }
}

/// Runs a test on each implementation.
pub(super) fn on_each(test: impl Fn(Arc<dyn Facts>)) {
    test(Arc::new(MemoryFacts::default()));
    let dir = tempfile::tempdir().unwrap();
    test(Arc::new(RedbFacts::open(&dir.path().join("meta.redb"), None).unwrap()));
}

fn put(key: &[u8], value: &[u8]) -> Batch {
    Batch { puts: vec![(key.to_vec(), value.to_vec())], ..Batch::default() }
}

#[test]
fn a_batch_happens_whole_or_not_at_all() {
    on_each(|facts| {
        let first = facts.commit(&put(b"a", b"1")).unwrap();
        assert_eq!(facts.get(b"a").unwrap(), Some(Fact { value: b"1".to_vec(), generation: first }));

        let refused = Batch { expects: vec![Expect::Absent(b"a".to_vec())], ..put(b"b", b"2") };
        assert!(matches!(facts.commit(&refused), Err(StoreError::Exists { .. })));
        let refused =
            Batch { expects: vec![Expect::Generation(b"a".to_vec(), first + 1)], ..put(b"b", b"2") };
        assert!(matches!(facts.commit(&refused), Err(StoreError::Conflict { .. })));
        assert_eq!(facts.get(b"b").unwrap(), None);

        let carried = Batch {
            expects: vec![Expect::Generation(b"a".to_vec(), first), Expect::Absent(b"b".to_vec())],
            puts: vec![(b"b".to_vec(), b"2".to_vec())],
            deletes: vec![b"a".to_vec(), b"never was".to_vec()],
        };
        assert!(facts.commit(&carried).unwrap() > first);
        assert_eq!(facts.get(b"a").unwrap(), None);
        assert_eq!(facts.get(b"b").unwrap().unwrap().value, b"2");
    });
}

#[test]
fn scans_stay_inside_their_prefix() {
    on_each(|facts| {
        for key in ["a/1", "a/2", "a/3", "a-b/1", "b/1"] {
            facts.commit(&put(key.as_bytes(), b"")).unwrap();
        }
        let keys = |prefix: &str, after: Option<&str>, order, limit| -> Vec<String> {
            let rows = facts.scan(prefix.as_bytes(), after.map(str::as_bytes), order, limit).unwrap();
            rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
        };
        use Order::{Ascending, Descending};
        for (prefix, after, order, limit, expected) in [
            ("a/", None, Ascending, 9, vec!["a/1", "a/2", "a/3"]),
            ("a/", None, Ascending, 2, vec!["a/1", "a/2"]),
            ("a/", Some("a/1"), Ascending, 9, vec!["a/2", "a/3"]),
            ("a/", Some("0"), Ascending, 9, vec!["a/1", "a/2", "a/3"]),
            ("a/", Some("z"), Ascending, 9, vec![]),
            ("a/", None, Descending, 2, vec!["a/3", "a/2"]),
            ("a/", Some("a/3"), Descending, 9, vec!["a/2", "a/1"]),
            ("a/", Some("z"), Descending, 9, vec!["a/3", "a/2", "a/1"]),
            ("a/", Some("0"), Descending, 9, vec![]),
            ("", None, Ascending, 9, vec!["a-b/1", "a/1", "a/2", "a/3", "b/1"]),
            ("c", None, Ascending, 9, vec![]),
        ] {
            assert_eq!(keys(prefix, after, order, limit), expected, "{prefix} {after:?} {order:?}");
        }
    });
}

/// One step of a random history. Keys are few, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Commit { puts: Vec<(u8, u8)>, deletes: Vec<u8>, absent: Vec<u8>, unchanged: Vec<u8>, changed: Vec<u8> },
    Scan { after: Option<u8>, descending: bool, limit: usize },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keys = || prop::collection::vec(0..12_u8, 0..3);
    let rarely = || prop::collection::vec(0..12_u8, 0..=1);
    let commit = (prop::collection::vec((0..12_u8, any::<u8>()), 0..4), keys(), rarely(), keys(), rarely())
        .prop_map(|(puts, deletes, absent, unchanged, changed)| Step::Commit {
            puts,
            deletes,
            absent,
            unchanged,
            changed,
        });
    let scan = (prop::option::of(0..12_u8), any::<bool>(), 0..6_usize)
        .prop_map(|(after, descending, limit)| Step::Scan { after, descending, limit });
    prop::collection::vec(prop_oneof![6 => commit, 3 => scan, 1 => Just(Step::Reopen)], 1..25)
}

fn key(n: u8) -> Vec<u8> {
    vec![b'k', n / 4, n % 4]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn redb_does_what_the_model_does(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.redb");
        let model = MemoryFacts::default();
        let mut redb = RedbFacts::open(&path, None).unwrap();
        for step in steps {
            match step {
                Step::Commit { puts, deletes, absent, unchanged, changed } => {
                    let generation = |n: u8| model.get(&key(n)).unwrap().map_or(0, |fact| fact.generation);
                    let mut expects: Vec<Expect> =
                        absent.into_iter().map(|n| Expect::Absent(key(n))).collect();
                    expects.extend(unchanged.into_iter().map(|n| Expect::Generation(key(n), generation(n))));
                    expects.extend(changed.into_iter().map(|n| Expect::Generation(key(n), generation(n) + 1)));
                    let batch = Batch {
                        expects,
                        puts: puts.into_iter().map(|(n, value)| (key(n), vec![value])).collect(),
                        deletes: deletes.into_iter().map(key).collect(),
                    };
                    let expected = model.commit(&batch).map_err(|e| e.to_string());
                    prop_assert_eq!(redb.commit(&batch).map_err(|e| e.to_string()), expected);
                }
                Step::Scan { after, descending, limit } => {
                    let order = if descending { Order::Descending } else { Order::Ascending };
                    let after = after.map(key);
                    for prefix in [&b"k"[..], b"k\x01"] {
                        prop_assert_eq!(
                            redb.scan(prefix, after.as_deref(), order, limit).unwrap(),
                            model.scan(prefix, after.as_deref(), order, limit).unwrap()
                        );
                    }
                }
                Step::Reopen => {
                    drop(redb);
                    redb = RedbFacts::open(&path, None).unwrap();
                }
            }
        }
        prop_assert_eq!(
            redb.scan(b"", None, Order::Ascending, usize::MAX).unwrap(),
            model.scan(b"", None, Order::Ascending, usize::MAX).unwrap()
        );
    }
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meta.redb");
    let _first = RedbFacts::open(&path, None).unwrap();
    assert!(matches!(RedbFacts::open(&path, None), Err(StoreError::Locked(_))));
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meta.redb");
    std::fs::write(&path, b"not a database, not by a long way".repeat(500)).unwrap();
    assert!(RedbFacts::open(&path, None).is_err());
}
