//! `vigie feedback`.

use clap::{Args, Subcommand};
use vigie_protocol::feedback::{
    AccuracyOf, Consensus, Feedback, FeedbackAccuracy, FeedbackState, NewImages, Said,
};
use vigie_protocol::job::JobSpec;
use vigie_protocol::service::{FeedbackAccuracyGet, FeedbackGive, FeedbackList, FeedbackWithdraw, InProject};
use vigie_protocol::{IdempotencyKey, PredictionId};

use crate::app::App;
use crate::cli::datasets::submit;
use crate::cli::jobs::finish;
use crate::cli::{Limit, Waiting};
use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, count, note, when};
use crate::session::ask;

const EXAMPLES: &str = "\
Examples:
  vigie feedback give 01932f6c-… --correct
  vigie feedback give 01932f6c-… --class 'snowy owl'
  vigie feedback give 01932f6c-… --class puffin --new
  vigie feedback withdraw 01932f6c-…
  vigie feedback accuracy --last 500
  vigie feedback collect
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct FeedbackCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say whether a prediction was right; what you said before is replaced
    Give {
        /// The prediction
        prediction: PredictionId,
        #[command(flatten)]
        answer: AnswerArgs,
        /// You did not see what was predicted: your answer counts in the audit
        #[arg(long)]
        blind: bool,
    },
    /// Take back what you said of a prediction
    Withdraw {
        /// The prediction
        prediction: PredictionId,
    },
    /// List feedback, that on the newest predictions first
    List {
        #[command(flatten)]
        limit: Limit,
    },
    /// Show how often predictions were right, as far as people said
    ///
    /// Two figures that must not be mixed: feedback that people gave of themselves, which is biased
    /// towards what they notice, and the audit sample, drawn uniformly and labelled blind.
    Accuracy {
        /// Over so many of the newest predictions with feedback
        #[arg(long, default_value_t = 1_000, value_name = "PREDICTIONS")]
        last: u32,
    },
    /// Count what came in since the production model was promoted
    NewImages,
    /// Propose the images that people labelled as the next version of production
    ///
    /// Only adds: what is there keeps its class. Images that are there already are left alone, so that
    /// collecting twice changes nothing.
    Collect {
        /// Only propose the change-set
        #[arg(long)]
        review: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
}

/// What is said of an image.
#[derive(Clone, Debug, Args)]
pub struct AnswerArgs {
    #[command(flatten)]
    pub what: WhatArgs,
    /// The class may be one that the project does not have yet
    #[arg(long, requires = "class")]
    pub new: bool,
}

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WhatArgs {
    /// The best class is right
    #[arg(long)]
    correct: bool,
    /// It is of this class
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// It is wrong, and you do not know what it is
    #[arg(long)]
    unknown: bool,
}

impl WhatArgs {
    /// As the agent is told.
    pub fn said(self) -> Said {
        match self.class {
            Some(class) => Said::Wrong { class },
            None if self.unknown => Said::WrongUnknown,
            None => Said::Correct,
        }
    }
}

impl FeedbackCommand {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let project = app.project(session).await?;
        match self.verb {
            Verb::Give { prediction, answer, blind } => {
                let request = FeedbackGive {
                    key: IdempotencyKey::new(),
                    project,
                    prediction,
                    said: answer.what.said(),
                    blind,
                    new_class: answer.new,
                };
                let given = ask!(session, feedback_give, request).await?;
                Ok(app.out.value(&given, |style| sheet(&given, style).render(style))?)
            }
            Verb::Withdraw { prediction } => {
                let request = FeedbackWithdraw { key: IdempotencyKey::new(), project, prediction };
                let left = ask!(session, feedback_withdraw, request).await?;
                note("taken back");
                Ok(app.out.value(&left, |style| match &left.feedback {
                    Some(feedback) => sheet(feedback, style).render(style),
                    None => String::new(),
                })?)
            }
            Verb::List { limit } => {
                let all = session
                    .pages(limit.limit, async |page| {
                        let request = FeedbackList { project: project.clone(), page };
                        ask!(session, feedback_list, request).await
                    })
                    .await?;
                Ok(app.out.value(&all, |style| table(&all, style).render(style))?)
            }
            Verb::Accuracy { last } => {
                let found = ask!(session, feedback_accuracy, FeedbackAccuracyGet { project, last }).await?;
                Ok(app.out.value(&found, |style| accuracy(&found).render(style))?)
            }
            Verb::NewImages => {
                let found = ask!(session, feedback_new_images, InProject { project }).await?;
                Ok(app.out.value(&found, |style| new_images(&found, style).render(style))?)
            }
            Verb::Collect { review, waiting } => {
                let spec = JobSpec::Collect { accept: !review };
                finish(app, session, submit(session, project, spec).await?, waiting).await
            }
        }
    }
}

/// What votes came to, as a cell.
pub fn consensus(consensus: Option<&Consensus>) -> Cell {
    let Some(consensus) = consensus else { return Cell::none() };
    let tone = match consensus.right() {
        Some(true) => Tone::Good,
        Some(false) => Tone::Bad,
        None => Tone::Warn,
    };
    Cell::toned(consensus.to_string(), tone)
}

fn state(state: FeedbackState) -> &'static str {
    match state {
        FeedbackState::Open => "waits for the next collection",
        FeedbackState::Deferred => "deferred",
        FeedbackState::Taken { .. } => "in a change-set, to be reviewed",
        FeedbackState::Settled => "settled",
        FeedbackState::NoPicture => "its picture was not kept",
        FeedbackState::Unknown => "a state this console does not know",
    }
}

fn table(all: &[Feedback], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("PREDICTION"),
            Column::text("ANSWERED"),
            Column::text("MODEL"),
            Column::text("PREDICTED"),
            Column::text("PEOPLE SAY"),
            Column::figure("VOTES"),
            Column::text("IMAGE"),
            Column::flexible("NAME"),
        ],
        "no feedback yet; `vigie feedback give PREDICTION` gives some",
    );
    for feedback in all {
        table.row([
            feedback.prediction.to_string().into(),
            age(style.now, feedback.at).into(),
            feedback.model.to_string().into(),
            feedback.predicted().into(),
            consensus(Some(&feedback.consensus)),
            count(feedback.votes.len() as u64).into(),
            state(feedback.state).into(),
            feedback.name.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}

fn sheet(feedback: &Feedback, style: &Style) -> Sheet {
    let mut votes = Table::new(
        [Column::text("BY"), Column::text("WHEN"), Column::flexible("SAID"), Column::text("BLIND")],
        "nobody said anything",
    );
    for vote in &feedback.votes {
        votes.row([
            vote.by.as_str().into(),
            age(style.now, vote.at).into(),
            Cell::from(vote.said.to_string()),
            if vote.blind { "yes".into() } else { Cell::none() },
        ]);
    }
    Sheet::new()
        .field("Prediction", format!("{} of {}", feedback.prediction, when(style.now, feedback.at)))
        .field("Predicted", format!("{} by {}", feedback.predicted(), feedback.model))
        .field("People say", consensus(Some(&feedback.consensus)))
        .field("Image", state(feedback.state))
        .table("Votes", votes)
}

fn accuracy(found: &FeedbackAccuracy) -> Sheet {
    let FeedbackAccuracy { feedback, audit, audit_due, caveat } = found;
    Sheet::new()
        .table("Feedback", accuracy_table(feedback))
        .table("Audit sample, labelled blind", accuracy_table(audit))
        .field("To audit", format!("{} predictions wait: vigie label next --queue audit", count(*audit_due)))
        .line(caveat)
}

fn accuracy_table(of: &AccuracyOf) -> Table {
    let mut table = Table::new([Column::text("MODEL"), Column::flexible("RIGHT")], "nothing was said");
    let right = |share: &vigie_protocol::model::Proportion| match share.n {
        0 => Cell::none(),
        _ => Cell::from(share.to_string()),
    };
    table.row([Cell::from("all"), right(&of.overall)]);
    for one in &of.models {
        table.row([one.model.to_string().into(), right(&one.accuracy)]);
    }
    if of.undecided > 0 {
        table.row([Cell::toned("undecided", Tone::Dim), count(of.undecided).into()]);
    }
    table
}

fn new_images(found: &NewImages, style: &Style) -> Sheet {
    let NewImages { model, since, predictions, labelled, collected, reference } = *found;
    Sheet::new()
        .field("Production", format!("{model} since {}", when(style.now, since)))
        .field("Predictions", count(predictions))
        .field("Labelled", format!("{} of them", count(labelled)))
        .field("Production images", format!("{} new", count(collected)))
        .field("Reference images", format!("{} new, which {model} has not learnt from", count(reference)))
}
