//! What the agent is for, as its configuration says.

use serde::{Deserialize, Serialize};
use vigie_protocol::health::{Environment, EnvironmentColour};

use super::{AgentConfig, ConfigError};

/// Characters of a name.
const MAX_NAME: usize = 32;

impl AgentConfig {
    /// What this agent is for, as consoles are told it.
    pub fn environment(&self) -> Option<Environment> {
        let Self { environment: name, environment_colour: KnownColour(colour), .. } = self;
        (!name.is_empty()).then(|| Environment { name: name.clone(), colour: *colour })
    }
}

/// A colour as configured. On the wire an unknown colour is tolerated; in a configuration it is a
/// mistake, and read from here it says so with line and column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KnownColour(EnvironmentColour);

impl TryFrom<String> for KnownColour {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl From<KnownColour> for String {
    fn from(KnownColour(colour): KnownColour) -> Self {
        colour.as_str().to_owned()
    }
}

/// A name is shown on every screen of every console: it must be short, and move no cursor.
pub(super) fn check(config: &AgentConfig) -> Result<(), ConfigError> {
    let AgentConfig { environment: name, environment_colour: KnownColour(colour), .. } = config;
    let visible = |c: char| c.is_alphanumeric() || c.is_ascii_punctuation() || c == ' ';
    let fits = name.chars().count() <= MAX_NAME && name.chars().all(visible) && name.trim() == name;
    if !fits {
        return Err(ConfigError::Range {
            key: "agent.environment",
            value: format!("{name:?}"),
            expected: "it must be at most 32 letters, digits, signs and inner spaces",
        });
    }
    if name.is_empty() && *colour != EnvironmentColour::None {
        return Err(ConfigError::Range {
            key: "agent.environment_colour",
            value: colour.as_str().to_owned(),
            expected: "it colours a name, and agent.environment has none",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn load(text: &str) -> Result<Option<Environment>, String> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), format!("[agent]\nstate = \"/srv/v\"\n{text}")).expect("written");
        let config = Config::load(Some(file.path()), &|_| None).map_err(|error| error.to_string())?;
        Ok(config.agent.environment())
    }

    #[test]
    fn an_environment_is_a_name_and_perhaps_a_colour() {
        assert_eq!(load(""), Ok(None));
        assert_eq!(load("environment = \"\"\nenvironment_colour = \"none\""), Ok(None));
        for (text, name, colour) in [
            ("environment = \"staging\"", "staging", EnvironmentColour::None),
            (
                "environment = \"Werk 2 (Zürich)\"\nenvironment_colour = \"red\"",
                "Werk 2 (Zürich)",
                EnvironmentColour::Red,
            ),
        ] {
            assert_eq!(load(text), Ok(Some(Environment { name: name.to_owned(), colour })));
        }
        for colour in EnvironmentColour::ALL {
            let text = format!("environment = \"x\"\nenvironment_colour = \"{}\"", colour.as_str());
            assert_eq!(load(&text), Ok(Some(Environment { name: "x".to_owned(), colour })));
        }
    }

    #[test]
    fn what_would_mislead_is_refused() {
        for (text, expected) in [
            ("environment_colour = \"pink\"", "line 3, column 22"),
            ("environment_colour = \"unknown\"", "they are red, yellow, green"),
            ("environment_colour = \"red\"", "it colours a name"),
            ("environment = \"\\u001B[31mprod\"", "at most 32 letters"),
            ("environment = \"pro\\u202Ed\"", "at most 32 letters"),
            ("environment = \"prod\\u200B\"", "at most 32 letters"),
            ("environment = \" \"", "at most 32 letters"),
            ("environment = \"prod \"", "at most 32 letters"),
            ("environment = \"0123456789012345678901234567890123\"", "at most 32 letters"),
        ] {
            let error = load(text).expect_err(text);
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }
}
