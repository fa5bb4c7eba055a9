//! Saying what images show: at the labelling desk with one key each, and of predictions in lists.

use vigie_protocol::IdempotencyKey;
use vigie_protocol::feedback::{LabelQueue, Said};
use vigie_protocol::job::JobSpec;
use vigie_protocol::service::{FeedbackGive, FeedbackWithdraw, JobSubmit};

use super::{Argument, BASE, Command, Kind, Risk, Scope, send};
use crate::tui::effect::{Change, Effects, Request};
use crate::tui::state::{Line, Menu, MenuAction, MenuItem, Overlay, Prompt, PromptKind, State};
use crate::tui::update;
use crate::tui::update::Asked;
use crate::tui::views::{self, Subject};

/// An answer at the desk.
const ANSWER: Command = Command {
    scope: Scope::In(&["label"]),
    risk: Risk::Write,
    method: Some("feedback_give"),
    twin: Some("label answer"),
    enabled: is_asked,
    ..BASE
};

/// Moving over the pictures of a cluster.
const PICTURES: Command = Command { scope: Scope::In(&["label"]), enabled: is_cluster, ..BASE };

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "except",
        doc: "leave the picture out of the answer for its cluster, or take it in again",
        keys: &["space"],
        twin: Some("label answer"),
        run: |state, _, _| update::except(state),
        ..PICTURES
    },
    Command {
        name: "correct",
        doc: "the best class is right",
        keys: &["y"],
        enabled: image_shown,
        run: |state, _, effects| answer(state, Said::Correct, effects),
        ..ANSWER
    },
    Command {
        name: "wrong",
        doc: "it is of another class: pick it from those there are",
        keys: &["w", "/"],
        argument: Argument::Optional(Kind::Class),
        run: |state, class, effects| class_or_ask(state, class, false, effects),
        ..ANSWER
    },
    Command {
        name: "found",
        doc: "it is of a class that does not exist yet: name it",
        keys: &["n"],
        argument: Argument::Optional(Kind::Text),
        run: |state, class, effects| class_or_ask(state, class, true, effects),
        ..ANSWER
    },
    Command {
        name: "unknown",
        doc: "nobody here knows what it is",
        keys: &["u"],
        run: |state, _, effects| answer(state, Said::WrongUnknown, effects),
        enabled: is_image,
        ..ANSWER
    },
    Command {
        name: "skip",
        doc: "go on without an answer",
        keys: &["s", "pgdown"],
        scope: Scope::In(&["label"]),
        enabled: is_asked,
        run: |state, _, _| update::skip(state),
        ..BASE
    },
    Command {
        name: "undo",
        doc: "take the last answer back",
        keys: &["U", "backspace"],
        method: Some("feedback_withdraw"),
        twin: Some("feedback withdraw"),
        enabled: |state| match state.labelling.done.is_empty() {
            false => Ok(()),
            true => Err("there is nothing to undo".to_owned()),
        },
        run: |state, _, effects| update::undo(state, effects),
        ..ANSWER
    },
    Command {
        name: "reveal",
        doc: "show what was predicted; the answer then does not count in the audit",
        keys: &["v"],
        scope: Scope::In(&["label"]),
        enabled: |state| match views::label::desk(state.screen()).map(|desk| desk.queue) {
            Some(LabelQueue::Audit) => is_asked(state),
            _ => Err("only an audit hides it".to_owned()),
        },
        run: |state, _, _| update::reveal(state),
        ..BASE
    },
    Command {
        name: "first",
        doc: "it is of the first class shown",
        keys: &["1"],
        run: |s, _, e| nth(s, 0, e),
        enabled: |s| has(s, 0),
        ..ANSWER
    },
    Command {
        name: "second",
        doc: "it is of the second class shown",
        keys: &["2"],
        run: |s, _, e| nth(s, 1, e),
        enabled: |s| has(s, 1),
        ..ANSWER
    },
    Command {
        name: "third",
        doc: "it is of the third class shown",
        keys: &["3"],
        run: |s, _, e| nth(s, 2, e),
        enabled: |s| has(s, 2),
        ..ANSWER
    },
    Command {
        name: "fourth",
        doc: "it is of the fourth class shown",
        keys: &["4"],
        run: |s, _, e| nth(s, 3, e),
        enabled: |s| has(s, 3),
        ..ANSWER
    },
    Command {
        name: "fifth",
        doc: "it is of the fifth class shown",
        keys: &["5"],
        run: |s, _, e| nth(s, 4, e),
        enabled: |s| has(s, 4),
        ..ANSWER
    },
    Command {
        name: "regroup",
        doc: "group the deferred images by their looks anew",
        keys: &["r"],
        scope: Scope::In(&["label"]),
        risk: Risk::Write,
        method: Some("job_submit"),
        twin: Some("label clusters"),
        run: |state, _, effects| {
            let Some(place) = state.place() else { return };
            let (project, spec) = (Some(place.project.clone()), JobSpec::Cluster { distance: None });
            let key = IdempotencyKey::new();
            let request = Request::SubmitJob(JobSubmit { key, project, spec, after: Vec::new() });
            send(state, place.agent, Change::Ask(request), effects);
        },
        ..BASE
    },
    Command {
        name: "before",
        doc: "the cluster before",
        keys: &["S", "pgup"],
        run: |state, _, _| update::before(state),
        ..PICTURES
    },
    Command {
        name: "picture-left",
        doc: "the picture to the left",
        keys: &["h", "left"],
        run: |state, _, _| update::step(state, -1, 0),
        ..PICTURES
    },
    Command {
        name: "picture-right",
        doc: "the picture to the right",
        keys: &["l", "right"],
        run: |state, _, _| update::step(state, 1, 0),
        ..PICTURES
    },
    Command {
        name: "picture-up",
        doc: "the picture above",
        keys: &["k", "up"],
        run: |state, _, _| update::step(state, 0, -1),
        ..PICTURES
    },
    Command {
        name: "picture-down",
        doc: "the picture below",
        keys: &["j", "down"],
        run: |state, _, _| update::step(state, 0, 1),
        ..PICTURES
    },
    Command {
        name: "feedback",
        doc: "say whether the prediction is right: correct, unknown, withdraw, or the class it is",
        keys: &["F"],
        scope: Scope::In(&["predictions", "prediction"]),
        risk: Risk::Write,
        argument: Argument::Optional(Kind::Feedback),
        method: Some("feedback_give"),
        twin: Some("feedback give"),
        enabled: |state| {
            let prediction = |subject| matches!(subject, Subject::Prediction { .. }).then_some(());
            views::at_hand(state, prediction).ok_or_else(|| "no prediction is selected".to_owned())
        },
        run: feedback,
        ..BASE
    },
];

/// The words of `feedback` that are no classes.
pub(in crate::tui) const WORDS: [&str; 3] = ["correct", "unknown", "withdraw"];

fn is_asked(state: &State) -> Result<(), String> {
    update::asked(state).map(|_| ()).ok_or_else(|| "nothing is asked here".to_owned())
}

fn is_cluster(state: &State) -> Result<(), String> {
    match update::asked(state) {
        Some(Asked::Cluster(_)) => Ok(()),
        Some(Asked::Image(_)) => Err(format!(
            "one picture is asked here; {} goes on without an answer",
            state.keymap.shown("skip")
        )),
        None => Err("nothing is asked here".to_owned()),
    }
}

fn is_image(state: &State) -> Result<(), String> {
    match update::asked(state) {
        Some(Asked::Image(_)) => Ok(()),
        Some(Asked::Cluster(_)) => Err("a cluster is answered with a class".to_owned()),
        None => Err("nothing is asked here".to_owned()),
    }
}

/// Who does not see what was predicted cannot say that it is right.
fn image_shown(state: &State) -> Result<(), String> {
    is_image(state)?;
    if views::label::is_hidden(state) {
        return Err("what was predicted is hidden: name the class".to_owned());
    }
    Ok(())
}

fn answer(state: &mut State, said: Said, effects: &mut Effects) {
    update::answer(state, said, false, effects);
}

/// The n-th class shown beside what is asked.
fn shown(state: &State, n: usize) -> Option<String> {
    match update::asked(state)? {
        Asked::Image(_) => views::label::top(state).get(n).map(|scored| scored.class.clone()),
        Asked::Cluster(_) => views::label::cluster(state)?.predicted.get(n).cloned(),
    }
}

fn has(state: &State, n: usize) -> Result<(), String> {
    shown(state, n).map(|_| ()).ok_or_else(|| "no such class is shown".to_owned())
}

fn nth(state: &mut State, n: usize, effects: &mut Effects) {
    let Some(class) = shown(state, n) else { return };
    // Of a cluster there is no single best class that it could be.
    let best = match update::asked(state) {
        Some(Asked::Image(_)) => views::label::top(state).first(),
        _ => None,
    };
    let said = match best {
        Some(best) => Said::class(&class, &best.class),
        None => Said::Wrong { class },
    };
    update::answer(state, said, false, effects);
}

/// Answers with the class that was typed, or asks for one.
fn class_or_ask(state: &mut State, class: &str, founds: bool, effects: &mut Effects) {
    if class.is_empty() {
        let kind = PromptKind::Class { founds };
        let (candidates, chosen, history, error) = (Vec::new(), None, None, None);
        let line = Line::default();
        state.overlay = Some(Overlay::Prompt(Prompt { kind, line, candidates, chosen, history, error }));
        update::complete(state);
    } else {
        update::answer(state, Said::Wrong { class: class.to_owned() }, founds, effects);
    }
}

/// Says something of the predictions at hand, or asks what.
fn feedback(state: &mut State, argument: &str, effects: &mut Effects) {
    if argument.is_empty() {
        let item = |label: &str, line: &str| MenuItem {
            label: label.to_owned(),
            keys: String::new(),
            reason: None,
            does: MenuAction::Command(line.to_owned()),
        };
        let items = vec![
            item("it is correct", "feedback correct"),
            item("it is wrong, and I do not know what it is", "feedback unknown"),
            item("take back what I said", "feedback withdraw"),
        ];
        let title = "Is the prediction right? (its class: :feedback CLASS)".to_owned();
        state.overlay = Some(Overlay::Menu(Menu { title, items, selected: 0 }));
        return;
    }
    for subject in views::subjects(state) {
        let Subject::Prediction { place, id: prediction } = subject else { continue };
        let (key, project) = (IdempotencyKey::new(), place.project.clone());
        let request = match argument {
            "withdraw" => Request::Withdraw(FeedbackWithdraw { key, project, prediction }),
            word => {
                let said = match word {
                    "correct" => Said::Correct,
                    "unknown" => Said::WrongUnknown,
                    class => Said::Wrong { class: class.to_owned() },
                };
                let (blind, new_class) = (false, false);
                Request::Feedback(FeedbackGive { key, project, prediction, said, blind, new_class })
            }
        };
        send(state, place.agent, Change::Ask(request), effects);
    }
}
