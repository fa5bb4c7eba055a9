//! The labelling desk under keys: the next picture at once, answers in order, refusals put back.

use vigie_protocol::access::Role;
use vigie_protocol::feedback::{LabelQueue, Said};
use vigie_protocol::service::ClusterLabelled;
use vigie_protocol::{ApiError, ErrorCode, PredictionId};

use crate::tui::effect::{Change, Done, Effect, Effects, Request, Ticket};
use crate::tui::event::Event;
use crate::tui::state::{Link, Query, State, View, Want};
use crate::tui::testing::{ASCII, DARK, LAB, at, birds, now, press, show, text, world};
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
        Request::LabelCluster(answer) => {
            let but: Vec<String> = answer.except.iter().map(|id| format!(" but {}", digits(*id))).collect();
            format!("cluster {}{}: {}", answer.cluster, but.concat(), answer.class)
        }
        other => format!("{other:?}"),
    };
    asked(effects).into_iter().map(one).collect()
}

/// The last digits of the image that is asked for.
fn next(state: &State) -> String {
    views::label::next(state).map(|item| digits(item.prediction)).unwrap_or_default()
}

fn digits(id: PredictionId) -> String {
    let id = id.to_string();
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
    check(0, "s s", &[], "03");
    check(0, "space", &[], "01");
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
    // What is not here yet was not seen: no key speaks of it, and the answer is not blind all the same.
    check(1, "s v y 1", &[], "02");
    check(1, "s v u", &["wrong, unknown"], "03");
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
fn an_audit_tells_nothing_before_it_is_asked() {
    let told = ["owl", "jay", "IMG_", "%"];
    let tells = |state: &State| told.into_iter().filter(|word| text(state).contains(word)).count();
    // Of an older agent, which withholds nothing.
    let mut older = desk(1);
    let (project, queue) = (birds().project, LabelQueue::Deferred);
    let deferred = older.answer(LAB, Query::LabelNext { project: project.clone(), queue }).cloned();
    let want = Want { agent: LAB, query: Query::LabelNext { project, queue: LabelQueue::Audit } };
    older.store.arrived(&want, now(), Ok(deferred.expect("the world has a queue")));
    for mut state in [desk(1), older] {
        assert_eq!(tells(&state), 0, "{}", text(&state));
        press(&mut state, "v");
        assert_eq!(tells(&state), 3, "{}", text(&state));
        press(&mut state, "u");
        assert_eq!(tells(&state), 0, "{}", text(&state));
    }
}

#[test]
fn a_cluster_is_answered_but_for_its_exceptions() {
    let check = |size: (u16, u16), keys: &str, expected: &str| {
        let mut state = desk(2);
        state.size = size;
        let effects = press(&mut state, keys);
        assert_eq!(said(&effects).concat(), expected, "{keys}");
    };
    let wide = (120, 40);
    check(wide, "1", "cluster 2: owl");
    check(wide, "space 1", "cluster 2 but 01: owl");
    check(wide, "space space n 'puffin' enter", "cluster 2 but 01 but 02: puffin");
    check(wide, "right l left space 1", "cluster 2 but 02: owl");
    // Six side by side, and four on a small screen; the ends are ends.
    check(wide, "down space 1", "cluster 2 but 07: owl");
    check((80, 24), "j space 1", "cluster 2 but 05: owl");
    check((80, 24), "j j j j space k space 1", "cluster 2 but 05 but 09: owl");
    check(wide, "h k space 1", "cluster 2 but 01: owl");
    // Twice is never; all is nothing to answer for.
    check(wide, "space left space 1", "cluster 2: owl");
    check(wide, "space space space space space space space space space 1", "");
}

#[test]
fn exceptions_outlive_a_refusal_and_another_queue() {
    let mut state = desk(2);
    let effects = press(&mut state, "space 1");
    let ticket = asked(&effects)[0].0;
    let refusal = ApiError::new(ErrorCode::Unavailable, "the disk is full");
    update(&mut state, Event::Done { ticket, at: now(), outcome: Err(refusal) });
    press(&mut state, "tab y shift-tab");
    let effects = press(&mut state, "1");
    assert_eq!(said(&effects), ["cluster 2 but 01: owl"]);
    let (ticket, labelled) = (asked(&effects)[0].0, ClusterLabelled { images: 8, settled: 8 });
    let outcome = Ok(Done::ClusterLabelled(labelled));
    update(&mut state, Event::Done { ticket, at: now(), outcome });
    let toast = state.toast.as_ref().map(|toast| toast.text.as_str());
    assert_eq!(toast, Some("8 images labelled; 1 left out, still deferred"));
}

#[test]
fn exceptions_are_told_under_their_pictures() {
    for (name, size, theme, keys) in [
        ("cluster", (120, 40), DARK, ""),
        ("cluster-left-out", (80, 24), DARK, "space down"),
        ("cluster-ascii", (80, 24), ASCII, "j j space"),
    ] {
        let mut state = desk(2);
        (state.size, state.theme) = (size, theme);
        press(&mut state, keys);
        insta::assert_snapshot!(name, text(&state));
    }
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
fn pictures_that_had_to_go_or_failed_are_asked_for_again() {
    let mut state = desk(0);
    let wanted: Vec<_> =
        views::pictures(&state).into_iter().map(|(shown, cells)| (shown.image, cells)).collect();
    let asked = |effects: &Effects| {
        let image = |effect: &Effect| match effect {
            Effect::Picture { image, .. } => Some(*image),
            _ => None,
        };
        effects.iter().filter_map(image).collect::<Vec<_>>()
    };
    let arrives = |state: &mut State, n: usize, error: Option<&str>, gone: &[usize]| {
        let (image, cells) = wanted[n];
        let gone = gone.iter().map(|n| wanted[*n]).collect();
        update(state, Event::Picture { image, cells, error: error.map(str::to_owned), gone })
    };
    for n in 0..6 {
        assert_eq!(asked(&arrives(&mut state, n, None, &[])), []);
    }
    // The one that is shown comes back; the next one waits until it is shown.
    assert_eq!(asked(&arrives(&mut state, 6, None, &[0, 1])), [wanted[0].0]);
    assert_eq!(asked(&arrives(&mut state, 0, None, &[2])), []);
    let next = asked(&press(&mut state, "y"));
    assert!(next.contains(&wanted[1].0) && !next.contains(&wanted[2].0), "{next:?}");
    assert_eq!(asked(&arrives(&mut state, 1, Some("the link broke"), &[])), []);
    assert!(text(&state).contains("no picture: the link broke"), "{}", text(&state));
    let again = asked(&press(&mut state, "ctrl-l"));
    assert!(again.contains(&wanted[1].0), "{again:?}");
    assert!(text(&state).contains("fetching the picture"), "{}", text(&state));
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
