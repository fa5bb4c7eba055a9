//! `vigie models`.

mod compare;
mod show;

use clap::{Args, Subcommand};
use vigie_protocol::job::JobSpec;
use vigie_protocol::model::{Alias, GateVerdict, MoveKind};
use vigie_protocol::service::{
    AliasHistory, AliasMoved, GateTest, InProject, ModelGet, ModelList, Promote, Rollback,
};
use vigie_protocol::{AliasName, IdempotencyKey, ModelNumber, ProjectName, RunId};

use self::compare::Compared;
use crate::app::App;
use crate::cli::datasets::submit;
use crate::cli::jobs::finish;
use crate::cli::{Limit, Waiting};
use crate::exit::{Exit, Failure};
use crate::out::note;
use crate::prompt::confirm;
use crate::session::{Session, ask, ask_to_the_end};

const EXAMPLES: &str = "\
Examples:
  vigie models list
  vigie models evaluate 01932f6c-…         test a run's best checkpoint and register it
  vigie models compare v3 v7               how does v7 do beside v3, and on which classes worst?
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
    /// Compare two model versions by what they did on their test splits
    Compare {
        /// The model version to compare with, such as v3
        base: ModelNumber,
        /// The model version in question, such as v7
        candidate: ModelNumber,
        /// At most this many classes, those that lost most first; 0 for all (JSON has all)
        #[arg(long, short = 'n', default_value_t = 10, value_name = "CLASSES")]
        classes: usize,
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
                Ok(app.out.value(&models, |style| show::table(&models, &aliases, style).render(style))?)
            }
            Verb::Show { model } => {
                let detail = ask!(session, model_get, ModelGet { project, number: model }).await?;
                Ok(app.out.value(&detail, |style| show::sheet(&detail, style).render(style))?)
            }
            Verb::Compare { base, candidate, classes } => {
                let passport = async |number| {
                    let request = ModelGet { project: project.clone(), number };
                    ask!(session, model_get, request).await.map(|detail| detail.passport)
                };
                let comparison = crate::compare::compare(&passport(candidate).await?, &passport(base).await?);
                let compared = Compared { candidate, base, comparison };
                Ok(app.out.value(&compared, |style| compare::sheet(&compared, classes).render(style))?)
            }
            Verb::Evaluate { run, waiting } => {
                let job = submit(session, project, JobSpec::Evaluate { run }).await?;
                finish(app, session, job, waiting).await
            }
            Verb::Gate { model, alias } => {
                let verdict = gate(session, &project, model, &alias.alias).await?;
                app.out.value(&verdict, |style| show::verdict_table(&verdict).render(style))?;
                if verdict.passed() { Ok(()) } else { Err(refused(&verdict).into()) }
            }
            Verb::Promote { model, alias: AliasOption { alias }, reason, override_gate, yes } => {
                // Before the gate: nobody is displaced whom the candidate was not compared with.
                let holder = holder(session, &project, &alias).await?;
                let verdict = gate(session, &project, model, &alias).await?;
                note(show::verdict_table(&verdict).render(&app.out.for_notes()).trim_end());
                if !verdict.passed() && !override_gate {
                    return Err(refused(&verdict)
                        .hint("to go on all the same, add --override --reason 'why'")
                        .into());
                }
                if alias == AliasName::production() {
                    let held = match &holder {
                        Some(holder) => format!("held by {}", holder.model),
                        None => "held by nobody".to_owned(),
                    };
                    let question = format!("Promote {model} of {project} to production, {held}?");
                    confirm(&app.interrupt, &question, &model.to_string(), yes).await?;
                }
                let request = Promote {
                    key: IdempotencyKey::new(),
                    project,
                    candidate: model,
                    alias,
                    expected_generation: holder.map_or(0, |holder| holder.generation),
                    reason,
                    // What passes needs no override, and what fails later was not meant by it.
                    override_gate: override_gate && !verdict.passed(),
                };
                let moved = ask_to_the_end!(session, promote, request).await?;
                say_moved(&moved);
                Ok(app.out.value(&moved, |style| show::moved_sheet(&moved).render(style))?)
            }
            Verb::Rollback { alias: AliasOption { alias }, reason } => {
                let request = Rollback {
                    key: IdempotencyKey::new(),
                    project,
                    alias,
                    expected_generation: None,
                    reason,
                };
                let moved = ask_to_the_end!(session, rollback, request).await?;
                say_moved(&moved);
                Ok(app.out.value(&moved, |style| show::moved_sheet(&moved).render(style))?)
            }
            Verb::History { alias: AliasOption { alias }, limit } => {
                let moves = session
                    .pages(limit.limit, async |page| {
                        let (project, alias) = (project.clone(), alias.clone());
                        ask!(session, alias_history, AliasHistory { project, alias, page }).await
                    })
                    .await?;
                Ok(app.out.value(&moves, |style| show::history(&moves, style).render(style))?)
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
    let session = session.patient();
    ask!(session, gate_test, request).await
}

/// Who holds an alias now, if anybody does.
pub async fn holder(
    session: &Session,
    project: &ProjectName,
    alias: &AliasName,
) -> Result<Option<Alias>, Failure> {
    let aliases = ask!(session, alias_list, InProject { project: project.clone() }).await?;
    Ok(aliases.into_iter().find(|held| held.name == *alias))
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
