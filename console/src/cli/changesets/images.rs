//! `vigie changesets images`.

use clap::{Args, ValueEnum};
use vigie_protocol::dataset::{ChangeKind, ImageChange, Placement};
use vigie_protocol::review::ChangeSetImage;
use vigie_protocol::service::ChangeSetImages;
use vigie_protocol::{ChangeSetId, ProjectName};

use crate::app::App;
use crate::cli::Limit;
use crate::cli::datasets::change_kind;
use crate::out::{Cell, Column, Table, words};
use crate::session::{Session, ask};

#[derive(Debug, Args)]
pub struct Images {
    /// The change-set
    change_set: ChangeSetId,
    /// Only images that have this class before or after
    #[arg(long)]
    class: Option<String>,
    /// Only images of which this becomes
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    /// Only images that deserve a second look
    #[arg(long)]
    findings: bool,
    #[command(flatten)]
    limit: Limit,
}

/// What becomes of an image.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// It enters
    Added,
    /// It leaves
    Removed,
    /// It gets another class
    Relabelled,
    /// It gets another split
    Moved,
}

impl From<Kind> for ChangeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Added => ChangeKind::Added,
            Kind::Removed => ChangeKind::Removed,
            Kind::Relabelled => ChangeKind::Relabelled,
            Kind::Moved => ChangeKind::Moved,
        }
    }
}

impl Images {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { change_set, class, kind, findings: only_findings, limit } = self;
        let kind = kind.map(ChangeKind::from);
        // The first page looks at every image of the version.
        let session = session.patient();
        let images = session
            .pages(limit.limit, async |page| {
                let (project, class) = (project.clone(), class.clone());
                let request = ChangeSetImages { project, change_set, class, kind, only_findings, page };
                ask!(session, change_set_images, request).await
            })
            .await?;
        Ok(app.out.value(&images, |style| table(&images).render(style))?)
    }
}

fn table(images: &[ChangeSetImage]) -> Table {
    let mut table = Table::new(
        [
            Column::text("IMAGE"),
            Column::text("CHANGE"),
            Column::flexible("FROM"),
            Column::flexible("TO"),
            Column::flexible("ORIGIN"),
            Column::flexible("FINDINGS"),
        ],
        "no such images",
    );
    for ChangeSetImage { change, quality: _, group: _, findings } in images {
        let ImageChange { image, kind, from, to, origin } = change;
        let findings: Vec<String> = findings.iter().map(words::finding).collect();
        table.row([
            image.to_string().into(),
            change_kind(*kind),
            placement(from.as_ref()),
            placement(to.as_ref()),
            origin.as_str().into(),
            Cell::from(findings.join("; ")),
        ]);
    }
    table
}

fn placement(placement: Option<&Placement>) -> Cell {
    Cell::maybe(placement.map(|Placement { label, split }| format!("{label}, {split}")))
}
