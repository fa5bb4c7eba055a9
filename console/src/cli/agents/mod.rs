//! `vigie agents`: all contexts at once.

mod log;
mod show;

use clap::{Args, Subcommand};
use futures::future::join_all;
use serde::Serialize;
use vigie_protocol::service::Empty;

use crate::app::App;
use crate::config::Chosen;
use crate::exit::{Exit, Failure};
use crate::out::Sheet;
use crate::session::ask;

pub use show::state;

const EXAMPLES: &str = "\
Examples:
  vigie agents list                 every context, and whether its agent answers
  vigie agents health               services and machine of the chosen agent
  vigie agents health -a ssh://lab  of another one
  vigie agents log -f --level warn  what it says of itself, from now on too
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
    /// Print the log of one agent: the newest lines, which it keeps in memory
    Log(log::Log),
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
                app.out.value(&answers, |style| show::list(&answers).render(style))?;
                all_reached(&answers)
            }
            Verb::Health => {
                let session = app.connect().await?;
                let health = ask!(session, health, Empty {}).await?;
                Ok(app.out.value(&health, |style| show::sheet(&health, style).render(style))?)
            }
            Verb::Log(log) => log.run(app).await,
            Verb::Doctor => {
                let answers = ask_all(app, async |session| ask!(session, doctor, Empty {}).await).await?;
                app.out.value(&answers, |style| {
                    let sheet = answers.iter().fold(Sheet::new(), |sheet, answer| {
                        let name = answer.context.as_ref().unwrap_or(&answer.target);
                        match (&answer.answer, &answer.error) {
                            (Some(findings), _) => sheet.table(name, crate::cli::doctor::table(findings)),
                            (None, error) => {
                                sheet.line("").line(format!("{name}: {}", error.as_deref().unwrap_or("?")))
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
