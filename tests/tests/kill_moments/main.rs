//! The agent is killed at moments that are drawn, with everything under way that it does: moves of the
//! alias, predictions, feedback, imports, a training, backups. Each time `vigie-agent store check` finds
//! the state whole, all that was acknowledged is there, and what was interrupted comes to its end.

mod load;
mod proof;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use vigie_protocol::ProjectName;
use vigie_tests::{Agent, AgentOptions, data, subset};

use self::load::{Kind, Load};
use self::proof::Proof;

/// The latest moment of a kill, after everything has begun: some moves, imports and epochs later.
const LATEST: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_under_load() -> Result<()> {
    let soak = std::env::var_os("VIGIE_SOAK").is_some();
    let times = if soak { 50 } else { 4 };
    let options = AgentOptions::default();
    let mut agent = Agent::start(&options).await?;
    two_models(&agent)?;
    let project: ProjectName = "shop".parse()?;
    let mut proof = Proof::new(&agent, &project).await?;
    let mut caught: HashMap<Kind, usize> = HashMap::new();
    for round in 0..times {
        let mut load = Load::start(&agent, &project, round)?;
        load.everything_is_under_way().await.with_context(|| format!("round {round}"))?;
        let wait = drawn(LATEST)?;
        // The clients go on in tasks of their own: whatever they are at, now it ends.
        load.goes_on_for(wait).await.with_context(|| format!("round {round}"))?;
        let killed = Instant::now();
        agent.kill()?;
        for kind in load.under_way() {
            *caught.entry(kind).or_default() += 1;
        }
        let done = load.stop().await;

        let when = || format!("round {round}, killed {wait:?} after everything had begun: {done}");
        agent.is_whole().with_context(when)?;
        agent.kill_and_restart(&options).await.with_context(when)?;
        proof.holds(&agent, &done, killed).await.with_context(when)?;
    }
    // A few kills may all miss an import.
    for kind in Kind::ALL.into_iter().filter(|_| soak) {
        ensure!(caught.contains_key(&kind), "no kill came in the middle of {kind:?}: {caught:?}");
    }
    ensure!(proof.before_the_window > 0, "no prediction was answered long before a kill");
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    agent.is_whole()
}

/// One model in production and one beside it, so that the alias can move.
fn two_models(agent: &Agent) -> Result<()> {
    let pictures = agent.state().join("shop.zip");
    subset(&data("samples/products.zip"), &pictures, 8)?;
    let source = pictures.to_str().context("path")?;
    let pipeline = ["pipeline", source, "-p", "shop", "--input", "64", "--epochs", "2"];
    agent.vigie_json(&pipeline)?;
    agent.vigie_json(&[&pipeline[..], &["--seed", "2", "--no-promote"]].concat())?;
    Ok(())
}

/// A duration up to `latest`, drawn by the system.
fn drawn(latest: Duration) -> Result<Duration> {
    let mut bytes = [0; 2];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(latest.mul_f64(f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX)))
}
