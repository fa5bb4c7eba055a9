//! Keys: to what lies over the screen, else to the commands of the view.

use crossterm::event::{KeyCode, KeyModifiers};

use super::{form, prompt};
use crate::tui::command;
use crate::tui::effect::{Effect, Effects};
use crate::tui::key::Key;
use crate::tui::keymap::Meaning;
use crate::tui::state::{Menu, MenuAction, Overlay, State};

pub(super) fn pressed(state: &mut State, key: Key, effects: &mut Effects) {
    // The last way out works everywhere, whatever has the keys.
    if key.to_string() == "ctrl-c" {
        effects.push(Effect::Quit);
        return;
    }
    if key.modifiers.contains(KeyModifiers::ALT) && !is_bound(state, key) {
        let without = Key { modifiers: key.modifiers - KeyModifiers::ALT, ..key };
        for key in [Key::plain(KeyCode::Esc), without] {
            pressed(state, key, effects);
        }
        return;
    }
    // What goes wrong in a form must be recordable there; only keys that type nothing are asked.
    if key.typed().is_none()
        && let Meaning::Command(found) = state.keymap.meaning(&[key], &state.screen().view)
        && found.name == "dump"
    {
        effects.push(Effect::Dump);
        return;
    }
    match state.overlay.take() {
        Some(Overlay::Prompt(line)) => prompt::pressed(state, line, key, effects),
        Some(Overlay::Form(filled)) => form::pressed(state, filled, key, effects),
        Some(Overlay::Menu(menu)) => choose(state, menu, key, effects),
        None => screen(state, key, effects),
    }
}

/// Whether a key with Alt has a meaning of its own here. If not it is Esc and a key: a slow link brings
/// both in one packet, and to a terminal that is the same.
fn is_bound(state: &State, key: Key) -> bool {
    let mut keys = state.pending.clone();
    keys.push(key);
    state.overlay.is_none() && !matches!(state.keymap.meaning(&keys, &state.screen().view), Meaning::Nothing)
}

/// Pasted text is typed text: it goes into lines, and never runs anything.
pub(super) fn pasted(state: &mut State, text: &str) {
    match &mut state.overlay {
        Some(Overlay::Prompt(prompt)) => {
            prompt.line.insert(text);
            prompt::changed(state);
        }
        Some(Overlay::Form(form)) => {
            if let Some(field) = form.fields.get_mut(form.focus) {
                field.line.insert(text.trim_end());
            }
        }
        Some(Overlay::Menu(_)) | None => {
            state.say("pasted text goes into a prompt: press : or / first", false);
        }
    }
}

fn screen(state: &mut State, key: Key, effects: &mut Effects) {
    let began = !state.pending.is_empty();
    state.pending.push(key);
    match state.keymap.meaning(&state.pending, &state.screen().view) {
        Meaning::Command(found) => {
            state.pending.clear();
            if let Err(reason) = command::run(state, found, "", effects) {
                state.say(reason, true);
            }
        }
        Meaning::Prefix(_) => {}
        Meaning::Nothing => {
            let keys: Vec<String> = state.pending.drain(..).map(|key| key.to_string()).collect();
            // Giving up a combination is no mistake.
            if !(began && key.code == KeyCode::Esc) {
                state.say(format!("{} does nothing here; ? lists what does", keys.join(" ")), false);
            }
        }
    }
}

fn choose(state: &mut State, mut menu: Menu, key: Key, effects: &mut Effects) {
    let last = menu.items.len().saturating_sub(1);
    match (key.code, key.typed()) {
        (KeyCode::Esc, _) | (_, Some('q')) => return,
        (KeyCode::Down, _) | (_, Some('j')) => menu.selected = (menu.selected + 1).min(last),
        (KeyCode::Up, _) | (_, Some('k')) => menu.selected = menu.selected.saturating_sub(1),
        (KeyCode::Home, _) => menu.selected = 0,
        (KeyCode::End, _) => menu.selected = last,
        (KeyCode::Enter, _) => {
            let Some(item) = menu.items.get(menu.selected) else { return };
            return match (&item.reason, item.does.clone()) {
                // It stays open: the reason is about one entry, there are others.
                (Some(reason), _) => {
                    let reason = reason.clone();
                    state.say(reason, true);
                    state.overlay = Some(Overlay::Menu(menu));
                }
                (None, MenuAction::Command(line)) => {
                    if let Err(reason) = command::run_line(state, &line, effects) {
                        state.say(reason, true);
                    }
                }
                (None, MenuAction::Go(view)) => command::follow(state, *view),
            };
        }
        // The keys of the entries work here as outside.
        _ => {
            let found = menu.items.iter().find(|item| !item.keys.is_empty() && item.keys == key.to_string());
            if let Some(MenuAction::Command(line)) = found.map(|item| item.does.clone()) {
                if let Err(reason) = command::run_line(state, &line, effects) {
                    state.say(reason, true);
                }
                return;
            }
        }
    }
    state.overlay = Some(Overlay::Menu(menu));
}
