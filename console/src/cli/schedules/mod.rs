//! `vigie schedules`.

mod set;
mod show;

use clap::{Args, Subcommand};
use vigie_protocol::schedule::{Firing, FiringState, Schedule, ScheduleStatus};
use vigie_protocol::service::{
    ScheduleHistory, ScheduleList, SchedulePause, ScheduleRemove, ScheduleRun, Watch,
};
use vigie_protocol::{IdempotencyKey, ProjectName, ScheduleName};

use crate::app::App;
use crate::cli::{Limit, Waiting};
use crate::exit::{Exit, Failure};
use crate::follow;
use crate::out::note;
use crate::session::{Session, ask};

const EXAMPLES: &str = "\
Examples:
  vigie schedules add nightly -p birds --cron '30 2 * * *' --time-zone Europe/Paris --check-source feeder
  vigie schedules add update -p birds --every 6h --update-reference production --accept
  vigie schedules add pack -p birds --on dataset:reference --debounce 10m --preprocess
  vigie schedules add copies --cron '0 4 * * SUN' --backup /backups --catch-up skip
  vigie schedules list
  vigie schedules next nightly
  vigie schedules run nightly                 now, besides its own times
  vigie schedules pause nightly --reason 'the server is moved'
  vigie schedules history nightly -o json | jq '.[] | select(.state == \"failed\")'

A schedule is of a project (-p), or of the whole agent when it collects garbage or makes backups.
";

/// The agent does by itself what a schedule says: at times of the calendar, at intervals, or when
/// something happened.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Schedules {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List schedules with their next and last firings (of all projects unless one is named)
    List,
    /// Set up a schedule, or with --replace change one
    Add(Box<set::Add>),
    /// Show when a schedule fires next: five times
    Next {
        /// The schedule
        name: ScheduleName,
    },
    /// Show what a schedule did, newest first: when it was due, why it fired, what came of it
    History {
        /// The schedule
        name: ScheduleName,
        #[command(flatten)]
        limit: Limit,
    },
    /// Fire a schedule now, besides its own times; a paused one too
    Run {
        /// The schedule
        name: ScheduleName,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Let a schedule rest: what falls due meanwhile is not made up for
    Pause {
        /// The schedule
        name: ScheduleName,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a paused schedule go on
    Resume {
        /// The schedule
        name: ScheduleName,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Remove a schedule with its history; the jobs that it submitted go on
    Remove {
        /// The schedule
        name: ScheduleName,
    },
}

impl Schedules {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        match self.verb {
            Verb::List => {
                let request = ScheduleList { project: app.named_project()? };
                let schedules = ask!(session, schedule_list, request).await?;
                Ok(app.out.value(&schedules, |style| show::table(&schedules, style).render(style))?)
            }
            Verb::Add(add) => {
                let schedule = add.run(app, session).await?;
                let status = find(app, session, &schedule.name, Some(&schedule)).await?;
                if let Some(next) = status.next.first() {
                    note(format!("fires next {}", show::local(&schedule, next.at)));
                }
                print(app, &schedule)
            }
            Verb::Next { name } => {
                let status = find(app, session, &name, None).await?;
                Ok(app.out.value(&status.next, |style| show::next_table(&status, style).render(style))?)
            }
            Verb::History { name, limit } => {
                let Schedule { project, name, .. } = find(app, session, &name, None).await?.schedule;
                let firings = session
                    .pages(limit.limit, async |page| {
                        let request = ScheduleHistory { project: project.clone(), name: name.clone(), page };
                        ask!(session, schedule_history, request).await
                    })
                    .await?;
                Ok(app.out.value(&firings, |style| show::history(&firings, style).render(style))?)
            }
            Verb::Run { name, waiting } => {
                let Schedule { project, name, .. } = find(app, session, &name, None).await?.schedule;
                run(app, session, project, name, waiting).await
            }
            Verb::Pause { name, reason } => pause(app, session, &name, true, reason).await,
            Verb::Resume { name, reason } => pause(app, session, &name, false, reason).await,
            Verb::Remove { name } => {
                let Schedule { project, name, .. } = find(app, session, &name, None).await?.schedule;
                let request = ScheduleRemove { key: IdempotencyKey::new(), project, name };
                let removed = ask!(session, schedule_remove, request).await?;
                note("removed");
                Ok(app.out.value(&removed, |_| String::new())?)
            }
        }
    }
}

fn print(app: &App, schedule: &Schedule) -> anyhow::Result<()> {
    Ok(app.out.value(schedule, |style| show::sheet(schedule, style).render(style))?)
}

/// The schedule of this name: that of the named project, or the only one there is. `exactly` is one
/// whose place is known.
async fn find(
    app: &App,
    session: &Session,
    name: &ScheduleName,
    exactly: Option<&Schedule>,
) -> Result<ScheduleStatus, Failure> {
    let all = ask!(session, schedule_list, ScheduleList::default()).await?;
    let named = app.named_project()?;
    let mut found: Vec<ScheduleStatus> =
        all.into_iter().filter(|status| status.schedule.name == *name).collect();
    if let Some(schedule) = exactly {
        found.retain(|status| status.schedule.project == schedule.project);
    } else if found.len() > 1 {
        // The project's before the agent's; without a project, whichever is the only one.
        found.retain(|status| named.is_none() || status.schedule.project == named);
    } else {
        found.retain(|status| {
            status.schedule.project.is_none() || named.is_none() || status.schedule.project == named
        });
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::new(Exit::NotFound, format!("there is no schedule {name}"))
            .hint("see what there is with `vigie schedules list`")),
        _ => {
            Err(Failure::usage(format!("there are several schedules {name}"))
                .hint("name one's project with -p"))
        }
    }
}

async fn pause(
    app: &App,
    session: &Session,
    name: &ScheduleName,
    pause: bool,
    reason: Option<String>,
) -> anyhow::Result<()> {
    let Schedule { project, name, .. } = find(app, session, name, None).await?.schedule;
    let request = SchedulePause { key: IdempotencyKey::new(), project, name, pause, reason };
    let schedule = ask!(session, schedule_pause, request).await?;
    note(if schedule.paused.is_some() { "paused" } else { "it goes on" });
    print(app, &schedule)
}

async fn run(
    app: &App,
    session: &Session,
    project: Option<ProjectName>,
    name: ScheduleName,
    waiting: Waiting,
) -> anyhow::Result<()> {
    // The cursor first: what happens between the two is then told again, not missed.
    let mut cursor = ask!(session, watch, Watch { cursor: None, max_wait_ms: 0 }).await?.next;
    let key = IdempotencyKey::new();
    let request = ScheduleRun { key, project: project.clone(), name: name.clone() };
    let asked = ask!(session, schedule_run, request).await?;
    if waiting.no_wait {
        return Ok(app.out.value(&asked, |_| asked.id.to_string())?);
    }
    let mut firing = asked;
    while firing.state == FiringState::Begun {
        cursor = session.watch(cursor).await?.next;
        let page = vigie_protocol::page::PageRequest::default();
        let request = ScheduleHistory { project: project.clone(), name: name.clone(), page };
        let history = ask!(session, schedule_history, request).await?;
        let newest = history.items.into_iter().find(|newest| newest.id == firing.id);
        firing = newest.ok_or_else(|| {
            Failure::new(Exit::NotFound, format!("schedule {name} was removed before it was done"))
        })?;
    }
    for fired in &firing.jobs {
        follow::to_the_end(session, fired.job, &firing.action.name()).await?;
    }
    ended(&firing)?;
    Ok(app.out.value(&firing, |_| firing.detail.clone())?)
}

fn ended(firing: &Firing) -> Result<(), Failure> {
    match firing.state {
        FiringState::Failed => Err(Failure::new(Exit::Failed, firing.detail.clone())),
        FiringState::Begun
        | FiringState::Submitted
        | FiringState::Done
        | FiringState::Skipped
        | FiringState::Unknown => Ok(()),
    }
}
