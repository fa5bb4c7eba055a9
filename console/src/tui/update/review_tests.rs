//! What keys ask of agents in a review, and of sources and schedules.

use vigie_protocol::Hash;
use vigie_protocol::dataset::ChangeSet;
use vigie_protocol::review::Selection;
use vigie_protocol::samples::Sample;

use super::update;
use crate::tui::effect::{Change, Done, Effect, Effects, Request};
use crate::tui::event::Event;
use crate::tui::state::{Query, State, View};
use crate::tui::testing::{DARK, birds, now, open_set, press, show, text, world};

fn set() -> View {
    View::ChangeSet { place: birds(), id: open_set().id }
}

fn review() -> View {
    View::Review { place: birds(), id: open_set().id, class: None, kind: None }
}

fn at(view: View) -> State {
    let mut state = world((120, 40), DARK);
    show(&mut state, view);
    state
}

fn requests(effects: Effects) -> Vec<Request> {
    let request = |effect| match effect {
        Effect::Change { change, .. } => match *change {
            Change::Ask(request) => Some(request),
            Change::PredictFile { .. } => None,
        },
        _ => None,
    };
    effects.into_iter().filter_map(request).collect()
}

/// Presses the keys, then types the word that the form wants.
#[track_caller]
fn decides(view: View, keys: &str, word: &str, accept: bool, selection: Option<Selection>) {
    let mut state = at(view);
    assert_eq!(requests(press(&mut state, keys)), [], "{keys} acts without asking");
    let asked = requests(press(&mut state, &format!("'{word}' enter")));
    let [Request::Decide(decide)] = asked.as_slice() else { panic!("{keys}: {asked:?}") };
    assert_eq!((decide.change_set, decide.expected_generation), (open_set().id, 1));
    assert_eq!((decide.accept, decide.selection.as_deref()), (accept, selection.as_ref()), "{keys}");
}

fn images(images: &[u8]) -> Vec<Hash> {
    images.iter().map(|n| Hash::from([*n; 32])).collect()
}

#[test]
fn a_part_is_what_was_marked() {
    let of_class = || Some(Selection { classes: vec!["owl".to_owned()], ..Selection::default() });
    let marked = |these: &[u8]| Some(Selection { images: images(these), ..Selection::default() });
    let without = |these: &[u8]| Some(Selection { without: images(these), ..Selection::default() });
    decides(set(), "A", "accept", true, None);
    decides(set(), "X", "reject", false, None);
    decides(set(), "space a", "accept", true, of_class());
    decides(set(), ": 'accept-class_owl' enter", "accept", true, of_class());
    decides(review(), "A", "accept", true, None);
    decides(review(), "X", "reject", false, None);
    decides(review(), "space space a", "accept", true, marked(&[1, 2]));
    decides(review(), "G space B", "accept", true, without(&[4]));
    decides(review(), ": 'accept-class_owl' enter", "accept", true, of_class());
    // What was marked stays so when other images are shown.
    decides(review(), "space tab K C a", "accept", true, marked(&[1]));
}

#[track_caller]
fn says(view: View, keys: &str, wanted: &str) {
    let mut state = at(view);
    assert_eq!(requests(press(&mut state, keys)), [], "{keys}");
    assert!(text(&state).contains(wanted), "{keys}: {wanted:?} is not in\n{}", text(&state));
}

#[test]
fn what_cannot_be_done_says_why() {
    says(review(), "a", "nothing is marked: space marks");
    says(review(), "space space a", "only the changes of the marked images (2) become reference@v4");
    says(review(), "space a", "what is not taken is turned down with the same word");
    says(set(), "X", "nothing of it becomes part of reference");
    says(review(), ": 'accept-class_cat' enter", "the change-set does not change \"cat\"");
    says(review(), ": 'kind_lost' enter", "\"lost\" is none of added|removed|relabelled|moved|all");
    says(View::Schedules { place: birds() }, "j p", "it is paused already");
    says(View::Waiting { place: birds(), threshold: None }, "t 'many' enter", "is no number of images");
    says(View::Sources { place: birds() }, "enter", "that imports it");
}

#[test]
fn a_decision_is_shown_where_it_was_made() {
    let mut state = at(review());
    let effects = press(&mut state, "space a 'accept' enter");
    let ticket = effects.iter().find_map(|effect| match effect {
        Effect::Change { ticket, .. } => Some(*ticket),
        _ => None,
    });
    let decided = ChangeSet { id: open_set().id, accepted_as: Some(4), ..ChangeSet::sample() };
    let outcome = Ok(Done::Decided(Box::new(decided)));
    let ticket = ticket.expect("a change");
    let effects = update(&mut state, Event::Done { ticket, at: now(), outcome });
    let screen = text(&state);
    assert!(screen.contains("accepted as reference@v4, a part of it"), "{screen}");
    let images = |effect: &Effect| matches!(effect, Effect::Fetch { want, .. } if matches!(want.query, Query::ChangeSetImages { .. }));
    assert!(effects.iter().any(images), "the images are those of the part now: {effects:?}");
    press(&mut state, "A");
    assert!(text(&state).contains("accept: it is decided already"), "{}", text(&state));
}

#[test]
fn keys_lead_into_the_images_and_narrow_them() {
    let mut state = at(set());
    press(&mut state, "enter");
    let View::Review { class, .. } = &state.screen().view else { panic!("{:?}", state.screen().view) };
    assert_eq!(class.as_deref(), Some("owl"));
    press(&mut state, "C K");
    assert!(text(&state).contains("added"), "{}", text(&state));
    press(&mut state, ": 'kind_all' enter");
    assert_eq!(state.screen().view, review());
    let mut state = at(View::Waiting { place: birds(), threshold: None });
    press(&mut state, "t '40' enter");
    assert_eq!(state.screen().view, View::Waiting { place: birds(), threshold: Some(40) });
}

#[test]
fn sources_and_schedules_are_asked_by_name() {
    let mut state = at(View::Sources { place: birds() });
    let asked = requests(press(&mut state, "* n"));
    let names = asked.iter().map(|request| match request {
        Request::CheckSource(check) => check.name.to_string(),
        other => panic!("{other:?}"),
    });
    assert_eq!(names.collect::<Vec<_>>(), ["feeder", "server"]);

    let mut state = at(View::Schedules { place: birds() });
    let asked = requests(press(&mut state, "n j r"));
    let [Request::RunSchedule(run), Request::PauseSchedule(resume)] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    assert_eq!((run.name.as_str(), &run.project), ("sweep", &None));
    assert_eq!((resume.name.as_str(), &resume.project), ("nightly", &Some(birds().project)));
    assert!(!resume.pause);

    // On the screen of one schedule keys mean it, whatever its firings are about.
    press(&mut state, "enter");
    let asked = requests(press(&mut state, ": 'resume_it_is_up' enter"));
    let [Request::PauseSchedule(resume)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((resume.name.as_str(), resume.reason.as_deref()), ("nightly", Some("it is up")));
}
