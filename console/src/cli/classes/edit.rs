//! Changes of the class list: each shows what it does before it does it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use vigie_protocol::classes::ClassList;
use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::service::{ClassListSet, DatasetGet};
use vigie_protocol::{IdempotencyKey, ProjectName};

use super::{class_list, sheet};
use crate::app::App;
use crate::exit::{Exit, Failure};
use crate::out::note;
use crate::session::{Session, ask};

/// The largest file of names that is read.
const NAMES_BYTES: u64 = 8 << 20;

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, Args)]
struct Preview {
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Set {
    /// The names
    #[arg(required_unless_present_any = ["file", "from"])]
    names: Vec<String>,
    /// Take the names from a file, one a line
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Take the names of the classes of this version, such as reference@v1
    #[arg(long, value_name = "DATASET")]
    from: Option<DatasetRef>,
    #[command(flatten)]
    preview: Preview,
}

impl Set {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { names, file, from, preview } = self;
        let mut classes: BTreeSet<String> = names.into_iter().collect();
        if let Some(file) = file {
            classes.extend(names_of(&file)?);
        }
        if let Some(dataset) = from {
            let request = DatasetGet { project: project.clone(), dataset };
            classes.extend(ask!(session, dataset_get, request).await?.classes.into_keys());
        }
        let held = class_list(session, &project).await?;
        let aliases = held.aliases.clone().into_iter().filter(|(_, class)| classes.contains(class)).collect();
        let list = ClassList { classes, aliases, ..held.clone() };
        change(app, session, project, &held, list, preview).await
    }
}

#[derive(Debug, Args)]
pub struct Add {
    /// The names
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    preview: Preview,
}

impl Add {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let held = class_list(session, &project).await?;
        let mut list = held.clone();
        list.classes.extend(self.names);
        change(app, session, project, &held, list, self.preview).await
    }
}

#[derive(Debug, Args)]
pub struct Remove {
    /// The names
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    preview: Preview,
}

impl Remove {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let held = class_list(session, &project).await?;
        let mut list = held.clone();
        for name in &self.names {
            if !list.classes.remove(name) {
                return Err(missing("class", name).into());
            }
        }
        let ClassList { classes, aliases, .. } = &mut list;
        aliases.retain(|_, class| classes.contains(class));
        change(app, session, project, &held, list, self.preview).await
    }
}

#[derive(Debug, Args)]
pub struct Alias {
    /// Another name and the class it stands for, such as 'Parus major=great tit'
    #[arg(value_name = "ALIAS=CLASS", value_parser = pair, required_unless_present = "remove")]
    aliases: Vec<(String, String)>,
    /// Take an alias back; may be given several times
    #[arg(long, value_name = "ALIAS")]
    remove: Vec<String>,
    #[command(flatten)]
    preview: Preview,
}

impl Alias {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let held = class_list(session, &project).await?;
        let mut list = held.clone();
        for alias in &self.remove {
            if list.aliases.remove(alias).is_none() {
                return Err(missing("alias", alias).into());
            }
        }
        list.aliases.extend(self.aliases);
        change(app, session, project, &held, list, self.preview).await
    }
}

/// Says what changes, and changes it unless that is all that was asked for.
async fn change(
    app: &App,
    session: &Session,
    project: ProjectName,
    held: &ClassList,
    list: ClassList,
    Preview { dry_run }: Preview,
) -> anyhow::Result<()> {
    for line in differences(held, &list) {
        note(line);
    }
    if dry_run {
        return Ok(app.out.value(&list, |style| sheet(&list, style).render(style))?);
    }
    let ClassList { classes, aliases, generation, changed: _, by: _ } = list;
    let (key, expected_generation) = (IdempotencyKey::new(), generation);
    let request = ClassListSet { key, project, expected_generation, classes, aliases };
    let set = ask!(session, class_list_set, request).await?;
    Ok(app.out.value(&set, |style| sheet(&set, style).render(style))?)
}

/// What one list has and the other lacks, a line each.
fn differences(held: &ClassList, list: &ClassList) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(list.classes.difference(&held.classes).map(|class| format!("+ {class}")));
    lines.extend(held.classes.difference(&list.classes).map(|class| format!("- {class}")));
    let fresh = list.aliases.iter().filter(|(alias, class)| held.aliases.get(*alias) != Some(class));
    lines.extend(fresh.map(|(alias, class)| format!("+ {alias} stands for {class}")));
    let gone = held.aliases.iter().filter(|(alias, _)| !list.aliases.contains_key(*alias));
    lines.extend(gone.map(|(alias, class)| format!("- {alias} stood for {class}")));
    if lines.is_empty() {
        lines.push("nothing changes".to_owned());
    }
    lines
}

fn names_of(file: &Path) -> Result<BTreeSet<String>, Failure> {
    let unreadable = |reason: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("cannot read {}: {reason}", file.display()))
    };
    let size = std::fs::metadata(file).map_err(|error| unreadable(&error))?.len();
    if size > NAMES_BYTES {
        return Err(unreadable(&format_args!("it has more than {NAMES_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(&error))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn missing(what: &str, name: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("the list has no {what} {name:?}"))
}

/// Two names with an equals sign between them.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.trim().is_empty() && !to.trim().is_empty() => {
            Ok((from.trim().to_owned(), to.trim().to_owned()))
        }
        _ => Err(format!("{text:?} is not two names such as Owl=owl")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(classes: &[&str], aliases: &[(&str, &str)]) -> ClassList {
        ClassList {
            classes: classes.iter().map(|&class| class.to_owned()).collect(),
            aliases: aliases.iter().map(|&(alias, class)| (alias.to_owned(), class.to_owned())).collect(),
            ..ClassList::default()
        }
    }

    #[test]
    fn differences_are_told_line_by_line() {
        let held = list(&["jay", "owl"], &[("Strix", "owl"), ("GJ", "jay")]);
        let next = list(&["kite", "owl"], &[("Strix", "owl"), ("milan", "kite")]);
        assert_eq!(
            differences(&held, &next),
            ["+ kite", "- jay", "+ milan stands for kite", "- GJ stood for jay"]
        );
        assert_eq!(differences(&held, &held), ["nothing changes"]);
    }

    #[test]
    fn pairs_are_two_names() {
        assert_eq!(pair("Parus major = great tit"), Ok(("Parus major".to_owned(), "great tit".to_owned())));
        for bad in ["owl", "=owl", "owl=", ""] {
            assert!(pair(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_a_file_are_its_lines() {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "owl\r\n\n  great tit \nowl\n").expect("written");
        let names = names_of(file.path()).expect("read");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["great tit", "owl"]);
        assert!(names_of(Path::new("/no/such/file")).is_err());
    }
}
