//! Who may do what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a principal may do; each role may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads everything, changes nothing.
    Viewer,
    /// Also asks for predictions and gives feedback.
    Labeller,
    /// Also runs jobs, accepts change-sets, promotes and rolls back.
    Operator,
    /// Also manages projects, erases predictions, collects garbage, makes backups.
    Admin,
}

impl Role {
    /// Every role, least first.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Labeller, Role::Operator, Role::Admin];

    /// The word used in configuration and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Labeller => "labeller",
            Role::Operator => "operator",
            Role::Admin => "admin",
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
