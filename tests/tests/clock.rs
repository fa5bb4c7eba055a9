//! A clock that is set while the agent runs: backwards by two days, forwards by more than a year.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use vigie_tests::{Agent, AgentOptions, data, repository, run, subset};

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_may_jump() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "+0d")?;
    let options = AgentOptions::default()
        .with("LD_PRELOAD", library()?.to_str().context("path")?)
        .with("FAKETIME_TIMESTAMP_FILE", clock.to_str().context("path")?)
        // Only the time of day jumps, as when an administrator sets it.
        .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .with("FAKETIME_NO_CACHE", "1");
    let mut agent = Agent::start(&options).await?;
    let pictures = agent.state().join("shop.zip");
    subset(&data("samples/products.zip"), &pictures, 8)?;
    let source = pictures.to_str().context("path")?;
    let picture = repository().join("core/tests/fixtures/nets/photo_cat.png");
    let picture = picture.to_str().context("path")?;

    let mut answered = Vec::new();
    for (seed, offset) in ["+0d", "-2d", "+400d", "+0d"].iter().enumerate() {
        std::fs::write(&clock, offset)?;
        // A whole training each time: jobs, leases, epochs and moves of the alias.
        let seed = seed.to_string();
        let pipeline = ["pipeline", source, "-p", "shop", "--input", "64", "--epochs", "2", "--seed", &seed];
        let report = agent.vigie_json(&pipeline).with_context(|| format!("at {offset}"))?;
        ensure!(report["model"]["number"] == answered.len() + 1, "at {offset}: {report}");
        let answer = agent.vigie_json(&["predict", picture, "-p", "shop"])?;
        answered.push(answer["id"].as_str().context("id")?.to_owned());
    }
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    let said = agent.store_check()?;
    ensure!(said.code == 0, "{said:?}");

    agent.kill_and_restart(&AgentOptions::default()).await?;
    for id in answered {
        agent.vigie_json(&["predictions", "show", &id, "-p", "shop"])?;
    }
    let events = agent.vigie_json(&["events", "list", "-n", "0"])?;
    let numbers: Vec<u64> =
        events.as_array().context("events")?.iter().filter_map(|event| event["seq"].as_u64()).collect();
    ensure!(numbers.len() > 10 && numbers.windows(2).all(|pair| pair[0] == pair[1] + 1), "{numbers:?}");
    Ok(())
}

/// Debian's libfaketime, which `tests/run` installs.
fn library() -> Result<PathBuf> {
    let said = run(std::process::Command::new("dpkg").args(["-L", "libfaketime"]))?;
    let path = said.out.lines().find(|line| line.ends_with("/libfaketimeMT.so.1"));
    Ok(PathBuf::from(path.context("install the package libfaketime")?))
}
