#![expect(clippy::unwrap_used, reason = "tests")]

use vigie_protocol::classes::UnknownLabels;
use vigie_protocol::dataset::Decision;
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::rules::{ClassRule, UpdatePolicy};
use vigie_protocol::schedule::{
    CatchUp, Firing, FiringCause, FiringState, Schedule, ScheduleAction, ScheduleProgress, ScheduleSpec,
    Trigger,
};
use vigie_protocol::{ProjectName, ScheduleName};

use super::*;
use crate::store::Batch;
use crate::store::conformance::{MemoryFacts, on_each};
use crate::store::samples::{at, decision, name, project};

fn nightly() -> ScheduleName {
    "nightly".parse().unwrap()
}

fn draft(project: Option<&str>, seconds: i64) -> ScheduleDraft {
    ScheduleDraft {
        project: project.map(name),
        name: nightly(),
        spec: ScheduleSpec {
            trigger: Trigger::Interval { seconds: 3_600 },
            action: ScheduleAction::Preprocess,
            catch_up: CatchUp::Once,
            jitter_s: 0,
            description: String::new(),
        },
        at: at(seconds),
        by: "ada".to_owned(),
    }
}

fn due(seconds: i64) -> FiringDraft {
    FiringDraft { cause: FiringCause::Due, due: at(seconds), began: at(seconds), skipped: None }
}

fn through(seen: &Schedule, seconds: i64) -> ScheduleProgress {
    ScheduleProgress { through: at(seconds), ..seen.progress }
}

fn event(text: &str) -> EventDraft {
    EventDraft {
        at: at(9),
        project: None,
        severity: Severity::Info,
        subject: Subject::Agent,
        text: text.to_owned(),
    }
}

fn with_birds(facts: Arc<dyn Facts>) -> Catalog {
    let catalog = Catalog::new(facts);
    catalog.create_project(&project("birds"), None).unwrap();
    catalog
}

fn numbers(catalog: &Catalog, project: Option<&ProjectName>) -> Vec<u64> {
    let page = catalog.firings(project, &nightly(), None, 1_000).unwrap();
    page.items.iter().map(|firing| firing.number).collect()
}

#[test]
fn a_schedule_is_set_by_generation_and_begins_anew() {
    on_each(|facts| {
        let catalog = with_birds(facts);
        catalog.append_event(&event("before")).unwrap();
        let first = catalog.set_schedule(&draft(Some("birds"), 5), 0, None).unwrap();
        assert_eq!(first.progress, ScheduleProgress { through: at(5), anchor: at(5), event: 1, firings: 0 });
        let taken = catalog.set_schedule(&draft(Some("birds"), 6), 0, None);
        assert!(matches!(taken, Err(StoreError::Conflict { .. })));
        let nobody = catalog.set_schedule(&draft(Some("fish"), 6), 0, None);
        assert!(matches!(nobody, Err(StoreError::NotFound { .. })));
        catalog.ask_firing(Some(&name("birds")), &nightly(), "bob", at(7), None).unwrap();
        let second = catalog.set_schedule(&draft(Some("birds"), 8), 1, None).unwrap();
        assert_eq!((second.generation, second.created, second.progress.through), (2, at(5), at(8)));
        assert_eq!(second.progress.firings, 1);

        let of_agent = catalog.set_schedule(&draft(None, 9), 0, None).unwrap();
        assert_eq!(catalog.schedules().unwrap(), [of_agent, second]);
        let unknown = catalog.schedule(None, &"weekly".parse().unwrap()).unwrap_err().to_string();
        assert!(unknown.contains("schedule weekly of the agent"), "{unknown}");
    });
}

#[test]
fn firings_are_laid_down_with_the_progress_or_not_at_all() {
    on_each(|facts| {
        let catalog = with_birds(facts);
        let seen = catalog.set_schedule(&draft(None, 5), 0, None).unwrap();
        let skipped = FiringDraft { skipped: Some("missed".to_owned()), ..due(6) };
        let laid = catalog.settle_schedule(&seen, through(&seen, 7), &[skipped, due(7)]).unwrap();
        let states: Vec<FiringState> = laid.iter().map(|firing| firing.state).collect();
        assert_eq!(states, [FiringState::Skipped, FiringState::Begun]);
        assert_eq!(catalog.open_firings().unwrap(), &laid[1..]);
        // Whoever looked before that has seen an older schedule.
        let stale = catalog.settle_schedule(&seen, through(&seen, 7), &[due(7)]);
        assert!(matches!(stale, Err(StoreError::Conflict { .. })));
        assert_eq!(numbers(&catalog, None), [2, 1]);

        let ended = Firing { state: FiringState::Done, ended: Some(at(8)), ..laid[1].clone() };
        let told = catalog.end_firing(&ended, &event("done")).unwrap().unwrap();
        assert_eq!(catalog.end_firing(&ended, &event("again")).unwrap(), None);
        assert_eq!(catalog.events_since(0, 9).unwrap(), [told]);
        assert_eq!(catalog.open_firings().unwrap(), []);
        assert_eq!(catalog.firings(None, &nightly(), None, 1).unwrap().items, [ended]);
        assert_eq!(catalog.schedules_at_odds().unwrap(), [""; 0]);
    });
}

#[test]
fn the_history_is_bounded() {
    let catalog = with_birds(Arc::new(MemoryFacts::default()));
    let mut seen = catalog.set_schedule(&draft(None, 5), 0, None).unwrap();
    for round in 0..FIRINGS_KEPT as i64 + 5 {
        let laid = catalog.settle_schedule(&seen, through(&seen, round), &[due(round)]).unwrap();
        let ended = Firing { state: FiringState::Done, ..laid[0].clone() };
        catalog.end_firing(&ended, &event("done")).unwrap();
        seen = catalog.schedule(None, &nightly()).unwrap();
    }
    let kept = numbers(&catalog, None);
    assert_eq!((kept.len() as u64, kept[0]), (FIRINGS_KEPT, FIRINGS_KEPT + 5));
    // Ended as begun, which no engine does: the check sees that the two lists differ.
    let asked = catalog.ask_firing(None, &nightly(), "bob", at(7), None).unwrap();
    catalog.end_firing(&asked, &event("done")).unwrap();
    assert_eq!(catalog.schedules_at_odds().unwrap().len(), 1);
}

#[test]
fn a_firing_that_has_not_ended_outlives_the_history() {
    let catalog = with_birds(Arc::new(MemoryFacts::default()));
    let mut seen = catalog.set_schedule(&draft(None, 5), 0, None).unwrap();
    let slow = catalog.settle_schedule(&seen, through(&seen, 6), &[due(6)]).unwrap().remove(0);
    for round in 0..FIRINGS_KEPT as i64 + 5 {
        seen = catalog.schedule(None, &nightly()).unwrap();
        let skipped = FiringDraft { skipped: Some("missed".to_owned()), ..due(round) };
        catalog.settle_schedule(&seen, through(&seen, round), &[skipped]).unwrap();
    }
    assert_eq!(catalog.open_firings().unwrap(), std::slice::from_ref(&slow));
    assert_eq!(numbers(&catalog, None).len() as u64, FIRINGS_KEPT + 1);
    assert_eq!(catalog.schedules_at_odds().unwrap(), [""; 0]);

    let ended = Firing { state: FiringState::Done, ended: Some(at(9)), ..slow };
    assert!(catalog.end_firing(&ended, &event("done")).unwrap().is_some());
    assert_eq!(catalog.open_firings().unwrap(), []);
    assert_eq!(numbers(&catalog, None).len() as u64, FIRINGS_KEPT);
    assert_eq!(catalog.schedules_at_odds().unwrap(), [""; 0]);
}

#[test]
fn only_so_many_firings_wait_for_each_other() {
    let catalog = with_birds(Arc::new(MemoryFacts::default()));
    catalog.set_schedule(&draft(None, 5), 0, None).unwrap();
    catalog.set_schedule(&draft(Some("birds"), 5), 0, None).unwrap();
    let ask = |project: Option<&ProjectName>| catalog.ask_firing(project, &nightly(), "bob", at(7), None);
    for _ in 1..FIRINGS_OPEN {
        ask(None).unwrap();
    }
    let seen = catalog.schedule(None, &nightly()).unwrap();
    let laid = catalog.settle_schedule(&seen, through(&seen, 8), &[due(7), due(8)]).unwrap();
    let states: Vec<FiringState> = laid.iter().map(|firing| firing.state).collect();
    assert_eq!(states, [FiringState::Begun, FiringState::Skipped]);
    assert_eq!(laid[1].detail, "150 firings before it have not ended");
    assert_eq!(catalog.open_firings().unwrap().len(), FIRINGS_OPEN);
    let refused = ask(None).unwrap_err().to_string();
    let said = "150 firings of schedule nightly of the agent have not ended; ask again when some have";
    assert!(refused.contains(said), "{refused}");
    ask(Some(&name("birds"))).expect("another schedule");
}

#[test]
fn open_firings_that_older_builds_let_go_of_are_dropped() {
    on_each(|facts| {
        let catalog = with_birds(facts.clone());
        let seen = catalog.set_schedule(&draft(None, 5), 0, None).unwrap();
        let laid = catalog.settle_schedule(&seen, through(&seen, 7), &[due(6), due(7)]).unwrap();
        let first = Key::of("firing").word("-agent").word("nightly").u64(1).bytes();
        facts.commit(&Batch { deletes: vec![first], ..Batch::default() }).unwrap();
        assert_eq!(catalog.schedules_at_odds().unwrap(), ["an open firing is of no schedule"]);
        assert_eq!(catalog.open_firings().unwrap(), &laid[1..]);
        assert_eq!(catalog.schedules_at_odds().unwrap(), [""; 0]);
    });
}

#[test]
fn a_removed_schedule_leaves_nothing() {
    on_each(|facts| {
        let catalog = with_birds(facts);
        let birds = name("birds");
        catalog.set_schedule(&draft(Some("birds"), 5), 0, None).unwrap();
        let asked = catalog.ask_firing(Some(&birds), &nightly(), "bob", at(7), None).unwrap();
        assert_eq!(asked.cause, FiringCause::Asked { by: "bob".to_owned() });
        catalog.remove_schedule(Some(&birds), &nightly(), None).unwrap();
        assert!(catalog.open_firings().unwrap().is_empty() && numbers(&catalog, Some(&birds)).is_empty());
        assert_eq!(catalog.end_firing(&asked, &event("too late")).unwrap(), None);
        assert!(catalog.remove_schedule(Some(&birds), &nightly(), None).is_err());
        // One of the same name begins with nothing of the old one.
        let anew = catalog.set_schedule(&draft(Some("birds"), 8), 0, None).unwrap();
        assert_eq!((anew.generation, anew.progress.firings), (1, 0));
    });
}

#[test]
fn a_pause_settles_what_falls_into_it() {
    let catalog = with_birds(Arc::new(MemoryFacts::default()));
    catalog.set_schedule(&draft(None, 5), 0, None).unwrap();
    let by_bob = Decision { by: "bob".to_owned(), ..decision(6) };
    let pause =
        |paused: Option<&Decision>, now| catalog.pause_schedule(None, &nightly(), paused, at(now), None);
    let paused = pause(Some(&by_bob), 6).unwrap();
    assert_eq!((paused.generation, paused.paused.as_ref()), (2, Some(&by_bob)));
    assert_eq!(pause(Some(&decision(7)), 7).unwrap(), paused, "it is paused already");
    let resumed = pause(None, 9).unwrap();
    assert_eq!((resumed.generation, resumed.paused, resumed.progress.through), (3, None, at(9)));
}

#[test]
fn the_rules_move_on_with_their_event() {
    on_each(|facts| {
        let catalog = with_birds(facts);
        let birds = name("birds");
        let none = catalog.rules_progress(&birds).unwrap();
        assert_eq!(none, RulesProgress::default());
        let looked = Looked {
            number: 3,
            against: Some(1),
            beside: None,
            class_rule: ClassRule::Smallest,
            percent: 1.0,
            policy: UpdatePolicy::Accept,
            class_list: 2,
            unknown_labels: UnknownLabels::Keep,
            job: None,
        };
        let moved = RulesProgress { production: Some(looked.clone()), ..none.clone() };
        let told = catalog.move_rules(&birds, &none, &moved, Some(&event("looked"))).unwrap();
        assert_eq!(told.map(|event| event.seq), Some(1));
        let stale = catalog.move_rules(&birds, &none, &moved, Some(&event("looked")));
        assert!(matches!(stale, Err(StoreError::Conflict { .. })));
        assert_eq!(catalog.rules_progress(&birds).unwrap(), moved);
        assert_eq!(catalog.newest_event().unwrap(), 1);
        assert!(catalog.move_rules(&name("fish"), &none, &moved, None).is_err());

        let again = Looked { job: Some(vigie_protocol::JobId::new()), ..looked.clone() };
        assert!(looked.is_same(&again) && again.is_same(&looked));
        assert!(!looked.is_same(&Looked { against: Some(2), ..looked.clone() }));
        assert!(!looked.is_same(&Looked { class_list: 3, ..looked.clone() }));
    });
}
