//! Requests about model versions, the gate and aliases.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::model::{Alias, AliasMove, ModelVersion, Passport};
use crate::page::PageRequest;
use crate::{AliasName, IdempotencyKey, ModelNumber, ProjectName};

/// Lists model versions, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelList {
    /// Of which project.
    pub project: ProjectName,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Names a model version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelGet {
    /// Of which project.
    pub project: ProjectName,
    /// Which.
    pub number: ModelNumber,
}

/// A model version with its passport.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelDetail {
    /// The version.
    pub model: ModelVersion,
    /// Its passport.
    pub passport: Passport,
    /// The aliases it holds.
    pub aliases: Vec<AliasName>,
}

/// Asks what the gate says of a candidate, without moving anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateTest {
    /// Of which project.
    pub project: ProjectName,
    /// The candidate.
    pub candidate: ModelNumber,
    /// The alias it would take.
    pub alias: AliasName,
}

/// Gives an alias to a model version, through the gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promote {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project.
    pub project: ProjectName,
    /// The candidate.
    pub candidate: ModelNumber,
    /// The alias it takes.
    pub alias: AliasName,
    /// The alias's generation the caller saw; 0 when nobody holds it.
    pub expected_generation: u64,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Go on although the gate refuses; `reason` must then say why.
    #[serde(default)]
    pub override_gate: bool,
}

/// Gives an alias back to its previous holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project.
    pub project: ProjectName,
    /// Which alias.
    pub alias: AliasName,
    /// The generation the caller saw; absent to roll back whatever is there now.
    #[serde(default)]
    pub expected_generation: Option<u64>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// An alias after a move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AliasMoved {
    /// The alias as it stands.
    pub alias: Alias,
    /// The move.
    pub moved: AliasMove,
    /// Milliseconds from the request until the new holder answered predictions.
    pub swap_ms: u64,
}

/// Reads the moves of an alias, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasHistory {
    /// Of which project.
    pub project: ProjectName,
    /// Which alias.
    pub alias: AliasName,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

impl From<(Alias, AliasMove, Event)> for AliasMoved {
    /// A move that was carried out before: nothing was swapped this time.
    fn from((alias, moved, _): (Alias, AliasMove, Event)) -> Self {
        Self { alias, moved, swap_ms: 0 }
    }
}
