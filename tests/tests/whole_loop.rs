//! Import → train → evaluate → promote → predict → log with the real binaries, and what must be
//! true of the result: also after a power cut, and in a restored backup.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vigie_tests::{Agent, AgentOptions, binary, data, run, subset};

#[tokio::test(flavor = "multi_thread")]
async fn from_pictures_to_answers_and_back_after_a_power_cut() -> Result<()> {
    let options = AgentOptions::default();
    let mut agent = Agent::start(&options).await?;
    let pictures = agent.state().join("shop.zip");
    subset(&data("samples/products.zip"), &pictures, 24)?;
    let source = pictures.to_str().context("path")?;
    let pipeline = ["pipeline", source, "-p", "shop", "--input", "64", "--epochs", "6"];

    let report = agent.vigie_json(&pipeline)?;
    ensure!(report["promoted"]["alias"]["model"] == 1, "{report}");
    ensure!(report["model"]["accuracy"]["value"].as_f64().context("accuracy")? > 0.3, "{report}");

    // Again: nothing is done twice, nothing is made twice.
    let again = agent.vigie_json(&pipeline)?;
    ensure!(again["reference"]["dataset"] == report["reference"]["dataset"], "{again}");
    ensure!(again["model"]["number"] == report["model"]["number"], "{again}");

    let picture = a_test_picture(&agent)?;
    let answer = agent.vigie_json(&["predict", &picture, "-p", "shop"])?;
    ensure!(answer["model"] == 1 && answer["top"].as_array().context("top")?.len() == 3, "{answer}");
    // Recording is off the hot path: a backup flushes it.
    let backup = agent.state().join("backup-1");
    let said = agent.vigie(&["backup", backup.to_str().context("path")?])?;
    ensure!(said.code == 0, "{said:?}");
    let logged = agent.vigie_json(&["predictions", "list", "-p", "shop"])?;
    ensure!(logged[0]["id"] == answer["id"] && logged[0]["picture_kept"] == true, "{logged}");

    let before = everything(&agent)?;
    agent.kill_and_restart(&options).await?;
    ensure!(everything(&agent)? == before, "the power cut changed what was acknowledged");
    let after = agent.vigie_json(&["predict", &picture, "-p", "shop"])?;
    ensure!(after["top"] == answer["top"], "the same model says the same: {after}");

    let audit = agent.vigie_json(&["audit", "verify"])?;
    ensure!(audit["broken_at"].is_null() && audit["lines"].as_u64() > Some(5), "{audit}");
    let findings = agent.vigie_json(&["doctor"])?;
    for finding in findings.as_array().context("findings")? {
        ensure!(finding["state"] != "down", "{finding}");
    }

    restored_backup_answers(&backup, &picture, &answer).await?;
    ensure!(agent.stop()? == Some(0), "a clean stop exits 0:\n{}", agent.log());
    Ok(())
}

/// A picture of the test split, fetched from the agent's blobs.
fn a_test_picture(agent: &Agent) -> Result<String> {
    let images = agent.vigie_json(&[
        "datasets",
        "images",
        "reference@v1",
        "-p",
        "shop",
        "--split",
        "test",
        "-n",
        "1",
    ])?;
    let hash = images[0]["image"].as_str().context("hash")?.to_owned();
    let path = agent.state().join("picture.png").display().to_string();
    let said = agent.vigie(&["blobs", "get", &hash, &path])?;
    ensure!(said.code == 0, "{said:?}");
    Ok(path)
}

/// All that a user could have seen acknowledged.
fn everything(agent: &Agent) -> Result<Vec<Value>> {
    [
        &["datasets", "list", "-p", "shop"][..],
        &["changesets", "list", "-p", "shop"],
        &["runs", "list", "-p", "shop"],
        &["models", "list", "-p", "shop"],
        &["models", "history", "-p", "shop"],
        &["predictions", "list", "-p", "shop"],
        &["jobs", "list"],
    ]
    .iter()
    .map(|arguments| agent.vigie_json(arguments))
    .collect()
}

async fn restored_backup_answers(backup: &std::path::Path, picture: &str, answer: &Value) -> Result<()> {
    let said = run(std::process::Command::new(binary("vigie-agent")?).args(["store", "check"]).arg(backup))?;
    ensure!(said.code == 0 && said.out.starts_with("whole: "), "{said:?}");
    let folder = tempfile::Builder::new().prefix("vigie-").tempdir_in("/tmp")?;
    let state = folder.path().join("state");
    let said = run(std::process::Command::new(binary("vigie-agent")?)
        .arg("restore")
        .arg(backup)
        .arg("--state")
        .arg(&state))?;
    ensure!(said.code == 0, "{said:?}");
    let restored = Agent::start_on(state, &AgentOptions::default()).await?;
    let same = restored.vigie_json(&["predict", picture, "-p", "shop"])?;
    ensure!(same["top"] == answer["top"], "{same}");
    Ok(())
}
