//! `vigie classes`.

mod edit;
mod rename;
mod waiting;

use clap::{Args, Subcommand};
use vigie_protocol::ProjectName;
use vigie_protocol::classes::{ClassList, LabelMatch, MatchKind};
use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::service::{ClassCheck, InProject};

use crate::app::App;
use crate::exit::Failure;
use crate::out::{Cell, Column, Sheet, Style, Table, Tone, count, when};
use crate::session::{Session, ask};

pub use self::waiting::waiting;

const EXAMPLES: &str = "\
Examples:
  vigie classes set --from reference@v1             the classes there are become the list
  vigie classes set owl jay 'great tit'
  vigie classes alias 'Parus major=great tit' GT='great tit'
  vigie classes check source@v2                     what would the list make of these labels?
  vigie classes rename reference Owl=owl --dry-run  what would change?
  vigie classes rename reference --by-list          put all labels right that the list knows
  vigie classes undo-rename reference@v4            and back again
  vigie classes waiting                             who waits to enter reference, and what for
  vigie classes waiting --threshold 40              what would enter if 40 images were enough?

The list holds the canonical names of a project's classes. When images come in, by an
import or from another line, labels that are an alias, or that differ from a name only in case, accents, apostrophes, blanks, hyphens or underscores,
become that name; each rename is counted in the change-set, and the image keeps the label it came with.
Labels that the list does not know leave their images out, with a suggestion where one class is near
(`vigie projects set NAME --unknown-labels keep` takes them in as they are). A suggestion is never applied
by itself. An empty list checks nothing.
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Classes {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the class list with its aliases
    List,
    /// Replace the names of the class list
    Set(edit::Set),
    /// Add names to the class list
    Add(edit::Add),
    /// Take names out of the class list, with their aliases
    Remove(edit::Remove),
    /// Let other names stand for classes
    Alias(edit::Alias),
    /// Show what the class list makes of labels
    Check {
        /// A version whose labels are looked at, such as source@v2
        dataset: Option<DatasetRef>,
        /// A label to look at; may be given several times
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
    },
    /// Give all images of a class another label
    Rename(rename::Rename),
    /// Take back what a version renamed, where it was not changed since
    UndoRename(rename::UndoRename),
    /// Show the classes of source and production that reference lacks, and what they wait for
    Waiting(waiting::Waiting),
}

impl Classes {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let project = app.project(session).await?;
        match self.verb {
            Verb::List => {
                let list = class_list(session, &project).await?;
                Ok(app.out.value(&list, |style| sheet(&list, style).render(style))?)
            }
            Verb::Set(set) => set.run(app, session, project).await,
            Verb::Add(add) => add.run(app, session, project).await,
            Verb::Remove(remove) => remove.run(app, session, project).await,
            Verb::Alias(alias) => alias.run(app, session, project).await,
            Verb::Check { dataset, labels } => {
                if dataset.is_none() && labels.is_empty() {
                    return Err(Failure::usage("name a dataset version, or labels with --label").into());
                }
                let request = ClassCheck { project, labels, dataset };
                let found = ask!(session, class_check, request).await?;
                Ok(app.out.value(&found, |style| matches_table(&found).render(style))?)
            }
            Verb::Rename(rename) => rename.run(app, session, project).await,
            Verb::UndoRename(undo) => undo.run(app, session, project).await,
            Verb::Waiting(waiting) => waiting.run(app, session, project).await,
        }
    }
}

/// The class list of a project.
async fn class_list(session: &Session, project: &ProjectName) -> Result<ClassList, Failure> {
    ask!(session, class_list_get, InProject { project: project.clone() }).await
}

fn sheet(list: &ClassList, style: &Style) -> Sheet {
    let ClassList { classes, aliases, generation: _, changed, by } = list;
    let mut table = Table::new(
        [Column::flexible("CLASS"), Column::flexible("ALIASES")],
        "no class list yet: every label is taken as it is; `vigie classes set` makes one",
    );
    for class in classes {
        let others: Vec<&str> =
            aliases.iter().filter(|(_, of)| *of == class).map(|(alias, _)| alias.as_str()).collect();
        table.row([Cell::from(class.as_str()), others.join(", ").into()]);
    }
    let mut sheet = Sheet::new();
    if let (Some(changed), Some(by)) = (changed, by) {
        sheet = sheet.field("Changed", format!("{} by {by}", when(style.now, *changed)));
    }
    sheet.table(format!("Classes ({})", classes.len()), table)
}

/// What the list makes of labels, one a row.
fn matches_table(matches: &[LabelMatch]) -> Table {
    let mut table = Table::new(
        [
            Column::flexible("LABEL"),
            Column::figure("IMAGES"),
            Column::text("FOUND"),
            Column::flexible("CLASS"),
        ],
        "no labels",
    );
    for LabelMatch { label, images, kind, class, suggestion } in matches {
        let meant = suggestion.as_ref().map(|near| format!("did you mean {}?", near.class));
        table.row([
            Cell::from(label.as_str()),
            count(*images).into(),
            found(*kind),
            Cell::maybe(class.clone().or(meant)),
        ]);
    }
    table
}

fn found(kind: MatchKind) -> Cell {
    match kind {
        MatchKind::Exact => Cell::toned("as it is", Tone::Good),
        MatchKind::Alias => Cell::toned("as an alias", Tone::Warn),
        MatchKind::Folded => Cell::toned("written otherwise", Tone::Warn),
        MatchKind::Missing => Cell::toned("not in the list", Tone::Bad),
        MatchKind::Unknown => Cell::toned("unknown", Tone::Dim),
    }
}
