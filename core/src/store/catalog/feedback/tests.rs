//! Votes and what they do to the queues, on each kind of facts.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use vigie_protocol::dataset::{ChangeSet, Lineage};
use vigie_protocol::prediction::Prediction;
use vigie_protocol::{ChangeSetId, IdempotencyKey, Time};

use super::*;
use crate::store::Facts;
use crate::store::catalog::{Fate, Source, is_drawn};
use crate::store::conformance::{MemoryFacts, on_each};
use crate::store::samples::{at, change_set, decision, name, prediction, project};

fn birds() -> ProjectName {
    name("birds")
}

fn catalog(facts: Arc<dyn Facts>) -> Catalog {
    let catalog = Catalog::new(facts);
    catalog.create_project(&project("birds"), None).unwrap();
    catalog
}

fn in_memory() -> Catalog {
    catalog(Arc::new(MemoryFacts::default()))
}

fn owl(second: i64) -> Prediction {
    prediction(second * 1_000_000, 1, "owl", 0.9)
}

/// `=` correct, `?` wrong and unknown, else the class it is.
fn said(word: &str) -> Said {
    match word {
        "=" => Said::Correct,
        "?" => Said::WrongUnknown,
        class => Said::Wrong { class: class.to_owned() },
    }
}

fn say(catalog: &Catalog, about: &Prediction, by: &str, word: &str) -> Feedback {
    give(catalog, about, true, Vote { by: by.to_owned(), at: at(9), said: said(word), blind: false }, None)
}

fn give(
    catalog: &Catalog,
    about: &Prediction,
    picture: bool,
    vote: Vote,
    receipt: Option<&Receipt>,
) -> Feedback {
    let voted = Voted { about: Feedback::about(about), picture };
    catalog.give_feedback(&birds(), &voted, &vote, receipt).unwrap()
}

fn named(catalog: &Catalog) -> Vec<String> {
    catalog.named_classes(&birds()).unwrap().into_iter().map(|(class, n)| format!("{class} {n}")).collect()
}

#[test]
fn votes_are_replaced_counted_and_taken_back() {
    on_each(|facts| {
        let catalog = catalog(facts);
        let one = owl(10);
        let row = say(&catalog, &one, "ada", "jay");
        assert_eq!((row.votes.len(), row.label(), row.state), (1, Some("jay"), FeedbackState::Open));
        let row = say(&catalog, &one, "ada", "kite");
        assert_eq!((row.votes.len(), row.label(), row.generation), (1, Some("kite"), 2));
        assert_eq!(named(&catalog), ["kite 1"]);
        let row = say(&catalog, &one, "bob", "=");
        assert_eq!((row.consensus, row.state), (Consensus::Disputed, FeedbackState::Deferred));
        let row = say(&catalog, &one, "eve", "kite");
        assert_eq!((row.label(), row.state), (Some("kite"), FeedbackState::Open));
        assert_eq!(named(&catalog), ["kite 2"]);

        for (by, left) in [("mallory", 3), ("bob", 2), ("ada", 1)] {
            let row = catalog.withdraw_feedback(&birds(), one.id, by, true, None).unwrap().unwrap();
            assert_eq!(row.votes.len(), left, "{by}");
        }
        assert_eq!(catalog.withdraw_feedback(&birds(), one.id, "eve", true, None).unwrap(), None);
        assert_eq!(catalog.withdraw_feedback(&birds(), one.id, "eve", true, None).unwrap(), None);
        assert_eq!(catalog.feedback(&birds(), one.id).unwrap(), None);
        assert_eq!(named(&catalog), Vec::<String>::new());
        assert_eq!(catalog.feedback_lists(&birds()).unwrap(), [vec![], vec![]]);
    });
}

#[test]
fn a_client_that_asks_again_counts_once() {
    let catalog = in_memory();
    let key = IdempotencyKey::new();
    let receipt = Receipt { key, method: "feedback_give", request: None, at: at(9), audit: None };
    let vote = Vote { by: "ada".to_owned(), at: at(9), said: Said::Correct, blind: false };
    let first = give(&catalog, &owl(10), true, vote.clone(), Some(&receipt));
    let later = Vote { at: at(99), ..vote };
    assert_eq!(give(&catalog, &owl(10), true, later, Some(&receipt)), first);
    assert_eq!(first.generation, 1);
}

#[test]
fn without_a_picture_it_counts_and_waits_nowhere() {
    let catalog = in_memory();
    let vote = Vote { by: "ada".to_owned(), at: at(9), said: Said::WrongUnknown, blind: false };
    let row = give(&catalog, &owl(10), false, vote, None);
    assert_eq!((row.state, row.consensus.right()), (FeedbackState::NoPicture, Some(false)));
    assert_eq!(catalog.feedback_lists(&birds()).unwrap(), [vec![], vec![]]);
}

#[test]
fn an_erased_prediction_leaves_nothing() {
    let catalog = in_memory();
    let settings = vigie_protocol::project::ProjectSettings {
        audit_percent: 100.0,
        keep_confident: Some(0.5),
        ..Default::default()
    };
    catalog.update_project(&birds(), 1, "", &settings, None).unwrap();
    let one = Prediction { picture_kept: true, ..owl(10) };
    let empty = catalog.facts().scan(b"", None, Order::Ascending, 1_000).unwrap().len();
    catalog.set_aside(&[(birds(), one.clone())]).unwrap();
    say(&catalog, &one, "ada", "jay");
    let clustering = super::super::Clustering {
        made: at(1),
        model: vigie_protocol::ModelNumber(1),
        clusters: vec![vec![one.id, owl(11).id]],
    };
    catalog.save_clustering(&birds(), &clustering).unwrap();
    assert!(catalog.erase_feedback(&birds(), one.id).unwrap().is_some());
    assert_eq!(catalog.clustering(&birds()).unwrap().unwrap().clusters[0].len(), 1);
    // Of all that was written only the clusters are left.
    assert_eq!(catalog.facts().scan(b"", None, Order::Ascending, 1_000).unwrap().len(), empty + 1);
}

#[test]
fn the_audit_sample_is_uniform_and_the_same_everywhere() {
    let ids: Vec<PredictionId> =
        (0..20_000).map(|n| PredictionId::given_at(Time::from_micros(n * 1_000))).collect();
    for percent in [0.0, 1.0, 20.0, 100.0] {
        let drawn = ids.iter().filter(|&&id| is_drawn(id, percent)).count() as f64;
        let expected = 200.0 * f64::from(percent);
        // Five standard deviations.
        let near = 5.0 * (expected * (1.0 - f64::from(percent) / 100.0)).sqrt();
        assert!((drawn - expected).abs() <= near, "{drawn} at {percent} %");
    }
    assert!(ids.iter().all(|&id| !is_drawn(id, 5.0) || is_drawn(id, 6.0)), "a larger sample holds a smaller");
    assert!(!is_drawn(ids[0], f32::NAN));
    let fixed = |n| uuid::Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + n).into();
    let drawn: Vec<u128> = (0..20).filter(|&n| is_drawn(fixed(n), 30.0)).collect();
    // What was drawn once is drawn for ever: samples of different builds must be the same sample.
    assert_eq!(drawn, [0, 3, 7, 10, 14, 17]);
}

#[test]
fn drawn_predictions_wait_until_they_are_labelled_blind() {
    let catalog = in_memory();
    let settings = vigie_protocol::project::ProjectSettings { audit_percent: 100.0, ..Default::default() };
    catalog.update_project(&birds(), 1, "", &settings, None).unwrap();
    let [one, two] = [10, 11].map(|second| Prediction { picture_kept: true, ..owl(second) });
    let without = owl(12);
    let group: Vec<_> = [&one, &two, &without].map(|one| (birds(), one.clone())).into();
    catalog.set_aside(&group).unwrap();
    let due = || catalog.audit_sample_due(&birds(), None, 9).unwrap().items;
    assert_eq!(due(), [two.id, one.id]);

    let row = say(&catalog, &one, "ada", "=");
    assert!(row.audit && due().len() == 2, "who saw the prediction says nothing of the sample");
    let blind = Vote { by: "bob".to_owned(), at: at(9), said: said("jay"), blind: true };
    give(&catalog, &one, true, blind, None);
    assert_eq!(due(), [two.id]);
    // A crash before the draw was known to be written draws again; what is labelled stays labelled.
    catalog.set_aside(&group).unwrap();
    assert_eq!(due(), [two.id]);
    catalog.withdraw_feedback(&birds(), one.id, "bob", true, None).unwrap();
    assert_eq!(due(), [two.id, one.id]);
}

fn proposed(catalog: &Catalog, base: Option<u32>) -> ChangeSetId {
    let set: ChangeSet = change_set("birds", Lineage::Production, base);
    catalog.propose(&set, None).unwrap().id
}

fn state_of(catalog: &Catalog, id: PredictionId) -> FeedbackState {
    catalog.feedback(&birds(), id).unwrap().unwrap().state
}

#[test]
fn what_is_taken_is_settled_with_its_change_set() {
    let catalog = in_memory();
    let all: Vec<Prediction> = (0..5).map(owl).collect();
    let sources: Vec<Source> = all
        .iter()
        .map(|one| {
            let row = say(&catalog, one, "ada", "jay");
            Source::Feedback { prediction: one.id, generation: row.generation }
        })
        .collect();
    // Somebody says something else while the collection runs.
    say(&catalog, &all[4], "ada", "kite");
    let [accepted, rejected, stale] = [None, Some(1), Some(0)].map(|base| proposed(&catalog, base));
    let fates = |n: usize, fate| [(sources[n], fate)];
    catalog.note_fates(&birds(), &fates(0, Fate::Taken), Some((accepted, false))).unwrap();
    catalog.note_fates(&birds(), &fates(1, Fate::Taken), Some((rejected, false))).unwrap();
    catalog.note_fates(&birds(), &fates(2, Fate::Taken), Some((stale, false))).unwrap();
    catalog.note_fates(&birds(), &fates(3, Fate::Gone), None).unwrap();
    catalog.note_fates(&birds(), &fates(4, Fate::Taken), Some((accepted, false))).unwrap();
    catalog.settle_taken(&birds()).unwrap();
    assert_eq!(state_of(&catalog, all[0].id), FeedbackState::Taken { change_set: accepted });
    assert_eq!(catalog.open_feedback(&birds(), None, 9).unwrap().len(), 4);

    catalog.accept(&birds(), accepted, None, &decision(8), None).unwrap();
    for set in [rejected, stale] {
        catalog.reject(&birds(), set, None, &decision(9), None).unwrap();
    }
    catalog.settle_taken(&birds()).unwrap();
    let states: Vec<FeedbackState> = all.iter().map(|one| state_of(&catalog, one.id)).collect();
    use FeedbackState::{NoPicture, Open, Settled};
    // The stale one could not have been accepted: its images are offered again.
    assert_eq!(states, [Settled, Settled, Open, NoPicture, Open]);
    let row = say(&catalog, &all[0], "bob", "jay");
    assert_eq!(row.state, Settled, "it says what was collected");
    assert_eq!(say(&catalog, &all[0], "ada", "kite").state, FeedbackState::Deferred);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_votes_leave_queues_and_counts_right(
        steps in prop::collection::vec((0..4_i64, 0..3_usize, 0..5_usize), 1..40),
    ) {
        let catalog = in_memory();
        let mut expected: BTreeMap<i64, BTreeMap<&str, &str>> = BTreeMap::new();
        let predictions: Vec<Prediction> = (0..4).map(owl).collect();
        for (which, who, what) in steps {
            let by = ["ada", "bob", "eve"][who];
            let about = &predictions[usize::try_from(which).unwrap()];
            match ["=", "?", "jay", "kite", "-"][what] {
                "-" => {
                    catalog.withdraw_feedback(&birds(), about.id, by, true, None).unwrap();
                    expected.entry(which).or_default().remove(by);
                }
                word => {
                    say(&catalog, about, by, word);
                    expected.entry(which).or_default().insert(by, word);
                }
            }
        }
        expected.retain(|_, votes| !votes.is_empty());
        let rows = catalog.feedback_page(&birds(), None, 100).unwrap().items;
        prop_assert_eq!(rows.len(), expected.len());
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let [open, deferred] = catalog.feedback_lists(&birds()).unwrap();
        for row in &rows {
            let votes = &expected[&(row.at.as_micros() / 1_000_000)];
            prop_assert_eq!(row.votes.len(), votes.len());
            for vote in &row.votes {
                prop_assert_eq!(&vote.said, &said(votes[vote.by.as_str()]));
                if let Said::Wrong { class } = &vote.said {
                    *counts.entry(class.clone()).or_default() += 1;
                }
            }
            prop_assert_eq!(row.label().is_some(), open.contains(&row.prediction));
            prop_assert_eq!(row.label().is_none(), deferred.contains(&row.prediction));
        }
        prop_assert_eq!(open.len() + deferred.len(), rows.len());
        prop_assert_eq!(catalog.named_classes(&birds()).unwrap(), counts.into_iter().collect::<Vec<_>>());
    }
}
