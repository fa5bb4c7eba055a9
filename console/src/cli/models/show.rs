//! How model versions, verdicts and moves are shown.

use std::cmp::Reverse;

use vigie_protocol::AliasName;
use vigie_protocol::model::{
    Alias, AliasMove, ClassReport, Evaluation, GateCheck, GateVerdict, ModelVersion, MoveKind, Passport,
};
use vigie_protocol::service::{AliasMoved, ModelDetail};

use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, count, when};

/// The gate's checks, one a row.
pub fn verdict_table(verdict: &GateVerdict) -> Table {
    let mut table =
        Table::new([Column::text("GATE"), Column::text("CHECK"), Column::flexible("EVIDENCE")], "no checks");
    for GateCheck { name, passed, detail } in &verdict.checks {
        let mark =
            if *passed { Cell::toned("passed", Tone::Good) } else { Cell::toned("refused", Tone::Bad) };
        table.row([mark, name.as_str().into(), detail.as_str().into()]);
    }
    table
}

/// An alias after its move.
pub fn moved_sheet(moved: &AliasMoved) -> Sheet {
    let AliasMoved { alias, moved, swap_ms } = moved;
    Sheet::new()
        .field("Alias", alias.name.as_str())
        .field("Model", alias.model.to_string())
        .field("Before", Cell::maybe(moved.from))
        .field("How", kind(moved.kind))
        .field("Swapped in", format!("{swap_ms} ms"))
}

fn kind(kind: MoveKind) -> Cell {
    match kind {
        MoveKind::Promote => Cell::from("promoted"),
        MoveKind::Override => Cell::toned("promoted against the gate", Tone::Warn),
        MoveKind::Rollback => Cell::toned("rolled back", Tone::Warn),
        MoveKind::Unknown => Cell::toned("unknown", Tone::Dim),
    }
}

/// Model versions with the aliases they hold, one a row.
pub fn table(models: &[ModelVersion], aliases: &[Alias], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("MODEL"),
            Column::text("ALIASES"),
            Column::figure("TEST ACCURACY (95 %, n)"),
            Column::text("NETWORK"),
            Column::figure("CLASSES"),
            Column::text("DATASET"),
            Column::text("CREATED"),
            Column::flexible("BY"),
        ],
        "no models yet; `vigie models evaluate RUN` registers one",
    );
    for model in models {
        let held: Vec<&str> = aliases
            .iter()
            .filter(|alias| alias.model == model.number)
            .map(|alias| alias.name.as_str())
            .collect();
        table.row([
            model.number.to_string().into(),
            Cell::toned(held.join(", "), Tone::Good),
            model.accuracy.to_string().into(),
            model.architecture.as_str().into(),
            model.classes.to_string().into(),
            model.dataset.to_string().into(),
            age(style.now, model.created).into(),
            model.by.as_str().into(),
        ]);
    }
    table
}

/// A model version with its report.
pub fn sheet(detail: &ModelDetail, style: &Style) -> Sheet {
    let ModelDetail { model, passport, aliases } = detail;
    let Passport { preprocess, dataset, run, epoch, temperature, evaluation, golden, made_by, .. } = passport;
    let Evaluation {
        accuracy,
        top3_accuracy,
        balanced_accuracy,
        macro_f1,
        log_loss,
        calibration_error,
        calibration_error_raw,
        classes,
        confusion,
        ..
    } = evaluation;
    let aliases: Vec<&str> = aliases.iter().map(AliasName::as_str).collect();
    Sheet::new()
        .field("Model", model.number.to_string())
        .field("Aliases", if aliases.is_empty() { Cell::none() } else { aliases.join(", ").into() })
        .field("Network", format!("{}, {2}×{2} pixels, {1} classes", model.architecture, model.classes, preprocess.crop))
        .field("Learnt from", format!("{dataset}, run {run}, epoch {epoch}"))
        .field("Created", format!("{} by {}", when(style.now, model.created), model.by))
        .field("Made by", made_by.as_str())
        .field("Weights", model.weights.to_string())
        .field("Golden set", format!("{} images", golden.len()))
        .field("Accuracy", accuracy.to_string())
        .field("Top-3 accuracy", top3_accuracy.to_string())
        .field("Balanced", format!("{balanced_accuracy:.3}, macro F1 {macro_f1:.3}"))
        .field(
            "Calibration",
            format!(
                "log loss {log_loss:.3}, error {calibration_error:.3} (before the temperature of {temperature:.2}: {calibration_error_raw:.3})"
            ),
        )
        .table("On the test split", report_table(classes))
        .table("Most frequent confusions", confusions_table(&passport.classes, confusion))
}

fn report_table(classes: &[ClassReport]) -> Table {
    let mut table = Table::new(
        [
            Column::flexible("CLASS"),
            Column::figure("PRECISION (95 %, n)"),
            Column::figure("RECALL (95 %, n)"),
            Column::figure("F1"),
        ],
        "no classes",
    );
    for ClassReport { class, precision, recall, f1 } in classes {
        table.row([
            Cell::from(class.as_str()),
            precision.to_string().into(),
            recall.to_string().into(),
            format!("{f1:.3}").into(),
        ]);
    }
    table
}

/// The ten largest cells off the diagonal.
fn confusions_table(classes: &[String], confusion: &[Vec<u64>]) -> Table {
    let mut cells: Vec<(u64, usize, usize)> = confusion
        .iter()
        .enumerate()
        .flat_map(|(truth, row)| row.iter().enumerate().map(move |(predicted, &n)| (n, truth, predicted)))
        .filter(|&(n, truth, predicted)| n > 0 && truth != predicted)
        .collect();
    cells.sort_by_key(|&(n, truth, predicted)| (Reverse(n), truth, predicted));
    let name = |class: usize| classes.get(class).map_or("?", String::as_str);
    let mut table = Table::new(
        [Column::figure("IMAGES"), Column::text("IS"), Column::flexible("TAKEN FOR")],
        "none: every test image was right",
    );
    for (n, truth, predicted) in cells.into_iter().take(10) {
        table.row([Cell::from(count(n)), name(truth).into(), name(predicted).into()]);
    }
    table
}

/// Moves of an alias, one a row.
pub fn history(moves: &[AliasMove], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::figure("#"),
            Column::text("WHEN"),
            Column::text("HOW"),
            Column::text("FROM"),
            Column::text("TO"),
            Column::text("BY"),
            Column::text("GATE"),
            Column::flexible("REASON"),
        ],
        "the alias never moved",
    );
    for moved in moves {
        let AliasMove { alias: _, generation, kind: how, from, to, at, by, reason, verdict } = moved;
        let gate = match verdict {
            Some(verdict) if verdict.passed() => Cell::toned("passed", Tone::Good),
            Some(_) => Cell::toned("refused", Tone::Bad),
            None => Cell::none(),
        };
        table.row([
            Cell::from(generation.to_string()),
            age(style.now, *at).into(),
            kind(*how),
            Cell::maybe(*from),
            to.to_string().into(),
            by.as_str().into(),
            gate,
            reason.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}
