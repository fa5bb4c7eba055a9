//! `vigie agents`: all contexts at once.

use clap::{Args, Subcommand};
use futures::future::join_all;
use serde::Serialize;
use vigie_protocol::health::{AgentHealth, GpuStats, HostStats, ServiceState};
use vigie_protocol::service::Empty;

use crate::app::App;
use crate::config::Chosen;
use crate::exit::{Exit, Failure};
use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, bytes, count, percent, when};
use crate::session::ask;

const EXAMPLES: &str = "\
Examples:
  vigie agents list                 every context, and whether its agent answers
  vigie agents health               services and machine of the chosen agent
  vigie agents health -a ssh://lab  of another one
  vigie agents doctor               the findings of all agents that want a look
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Agents {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the contexts and ask each agent how it is
    List,
    /// Show the services and the machine of one agent
    Health,
    /// Run the self-check of every context's agent
    Doctor,
}

/// A context and what its agent answered.
#[derive(Debug, Serialize)]
struct Answer<T> {
    /// The context's name; absent for an agent that was named otherwise.
    context: Option<String>,
    /// Where it is.
    target: String,
    /// What it answered.
    answer: Option<T>,
    /// Why it did not.
    error: Option<String>,
}

impl Agents {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        match self.verb {
            Verb::List => {
                let answers = ask_all(app, async |session| ask!(session, health, Empty {}).await).await?;
                app.out.value(&answers, |style| list(&answers).render(style))?;
                all_reached(&answers)
            }
            Verb::Health => {
                let session = app.connect().await?;
                let health = ask!(session, health, Empty {}).await?;
                Ok(app.out.value(&health, |style| sheet(&health, style).render(style))?)
            }
            Verb::Doctor => {
                let answers = ask_all(app, async |session| ask!(session, doctor, Empty {}).await).await?;
                app.out.value(&answers, |style| {
                    let sheet = answers.iter().fold(Sheet::new(), |sheet, answer| {
                        let name = answer.context.as_ref().unwrap_or(&answer.target);
                        match (&answer.answer, &answer.error) {
                            (Some(findings), _) => sheet.table(name, super::doctor::table(findings)),
                            (None, error) => {
                                sheet.line(format!("\n{name}: {}", error.as_deref().unwrap_or("?")))
                            }
                        }
                    });
                    sheet.render(style)
                })?;
                all_reached(&answers)
            }
        }
    }
}

/// Asks all at once: one that is down must not keep the others waiting.
async fn ask_all<T>(
    app: &App,
    ask: impl AsyncFn(&crate::session::Session) -> Result<T, Failure>,
) -> Result<Vec<Answer<T>>, Failure> {
    let agents: Vec<Chosen> = if app.agent.is_some() || app.config.contexts.is_empty() {
        vec![app.chosen()?]
    } else {
        let names = app.config.contexts.keys();
        names.map(|name| app.config.choose(Some(name))).collect::<Result<_, _>>()?
    };
    let answers = join_all(agents.into_iter().map(async |agent| {
        let answer = match app.connect_to(&agent).await {
            Ok(session) => ask(&session).await,
            Err(failure) => Err(failure),
        };
        let target = agent.target.unwrap_or_else(|| "the agent of this machine".to_owned());
        let (answer, error) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
            Err(failure) => (None, Some(failure.message)),
        };
        Ok(Answer { context: agent.name, target, answer, error })
    }));
    answers.await.into_iter().collect()
}

fn all_reached<T>(answers: &[Answer<T>]) -> anyhow::Result<()> {
    match answers.iter().filter(|answer| answer.error.is_some()).count() {
        0 => Ok(()),
        n => {
            Err(Failure::new(Exit::Unreachable, format!("{n} of {} agents did not answer", answers.len()))
                .into())
        }
    }
}

fn list(answers: &[Answer<AgentHealth>]) -> Table {
    let mut table = Table::new(
        [
            Column::text("CONTEXT"),
            Column::text("STATE"),
            Column::text("VERSION"),
            Column::text("DEVICE"),
            Column::text("STARTED"),
            Column::figure("CPU"),
            Column::figure("MEMORY"),
            Column::flexible("TARGET"),
            Column::flexible("REMARK"),
        ],
        "no agents",
    );
    for Answer { context, target, answer, error } in answers {
        let mut row = vec![Cell::maybe(context.as_ref())];
        match answer {
            Some(health) => {
                let host = &health.host;
                row.extend([
                    state(worst(health)),
                    health.version.as_str().into(),
                    health.device.as_str().into(),
                    age(health.now, health.started).into(),
                    percent(f64::from(host.cpu)).into(),
                    bytes(host.agent_memory).into(),
                    target.as_str().into(),
                    remark(health).into(),
                ]);
            }
            None => {
                row.push(Cell::toned("no answer", Tone::Bad));
                row.extend(std::iter::repeat_n(Cell::none(), 5));
                row.extend([target.as_str().into(), Cell::maybe(error.as_ref())]);
            }
        }
        table.row(row);
    }
    table
}

/// The state of the service that is worst off.
fn worst(health: &AgentHealth) -> ServiceState {
    let rank = |state: ServiceState| match state {
        ServiceState::Off => 0,
        ServiceState::Up => 1,
        ServiceState::Unknown => 2,
        ServiceState::Starting => 3,
        ServiceState::Degraded => 4,
        ServiceState::Down => 5,
    };
    health
        .services
        .iter()
        .map(|service| service.state)
        .max_by_key(|&state| rank(state))
        .unwrap_or(ServiceState::Up)
}

/// The first service that is not well, and what it says.
fn remark(health: &AgentHealth) -> String {
    let ill = |state| matches!(state, ServiceState::Degraded | ServiceState::Down);
    let service = health.services.iter().find(|service| ill(service.state));
    service.map(|service| format!("{}: {}", service.name, service.detail)).unwrap_or_default()
}

/// A service's state in its colour.
pub fn state(state: ServiceState) -> Cell {
    let tone = match state {
        ServiceState::Up => Tone::Good,
        ServiceState::Starting | ServiceState::Degraded => Tone::Warn,
        ServiceState::Down => Tone::Bad,
        ServiceState::Off | ServiceState::Unknown => Tone::Dim,
    };
    Cell::toned(state.as_str(), tone)
}

fn sheet(health: &AgentHealth, style: &Style) -> Sheet {
    let AgentHealth { agent, version, started, now, state_dir, device, services, host, gpus, prediction_log } =
        health;
    let HostStats {
        hostname,
        cores,
        cpu,
        load1,
        memory_total,
        memory_used,
        disk_total,
        disk_free,
        agent_memory,
    } = host;
    let mut rows = Table::new(
        [Column::text("SERVICE"), Column::text("STATE"), Column::text("SINCE"), Column::flexible("REMARK")],
        "no services",
    );
    for service in services {
        rows.row([
            service.name.as_str().into(),
            state(service.state),
            // By the agent's clock: ours may differ.
            age(*now, service.since).into(),
            service.detail.as_str().into(),
        ]);
    }
    let skew = style.now.since(*now).max(now.since(style.now));
    let sheet = Sheet::new()
        .field("Agent", agent.to_string())
        .field("Version", version.as_str())
        .field("Started", when(*now, *started))
        .maybe("Clock", (skew.as_secs() > 5).then(|| format!("differs from yours by {} s", skew.as_secs())))
        .field("State", state_dir.as_str())
        .field("Device", device.as_str())
        .field(
            "Host",
            format!("{hostname}, {cores} cores, {} busy, load {load1:.2}", percent(f64::from(*cpu))),
        )
        .field(
            "Memory",
            format!("{} of {}; agent {}", bytes(*memory_used), bytes(*memory_total), bytes(*agent_memory)),
        )
        .field("Disk", format!("{} free of {}", bytes(*disk_free), bytes(*disk_total)))
        .field(
            "Prediction log",
            Cell::toned(
                format!(
                    "{} not durable yet (window {} ms), {} shed",
                    count(prediction_log.pending),
                    prediction_log.window_ms,
                    count(prediction_log.shed)
                ),
                if prediction_log.shed > 0 { Tone::Warn } else { Tone::Plain },
            ),
        );
    gpus.iter().fold(sheet, |sheet, gpu| sheet.field("GPU", self::gpu(gpu))).table("Services", rows)
}

fn gpu(gpu: &GpuStats) -> String {
    let GpuStats { index, name, busy, memory_total, memory_used, temperature, power } = gpu;
    format!(
        "cuda:{index} {name}, {} busy, {} of {}, {temperature} °C, {power:.0} W",
        percent(f64::from(*busy)),
        bytes(*memory_used),
        bytes(*memory_total)
    )
}
