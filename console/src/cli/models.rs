//! `vigie models`.

use clap::{Args, Subcommand};
use vigie_protocol::job::JobSpec;
use vigie_protocol::model::{
    Alias, AliasMove, ClassReport, Evaluation, GateCheck, GateVerdict, ModelVersion, MoveKind, Passport,
};
use vigie_protocol::service::{
    AliasHistory, AliasMoved, GateTest, InProject, ModelDetail, ModelGet, ModelList, Promote, Rollback,
};
use vigie_protocol::{AliasName, IdempotencyKey, ModelNumber, ProjectName, RunId};

use crate::app::App;
use crate::cli::datasets::submit;
use crate::cli::jobs::finish;
use crate::cli::{Limit, Waiting};
use crate::exit::{Exit, Failure};
use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, count, note, when};
use crate::prompt::confirm;
use crate::session::{Session, ask};

const EXAMPLES: &str = "\
Examples:
  vigie models list
  vigie models evaluate 01932f6c-…         test a run's best checkpoint and register it
  vigie models gate v7                     may it take production?
  vigie models promote v7 --reason 'better on barn owls'
  vigie models rollback                    the previous model answers again, at once
  vigie models history
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Models {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List model versions, newest first
    List {
        #[command(flatten)]
        limit: Limit,
    },
    /// Show a model version with its report on the test split
    Show {
        /// The model version, such as v7
        model: ModelNumber,
    },
    /// Evaluate a run on the held-out test split and register it as a model version
    Evaluate {
        /// The run
        run: RunId,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Ask what the gate says of a model version; exit code 6 when it refuses
    Gate {
        /// The model version, such as v7
        model: ModelNumber,
        #[command(flatten)]
        alias: AliasOption,
    },
    /// Give an alias to a model version, through the gate
    Promote {
        /// The model version, such as v7
        model: ModelNumber,
        #[command(flatten)]
        alias: AliasOption,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Go on although the gate refuses; needs a reason
        #[arg(long = "override", requires = "reason")]
        override_gate: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Give an alias back to its previous holder, at once and without asking
    Rollback {
        #[command(flatten)]
        alias: AliasOption,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// List the moves of an alias, newest first
    History {
        #[command(flatten)]
        alias: AliasOption,
        #[command(flatten)]
        limit: Limit,
    },
}

/// Which alias is meant.
#[derive(Clone, Debug, Args)]
struct AliasOption {
    /// The alias
    #[arg(long, default_value = "production", value_name = "NAME")]
    alias: AliasName,
}

impl Models {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let project = app.project(session).await?;
        match self.verb {
            Verb::List { limit } => {
                let models = session
                    .pages(limit.limit, async |page| {
                        ask!(session, model_list, ModelList { project: project.clone(), page }).await
                    })
                    .await?;
                let aliases = ask!(session, alias_list, InProject { project }).await?;
                Ok(app.out.value(&models, |style| table(&models, &aliases, style).render(style))?)
            }
            Verb::Show { model } => {
                let detail = ask!(session, model_get, ModelGet { project, number: model }).await?;
                Ok(app.out.value(&detail, |style| sheet(&detail, style).render(style))?)
            }
            Verb::Evaluate { run, waiting } => {
                let job = submit(session, project, JobSpec::Evaluate { run }).await?;
                finish(app, session, job, waiting).await
            }
            Verb::Gate { model, alias } => {
                let verdict = gate(session, &project, model, &alias.alias).await?;
                app.out.value(&verdict, |style| verdict_table(&verdict).render(style))?;
                if verdict.passed() { Ok(()) } else { Err(refused(&verdict).into()) }
            }
            Verb::Promote { model, alias: AliasOption { alias }, reason, override_gate, yes } => {
                let verdict = gate(session, &project, model, &alias).await?;
                note(verdict_table(&verdict).render(&app.out.for_notes()).trim_end());
                if !verdict.passed() && !override_gate {
                    return Err(refused(&verdict)
                        .hint("to go on all the same, add --override --reason 'why'")
                        .into());
                }
                if alias == AliasName::production() {
                    let question = format!("Promote {model} of {project} to production?");
                    confirm(&app.interrupt, &question, &model.to_string(), yes).await?;
                }
                let moved = promote(session, project, model, alias, reason, override_gate).await?;
                say_moved(&moved);
                Ok(app.out.value(&moved, |style| moved_sheet(&moved).render(style))?)
            }
            Verb::Rollback { alias: AliasOption { alias }, reason } => {
                let request = Rollback {
                    key: IdempotencyKey::new(),
                    project,
                    alias,
                    expected_generation: None,
                    reason,
                };
                let moved = ask!(session, rollback, request).await?;
                say_moved(&moved);
                Ok(app.out.value(&moved, |style| moved_sheet(&moved).render(style))?)
            }
            Verb::History { alias: AliasOption { alias }, limit } => {
                let moves = session
                    .pages(limit.limit, async |page| {
                        let (project, alias) = (project.clone(), alias.clone());
                        ask!(session, alias_history, AliasHistory { project, alias, page }).await
                    })
                    .await?;
                Ok(app.out.value(&moves, |style| history(&moves, style).render(style))?)
            }
        }
    }
}

/// What the gate says of a candidate.
pub async fn gate(
    session: &Session,
    project: &ProjectName,
    candidate: ModelNumber,
    alias: &AliasName,
) -> Result<GateVerdict, Failure> {
    let request = GateTest { project: project.clone(), candidate, alias: alias.clone() };
    ask!(session, gate_test, request).await
}

/// Gives `alias` to a model version, as things stand now.
pub async fn promote(
    session: &Session,
    project: ProjectName,
    candidate: ModelNumber,
    alias: AliasName,
    reason: Option<String>,
    override_gate: bool,
) -> Result<AliasMoved, Failure> {
    let aliases = ask!(session, alias_list, InProject { project: project.clone() }).await?;
    let held = aliases.into_iter().find(|held| held.name == alias);
    let request = Promote {
        key: IdempotencyKey::new(),
        project,
        candidate,
        alias,
        expected_generation: held.map_or(0, |held| held.generation),
        reason,
        override_gate,
    };
    ask!(session, promote, request).await
}

/// The gate said no.
pub fn refused(verdict: &GateVerdict) -> Failure {
    let failed: Vec<String> = verdict
        .checks
        .iter()
        .filter(|check| !check.passed)
        .map(|check| format!("{} ({})", check.name, check.detail))
        .collect();
    Failure::new(Exit::Conflict, format!("the gate refuses {}: {}", verdict.candidate, failed.join("; ")))
}

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

fn say_moved(AliasMoved { alias, moved, swap_ms }: &AliasMoved) {
    note(format!("{} answers as {} since {swap_ms} ms after the request", alias.model, alias.name));
    if moved.kind != MoveKind::Rollback
        && let Some(previous) = alias.previous
    {
        let option = match alias.name == AliasName::production() {
            true => String::new(),
            false => format!(" --alias {}", alias.name),
        };
        note(format!("to go back to {previous}: vigie models rollback -p {}{option}", alias.project));
    }
}

fn moved_sheet(moved: &AliasMoved) -> Sheet {
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

fn table(models: &[ModelVersion], aliases: &[Alias], style: &Style) -> Table {
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

fn sheet(detail: &ModelDetail, style: &Style) -> Sheet {
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
    cells.sort_by_key(|&(n, truth, predicted)| (std::cmp::Reverse(n), truth, predicted));
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

fn history(moves: &[AliasMove], style: &Style) -> Table {
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
