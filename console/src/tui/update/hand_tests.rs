//! What is typed or chosen over a screen is about what was under the user's hand when that was opened.

use std::sync::Arc;

use vigie_protocol::feedback::{Cluster, Clusters};
use vigie_protocol::samples::Sample;
use vigie_protocol::{ApiError, ErrorCode};

use super::update;
use crate::tui::effect::{Effect, Effects, Ticket};
use crate::tui::event::Event;
use crate::tui::state::{Answer, Query, Rows, State, View, Want};
use crate::tui::testing::{DARK, LAB, at, birds, now, press, show, world};

fn shown(view: View, tab: u8) -> State {
    let mut state = world((120, 40), DARK);
    show(&mut state, view);
    state.nav.top_mut().tab = tab;
    update(&mut state, Event::Second { now: now() });
    state
}

fn tickets(effects: &Effects) -> Vec<Ticket> {
    let ticket = |effect: &Effect| match effect {
        Effect::Change { ticket, .. } => Some(*ticket),
        _ => None,
    };
    effects.iter().filter_map(ticket).collect()
}

fn toast(state: &State) -> &str {
    state.toast.as_ref().map_or("", |toast| &toast.text)
}

fn fetched(state: &mut State, query: Query, answer: Answer) {
    update(state, Event::Fetched { want: Want { agent: LAB, query }, at: at(601), answer: Ok(answer) });
}

/// The list of predictions is fetched anew: others took care of these meanwhile.
fn without(state: &mut State, gone: &[&str]) {
    let query = Query::Predictions { project: birds().project, filter: Default::default() };
    let Some(Answer::Predictions(before)) = state.answer(LAB, query.clone()).cloned() else { panic!("none") };
    let left = before.rows.iter().filter(|one| !gone.iter().any(|gone| one.id.to_string().ends_with(gone)));
    let rows = Arc::new(left.cloned().collect());
    fetched(state, query, Answer::Predictions(Rows { rows, next: None }));
}

#[test]
fn rows_that_are_gone_are_not_acted_on_in_place_of_others() {
    let check = |open: &str, gone: &[&str], choose: &str, expected: usize, said: &str| {
        let view = View::Predictions { place: birds(), filter: Default::default() };
        let mut state = shown(view, 0);
        press(&mut state, open);
        without(&mut state, gone);
        let effects = press(&mut state, choose);
        assert_eq!(tickets(&effects).len(), expected, "{open} {choose}");
        assert!(toast(&state).contains(said), "{open} {choose}: {}", toast(&state));
        assert!(state.overlay.is_none() && state.hand.is_none());
    };
    let marked = "a marked row is gone";
    check("space space F", &["01", "02"], "enter", 0, marked);
    check("space space F", &["02"], "enter", 0, marked);
    check("space space : 'feedback_owl'", &["01", "02"], "enter", 0, marked);
    check("space space F", &["08"], "enter", 2, "");
    check("F", &["01"], "enter", 0, "the row is gone");
    check(": 'feedback_owl'", &["01"], "enter", 0, "the row is gone");
    // From a menu into the next one: the row is still the first one's.
    check("m F", &["01"], "enter", 0, "the row is gone");
    check("m", &["01"], "F", 0, "the row is gone");
    check("F", &["02"], "enter", 1, "");
    // What is about no row needs none.
    check(": 'utc'", &["01"], "enter", 0, "");
}

#[test]
fn a_class_is_given_to_the_picture_that_was_shown() {
    for (typed, expected) in [("w 'owl'", 0), ("n 'puffin'", 0), (": 'wrong_owl'", 0), ("m", 0)] {
        let mut state = shown(View::Label { place: birds() }, 0);
        let sent = tickets(&press(&mut state, "y"));
        press(&mut state, typed);
        let refusal = ApiError::new(ErrorCode::Unavailable, "the disk is full");
        update(&mut state, Event::Done { ticket: sent[0], at: now(), outcome: Err(refusal) });
        let effects = press(&mut state, if typed == "m" { "u" } else { "enter" });
        assert_eq!(tickets(&effects).len(), expected, "{typed}");
        assert_eq!(toast(&state), "another picture is asked now: nothing was done", "{typed}");
    }
}

#[test]
fn a_class_is_given_to_the_cluster_that_was_shown() {
    let before = Clusters::sample();
    let first = Cluster { number: 1, ..before.clusters[0].clone() };
    let another_first = Clusters { clusters: vec![first, before.clusters[0].clone()], ..before.clone() };
    let regrouped = Clusters { made: Some(at(599)), ..before.clone() };
    let emptied = Clusters { clusters: Vec::new(), ..before.clone() };
    for (then, expected, said) in [
        (before, 1, ""),
        (another_first, 0, "another cluster is asked now: nothing was done"),
        (regrouped, 0, "another cluster is asked now: nothing was done"),
        (emptied, 0, "nothing is asked here any more: nothing was done"),
    ] {
        let mut state = shown(View::Label { place: birds() }, 2);
        press(&mut state, "w 'owl'");
        let query = Query::LabelClusters { project: birds().project };
        fetched(&mut state, query, Answer::LabelClusters(Arc::new(then)));
        let effects = press(&mut state, "enter");
        assert_eq!((tickets(&effects).len(), toast(&state)), (expected, said));
    }
}
