//! `vigie changesets`.

mod images;
mod show;

use clap::{Args, Subcommand};
use vigie_protocol::review::Selection;
use vigie_protocol::service::{ChangeSetDecide, ChangeSetGet, ChangeSetList};
use vigie_protocol::{ChangeSetId, Hash, IdempotencyKey};

use crate::app::App;
use crate::cli::Limit;
use crate::out::note;
use crate::session::{ask, ask_to_the_end};

pub use show::changes_table;

const EXAMPLES: &str = "\
Examples:
  vigie changesets list
  vigie changesets show 01932f6c-…
  vigie changesets images 01932f6c-… --findings    look twice at these: duplicates, leaks, outliers
  vigie changesets accept 01932f6c-… --reason 'looked at 50 of the new owls'
  vigie changesets accept 01932f6c-… --class owl --class kite --without 9f3c…
  vigie changesets reject 01932f6c-… --reason 'half of them are blurred'
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Changesets {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List change-sets, newest first
    List {
        #[command(flatten)]
        limit: Limit,
    },
    /// Show what a change-set would change
    Show {
        /// The change-set
        change_set: ChangeSetId,
    },
    /// List the images that a change-set changes, with what was found about them
    Images(images::Images),
    /// Make it, or a part of it, the next dataset version; what is not taken is turned down
    Accept {
        /// The change-set
        change_set: ChangeSetId,
        /// Only changes of this class; can be given again
        #[arg(long = "class", value_name = "CLASS")]
        classes: Vec<String>,
        /// Only the change of this image (or also, beside --class); can be given again
        #[arg(long = "image", value_name = "HASH")]
        images: Vec<Hash>,
        /// Not the change of this image; can be given again
        #[arg(long, value_name = "HASH")]
        without: Vec<Hash>,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Turn it down
    Reject {
        /// The change-set
        change_set: ChangeSetId,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
}

impl Changesets {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let project = app.project(session).await?;
        let (change_set, reason, accept, selection) = match self.verb {
            Verb::List { limit } => {
                let change_sets = session
                    .pages(limit.limit, async |page| {
                        let request = ChangeSetList { project: project.clone(), page };
                        ask!(session, change_set_list, request).await
                    })
                    .await?;
                return Ok(app
                    .out
                    .value(&change_sets, |style| show::table(&change_sets, style).render(style))?);
            }
            Verb::Show { change_set } => {
                let change_set = ask!(session, change_set_get, ChangeSetGet { project, change_set }).await?;
                return Ok(app
                    .out
                    .value(&change_set, |style| show::sheet(&change_set, style).render(style))?);
            }
            Verb::Images(images) => return images.run(app, session, project).await,
            Verb::Accept { change_set, classes, images, without, reason } => {
                let selection = Selection { classes, images, without };
                (
                    change_set,
                    reason,
                    true,
                    Some(Box::new(selection)).filter(|part| **part != Selection::default()),
                )
            }
            Verb::Reject { change_set, reason } => (change_set, reason, false, None),
        };
        let get = ChangeSetGet { project: project.clone(), change_set };
        let seen = ask!(session, change_set_get, get).await?;
        let decide = ChangeSetDecide {
            key: IdempotencyKey::new(),
            project,
            change_set,
            expected_generation: seen.generation,
            accept,
            reason,
            selection,
        };
        let decided = ask_to_the_end!(session, change_set_decide, decide).await?;
        match decided.accepted_as {
            Some(number) if decided.left.is_empty() => {
                note(format!("accepted as {}@v{number}", decided.lineage))
            }
            Some(number) => note(format!("a part of it was accepted as {}@v{number}", decided.lineage)),
            None => note("rejected"),
        }
        Ok(app.out.value(&decided, |style| show::sheet(&decided, style).render(style))?)
    }
}
