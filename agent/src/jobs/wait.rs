//! Who may start, and what the others wait for. Pure.

use std::collections::{BTreeSet, HashMap};

use vigie_protocol::job::Wait;
use vigie_protocol::{JobId, Time};

/// A queued job as the decision sees it.
pub(super) struct Candidate<'a> {
    pub(super) id: JobId,
    /// Jobs that must succeed first and have not yet.
    pub(super) pending: &'a BTreeSet<JobId>,
    /// The end of its back-off, while it lasts.
    pub(super) backoff: Option<Time>,
    /// What it claims; not known before `pending` is empty.
    pub(super) resources: &'a [String],
}

/// Whether a queued job starts now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Start,
    Wait(Vec<Wait>),
}

/// Decides over all queued jobs, oldest first. `held` says which job has which resource; what a queued
/// job has itself from the attempt before keeps the others from it.
///
/// A job that waits for one resource keeps its claim on all it needs: younger jobs cannot take them
/// again and again while it waits.
pub(super) fn turns<'a>(
    queue: impl IntoIterator<Item = Candidate<'a>>,
    mut held: HashMap<String, JobId>,
    mut free_slots: usize,
) -> Vec<(JobId, Turn)> {
    let mut turns = Vec::new();
    for Candidate { id, pending, backoff, resources } in queue {
        if !pending.is_empty() {
            let waits = pending.iter().map(|&job| Wait::Job { job }).collect();
            turns.push((id, Turn::Wait(waits)));
            continue;
        }
        if let Some(until) = backoff {
            turns.push((id, Turn::Wait(vec![Wait::Backoff { until }])));
            continue;
        }
        let waits: Vec<Wait> = resources
            .iter()
            .filter_map(|resource| {
                let &holder = held.get(resource).filter(|&&holder| holder != id)?;
                Some(Wait::Lease { resource: resource.clone(), holder })
            })
            .collect();
        for resource in resources {
            held.entry(resource.clone()).or_insert(id);
        }
        let turn = if !waits.is_empty() {
            Turn::Wait(waits)
        } else if free_slots == 0 {
            Turn::Wait(vec![Wait::Slot])
        } else {
            free_slots -= 1;
            Turn::Start
        };
        turns.push((id, turn));
    }
    turns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(resources: &[&str]) -> Vec<String> {
        resources.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn says_who_waits_for_whom() {
        let ids: Vec<JobId> = (0..6).map(|_| JobId::new()).collect();
        let none = BTreeSet::new();
        let after_first = BTreeSet::from([ids[0]]);
        let until = Time::from_micros(5);
        let [a, ab, b, c, d] = [&["a"][..], &["a", "b"], &["b"], &["c"], &["d"]].map(names);
        let candidate =
            |i: usize, pending, backoff, resources| Candidate { id: ids[i], pending, backoff, resources };
        let queue = [
            candidate(1, &after_first, None, &[][..]),
            candidate(2, &none, Some(until), &a),
            candidate(3, &none, None, &ab),
            candidate(4, &none, None, &b),
            candidate(5, &none, None, &c),
            candidate(0, &none, None, &d),
        ];
        let held = HashMap::from([("a".to_owned(), ids[0])]);
        let lease = |resource: &str, holder| Wait::Lease { resource: resource.to_owned(), holder };
        let expected = [
            (ids[1], Turn::Wait(vec![Wait::Job { job: ids[0] }])),
            (ids[2], Turn::Wait(vec![Wait::Backoff { until }])),
            (ids[3], Turn::Wait(vec![lease("a", ids[0])])),
            (ids[4], Turn::Wait(vec![lease("b", ids[3])])),
            (ids[5], Turn::Start),
            (ids[0], Turn::Wait(vec![Wait::Slot])),
        ];
        assert_eq!(turns(queue, held, 1), expected);
    }

    #[test]
    fn what_a_queued_job_still_has_keeps_others_from_it_alone() {
        let [mine, other] = [JobId::new(), JobId::new()];
        let (none, a) = (BTreeSet::new(), names(&["a"]));
        let candidate = |id| Candidate { id, pending: &none, backoff: None, resources: &a };
        let held = HashMap::from([("a".to_owned(), mine)]);
        let wait = Wait::Lease { resource: "a".to_owned(), holder: mine };
        let expected = [(other, Turn::Wait(vec![wait])), (mine, Turn::Start)];
        assert_eq!(turns([other, mine].map(candidate), held, 2), expected);
    }

    proptest! {
        #[test]
        fn two_that_start_never_share(
            wants in proptest::collection::vec(proptest::collection::btree_set(0u8..6, 0..4), 0..12),
            slots in 0usize..5,
        ) {
            let none = BTreeSet::new();
            let wants: Vec<Vec<String>> =
                wants.iter().map(|set| set.iter().map(u8::to_string).collect()).collect();
            let ids: Vec<JobId> = wants.iter().map(|_| JobId::new()).collect();
            let queue = ids.iter().zip(&wants).map(|(&id, resources)| Candidate {
                id, pending: &none, backoff: None, resources,
            });
            let turns = turns(queue, HashMap::new(), slots);
            let mut taken = BTreeSet::new();
            let mut started = 0;
            for ((_, turn), resources) in turns.iter().zip(&wants) {
                if *turn == Turn::Start {
                    started += 1;
                    for resource in resources {
                        prop_assert!(taken.insert(resource.clone()));
                    }
                }
            }
            prop_assert!(started <= slots);
            prop_assert!(started > 0 || slots == 0 || wants.is_empty());
        }
    }
}
