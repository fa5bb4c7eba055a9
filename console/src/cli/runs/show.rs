//! How runs are shown.

use vigie_protocol::run::{EpochMetrics, Run, RunState};

use crate::compare::{RunComparison, RunResult, best_epoch, start};
use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, count, duration, percent, sparkline, when};

/// Runs, one a row.
pub fn table(runs: &[Run], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("ID"),
            Column::text("STATE"),
            Column::text("DATASET"),
            Column::text("NETWORK"),
            Column::figure("INPUT"),
            Column::figure("EPOCHS"),
            Column::figure("BEST"),
            Column::figure("VALID ACC"),
            Column::text("VALID LOSS"),
            Column::text("CREATED"),
        ],
        "no runs yet; `vigie runs start` makes one",
    );
    for run in runs {
        let best = best_epoch(run);
        let losses: Vec<f64> = run.epochs.iter().map(|epoch| epoch.valid_loss).collect();
        table.row([
            run.id.to_string().into(),
            state(run.state),
            run.dataset.to_string().into(),
            run.recipe.architecture.as_str().into(),
            format!("{} px", run.recipe.input).into(),
            format!("{}/{}", run.epochs.len(), run.recipe.epochs).into(),
            Cell::maybe(run.best_epoch),
            Cell::maybe(best.map(|epoch| percent(epoch.valid_accuracy))),
            sparkline(&losses, 16).into(),
            age(style.now, run.created).into(),
        ]);
    }
    table
}

fn state(state: RunState) -> Cell {
    match state {
        RunState::Running => Cell::from("running"),
        RunState::Finished => Cell::toned("finished", Tone::Good),
        RunState::Failed => Cell::toned("failed", Tone::Bad),
        RunState::Cancelled => Cell::toned("cancelled", Tone::Dim),
        RunState::Unknown => Cell::toned("unknown", Tone::Dim),
    }
}

/// A run with its recipe and its curve.
pub fn sheet(run: &Run, style: &Style) -> Sheet {
    let Run {
        id,
        job,
        dataset,
        manifest: _,
        recipe,
        preprocess,
        state: run_state,
        created,
        by,
        epochs,
        best_epoch,
        resumed,
    } = run;
    let curve = |value: fn(&EpochMetrics) -> f64| {
        let values: Vec<f64> = epochs.iter().map(value).collect();
        (!values.is_empty()).then(|| sparkline(&values, 60))
    };
    let seconds: f64 = epochs.iter().map(|epoch| epoch.seconds).sum();
    Sheet::new()
        .field("Run", id.to_string())
        .field("State", state(*run_state))
        .field("Job", job.to_string())
        .field("Dataset", dataset.to_string())
        .field("Network", format!("{} from {}, {2}×{2} pixels", recipe.architecture, start(&recipe.init), preprocess.crop))
        .field(
            "Recipe",
            format!(
                "{} epochs, batch {}, learning rate {}, weight decay {}, smoothing {}, dropout {}, {}patience {}, seed {}",
                recipe.epochs,
                recipe.batch,
                recipe.learning_rate,
                recipe.weight_decay,
                recipe.label_smoothing,
                recipe.dropout,
                if recipe.mirror { "mirrored, " } else { "" },
                recipe.patience,
                recipe.seed
            ),
        )
        .field("Created", format!("{} by {by}", when(style.now, *created)))
        .maybe("Trained", (seconds > 0.0).then(|| duration(std::time::Duration::from_secs_f64(seconds.min(1e9)))))
        .maybe("Resumed", (*resumed > 0).then(|| format!("{} times", count(u64::from(*resumed)))))
        .maybe("Best epoch", best_epoch.as_ref())
        .maybe("Train loss", curve(|epoch| epoch.train_loss))
        .maybe("Valid loss", curve(|epoch| epoch.valid_loss))
        .maybe("Valid accuracy", curve(|epoch| epoch.valid_accuracy))
        .table("Epochs", epochs_table(epochs, *best_epoch))
}

fn epochs_table(epochs: &[EpochMetrics], best: Option<u32>) -> Table {
    let mut table = Table::new(
        [
            Column::figure("EPOCH"),
            Column::figure("TRAIN LOSS"),
            Column::figure("VALID LOSS"),
            Column::figure("VALID ACC"),
            Column::figure("RATE"),
            Column::figure("TOOK"),
            Column::text(""),
        ],
        "no epoch is finished yet",
    );
    for metrics in epochs {
        let EpochMetrics { epoch, train_loss, valid_loss, valid_accuracy, learning_rate, seconds, at: _ } =
            *metrics;
        table.row([
            Cell::from(epoch.to_string()),
            format!("{train_loss:.4}").into(),
            format!("{valid_loss:.4}").into(),
            percent(valid_accuracy).into(),
            format!("{learning_rate:.1e}").into(),
            format!("{seconds:.1} s").into(),
            if Some(epoch) == best { Cell::toned("best", Tone::Good) } else { "".into() },
        ]);
    }
    table
}

/// Runs side by side.
pub fn comparison(comparison: &RunComparison) -> Sheet {
    let RunComparison { runs, differences, same_images } = comparison;
    let mut results = Table::new(
        [
            Column::text("RUN"),
            Column::text("STATE"),
            Column::text("DATASET"),
            Column::figure("EPOCHS"),
            Column::figure("BEST"),
            Column::figure("VALID LOSS"),
            Column::figure("VALID ACC"),
        ],
        "no runs",
    );
    for RunResult { run, state: run_state, dataset, finished, best } in runs {
        results.row([
            run.to_string().into(),
            state(*run_state),
            dataset.to_string().into(),
            count(*finished as u64).into(),
            Cell::maybe(best.as_ref().map(|best| best.epoch)),
            Cell::maybe(best.as_ref().map(|best| format!("{:.4}", best.valid_loss))),
            Cell::maybe(best.as_ref().map(|best| percent(best.valid_accuracy))),
        ]);
    }
    let sheet = Sheet::new().table("Best epochs", results);
    let sheet = match same_images {
        true => sheet,
        false => sheet.line(
            "They learnt from different images, so their validation figures are of different images too.",
        ),
    };
    if differences.is_empty() {
        return sheet.line("").line("The recipes are the same.");
    }
    let columns: Vec<Column> = std::iter::once(Column::text("RUN"))
        .chain(differences.iter().map(|difference| Column::text(difference.field)))
        .collect();
    let mut recipes = Table::new(columns, "no runs");
    for (i, RunResult { run, .. }) in runs.iter().enumerate() {
        let values = differences.iter().map(|difference| Cell::maybe(difference.values.get(i)));
        recipes.row(std::iter::once(Cell::from(run.to_string())).chain(values).collect::<Vec<_>>());
    }
    sheet.table("What differs", recipes)
}
