//! `vigie runs`.

mod show;

use clap::{Args, Subcommand, ValueEnum};
use vigie_protocol::dataset::{DatasetRef, Lineage};
use vigie_protocol::model::Architecture;
use vigie_protocol::run::{ClassWeights, Init, Recipe};
use vigie_protocol::service::{DatasetList, RunGet, RunList, TrainSubmit, TrainSubmitted};
use vigie_protocol::{IdempotencyKey, ModelNumber, ProjectName, RunId};

use crate::app::App;
use crate::cli::jobs::finish;
use crate::cli::{Limit, Waiting};
use crate::compare::compare_runs;
use crate::exit::{Exit, Failure};
use crate::session::{Session, ask};

const EXAMPLES: &str = "\
Examples:
  vigie runs start                             on the newest reference version
  vigie runs start reference@v2 --input 96 --epochs 20
  vigie runs start --from v3                   go on from a model version
  vigie runs start --balance over              repeat images of smaller classes
  vigie runs show 01932f6c-…                   its curve
  vigie runs compare 01932f6c-… 01932f70-…     what differs, and the best each came to
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Runs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List runs, newest first
    List {
        #[command(flatten)]
        limit: Limit,
    },
    /// Show a run with its recipe and its curve
    Show {
        /// The run
        run: RunId,
    },
    /// Compare runs: what differs in their recipes, and the best each came to
    Compare {
        /// The runs, two or more
        #[arg(required = true, num_args = 2.., value_name = "RUN")]
        runs: Vec<RunId>,
    },
    /// Start a training
    Start {
        /// On which version; the newest of reference when absent
        dataset: Option<DatasetRef>,
        #[command(flatten)]
        recipe: RecipeOptions,
        #[command(flatten)]
        waiting: Waiting,
    },
}

/// How to train; what is not named is as the agent's default recipe has it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Recipe")]
pub struct RecipeOptions {
    /// The network: efficientnet-lite0 or efficientnet-b0
    #[arg(long, value_name = "NAME")]
    architecture: Option<Architecture>,
    /// Start from these pretrained weights of the agent
    #[arg(long, value_name = "NAME", conflicts_with_all = ["from", "random"])]
    pretrained: Option<String>,
    /// Start from this model version
    #[arg(long, value_name = "MODEL", conflicts_with = "random")]
    from: Option<ModelNumber>,
    /// Start from random weights
    #[arg(long)]
    random: bool,
    /// Side of the input in pixels, a multiple of 32 [default: 224]
    #[arg(long, value_name = "PIXELS")]
    pub input: Option<u32>,
    /// Passes over the train split [default: 30]
    #[arg(long)]
    pub epochs: Option<u32>,
    /// Images a step [default: 64]
    #[arg(long, value_name = "IMAGES")]
    batch: Option<u32>,
    /// Peak learning rate [default: 0.001]
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Weight decay [default: 0.01]
    #[arg(long, value_name = "DECAY")]
    weight_decay: Option<f64>,
    /// Share of the target spread over the other classes [default: 0.05]
    #[arg(long, value_name = "SHARE")]
    label_smoothing: Option<f64>,
    /// Dropout before the classifier [default: 0.5]
    #[arg(long, value_name = "SHARE")]
    dropout: Option<f64>,
    /// Do not learn from mirrored copies
    #[arg(long)]
    no_mirror: bool,
    /// How classes of different size come to count the same [default: none]
    #[arg(long, value_name = "WAY", value_enum)]
    balance: Option<Balancing>,
    /// The same as --balance weights
    #[arg(long, hide = true, conflicts_with = "balance")]
    class_weights: bool,
    /// Epochs without a better validation loss before it stops; 0 never stops it [default: 10]
    #[arg(long, value_name = "EPOCHS")]
    patience: Option<u32>,
    /// Seed of initial weights, order and dropout [default: 1]
    #[arg(long)]
    seed: Option<u64>,
}

/// How a training balances the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Balancing {
    /// Not at all: each counts as much as it has images
    None,
    /// Errors count the more, the smaller the class
    Weights,
    /// Images of smaller classes are learnt from several times an epoch
    Over,
}

impl From<Balancing> for ClassWeights {
    fn from(way: Balancing) -> Self {
        match way {
            Balancing::None => ClassWeights::Even,
            Balancing::Weights => ClassWeights::Balanced,
            Balancing::Over => ClassWeights::Over,
        }
    }
}

impl RecipeOptions {
    /// The whole recipe.
    pub fn recipe(self) -> Recipe {
        let default = Recipe::default();
        let balance = if self.class_weights { Some(Balancing::Weights) } else { self.balance };
        let architecture = self.architecture.unwrap_or(default.architecture);
        let init = match (self.pretrained, self.from, self.random) {
            (Some(name), _, _) => Init::Pretrained { name },
            (None, Some(number), _) => Init::Model { number },
            (None, None, true) => Init::Random,
            // The weights that go by the network's name.
            (None, None, false) => Init::Pretrained { name: architecture.as_str().to_owned() },
        };
        Recipe {
            architecture,
            init,
            input: self.input.unwrap_or(default.input),
            epochs: self.epochs.unwrap_or(default.epochs),
            batch: self.batch.unwrap_or(default.batch),
            learning_rate: self.learning_rate.unwrap_or(default.learning_rate),
            weight_decay: self.weight_decay.unwrap_or(default.weight_decay),
            label_smoothing: self.label_smoothing.unwrap_or(default.label_smoothing),
            dropout: self.dropout.unwrap_or(default.dropout),
            mirror: default.mirror && !self.no_mirror,
            class_weights: balance.map_or(default.class_weights, ClassWeights::from),
            patience: self.patience.unwrap_or(default.patience),
            seed: self.seed.unwrap_or(default.seed),
        }
    }
}

impl Runs {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let project = app.project(session).await?;
        match self.verb {
            Verb::List { limit } => {
                let runs = session
                    .pages(limit.limit, async |page| {
                        ask!(session, run_list, RunList { project: project.clone(), page }).await
                    })
                    .await?;
                Ok(app.out.value(&runs, |style| show::table(&runs, style).render(style))?)
            }
            Verb::Show { run } => {
                let run = ask!(session, run_get, RunGet { project, run }).await?;
                Ok(app.out.value(&run, |style| show::sheet(&run, style).render(style))?)
            }
            Verb::Compare { runs: wanted } => {
                let mut runs = Vec::with_capacity(wanted.len());
                for run in wanted {
                    runs.push(ask!(session, run_get, RunGet { project: project.clone(), run }).await?);
                }
                let comparison = compare_runs(&runs);
                Ok(app.out.value(&comparison, |style| show::comparison(&comparison).render(style))?)
            }
            Verb::Start { dataset, recipe, waiting } => {
                let dataset = match dataset {
                    Some(dataset) => dataset,
                    None => newest(session, &project, Lineage::Reference).await?.ok_or_else(|| {
                        Failure::new(Exit::NotFound, "there is no reference version to train on yet")
                            .hint("`vigie datasets update source@v1 reference` makes one")
                    })?,
                };
                let job = submit(session, project, dataset, recipe.recipe()).await?.job;
                finish(app, session, job, waiting).await
            }
        }
    }
}

/// The newest version of a line.
pub async fn newest(
    session: &Session,
    project: &ProjectName,
    lineage: Lineage,
) -> Result<Option<DatasetRef>, Failure> {
    let versions = session
        .pages(1, async |page| {
            let request = DatasetList { project: project.clone(), lineage: Some(lineage), page };
            ask!(session, dataset_list, request).await
        })
        .await?;
    Ok(versions.first().map(|version| version.dataset))
}

/// Asks for a training.
pub async fn submit(
    session: &Session,
    project: ProjectName,
    dataset: DatasetRef,
    recipe: Recipe,
) -> Result<TrainSubmitted, Failure> {
    let request = TrainSubmit { key: IdempotencyKey::new(), project, dataset, recipe, after: Vec::new() };
    ask!(session, train_submit, request).await
}
