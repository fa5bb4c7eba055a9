//! What is on the screen, and the screen itself.

use super::{Argument, BASE, Command, Kind, Scope, all, enabled};
use crate::tui::effect::{Effect, Effects};
use crate::tui::state::{Line, Menu, MenuAction, MenuItem, Overlay, PictureState, Prompt, PromptKind, State};
use crate::tui::theme::{Glyphs, Palette};
use crate::tui::{update, views};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "command",
        doc: "type a command; tab completes, up brings back earlier ones",
        keys: &[":"],
        run: |state, _, _| {
            let (kind, line) = (PromptKind::Command, Line::default());
            let (candidates, chosen, history, error) = (Vec::new(), None, None, None);
            state.overlay = Some(Overlay::Prompt(Prompt { kind, line, candidates, chosen, history, error }));
            update::complete(state);
        },
        ..BASE
    },
    Command {
        name: "menu",
        doc: "what can be done with the selected row",
        keys: &["m"],
        run: |state, _, _| menu(state),
        ..BASE
    },
    Command {
        name: "tab",
        doc: "the next pane or variant of this view",
        keys: &["tab"],
        enabled: has_tabs,
        run: |state, _, _| turn(state, 1),
        ..BASE
    },
    Command {
        name: "back-tab",
        doc: "the one before",
        keys: &["shift-tab"],
        enabled: has_tabs,
        run: |state, _, _| turn(state, -1),
        ..BASE
    },
    Command {
        name: "full",
        doc: "the pane beside the table fills the screen, or no longer",
        keys: &["z"],
        run: |state, _, _| {
            let screen = state.nav.top_mut();
            screen.full = !screen.full;
        },
        ..BASE
    },
    Command {
        name: "freeze",
        doc: "the screen stands still, or goes on",
        keys: &["f"],
        run: |state, _, _| update::freeze(state),
        ..BASE
    },
    Command {
        name: "refresh",
        doc: "ask anew for what is shown",
        keys: &["ctrl-l"],
        run: |state, _, effects| {
            for want in views::wants(state) {
                state.store.expire_one(&want);
            }
            for (shown, cells) in views::pictures(state) {
                let key = (shown.image, cells);
                if matches!(state.pictures.get(&key), Some(PictureState::Failed(_) | PictureState::Gone)) {
                    state.pictures.remove(&key);
                }
            }
            effects.push(Effect::Repaint);
        },
        ..BASE
    },
    Command {
        name: "utc",
        doc: "times in UTC, or in the local zone",
        keys: &["u"],
        run: |state, _, _| state.utc = !state.utc,
        ..BASE
    },
    Command {
        name: "copy",
        doc: "copy what names the selected row",
        keys: &["y"],
        enabled: has_row,
        run: |state, _, effects| {
            if let Some(text) = views::copied(state) {
                effects.push(Effect::Copy(text.clone()));
                state.say(format!("copied {text}"), false);
            }
        },
        ..BASE
    },
    Command {
        name: "copy-json",
        doc: "copy the selected row as JSON",
        keys: &["Y"],
        enabled: |state| match views::row_json(state) {
            Some(_) => Ok(()),
            None => Err("what is selected has no JSON".to_owned()),
        },
        run: |state, _, effects| {
            if let Some(text) = views::row_json(state) {
                let length = text.len();
                effects.push(Effect::Copy(text));
                state.say(format!("copied {length} bytes of JSON"), false);
            }
        },
        ..BASE
    },
    Command {
        name: "save",
        doc: "write the table to a CSV file in the current folder",
        keys: &["w"],
        scope: Scope::Tables,
        run: |state, _, effects| effects.extend(views::save_table(state)),
        ..BASE
    },
    Command {
        name: "save-screen",
        doc: "write the screen to a text file in the current folder",
        keys: &["W"],
        run: |state, _, effects| {
            let name = format!("vigie-{}.txt", views::name(&state.screen().view));
            let text = views::screen_text(state);
            effects.push(Effect::Save { name, text });
        },
        ..BASE
    },
    Command {
        name: "theme",
        doc: "other colours: dark, light, colour-blind, mono; ascii or utf8 for the characters",
        argument: Argument::Needed(Kind::Palette),
        run: theme,
        ..BASE
    },
    Command {
        name: "mouse",
        doc: "listen to the mouse, or leave it to the terminal",
        run: |state, _, effects| {
            state.mouse = !state.mouse;
            effects.push(Effect::Mouse(state.mouse));
            state.say(if state.mouse { "mouse on" } else { "mouse off" }, false);
        },
        ..BASE
    },
    Command {
        name: "dump",
        doc: "write the last events to a file that `vigie replay` plays back",
        keys: &["f12"],
        twin: Some("replay"),
        run: |_, _, effects| effects.push(Effect::Dump),
        ..BASE
    },
    Command {
        name: "suspend",
        doc: "back to the shell; `fg` returns",
        keys: &["ctrl-z"],
        run: |_, _, effects| effects.push(Effect::Suspend),
        ..BASE
    },
    Command {
        name: "quit",
        aliases: &["q", "exit"],
        doc: "end the console; agents and jobs go on",
        keys: &["q", "ctrl-c"],
        run: |_, _, effects| effects.push(Effect::Quit),
        ..BASE
    },
];

fn has_row(state: &State) -> Result<(), String> {
    match views::copied(state) {
        Some(_) => Ok(()),
        None => Err("nothing is selected".to_owned()),
    }
}

fn has_tabs(state: &State) -> Result<(), String> {
    match views::tabs(&state.screen().view).len() {
        0 | 1 => Err("this view has one pane".to_owned()),
        _ => Ok(()),
    }
}

fn turn(state: &mut State, by: i8) {
    let tabs = views::tabs(&state.screen().view).len().max(1) as i8;
    let screen = state.nav.top_mut();
    screen.tab = (screen.tab as i8 + by).rem_euclid(tabs) as u8;
    screen.scroll = 0;
}

/// What can be done here, with the reasons against what cannot.
fn menu(state: &mut State) {
    let view = &state.screen().view;
    let items: Vec<MenuItem> = all()
        .filter(|command| command.scope.holds(view) && views::is_about_row(command))
        .map(|command| MenuItem {
            label: command.doc.to_owned(),
            keys: state.keymap.shown(command.name),
            reason: enabled(command, state).err(),
            does: MenuAction::Command(command.name.to_owned()),
        })
        .collect();
    let title = views::copied(state).unwrap_or_else(|| views::title(state));
    state.overlay = Some(Overlay::Menu(Menu { title, items, selected: 0 }));
}

fn theme(state: &mut State, argument: &str, effects: &mut Effects) {
    match argument {
        "dark" => state.theme.palette = Palette::Dark,
        "light" => state.theme.palette = Palette::Light,
        "colour-blind" => state.theme.palette = Palette::ColourBlind,
        "mono" => state.theme.palette = Palette::Mono,
        "ascii" => state.theme.glyphs = Glyphs::Ascii,
        "utf8" => state.theme.glyphs = Glyphs::Utf8,
        other => {
            let known = "dark, light, colour-blind, mono, ascii, utf8";
            return state.say(format!("there is no theme {other:?}; there are {known}"), true);
        }
    }
    effects.push(Effect::Repaint);
}
