//! `vigie pipeline`.

use std::path::PathBuf;

use clap::Args;
use vigie_protocol::ProjectName;

use crate::app::App;
use crate::cli::runs::RecipeOptions;
use crate::exit::Failure;
use crate::out::note;
use crate::pipeline::{self, Plan};

const EXAMPLES: &str = "\
Examples:
  vigie pipeline birds.zip -p birds            import, train, evaluate, promote
  vigie pipeline photos/ -p birds --input 96 --epochs 20
  vigie pipeline birds.zip -p birds --no-promote

The images of each class lie in a folder called like the class. The project is created when it is
missing. Run again after a failure, it goes on where it stopped.
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Pipeline {
    /// The folder or zip file with the images
    source: PathBuf,
    /// Stop before the model takes production
    #[arg(long)]
    no_promote: bool,
    #[command(flatten)]
    recipe: RecipeOptions,
}

impl Pipeline {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let Self { source, no_promote, recipe } = self;
        // Which project is clear before anything begins: it may have to be made.
        let project: ProjectName = app.named_project()?.ok_or_else(|| {
            Failure::usage("which project?").hint("name it with --project; it is created when missing")
        })?;
        let session = app.connect().await?;
        let plan = Plan { project, source, recipe: recipe.recipe(), promote: !no_promote };
        let report = pipeline::run(&session, &plan).await?;
        if report.promoted.is_some() {
            note(format!("try it: vigie predict FILE -p {}", report.project));
        }
        Ok(app.out.value(&report, |style| report.sheet().render(style))?)
    }
}
