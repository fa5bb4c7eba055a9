//! `vigie events`.

use clap::{Args, Subcommand};
use vigie_protocol::event::{Event, Severity, Update};
use vigie_protocol::service::{EventList, Watch};

use crate::app::App;
use crate::cli::Limit;
use crate::out::{Cell, Column, Style, Table, Tone, age, safe, warn};
use crate::session::{Session, ask};

const EXAMPLES: &str = "\
Examples:
  vigie events list
  vigie events list --follow
  vigie events list -n 0 -o json | jq 'map(select(.severity == \"error\"))'
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Events {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List what happened, newest first (in all projects unless one is named)
    List {
        /// Go on with what happens next, oldest first, until Ctrl-C; as JSON, one object a line
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        limit: Limit,
    },
}

impl Events {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let Verb::List { follow, limit } = self.verb;
        if follow {
            return self::follow(app, session, limit).await;
        }
        let events = list(app, session, limit.limit).await?;
        Ok(app.out.value(&events, |style| table(&events, style).render(style))?)
    }
}

async fn list(app: &App, session: &Session, limit: usize) -> anyhow::Result<Vec<Event>> {
    let project = app.named_project()?;
    let pages = session.pages(limit, async |page| {
        ask!(session, event_list, EventList { project: project.clone(), page }).await
    });
    Ok(pages.await?)
}

/// The newest events, then those to come. None is shown twice; after a gap it says so.
async fn follow(app: &App, session: &Session, limit: Limit) -> anyhow::Result<()> {
    let project = app.named_project()?;
    let mut cursor = ask!(session, watch, Watch { cursor: None, max_wait_ms: 0 }).await?.next;
    let mut last = 0;
    let mut show = |event: &Event| {
        if event.seq <= last || (project.is_some() && event.project != project) {
            return Ok(());
        }
        last = event.seq;
        app.out.line(event, |style| line(event, style))
    };
    for event in list(app, session, limit.limit).await?.iter().rev() {
        show(event)?;
    }
    loop {
        let watched = session.watch(cursor).await?;
        cursor = watched.next;
        if watched.resync {
            warn("too much happened at once, or the agent restarted; here are the newest events");
            for event in list(app, session, limit.limit).await?.iter().rev() {
                show(event)?;
            }
        }
        for update in &watched.updates {
            match update {
                Update::Event { event } => show(event)?,
                Update::Job { .. } | Update::Unknown => {}
            }
        }
    }
}

fn severity(severity: Severity) -> (&'static str, Tone) {
    match severity {
        Severity::Info => ("info", Tone::Dim),
        Severity::Warning => ("warning", Tone::Warn),
        Severity::Error => ("error", Tone::Bad),
        Severity::Unknown => ("unknown", Tone::Bad),
    }
}

fn line(event: &Event, style: &Style) -> String {
    let (word, tone) = severity(event.severity);
    let project = event.project.as_ref().map_or("-", |project| project.as_str());
    format!(
        "{} {} {project:<12} {}",
        event.at.timestamp().strftime("%Y-%m-%d %H:%M:%S"),
        tone.paint(&format!("{word:<7}"), style),
        safe(&event.text)
    )
}

fn table(events: &[Event], style: &Style) -> Table {
    let mut table = Table::new(
        [Column::text("WHEN"), Column::text("SEVERITY"), Column::text("PROJECT"), Column::flexible("WHAT")],
        "nothing happened yet",
    );
    for event in events {
        let (word, tone) = severity(event.severity);
        table.row([
            Cell::from(age(style.now, event.at)),
            Cell::toned(word, tone),
            Cell::maybe(event.project.as_ref()),
            event.text.as_str().into(),
        ]);
    }
    table
}
