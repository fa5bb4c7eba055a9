//! `vigie datasets diff`.

use std::str::FromStr;

use clap::Args;
use vigie_protocol::dataset::{ChangeKind, DatasetDifference, DatasetRef, ImageChange, Placement};
use vigie_protocol::page::Page;
use vigie_protocol::{ProjectName, service};

use crate::app::App;
use crate::cli::Limit;
use crate::cli::changesets::changes_table;
use crate::out::{Cell, Column, Sheet, Table, Tone};
use crate::session::{Session, ask};

/// The word for the empty set.
const NOTHING: &str = "nothing";

#[derive(Debug, Args)]
pub struct Diff {
    /// The earlier version, such as reference@v1; "nothing" for the empty set
    from: From,
    /// The later version, of the same line or another
    to: DatasetRef,
    /// Only images that have this class in one of the two
    #[arg(long)]
    class: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

/// What a version is compared with.
#[derive(Clone, Copy, Debug)]
struct From(Option<DatasetRef>);

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == NOTHING { Ok(Self(None)) } else { text.parse().map(|dataset| Self(Some(dataset))) }
    }
}

impl Diff {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { from: From(from), to, class, limit } = self;
        let (mut classes, mut next) = (None, None);
        let session = session.patient();
        let items = session
            .pages(limit.limit, async |page| {
                let (project, class) = (project.clone(), class.clone());
                let request = service::DatasetDiff { project, from, to, class, page };
                let page = ask!(session, dataset_diff, request).await?;
                next = page.images.next.clone();
                classes.get_or_insert(page.classes);
                Ok(page.images)
            })
            .await?;
        let classes = classes.unwrap_or_default();
        let difference = DatasetDifference { classes, images: Page { items, next } };
        Ok(app.out.value(&difference, |style| sheet(from, to, &difference).render(style))?)
    }
}

fn sheet(from: Option<DatasetRef>, to: DatasetRef, difference: &DatasetDifference) -> Sheet {
    let DatasetDifference { classes, images } = difference;
    let sheet = Sheet::new()
        .field("From", from.map_or_else(|| NOTHING.to_owned(), |from| from.to_string()))
        .field("To", to.to_string())
        .table("Changes", changes_table(classes))
        .table("Images", images_table(&images.items));
    match images.next {
        Some(_) => sheet.line("… and more; -n 0 lists them all"),
        None => sheet,
    }
}

fn images_table(images: &[ImageChange]) -> Table {
    let mut table = Table::new(
        [
            Column::text("IMAGE"),
            Column::text("CHANGE"),
            Column::flexible("FROM"),
            Column::flexible("TO"),
            Column::flexible("ORIGIN"),
        ],
        "no such images",
    );
    for ImageChange { image, kind: change, from, to, origin } in images {
        table.row([
            image.to_string().into(),
            kind(*change),
            placement(from.as_ref()),
            placement(to.as_ref()),
            origin.as_str().into(),
        ]);
    }
    table
}

/// What became of an image.
pub fn kind(kind: ChangeKind) -> Cell {
    match kind {
        ChangeKind::Added => Cell::toned("added", Tone::Good),
        ChangeKind::Removed => Cell::toned("removed", Tone::Bad),
        ChangeKind::Relabelled => Cell::toned("relabelled", Tone::Warn),
        ChangeKind::Moved => Cell::toned("moved", Tone::Warn),
        ChangeKind::Unknown => Cell::toned("unknown", Tone::Dim),
    }
}

fn placement(placement: Option<&Placement>) -> Cell {
    Cell::maybe(placement.map(|Placement { label, split }| format!("{label}, {split}")))
}
