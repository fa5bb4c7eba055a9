//! `vigie stdio`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use vigie_protocol::wire::{stdio::relay, target::Target};

use crate::app::App;
use crate::exit::{Exit, Failure};
use crate::session;

const EXAMPLES: &str = "\
Examples:
  ssh lab vigie stdio                        what --agent ssh://lab runs
  vigie stdio --socket /run/vigie/agent.sock
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Stdio {
    /// The agent's socket; the usual place on this machine when absent
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Stdio {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let socket = match (self.socket, session::target(None)?) {
            (Some(socket), _) | (None, Target::Unix(socket)) => socket,
            (None, Target::Ssh(_) | Target::Exec(_)) => {
                return Err(
                    Failure::usage("stdio relays to an agent on this machine; name its --socket").into()
                );
            }
        };
        let shown = socket.display();
        app.interrupt.or(relay(&socket)).await?.with_context(|| format!("cannot relay to {shown}")).map_err(
            |error| {
                Failure::new(Exit::Unreachable, format!("{error:#}"))
                    .hint("is vigie-agent running on this machine, and may you open its socket?")
                    .into()
            },
        )
    }
}
