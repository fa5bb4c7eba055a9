//! `vigie datasets label-check` and what follows from it.

use std::collections::BTreeMap;

use clap::Args;
use vigie_protocol::classes::{ImageLabel, Relabelling};
use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::job::JobSpec;
use vigie_protocol::label_check::{LabelCheck, LabelIssue, LabelIssues};
use vigie_protocol::model::Architecture;
use vigie_protocol::page::Page;
use vigie_protocol::run::{Init, Recipe};
use vigie_protocol::service::{LabelCheckList, LabelIssueList, LabelKeep};
use vigie_protocol::{IdempotencyKey, JobId, ProjectName};

use crate::app::App;
use crate::cli::jobs::finish;
use crate::cli::parse::share;
use crate::cli::{Limit, Waiting};
use crate::exit::{Exit, Failure};
use crate::out::{Cell, Column, Sheet, Style, Table, age, count, note, percent};
use crate::session::{Session, ask};

/// Labels that the agent keeps in one request.
const KEPT_AT_ONCE: usize = 1_000;

#[derive(Debug, Args)]
pub struct Check {
    /// The version, such as reference@v3
    dataset: DatasetRef,
    /// Parts that the images are dealt to, those that belong together to one: each is judged by a
    /// classifier that learnt from the others
    #[arg(long, default_value_t = 5)]
    folds: u32,
    /// The network whose features are used
    #[arg(long, default_value = "efficientnet-lite0", value_name = "NAME")]
    architecture: Architecture,
    /// Side of the input in pixels, a multiple of 32
    #[arg(long, default_value_t = 224, value_name = "PIXELS")]
    input: u32,
    /// Passes over the images for each part
    #[arg(long, default_value_t = 15)]
    epochs: u32,
    #[command(flatten)]
    waiting: Waiting,
}

impl Check {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { dataset, folds, architecture, input, epochs, waiting } = self;
        let init = Init::Pretrained { name: architecture.as_str().to_owned() };
        let recipe = Recipe { architecture, init, input, epochs, mirror: false, ..Recipe::default() };
        let spec = JobSpec::LabelCheck { dataset, folds, recipe };
        finish(app, session, super::submit(session, project, spec).await?, waiting).await
    }
}

/// Which candidates are meant.
#[derive(Debug, Args)]
struct Which {
    /// The check's job; the newest check when absent
    #[arg(long, value_name = "JOB")]
    check: Option<JobId>,
    /// Only images that have this label
    #[arg(long)]
    class: Option<String>,
}

#[derive(Debug, Args)]
pub struct Issues {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    limit: Limit,
}

impl Issues {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let found = candidates(session, &project, &self.which, self.limit.limit).await?;
        Ok(app.out.value(&found, |style| issues_sheet(&found, style).render(style))?)
    }
}

#[derive(Debug, Args)]
pub struct Accept {
    /// The images, each by the first digits of its hash
    #[arg(required_unless_present = "below")]
    images: Vec<String>,
    /// All whose label stands no better than this, such as 0.1
    #[arg(long, value_name = "SCORE", value_parser = share, conflicts_with = "images")]
    below: Option<f32>,
    /// The label they get; the suggested one of each when absent
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    #[command(flatten)]
    which: Which,
    /// Only show which images would get which labels
    #[arg(long)]
    dry_run: bool,
    /// Only propose the change-set
    #[arg(long)]
    review: bool,
    #[command(flatten)]
    waiting: Waiting,
}

impl Accept {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { images, below, label, which, dry_run, review, waiting } = self;
        let found = candidates(session, &project, &which, 0).await?;
        let mut chosen = chosen(&found.issues.items, &images, below)?;
        for issue in &mut chosen {
            issue.suggested = label.clone().unwrap_or(std::mem::take(&mut issue.suggested));
        }
        if dry_run || chosen.is_empty() {
            return Ok(app.out.value(&chosen, |style| issues_table(&chosen).render(style))?);
        }
        let lineage = found.check.dataset.lineage;
        let labels =
            chosen.into_iter().map(|issue| ImageLabel { image: issue.image, label: issue.suggested });
        let relabelling = Relabelling::images(labels.collect());
        let spec = JobSpec::Relabel { lineage, relabelling, accept: !review };
        finish(app, session, super::submit(session, project, spec).await?, waiting).await
    }
}

#[derive(Debug, Args)]
pub struct Keep {
    /// The images, each by the first digits of its hash
    #[arg(required = true)]
    images: Vec<String>,
    #[command(flatten)]
    which: Which,
}

impl Keep {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let found = candidates(session, &project, &self.which, 0).await?;
        let chosen = chosen(&found.issues.items, &self.images, None)?;
        let labels: Vec<ImageLabel> = chosen
            .iter()
            .map(|issue| ImageLabel { image: issue.image, label: issue.label.clone() })
            .collect();
        for labels in labels.chunks(KEPT_AT_ONCE) {
            let (key, project) = (IdempotencyKey::new(), project.clone());
            ask!(session, label_keep, LabelKeep { key, project, labels: labels.to_vec() }).await?;
        }
        note(format!("{} labels are right, and no check brings them up again", labels.len()));
        Ok(app.out.value(&labels, |_| String::new())?)
    }
}

/// Lists checks, newest first.
pub async fn checks(app: &App, session: &Session, project: ProjectName, limit: Limit) -> anyhow::Result<()> {
    let checks = session
        .pages(limit.limit, async |page| {
            ask!(session, label_check_list, LabelCheckList { project: project.clone(), page }).await
        })
        .await?;
    Ok(app.out.value(&checks, |style| checks_table(&checks, style).render(style))?)
}

/// The open candidates of a check; `limit` 0 for all.
async fn candidates(
    session: &Session,
    project: &ProjectName,
    which: &Which,
    limit: usize,
) -> Result<LabelIssues, Failure> {
    let mut check = None;
    let mut next = None;
    let items = session
        .pages(limit, async |page| {
            let (project, class) = (project.clone(), which.class.clone());
            let request = LabelIssueList { project, check: which.check, class, page };
            let found = ask!(session, label_issue_list, request).await.map_err(|failure| {
                if failure.exit == Exit::NotFound && failure.hint.is_none() {
                    failure.hint("`vigie datasets label-check VERSION` makes one")
                } else {
                    failure
                }
            })?;
            check.get_or_insert(found.check);
            next.clone_from(&found.issues.next);
            Ok(found.issues)
        })
        .await?;
    let check = check.ok_or_else(|| Failure::new(Exit::Failed, "the agent answered without a check"))?;
    Ok(LabelIssues { check, issues: Page { items, next } })
}

/// The candidates that are named, or whose label stands badly enough.
fn chosen(issues: &[LabelIssue], images: &[String], below: Option<f32>) -> Result<Vec<LabelIssue>, Failure> {
    if let Some(below) = below {
        return Ok(issues.iter().filter(|issue| issue.score <= below).cloned().collect());
    }
    let hashes: BTreeMap<String, &LabelIssue> =
        issues.iter().map(|issue| (issue.image.to_string(), issue)).collect();
    let one = |start: &String| {
        let mut found = hashes.iter().filter(|(hash, _)| hash.starts_with(&start.to_lowercase()));
        match (found.next(), found.next()) {
            (Some((_, issue)), None) => Ok((*issue).clone()),
            (Some(_), Some(_)) => Err(Failure::usage(format!("several candidates begin with {start:?}"))),
            (None, _) => Err(Failure::new(Exit::NotFound, format!("no candidate begins with {start:?}"))
                .hint("`vigie datasets label-issues` lists them")),
        }
    };
    images.iter().map(one).collect()
}

fn issues_sheet(found: &LabelIssues, style: &Style) -> Sheet {
    let LabelIssues { check, issues } = found;
    let sheet = Sheet::new()
        .field("Version", check.dataset.to_string())
        .field("Checked", age(style.now, check.created))
        .field("Agreement", check.agreement.to_string())
        .table("Labels that may be wrong", issues_table(&issues.items));
    match issues.next {
        Some(_) => sheet.line("… and more; -n 0 lists them all"),
        None => sheet,
    }
}

fn issues_table(issues: &[LabelIssue]) -> Table {
    let mut table = Table::new(
        [
            Column::text("IMAGE"),
            Column::flexible("LABEL"),
            Column::flexible("SUGGESTED"),
            Column::figure("SCORE"),
            Column::figure("LABEL P"),
            Column::figure("SUGGESTED P"),
            Column::text("SPLIT"),
            Column::flexible("ORIGIN"),
        ],
        "no such candidates",
    );
    for issue in issues {
        table.row([
            issue.image.short().into(),
            issue.label.as_str().into(),
            issue.suggested.as_str().into(),
            format!("{:.3}", issue.score).into(),
            percent(f64::from(issue.label_probability)).into(),
            percent(f64::from(issue.suggested_probability)).into(),
            issue.split.to_string().into(),
            Cell::from(issue.origin.as_str()),
        ]);
    }
    table
}

fn checks_table(checks: &[LabelCheck], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("JOB"),
            Column::text("VERSION"),
            Column::figure("IMAGES"),
            Column::figure("CANDIDATES"),
            Column::text("AGREEMENT"),
            Column::text("CREATED"),
            Column::flexible("BY"),
        ],
        "no label checks yet; `vigie datasets label-check VERSION` makes one",
    );
    for check in checks {
        table.row([
            check.job.to_string().into(),
            check.dataset.to_string().into(),
            count(check.images).into(),
            count(check.issues).into(),
            check.agreement.to_string().into(),
            age(style.now, check.created).into(),
            check.by.as_str().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use vigie_protocol::Hash;
    use vigie_protocol::dataset::Split;

    use super::*;

    fn issue(first: u8, score: f32) -> LabelIssue {
        let mut hash = [7; 32];
        hash[0] = first;
        LabelIssue {
            image: Hash::from(hash),
            label: "owl".to_owned(),
            suggested: "jay".to_owned(),
            score,
            label_probability: 0.1,
            suggested_probability: 0.9,
            split: Split::Train,
            origin: String::new(),
        }
    }

    #[test]
    fn candidates_are_chosen_by_hash_or_score() {
        let issues = [issue(0xab, 0.05), issue(0xac, 0.3)];
        let by_hash = |images: &[&str]| {
            let images: Vec<String> = images.iter().map(|&image| image.to_owned()).collect();
            chosen(&issues, &images, None).map(|chosen| chosen.len()).map_err(|failure| failure.exit)
        };
        assert_eq!(by_hash(&["ab", "AC0707"]), Ok(2));
        assert_eq!(by_hash(&["a"]), Err(Exit::Usage));
        assert_eq!(by_hash(&["b"]), Err(Exit::NotFound));
        assert_eq!(chosen(&issues, &[], Some(0.1)).map(|chosen| chosen.len()), Ok(1));
    }
}
