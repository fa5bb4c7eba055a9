//! Aliases: who holds them, and every move.

use serde::{Deserialize, Serialize};
use vigie_protocol::event::{Event, Severity, Subject};
use vigie_protocol::model::{Alias, AliasMove, GateVerdict, MoveKind};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::{AliasName, ModelNumber, ProjectName, Time};

use super::{Catalog, EventDraft, Key, Receipt, check_generation, missing};
use crate::store::{Result, StoreError};

/// How many rollbacks in a row can go back.
const HOLDERS_KEPT: usize = 64;

/// A move of an alias before it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct AliasMoveDraft {
    /// The alias.
    pub alias: AliasName,
    /// How it moves.
    pub kind: MoveKind,
    /// To which version.
    pub to: ModelNumber,
    /// When.
    pub at: Time,
    /// By whom.
    pub by: String,
    /// Why, as typed.
    pub reason: Option<String>,
    /// What the gate said; absent on a rollback.
    pub verdict: Option<GateVerdict>,
    /// The alias's generation as the caller saw it; 0 when nobody holds it.
    pub expected_generation: u64,
}

/// The alias and its earlier holders, newest last: a promotion pushes one, a rollback takes one away,
/// so that two rollbacks go back two steps and not to and fro.
#[derive(Serialize, Deserialize)]
struct AliasRow {
    alias: Alias,
    before: Vec<ModelNumber>,
}

fn in_project(project: &ProjectName) -> Key {
    Key::of("alias").word(project.as_str())
}

fn key(project: &ProjectName, alias: &AliasName) -> Vec<u8> {
    in_project(project).word(alias.as_str()).bytes()
}

fn moves(project: &ProjectName, alias: &AliasName) -> Key {
    Key::of("alias-move").word(project.as_str()).word(alias.as_str())
}

fn announcement(project: &ProjectName, moved: &AliasMove) -> EventDraft {
    let (severity, how) = match moved.kind {
        MoveKind::Promote => (Severity::Info, "promoted"),
        MoveKind::Override => (Severity::Warning, "promoted against the gate"),
        MoveKind::Rollback => (Severity::Warning, "rolled back"),
        MoveKind::Unknown => (Severity::Info, "moved"),
    };
    let from = moved.from.map_or_else(|| "nothing".to_owned(), |from| from.to_string());
    let mut text = format!("{} {how} from {from} to {} by {}", moved.alias, moved.to, moved.by);
    if let Some(reason) = &moved.reason {
        text.push_str(": ");
        text.push_str(reason);
    }
    EventDraft {
        at: moved.at,
        project: Some(project.clone()),
        severity,
        subject: Subject::Alias { alias: moved.alias.clone(), to: moved.to },
        text,
    }
}

/// The earlier holders after a move, newest last, of those `before` it; nothing when a rollback does
/// not go to the newest of them.
pub(in crate::store) fn holders_after(
    mut before: Vec<ModelNumber>,
    kind: MoveKind,
    from: Option<ModelNumber>,
    to: ModelNumber,
) -> Option<Vec<ModelNumber>> {
    if kind == MoveKind::Rollback {
        return (before.pop() == Some(to)).then_some(before);
    }
    before.extend(from);
    before.drain(..before.len().saturating_sub(HOLDERS_KEPT));
    Some(before)
}

fn what(alias: &AliasName) -> String {
    format!("alias {alias}")
}

impl Catalog {
    /// One alias.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when nobody holds it.
    pub fn alias(&self, project: &ProjectName, alias: &AliasName) -> Result<Alias> {
        let row: AliasRow = self.need(key(project, alias), what(alias))?;
        Ok(row.alias)
    }

    /// A project's aliases, by name.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn aliases(&self, project: &ProjectName) -> Result<Vec<Alias>> {
        let rows: Vec<AliasRow> = self.all(in_project(project))?;
        Ok(rows.into_iter().map(|row| row.alias).collect())
    }

    /// Moves an alias: its new holder, the record of the move and the event appear together.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the alias moved since the caller looked,
    /// [`StoreError::NotFound`] without the version, [`StoreError::Precondition`] when the version
    /// holds the alias already or a rollback does not go to the previous holder.
    pub fn move_alias(
        &self,
        project: &ProjectName,
        draft: &AliasMoveDraft,
        receipt: Option<&Receipt>,
    ) -> Result<(Alias, AliasMove, Event)> {
        let AliasMoveDraft { alias, kind, to, at, by, reason, verdict, expected_generation } = draft;
        self.change(receipt, |change| {
            let row: Option<AliasRow> = change.read(key(project, alias))?;
            let generation = row.as_ref().map_or(0, |row| row.alias.generation);
            check_generation(what(alias), generation, *expected_generation)?;
            change.model(project, *to)?.ok_or_else(|| missing(format_args!("model {to}")))?;

            let from = row.as_ref().map(|row| row.alias.model);
            if from == Some(*to) {
                return Err(StoreError::Precondition(format!("{to} holds {alias} already")));
            }
            let before = row.map_or_else(Vec::new, |row| row.before);
            let before = holders_after(before, *kind, from, *to).ok_or_else(|| {
                StoreError::Precondition(format!("{to} is not the previous holder of {alias}"))
            })?;
            let moved = AliasMove {
                alias: alias.clone(),
                generation: generation + 1,
                kind: *kind,
                from,
                to: *to,
                at: *at,
                by: by.clone(),
                reason: reason.clone(),
                verdict: verdict.clone(),
            };
            let alias = Alias {
                project: project.clone(),
                name: alias.clone(),
                model: *to,
                previous: before.last().copied(),
                generation: moved.generation,
                since: *at,
            };
            change.put(key(project, &alias.name), &AliasRow { alias: alias.clone(), before });
            change.add(moves(project, &alias.name).u64(moved.generation).bytes(), &moved);
            let event = change.add_event(&announcement(project, &moved))?;
            Ok((alias, moved, event))
        })
    }

    /// The moves of an alias, newest first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub fn alias_history(
        &self,
        project: &ProjectName,
        alias: &AliasName,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<AliasMove>> {
        self.page_down(moves(project, alias), cursor, limit, |_| true)
    }
    /// The moves of all aliases of a project, each alias's oldest first, also of those without a
    /// holder; for checks.
    ///
    /// # Errors
    /// Those of the facts.
    pub(in crate::store) fn alias_moves(&self, project: &ProjectName) -> Result<Vec<AliasMove>> {
        self.all(Key::of("alias-move").word(project.as_str()))
    }
}
