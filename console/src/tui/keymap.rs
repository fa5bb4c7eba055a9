//! Which keys do what: the defaults of the command table, then what the user's configuration puts in
//! their place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::{self, Command, Scope};
use super::key::{Key, Keys};
use super::state::View;

/// Keys and the commands they run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keymap {
    bindings: Vec<(Keys, String)>,
}

/// What the keys pressed so far mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// A command.
    Command(&'static Command),
    /// The beginning of these combinations.
    Prefix(Vec<(Keys, &'static Command)>),
    /// Nothing here.
    Nothing,
}

impl Keymap {
    /// The defaults, with `overrides` (command → keys) in their place. What is wrong with those is
    /// told, and the rest obeyed: a typing mistake must not keep anybody from the fleet at night.
    pub fn new(overrides: &BTreeMap<String, Vec<String>>) -> (Self, Vec<String>) {
        let mut wrong = Vec::new();
        let mut bindings: Vec<(Keys, String)> = Vec::new();
        for name in overrides.keys().filter(|name| command::find(name).is_none()) {
            wrong.push(format!("keys: there is no command {name:?}; `vigie keys` lists them"));
        }
        for command in command::all() {
            match overrides.get(command.name) {
                Some(texts) => {
                    for text in texts {
                        match text.parse() {
                            Ok(keys) => bindings.push((keys, command.name.to_owned())),
                            Err(error) => wrong.push(format!("keys: {}: {error}", command.name)),
                        }
                    }
                }
                None => bindings.extend(
                    command
                        .keys
                        .iter()
                        .filter_map(|text| Some((text.parse().ok()?, command.name.to_owned()))),
                ),
            }
        }
        let map = Self { bindings };
        wrong.extend(map.clashes());
        (map, wrong)
    }

    /// What keys pressed one after the other mean in a view. What is bound for the view itself comes
    /// before what is bound everywhere.
    pub fn meaning(&self, pressed: &[Key], view: &View) -> Meaning {
        let here = || {
            self.bindings.iter().filter_map(|(keys, name)| {
                let command = command::find(name)?;
                (command.scope.holds(view) && keys.0.starts_with(pressed)).then_some((keys, command))
            })
        };
        let exact =
            here().filter(|(keys, _)| keys.0 == pressed).max_by_key(|(_, command)| command.scope.rank());
        if let Some((_, command)) = exact {
            return Meaning::Command(command);
        }
        let longer: Vec<_> = here().map(|(keys, command)| (keys.clone(), command)).collect();
        if longer.is_empty() { Meaning::Nothing } else { Meaning::Prefix(longer) }
    }

    /// The keys of a command, the first ones first.
    pub fn keys(&self, command: &str) -> impl Iterator<Item = &Keys> {
        self.bindings.iter().filter(move |(_, name)| name == command).map(|(keys, _)| keys)
    }

    /// The keys of a command as they are shown; empty when it has none.
    pub fn shown(&self, command: &str) -> String {
        self.keys(command).next().map(ToString::to_string).unwrap_or_default()
    }

    /// Keys that mean two things in one place, or that can never be finished because a shorter
    /// combination comes first.
    fn clashes(&self) -> Vec<String> {
        let mut found = Vec::new();
        let known: Vec<(&Keys, &Command)> =
            self.bindings.iter().filter_map(|(keys, name)| Some((keys, command::find(name)?))).collect();
        for (i, (keys, command)) in known.iter().enumerate() {
            for (other_keys, other) in &known[i + 1..] {
                let meet = keys.0.starts_with(&other_keys.0) || other_keys.0.starts_with(&keys.0);
                let same_rank = command.scope.rank() == other.scope.rank();
                if meet && same_rank && command.name != other.name && command.scope.meets(&other.scope) {
                    found.push(format!(
                        "keys: {keys} means {} and {other_keys} means {}",
                        command.name, other.name
                    ));
                }
            }
        }
        found
    }
}

impl Scope {
    /// Whether both can hold in one view.
    fn meets(&self, other: &Scope) -> bool {
        match (self, other) {
            (Scope::In(these), Scope::In(those)) => these.iter().any(|view| those.contains(view)),
            _ => true,
        }
    }

    /// What is bound more narrowly comes first.
    fn rank(&self) -> u8 {
        match self {
            Scope::Anywhere => 0,
            Scope::Tables => 1,
            Scope::In(_) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
        pairs.iter().map(|(name, keys)| ((*name).to_owned(), owned(keys))).collect()
    }

    #[test]
    fn the_defaults_do_not_clash() {
        assert_eq!(Keymap::new(&BTreeMap::new()).1, Vec::<String>::new());
    }

    #[test]
    fn every_key_can_be_moved() {
        let (map, wrong) = Keymap::new(&overrides(&[("quit", &["x x"])]));
        assert_eq!(wrong, Vec::<String>::new());
        let x: Key = "x".parse().expect("a key");
        assert!(matches!(map.meaning(&[x], &View::Overview), Meaning::Prefix(_)));
        assert!(matches!(map.meaning(&[x, x], &View::Overview), Meaning::Command(c) if c.name == "quit"));
        let q: Key = "q".parse().expect("a key");
        assert_eq!(map.meaning(&[q], &View::Overview), Meaning::Nothing);
    }

    #[test]
    fn mistakes_and_clashes_are_told() {
        let (map, wrong) = Keymap::new(&overrides(&[("quit", &["?", "hyper-q"]), ("fly", &["f"])]));
        assert_eq!(
            wrong,
            [
                "keys: there is no command \"fly\"; `vigie keys` lists them",
                "keys: quit: \"hyper-q\" is not a key such as q, G, ctrl-l, shift-tab, space or f5",
                "keys: ? means help and ? means quit",
            ]
        );
        let question: Key = "?".parse().expect("a key");
        assert!(matches!(map.meaning(&[question], &View::Overview), Meaning::Command(_)));
    }
}
