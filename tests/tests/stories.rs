//! From one end to the other: what happens to data without anybody's hand, and who waits for whom.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vigie_protocol::job::{Job, Wait};
use vigie_tests::kaggle::{FakeKaggle, Fault, TOKEN};
use vigie_tests::{Agent, AgentOptions, data, products};

async fn agent_beside(kaggle: &FakeKaggle) -> Result<Agent> {
    let options = AgentOptions::default()
        .with("VIGIE_SOURCES_ENABLED", "true")
        .with("VIGIE_SOURCES_ALLOW_PRIVATE", "true")
        .with("VIGIE_SOURCES_KAGGLE_URL", &kaggle.url())
        .with("VIGIE_SOURCES_DISK_RESERVE_MIB", "0")
        .with("KAGGLE_API_TOKEN", TOKEN)
        .with("HOME", "/nonexistent");
    let agent = Agent::start(&options).await?;
    agent.vigie_json(&["projects", "create", "shop"])?;
    Ok(agent)
}

/// Asks about project `shop`.
fn shop(agent: &Agent, line: &str) -> Result<Value> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.extend(["-p", "shop"]);
    agent.vigie_json(&words)
}

/// The newest version of reference, once it is this one.
async fn reference(agent: &Agent, number: u64) -> Result<Value> {
    agent
        .when(async || {
            let versions = shop(agent, "datasets list --lineage reference")?;
            let newest = versions[0].clone();
            Ok((newest["dataset"]["number"] == number).then_some(newest))
        })
        .await
}

/// The images of a version, all classes and splits together.
fn images(version: &Value) -> u64 {
    let classes = version["classes"].as_object().into_iter().flatten();
    classes.flat_map(|(_, splits)| splits.as_object()).flatten().filter_map(|(_, count)| count.as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_of_a_source_reaches_reference_by_itself() -> Result<()> {
    let kaggle = FakeKaggle::start().await?;
    let mut agent = agent_beside(&kaggle).await?;
    shop(&agent, "sources add feed --kaggle alice/shop --accept-under 60% --preprocess")?;
    agent.vigie_json(&["projects", "set", "shop", "--updates", "accept"])?;
    let nightly =
        ["schedules", "add", "nightly", "-p", "shop", "--check-source", "feed", "--cron", "0 3 * * *"];
    agent.vigie_json(&nightly)?;
    kaggle.publish("alice/shop", 1, products(8)?);
    shop(&agent, "sources check feed")?;
    let first = reference(&agent, 1).await?;

    kaggle.publish("alice/shop", 2, products(10)?);
    shop(&agent, "schedules run nightly")?;
    let second = reference(&agent, 2).await?;
    for (version, expected) in [(&first, 80), (&second, 100)] {
        ensure!(images(version) == expected && version["by"] == "rules", "{version}");
    }
    let changes = shop(&agent, "datasets diff reference@v1 reference@v2")?;
    ensure!(changes.to_string().contains("added"), "{changes}");
    // Preprocessed, and told.
    agent
        .when(async || {
            let events = shop(&agent, "events list -n 0")?;
            let told = events.as_array().context("events")?.iter();
            let texts = told.filter_map(|event| event["text"].as_str());
            Ok(texts.into_iter().any(|text| text.starts_with("data changed")).then_some(()))
        })
        .await?;
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    let checked = agent.store_check()?;
    ensure!(checked.code == 0, "{checked:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jobs_on_one_lineage_wait_and_all_see_who_holds_it() -> Result<()> {
    let kaggle = FakeKaggle::start().await?;
    let agent = agent_beside(&kaggle).await?;
    kaggle.put("/files/slow.zip", products(4)?);
    kaggle.script("/files/slow.zip", [Fault::Stall(1_000)]);
    let submit = |source: &[&str], lineage: &str| -> Result<Job> {
        let rest = ["-p", "shop", "--lineage", lineage, "--no-wait"];
        Ok(serde_json::from_value(agent.vigie_json(&[&["datasets", "import"], source, &rest].concat())?)?)
    };
    let products = data("samples/products.zip").display().to_string();
    let holder = submit(&["--url", &kaggle.file_url("/files/slow.zip")], "source")?;
    agent.job_when(holder.id, |job| job.started.is_some()).await?;
    let waiting = submit(&[&products], "source")?;
    let lease = Wait::Lease { resource: "lineage:shop/source".to_owned(), holder: holder.id };
    agent.job_when(waiting.id, |job| job.waits_for == [lease.clone()]).await?;
    // Another line is free.
    agent.job_succeeds(submit(&[&products], "production")?.id).await?;

    let said = agent.vigie(&["jobs", "list"])?;
    ensure!(
        said.out.contains(&format!("waits for lineage:shop/source, held by job {}", holder.id)),
        "{said:?}"
    );
    let leases = agent.vigie_json(&["jobs", "leases"])?;
    let held = |lease: &Value| {
        lease["resource"] == "lineage:shop/source" && lease["holder"] == holder.id.to_string()
    };
    ensure!(leases.as_array().context("leases")?.iter().any(held), "{leases}");

    agent.vigie_json(&["jobs", "cancel", &holder.id.to_string()])?;
    agent.job_succeeds(waiting.id).await?;
    let versions = shop(&agent, "datasets list --lineage source")?;
    ensure!(versions.as_array().context("versions")?.len() == 1, "{versions}");
    Ok(())
}
