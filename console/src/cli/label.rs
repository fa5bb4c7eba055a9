//! `vigie label`.

use clap::{Args, Subcommand};
use vigie_protocol::feedback::{Clusters, LabelItem, LabelQueue, Said};
use vigie_protocol::job::JobSpec;
use vigie_protocol::service::{FeedbackGive, InProject, LabelCluster, LabelNext, LabelPage};
use vigie_protocol::{IdempotencyKey, PredictionId, Time};

use crate::app::App;
use crate::cli::datasets::submit;
use crate::cli::feedback::AnswerArgs;
use crate::exit::Failure;
use crate::follow::to_the_end;
use crate::out::{Cell, Column, Sheet, Style, Table, age, count, note, percent};
use crate::session::ask;

const EXAMPLES: &str = "\
Examples:
  vigie label next                                 images whose class nobody knows
  vigie label next --queue audit -o json           the audit sample, for a script; names are hidden
  vigie label answer 01932f6c-… --class 'snowy owl'
  vigie label answer 01932f6c-… --class jay --blind
  vigie label clusters --refresh                   group what is deferred by its looks
  vigie label answer --cluster 3 --made 2026-11-21T09:30:00.123456Z --class puffin --new
In the terminal UI (`vigie`, then L) the pictures are shown and one key answers.
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Label {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the next images whose class is asked for
    Next {
        /// Which queue: deferred, audit, or cluster with --cluster
        #[arg(long, default_value = "deferred")]
        queue: LabelQueue,
        /// The images of this cluster
        #[arg(long, value_name = "NUMBER")]
        cluster: Option<u32>,
        /// Show names and what was predicted in an audit too: answers are then no longer blind
        #[arg(long)]
        show: bool,
        /// At most this many
        #[arg(long, short = 'n', default_value_t = 20, value_name = "ROWS")]
        limit: u32,
    },
    /// Say what an image shows, or all images of a cluster
    Answer {
        /// The prediction that the image was sent for
        #[arg(required_unless_present = "cluster", conflicts_with = "cluster")]
        prediction: Option<PredictionId>,
        /// All images of this cluster that are still deferred
        #[arg(long, value_name = "NUMBER", requires_all = ["class", "made"])]
        cluster: Option<u32>,
        /// When the clusters were made that you looked at, as `vigie label clusters` says; grouped anew,
        /// the same number is another cluster
        #[arg(long, value_name = "TIME", requires = "cluster")]
        made: Option<Time>,
        /// Of a cluster: all but this one; can be given several times
        #[arg(long, value_name = "PREDICTION", requires = "cluster")]
        except: Vec<PredictionId>,
        #[command(flatten)]
        answer: AnswerArgs,
        /// You did not see what was predicted: your answer counts in the audit
        #[arg(long, conflicts_with = "cluster")]
        blind: bool,
    },
    /// Show the deferred images grouped by their looks
    Clusters {
        /// Group them anew first; at most 2,000 of them, the newest
        #[arg(long)]
        refresh: bool,
        /// The largest mean cosine distance within a cluster: less makes smaller, purer clusters
        #[arg(long, value_name = "DISTANCE", requires = "refresh")]
        distance: Option<f32>,
    },
}

impl Label {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let project = app.project(session).await?;
        match self.verb {
            Verb::Next { queue, cluster, show, limit } => {
                let queue = if cluster.is_some() { LabelQueue::Cluster } else { queue };
                let page = vigie_protocol::page::PageRequest { cursor: None, limit };
                let reveal = show;
                let request = LabelNext { project, queue, cluster, reveal, page };
                let mut found = ask!(session, label_next, request).await?;
                let blind = queue == LabelQueue::Audit && !show;
                if blind {
                    // An agent of an older build answers with everything.
                    found.items.items.iter_mut().for_each(LabelItem::blind);
                }
                if found.gone > 0 {
                    note(format!("{} more cannot be shown: their pictures are gone", count(found.gone)));
                }
                let sheet = if blind { audit } else { next };
                Ok(app.out.value(&found, |style| sheet(&found, style).render(style))?)
            }
            Verb::Answer { prediction: Some(prediction), answer, blind, .. } => {
                let request = FeedbackGive {
                    key: IdempotencyKey::new(),
                    project,
                    prediction,
                    said: answer.what.said(),
                    blind,
                    new_class: answer.new,
                };
                let given = ask!(session, feedback_give, request).await?;
                Ok(app.out.value(&given, |_| given.consensus.to_string())?)
            }
            Verb::Answer { prediction: None, cluster, made, except, answer, .. } => {
                let (Some(cluster), Some(made), Said::Wrong { class }) = (cluster, made, answer.what.said())
                else {
                    let needed = "a cluster is answered with --cluster, --made and --class";
                    return Err(Failure::usage(needed).into());
                };
                let (key, new_class) = (IdempotencyKey::new(), answer.new);
                let request = LabelCluster { key, project, made, cluster, except, class, new_class };
                let labelled = ask!(session, label_cluster, request).await?;
                Ok(app.out.value(&labelled, |_| format!("{} images labelled", count(labelled.images)))?)
            }
            Verb::Clusters { refresh, distance } => {
                if refresh {
                    let job = submit(session, project.clone(), JobSpec::Cluster { distance }).await?;
                    to_the_end(session, job.id, "cluster").await?;
                }
                let found = ask!(session, label_clusters, InProject { project }).await?;
                Ok(app.out.value(&found, |style| clusters(&found, style).render(style))?)
            }
        }
    }
}

fn next(found: &LabelPage, style: &Style) -> Sheet {
    let mut table = Table::new(
        [
            Column::text("PREDICTION"),
            Column::text("ANSWERED"),
            Column::text("PREDICTED"),
            Column::text("PEOPLE SAID"),
            Column::flexible("NAME"),
        ],
        "nothing waits here",
    );
    for item in &found.items.items {
        let LabelItem { prediction, at, model: _, image: _, name, top, votes } = item;
        let predicted = top.first().map_or_else(Cell::none, |best| {
            format!("{} {}", best.class, percent(f64::from(best.probability))).into()
        });
        let said: Vec<String> = votes.iter().map(|vote| format!("{}: {}", vote.by, vote.said)).collect();
        table.row([
            prediction.to_string().into(),
            age(style.now, *at).into(),
            predicted,
            if said.is_empty() { Cell::none() } else { said.join("; ").into() },
            name.as_deref().unwrap_or_default().into(),
        ]);
    }
    Sheet::new().field("Waiting", count(found.waiting)).table("Next", table)
}

/// The audit sample without whatever gives a class away.
fn audit(found: &LabelPage, style: &Style) -> Sheet {
    let columns = [Column::text("PREDICTION"), Column::text("ANSWERED"), Column::flexible("IMAGE")];
    let mut table = Table::new(columns, "nothing waits here");
    for LabelItem { prediction, at, image, .. } in &found.items.items {
        table.row([prediction.to_string().into(), age(style.now, *at).into(), Cell::from(image.to_string())]);
    }
    Sheet::new()
        .field("Waiting", count(found.waiting))
        .field("Hidden", "names and what was predicted; --show shows them, and is not blind")
        .table("Next", table)
}

fn clusters(found: &Clusters, style: &Style) -> Sheet {
    let mut table = Table::new(
        [Column::figure("CLUSTER"), Column::figure("IMAGES"), Column::flexible("MOSTLY PREDICTED AS")],
        "no clusters; --refresh makes them",
    );
    for cluster in &found.clusters {
        table.row([
            cluster.number.to_string().into(),
            count(cluster.images).into(),
            Cell::from(cluster.predicted.join(", ")),
        ]);
    }
    Sheet::new()
        .maybe("Made", found.made.map(|made| format!("{made} ({})", age(style.now, made))))
        .maybe("By", found.model.map(|model| format!("the features of {model}")))
        .field("In none", format!("{} deferred images", count(found.outside)))
        .table("Clusters", table)
}
