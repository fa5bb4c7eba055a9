//! Scripts of keys and news, and what comes of them.

use std::sync::Arc;

use proptest::prelude::*;
use vigie_protocol::access::Role;
use vigie_protocol::job::JobState;
use vigie_protocol::model::MoveKind;
use vigie_protocol::samples::Sample;
use vigie_protocol::service::AliasMoved;
use vigie_protocol::{ApiError, ErrorCode, JobId, ModelNumber};

use super::update;
use crate::tui::effect::{Change, Done, Effect, Request};
use crate::tui::event::Event;
use crate::tui::key::Key;
use crate::tui::state::{AgentIndex, Link, Overlay, Snapshot, State, View};
use crate::tui::testing::{DARK, LAB, at, birds, every_view, now, press, show, text, world};
use crate::tui::views::{self, Subject};

const SIZE: (u16, u16) = (120, 40);

fn changes(effects: &[Effect]) -> Vec<Request> {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::Change { change, .. } => Some((**change).clone()),
        _ => None,
    });
    asked
        .filter_map(|change| match change {
            Change::Ask(request) => Some(request),
            Change::PredictFile { .. } => None,
        })
        .collect()
}

fn models() -> State {
    let mut state = world(SIZE, DARK);
    show(&mut state, View::Models { place: birds() });
    state
}

fn promoted(state: &mut State) -> Vec<Effect> {
    let (&ticket, _) = state.asked.first_key_value().expect("asked");
    let mut moved = AliasMoved::sample();
    moved.alias.project = birds().project;
    (moved.alias.model, moved.moved.to, moved.moved.from) =
        (ModelNumber(8), ModelNumber(8), Some(ModelNumber(7)));
    (moved.moved.kind, moved.moved.generation) = (MoveKind::Promote, 3);
    update(state, Event::Done { ticket, at: now(), outcome: Ok(Done::Moved(Box::new(moved))) })
}

/// The newest snapshot of the lab, changed.
fn lab(state: &State, change: impl FnOnce(&mut Snapshot)) -> Event {
    let mut snapshot = (*state.fleet.agents[0].snapshot).clone();
    change(&mut snapshot);
    Event::Agents(vec![(LAB, Arc::new(snapshot))])
}

#[test]
fn a_promotion_needs_its_name_typed() {
    let mut state = models();
    assert_eq!(changes(&press(&mut state, "P enter enter 'v7' enter")), []);
    assert!(matches!(state.overlay, Some(Overlay::Form(_))));
    let effects = press(&mut state, "backspace backspace 'v8' enter 'x' enter");
    let asked = changes(&effects);
    let [Request::Promote(promote)] = &asked[..] else { panic!("{effects:?}") };
    assert_eq!(
        (promote.candidate, promote.expected_generation, promote.override_gate),
        (ModelNumber(8), 2, true)
    );
}

#[test]
fn a_refused_candidate_needs_a_reason() {
    let mut state = models();
    // The world's gate refuses v8.
    press(&mut state, "P");
    assert!(text(&state).contains("FAILED test-accuracy"), "{}", text(&state));
    assert_eq!(changes(&press(&mut state, "'v8' enter")), []);
    let effects = press(&mut state, "'night_shift' enter");
    let asked = changes(&effects);
    let [Request::Promote(promote)] = &asked[..] else { panic!("{effects:?}") };
    assert_eq!((promote.override_gate, promote.reason.as_deref()), (true, Some("night shift")));
}

#[test]
fn what_was_just_promoted_is_taken_back_with_one_key() {
    let mut state = models();
    press(&mut state, "P 'v8' enter 'x' enter");
    promoted(&mut state);
    assert!(
        state.toast.as_ref().is_some_and(|toast| toast.text.contains("R gives it back to v7")),
        "{:?}",
        state.toast
    );
    let now_holds = lab(&state, |snapshot| {
        let alias = &mut snapshot.projects[0].aliases[0];
        (alias.model, alias.previous, alias.generation) = (ModelNumber(8), Some(ModelNumber(7)), 3);
    });
    update(&mut state, now_holds);
    let effects = press(&mut state, "R");
    let asked = changes(&effects);
    let [Request::Rollback(rollback)] = &asked[..] else { panic!("{effects:?}") };
    assert_eq!(rollback.expected_generation, Some(3));
    // The second time asks: the offer is used up.
    assert_eq!(changes(&press(&mut state, "R")), []);
    assert!(matches!(state.overlay, Some(Overlay::Form(_))));
}

#[test]
fn the_offer_waits_for_no_news_of_the_agent() {
    let mut state = models();
    press(&mut state, "P 'v8' enter 'x' enter");
    promoted(&mut state);
    // What the agent told last was that v7 is in production.
    let effects = press(&mut state, "R");
    let asked = changes(&effects);
    let [Request::Rollback(rollback)] = &asked[..] else { panic!("{effects:?}") };
    assert_eq!(rollback.expected_generation, Some(3));
}

#[test]
fn the_offer_is_for_this_promotion_only() {
    let mut state = models();
    press(&mut state, "P 'v8' enter 'x' enter");
    promoted(&mut state);
    // Others went to v9 and came back: one key would not give it to v7.
    let others = lab(&state, |snapshot| {
        let alias = &mut snapshot.projects[0].aliases[0];
        (alias.model, alias.previous, alias.generation) = (ModelNumber(8), Some(ModelNumber(9)), 5);
    });
    update(&mut state, others);
    assert_eq!(changes(&press(&mut state, "R")), []);
    assert!(text(&state).contains("Roll back to v9"), "{}", text(&state));
}

#[test]
fn a_verdict_against_an_earlier_holder_says_nothing() {
    let mut state = models();
    let others = lab(&state, |snapshot| {
        let alias = &mut snapshot.projects[0].aliases[0];
        (alias.model, alias.previous, alias.generation) = (ModelNumber(9), Some(ModelNumber(7)), 3);
    });
    update(&mut state, others);
    press(&mut state, "P");
    assert!(text(&state).contains("the gate is asked when you confirm"), "{}", text(&state));
    let asked = changes(&press(&mut state, "'v8' enter enter"));
    let [Request::Promote(promote)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((promote.expected_generation, promote.override_gate), (3, false));
}

const EDGE: AgentIndex = AgentIndex(1);

/// The world, with jobs on another agent too.
fn two_agents() -> State {
    let mut state = world(SIZE, DARK);
    let mut snapshot = (*state.fleet.agents[1].snapshot).clone();
    if let Link::Connected { role, .. } = &mut snapshot.link {
        *role = Role::Operator;
    }
    snapshot.jobs = state.fleet.agents[0].snapshot.jobs.clone();
    snapshot.jobs.iter_mut().for_each(|job| job.id = JobId::new());
    update(&mut state, Event::Agents(vec![(EDGE, Arc::new(snapshot))]));
    state
}

/// Selects the first row that is about such a thing.
#[track_caller]
fn select(state: &mut State, such: impl Fn(&State, &Subject) -> bool) {
    press(state, "g g");
    for _ in 0..views::shown_rows(state) {
        if views::subject(state).is_some_and(|subject| such(state, &subject)) {
            return;
        }
        press(state, "j");
    }
    panic!("no such row: {}", text(state));
}

#[test]
fn what_is_marked_is_checked_at_its_own_agent() {
    type Spoil = fn(&mut State);
    let read_only: Spoil = |state| state.fleet.agents[0].read_only = true;
    let viewer: Spoil = |state| {
        let viewer = lab(state, |snapshot| {
            if let Link::Connected { role, .. } = &mut snapshot.link {
                *role = Role::Viewer;
            }
        });
        update(state, viewer);
    };
    for (spoil, reason) in [
        (read_only, "the configuration marks lab read-only"),
        (viewer, "needs the role operator; you are viewer on lab"),
    ] {
        for (keys, wanted) in [("T", JobState::Failed), ("X 'yes' enter", JobState::Running)] {
            let mut state = two_agents();
            spoil(&mut state);
            show(&mut state, View::Jobs);
            let of = |agent: AgentIndex| {
                move |state: &State, subject: &Subject| {
                    subject.agent() == agent
                        && views::job(state, subject).is_some_and(|job| job.state == wanted)
                }
            };
            select(&mut state, of(LAB));
            press(&mut state, "space");
            select(&mut state, of(EDGE));
            assert_eq!(changes(&press(&mut state, keys)), [], "{keys}");
            assert!(text(&state).contains(reason), "{keys}: {}", text(&state));
            state.overlay = None;
            state.nav.top_mut().table.marks.clear();
            assert_eq!(changes(&press(&mut state, keys)).len(), 1, "{keys}");
        }
    }
}

#[test]
fn a_rollback_is_of_the_agent_that_is_selected() {
    let mut state = two_agents();
    // The project that was visited last is of another agent, where nothing may be changed.
    state.place = Some(birds());
    state.fleet.agents[0].read_only = true;
    select(&mut state, |_, subject| *subject == Subject::Agent(EDGE));
    press(&mut state, "R");
    assert!(state.overlay.is_none(), "{}", text(&state));
    assert_eq!(
        state.toast.as_ref().map(|toast| toast.text.as_str()),
        Some("rollback: no project is selected")
    );
}

/// Makes the orders that are asked for, as another thread does.
fn orders(state: &State, effects: &[Effect]) -> Vec<Event> {
    let made = effects.iter().filter_map(|effect| match effect {
        Effect::Order(of) => {
            let table = views::table(state)?;
            let order = crate::tui::table::order(&table, of, || false).ok()??;
            Some(Event::Ordered { of: of.clone(), order: Arc::new(order) })
        }
        _ => None,
    });
    made.collect()
}

#[test]
fn the_selected_row_stays_selected_while_a_long_table_is_ordered() {
    let mut state = world(SIZE, DARK);
    let many = lab(&state, |snapshot| {
        let failed = snapshot.jobs.pop().expect("the last one failed");
        let nth = |n: i64| vigie_protocol::job::Job { id: JobId::new(), created: at(n), ..failed.clone() };
        snapshot.jobs = (0..600).map(nth).collect();
    });
    update(&mut state, many);
    show(&mut state, View::Jobs);
    let effects = press(&mut state, "s");
    let [ordered] = &orders(&state, &effects)[..] else { panic!("{effects:?}") };
    update(&mut state, ordered.clone());
    // The last row of the source: with one more before it, its number is none of the old order's.
    let last = views::position_of(&state, 599).expect("it is shown");
    state.nav.top_mut().table.selected = last;
    state.nav.top_mut().table.selected_key = None;
    update(&mut state, Event::Second { now: now() });
    let selected = views::subject(&state).expect("a job");
    let one_more = lab(&state, |snapshot| {
        let mut running = snapshot.jobs[0].clone();
        (running.id, running.state) = (JobId::new(), JobState::Running);
        snapshot.jobs.push(running);
    });
    let effects = update(&mut state, one_more);
    assert_eq!(views::subject(&state).as_ref(), Some(&selected));
    let asked = changes(&press(&mut state, "T"));
    let [Request::RetryJob(retry)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(Subject::Job { agent: LAB, job: retry.job }, selected);
    let [ordered] = &orders(&state, &effects)[..] else { panic!("{effects:?}") };
    update(&mut state, ordered.clone());
    assert_eq!(views::subject(&state).as_ref(), Some(&selected));
    assert_eq!(views::position_of(&state, 600), Some(state.screen().table.selected));
}

#[test]
fn the_offer_ends() {
    let mut state = models();
    press(&mut state, "P 'v8' enter 'x' enter");
    promoted(&mut state);
    update(&mut state, Event::Second { now: at(600 + 601) });
    assert_eq!(state.offer, None);
    assert_eq!(changes(&press(&mut state, "R")), []);
}

#[test]
fn a_gate_that_refuses_offers_the_override() {
    let mut state = models();
    press(&mut state, "P 'v8' enter 'x' enter");
    let (&ticket, _) = state.asked.first_key_value().expect("asked");
    let refused = Err(ApiError::new(ErrorCode::GateRefused, "test-accuracy failed"));
    update(&mut state, Event::Done { ticket, at: now(), outcome: refused });
    let effects = press(&mut state, "'v8' enter 'I_know' enter");
    let asked = changes(&effects);
    let [Request::Promote(promote)] = &asked[..] else { panic!("{effects:?}") };
    assert_eq!((promote.override_gate, promote.reason.as_deref()), (true, Some("I know")));
}

#[test]
fn esc_goes_up_and_never_destroys() {
    let mut state = models();
    press(&mut state, "space space enter");
    assert!(matches!(state.screen().view, View::Model { .. }));
    press(&mut state, "esc");
    assert_eq!(state.screen().table.marks.len(), 2);
    press(&mut state, "esc / 'v7' enter");
    assert_eq!((state.screen().table.marks.len(), views::shown_rows(&state)), (0, 1));
    press(&mut state, "esc");
    assert_eq!(views::shown_rows(&state), 3);
    for _ in 0..5 {
        assert_eq!(changes(&press(&mut state, "esc")), []);
    }
    assert_eq!(state.screen().view, View::Overview);
}

#[test]
fn esc_and_a_key_in_one_packet_are_two_keys() {
    let mut state = models();
    let path = |state: &State| state.nav.path().count();
    let before = path(&state);
    // To a terminal both are Alt and the key; the prompt is closed, then the selection moves.
    press(&mut state, ": alt-j");
    assert!(state.overlay.is_none());
    assert_eq!(path(&state), before);
    press(&mut state, "enter alt-?");
    assert_eq!(state.screen().view, View::Help);
    assert_eq!(path(&state), before + 1, "up from the model, then into the help");
}

#[test]
fn a_form_given_up_does_nothing() {
    let mut state = models();
    assert_eq!(changes(&press(&mut state, "P 'v8' esc")), []);
    assert!(state.overlay.is_none() && state.asked.is_empty());
}

#[test]
fn reasons_are_given_for_what_cannot_be_done() {
    let check = |state: &mut State, keys: &str, reason: &str| {
        assert_eq!(changes(&press(state, keys)), []);
        assert_eq!(state.toast.as_ref().map(|toast| toast.text.as_str()), Some(reason));
    };
    let mut state = models();
    state.read_only = true;
    check(&mut state, "P", "promote: this console was started read-only");
    state.read_only = false;
    state.fleet.agents[0].read_only = true;
    check(&mut state, "P", "promote: the configuration marks lab read-only");
    state.fleet.agents[0].read_only = false;
    let viewer = lab(&state, |snapshot| {
        if let Link::Connected { role, .. } = &mut snapshot.link {
            *role = Role::Viewer;
        }
    });
    update(&mut state, viewer);
    check(&mut state, "P", "promote: needs the role operator; you are viewer on lab");
    let lost = lab(&state, |snapshot| snapshot.link = Link::Connecting);
    update(&mut state, lost);
    check(&mut state, "P", "promote: lab is not connected");
    check(&mut state, ": 'accept' enter", "accept: only in changesets, changeset, review");
    check(&mut state, ": 'fly' enter", "there is no command \"fly\"; ? lists what there is");
    check(&mut state, ": 'theme' enter", "theme what? type :theme PALETTE");
}

#[test]
fn the_palette_completes_and_remembers() {
    let mut state = models();
    press(&mut state, ": 'pred' tab");
    let Some(Overlay::Prompt(prompt)) = &state.overlay else { panic!("no prompt") };
    assert_eq!(prompt.line.text, "predict");
    assert!(prompt.candidates.iter().any(|candidate| candidate.line == "predictions"));
    press(&mut state, "esc : 'theme_mo' tab enter");
    assert_eq!(state.theme.palette, crate::tui::theme::Palette::Mono);
    press(&mut state, ": up");
    let Some(Overlay::Prompt(prompt)) = &state.overlay else { panic!("no prompt") };
    assert_eq!(prompt.line.text, "theme mono");
}

#[test]
fn pasted_text_runs_nothing() {
    let mut state = models();
    let before = state.clone();
    update(&mut state, Event::Paste("P v8\n:quit\n".to_owned()));
    assert_eq!(state.screen(), before.screen());
    press(&mut state, ":");
    update(&mut state, Event::Paste("quit\n".to_owned()));
    assert!(matches!(&state.overlay, Some(Overlay::Prompt(prompt)) if prompt.line.text == "quit"));
}

#[test]
fn a_frozen_screen_stands_still() {
    let mut state = world(SIZE, DARK);
    press(&mut state, "f");
    let before = text(&state);
    let news = lab(&state, |snapshot| snapshot.jobs.clear());
    assert!(update(&mut state, news).is_empty());
    update(&mut state, Event::Second { now: at(700) });
    state.toast = None;
    assert_eq!(text(&state), before);
    press(&mut state, "f");
    assert!(state.fleet.agents[0].snapshot.jobs.is_empty());
}

#[test]
fn the_selected_row_stays_selected_when_others_come() {
    let mut state = world(SIZE, DARK);
    show(&mut state, View::Jobs);
    press(&mut state, "G");
    let selected = state.screen().table.selected_key.clone();
    let news = lab(&state, |snapshot| {
        let mut newer = snapshot.jobs[0].clone();
        newer.id = JobId::new();
        newer.created = at(599);
        snapshot.jobs.push(newer);
    });
    update(&mut state, news);
    assert_eq!(state.screen().table.selected_key, selected);
    assert_eq!(state.screen().table.selected, 3);
}

#[test]
fn a_lost_agent_is_told_once_and_dims() {
    let mut state = world(SIZE, DARK);
    let reason = "the agent fell silent".to_owned();
    let lost = lab(&state, |snapshot| snapshot.link = Link::Waiting { until: at(605), reason });
    update(&mut state, lost.clone());
    update(&mut state, lost);
    assert_eq!(state.messages.iter().filter(|message| message.text.contains("fell silent")).count(), 1);
    assert!(state.fleet.agents[0].is_stale(now()));
    assert!(text(&state).contains("no link: the agent fell silent"), "{}", text(&state));
}

#[test]
fn faults_only_keeps_what_is_wrong() {
    let mut state = world(SIZE, DARK);
    show(&mut state, View::Services);
    assert_eq!(views::shown_rows(&state), 4);
    press(&mut state, "!");
    assert_eq!(views::shown_rows(&state), 3);
}

#[test]
fn predictions_are_filtered_by_the_agent() {
    let mut state = world(SIZE, DARK);
    show(&mut state, View::Predictions { place: birds(), filter: Default::default() });
    press(&mut state, "/ 'class:owl_conf<0.4_model:@production_since:2h_jay' enter");
    let View::Predictions { filter, .. } = &state.screen().view else { panic!("elsewhere") };
    assert_eq!((filter.class.as_deref(), filter.confidence_below), (Some("owl"), Some(0.4)));
    assert_eq!((filter.model, filter.since), (Some(ModelNumber(7)), Some(at(600 - 7_200))));
    assert_eq!(state.screen().table.filter.0, "jay");
    press(&mut state, ": 'predictions' enter");
    assert_eq!(state.screen().view, View::Predictions { place: birds(), filter: Default::default() });
    assert_eq!(state.screen().table.filter.0, "");
}

#[test]
fn everything_leads_on_and_back() {
    let mut state = world(SIZE, DARK);
    show(&mut state, View::Predictions { place: birds(), filter: Default::default() });
    // A prediction, its model, that model's run, its dataset version.
    press(&mut state, "enter o enter");
    assert!(matches!(state.screen().view, View::Model { .. }), "{:?}", state.screen().view);
    press(&mut state, "tab o enter");
    assert!(matches!(state.screen().view, View::Curves { .. }), "{:?}", state.screen().view);
    press(&mut state, "o enter");
    assert!(matches!(state.screen().view, View::Dataset { .. }), "{:?}", state.screen().view);
    press(&mut state, "esc esc esc esc");
    assert!(matches!(state.screen().view, View::Predictions { .. }));
}

/// Any key that a terminal can send.
fn any_key() -> impl Strategy<Value = Key> {
    let named = prop::sample::select(vec![
        "enter",
        "esc",
        "tab",
        "shift-tab",
        "backspace",
        "delete",
        "up",
        "down",
        "left",
        "right",
        "pgup",
        "pgdown",
        "home",
        "end",
        "space",
        "f5",
        "f12",
        "ctrl-l",
        "ctrl-w",
        "ctrl-u",
        "ctrl-space",
        "alt-x",
    ]);
    prop_oneof![
        3 => any::<char>().prop_map(Key::char),
        6 => (0x20_u8..0x7f).prop_map(|c| Key::char(char::from(c))),
        6 => named.prop_map(|name| name.parse().expect("a key")),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => any_key().prop_map(Event::Key),
        1 => ".{0,40}".prop_map(Event::Paste),
        1 => (0_u16..300, 0_u16..100).prop_map(|(width, height)| Event::Resize { width, height }),
        2 => (-9_000_i64..9_000).prop_map(|seconds| Event::Second { now: at(seconds) }),
        1 => Just(Event::Agents(vec![(LAB, Arc::default()), (AgentIndex(99), Arc::default())])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("VIGIE_SOAK").is_some() { 5_000 } else { 60 }))]

    /// Whatever is pressed wherever: no panic, a screen that can be drawn, and no change of anything
    /// whose name was not typed.
    #[test]
    fn any_keys_anywhere(start in 0..29_usize, events in prop::collection::vec(any_event(), 1..60)) {
        let mut state = world((100, 30), DARK);
        let views = every_view();
        show(&mut state, views[start % views.len()].clone());
        for event in events {
            update(&mut state, event);
            let table = &state.screen().table;
            prop_assert!(table.selected == 0 || table.selected < views::shown_rows(&state));
            prop_assert!(table.offset <= table.selected);
            text(&state);
        }
    }
}
