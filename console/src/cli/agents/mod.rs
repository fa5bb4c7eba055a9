//! `vigie agents`: all contexts at once.

mod log;
mod show;

use clap::{Args, Subcommand};
use futures::future::join_all;
use serde::{Serialize, Serializer};
use vigie_protocol::service::Empty;

use crate::app::App;
use crate::cli::doctor;
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
  vigie agents doctor               the self-check of every agent; exit code 1 when one wants action
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
    #[serde(serialize_with = "message")]
    error: Option<Failure>,
}

fn message<S: Serializer>(error: &Option<Failure>, serializer: S) -> Result<S::Ok, S::Error> {
    error.as_ref().map(|failure| &failure.message).serialize(serializer)
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
                            (Some(findings), _) => sheet.table(name, doctor::table(findings)),
                            (None, error) => {
                                let why = error.as_ref().map_or("?", |failure| &failure.message);
                                sheet.line("").line(format!("{name}: {why}"))
                            }
                        }
                    });
                    sheet.render(style)
                })?;
                all_reached(&answers)?;
                doctor::verdict(answers.iter().filter_map(|answer| answer.answer.as_ref()).flatten())
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
            Err(failure) => (None, Some(failure)),
        };
        Ok(Answer { context: agent.name, target, answer, error })
    }));
    answers.await.into_iter().collect()
}

/// Whether every agent answered. Where they failed in different ways, no exit code says it all.
fn all_reached<T>(answers: &[Answer<T>]) -> anyhow::Result<()> {
    let failures: Vec<&Failure> = answers.iter().filter_map(|answer| answer.error.as_ref()).collect();
    let Some(first) = failures.first() else { return Ok(()) };
    let alike = failures.iter().all(|failure| failure.exit == first.exit);
    let exit = if alike { first.exit } else { Exit::Failed };
    Err(Failure::new(exit, format!("{} of {} agents did not answer", failures.len(), answers.len())).into())
}

#[cfg(test)]
mod tests {
    use vigie_protocol::{ApiError, ErrorCode};

    use super::*;

    #[test]
    fn the_exit_code_says_why_agents_did_not_answer() {
        let answer = |error: Option<ErrorCode>| Answer {
            context: None,
            target: "unix:/agent.sock".to_owned(),
            answer: error.is_none().then_some(()),
            error: error.map(|code| ApiError::new(code, "no").into()),
        };
        let (away, refused) = (Some(ErrorCode::Unavailable), Some(ErrorCode::Forbidden));
        for (errors, expected) in [
            (vec![], Exit::Ok),
            (vec![None, None], Exit::Ok),
            (vec![None, away], Exit::Unreachable),
            (vec![refused, None], Exit::Refused),
            (vec![refused, refused], Exit::Refused),
            (vec![refused, away], Exit::Failed),
        ] {
            let answers: Vec<Answer<()>> = errors.iter().copied().map(answer).collect();
            let exit =
                all_reached(&answers).map_or_else(|error| crate::exit::report(&error).0, |()| Exit::Ok);
            assert_eq!(exit, expected, "{errors:?}");
        }
        let json = serde_json::to_value(answer(refused)).expect("JSON");
        assert_eq!((&json["error"], &json["answer"]), (&"no".into(), &serde_json::Value::Null));
    }
}
