//! The console's configuration: which agents there are and what to call them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use vigie_protocol::ProjectName;

use crate::exit::{Exit, Failure};
use crate::tui::pictures::Kind;
use crate::tui::theme::Palette;

/// `config.toml`. A key that is not known is an error, so that a typing mistake is not obeyed
/// silently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The context used when no agent is named.
    #[serde(default)]
    pub default: Option<String>,
    /// Agents by the names people give them.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
    /// Keys of the terminal UI: a command and the keys that run it, in place of its own.
    #[serde(default)]
    pub keys: BTreeMap<String, Vec<String>>,
    /// How the terminal UI looks and behaves.
    #[serde(default)]
    pub terminal: TerminalConfig,
}

/// How the terminal UI looks and behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TerminalConfig {
    /// Which colours; those for dark backgrounds when absent.
    pub palette: Option<Palette>,
    /// Whether lines and marks are drawn in ASCII; as the locale says when absent.
    pub ascii: Option<bool>,
    /// Whether times are shown in UTC.
    pub utc: bool,
    /// Whether the mouse is listened to; then the terminal's own selection needs Shift.
    pub mouse: bool,
    /// How pictures are shown: kitty, iterm2, sixel, half-blocks, ascii or none; as the terminal seems
    /// to be able to when absent.
    pub pictures: Option<Kind>,
    /// Whether frames are sent as a whole (DEC mode 2026).
    pub synchronised: bool,
}

impl Default for TerminalConfig {
    fn default() -> Self {
        Self { palette: None, ascii: None, utc: false, mouse: false, pictures: None, synchronised: true }
    }
}

/// One agent and what is usually done there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// `unix:///run/vigie/agent.sock`, `ssh://vigie@lab`.
    pub target: String,
    /// The project used when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// What the terminal UI shows together when it is asked for the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether the terminal UI offers nothing there that changes something, whatever the role allows.
    #[serde(default)]
    pub read_only: bool,
}

/// The agent that a command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The context's name, when it has one.
    pub name: Option<String>,
    /// Where it is; absent means the agent of this machine, in its usual place.
    pub target: Option<String>,
    /// Its usual project.
    pub project: Option<ProjectName>,
}

impl Config {
    /// Reads the file; a missing one is an empty configuration.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn parse(text: &str, path: &Path) -> anyhow::Result<Self> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            Failure::usage(format!("{}:{line}:{column}: {}", path.display(), error.message()))
                .hint("`vigie config show --help` shows what the file may hold")
        })?;
        if let Some(name) = &config.default {
            config.context(name).with_context(|| format!("{}: default", path.display()))?;
        }
        Ok(config)
    }

    /// The context called `name`.
    pub fn context(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let hint = if known.is_empty() {
                "no contexts are configured; `vigie config add NAME TARGET` adds one".to_owned()
            } else {
                format!("the contexts are {}", known.join(", "))
            };
            Failure::new(Exit::NotFound, format!("there is no context {name:?}")).hint(hint)
        })
    }

    /// The agent that `agent` (a context's name or a target) means; without it the default.
    pub fn choose(&self, agent: Option<&str>) -> Result<Chosen, Failure> {
        let Some(name) = agent.or(self.default.as_deref()) else {
            return Ok(Chosen { name: None, target: None, project: None });
        };
        if name.contains(':') || name.contains('/') {
            return Ok(Chosen { name: None, target: Some(name.to_owned()), project: None });
        }
        let context = self.context(name)?;
        Ok(Chosen {
            name: Some(name.to_owned()),
            target: Some(context.target.clone()),
            project: context.project.clone(),
        })
    }
}

/// Line and column of a byte of `text`, both from 1, the column in characters.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Where the configuration lies: `$XDG_CONFIG_HOME/vigie/config.toml`.
pub fn default_path() -> Option<PathBuf> {
    base("XDG_CONFIG_HOME", ".config").map(|base| base.join("vigie/config.toml"))
}

/// Where an agent that a person starts keeps its state: `$XDG_STATE_HOME/vigie`.
pub fn state_home() -> Option<PathBuf> {
    base("XDG_STATE_HOME", ".local/state").map(|base| base.join("vigie"))
}

/// An XDG base directory; relative values are to be ignored, says the specification.
fn base(variable: &str, below_home: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute()).or_else(|| {
        let home = PathBuf::from(std::env::var_os("HOME")?);
        home.is_absolute().then(|| home.join(below_home))
    })
}

/// Changes the file, keeping its comments and order, and replaces it in one step.
pub fn edit(path: &Path, change: impl FnOnce(&mut toml_edit::DocumentMut)) -> anyhow::Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mut document: toml_edit::DocumentMut =
        text.parse().with_context(|| format!("cannot read {}", path.display()))?;
    change(&mut document);
    let text = document.to_string();
    // What is written must be readable again.
    Config::parse(&text, path)?;
    let folder = path.parent().context("the configuration has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let file = tempfile::NamedTempFile::new_in(folder)?;
    fs::write(file.path(), text)?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Config> {
        Config::parse(text, Path::new("config.toml"))
    }

    const GOOD: &str = r#"
        default = "lab"
        [contexts.lab]
        target = "ssh://vigie@lab"
        project = "birds"
        [contexts.here]
        target = "unix:///run/vigie/agent.sock"
    "#;

    #[test]
    fn chooses_by_name_by_target_or_by_default() {
        let config = parse(GOOD).expect("valid");
        for (agent, name, target) in [
            (None, Some("lab"), Some("ssh://vigie@lab")),
            (Some("here"), Some("here"), Some("unix:///run/vigie/agent.sock")),
            (Some("ssh://other"), None, Some("ssh://other")),
            (Some("./a.sock"), None, Some("./a.sock")),
        ] {
            let chosen = config.choose(agent).expect("known");
            assert_eq!((chosen.name.as_deref(), chosen.target.as_deref()), (name, target));
        }
        assert_eq!(config.choose(Some("nope")).expect_err("unknown").exit, Exit::NotFound);
        let nothing = Config::default().choose(None).expect("the usual place");
        assert_eq!(nothing.target, None);
    }

    #[test]
    fn the_commented_example_is_valid() {
        let config = parse(include_str!("../../configs/console.toml")).expect("valid");
        for context in config.contexts.values() {
            context.target.parse::<vigie_protocol::wire::target::Target>().expect("an address");
        }
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        for (text, message) in [
            (
                "defalt = \"lab\"\n",
                "config.toml:1:1: unknown field `defalt`, expected one of `default`, `contexts`",
            ),
            ("[contexts.lab]\n\n  taget = 1\n", "config.toml:3:3: unknown field `taget`"),
            (
                "[contexts.lab]\ntarget = 1\n",
                "config.toml:2:10: invalid type: integer `1`, expected a string",
            ),
            (
                "[contexts.lab]\ntarget = \"x\"\nproject = \"No\"\n",
                "config.toml:3:11: \"No\" is not a name of",
            ),
            ("default = \n", "config.toml:1:11: "),
            ("default = \"gone\"\n", "config.toml: default"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.starts_with(message), "{error:?} should start with {message:?}");
        }
    }

    #[test]
    fn edits_keep_comments() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("sub/config.toml");
        edit(&path, |document| document["contexts"]["lab"]["target"] = toml_edit::value("ssh://lab"))
            .expect("made");
        let text = format!("# mine\n{}", fs::read_to_string(&path).expect("there"));
        fs::write(&path, text).expect("written");
        edit(&path, |document| document["default"] = toml_edit::value("lab")).expect("changed");
        let text = fs::read_to_string(&path).expect("there");
        assert!(text.contains("# mine") && text.contains("default = \"lab\""), "{text}");
        assert_eq!(Config::load(&path).expect("valid").default.as_deref(), Some("lab"));
        edit(&path, |document| document["default"] = toml_edit::value("gone")).expect_err("unknown context");
    }
}
