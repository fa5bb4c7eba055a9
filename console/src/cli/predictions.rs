//! `vigie predictions`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vigie_protocol::feedback::FeedbackFilter;
use vigie_protocol::prediction::{HourCount, Prediction, PredictionFilter, Timings};
use vigie_protocol::service::{PredictionCounts, PredictionForget, PredictionGet, PredictionList};
use vigie_protocol::{IdempotencyKey, ModelNumber, PredictionId, Time};

use crate::app::App;
use crate::cli::blobs::write_blob;
use crate::cli::parse::{Moment, share};
use crate::cli::{Limit, feedback};
use crate::exit::{Exit, Failure};
use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, count, micros, note, percent, when};
use crate::prompt::confirm;
use crate::session::{ask, ask_to_the_end};

const EXAMPLES: &str = "\
Examples:
  vigie predictions list --since 2h --conf-below 0.5
  vigie predictions list --feedback wrong --since 7d
  vigie predictions list --model v7 --class owl -n 0 -o json
  vigie predictions counts --since 7d
  vigie predictions picture 01932f6c-… --out owl.jpg
  vigie predictions forget 01932f6c-…
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Predictions {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List predictions, newest first
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show one prediction
    Show {
        /// The prediction
        prediction: PredictionId,
    },
    /// Fetch the picture of a prediction
    Picture {
        /// The prediction
        prediction: PredictionId,
        /// Where to write it; standard output when absent
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Count predictions by the hour and model
    Counts {
        /// From when: a span such as 2h, or an RFC 3339 time
        #[arg(long, default_value = "24h")]
        since: Moment,
        /// Until when; now when absent
        #[arg(long)]
        until: Option<Moment>,
    },
    /// Erase a prediction with its picture and everything derived from it
    Forget {
        /// The prediction
        prediction: PredictionId,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Which predictions; all conditions must hold.
#[derive(Clone, Debug, Args)]
struct Filter {
    /// Made by this model version
    #[arg(long)]
    model: Option<ModelNumber>,
    /// Whose best class is this one
    #[arg(long)]
    class: Option<String>,
    /// Whose confidence is below this: 0.5 or 50%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    conf_below: Option<f32>,
    /// Since when: a span such as 2h, or an RFC 3339 time
    #[arg(long)]
    since: Option<Moment>,
    /// Until when
    #[arg(long)]
    until: Option<Moment>,
    /// By what people said of it: any, none, correct, wrong or unknown
    #[arg(long, value_name = "FEEDBACK")]
    feedback: Option<FeedbackFilter>,
}

impl Filter {
    fn at(self, now: Time) -> PredictionFilter {
        let Self { model, class, conf_below, since, until, feedback } = self;
        PredictionFilter {
            model,
            class,
            confidence_below: conf_below,
            since: since.map(|moment| moment.from(now)),
            until: until.map(|moment| moment.from(now)),
            feedback,
        }
    }
}

impl Predictions {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let project = app.project(session).await?;
        let now = app.out.style().now;
        match self.verb {
            Verb::List { filter, limit } => {
                let filter = filter.at(now);
                let predictions = session
                    .pages(limit.limit, async |page| {
                        let (project, filter) = (project.clone(), filter.clone());
                        ask!(session, prediction_list, PredictionList { project, filter, page }).await
                    })
                    .await?;
                Ok(app.out.value(&predictions, |style| table(&predictions, style).render(style))?)
            }
            Verb::Show { prediction } => {
                let found = ask!(session, prediction_get, PredictionGet { project, prediction }).await?;
                Ok(app.out.value(&found, |style| sheet(&found, style).render(style))?)
            }
            Verb::Picture { prediction, out } => {
                let found = ask!(session, prediction_get, PredictionGet { project, prediction }).await?;
                if !found.picture_kept {
                    return Err(Failure::new(Exit::NotFound, "its picture was not kept")
                        .hint("`vigie projects set NAME --keep-pictures all` keeps the next ones")
                        .into());
                }
                write_blob(app, session, found.image, out.as_deref()).await
            }
            Verb::Counts { since, until } => {
                let (since, until) = (since.from(now), until.map_or(now, |moment| moment.from(now)));
                let counts =
                    ask!(session, prediction_counts, PredictionCounts { project, since, until }).await?;
                Ok(app.out.value(&counts, |style| counts_table(&counts).render(style))?)
            }
            Verb::Forget { prediction, yes } => {
                let question = format!("Erase prediction {prediction} of {project} for ever?");
                confirm(&app.interrupt, &question, "forget", yes).await?;
                let request = PredictionForget { key: IdempotencyKey::new(), project, prediction };
                let done = ask_to_the_end!(session, prediction_forget, request).await?;
                note("forgotten");
                Ok(app.out.value(&done, |_| String::new())?)
            }
        }
    }
}

fn table(predictions: &[Prediction], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("ID"),
            Column::text("WHEN"),
            Column::text("MODEL"),
            Column::text("CLASS"),
            Column::figure("CONFIDENCE"),
            Column::figure("TOOK"),
            Column::text("FEEDBACK"),
            Column::text("BY"),
            Column::flexible("NAME"),
        ],
        "no such predictions",
    );
    for prediction in predictions {
        table.row([
            prediction.id.to_string().into(),
            age(style.now, prediction.at).into(),
            prediction.model.to_string().into(),
            prediction.class().into(),
            percent(f64::from(prediction.confidence())).into(),
            micros(u64::from(prediction.timings.total)).into(),
            feedback::consensus(prediction.feedback.as_ref().map(|said| &said.consensus)),
            prediction.by.as_str().into(),
            prediction.name.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}

fn sheet(prediction: &Prediction, style: &Style) -> Sheet {
    let Prediction { id, at, model, weights, image, picture_kept, top, timings, by, name, feedback } =
        prediction;
    let Timings { queue, decode, infer, total } = *timings;
    let mut classes = Table::new([Column::flexible("CLASS"), Column::figure("PROBABILITY")], "none");
    for scored in top {
        classes.row([Cell::from(scored.class.as_str()), percent(f64::from(scored.probability)).into()]);
    }
    let ms = |us: u32| micros(u64::from(us));
    Sheet::new()
        .field("Prediction", id.to_string())
        .maybe("Name", name.as_ref())
        .field("When", format!("{} for {by}", when(style.now, *at)))
        .field("Model", format!("{model} (weights {})", weights.short()))
        .field("Image", format!("{image}{}", if *picture_kept { "" } else { ", not kept" }))
        .maybe("Feedback", feedback.as_ref().map(|said| &said.consensus))
        .field(
            "Took",
            format!("{}: waited {}, decoded {}, network {}", ms(total), ms(queue), ms(decode), ms(infer)),
        )
        .table("Classes", classes)
}

fn counts_table(counts: &[HourCount]) -> Table {
    let mut table = Table::new(
        [
            Column::text("HOUR (UTC)"),
            Column::text("MODEL"),
            Column::figure("PREDICTIONS"),
            Column::figure("MEAN CONFIDENCE"),
            Column::figure("MEAN TIME"),
            Column::flexible("MOST OFTEN"),
        ],
        "no predictions in that time",
    );
    for hour in counts {
        let HourCount { hour, model, predictions, confidence_sum, total_us_sum, classes } = hour;
        let n = (*predictions).max(1);
        let most = classes.iter().max_by_key(|&(_, &n)| n);
        table.row([
            hour.timestamp().strftime("%Y-%m-%d %H:00").to_string().into(),
            model.to_string().into(),
            count(*predictions).into(),
            percent(confidence_sum / n as f64).into(),
            micros(total_us_sum / n).into(),
            most.map_or_else(Cell::none, |(class, &times)| {
                Cell::toned(format!("{class} ({})", percent(times as f64 / n as f64)), Tone::Plain)
            }),
        ]);
    }
    table
}
