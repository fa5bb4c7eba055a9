//! The labelling desk under keys: the next picture at once, answers in order, refusals put back.

use vigie_protocol::access::Role;
use vigie_protocol::feedback::{LabelQueue, Said};
use vigie_protocol::{ApiError, ErrorCode};

use crate::tui::effect::{Change, Done, Effect, Effects, Request, Ticket};
use crate::tui::event::Event;
use crate::tui::state::{Link, State, View};
use crate::tui::testing::{DARK, LAB, at, birds, now, press, show, text, world};
use crate::tui::{update, views};

fn desk(tab: u8) -> State {
    let mut state = world((120, 40), DARK);
    show(&mut state, View::Label { place: birds() });
    state.nav.top_mut().tab = tab;
    update(&mut state, Event::Second { now: now() });
    state
}

/// What the agent is asked for, in order, with the names of the outcomes.
fn asked(effects: &Effects) -> Vec<(Ticket, Request)> {
    let request = |effect: &Effect| match effect {
        Effect::Change { ticket, change, .. } => match &**change {
            Change::Ask(request) => Some((*ticket, request.clone())),
            Change::PredictFile { .. } => None,
        },
        _ => None,
    };
    effects.iter().filter_map(request).collect()
}

/// What was said, with `(blind)` and `(new)` behind it.
fn said(effects: &Effects) -> Vec<String> {
    let one = |(_, request): (Ticket, Request)| match request {
        Request::Feedback(give) => {
            let [blind, new] = [(give.blind, " (blind)"), (give.new_class, " (new)")]
                .map(|(there, word)| if there { word } else { "" });
            format!("{}{blind}{new}", give.said)
        }
        Request::Withdraw(_) => "withdrawn".to_owned(),
        Request::LabelCluster(answer) => format!("cluster {}: {}", answer.cluster, answer.class),
        other => format!("{other:?}"),
    };
    asked(effects).into_iter().map(one).collect()
}

/// The last digits of the image that is asked for.
fn next(state: &State) -> String {
    let id = views::label::next(state).map(|item| item.prediction.to_string()).unwrap_or_default();
    id[id.len().saturating_sub(2)..].to_owned()
}

#[test]
fn one_key_answers_and_shows_the_next() {
    let check = |tab: u8, keys: &str, expected: &[&str], then: &str| {
        let mut state = desk(tab);
        let effects = press(&mut state, keys);
        assert_eq!(said(&effects), expected, "{keys}");
        assert_eq!(next(&state), then, "{keys}");
    };
    check(0, "y", &["correct"], "02");
    check(0, "1 2", &["correct", "wrong, it is jay"], "03");
    check(0, "5", &[], "01");
    check(0, "u", &["wrong, unknown"], "02");
    check(0, "s space", &[], "03");
    check(0, "w 'kit' enter", &["wrong, it is kite"], "02");
    check(0, "/ 'BARN' enter", &["wrong, it is barn owl"], "02");
    check(0, "w tab tab enter", &["wrong, it is jay"], "02");
    check(0, "w esc", &[], "01");
    check(0, "w enter", &[], "01");
    check(0, "n 'puffin' enter", &["wrong, it is puffin (new)"], "02");
    check(0, ": 'wrong_jay' enter", &["wrong, it is jay"], "02");
    // In the audit what was predicted is hidden, and only who did not look answers blind.
    check(1, "y 1 2", &[], "01");
    check(1, "w 'owl' enter", &["wrong, it is owl (blind)"], "02");
    check(1, "v 2", &["wrong, it is jay"], "02");
    check(1, "v 2 u", &["wrong, it is jay", "wrong, unknown (blind)"], "03");
    // One answer for a whole cluster.
    check(2, "n 'puffin' enter", &["cluster 2: puffin"], "");
    check(2, "1", &["cluster 2: owl"], "");
    check(2, "y u", &[], "");
}

#[test]
fn an_answer_is_taken_back_behind_itself() {
    let mut state = desk(0);
    let effects = press(&mut state, "y 2 U U U");
    assert_eq!(said(&effects), ["correct", "wrong, it is jay", "withdrawn", "withdrawn"]);
    assert_eq!(next(&state), "01");
    assert!(state.toast.as_ref().is_some_and(|toast| toast.text.contains("nothing to undo")));
    press(&mut state, "s");
    assert_eq!(next(&state), "02");
    assert_eq!(said(&press(&mut state, "backspace")), Vec::<String>::new());
    assert_eq!(next(&state), "01");
}

#[test]
fn what_is_refused_is_asked_again() {
    let mut state = desk(0);
    let effects = press(&mut state, "n 'puffin' enter y");
    let tickets: Vec<Ticket> = asked(&effects).into_iter().map(|(ticket, _)| ticket).collect();
    assert_eq!(next(&state), "03");
    let refusal = ApiError::new(ErrorCode::Unavailable, "the disk is full");
    update(&mut state, Event::Done { ticket: tickets[0], at: now(), outcome: Err(refusal) });
    assert_eq!(next(&state), "01");
    let toast = state.toast.as_ref().map(|toast| toast.text.clone()).unwrap_or_default();
    assert!(toast.starts_with("the answer did not count; it is asked again: the disk is full"), "{toast}");
    update(&mut state, Event::Done { ticket: tickets[1], at: now(), outcome: Ok(Done::Said) });
    press(&mut state, "y");
    assert_eq!((next(&state), state.labelling.answered), ("03".to_owned(), 2));

    let mut state = desk(2);
    let effects = press(&mut state, "1");
    assert!(text(&state).contains("no clusters are left"), "{}", text(&state));
    let ticket = asked(&effects)[0].0;
    let refusal = ApiError::new(ErrorCode::Conflict, "the clusters were made anew meanwhile");
    update(&mut state, Event::Done { ticket, at: now(), outcome: Err(refusal) });
    assert!(text(&state).contains("cluster 2 (1 of 1)"), "{}", text(&state));
}

#[test]
fn the_next_pictures_are_asked_for_before_they_are_needed() {
    let mut state = desk(0);
    let pictures = |effects: &Effects| effects.iter().filter(|e| matches!(e, Effect::Picture { .. })).count();
    state.pictures.clear();
    let effects = update(&mut state, Event::Second { now: now() });
    assert_eq!(pictures(&effects), 7);
    // Each answer asks for one more, at the far end.
    assert_eq!(pictures(&press(&mut state, "y")), 1);
    assert_eq!(pictures(&press(&mut state, "y")), 0, "there are eight in all");
}

#[test]
fn the_pace_and_the_rest_are_told() {
    let mut state = desk(0);
    press(&mut state, "y y s y");
    update(&mut state, Event::Second { now: at(606) });
    state.toast = None;
    let screen = text(&state);
    assert!(screen.contains("3 of 8, 30 a minute") && screen.contains("1 skipped"), "{screen}");
    press(&mut state, "y y y y y");
    assert!(text(&state).contains("nothing waits here"), "{}", text(&state));
}

#[test]
fn who_may_only_look_answers_nothing() {
    let mut state = desk(0);
    let mut snapshot = (*state.fleet.agents[0].snapshot).clone();
    if let Link::Connected { role, .. } = &mut snapshot.link {
        *role = Role::Viewer;
    }
    update(&mut state, Event::Agents(vec![(LAB, std::sync::Arc::new(snapshot))]));
    assert_eq!(said(&press(&mut state, "y 1 u U")), Vec::<String>::new());
    assert_eq!(next(&state), "01");
}

#[test]
fn predictions_get_their_feedback_where_they_are_listed() {
    let mut state = world((120, 40), DARK);
    show(&mut state, View::Predictions { place: birds(), filter: Default::default() });
    let effects = press(&mut state, "space space F down enter");
    assert_eq!(said(&effects), ["wrong, unknown", "wrong, unknown"]);
    assert_eq!(said(&press(&mut state, ": 'feedback_kite' enter")).len(), 2);
    assert_eq!(said(&press(&mut state, "esc : 'feedback_withdraw' enter")), ["withdrawn"]);
    let queue = LabelQueue::Deferred;
    assert_eq!(queue.to_string().parse(), Ok(queue));
    assert_eq!(Said::class("owl", "owl"), Said::Correct);
}
