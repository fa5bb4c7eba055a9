//! Vigie's console: a terminal for the fleet, and every operation on an agent as a command.

mod app;
mod cli;
mod compare;
mod config;
mod demo;
mod exit;
mod export;
mod follow;
mod interrupt;
mod out;
mod pipeline;
mod prompt;
mod session;
pub mod tui;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use crate::app::App;
use crate::cli::{Cli, Global};
use crate::config::Config;
use crate::exit::{Exit, report};
use crate::interrupt::Interrupt;

/// How long what runs beside may take to end: the commands that reach agents are ended with it. A
/// thread that still waits for standard input would take for ever, and nobody needs it any more.
const ENDING: Duration = Duration::from_millis(200);

/// The program: parses the command line, carries it out, ends with its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap knows which go to standard output. That may be closed.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    listen(cli.global.verbose);
    let exit = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => {
            let done = match cli.command {
                None if out::is_interactive() => console(&cli.global, runtime.handle()),
                _ => runtime.block_on(run(cli)).map(|()| 0),
            };
            runtime.shutdown_timeout(ENDING);
            done
        }
        Err(error) => Err(error.into()),
    };
    let error = match exit {
        Ok(code) => return ExitCode::from(code),
        Err(error) => error,
    };
    let (exit, text) = report(&error);
    if let Some(text) = text {
        out::note(text);
    }
    exit.into()
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let app = App::new(cli.global, Interrupt::listen()?)?;
    match cli.command {
        Some(command) => command.run(&app).await,
        None => Ok(app.out.bytes(Cli::command().render_help().to_string().as_bytes())?),
    }
}

/// The terminal for the fleet. Returns the exit code.
fn console(global: &Global, runtime: &tokio::runtime::Handle) -> anyhow::Result<u8> {
    let path = global.config_path()?;
    let wanted = tui::Wanted {
        agent: global.agent.clone(),
        project: global.project.clone(),
        read_only: global.read_only,
    };
    tui::start(&Config::load(&path)?, wanted, runtime)
}

/// Lets the connection's own log be seen; nothing of it without `--verbose` or `VIGIE_LOG`.
fn listen(verbose: u8) {
    let level = match verbose {
        0 => "off",
        1 => "vigie_protocol=debug,vigie=debug,info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("VIGIE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
