//! The one table of commands. Keys, the `:` palette, the footer, the help page, the key reference in
//! the docs and the read-only filter are all made from it.

mod act;
mod automation;
mod chart;
mod go;
mod label;
mod list;
mod review;
mod see;

use std::fmt;

use vigie_protocol::access::Role;
use vigie_protocol::service;

pub(super) use act::{predict_file, send};
pub(super) use go::follow;
pub(super) use label::WORDS;
pub(super) use review::CHANGES;

use super::effect::{Change, Effects};
use super::state::{AgentIndex, State, View};
use super::views;

/// Something the user can do.
#[derive(Debug)]
pub struct Command {
    /// What is typed after `:`, and what keys are bound to.
    pub name: &'static str,
    /// Other names that can be typed.
    pub aliases: &'static [&'static str],
    /// What it does, in a few words.
    pub doc: &'static str,
    /// Its keys, unless the user's configuration says otherwise.
    pub keys: &'static [&'static str],
    /// Where it can be done.
    pub scope: Scope,
    /// What it may do to the world.
    pub risk: Risk,
    /// What may be typed behind its name.
    pub argument: Argument,
    /// The agent's method that carries it out: the user's role must allow it.
    pub method: Option<&'static str>,
    /// The command of the shell that shows or does the same; absent for what only a screen has.
    pub twin: Option<&'static str>,
    /// Whether it can be done now, or why not.
    pub enabled: fn(&State) -> Result<(), String>,
    /// Does it; the text is the argument.
    pub run: fn(&mut State, &str, &mut Effects),
}

impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Where a command can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In every view.
    Anywhere,
    /// In views that show a table.
    Tables,
    /// In the views of these names.
    In(&'static [&'static str]),
}

impl Scope {
    /// Whether a view is in it.
    pub fn holds(&self, view: &View) -> bool {
        match self {
            Scope::Anywhere => true,
            Scope::Tables => views::has_table(view),
            Scope::In(names) => names.contains(&views::name(view)),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Anywhere => f.write_str("everywhere"),
            Scope::Tables => f.write_str("tables"),
            Scope::In(names) => f.write_str(&names.join(" ")),
        }
    }
}

/// What a command may do to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Nothing: it looks.
    Read,
    /// It asks an agent to change something that can be changed back.
    Write,
    /// It changes what users get, or destroys: the name of its object is typed first.
    Grave,
}

/// What may be typed behind a command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// Something of this kind, or nothing.
    Optional(Kind),
    /// Something of this kind.
    Needed(Kind),
}

/// What an argument is, for its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An agent's name, a group's, or `all`.
    Context,
    /// A project of the agents looked at.
    Project,
    /// A file of this machine.
    File,
    /// A colour palette.
    Palette,
    /// A column of the table.
    Column,
    /// A class of the project.
    Class,
    /// A number of images.
    Images,
    /// What becomes of an image of a change-set.
    Change,
    /// What can be said of a prediction.
    Feedback,
    /// Anything.
    Text,
}

/// Every command.
pub fn all() -> impl Iterator<Item = &'static Command> {
    [
        go::COMMANDS,
        list::COMMANDS,
        see::COMMANDS,
        act::COMMANDS,
        review::COMMANDS,
        automation::COMMANDS,
        label::COMMANDS,
        chart::COMMANDS,
    ]
    .into_iter()
    .flatten()
}

/// The command of this name.
pub fn find(name: &str) -> Option<&'static Command> {
    all().find(|command| command.name == name || command.aliases.contains(&name))
}

/// Whether a command can be done now, or why not: where it is, who the user is, what is selected.
///
/// # Errors
/// The reason, as a lower-case fragment.
pub fn enabled(command: &Command, state: &State) -> Result<(), String> {
    if !command.scope.holds(&state.screen().view) {
        return Err(match command.scope {
            Scope::In(names) => format!("only in {}", names.join(", ")),
            Scope::Anywhere | Scope::Tables => "only in tables".to_owned(),
        });
    }
    (command.enabled)(state)?;
    permitted(command, state)
}

/// Whether the user may do it at all, wherever that is.
///
/// # Errors
/// The reason, as a lower-case fragment.
pub fn permitted(command: &Command, state: &State) -> Result<(), String> {
    let agent = views::acting_agent(state);
    if command.risk > Risk::Read {
        changeable(state, agent)?;
    }
    match command.method.and_then(service::method) {
        Some(method) => allowed(state, agent, method.role),
        None => Ok(()),
    }
}

/// Whether an agent may be asked for a change: keys act on marked rows too, and those may be of other
/// agents than the selected one.
///
/// # Errors
/// The reason, as a lower-case fragment.
pub(super) fn askable(state: &State, agent: AgentIndex, change: &Change) -> Result<(), String> {
    let Some(method) = service::method(change.method()) else { return Ok(()) };
    if method.mutation {
        changeable(state, Some(agent))?;
    }
    allowed(state, Some(agent), method.role)
}

/// Whether anything may be changed from here, and at this agent.
fn changeable(state: &State, agent: Option<AgentIndex>) -> Result<(), String> {
    if state.read_only {
        return Err("this console was started read-only".to_owned());
    }
    match agent.and_then(|index| state.fleet.get(index)) {
        Some(agent) if agent.read_only => Err(format!("the configuration marks {} read-only", agent.name)),
        _ => Ok(()),
    }
}

/// Whether the agent that would be asked lets the user do it.
fn allowed(state: &State, agent: Option<AgentIndex>, needed: Role) -> Result<(), String> {
    let Some(agent) = agent.and_then(|index| state.fleet.get(index)) else {
        return Err("no agent is selected".to_owned());
    };
    if !agent.snapshot.is_connected() {
        return Err(format!("{} is not connected", agent.name));
    }
    match agent.snapshot.role() {
        role if role >= needed => Ok(()),
        role => Err(format!("needs the role {needed}; you are {role} on {}", agent.name)),
    }
}

/// Runs what was typed after `:` or chosen from a menu, or says why it cannot be run. What acts on a row
/// acts on the one that was selected when the line or the menu was opened, or not at all.
///
/// # Errors
/// What is wrong, for people.
pub fn run_line(state: &mut State, line: &str, effects: &mut Effects) -> Result<(), String> {
    let (name, argument) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    let command = find(name).ok_or_else(|| format!("there is no command {name:?}; ? lists what there is"))?;
    if views::is_about_row(command) {
        views::still_at_hand(state)?;
    }
    run(state, command, argument.trim(), effects)
}

/// Runs a command, or says why it cannot be run.
///
/// # Errors
/// What is wrong, for people.
pub fn run(
    state: &mut State,
    command: &'static Command,
    argument: &str,
    effects: &mut Effects,
) -> Result<(), String> {
    match command.argument {
        Argument::None if !argument.is_empty() => return Err(format!("{} takes no argument", command.name)),
        Argument::Needed(kind) if argument.is_empty() => {
            return Err(format!("{} what? type :{} {}", command.name, command.name, kind.placeholder()));
        }
        Argument::None | Argument::Optional(_) | Argument::Needed(_) => {}
    }
    enabled(command, state).map_err(|reason| format!("{}: {reason}", command.name))?;
    (command.run)(state, argument, effects);
    Ok(())
}

impl Kind {
    /// What stands for it in help.
    pub fn placeholder(self) -> &'static str {
        match self {
            Kind::Context => "AGENT|GROUP|all",
            Kind::Project => "PROJECT",
            Kind::File => "FILE",
            Kind::Palette => "PALETTE",
            Kind::Column => "COLUMN",
            Kind::Class => "CLASS",
            Kind::Images => "IMAGES",
            Kind::Change => "added|removed|relabelled|moved|all",
            Kind::Feedback => "correct|unknown|withdraw|CLASS",
            Kind::Text => "TEXT",
        }
    }
}

/// The key reference of the docs.
pub fn reference() -> String {
    let mut text =
        "# Keys and commands of the terminal\n\nMade from the table in `console/src/tui/command/`; \
        `vigie keys` prints it with the keys of your configuration. Every command can be typed after `:`.\n"
            .to_owned();
    let cell = |text: &str| text.replace('|', "\\|");
    for (title, wanted) in [("Everywhere", Scope::Anywhere), ("In tables", Scope::Tables)] {
        text.push_str(&format!(
            "\n## {title}\n\n| keys | command | does | in the shell |\n|---|---|---|---|\n"
        ));
        for command in all().filter(|command| command.scope == wanted) {
            text.push_str(&line(command, &cell));
        }
    }
    text.push_str(
        "\n## In some views\n\n| keys | command | does | in the shell | where |\n|---|---|---|---|---|\n",
    );
    for command in all().filter(|command| matches!(command.scope, Scope::In(_))) {
        let row = line(command, &cell);
        text.push_str(&format!("{} {} |\n", row.trim_end(), command.scope));
    }
    text
}

fn line(command: &Command, cell: &impl Fn(&str) -> String) -> String {
    let keys: Vec<String> = command.keys.iter().map(|keys| format!("`{}`", cell(keys))).collect();
    let argument = match command.argument {
        Argument::None => String::new(),
        Argument::Optional(kind) => format!(" [{}]", cell(kind.placeholder())),
        Argument::Needed(kind) => format!(" {}", cell(kind.placeholder())),
    };
    let risk = if command.risk == Risk::Grave { "; asks for a name first" } else { "" };
    let twin = command.twin.map(|twin| format!("`vigie {twin}`")).unwrap_or_default();
    format!("| {} | `{}{argument}` | {}{risk} | {twin} |\n", keys.join(" "), command.name, cell(command.doc))
}

/// Always.
fn always(_: &State) -> Result<(), String> {
    Ok(())
}

/// What most entries of the table share.
const BASE: Command = Command {
    name: "",
    aliases: &[],
    doc: "",
    keys: &[],
    scope: Scope::Anywhere,
    risk: Risk::Read,
    argument: Argument::None,
    method: None,
    twin: None,
    enabled: always,
    run: |_, _, _| {},
};

#[cfg(test)]
mod tests;
