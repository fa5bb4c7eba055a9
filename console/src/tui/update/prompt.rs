//! The line at the bottom: commands with their completion and history, and the filter, which works
//! while it is typed.

use crossterm::event::KeyCode;
use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use vigie_protocol::feedback::Said;

use super::form::edit;
use crate::tui::command::{self, Argument, Command, Kind};
use crate::tui::effect::Effects;
use crate::tui::filter::Filter;
use crate::tui::key::Key;
use crate::tui::state::{Candidate, Line, Overlay, Prompt, PromptKind, State, View};
use crate::tui::views;

/// Commands that are remembered.
const HISTORY: usize = 200;
/// Candidates that are shown.
const CANDIDATES: usize = 12;

pub(super) fn pressed(state: &mut State, mut prompt: Prompt, key: Key, effects: &mut Effects) {
    let command = prompt.kind == PromptKind::Command;
    let completes = command || matches!(prompt.kind, PromptKind::Class { .. });
    match key.code {
        KeyCode::Esc => {
            // Giving up takes the filter back; what was typed stays in the history.
            match prompt.kind {
                PromptKind::Filter { before } => state.nav.top_mut().table.filter = Filter(before),
                PromptKind::Command => remember(state, &prompt.line.text),
                PromptKind::Class { .. } => {}
            }
            return;
        }
        KeyCode::Enter => return enter(state, prompt, effects),
        KeyCode::Tab | KeyCode::BackTab if completes => choose(&mut prompt, key.code == KeyCode::Tab),
        KeyCode::Up if command => recall(state, &mut prompt, 1),
        KeyCode::Down if command => recall(state, &mut prompt, -1),
        // An empty line has nothing to take back: the key that opened it closes it.
        KeyCode::Backspace if prompt.line.text.is_empty() => return,
        _ => {
            let edited = edit(&mut prompt.line, key);
            state.overlay = Some(Overlay::Prompt(prompt));
            if edited {
                changed(state);
            }
            return;
        }
    }
    state.overlay = Some(Overlay::Prompt(prompt));
}

/// The line was edited.
pub(super) fn changed(state: &mut State) {
    let Some(Overlay::Prompt(prompt)) = &mut state.overlay else { return };
    prompt.error = None;
    prompt.history = None;
    match &prompt.kind {
        PromptKind::Command | PromptKind::Class { .. } => complete(state),
        PromptKind::Filter { .. } => {
            let text = prompt.line.text.clone();
            apply(state, text);
        }
    }
}

/// The filter as it is typed; one that cannot be read yet changes nothing and says why.
fn apply(state: &mut State, text: String) {
    let filter = Filter(text);
    let wrong = match views::columns(state) {
        Some(columns) => views::check_filter(state, &filter, columns).err(),
        None => None,
    };
    if wrong.is_none() {
        state.nav.top_mut().table.filter = filter;
    }
    if let Some(Overlay::Prompt(prompt)) = &mut state.overlay {
        prompt.error = wrong;
    }
}

fn enter(state: &mut State, prompt: Prompt, effects: &mut Effects) {
    match prompt.kind {
        PromptKind::Filter { before } => match prompt.error {
            Some(error) => {
                state.nav.top_mut().table.filter = Filter(before);
                state.say(error, true);
            }
            None => views::commit_filter(state),
        },
        PromptKind::Class { founds } => {
            if let Some(class) = class(&prompt, founds) {
                match views::still_at_hand(state) {
                    Ok(()) => super::label::answer(state, Said::Wrong { class }, founds, effects),
                    Err(reason) => state.say(reason, true),
                }
            }
        }
        PromptKind::Command => {
            let chosen = prompt.chosen.and_then(|at| prompt.candidates.get(at));
            let line = chosen.map_or(prompt.line.text.as_str(), |candidate| candidate.line.as_str());
            let line = line.trim();
            if line.is_empty() {
                return;
            }
            remember(state, line);
            // The beginning of a name is enough when only one command has it.
            let run = match command::run_line(state, line, effects) {
                Err(_) if command::find(first_word(line)).is_none() && prompt.candidates.len() == 1 => {
                    command::run_line(state, &prompt.candidates[0].line, effects)
                }
                other => other,
            };
            if let Err(reason) = run {
                state.say(reason, true);
            }
        }
    }
}

/// The class that was meant: the one chosen, the one typed, or the best of those that begin or sound
/// like it; a new class is what was typed.
fn class(prompt: &Prompt, founds: bool) -> Option<String> {
    let typed = prompt.line.text.trim();
    let of = |at: usize| prompt.candidates.get(at).map(|candidate| candidate.line.clone());
    if typed.is_empty() && prompt.chosen.is_none() {
        return None;
    }
    if founds {
        return prompt.chosen.and_then(of).or_else(|| Some(typed.to_owned()));
    }
    let exact = prompt.candidates.iter().find(|candidate| candidate.line == typed);
    prompt
        .chosen
        .and_then(of)
        .or_else(|| exact.map(|candidate| candidate.line.clone()))
        .or_else(|| of(0))
        // What is not known is for the agent to refuse, with what was probably meant.
        .or_else(|| Some(typed.to_owned()))
}

fn first_word(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

fn remember(state: &mut State, line: &str) {
    let line = line.trim();
    if line.is_empty() || state.history.last().is_some_and(|last| last == line) {
        return;
    }
    state.history.push(line.to_owned());
    let surplus = state.history.len().saturating_sub(HISTORY);
    state.history.drain(..surplus);
}

/// Goes through the candidates; the line shows the chosen one.
fn choose(prompt: &mut Prompt, forward: bool) {
    let n = prompt.candidates.len();
    if n == 0 {
        return;
    }
    let at = match prompt.chosen {
        None if forward => 0,
        None => n - 1,
        Some(at) if forward => (at + 1) % n,
        Some(at) => (at + n - 1) % n,
    };
    prompt.chosen = Some(at);
    prompt.line = Line::new(prompt.candidates[at].line.clone());
}

/// Goes through the history: `by` lines further back.
fn recall(state: &State, prompt: &mut Prompt, by: isize) {
    let (back, typed) = prompt.history.clone().unwrap_or((0, prompt.line.text.clone()));
    let back = back.saturating_add_signed(by).min(state.history.len());
    prompt.chosen = None;
    prompt.line = Line::new(match back.checked_sub(1) {
        Some(at) => state.history[state.history.len() - 1 - at].clone(),
        None => typed.clone(),
    });
    prompt.history = (back > 0).then_some((back, typed));
}

/// Finds what would complete the line: commands by name, then arguments by their kind.
pub(in crate::tui) fn complete(state: &mut State) {
    let Some(Overlay::Prompt(prompt)) = &state.overlay else { return };
    let line = prompt.line.text.clone();
    if matches!(prompt.kind, PromptKind::Class { .. }) {
        let plain =
            |class: String| Candidate { line: class.clone(), shown: class, doc: String::new(), reason: None };
        let found = rank(&line.trim().to_lowercase(), classes(state), |class| class.clone())
            .into_iter()
            .map(plain)
            .collect();
        if let Some(Overlay::Prompt(prompt)) = &mut state.overlay {
            prompt.candidates = found;
            prompt.chosen = None;
        }
        return;
    }
    let candidates = match line.trim_start().split_once(char::is_whitespace) {
        None => commands(state, line.trim()),
        Some((name, argument)) => command::find(name).map_or_else(Vec::new, |command| {
            let values = arguments(state, command);
            let ranked = rank(argument.trim(), values, |value| value.clone());
            let candidate = |value: String| Candidate {
                line: format!("{name} {value}"),
                shown: value,
                doc: String::new(),
                reason: None,
            };
            ranked.into_iter().map(candidate).collect()
        }),
    };
    if let Some(Overlay::Prompt(prompt)) = &mut state.overlay {
        prompt.candidates = candidates;
        prompt.chosen = None;
    }
}

fn commands(state: &State, typed: &str) -> Vec<Candidate> {
    let all: Vec<&Command> =
        command::all().filter(|command| command.scope.holds(&state.screen().view)).collect();
    let mut ranked = rank(typed, all, |command| format!("{} {}", command.name, command.aliases.join(" ")));
    // An exact name or alias is what was meant.
    ranked.sort_by_key(|command| !(command.name == typed || command.aliases.contains(&typed)));
    let candidate = |command: &Command| Candidate {
        line: command.name.to_owned(),
        shown: match command.argument {
            Argument::None => command.name.to_owned(),
            Argument::Optional(kind) => format!("{} [{}]", command.name, kind.placeholder()),
            Argument::Needed(kind) => format!("{} {}", command.name, kind.placeholder()),
        },
        doc: command.doc.to_owned(),
        reason: command::enabled(command, state).err(),
    };
    ranked.into_iter().map(candidate).collect()
}

/// The classes of the project that is looked at.
fn classes(state: &State) -> Vec<String> {
    state.place().map(|place| views::label::classes(state, &place).to_vec()).unwrap_or_default()
}

fn arguments(state: &State, command: &Command) -> Vec<String> {
    let (Argument::Optional(kind) | Argument::Needed(kind)) = command.argument else { return Vec::new() };
    let agents = || state.fleet.agents.iter().map(|agent| agent.name.clone());
    match kind {
        Kind::Context => {
            let mut groups: Vec<String> =
                state.fleet.agents.iter().filter_map(|agent| agent.group.clone()).collect();
            groups.sort();
            groups.dedup();
            std::iter::once("all".to_owned()).chain(groups).chain(agents()).collect()
        }
        Kind::Project => state
            .in_scope()
            .flat_map(|(_, agent)| {
                let name =
                    |glance: &crate::tui::state::Glance| format!("{}@{}", glance.project.name, agent.name);
                agent.snapshot.projects.iter().map(name).collect::<Vec<_>>()
            })
            .collect(),
        Kind::Palette => {
            ["dark", "light", "colour-blind", "mono", "ascii", "utf8"].map(str::to_owned).to_vec()
        }
        Kind::Column => {
            let columns = views::columns(state).unwrap_or_default();
            columns.iter().map(|column| column.name.to_lowercase()).collect()
        }
        Kind::Text if matches!(state.screen().view, View::Predictions { .. }) => [
            "class:",
            "conf<0.5",
            "model:@production",
            "feedback:wrong",
            "feedback:none",
            "since:24h",
            "until:1h",
        ]
        .map(str::to_owned)
        .to_vec(),
        Kind::Class => match views::review::classes(state) {
            Some(classes) => classes,
            None => classes(state),
        },
        Kind::Change => command::CHANGES.map(|(word, _)| word.to_owned()).to_vec(),
        Kind::Feedback => command::WORDS.map(str::to_owned).into_iter().chain(classes(state)).collect(),
        Kind::Text | Kind::File | Kind::Images => Vec::new(),
    }
}

/// Whether it begins otherwise, how long it is if not, how badly it fits.
type Rank = (bool, usize, std::cmp::Reverse<u32>);

/// What fits best first; everything, in its order, when nothing is typed.
fn rank<T>(typed: &str, items: Vec<T>, text: impl Fn(&T) -> String) -> Vec<T> {
    if typed.is_empty() {
        return items.into_iter().take(CANDIDATES).collect();
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::new(typed, CaseMatching::Smart, Normalization::Smart, AtomKind::Fuzzy);
    let mut buffer = Vec::new();
    let mut scored: Vec<(Rank, T)> = items
        .into_iter()
        .filter_map(|item| {
            let text = text(&item);
            let score = pattern.score(Utf32Str::new(&text, &mut buffer), &mut matcher)?;
            // What begins as typed is meant before what merely holds the letters, and the shorter of
            // two before the longer.
            let begins = text.starts_with(typed);
            let length = text.split(' ').next().map_or(0, str::len);
            Some(((!begins, if begins { length } else { 0 }, std::cmp::Reverse(score)), item))
        })
        .collect();
    scored.sort_by_key(|(rank, _)| *rank);
    scored.into_iter().map(|(_, item)| item).take(CANDIDATES).collect()
}
