//! The commands: one file a noun, and the root that they hang from.

mod agents;
mod audit;
mod backup;
pub mod blobs;
mod changesets;
mod classes;
mod completions;
mod config;
pub mod datasets;
mod demo;
mod doctor;
mod events;
mod feedback;
pub mod jobs;
mod keys;
mod label;
pub mod models;
mod parse;
mod pipeline;
mod predict;
mod predictions;
mod projects;
mod replay;
mod rules;
pub mod runs;
mod schedules;
mod sources;
mod stdio;
mod whoami;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use vigie_protocol::ProjectName;

use crate::app::App;
use crate::exit::Exit;
use crate::out::Format;

const EXAMPLES: &str = "\
Examples:
  vigie                                       the terminal for the whole fleet
  vigie demo                                  the whole loop on bundled pictures
  vigie pipeline birds.zip -p birds           from a zip of pictures to a promoted model
  vigie predict owl.jpg -p birds              what is in the picture?
  vigie models rollback -p birds              the previous model answers again
  vigie --agent ssh://vigie@lab jobs list     the same on another machine
  vigie jobs list -o json | jq '.[].state'    for scripts
";

/// Watch over image classifiers: their data, trainings, models and predictions.
///
/// Every command talks to an agent (`vigie-agent`): the one named with --agent, else the default
/// context of the configuration, else the one on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "vigie",
    version,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n{}", Exit::help()),
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Where, in which project, in which form.
    #[command(flatten)]
    pub global: Global,
    /// What to do; the terminal UI when absent, or help where there is no terminal.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The agent: a context's name, unix:PATH or ssh://USER@HOST
    #[arg(
        long,
        short,
        global = true,
        env = "VIGIE_AGENT",
        hide_env_values = true,
        value_name = "NAME|TARGET"
    )]
    pub agent: Option<String>,
    /// The project; not needed when the context names one or the agent has only one
    #[arg(long, short, global = true, env = "VIGIE_PROJECT", hide_env_values = true, value_name = "NAME")]
    pub project: Option<ProjectName>,
    /// The form of the output
    #[arg(long, short, global = true, value_name = "FORM", default_value = "table")]
    pub output: Format,
    /// The longest wait for one answer of the agent
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = parse::span)]
    pub timeout: Duration,
    /// The configuration file [default: ~/.config/vigie/config.toml]
    #[arg(long, global = true, env = "VIGIE_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Offer nothing in the terminal UI that changes something
    #[arg(long, global = true, env = "VIGIE_READ_ONLY", hide_env_values = true)]
    pub read_only: bool,
    /// Say on standard error what the connection does; twice for more
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// Where the configuration lies.
    pub fn config_path(&self) -> anyhow::Result<PathBuf> {
        self.config
            .clone()
            .or_else(crate::config::default_path)
            .context("neither --config nor $HOME says where the configuration lies")
    }
}

/// How much of a list is wanted.
#[derive(Clone, Copy, Debug, Args)]
pub struct Limit {
    /// At most this many rows, newest first; 0 for all
    #[arg(long, short = 'n', default_value_t = 50, value_name = "ROWS")]
    pub limit: usize,
}

/// Whether to stay until the work is done.
#[derive(Clone, Copy, Debug, Args)]
pub struct Waiting {
    /// Print the job's id and return, instead of waiting for its end
    #[arg(long)]
    pub no_wait: bool,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// See the agents you have contexts for, and how they are
    Agents(agents::Agents),
    /// Create projects and change their settings
    Projects(projects::Projects),
    /// Import images and look at dataset versions
    Datasets(datasets::Datasets),
    /// Follow where images come from: folders, zip files, URLs, Kaggle datasets
    Sources(sources::Sources),
    /// Name the classes, put labels right that are written otherwise, see which classes wait
    Classes(classes::Classes),
    /// Review proposed dataset versions
    Changesets(changesets::Changesets),
    /// See what the rules say, by which data enters reference
    Rules(rules::Rules),
    /// Set up what the agent does by itself
    Schedules(schedules::Schedules),
    /// See, follow, cancel and retry background work
    Jobs(jobs::Jobs),
    /// Start trainings and look at their curves
    Runs(runs::Runs),
    /// Evaluate, promote and roll back model versions
    Models(models::Models),
    /// Classify images with the production model
    Predict(predict::Predict),
    /// Look into the prediction log
    Predictions(predictions::Predictions),
    /// Say whether predictions were right, and see how often they were
    Feedback(feedback::FeedbackCommand),
    /// Answer what images show that nobody knows yet
    Label(label::Label),
    /// See what happened
    Events(events::Events),
    /// Move files to and from the agent's blob store
    Blobs(blobs::Blobs),
    /// Read and check the log of who changed what
    Audit(audit::Audit),
    /// Make a consistent copy of the agent's state while it runs
    Backup(backup::Backup),
    /// Show who you are to the agent, and what you may do
    Whoami(whoami::Whoami),
    /// Check the agent and what it stands on
    Doctor(doctor::Doctor),
    /// Go from a folder or zip of images to a promoted model in one command
    Pipeline(pipeline::Pipeline),
    /// Run the whole loop on bundled pictures, on a private agent
    Demo(demo::Demo),
    /// Show and change this console's configuration
    Config(config::Configs),
    /// List the terminal UI's commands and their keys
    Keys(keys::Keys),
    /// Play back a session that the terminal UI wrote down
    Replay(replay::Replay),
    /// Relay standard input and output to an agent's socket (what `ssh HOST vigie stdio` runs)
    Stdio(stdio::Stdio),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Write manual pages into a folder
    Man(completions::Man),
}

impl Command {
    /// Carries it out.
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        match self {
            Command::Agents(command) => command.run(app).await,
            Command::Projects(command) => command.run(app).await,
            Command::Datasets(command) => command.run(app).await,
            Command::Sources(command) => command.run(app).await,
            Command::Changesets(command) => command.run(app).await,
            Command::Classes(command) => command.run(app).await,
            Command::Rules(command) => command.run(app).await,
            Command::Schedules(command) => command.run(app).await,
            Command::Jobs(command) => command.run(app).await,
            Command::Runs(command) => command.run(app).await,
            Command::Models(command) => command.run(app).await,
            Command::Predict(command) => command.run(app).await,
            Command::Predictions(command) => command.run(app).await,
            Command::Feedback(command) => command.run(app).await,
            Command::Label(command) => command.run(app).await,
            Command::Events(command) => command.run(app).await,
            Command::Blobs(command) => command.run(app).await,
            Command::Audit(command) => command.run(app).await,
            Command::Backup(command) => command.run(app).await,
            Command::Whoami(command) => command.run(app).await,
            Command::Doctor(command) => command.run(app).await,
            Command::Pipeline(command) => command.run(app).await,
            Command::Demo(command) => command.run(app).await,
            Command::Config(command) => command.run(app),
            Command::Keys(command) => command.run(app),
            Command::Replay(command) => command.run(app),
            Command::Stdio(command) => command.run(app).await,
            Command::Completions(command) => command.run(app),
            Command::Man(command) => command.run(app),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_noun_teaches_with_examples() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains("Examples:"), "{} has no examples", command.get_name());
        }
        let root = Cli::command();
        check(&root);
        root.get_subcommands().for_each(check);
    }

    #[test]
    fn every_verb_and_option_is_explained() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
