//! Lists of predictions by their feedback, held against a search of all.

#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use vigie_protocol::ModelNumber;
use vigie_protocol::feedback::{Feedback, Said, Vote};

use super::*;
use crate::store::catalog::Voted;
use crate::store::samples::{at, name, prediction, project};

const ENDLESS: Duration = Duration::MAX;

fn birds() -> ProjectName {
    name("birds")
}

fn state() -> (tempfile::TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(&dir.path().join("state"), at(1), None).unwrap();
    state.catalog.create_project(&project("birds"), None).unwrap();
    (dir, state)
}

fn say(state: &State, about: &Prediction, by: &str, said: Said) {
    let voted = Voted { about: Feedback::about(about), picture: false };
    let vote = Vote { by: by.to_owned(), at: at(9), said, blind: by == "blind" };
    state.catalog.give_feedback(&birds(), &voted, &vote, None).unwrap();
}

fn pages(state: &State, filter: &PredictionFilter, limit: usize, budget: Duration) -> Vec<Prediction> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page = state.predictions(&birds(), filter, cursor.as_ref(), limit, budget).unwrap();
        assert!(page.items.len() <= limit);
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

/// Predictions a second apart, the newest first, with what is said of each: nothing, or one of four.
fn logged(state: &State, said: &[u8]) -> Vec<Prediction> {
    let mut all = Vec::new();
    for (n, said) in (0..).zip(said) {
        let mut one = prediction(1_795_219_200_000_000 + n * 1_000_000, 1 + (n as u32 % 2), "owl", 0.5);
        one.id = PredictionId::given_at(one.at);
        state.log.append(&[(birds(), one.clone())]).unwrap();
        let class = "jay".to_owned();
        match said {
            0 => say(state, &one, "ada", Said::Correct),
            1 => say(state, &one, "ada", Said::Wrong { class }),
            2 => say(state, &one, "ada", Said::WrongUnknown),
            3 => {
                say(state, &one, "ada", Said::Correct);
                say(state, &one, "bob", Said::Wrong { class });
            }
            _ => {}
        }
        one.feedback = state.catalog.feedback(&birds(), one.id).unwrap().map(|row| row.note());
        all.insert(0, one);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn lists_hold_what_their_filter_wants(
        said in prop::collection::vec(0..7_u8, 0..40),
        wanted in prop::option::of(0..5_usize),
        model in prop::option::of(1..3_u32),
        (since, until) in (prop::option::of(0..40_i64), prop::option::of(0..40_i64)),
        limit in 1..9_usize,
    ) {
        let (_dir, state) = state();
        let all = logged(&state, &said);
        let moment = |second: i64| Time::from_micros(1_795_219_200_000_000 + second * 1_000_000);
        let filter = PredictionFilter {
            model: model.map(ModelNumber),
            since: since.map(moment),
            until: until.map(moment),
            feedback: wanted.map(|n| FeedbackFilter::WORDS[n].1),
            ..PredictionFilter::default()
        };
        let expected: Vec<Prediction> = all.into_iter().filter(|one| filter.matches(one)).collect();
        for budget in [ENDLESS, Duration::ZERO] {
            prop_assert_eq!(&pages(&state, &filter, limit, budget), &expected);
        }
    }
}

#[test]
fn a_cursor_of_one_list_is_none_of_another() {
    let (_dir, state) = state();
    logged(&state, &[0, 0, 0]);
    let any = PredictionFilter { feedback: Some(FeedbackFilter::Any), ..PredictionFilter::default() };
    let of_feedback = state.predictions(&birds(), &any, None, 1, ENDLESS).unwrap().next.unwrap();
    let of_log = state.predictions(&birds(), &PredictionFilter::default(), None, 1, ENDLESS).unwrap().next;
    for (filter, cursor) in [(any, of_log.unwrap()), (PredictionFilter::default(), of_feedback)] {
        let read = state.predictions(&birds(), &filter, Some(&cursor), 1, ENDLESS);
        assert!(matches!(read, Err(StoreError::BadCursor)), "{cursor:?}");
    }
}

#[test]
fn figures_are_those_of_the_votes() {
    let (_dir, state) = state();
    let settings = vigie_protocol::project::ProjectSettings { audit_percent: 100.0, ..Default::default() };
    let all = logged(&state, &[0, 0, 1, 2, 3, 9, 9, 9]);
    state.catalog.update_project(&birds(), 1, "", &settings, None).unwrap();
    // The three newest are the sample; one of them is not known to who labels it.
    let group: Vec<_> = all[..3].iter().map(|one| (birds(), one.clone())).collect();
    state.catalog.set_aside(&group).unwrap();
    say(&state, &all[0], "blind", Said::Correct);
    say(&state, &all[1], "blind", Said::Wrong { class: "jay".to_owned() });
    say(&state, &all[2], "blind", Said::WrongUnknown);

    let figures = state.accuracy(&birds(), 0).unwrap();
    assert_eq!((figures.feedback.overall.n, figures.feedback.overall.value), (4, 0.5));
    assert_eq!(figures.feedback.undecided, 1, "the disputed one");
    let models: Vec<_> =
        figures.feedback.models.iter().map(|one| (one.model.0, one.accuracy.n, one.accuracy.value)).collect();
    assert_eq!(models, [(2, 2, 0.5), (1, 2, 0.5)]);
    assert_eq!((figures.audit.overall.n, figures.audit.overall.value, figures.audit.undecided), (2, 0.5, 1));
    assert!(figures.caveat.contains("biased"));
    assert_eq!(state.accuracy(&birds(), 1).unwrap().feedback.overall.n, 0, "the newest is disputed");
}

/// The promise of every list: a page within 50 ms, whatever is asked for. Ten thousand are said to be
/// correct and the only wrong one is the oldest.
#[test]
fn what_is_rare_is_found_page_by_page() {
    let (_dir, state) = state();
    let facts = &state.facts;
    let mut rows = Vec::new();
    for n in 0..10_000_i64 {
        let one = prediction(1_795_219_200_000_000 + n * 1_000, 1, "owl", 0.5);
        let one = Prediction { id: PredictionId::given_at(one.at), ..one };
        if n == 0 {
            state.log.append(&[(birds(), one.clone())]).unwrap();
            say(&state, &one, "ada", Said::WrongUnknown);
            continue;
        }
        let mut row = Feedback::about(&one);
        row.votes = vec![Vote { by: "ada".to_owned(), at: at(9), said: Said::Correct, blind: false }];
        row.consensus = vigie_protocol::feedback::Consensus::Correct;
        let key = crate::store::key::Key::of("feedback").word("birds").uuid(one.id.uuid()).bytes();
        rows.push((key, crate::store::codec::encode(&row)));
    }
    use crate::store::Facts;
    facts.commit(&crate::store::Batch { puts: rows, ..Default::default() }).unwrap();
    let filter = PredictionFilter { feedback: Some(FeedbackFilter::WrongUnknown), ..Default::default() };
    assert_eq!(pages(&state, &filter, 10, Duration::from_millis(1)).len(), 1);
    // Without time for more than one look, a page says where it stopped.
    let page = state.predictions(&birds(), &filter, None, 10, Duration::ZERO).unwrap();
    assert!(page.items.is_empty() && page.next.is_some());
}
