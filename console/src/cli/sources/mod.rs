//! `vigie sources`.

mod show;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use vigie_protocol::dataset::Lineage;
use vigie_protocol::service::{InProject, SourceCheck, SourceChecked, SourceRemove, SourceSet};
use vigie_protocol::source::{Acceptance, KaggleDataset, Pending, Source, SourceOrigin};
use vigie_protocol::{IdempotencyKey, ProjectName, SourceName};

use crate::app::App;
use crate::cli::Waiting;
use crate::cli::datasets::Reading;
use crate::exit::{Exit, Failure};
use crate::follow;
use crate::out::note;
use crate::session::{Session, ask, ask_to_the_end};

/// Between two looks at a source whose import has ended, and how often it is looked at: the agent
/// decides on the change-set within moments.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOKS: usize = 50;

const EXAMPLES: &str = "\
Examples:
  vigie sources add birds --kaggle gpiosenka/100-bird-species --accept-under 5%
  vigie sources add shop --url https://example.org/shop.zip
  vigie sources add camera --folder /srv/camera --lineage production --preprocess
  vigie sources check birds             import what is new; Ctrl-C only stops watching
  vigie sources list
  vigie sources set birds --ask
";

const CREDENTIALS: &str = "\
A source is where images come from again and again. A check compares it with what was imported last;
what is new is downloaded, imported and proposed as a change-set. With --accept-under, a change-set
that touches less than that share of the line's images is accepted by itself (the first one of an empty
line always); everything else waits for `vigie changesets accept`. A rejected version is not brought in
again. A source that vanished or is forbidden keeps its last good version, and says so once. When the
import of a version failed, scheduled checks try it again, letting ever more checks pass in between;
after five failures only `vigie sources check` does.

The agent opens outbound connections only when its configuration says `enabled = true` under [sources],
and to private networks only with `allow_private = true`. `proxy` and `no_proxy` there name a way out,
`ca_file` authorities of your own that are trusted.

Credentials for Kaggle lie on the agent's machine, readable for the agent's user alone. The first of:
  the file named by `kaggle_credentials` under [sources] (an access token, or a kaggle.json)
  $KAGGLE_API_TOKEN, a token or the path of a file with one
  ~/.kaggle/access_token
  $KAGGLE_USERNAME and $KAGGLE_KEY
  ~/.kaggle/kaggle.json
A token is made on kaggle.com under Settings, API. Many public datasets need none; some want their
licence accepted on their page first. `vigie doctor` says which credentials are used. For other hosts,
a user and password in the URL are sent to that host alone and never shown again.
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n{CREDENTIALS}"))]
pub struct Sources {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the project's sources and how each was found
    List,
    /// Show one source: where it is, what was imported, what is on its way
    Show {
        /// The source
        name: SourceName,
    },
    /// Set a source up; `vigie sources check` then imports it
    #[command(after_long_help = CREDENTIALS)]
    Add {
        /// Its name: a-z, 0-9, '-' and '_'
        name: SourceName,
        #[command(flatten)]
        origin: Origin,
        /// Into which line: source, production or reference
        #[arg(long, default_value = "source")]
        lineage: Lineage,
        #[command(flatten)]
        reading: Box<Reading>,
        /// Accept change-sets by themselves that touch less than this share of the line's images
        #[arg(long, value_name = "SHARE", value_parser = percent)]
        accept_under: Option<f32>,
        /// Decode accepted versions into a pack at once
        #[arg(long)]
        preprocess: bool,
    },
    /// Change how a source's new versions are treated
    Set {
        /// The source
        name: SourceName,
        #[command(flatten)]
        changes: Changes,
    },
    /// Look whether a source has something new, and import it
    Check {
        /// The source
        name: SourceName,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Remove a source; what was imported from it stays
    Remove {
        /// The source
        name: SourceName,
    },
}

/// Where the images are.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct Origin {
    /// A folder on the agent's machine
    #[arg(long, value_name = "PATH")]
    folder: Option<PathBuf>,
    /// A zip file on the agent's machine
    #[arg(long, value_name = "PATH")]
    zip: Option<PathBuf>,
    /// A zip file behind an http or https URL
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A Kaggle dataset
    #[arg(long, value_name = "OWNER/DATASET")]
    kaggle: Option<KaggleDataset>,
}

impl Origin {
    fn origin(self, session: &Session) -> Result<SourceOrigin, Failure> {
        let Self { folder, zip, url, kaggle } = self;
        Ok(match (folder, zip, url, kaggle) {
            (Some(path), ..) => SourceOrigin::Folder { path: at_agent(session, &path)? },
            (_, Some(path), ..) => SourceOrigin::Zip { path: at_agent(session, &path)? },
            (_, _, Some(url), _) => SourceOrigin::Url { url },
            (_, _, _, Some(dataset)) => SourceOrigin::Kaggle { dataset },
            (None, None, None, None) => return Err(Failure::usage("where are the images?")),
        })
    }
}

/// What can be changed; what is not named stays.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Changes {
    /// Accept change-sets by themselves that touch less than this share of the line's images
    #[arg(long, value_name = "SHARE", value_parser = percent, conflicts_with = "ask")]
    accept_under: Option<f32>,
    /// Let a person decide on every change-set
    #[arg(long)]
    ask: bool,
    /// Whether accepted versions are decoded into a pack at once: true or false
    #[arg(long, value_name = "BOOL")]
    preprocess: Option<bool>,
}

impl Sources {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let project = app.project(session).await?;
        let source = match self.verb {
            Verb::List => {
                let sources = ask!(session, source_list, InProject { project }).await?;
                return Ok(app.out.value(&sources, |style| show::table(&sources, style).render(style))?);
            }
            Verb::Show { name } => find(session, project, &name).await?,
            Verb::Add { name, origin, lineage, reading, accept_under, preprocess } => {
                let request = SourceSet {
                    key: IdempotencyKey::new(),
                    project,
                    name,
                    expected_generation: None,
                    origin: origin.origin(session)?,
                    lineage,
                    options: reading.options(None, false)?,
                    acceptance: accept_under.map_or(Acceptance::Ask, |percent| Acceptance::Under { percent }),
                    preprocess,
                };
                let source = ask!(session, source_set, request).await?;
                note(format!("`vigie sources check {}` imports it", source.name));
                source
            }
            Verb::Set { name, changes } => {
                let seen = find(session, project, &name).await?;
                let acceptance = match changes {
                    Changes { accept_under: Some(percent), .. } => Acceptance::Under { percent },
                    Changes { ask: true, .. } => Acceptance::Ask,
                    _ => seen.acceptance,
                };
                let request = SourceSet {
                    key: IdempotencyKey::new(),
                    project: seen.project,
                    name,
                    expected_generation: Some(seen.generation),
                    origin: seen.origin,
                    lineage: seen.lineage,
                    options: seen.options,
                    acceptance,
                    preprocess: changes.preprocess.unwrap_or(seen.preprocess),
                };
                ask!(session, source_set, request).await?
            }
            Verb::Remove { name } => {
                let seen = find(session, project.clone(), &name).await?;
                let expected_generation = seen.generation;
                let request = SourceRemove { key: IdempotencyKey::new(), project, name, expected_generation };
                let source = ask!(session, source_remove, request).await?;
                note("removed; what was imported from it stays");
                source
            }
            Verb::Check { name, waiting } => return check(app, session, project, name, waiting).await,
        };
        Ok(app.out.value(&source, |style| show::sheet(&source, style).render(style))?)
    }
}

/// Checks, stays with the import, and shows what became of the source.
async fn check(
    app: &App,
    session: &Session,
    project: ProjectName,
    name: SourceName,
    waiting: Waiting,
) -> anyhow::Result<()> {
    let request = SourceCheck { key: IdempotencyKey::new(), project: project.clone(), name: name.clone() };
    let mut checked: SourceChecked = ask_to_the_end!(session, source_check, request).await?;
    note(format!("{name} is {}: {}", checked.source.state, checked.source.detail));
    if let Some(job) = checked.job.take() {
        if waiting.no_wait {
            note(format!("`vigie jobs watch {}` stays until it is imported", job.id));
            checked.job = Some(job);
        } else {
            let job = follow::to_the_end(session, job.id, job.spec.kind()).await?;
            checked.source = settled(session, project, &name, &job.id).await?;
            checked.job = Some(Box::new(job));
        }
    }
    Ok(app.out.value(&checked, |style| show::sheet(&checked.source, style).render(style))?)
}

/// The source once its policy was applied to what the job `import` brought.
async fn settled(
    session: &Session,
    project: ProjectName,
    name: &SourceName,
    import: &vigie_protocol::JobId,
) -> Result<Source, Failure> {
    let mut looks = 0;
    loop {
        let source = find(session, project.clone(), name).await?;
        let is_open = source
            .pending
            .as_ref()
            .is_some_and(|Pending { job, change_set, .. }| job == import && change_set.is_none());
        looks += 1;
        if !is_open || looks == LOOKS {
            return Ok(source);
        }
        session.pause(LOOK_EVERY).await?;
    }
}

async fn find(session: &Session, project: ProjectName, name: &SourceName) -> Result<Source, Failure> {
    let sources = ask!(session, source_list, InProject { project }).await?;
    sources.into_iter().find(|source| source.name == *name).ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("source {name} does not exist"))
            .hint("see what there is with `vigie sources list`")
    })
}

/// The path as the agent sees it: absolute, and where it is on this machine, there.
fn at_agent(session: &Session, path: &Path) -> Result<String, Failure> {
    let unusable = |reason: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("cannot use {}: {reason}", path.display()))
    };
    let path = if session.is_local() {
        path.canonicalize().map_err(|error| unusable(&error))?
    } else if path.is_absolute() {
        path.to_owned()
    } else {
        return Err(unusable(&"the agent is elsewhere, where this path means nothing")
            .hint("give the absolute path on the agent's machine"));
    };
    path.to_str().map(str::to_owned).ok_or_else(|| unusable(&"it is not valid UTF-8"))
}

/// A share in percent: `5%` or `0.05`.
fn percent(text: &str) -> Result<f32, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f32>(),
        None => text.parse::<f32>().map(|share| share * 100.0),
    };
    number
        .ok()
        .filter(|percent| *percent > 0.0 && *percent <= 100.0)
        .ok_or_else(|| format!("{text:?} is not a share such as 5% or 0.05"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percents_or_parts_of_one() {
        for (text, expected) in [("5%", 5.0), ("0.05", 5.0), ("100 %", 100.0), ("1", 100.0), ("0.5%", 0.5)] {
            assert_eq!(percent(text), Ok(expected), "{text}");
        }
        for text in ["", "%", "0", "0%", "-1%", "101%", "2", "NaN", "a lot"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
