//! `vigie demo`.

use std::path::PathBuf;

use clap::Args;

use crate::app::App;
use crate::demo;

const EXAMPLES: &str = "\
Examples:
  vigie demo                       everything in a temporary folder, removed afterwards
  vigie demo --keep /tmp/vigie     keep the state and leave the agent running
  vigie demo --data birds.zip      with your own pictures
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Demo {
    /// Keep the agent's state in this folder, and leave the agent running
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// A folder or zip file with images, one folder a class [default: the bundled products.zip]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Side of the network's input in pixels, a multiple of 32
    #[arg(long, default_value_t = 224, value_name = "PIXELS")]
    input: u32,
    /// Passes over the train split
    #[arg(long, default_value_t = 30)]
    epochs: u32,
    /// End with the summary, not in the terminal UI
    #[arg(long)]
    no_console: bool,
}

impl Demo {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let Self { keep, data, input, epochs, no_console } = self;
        demo::run(app, demo::Options { keep, data, input, epochs, console: !no_console }).await
    }
}
