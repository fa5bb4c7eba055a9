//! What an agent does by itself, on the real binaries and real pictures: schedules that outlive kills,
//! and the rules by which data enters reference.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vigie_core::fail_point::FailPoint;
use vigie_tests::{Agent, AgentOptions, Pick, data, pick};

/// An archive of bundled products: of each class these, by their order.
fn pictures(agent: &Agent, name: &str, wanted: &[(&str, std::ops::Range<usize>)]) -> Result<String> {
    let picks: Vec<Pick<'_>> =
        wanted.iter().map(|(class, range)| Pick { class, of: class, range: range.clone() }).collect();
    let path = agent.state().join(name);
    pick(&data("samples/products.zip"), &path, &picks)?;
    Ok(path.to_str().context("path")?.to_owned())
}

/// Waits until reference has `number` versions.
async fn reference(agent: &Agent, number: u64) -> Result<Value> {
    agent
        .when(async || {
            let versions = agent.vigie_json(&["datasets", "list", "-p", "shop", "--lineage", "reference"])?;
            let newest = versions[0].clone();
            Ok((newest["dataset"]["number"] == number).then_some(newest))
        })
        .await
}

/// The texts of a project's events, oldest first.
fn events(agent: &Agent) -> Result<Vec<String>> {
    let events = agent.vigie_json(&["events", "list", "-n", "0", "-p", "shop"])?;
    let texts = events.as_array().context("events")?.iter().rev();
    Ok(texts.filter_map(|event| Some(event["text"].as_str()?.to_owned())).collect())
}

/// Waits until it was told that the data changed, for the `count`th time.
async fn data_changed(agent: &Agent, count: usize) -> Result<()> {
    agent
        .when(async || {
            let told = events(agent)?.iter().filter(|text| text.starts_with("data changed")).count();
            ensure!(told <= count, "told {told} times");
            Ok((told == count).then_some(()))
        })
        .await
}

fn jobs(agent: &Agent, kind: &str) -> Result<Vec<Value>> {
    let jobs = agent.vigie_json(&["jobs", "list", "-n", "0"])?;
    Ok(jobs.as_array().context("jobs")?.iter().filter(|job| job["spec"]["kind"] == kind).cloned().collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn production_grows_reference_follows_and_a_class_waits_its_turn() -> Result<()> {
    let options = AgentOptions::default();
    let mut agent = Agent::start(&options).await?;
    let first = pictures(&agent, "first.zip", &[("shirt", 0..12), ("ankle_boot", 0..8)])?;
    let second = pictures(&agent, "second.zip", &[("shirt", 12..14), ("bag", 0..3)])?;
    let third = pictures(&agent, "third.zip", &[("bag", 3..9)])?;
    agent.vigie_json(&["projects", "create", "shop"])?;
    agent.vigie_json(&["datasets", "import", &first, "-p", "shop"])?;
    agent.vigie_json(&["datasets", "update", "source@v1", "reference", "-p", "shop"])?;
    agent.vigie_json(&["projects", "set", "shop", "--updates", "accept"])?;

    // Two new shirts are 10 % of reference; three bags are fewer than the eight boots.
    agent.vigie_json(&["datasets", "import", &second, "--lineage", "production", "-p", "shop"])?;
    let grown = reference(&agent, 2).await?;
    ensure!(grown["classes"]["shirt"].is_object() && grown["classes"]["bag"].is_null(), "{grown}");
    data_changed(&agent, 1).await?;
    let waiting = agent.vigie_json(&["classes", "waiting", "-p", "shop"])?;
    ensure!(waiting["waiting"][0]["class"] == "bag" && waiting["waiting"][0]["has"] == 3, "{waiting}");
    ensure!(waiting["needs"] == 8 && waiting["entering"] == 0, "{waiting}");
    let tried = agent.vigie_json(&["classes", "waiting", "-p", "shop", "--threshold", "3"])?;
    ensure!(tried["sentence"] == "at threshold 3, 1 of 1 class would enter: bag", "{tried}");
    let sets = agent.vigie_json(&["changesets", "list", "-p", "shop"])?;
    let origin = "update from production@v1; left waiting: bag";
    ensure!(sets.as_array().context("sets")?.iter().any(|set| set["origin"] == origin), "{sets}");

    // Killed while nothing goes on: what was done is not done again.
    let proposed = jobs(&agent, "propose")?.len();
    agent.kill_and_restart(&options).await?;
    agent.vigie_json(&["datasets", "import", &third, "--lineage", "production", "-p", "shop"])?;
    let complete = reference(&agent, 3).await?;
    ensure!(complete["classes"]["bag"].is_object(), "{complete}");
    data_changed(&agent, 2).await?;
    ensure!(jobs(&agent, "propose")?.len() == proposed + 1 && jobs(&agent, "preprocess")?.len() == 2);
    let explained = agent.vigie_json(&["rules", "-p", "shop"])?;
    ensure!(explained["policy"] == "accept" && explained["classes"]["total"] == 0, "{explained}");
    ensure!(explained["updates"][1]["new"] == 0, "{explained}");
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    let said = agent.store_check()?;
    ensure!(said.code == 0, "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_killed_at_each_step_and_fires_once() -> Result<()> {
    for point in [FailPoint::FiringLaid, FailPoint::FiringActed] {
        let mut agent =
            Agent::start(&AgentOptions::default().with("VIGIE_FAIL_POINT", &point.name())).await?;
        let add = ["schedules", "add", "tidy", "--every", "1d", "--gc"];
        agent.vigie_json(&add)?;
        let asked = agent.vigie_while_alive(&["schedules", "run", "tidy"]).await?;
        ensure!(asked.is_none() || agent.has_ended()?, "{point}: it never came there");
        agent.kill()?;
        let said = agent.store_check()?;
        ensure!(said.code == 0, "{point}: {said:?}");

        agent.kill_and_restart(&AgentOptions::default()).await?;
        let history = agent
            .when(async || {
                let history = agent.vigie_json(&["schedules", "history", "tidy"])?;
                Ok((history[0]["state"] != "begun").then_some(history))
            })
            .await?;
        let collections = jobs(&agent, "gc")?;
        ensure!(history.as_array().is_some_and(|firings| firings.len() == 1), "{point}: {history}");
        ensure!(
            history[0]["state"] == "submitted" && collections.len() == 1,
            "{point}: {history} {collections:?}"
        );
        ensure!(history[0]["jobs"][0]["job"] == collections[0]["id"], "{point}: {history}");
        // Its own times are what they were, and the next one asked for is another firing.
        agent.vigie_json(&["schedules", "run", "tidy"])?;
        ensure!(jobs(&agent, "gc")?.len() == 2, "{point}");
        let next = agent.vigie_json(&["schedules", "next", "tidy"])?;
        ensure!(next.as_array().is_some_and(|next| next.len() == 5), "{point}: {next}");
        agent.vigie_json(&["schedules", "pause", "tidy", "--reason", "a test"])?;
        let listed = agent.vigie_json(&["schedules", "list"])?;
        ensure!(
            listed[0]["schedule"]["paused"]["reason"] == "a test"
                && listed[0]["next"] == Value::Array(vec![])
        );
        ensure!(agent.stop()? == Some(0), "{}", agent.log());
        ensure!(agent.store_check()?.code == 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_are_killed_after_they_submitted_and_do_not_submit_again() -> Result<()> {
    let armed = AgentOptions::default().with("VIGIE_FAIL_POINT", &FailPoint::RulesSubmitted.name());
    let mut agent = Agent::start(&armed).await?;
    let first = pictures(&agent, "first.zip", &[("shirt", 0..6), ("ankle_boot", 0..6)])?;
    agent.vigie_json(&["projects", "create", "shop", "--updates", "accept"])?;
    agent.vigie_while_alive(&["datasets", "import", &first, "-p", "shop"]).await?;
    // The import may have been told before its version was looked at.
    while !agent.has_ended()? {
        agent.vigie_while_alive(&["events", "list", "--follow"]).await?;
    }
    agent.kill()?;
    ensure!(agent.store_check()?.code == 0);
    agent.kill_and_restart(&AgentOptions::default()).await?;
    reference(&agent, 1).await?;
    data_changed(&agent, 1).await?;
    ensure!(jobs(&agent, "propose")?.len() == 1 && jobs(&agent, "preprocess")?.len() == 1);
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    Ok(())
}
