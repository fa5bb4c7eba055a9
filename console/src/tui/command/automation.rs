//! Where data comes from by itself: sources, schedules, the waiting room of classes.

use vigie_protocol::IdempotencyKey;
use vigie_protocol::schedule::Schedule;
use vigie_protocol::service::{SchedulePause, ScheduleRun, SourceCheck};

use super::go::{has_place, in_place};
use super::{Argument, BASE, Command, Kind, Risk, Scope, send};
use crate::tui::effect::{Change, Effects, Request};
use crate::tui::state::{Line, Overlay, Place, Prompt, PromptKind, State, View};
use crate::tui::views::{self, Subject};

/// A change of the schedule at hand.
const OF_SCHEDULE: Command =
    Command { scope: Scope::In(&["schedules", "schedule"]), risk: Risk::Write, ..BASE };

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "sources",
        aliases: &["src"],
        doc: "where the project's images come from again and again",
        keys: &["g s"],
        twin: Some("sources list"),
        enabled: has_place,
        run: |state, _, _| in_place(state, |place| View::Sources { place }),
        ..BASE
    },
    Command {
        name: "schedules",
        aliases: &["sch"],
        doc: "what the agent does by itself for the project, and when",
        keys: &["g c"],
        twin: Some("schedules list"),
        enabled: has_place,
        run: |state, _, _| in_place(state, |place| View::Schedules { place }),
        ..BASE
    },
    Command {
        name: "waiting",
        aliases: &["wait"],
        doc: "the classes that wait to enter reference; with a number as if they needed so many images",
        keys: &["g w"],
        argument: Argument::Optional(Kind::Images),
        twin: Some("classes waiting"),
        enabled: has_place,
        run: waiting,
        ..BASE
    },
    Command {
        name: "simulate",
        doc: "try the rule with another number of images; changes nothing",
        keys: &["t"],
        scope: Scope::In(&["waiting"]),
        twin: Some("classes waiting"),
        run: |state, _, _| {
            let (kind, line) = (PromptKind::Command, Line::new("waiting "));
            let (candidates, chosen, history, error) = (Vec::new(), None, None, None);
            state.overlay = Some(Overlay::Prompt(Prompt { kind, line, candidates, chosen, history, error }));
        },
        ..BASE
    },
    Command {
        name: "check",
        doc: "look now whether the source has something new, and import it",
        keys: &["n"],
        scope: Scope::In(&["sources"]),
        risk: Risk::Write,
        method: Some("source_check"),
        twin: Some("sources check"),
        enabled: |state| match views::subject(state) {
            Some(Subject::Source { .. }) => Ok(()),
            _ => Err("no source is selected".to_owned()),
        },
        run: check,
        ..BASE
    },
    Command {
        name: "pause",
        doc: "let the schedule rest; the text is the reason",
        keys: &["p"],
        argument: Argument::Optional(Kind::Text),
        method: Some("schedule_pause"),
        twin: Some("schedules pause"),
        enabled: |state| any(state, |schedule| schedule.paused.is_none(), "it is paused already"),
        run: |state, reason, effects| pause(state, true, reason, effects),
        ..OF_SCHEDULE
    },
    Command {
        name: "resume",
        doc: "let the paused schedule go on; the text is the reason",
        keys: &["r"],
        argument: Argument::Optional(Kind::Text),
        method: Some("schedule_pause"),
        twin: Some("schedules resume"),
        enabled: |state| any(state, |schedule| schedule.paused.is_some(), "it is not paused"),
        run: |state, reason, effects| pause(state, false, reason, effects),
        ..OF_SCHEDULE
    },
    Command {
        name: "fire",
        doc: "fire the schedule now, besides its own times; a paused one too",
        keys: &["n"],
        method: Some("schedule_run"),
        twin: Some("schedules run"),
        enabled: |state| any(state, |_| true, "no schedule is selected"),
        run: |state, _, effects| {
            for (place, schedule) in at_hand(state) {
                let (key, project, name) = (IdempotencyKey::new(), schedule.project, schedule.name);
                let request = Request::RunSchedule(ScheduleRun { key, project, name });
                send(state, place.agent, Change::Ask(request), effects);
            }
        },
        ..OF_SCHEDULE
    },
];

fn waiting(state: &mut State, argument: &str, _: &mut Effects) {
    let threshold = match argument {
        "" => None,
        number => match number.parse::<u32>() {
            Ok(images) if images > 0 => Some(images),
            _ => return state.say(format!("{number:?} is no number of images"), true),
        },
    };
    in_place(state, |place| View::Waiting { place, threshold });
}

fn check(state: &mut State, _: &str, effects: &mut Effects) {
    for subject in views::subjects(state) {
        if let Subject::Source { place, name } = subject {
            state.say(format!("looking at {name}"), false);
            let (key, project) = (IdempotencyKey::new(), place.project.clone());
            let request = Request::CheckSource(SourceCheck { key, project, name });
            send(state, place.agent, Change::Ask(request), effects);
        }
    }
}

/// The schedules that keys act on: those marked or selected, else the one that the screen is about.
fn at_hand(state: &State) -> Vec<(Place, Schedule)> {
    let found = |subject: Subject| match subject {
        Subject::Schedule { place, project, name } => {
            let status = views::schedule(state, &place, project.as_ref(), &name)?;
            Some((place, status.schedule.clone()))
        }
        _ => None,
    };
    match state.screen().view {
        // Its rows are firings, each about its job.
        View::Schedule { .. } => views::about(state).and_then(found).into_iter().collect(),
        _ => views::subjects(state).into_iter().filter_map(found).collect(),
    }
}

fn any(state: &State, such: impl Fn(&Schedule) -> bool, otherwise: &str) -> Result<(), String> {
    let schedules = at_hand(state);
    match schedules.iter().any(|(_, schedule)| such(schedule)) {
        true => Ok(()),
        false if schedules.is_empty() => Err("no schedule is selected".to_owned()),
        false => Err(otherwise.to_owned()),
    }
}

fn pause(state: &mut State, pause: bool, reason: &str, effects: &mut Effects) {
    let reason = (!reason.is_empty()).then(|| reason.to_owned());
    for (place, schedule) in at_hand(state) {
        if schedule.paused.is_some() == pause {
            continue;
        }
        let (key, project, name) = (IdempotencyKey::new(), schedule.project, schedule.name);
        let request =
            Request::PauseSchedule(SchedulePause { key, project, name, pause, reason: reason.clone() });
        send(state, place.agent, Change::Ask(request), effects);
    }
}
