//! The table of commands held against all that is made from it.

use std::collections::BTreeSet;

use clap::CommandFactory;
use vigie_protocol::service;

use super::{Argument, Risk, Scope, all, find, run};
use crate::cli::Cli;
use crate::tui::effect::Effect;
use crate::tui::state::{Overlay, View};
use crate::tui::testing::{DARK, every_view, press, show, text, world};
use crate::tui::views;

#[test]
fn names_are_unique_and_explained() {
    let mut seen = BTreeSet::new();
    for command in all() {
        for name in std::iter::once(&command.name).chain(command.aliases) {
            assert!(seen.insert(*name), "{name} twice");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        }
        assert!(!command.doc.is_empty() && !command.doc.ends_with('.'), "{}", command.name);
        assert!(
            command.keys.iter().all(|keys| keys.parse::<crate::tui::key::Keys>().is_ok()),
            "{}",
            command.name
        );
        assert!(command.method.is_none_or(|name| service::method(name).is_some()), "{}", command.name);
    }
}

#[test]
fn what_changes_something_names_its_method() {
    for command in all() {
        let changes = command.method.and_then(service::method).is_some_and(|method| method.mutation);
        assert_eq!(changes, command.risk > Risk::Read, "{}", command.name);
    }
}

#[test]
fn scopes_name_views() {
    let names: BTreeSet<&str> = every_view().iter().map(views::name).collect();
    for command in all() {
        if let Scope::In(scope) = command.scope {
            assert!(scope.iter().all(|view| names.contains(view)), "{}: {scope:?}", command.name);
        }
    }
}

#[test]
fn every_screen_and_every_change_is_a_command_of_the_shell() {
    let cli = Cli::command();
    let there = |twin: &str| {
        let mut command = &cli;
        twin.split(' ').all(|word| match command.find_subcommand(word) {
            Some(found) => {
                command = found;
                true
            }
            None => false,
        })
    };
    for command in all() {
        match command.twin {
            Some(twin) => assert!(there(twin), "{}: no `vigie {twin}`", command.name),
            None => assert_eq!(command.risk, Risk::Read, "{} has no twin", command.name),
        }
    }
    // Each view is shown by a command of the table, or is what `open` leads to from one that is.
    for view in every_view() {
        let twin = views::twin(&view);
        assert!(twin.is_none_or(&there), "{}: {twin:?}", views::name(&view));
        let own = matches!(view, View::Messages | View::Help);
        assert_eq!(twin.is_none(), own, "{}", views::name(&view));
    }
}

#[test]
fn help_and_palette_have_them_all() {
    let mut state = world((200, 250), DARK);
    show(&mut state, View::Help);
    let help = text(&state);
    for command in all() {
        assert!(help.contains(&format!(" {} ", command.name)), "{} is not in help", command.name);
        for keys in state.keymap.keys(command.name) {
            assert!(help.contains(&keys.to_string()), "{keys} is not in help");
        }
    }
    for view in every_view() {
        let mut state = world((200, 60), DARK);
        show(&mut state, view.clone());
        for command in all().filter(|command| command.scope.holds(&view)) {
            press(&mut state, &format!(": '{}'", command.name));
            let Some(Overlay::Prompt(prompt)) = &state.overlay else { panic!("no prompt") };
            let first = prompt.candidates.first().map(|candidate| candidate.line.as_str());
            assert_eq!(first, Some(command.name), "in {}", views::name(&view));
            press(&mut state, "esc");
        }
    }
}

#[test]
fn footer_and_menu_show_what_the_view_offers() {
    for view in every_view() {
        let mut state = world((200, 60), DARK);
        show(&mut state, view.clone());
        let own: Vec<_> = all()
            .filter(|command| matches!(command.scope, Scope::In(_)) && command.scope.holds(&view))
            .collect();
        press(&mut state, "m");
        let Some(Overlay::Menu(menu)) = &state.overlay else { panic!("no menu") };
        for command in &own {
            assert!(menu.items.iter().any(|item| item.label == command.doc), "{}", command.name);
        }
        press(&mut state, "esc");
        let screen = text(&state);
        let footer = screen.lines().last().unwrap_or_default();
        for command in own {
            let able = super::enabled(command, &state).is_ok() && !command.keys.is_empty();
            assert!(!able || footer.contains(command.name), "{} in {footer:?}", command.name);
        }
    }
}

#[test]
fn read_only_leaves_no_change() {
    for view in every_view() {
        for command in all().filter(|command| command.risk > Risk::Read) {
            let mut state = world((120, 40), DARK);
            state.read_only = true;
            show(&mut state, view.clone());
            let mut effects = Vec::new();
            assert!(run(&mut state, command, "", &mut effects).is_err(), "{}", command.name);
            assert!(!effects.iter().any(|effect| matches!(effect, Effect::Change { .. })));
        }
    }
}

#[test]
fn no_grave_command_acts_on_one_key() {
    for view in every_view() {
        for command in all().filter(|command| command.risk == Risk::Grave) {
            let mut state = world((120, 40), DARK);
            show(&mut state, view.clone());
            let mut effects = Vec::new();
            let ran = run(&mut state, command, "", &mut effects);
            assert!(
                !effects.iter().any(|effect| matches!(effect, Effect::Change { .. })),
                "{}: {ran:?}",
                command.name
            );
        }
    }
}

#[test]
fn forms_advise_commands_that_there_are() {
    let mut advised = 0;
    for view in every_view() {
        for command in all().filter(|command| command.risk > Risk::Read) {
            let mut state = world((120, 40), DARK);
            show(&mut state, view.clone());
            // What cannot be done here opens no form.
            let _ = run(&mut state, command, "", &mut Vec::new());
            let Some(Overlay::Form(form)) = state.overlay else { continue };
            for line in form.lines.iter().flat_map(|line| line.split('`').skip(1).step_by(2)) {
                let parsed = Cli::command().try_get_matches_from(line.split(' '));
                let known = parsed.is_ok() || line.ends_with("--help");
                assert!(known, "{}: {line}", command.name);
                advised += 1;
            }
        }
    }
    assert!(advised > 1, "forms advise something");
}

#[test]
fn arguments_are_asked_for() {
    for command in all().filter(|command| matches!(command.argument, Argument::Needed(_))) {
        let mut state = world((120, 40), DARK);
        let error = run(&mut state, command, "", &mut Vec::new()).expect_err(command.name);
        assert!(error.contains("what?"), "{error}");
    }
    assert_eq!(find("q").map(|command| command.name), Some("quit"));
}

/// The key reference in the docs is the table's own.
#[test]
fn the_key_reference_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/keys.md");
    let made = super::reference();
    if std::env::var_os("VIGIE_BLESS").is_some() {
        std::fs::write(&path, &made).expect("written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == made, "docs/keys.md is not what the commands say: run this test with VIGIE_BLESS=1");
}
