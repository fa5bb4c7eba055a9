//! Deciding on change-sets: whole, or a part of them.

use vigie_protocol::IdempotencyKey;
use vigie_protocol::dataset::{ChangeKind, ChangeSet};
use vigie_protocol::review::{MAX_SELECTED, Selection};
use vigie_protocol::service::ChangeSetDecide;

use super::{Argument, BASE, Command, Kind, Risk, Scope, follow};
use crate::out::{count, words};
use crate::tui::effect::{Change, Effects, Request};
use crate::tui::state::{Field, Form, FormAction, Overlay, Place, State, View};
use crate::tui::views;

/// What can become of an image, by its word.
pub(in crate::tui) const CHANGES: [(&str, Option<ChangeKind>); 5] = [
    ("all", None),
    ("added", Some(ChangeKind::Added)),
    ("removed", Some(ChangeKind::Removed)),
    ("relabelled", Some(ChangeKind::Relabelled)),
    ("moved", Some(ChangeKind::Moved)),
];

/// A decision.
const DECIDE: Command = Command {
    scope: Scope::In(&["changesets", "changeset", "review"]),
    risk: Risk::Grave,
    method: Some("change_set_decide"),
    twin: Some("changesets accept"),
    enabled: undecided,
    ..BASE
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "accept",
        doc: "make the change-set the next dataset version",
        keys: &["A"],
        run: |state, _, _| decide(state, Some(Part::All)),
        ..DECIDE
    },
    Command {
        name: "accept-marked",
        doc: "make a version of the marked classes or images only",
        keys: &["a"],
        scope: Scope::In(&["changeset", "review"]),
        enabled: |state| undecided(state).and_then(|()| some_marked(state)),
        run: |state, _, _| decide(state, Some(Part::Marked)),
        ..DECIDE
    },
    Command {
        name: "accept-without",
        doc: "make a version of all but the marked images",
        keys: &["B"],
        scope: Scope::In(&["review"]),
        enabled: |state| undecided(state).and_then(|()| some_marked(state)),
        run: |state, _, _| decide(state, Some(Part::Unmarked)),
        ..DECIDE
    },
    Command {
        name: "accept-class",
        doc: "make a version of the changes of one class only",
        scope: Scope::In(&["changeset", "review"]),
        argument: Argument::Needed(Kind::Class),
        run: |state, class, _| decide(state, Some(Part::Class(class.to_owned()))),
        ..DECIDE
    },
    Command {
        name: "reject",
        doc: "turn the change-set down",
        keys: &["X"],
        twin: Some("changesets reject"),
        run: |state, _, _| decide(state, None),
        ..DECIDE
    },
    Command {
        name: "review",
        doc: "look through the images of the change-set",
        keys: &["v"],
        scope: Scope::In(&["changesets", "changeset"]),
        twin: Some("changesets images"),
        enabled: |state| match views::change_set(state) {
            Some(_) => Ok(()),
            None => Err("no change-set is selected".to_owned()),
        },
        run: |state, _, _| {
            if let Some((place, set)) = views::change_set(state) {
                follow(state, View::Review { place, id: set.id, class: None, kind: None });
            }
        },
        ..BASE
    },
    Command {
        name: "class",
        doc: "show only images of a class, of the selected one's, or of all again",
        keys: &["C"],
        scope: Scope::In(&["review"]),
        argument: Argument::Optional(Kind::Class),
        twin: Some("changesets images"),
        run: narrow_class,
        ..BASE
    },
    Command {
        name: "kind",
        doc: "show only images of which this becomes; without a word the next kind",
        keys: &["K"],
        scope: Scope::In(&["review"]),
        argument: Argument::Optional(Kind::Change),
        twin: Some("changesets images"),
        run: narrow_kind,
        ..BASE
    },
];

/// What of a change-set is accepted.
enum Part {
    All,
    Marked,
    Unmarked,
    Class(String),
}

fn undecided(state: &State) -> Result<(), String> {
    match views::change_set(state) {
        Some((_, set)) if set.decided.is_none() => Ok(()),
        Some(_) => Err("it is decided already".to_owned()),
        None => Err("no change-set is selected".to_owned()),
    }
}

fn some_marked(state: &State) -> Result<(), String> {
    match state.screen().table.marks.len() {
        0 => Err("nothing is marked: space marks".to_owned()),
        many if many > MAX_SELECTED => Err(format!("{many} are marked; {MAX_SELECTED} can be named")),
        _ => Ok(()),
    }
}

/// Asks before a change-set is decided on: what is turned down does not come back by itself. `part` is
/// what is accepted; nothing when all of it is turned down.
fn decide(state: &mut State, part: Option<Part>) {
    let Some((place, set)) = views::change_set(state) else { return };
    let (selection, what) = match &part {
        Some(part) => match selected(state, &set, part) {
            Ok(chosen) => chosen,
            Err(reason) => return state.say(reason, true),
        },
        None => (None, format!("nothing of it becomes part of {}", set.lineage)),
    };
    let mut lines = about(&place, &set);
    lines.push(what);
    if selection.is_some() {
        lines.push("what is not taken is turned down with the same word".to_owned());
    }
    let request = Request::Decide(ChangeSetDecide {
        key: IdempotencyKey::new(),
        project: place.project.clone(),
        change_set: set.id,
        expected_generation: set.generation,
        accept: part.is_some(),
        reason: None,
        selection: selection.map(Box::new),
    });
    let (title, verb) = match part {
        Some(Part::All) => ("Accept the change-set", "accept"),
        Some(Part::Marked | Part::Unmarked | Part::Class(_)) => ("Accept a part of the change-set", "accept"),
        None => ("Reject the change-set", "reject"),
    };
    state.overlay = Some(Overlay::Form(Form {
        title: title.to_owned(),
        lines,
        fields: vec![Field::exactly(format!("type {verb}"), verb), Field::free("reason", true)],
        focus: 0,
        grave: true,
        action: FormAction::Send { changes: vec![(place.agent, Change::Ask(request))] },
        error: None,
    }));
}

fn about(place: &Place, set: &ChangeSet) -> Vec<String> {
    let totals = set.totals();
    let mut lines = vec![
        format!("{} for {} of {}", set.origin, set.lineage, place.project),
        format!(
            "{} added, {} removed, {} relabelled, {} moved; {} left out",
            count(totals.added),
            count(totals.removed),
            count(totals.relabelled_in),
            count(totals.moved),
            count(set.quarantined)
        ),
    ];
    lines.extend(words::findings(&set.findings));
    lines
}

/// What is asked for, and in words.
///
/// # Errors
/// That there is no such class.
fn selected(state: &State, set: &ChangeSet, part: &Part) -> Result<(Option<Selection>, String), String> {
    let number = set.base.unwrap_or(0) + 1;
    let version = format!("{}@v{number}", set.lineage);
    let images = views::review::marked(state);
    let many = count(images.len() as u64);
    Ok(match part {
        Part::All => (None, format!("all of it becomes {version}")),
        Part::Marked if images.is_empty() => {
            let classes: Vec<String> = state.screen().table.marks.iter().cloned().collect();
            let what = format!("only the changes of {} become {version}", classes.join(", "));
            (Some(Selection { classes, ..Selection::default() }), what)
        }
        Part::Marked => {
            let what = format!("only the changes of the marked images ({many}) become {version}");
            (Some(Selection { images, ..Selection::default() }), what)
        }
        Part::Unmarked => {
            let what = format!("all of it without the marked images ({many}) becomes {version}");
            (Some(Selection { without: images, ..Selection::default() }), what)
        }
        Part::Class(class) if !set.classes.contains_key(class) => {
            return Err(format!("the change-set does not change {class:?}"));
        }
        Part::Class(class) => {
            let what = format!("only the changes of {class} become {version}");
            (Some(Selection { classes: vec![class.clone()], ..Selection::default() }), what)
        }
    })
}

fn narrow_class(state: &mut State, argument: &str, _: &mut Effects) {
    let Some((class, kind)) = views::review::narrowed(state) else { return };
    let class = match argument {
        "" if class.is_some() => None,
        "" => views::review::class_here(state),
        class => Some(class.to_owned()),
    };
    narrow(state, class, kind);
}

fn narrow_kind(state: &mut State, argument: &str, _: &mut Effects) {
    let Some((class, kind)) = views::review::narrowed(state) else { return };
    let at = match argument {
        "" => CHANGES.iter().position(|(_, one)| *one == kind).map(|at| (at + 1) % CHANGES.len()),
        word => CHANGES.iter().position(|(name, _)| *name == word),
    };
    match at {
        Some(at) => narrow(state, class, CHANGES[at].1),
        None => state.say(format!("{argument:?} is none of {}", Kind::Change.placeholder()), true),
    }
}

/// Narrows the images shown; the marks stay.
fn narrow(state: &mut State, class: Option<String>, kind: Option<ChangeKind>) {
    let screen = state.nav.top_mut();
    if let View::Review { place, id, .. } = &screen.view {
        screen.view = View::Review { place: place.clone(), id: *id, class, kind };
        screen.table.begin_anew();
    }
}
