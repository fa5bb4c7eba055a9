//! The simulated fleet for the eye: agents on sockets, and a configuration with which the console finds
//! them. Time passes as outside.
//!
//! ```sh
//! cargo run -p vigie-tests --example fleet -- /tmp/fleet 16 &
//! vigie --config /tmp/fleet/console.toml
//! ```

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use vigie_protocol::Time;
use vigie_protocol::wire::unix::Listener;
use vigie_tests::fleet::{Fleet, FleetOptions};

const USAGE: &str = "usage: fleet FOLDER [AGENTS]";
const SECOND: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context(USAGE)?;
    let agents = arguments.next().map_or(Ok(16), |agents| agents.parse()).context(USAGE)?;
    let options =
        FleetOptions { agents, predictions: 200_000, begins: Time::now(), ..FleetOptions::default() };
    let fleet = Fleet::new(&options);
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let mut config = String::new();
    for agent in fleet.agents() {
        let socket = folder.join(format!("{}.sock", agent.name()));
        writeln!(config, "[contexts.{}]\ntarget = \"unix:{}\"\n", agent.name(), socket.display())?;
        let (agent, listener) = (agent.clone(), Listener::bind(&socket).await?);
        tokio::spawn(async move { agent.listen(&listener).await });
    }
    let path = folder.join("console.toml");
    std::fs::write(&path, config)?;
    writeln!(std::io::stdout(), "vigie --config {}", path.display())?;
    let mut seconds = tokio::time::interval(SECOND);
    loop {
        seconds.tick().await;
        fleet.tick(SECOND);
    }
}
