//! `vigie datasets balance`.

use clap::{Args, ValueEnum};
use vigie_protocol::ProjectName;
use vigie_protocol::balance::{Balance, BalancePlan, ClassBalance};
use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::job::JobSpec;
use vigie_protocol::service::DatasetBalance;

use crate::app::App;
use crate::cli::Waiting;
use crate::cli::jobs::finish;
use crate::cli::runs::newest;
use crate::exit::{Exit, Failure};
use crate::out::{Cell, Column, Sheet, Table, count, note};
use crate::session::{Session, ask};

#[derive(Debug, Args)]
pub struct BalanceCommand {
    /// The version, such as reference@v3
    dataset: DatasetRef,
    /// Which way: fewer images of large classes, more of small ones, or weights in the loss
    #[arg(long, value_name = "WAY", value_enum)]
    plan: Way,
    /// With --plan down, the most train images that a class keeps [default: those of the smallest]
    #[arg(long, value_name = "IMAGES")]
    per_class: Option<u64>,
    /// With --run, decides which images stay
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Carry it out (only --plan down; the others are options of a training: see --plan)
    #[arg(long)]
    run: bool,
    /// With --run, only propose the change-set
    #[arg(long, requires = "run")]
    review: bool,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Images of larger classes leave the train split: carried out here, by --run
    Down,
    /// Images of smaller classes are learnt from several times an epoch: carried out by
    /// `vigie runs start --balance over`
    Over,
    /// Errors count the more, the smaller the class: carried out by `vigie runs start --balance weights`
    Weights,
}

impl BalanceCommand {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let Self { dataset, plan: way, per_class, seed, run, review, waiting } = self;
        if per_class.is_some() && way != Way::Down {
            return Err(Failure::usage("--per-class goes with --plan down").into());
        }
        let balance = match way {
            Way::Down => Balance::Down { per_class },
            Way::Over => Balance::Over,
            Way::Weights => Balance::Weights,
        };
        let request = DatasetBalance { project: project.clone(), dataset, balance };
        let plan = ask!(session, dataset_balance, request).await?;
        if !run {
            app.out.value(&plan, |style| sheet(&plan).render(style))?;
            note(next(way, dataset));
            return Ok(());
        }
        if way != Way::Down {
            return Err(Failure::usage("only --plan down changes a dataset").hint(next(way, dataset)).into());
        }
        if newest(session, &project, dataset.lineage).await? != Some(dataset) {
            let text = format!("{dataset} is not the newest version of its line");
            return Err(Failure::new(Exit::Conflict, text).hint("balance the newest one").into());
        }
        note(sheet(&plan).render(&app.out.for_notes()).trim_end());
        let spec = JobSpec::Balance { lineage: dataset.lineage, per_class, seed, accept: !review };
        finish(app, session, super::submit(session, project, spec).await?, waiting).await
    }
}

/// What to do with a plan.
fn next(way: Way, dataset: DatasetRef) -> String {
    match way {
        Way::Down => "nothing was changed; --run makes it the next version".to_owned(),
        Way::Over => format!("nothing was changed; to train so: vigie runs start {dataset} --balance over"),
        Way::Weights => {
            format!("nothing was changed; to train so: vigie runs start {dataset} --balance weights")
        }
    }
}

fn sheet(plan: &BalancePlan) -> Sheet {
    let BalancePlan { dataset, balance: _, classes, epoch, epoch_after } = plan;
    let mut table = Table::new(
        [
            Column::flexible("CLASS"),
            Column::figure("TRAIN NOW"),
            Column::figure("AFTER"),
            Column::figure("WEIGHT"),
        ],
        "no images",
    );
    for (class, ClassBalance { now, after, weight }) in classes {
        table.row([
            Cell::from(class.as_str()),
            count(*now).into(),
            count(*after).into(),
            format!("{weight:.3}").into(),
        ]);
    }
    Sheet::new()
        .field("Version", dataset.to_string())
        .field("Epoch", format!("{} images now, {} then", count(*epoch), count(*epoch_after)))
        .table("Classes of the train split", table)
}
