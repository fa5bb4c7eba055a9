//! Looking closer: charts, heat maps, comparisons.

use vigie_protocol::{AliasName, ModelNumber};

use super::{Argument, BASE, Command, Kind, Scope};
use crate::tui::effect::Effects;
use crate::tui::state::{Place, State, View};
use crate::tui::views::{self, Subject};

const CHART: Command = Command { scope: Scope::In(&["curves"]), ..BASE };
const HEAT: Command = Command { scope: Scope::In(&["confusion"]), ..BASE };

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "zoom-in",
        doc: "zoom in",
        keys: &["+", "="],
        run: |s, _, _| views::runs::zoom(s, true),
        ..CHART
    },
    Command {
        name: "zoom-out",
        doc: "zoom out",
        keys: &["-"],
        run: |s, _, _| views::runs::zoom(s, false),
        ..CHART
    },
    Command {
        name: "crosshair-left",
        doc: "read off further left",
        keys: &["h", "left"],
        run: |s, _, _| views::runs::crosshair(s, -1),
        ..CHART
    },
    Command {
        name: "crosshair-right",
        doc: "read off further right",
        keys: &["l", "right"],
        run: |s, _, _| views::runs::crosshair(s, 1),
        ..CHART
    },
    Command {
        name: "log-y",
        doc: "logarithmic or linear axis",
        keys: &["L"],
        run: |state, _, _| {
            let chart = &mut state.nav.top_mut().chart;
            chart.log_y = !chart.log_y;
        },
        ..CHART
    },
    Command {
        name: "curves",
        doc: "draw the marked runs over one another",
        keys: &["v"],
        scope: Scope::In(&["runs"]),
        twin: Some("runs compare"),
        enabled: |state| match views::subjects(state).iter().any(|s| matches!(s, Subject::Run { .. })) {
            true => Ok(()),
            false => Err("no run is selected; space marks several".to_owned()),
        },
        run: |state, _, _| {
            let mut runs = Vec::new();
            let mut at = None;
            for subject in views::subjects(state) {
                if let Subject::Run { place, run } = subject {
                    at = Some(place);
                    runs.push(run);
                }
            }
            if let Some(place) = at {
                super::follow(state, View::Curves { place, runs });
            }
        },
        ..BASE
    },
    Command {
        name: "heat-up",
        doc: "class above",
        keys: &["k", "up"],
        run: |s, _, _| views::models::steer(s, -1, 0),
        ..HEAT
    },
    Command {
        name: "heat-down",
        doc: "class below",
        keys: &["j", "down"],
        run: |s, _, _| views::models::steer(s, 1, 0),
        ..HEAT
    },
    Command {
        name: "heat-left",
        doc: "class to the left",
        keys: &["h", "left"],
        run: |s, _, _| views::models::steer(s, 0, -1),
        ..HEAT
    },
    Command {
        name: "heat-right",
        doc: "class to the right",
        keys: &["l", "right"],
        run: |s, _, _| views::models::steer(s, 0, 1),
        ..HEAT
    },
    Command {
        name: "heat-in",
        doc: "fewer classes, down to their counts",
        keys: &["+", "="],
        run: |s, _, _| views::models::zoom(s, true),
        ..HEAT
    },
    Command {
        name: "heat-out",
        doc: "more classes in less room",
        keys: &["-"],
        run: |s, _, _| views::models::zoom(s, false),
        ..HEAT
    },
    Command {
        name: "confusion",
        doc: "the confusion matrix of the model version",
        keys: &["C"],
        scope: Scope::In(&["models", "model", "compare", "gate"]),
        twin: Some("models show"),
        enabled: |state| views::model_at_hand(state).map(|_| ()),
        run: |state, _, _| {
            if let Ok((place, number)) = views::model_at_hand(state) {
                super::follow(state, View::Confusion { place, number });
            }
        },
        ..BASE
    },
    Command {
        name: "compare",
        doc: "hold the model version against production, or against another",
        keys: &["v"],
        scope: Scope::In(&["models", "model", "gate", "confusion"]),
        argument: Argument::Optional(Kind::Text),
        twin: Some("models compare"),
        enabled: |state| views::model_at_hand(state).map(|_| ()),
        run: compare,
        ..BASE
    },
    Command {
        name: "gate",
        doc: "what the gate says of the model version",
        keys: &["g t"],
        scope: Scope::In(&["models", "model", "compare", "confusion"]),
        twin: Some("models gate"),
        enabled: |state| views::model_at_hand(state).map(|_| ()),
        run: |state, _, _| {
            if let Ok((place, candidate)) = views::model_at_hand(state) {
                let alias = AliasName::production();
                super::follow(state, View::Gate { place, candidate, alias });
            }
        },
        ..BASE
    },
    Command {
        name: "history",
        doc: "every move of production: who, when, why, on what evidence",
        keys: &["H"],
        scope: Scope::In(&["models", "model", "gate", "projects"]),
        twin: Some("models history"),
        enabled: |state| match views::subject_place(state).or_else(|| state.place()) {
            Some(_) => Ok(()),
            None => Err("no project is selected".to_owned()),
        },
        run: |state, _, _| {
            if let Some(place) = views::subject_place(state).or_else(|| state.place()) {
                super::follow(state, View::Aliases { place, alias: AliasName::production() });
            }
        },
        ..BASE
    },
    Command {
        name: "diff",
        doc: "what changed against the version before, or between two marked versions",
        keys: &["d"],
        scope: Scope::In(&["datasets", "dataset"]),
        twin: Some("datasets diff"),
        enabled: |state| versions(state).map(|_| ()),
        run: |state, _, _| {
            if let Ok((place, from, to)) = versions(state) {
                super::follow(state, View::DatasetDiff { place, from, to });
            }
        },
        ..BASE
    },
    Command {
        name: "images",
        doc: "the pictures of the dataset version, or of the selected class",
        keys: &["p"],
        scope: Scope::In(&["datasets", "dataset"]),
        twin: Some("datasets images"),
        enabled: |state| {
            let has =
                |subject| matches!(subject, Subject::Dataset { .. } | Subject::Class { .. }).then_some(());
            views::at_hand(state, has).ok_or_else(|| "no dataset version is selected".to_owned())
        },
        run: |state, _, _| {
            let view = match views::subject(state).or_else(|| views::about(state)) {
                Some(Subject::Dataset { place, dataset }) => {
                    View::Images { place, dataset, class: None, split: None }
                }
                Some(subject) => subject.view(),
                None => return,
            };
            super::follow(state, view);
        },
        ..BASE
    },
    Command {
        name: "log",
        doc: "what the agent says of itself",
        keys: &["e"],
        scope: Scope::In(&["overview", "agents", "agent", "services", "events", "jobs", "job"]),
        method: Some("agent_log"),
        twin: Some("agents log"),
        run: |state, _, _| {
            if let Some(agent) = views::acting_agent(state) {
                super::follow(state, View::Log { agent });
            }
        },
        ..BASE
    },
];

fn compare(state: &mut State, argument: &str, _: &mut Effects) {
    let Ok((place, candidate)) = views::model_at_hand(state) else { return };
    let marked: Vec<ModelNumber> = views::subjects(state)
        .into_iter()
        .filter_map(|subject| match subject {
            Subject::Model { number, .. } => Some(number),
            _ => None,
        })
        .collect();
    let production = || {
        let aliases = &state.glance(&place)?.aliases;
        Some(aliases.iter().find(|held| held.name == AliasName::production())?.model)
    };
    let (candidate, base) = match (argument, marked.as_slice()) {
        ("", [first, second]) => (*first.max(second), Some(*first.min(second))),
        ("", _) => (candidate, production()),
        (typed, _) => match typed.parse() {
            Ok(base) => (candidate, Some(base)),
            Err(_) => return state.say(format!("{typed:?} is not a model version such as v7"), true),
        },
    };
    match base {
        Some(base) if base != candidate => {
            super::follow(state, View::Compare { place, candidate, base });
        }
        Some(_) => state.say(
            format!("{candidate} is in production; mark two versions with space, or type :compare v3"),
            false,
        ),
        None => {
            state.say("nothing is in production; mark two versions with space, or type :compare v3", false)
        }
    }
}

type Versions = (Place, Option<vigie_protocol::dataset::DatasetRef>, vigie_protocol::dataset::DatasetRef);

/// The two versions to hold against each other.
fn versions(state: &State) -> Result<Versions, String> {
    let mut marked: Vec<_> = views::subjects(state)
        .into_iter()
        .filter_map(|subject| match subject {
            Subject::Dataset { place, dataset } => Some((place, dataset)),
            _ => None,
        })
        .collect();
    marked.sort_by_key(|(_, dataset)| *dataset);
    match marked.as_slice() {
        [] => match views::about(state) {
            Some(Subject::Dataset { place, dataset }) => Ok((place, before(dataset), dataset)),
            _ => Err("no dataset version is selected".to_owned()),
        },
        [(place, dataset)] => Ok((place.clone(), before(*dataset), *dataset)),
        [(place, from), (_, to)] => Ok((place.clone(), Some(*from), *to)),
        _ => Err("two versions at most can be held against each other".to_owned()),
    }
}

fn before(dataset: vigie_protocol::dataset::DatasetRef) -> Option<vigie_protocol::dataset::DatasetRef> {
    let number = dataset.number.checked_sub(1).filter(|number| *number > 0)?;
    Some(vigie_protocol::dataset::DatasetRef { number, ..dataset })
}
