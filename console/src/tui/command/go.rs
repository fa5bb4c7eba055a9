//! Going somewhere.

use vigie_protocol::prediction::PredictionFilter;

use super::{Argument, BASE, Command, Kind, Scope};
use crate::tui::effect::Effect;
use crate::tui::state::{self, Place, State, View};
use crate::tui::views;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "overview",
        aliases: &["home"],
        doc: "the whole fleet at a glance, and what needs attention first",
        keys: &["1"],
        twin: Some("agents health"),
        run: |state, _, _| go(state, View::Overview),
        ..BASE
    },
    Command {
        name: "agents",
        aliases: &["ag"],
        doc: "every agent: link, machine, version",
        keys: &["2"],
        twin: Some("agents list"),
        run: |state, _, _| go(state, View::Agents),
        ..BASE
    },
    Command {
        name: "services",
        aliases: &["svc"],
        doc: "every service of every agent, and since when it is so",
        keys: &["3"],
        twin: Some("agents health"),
        run: |state, _, _| go(state, View::Services),
        ..BASE
    },
    Command {
        name: "projects",
        aliases: &["proj"],
        doc: "every project, and what serves it",
        keys: &["4"],
        twin: Some("projects list"),
        run: |state, _, _| go(state, View::Projects),
        ..BASE
    },
    Command {
        name: "datasets",
        aliases: &["ds"],
        doc: "the dataset versions of the project",
        keys: &["5"],
        twin: Some("datasets list"),
        enabled: has_place,
        run: |state, _, _| in_place(state, |place| View::Datasets { place }),
        ..BASE
    },
    Command {
        name: "changesets",
        aliases: &["cs"],
        doc: "proposed dataset versions of the project",
        keys: &["c"],
        twin: Some("changesets list"),
        enabled: has_place,
        run: |state, _, _| in_place(state, |place| View::ChangeSets { place }),
        ..BASE
    },
    Command {
        name: "jobs",
        aliases: &["j"],
        doc: "background work of every agent: states, progress, who waits for whom",
        keys: &["6"],
        twin: Some("jobs list"),
        run: |state, _, _| go(state, View::Jobs),
        ..BASE
    },
    Command {
        name: "runs",
        aliases: &["r"],
        doc: "the trainings of the project",
        keys: &["7"],
        twin: Some("runs list"),
        enabled: has_place,
        run: |state, _, _| in_place(state, |place| View::Runs { place }),
        ..BASE
    },
    Command {
        name: "models",
        aliases: &["mo"],
        doc: "the model versions of the project and their aliases",
        keys: &["8"],
        twin: Some("models list"),
        enabled: has_place,
        run: |state, _, _| in_place(state, |place| View::Models { place }),
        ..BASE
    },
    Command {
        name: "predictions",
        aliases: &["pr"],
        doc: "the prediction log of the project",
        keys: &["9"],
        argument: Argument::Optional(Kind::Text),
        twin: Some("predictions list"),
        enabled: has_place,
        run: predictions,
        ..BASE
    },
    Command {
        name: "predict",
        doc: "classify an image file, or a sample from the list",
        keys: &["i"],
        argument: Argument::Optional(Kind::File),
        method: Some("predict"),
        twin: Some("predict"),
        enabled: has_place,
        run: predict,
        ..BASE
    },
    Command {
        name: "label",
        doc: "say what images show that nobody knows yet, and audit the model blind",
        keys: &["L"],
        twin: Some("label next"),
        enabled: has_place,
        run: |state, _, _| in_place(state, |place| View::Label { place }),
        ..BASE
    },
    Command {
        name: "events",
        aliases: &["ev"],
        doc: "what happened, on every agent",
        keys: &["0"],
        twin: Some("events list"),
        run: |state, _, _| go(state, View::Events),
        ..BASE
    },
    Command {
        name: "messages",
        aliases: &["msg"],
        doc: "what this console said, and what became of what it asked",
        keys: &["M"],
        run: |state, _, _| go(state, View::Messages),
        ..BASE
    },
    Command {
        name: "help",
        aliases: &["h"],
        doc: "keys and commands of this view, then all others",
        keys: &["?"],
        run: |state, _, _| state.nav.push(View::Help),
        ..BASE
    },
    Command {
        name: "open",
        doc: "go into the selected row",
        keys: &["enter"],
        enabled: |state| match views::subject(state) {
            Some(_) => Ok(()),
            None => Err("nothing is selected".to_owned()),
        },
        run: |state, _, _| {
            match views::subject(state).map(|subject| subject.view()) {
                // What has no view of its own leads on to others.
                Some(view) if view == state.screen().view => links(state),
                Some(view) => follow(state, view),
                None => {}
            }
        },
        ..BASE
    },
    Command {
        name: "links",
        doc: "where the selected row leads: its model, run, dataset version, picture",
        keys: &["o"],
        enabled: |state| match views::links(state).is_empty() {
            false => Ok(()),
            true => Err("nothing selected leads anywhere".to_owned()),
        },
        run: |state, _, _| links(state),
        ..BASE
    },
    Command {
        name: "back",
        doc: "go up; never destroys anything",
        keys: &["esc", "backspace"],
        run: |state, _, _| back(state),
        ..BASE
    },
    Command {
        name: "context",
        aliases: &["ctx"],
        doc: "look at one agent, a group of them, or all",
        argument: Argument::Needed(Kind::Context),
        twin: Some("agents list"),
        run: context,
        ..BASE
    },
    Command {
        name: "project",
        doc: "the project that project views are about",
        argument: Argument::Needed(Kind::Project),
        twin: Some("projects show"),
        run: project,
        ..BASE
    },
    Command {
        name: "reconnect",
        doc: "try the selected agent now instead of waiting",
        scope: Scope::In(&["overview", "agents", "agent", "services"]),
        keys: &["ctrl-r"],
        run: |state, _, effects| {
            if let Some(agent) = views::acting_agent(state) {
                effects.push(Effect::Reconnect(agent));
                let name = state.agent_name(agent).to_owned();
                state.say(format!("trying {name} now"), false);
            }
        },
        ..BASE
    },
];

/// Goes to a view and remembers the project it is about.
pub(in crate::tui) fn follow(state: &mut State, view: View) {
    if let Some(place) = view.place() {
        state.place = Some(place.clone());
    }
    state.nav.push(view);
}

fn go(state: &mut State, view: View) {
    // What was pending or offered belongs to where the user was.
    state.pending.clear();
    state.nav.jump(view);
}

fn links(state: &mut State) {
    let links = views::links(state);
    if links.is_empty() {
        return state.say("it leads nowhere yet", false);
    }
    let items = links.into_iter().map(|(label, view)| state::MenuItem {
        label,
        keys: String::new(),
        reason: None,
        does: state::MenuAction::Go(Box::new(view)),
    });
    let menu = state::Menu { title: "Go to".to_owned(), items: items.collect(), selected: 0 };
    state.overlay = Some(state::Overlay::Menu(menu));
}

pub(super) fn has_place(state: &State) -> Result<(), String> {
    match state.place() {
        Some(_) => Ok(()),
        None => Err("no agent has told of a project yet".to_owned()),
    }
}

pub(super) fn in_place(state: &mut State, view: impl FnOnce(Place) -> View) {
    if let Some(place) = state.place() {
        state.place = Some(place.clone());
        go(state, view(place));
    }
}

fn back(state: &mut State) {
    let screen = state.nav.top_mut();
    if screen.full {
        screen.full = false;
    } else if !screen.table.marks.is_empty() {
        screen.table.marks.clear();
    } else if !screen.table.filter.is_empty() {
        screen.table.filter = Default::default();
    } else if !state.nav.pop() {
        state.say("this is the first screen; q ends the console", false);
    }
}

fn predictions(state: &mut State, argument: &str, _: &mut Vec<Effect>) {
    let Some(place) = state.place() else { return };
    let read = match argument {
        "" => Ok(Default::default()),
        words => views::predictions::parse(words, state, &place),
    };
    match read {
        Ok((filter, rest)) => {
            state.place = Some(place.clone());
            go(state, View::Predictions { place, filter });
            state.nav.top_mut().table.filter = rest;
        }
        Err(error) => state.say(error, true),
    }
}

fn predict(state: &mut State, argument: &str, effects: &mut Vec<Effect>) {
    let Some(place) = state.place() else { return };
    state.place = Some(place.clone());
    if !argument.is_empty() {
        super::predict_file(state, &place, argument, effects);
    }
    go(state, View::Predict { place });
}

fn context(state: &mut State, argument: &str, _: &mut Vec<Effect>) {
    let group = state.fleet.agents.iter().any(|agent| agent.group.as_deref() == Some(argument));
    state.scope = match state.fleet.find(argument) {
        _ if argument == "all" => state::Scope::All,
        Some(agent) => state::Scope::Agent(agent),
        None if group => state::Scope::Group(argument.to_owned()),
        None => return state.say(format!("there is no agent or group {argument:?}"), true),
    };
    state.revision += 1;
    state.place = None;
    state.say(format!("looking at {argument}"), false);
    if state.screen().view.place().is_some() {
        state.nav.jump(View::Overview);
    }
}

fn project(state: &mut State, argument: &str, _: &mut Vec<Effect>) {
    // `birds`, or `birds@gpu1` where several agents have one.
    let (name, agent) =
        argument.split_once('@').map_or((argument, None), |(name, agent)| (name, Some(agent)));
    let found = state.in_scope().find_map(|(index, known)| {
        let glance = known.snapshot.projects.iter().find(|glance| glance.project.name.as_str() == name)?;
        let wanted = agent.is_none_or(|agent| agent == known.name);
        wanted.then(|| Place { agent: index, project: glance.project.name.clone() })
    });
    let Some(place) = found else {
        return state.say(format!("no agent in sight has a project {argument:?}"), true);
    };
    state.place = Some(place.clone());
    let view = match &state.screen().view {
        View::Datasets { .. } => View::Datasets { place },
        View::ChangeSets { .. } => View::ChangeSets { place },
        View::Runs { .. } => View::Runs { place },
        View::Predictions { .. } => View::Predictions { place, filter: PredictionFilter::default() },
        View::Predict { .. } => View::Predict { place },
        View::Sources { .. } => View::Sources { place },
        View::Schedules { .. } => View::Schedules { place },
        View::Waiting { .. } => View::Waiting { place, threshold: None },
        _ => View::Models { place },
    };
    state.nav.jump(view);
}
