//! Who may do what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a principal may do; each role may do all that the lesser ones may. Roles compare by their
/// numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything, changes nothing.
    Viewer = 1,
    /// Also asks for predictions and gives feedback.
    Labeller = 2,
    /// Also runs jobs, accepts change-sets, promotes and rolls back.
    Operator = 3,
    /// Also manages projects, erases predictions, collects garbage, makes backups.
    Admin = 4,
    /// A role this build does not know: less than all others, here it allows nothing. Only an
    /// agent's word about a caller reads like this, never its configuration.
    #[serde(other)]
    Unknown = 0,
}

impl Role {
    /// Every role that can be given, least first.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Labeller, Role::Operator, Role::Admin];

    /// The word used in configuration and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Labeller => "labeller",
            Role::Operator => "operator",
            Role::Admin => "admin",
            Role::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not a role; the roles are viewer, labeller, operator, admin"))
    }
}

/// Who is behind a connection, as the agent established it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The user's name (`alice`), or `uid:1007` when the system knows no name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// How they were recognised, for people: `unix socket, uid 1007, pid 4242`.
    pub via: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_from_the_future_is_the_least() {
        let role: Role = serde_json::from_str("\"overlord\"").expect("tolerated");
        assert!(Role::ALL.iter().all(|known| role < *known) && Role::ALL.is_sorted());
        assert!("overlord".parse::<Role>().is_err() && "unknown".parse::<Role>().is_err());
    }
}
