//! Aliases, their moves, and the gate before them: the agent's own gate, on simulated passports.

use vigie_core::evaluate::gate::{self, Contender, GateInput, GoldenResult};
use vigie_protocol::access::Principal;
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::health::ServiceState;
use vigie_protocol::model::{Alias, AliasMove, GateVerdict, MoveKind, Passport};
use vigie_protocol::page::Page;
use vigie_protocol::service::{AliasHistory, AliasMoved, GateTest, InProject, Promote, Rollback};
use vigie_protocol::{AliasName, ApiError, ErrorCode, ModelNumber, ProjectName};

use super::State;
use super::once::Change;
use super::page::{cursor, page};
use super::projects::InState;
use super::refusal::{check_generation, precondition};

/// Milliseconds that a swap is said to take.
const SWAP_MS: u64 = 240;

/// An alias, its earlier holders (the newest last) and its moves (the newest last).
#[derive(Clone, Debug)]
pub(super) struct AliasRow {
    pub(super) alias: Alias,
    pub(super) before: Vec<ModelNumber>,
    pub(super) moves: Vec<AliasMove>,
}

/// A move that is to happen.
pub(super) struct Move<'a> {
    pub(super) kind: MoveKind,
    pub(super) to: ModelNumber,
    pub(super) by: &'a str,
    pub(super) reason: Option<String>,
    pub(super) verdict: Option<GateVerdict>,
}

impl State {
    pub(in super::super) fn alias_list(
        &mut self,
        _: &Principal,
        request: InProject,
    ) -> Result<Vec<Alias>, ApiError> {
        Ok(self.project(&request.project)?.aliases.values().map(|row| row.alias.clone()).collect())
    }

    pub(in super::super) fn alias_history(
        &mut self,
        _: &Principal,
        request: AliasHistory,
    ) -> Result<Page<AliasMove>, ApiError> {
        let AliasHistory { project, alias, page: wanted } = request;
        let before: Option<u64> = cursor(&wanted)?;
        let rows =
            self.project(&project)?.aliases.get(&alias).into_iter().flat_map(|row| row.moves.iter().rev());
        let rows = rows.filter(|moved| before.is_none_or(|before| moved.generation < before));
        Ok(page(&wanted, rows.map(|moved| (moved.generation, Some(moved.clone())))))
    }

    pub(in super::super) fn gate_test(
        &mut self,
        _: &Principal,
        request: GateTest,
    ) -> Result<GateVerdict, ApiError> {
        let GateTest { project, candidate, alias } = request;
        self.verdict(&project, candidate, &alias)
    }

    pub(in super::super) fn promote(
        &mut self,
        who: &Principal,
        request: Promote,
    ) -> Result<AliasMoved, ApiError> {
        let Promote {
            key,
            ref project,
            candidate,
            ref alias,
            expected_generation,
            ref reason,
            override_gate,
        } = request;
        self.project(project)?;
        let target = format!("{project} {alias} -> {candidate}");
        let (method, reason) = ("promote", reason.clone());
        let change = Change { key, method, request: &request, target, reason: reason.clone(), who };
        self.once(&change, |state| {
            let reason = reason.filter(|reason| !reason.trim().is_empty());
            if override_gate && reason.is_none() {
                let text = "going against the gate needs a reason";
                return Err(ApiError::invalid(text).with_hint("add --reason TEXT"));
            }
            let verdict = state.verdict(project, candidate, alias)?;
            let kind = match (verdict.passed(), override_gate) {
                (true, _) => MoveKind::Promote,
                (false, true) => MoveKind::Override,
                (false, false) => return Err(refusal(&verdict)),
            };
            let row = state.project(project)?.aliases.get(alias);
            let generation = row.map_or(0, |row| row.alias.generation);
            check_generation(format_args!("alias {alias}"), generation, expected_generation)?;
            let by = &who.name;
            state.move_alias(project, alias, Move { kind, to: candidate, by, reason, verdict: Some(verdict) })
        })
    }

    pub(in super::super) fn rollback(
        &mut self,
        who: &Principal,
        request: Rollback,
    ) -> Result<AliasMoved, ApiError> {
        let Rollback { key, ref project, ref alias, expected_generation, ref reason } = request;
        self.project(project)?;
        let target = format!("{project} {alias}");
        let (method, reason) = ("rollback", reason.clone());
        let change = Change { key, method, request: &request, target, reason: reason.clone(), who };
        self.once(&change, |state| {
            let row = state.project(project)?.aliases.get(alias);
            let held = row.ok_or_else(|| ApiError::not_found(format_args!("alias {alias}")))?.alias.clone();
            if expected_generation.is_some_and(|expected| expected != held.generation) {
                let text = format!("{alias} moved since you looked");
                return Err(
                    ApiError::new(ErrorCode::Conflict, text).with_hint("look again: vigie models history")
                );
            }
            let Some(to) = held.previous else {
                let text = format!("{alias} has no holder before {} to go back to", held.model);
                return Err(
                    precondition(text).with_hint("promote another version instead: vigie models promote")
                );
            };
            let by = &who.name;
            state.move_alias(project, alias, Move { kind: MoveKind::Rollback, to, by, reason, verdict: None })
        })
    }

    /// What the gate says.
    fn verdict(
        &self,
        project: &ProjectName,
        candidate: ModelNumber,
        alias: &AliasName,
    ) -> Result<GateVerdict, ApiError> {
        let project = self.project(project)?;
        let model = project.model(candidate)?;
        let holder = project.aliases.get(alias).map(|row| row.alias.model).filter(|&held| held != candidate);
        let holder: Option<(ModelNumber, Passport)> =
            holder.and_then(|held| Some((held, project.passport(project.model(held).ok()?))));
        let (worst, tolerance) = (if model.reproduces { 1e-5 } else { 0.8 }, 1e-3);
        let golden = GoldenResult::Compared { images: 16, worst, tolerance, reproduced: model.reproduces };
        Ok(gate::verdict(&GateInput {
            candidate: Contender { number: candidate, passport: &project.passport(model) },
            production: holder.as_ref().map(|(number, passport)| Contender { number: *number, passport }),
            golden: &golden,
            at: self.now,
        }))
    }

    /// Moves an alias, and says so. Whoever holds `production` answers predictions from now on.
    pub(super) fn move_alias(
        &mut self,
        name: &ProjectName,
        alias: &AliasName,
        to_happen: Move<'_>,
    ) -> Result<AliasMoved, ApiError> {
        let now = self.now;
        let project = self.project_mut(name)?;
        let (alias, moved) = project.move_alias(alias, to_happen, now)?;
        let text = announcement(&moved);
        let severity = if moved.kind == MoveKind::Promote { Severity::Info } else { Severity::Warning };
        if alias.name == AliasName::production() {
            self.project_mut(name)?.log.begin(now, alias.model);
            self.service(&format!("serving:{name}"), ServiceState::Up, format!("model {}", alias.model));
        }
        let subject = Subject::Alias { alias: alias.name.clone(), to: alias.model };
        self.event(Some(name), severity, subject, text);
        Ok(AliasMoved { alias, moved, swap_ms: SWAP_MS })
    }
}

impl InState {
    /// Moves an alias and keeps the move.
    pub(super) fn move_alias(
        &mut self,
        name: &AliasName,
        to_happen: Move<'_>,
        now: vigie_protocol::Time,
    ) -> Result<(Alias, AliasMove), ApiError> {
        let Move { kind, to, by, reason, verdict } = to_happen;
        self.model(to)?;
        let row = self.aliases.get(name);
        let from = row.map(|row| row.alias.model);
        if from == Some(to) {
            return Err(precondition(format!("{to} holds {name} already")));
        }
        let generation = row.map_or(0, |row| row.alias.generation) + 1;
        let (mut before, mut moves) =
            row.map(|row| (row.before.clone(), row.moves.clone())).unwrap_or_default();
        if kind == MoveKind::Rollback {
            before.pop();
        } else {
            before.extend(from);
        }
        let by = by.to_owned();
        let moved =
            AliasMove { alias: name.clone(), generation, kind, from, to, at: now, by, reason, verdict };
        moves.push(moved.clone());
        let (project, previous) = (self.project.name.clone(), before.last().copied());
        let alias = Alias { project, name: name.clone(), model: to, previous, generation, since: now };
        self.aliases.insert(name.clone(), AliasRow { alias: alias.clone(), before, moves });
        Ok((alias, moved))
    }
}

/// What an event says of a move.
pub(super) fn announcement(moved: &AliasMove) -> String {
    let how = match moved.kind {
        MoveKind::Promote => "promoted",
        MoveKind::Override => "promoted against the gate",
        MoveKind::Rollback => "rolled back",
        MoveKind::Unknown => "moved",
    };
    let from = moved.from.map_or_else(|| "nothing".to_owned(), |from| from.to_string());
    let reason = moved.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{} {how} from {from} to {} by {}{reason}", moved.alias, moved.to, moved.by)
}

fn refusal(verdict: &GateVerdict) -> ApiError {
    let failed: Vec<String> = verdict
        .checks
        .iter()
        .filter(|check| !check.passed)
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    let text = format!("the gate refused {}: {}", verdict.candidate, failed.join("; "));
    ApiError::new(ErrorCode::GateRefused, text).with_hint("to go on all the same: --override --reason TEXT")
}
