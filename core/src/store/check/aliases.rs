//! Aliases held against their moves.

use std::collections::BTreeMap;

use vigie_protocol::model::{Alias, AliasMove, MoveKind};
use vigie_protocol::{AliasName, ModelNumber};

use super::catalog::Part;
use crate::store::Result;
use crate::store::catalog::holders_after;

impl Part<'_, '_> {
    pub(super) fn aliases(&mut self) -> Result<()> {
        let mut histories: BTreeMap<AliasName, Vec<AliasMove>> = BTreeMap::new();
        for moved in self.catalog.alias_moves(self.project)? {
            histories.entry(moved.alias.clone()).or_default().push(moved);
        }
        for alias in self.catalog.aliases(self.project)? {
            let moves = histories.remove(&alias.name).unwrap_or_default();
            self.alias(&alias, &moves);
        }
        for name in histories.into_keys() {
            self.broken(format_args!("alias {name}"), "it has moves and no holder");
        }
        Ok(())
    }

    fn alias(&mut self, alias: &Alias, moves: &[AliasMove]) {
        let place = format!("alias {}", alias.name);
        self.exists(&place, "its holder", self.catalog.model(self.project, alias.model));
        let mut last: Option<&AliasMove> = None;
        // The holders that a rollback can go back to; unknown after a gap, and after a move of a kind
        // that this build does not know.
        let mut before: Option<Vec<ModelNumber>> = Some(Vec::new());
        for moved in moves {
            let number = moved.generation;
            let expected = last.map_or(0, |last| last.generation).saturating_add(1);
            let from = last.map(|last| last.to);
            if number != expected {
                self.broken(&place, format_args!("its move {expected} is missing"));
                before = None;
            } else if moved.from != from {
                self.broken(
                    &place,
                    format_args!("its move {number} begins where the one before did not end"),
                );
                before = None;
            }
            if !is_justified(moved) {
                let text = "had neither the gate's word on its model nor a reason against it";
                self.broken(&place, format_args!("its move {number} {text}"));
            }
            before = match (before, moved.kind) {
                (None, _) | (_, MoveKind::Unknown) => None,
                (Some(before), kind) => {
                    let after = holders_after(before, kind, moved.from, moved.to);
                    if after.is_none() {
                        let text = format!(
                            "its move {number} rolled back to {}, which was not the holder before",
                            moved.to
                        );
                        self.broken(&place, text);
                    }
                    after
                }
            };
            if self.told.must_know(moved.at) && !self.told.knows_move(self.project, moved) {
                self.broken(&place, format_args!("no event tells of its move {number}"));
            }
            last = Some(moved);
        }
        if last.map(|last| (last.to, last.generation)) != Some((alias.model, alias.generation)) {
            self.broken(&place, "its holder is not where its last move led");
        }
        if before.is_some_and(|before| before.last().copied() != alias.previous) {
            self.broken(&place, "its holder before is not the one that its moves say");
        }
    }
}

/// Whether a move had what its kind needs: the gate's word on that very model, against which only a
/// person goes, with a reason.
fn is_justified(moved: &AliasMove) -> bool {
    let verdict = moved.verdict.as_ref().filter(|verdict| verdict.candidate == moved.to);
    let reasoned = moved.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
    match moved.kind {
        MoveKind::Promote => verdict.is_some_and(|verdict| verdict.passed()),
        MoveKind::Override => verdict.is_some() && reasoned,
        MoveKind::Rollback | MoveKind::Unknown => true,
    }
}
