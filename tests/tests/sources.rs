//! Sources, from the real agent to a Kaggle and a storage that do what real ones do.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use vigie_protocol::job::{Job, JobState};
use vigie_tests::kaggle::{Denial, FakeKaggle, Fault, Seen, Side, TOKEN};
use vigie_tests::{Agent, AgentOptions, data, products};

/// An agent that may fetch, and is impatient.
fn options(kaggle: &FakeKaggle) -> AgentOptions {
    AgentOptions::default()
        .with("VIGIE_SOURCES_ENABLED", "true")
        .with("VIGIE_SOURCES_ALLOW_PRIVATE", "true")
        .with("VIGIE_SOURCES_KAGGLE_URL", &kaggle.url())
        .with("VIGIE_SOURCES_ATTEMPTS", "4")
        .with("VIGIE_SOURCES_MAX_PAUSE_S", "1")
        .with("VIGIE_SOURCES_STALL_S", "1")
        .with("VIGIE_SOURCES_DISK_RESERVE_MIB", "0")
        .with("KAGGLE_API_TOKEN", TOKEN)
        .with("HOME", "/nonexistent")
}

async fn start(options: &AgentOptions) -> Result<Agent> {
    let agent = Agent::start(options).await?;
    agent.vigie_json(&["projects", "create", "shop"])?;
    Ok(agent)
}

/// The job of a command that was not waited for, once it has ended.
async fn ends(agent: &Agent, arguments: &[&str]) -> Result<Job> {
    let mut arguments = arguments.to_vec();
    arguments.push("--no-wait");
    let job: Job = serde_json::from_value(agent.vigie_json(&arguments)?)?;
    agent.job_end(job.id).await
}

/// Whether the storage ever heard a credential.
fn never_told(seen: &[Seen]) -> Result<()> {
    let told = seen.iter().find(|seen| seen.side == Side::Storage && seen.header("authorization").is_some());
    ensure!(told.is_none(), "the storage was told a secret: {told:?}");
    Ok(())
}

/// Nothing that people see holds what only servers may.
async fn nothing_shows(agent: &Agent, job: &Job, secrets: &[&str]) -> Result<()> {
    let log = agent.vigie(&["jobs", "log", &job.id.to_string()])?;
    let events = agent.vigie(&["events", "list", "-n", "0"])?;
    let shown = format!("{job:?}{log:?}{events:?}{}", agent.log());
    for secret in secrets {
        ensure!(!shown.contains(secret), "{secret} is shown: {shown}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_comes_through_whatever_the_server_does() -> Result<()> {
    let kaggle = FakeKaggle::start().await?;
    let agent = start(&options(&kaggle)).await?;
    let zip = products(20)?;
    let other = products(19)?;
    let cut = zip.len() / 2;
    let to_itself = kaggle.file_url("/files/birds.zip");
    use Fault::*;
    // What goes wrong with one request after the other; how many there are; where the last begins, as
    // far as it does not begin at the start; what the failure says, if it is one.
    type Case<'a> = (&'a str, Vec<Fault>, usize, bool, Option<&'a str>);
    let cases: Vec<Case<'_>> = vec![
        ("nothing", vec![], 1, false, None),
        ("cut off", vec![Truncate(cut)], 2, true, None),
        ("cut off at once", vec![Truncate(0)], 2, false, None),
        ("stalls", vec![Stall(cut)], 2, true, None),
        ("stalls without a byte", vec![Stall(0)], 2, false, None),
        ("fails", vec![Status(503), Hangup, Garbage], 4, false, None),
        ("fails for good", vec![Status(500); 4], 4, false, Some("answers 500")),
        ("gets further each time", vec![Truncate(cut / 5); 5], 6, true, None),
        ("has no time", vec![Busy(0), Busy(3_600)], 3, false, None),
        ("cannot go on", vec![Truncate(cut), IgnoreRange], 2, true, None),
        ("goes on elsewhere", vec![Truncate(cut), WrongRange], 3, false, None),
        ("changes", vec![Truncate(cut), Replace(other.clone())], 2, true, None),
        ("is a page", vec![Page], 1, false, Some("sends no zip file (text/html)")),
        ("is gone", vec![Status(404)], 1, false, Some("is not there")),
        ("is forbidden", vec![Status(403)], 1, false, Some("is refused to us: as the script says")),
        ("redirects", vec![Redirect(to_itself.clone())], 2, false, None),
        ("redirects for ever", vec![Redirect(to_itself.clone()); 9], 6, false, Some("more than 5 times")),
        ("redirects to a file", vec![Redirect("file:///etc/passwd".into())], 1, false, Some("neither http")),
    ];
    for (number, (what, faults, requests, resumes, failure)) in cases.into_iter().enumerate() {
        let path = format!("/files/{number}.zip");
        kaggle.put(&path, zip.clone());
        kaggle.put("/files/birds.zip", zip.clone());
        kaggle.script(&path, faults);
        if what == "redirects for ever" {
            kaggle.script("/files/birds.zip", vec![Redirect(to_itself.clone()); 9]);
        }
        let url = format!("{}?sig=SECRET-QUERY", kaggle.file_url(&path));
        let job = ends(&agent, &["datasets", "import", "--url", &url, "--review", "-p", "shop"]).await?;
        let seen = kaggle.take_seen();
        let told = || format!("{what}: {job:?}\n{seen:#?}");
        match (failure, &job.failure) {
            (None, _) => ensure!(job.state == JobState::Succeeded, "{}", told()),
            (Some(text), Some(failure)) => ensure!(failure.message.contains(text), "{}", told()),
            (Some(_), None) => anyhow::bail!("{}", told()),
        }
        ensure!(seen.len() == requests, "{}", told());
        let range = seen.last().and_then(|last| last.header("range").map(str::to_owned));
        let conditional = seen.last().is_some_and(|last| last.header("if-range").is_some());
        ensure!(range.is_some() == resumes && conditional == resumes, "{}", told());
        nothing_shows(&agent, &job, &["SECRET-QUERY"]).await?;
        if job.state == JobState::Succeeded {
            let left = || anyhow::Ok(fs::read_dir(agent.state().join("downloads"))?.count());
            agent.when(async || Ok((left()? == 0).then_some(()))).await.with_context(told)?;
        } else {
            fs::remove_dir_all(agent.state().join("downloads"))?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_fetched_is_not() -> Result<()> {
    let kaggle = FakeKaggle::start().await?;
    let zip = products(2)?;
    kaggle.put("/files/birds.zip", zip.clone());
    let url = kaggle.file_url("/files/birds.zip");
    let import = ["datasets", "import", "--review", "-p", "shop", "--url"];
    let with = |url| [&import[..], &[url]].concat();

    // As shipped, no outbound connection at all.
    let closed = start(&AgentOptions::default()).await?;
    for arguments in [with(&url), vec!["sources", "add", "shop", "--kaggle", "a/b", "-p", "shop"]] {
        let said = closed.vigie(&arguments)?;
        ensure!(said.code != 0 && said.err.contains("[sources]"), "{said:?}");
    }
    // Allowed to fetch, but not from here.
    let guarded = start(&options(&kaggle).with("VIGIE_SOURCES_ALLOW_PRIVATE", "false")).await?;
    let job = ends(&guarded, &with(&url)).await?;
    ensure!(job.failure.as_ref().is_some_and(|f| f.message.contains("private network")), "{job:?}");
    ensure!(kaggle.take_seen().is_empty(), "somebody knocked");

    let agent = start(&options(&kaggle).with("VIGIE_SOURCES_DISK_RESERVE_MIB", "1048576")).await?;
    let job = ends(&agent, &with(&url)).await?;
    ensure!(job.failure.as_ref().is_some_and(|f| f.message.contains("the disk is full")), "{job:?}");

    let agent = start(&options(&kaggle)).await?;
    let wrong = format!("sha256:{}", "0".repeat(64));
    let job = ends(&agent, &[&with(&url)[..], &["--checksum", &wrong]].concat()).await?;
    ensure!(job.failure.as_ref().is_some_and(|f| f.message.contains("not to sha256:000")), "{job:?}");
    let right = format!("blake3:{}", vigie_protocol::Hash::of(&zip));
    let job = ends(&agent, &[&with(&url)[..], &["--checksum", &right]].concat()).await?;
    ensure!(job.state == JobState::Succeeded, "{job:?}");

    // A user and password are for their host alone, whoever it sends us to.
    kaggle.take_seen();
    kaggle.script("/private.zip", [Fault::Redirect(url.clone())]);
    let private = format!("{}/private.zip?sig=SECRET-QUERY", kaggle.url().replace("//", "//al:SECRET-WORD@"));
    let job = ends(&agent, &with(&private)).await?;
    ensure!(job.state == JobState::Succeeded, "{job:?}\n{}", agent.log());
    let seen = kaggle.take_seen();
    ensure!(seen.iter().map(|seen| seen.side).eq([Side::Api, Side::Storage]), "{seen:?}");
    ensure!(seen[0].header("authorization") == Some("Basic YWw6U0VDUkVULVdPUkQ="), "{seen:?}");
    never_told(&seen)?;
    nothing_shows(&agent, &job, &["SECRET-WORD", "SECRET-QUERY", "YWw6U0VDUkVU"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_download_goes_on_where_it_was() -> Result<()> {
    let kaggle = FakeKaggle::start().await?;
    // It stalls for good: only the kill ends it.
    let options = options(&kaggle).with("VIGIE_SOURCES_STALL_S", "600");
    let mut agent = start(&options).await?;
    kaggle.publish("alice/shop", 3, fs::read(data("samples/products.zip"))?);
    kaggle.script(&kaggle.path_of("alice/shop", 3), [Fault::Stall(800_000)]);
    let import = ["datasets", "import", "--kaggle", "alice/shop", "-p", "shop", "--no-wait"];
    let job: Job = serde_json::from_value(agent.vigie_json(&import)?)?;
    let under_way = agent.job_when(job.id, |job| job.progress.done >= 256 << 10).await?;
    ensure!(under_way.progress.stage == "downloading" && under_way.progress.unit == "bytes", "{under_way:?}");
    kaggle.take_seen();

    agent.kill_and_restart(&options).await?;
    let job = agent.job_succeeds(job.id).await?;
    ensure!(job.attempts == 2, "{job:?}");
    let seen = kaggle.take_seen();
    let from = seen.iter().find(|seen| seen.side == Side::Storage).and_then(|seen| seen.header("range"));
    let from: u64 = from
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
        .with_context(|| format!("it began anew: {seen:#?}"))?;
    ensure!((256 << 10..=800_000).contains(&from), "{from}");
    never_told(&seen)?;
    nothing_shows(&agent, &job, &[TOKEN, "SECRET-SIGNATURE"]).await
}

/// A command of `vigie sources` on the project, with JSON output.
fn sources(agent: &Agent, arguments: &[&str]) -> Result<Value> {
    agent.vigie_json(&[&["sources"][..], arguments, &["-p", "shop"]].concat())
}

/// Checks the source, and waits until its import is part of the line or waits for a person.
fn check(agent: &Agent) -> Result<Value> {
    Ok(sources(agent, &["check", "birds"])?["source"].take())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_failed_is_tried_again() -> Result<()> {
    let kaggle = FakeKaggle::start().await?;
    let agent = start(&options(&kaggle)).await?;
    kaggle.publish("ada/birds", 1, products(4)?);
    kaggle.script(&kaggle.path_of("ada/birds", 1), vec![Fault::Status(500); 8]);
    sources(&agent, &["add", "birds", "--kaggle", "ada/birds", "--accept-under", "5%"])?;
    for (failures, outlook) in [(1, "failed once; the next"), (2, "failed twice; its schedule lets one")] {
        let said = agent.vigie(&["sources", "check", "birds", "-p", "shop"])?;
        ensure!(said.code != 0, "{said:?}");
        let counted = agent.when(async || {
            let source = sources(&agent, &["show", "birds"])?;
            Ok((source["pending"]["failures"] == failures).then_some(source))
        });
        let source = counted.await?;
        ensure!(source["detail"].as_str().is_some_and(|detail| detail.contains(outlook)), "{source}");
        let shown = agent.vigie(&["sources", "show", "birds", "-p", "shop"])?;
        ensure!(shown.out.contains(outlook), "{shown:?}");
    }
    let source = check(&agent)?;
    ensure!(source["imported"]["revision"]["number"] == 1 && source["pending"].is_null(), "{source}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kaggle_source_is_followed() -> Result<()> {
    let kaggle = FakeKaggle::start().await?;
    let agent = start(&options(&kaggle)).await?;
    kaggle.publish("alice/shop", 1, products(8)?);
    sources(&agent, &["add", "birds", "--kaggle", "alice/shop", "--accept-under", "20%", "--preprocess"])?;

    // The first version of an empty line, then one that touches an eighth of it.
    for (version, per_class) in [(1, 8), (2, 9)] {
        kaggle.publish("alice/shop", version, products(per_class)?);
        let source = check(&agent)?;
        let imported = &source["imported"];
        ensure!(imported["revision"] == json!({"kind": "version", "number": version}), "{source}");
        ensure!(imported["dataset"] == json!({"lineage": "source", "number": version}), "{source}");
        ensure!(source["pending"].is_null() && source["state"] == "ok", "{source}");
    }
    let seen = kaggle.take_seen();
    never_told(&seen)?;
    let authorized = |seen: &Seen| seen.header("authorization") == Some(&format!("Bearer {TOKEN}"));
    ensure!(seen.iter().filter(|seen| seen.side == Side::Api).all(authorized), "{seen:#?}");
    let source = check(&agent)?;
    ensure!(source["detail"] == "version 2, which was imported", "{source}");
    let kinds = |kind: &'static str| {
        let jobs = agent.vigie_json(&["jobs", "list", "-n", "0"])?;
        let jobs = jobs.as_array().context("jobs")?;
        anyhow::Ok(jobs.iter().filter(|job| job["spec"]["kind"] == kind).count())
    };
    ensure!(kinds("import")? == 2 && kinds("preprocess")? == 2);

    // What touches more waits for a person, once.
    kaggle.publish("alice/shop", 3, products(14)?);
    let source = check(&agent)?;
    let set = source["pending"]["change_set"].as_str().context("a change-set")?.to_owned();
    ensure!(source["imported"]["revision"]["number"] == 2, "{source}");
    check(&agent)?;
    ensure!(kinds("import")? == 3, "it was imported again");
    // A newer one takes its place.
    kaggle.publish("alice/shop", 4, products(16)?);
    let source = check(&agent)?;
    let newer = source["pending"]["change_set"].as_str().context("a change-set")?.to_owned();
    let older = agent.vigie_json(&["changesets", "show", &set, "-p", "shop"])?;
    ensure!(older["state"] == "rejected" && newer != set, "{older}");
    agent.vigie_json(&["changesets", "accept", &newer, "-p", "shop"])?;
    let row = || anyhow::Ok(sources(&agent, &["show", "birds"])?);
    agent.when(async || Ok((row()?["imported"]["revision"]["number"] == 4).then_some(()))).await?;

    // What a person rejected is not brought in again.
    kaggle.publish("alice/shop", 5, products(20)?);
    let set = check(&agent)?["pending"]["change_set"].as_str().context("a change-set")?.to_owned();
    agent.vigie_json(&["changesets", "reject", &set, "-p", "shop"])?;
    agent.when(async || Ok((!row()?["declined"].is_null()).then_some(()))).await?;
    ensure!(check(&agent)?["detail"] == "version 5, which was rejected");
    ensure!(kinds("import")? == 5);

    // Whatever becomes of it, the last good version stays, and each change is told once.
    for (denial, state) in
        [(Some(Denial::Vanished), "vanished"), (Some(Denial::Licence), "licence"), (None, "ok")]
    {
        kaggle.deny("alice/shop", denial);
        for _ in 0..2 {
            let source = check(&agent)?;
            ensure!(source["state"] == state && source["imported"]["revision"]["number"] == 4, "{source}");
        }
    }
    let events = agent.vigie_json(&["events", "list", "-n", "0"])?;
    let told = |text: &str| {
        let events = events.as_array().into_iter().flatten();
        events.filter(|event| event["text"].as_str().is_some_and(|told| told.contains(text))).count()
    };
    ensure!(told("source birds has version 3: change-set awaits review") == 1, "{events}");
    ensure!(told("source birds is vanished: Kaggle dataset alice/shop is not there") == 1, "{events}");
    ensure!(told("source birds is licence") == 1 && told("source birds is there again") == 1, "{events}");

    let removed = sources(&agent, &["remove", "birds"])?;
    ensure!(removed["name"] == "birds" && sources(&agent, &["list"])? == json!([]));
    Ok(())
}
