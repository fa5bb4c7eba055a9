//! `vigie-agent`: the daemon's command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use vigie_agent::config::Config;
use vigie_agent::{offline, run, worker};
use vigie_core::store::check::Depth;

/// Vigie's daemon: holds datasets, trains, evaluates and serves image classifiers on this machine
#[derive(Debug, Parser)]
#[command(name = "vigie-agent", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  vigie-agent run                                  state in ~/.local/state/vigie
  vigie-agent run --config /etc/vigie/agent.toml   as the systemd unit does
  vigie-agent config check /etc/vigie/agent.toml   before a restart
  vigie-agent backup /backups/vigie-monday         while the agent runs
  vigie-agent restore /backups/vigie-monday --state /var/lib/vigie
  vigie-agent store check --state /var/lib/vigie   after a crash, or before a restore

Signals: TERM and INT drain (jobs are taken up at the next start), a second one does not wait.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until a signal
    Run(Options),
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Make a consistent copy of the state while the agent runs
    Backup {
        /// A path that does not exist yet
        target: PathBuf,
        #[command(flatten)]
        options: Options,
    },
    /// Make a state directory from a backup; the agent must not run on it
    Restore {
        /// A backup
        backup: PathBuf,
        #[command(flatten)]
        options: Options,
    },
    /// Look at a state directory without an agent
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Carry out one job (started by the agent itself)
    #[command(hide = true)]
    Worker,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether a file is valid, with line and column
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print what the agent would use: defaults, file and environment together
    Show(Options),
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Check that a state, or a backup, holds what it must; changes nothing
    ///
    /// Exit code 0: whole. 2: something is broken, and the findings say what. 1: it cannot be checked.
    Check {
        /// A backup to look at in place of the state directory
        backup: Option<PathBuf>,
        /// Leave out the bytes of pictures and weights: seconds where it would take minutes
        #[arg(long)]
        rows_only: bool,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
}

/// Options that go over file and environment.
#[derive(Debug, Args)]
struct Options {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "VIGIE_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// State directory
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Unix socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Options {
    fn load(self) -> anyhow::Result<Config> {
        let Self { config, state, socket } = self;
        // A flag is the strongest word: it stands for the variable of the same key.
        let flag = |path: Option<PathBuf>, name: &str| -> anyhow::Result<Option<String>> {
            path.map(|path| {
                std::path::absolute(&path)?.into_os_string().into_string().ok().context("bad path")
            })
            .transpose()
            .with_context(|| format!("the path given for {name} cannot be used"))
        };
        let (state, socket) = (flag(state, "--state")?, flag(socket, "--socket")?);
        let environment = |name: &str| match name {
            "VIGIE_AGENT_STATE" if state.is_some() => state.clone(),
            "VIGIE_AGENT_SOCKET" if socket.is_some() => socket.clone(),
            name => std::env::var(name).ok(),
        };
        Ok(Config::load(config.as_deref(), &environment)?)
    }
}

fn main() -> ExitCode {
    match carry_out(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Worker => return Ok(worker::main()),
        Command::Run(options) => run::run(options.load()?)?,
        Command::Config { command: ConfigCommand::Check { file } } => {
            Config::load(Some(&file), &|name| std::env::var(name).ok())?;
            eprintln!("{} is valid", file.display());
        }
        Command::Config { command: ConfigCommand::Show(options) } => {
            offline::print(&toml::to_string_pretty(&options.load()?)?)?;
        }
        Command::Backup { target, options } => offline::backup(&options.load()?, &target)?,
        Command::Store { command: StoreCommand::Check { backup, rows_only, json, options } } => {
            let dir = match backup {
                Some(backup) => backup,
                None => options.load()?.agent.state,
            };
            let depth = if rows_only { Depth::Rows } else { Depth::Bytes };
            let whole = offline::check(&dir, depth, json)?;
            return Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(2) });
        }
        Command::Restore { backup, options } => offline::restore(&options.load()?, &backup)?,
    }
    Ok(ExitCode::SUCCESS)
}
