//! Bad files: each is a clear error that names it, the rest goes on, memory stays bounded.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vigie_tests::{Agent, AgentOptions, bomb, repository, subset, zip_of};

fn damaged(name: &str) -> PathBuf {
    repository().join("core/tests/fixtures/vision/damaged").join(name)
}

fn quarantine_of(agent: &Agent) -> Result<Vec<(String, String)>> {
    let sets = agent.vigie_json(&["changesets", "list", "-p", "shop", "-n", "1"])?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let quarantine = sets[0]["quarantine"].as_array().context("quarantine")?;
    Ok(quarantine.iter().map(|q| (text(&q["origin"]), text(&q["reason"]))).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_on_around_bad_files() -> Result<()> {
    // A worker that took the bomb's 10 GB would hit this bound and fail the import.
    let options = AgentOptions::default().with("VIGIE_JOBS_MEMORY_LIMIT_MIB", "1500");
    let agent = Agent::start(&options).await?;
    agent.vigie_json(&["projects", "create", "shop"])?;
    let read = |name: &str| std::fs::read(damaged(name));
    let good = std::fs::read(repository().join("core/tests/fixtures/nets/photo_cat.png"))?;
    let (text, truncated, huge) = (read("text.jpg")?, read("truncated.png")?, read("huge.png")?);
    let archive = agent.state().join("bad.zip");
    let entries = [
        ("cats/good.png", &good[..]),
        ("cats/text.jpg", &text),
        ("cats/truncated.png", &truncated),
        ("cats/huge.png", &huge),
        ("../../cats/escape.png", &good),
    ];
    bomb(&archive, &entries, "dogs/bomb.png", 10 << 30)?;

    let job = agent.vigie_json(&["datasets", "import", archive.to_str().context("path")?, "-p", "shop"])?;
    ensure!(job["state"] == "succeeded", "{job}");
    let quarantine = quarantine_of(&agent)?;
    for (name, reason) in [
        ("text.jpg", "not an image"),
        ("truncated.png", "cut short"),
        ("huge.png", "too large"),
        ("escape.png", ""),
        ("bomb.png", ""),
    ] {
        let found = quarantine.iter().find(|(origin, _)| origin.contains(name));
        let (_, said) = found.with_context(|| format!("{name} is not named in {quarantine:?}"))?;
        ensure!(said.contains(reason) && !said.is_empty(), "{name}: {said}");
    }
    ensure!(quarantine.len() == 5, "{quarantine:?}");
    ensure!(!agent.state().join("../cats").exists() && !PathBuf::from("/cats").exists());
    let version = agent.vigie_json(&["datasets", "show", "source@v1", "-p", "shop"])?;
    ensure!(version["classes"].as_object().context("classes")?.len() == 1, "{version}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_none_is_refused() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    agent.vigie_json(&["projects", "create", "shop"])?;
    let folder = agent.state().to_owned();
    let whole = folder.join("whole.zip");
    subset(&vigie_tests::data("samples/digits.zip"), &whole, 5)?;
    let bytes = std::fs::read(&whole)?;
    let cut = folder.join("cut.zip");
    std::fs::write(&cut, &bytes[..bytes.len() / 2])?;
    let empty = folder.join("empty.zip");
    zip_of(&empty, &[])?;
    let no_classes = folder.join("flat.zip");
    zip_of(&no_classes, &[("readme.txt", b"no pictures here")])?;
    let missing = folder.join("missing.zip");
    for path in [cut, empty, no_classes, missing] {
        let name = path.to_str().context("path")?;
        let said = agent.vigie(&["datasets", "import", name, "-p", "shop"])?;
        ensure!(said.code != 0, "{name}: {said:?}");
        ensure!(said.err.contains("error:"), "{name}: {said:?}");
    }
    let versions = agent.vigie_json(&["datasets", "list", "-p", "shop"])?;
    ensure!(versions.as_array().context("versions")?.is_empty(), "{versions}");
    Ok(())
}
