//! Labels on a real agent with real pictures: wrong class names put right at import and by a rename, and
//! back again; wrong labels found; windows; versions written out and taken in again.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vigie_tests::{Agent, AgentOptions, Said, data, subset, zip_of};
use zip::ZipArchive;

/// Pictures of some classes of the bundled shop, each class under the name it is given.
fn pictures(to: &Path, per_class: usize, names: &[(&str, &str)]) -> Result<()> {
    let all = to.with_extension("all.zip");
    subset(&data("samples/products.zip"), &all, per_class)?;
    let names: BTreeMap<&str, &str> = names.iter().copied().collect();
    let mut archive = ZipArchive::new(std::fs::File::open(&all)?)?;
    let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        let class = name.rsplit('/').nth(1).unwrap_or_default();
        if let Some(named) = names.get(class) {
            let file = name.rsplit('/').next().unwrap_or_default();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes)?;
            entries.push((format!("{named}/{class}-{file}"), bytes));
        }
    }
    ensure!(!entries.is_empty(), "no class of {names:?} is in the archive");
    let entries: Vec<(&str, &[u8])> =
        entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    zip_of(to, &entries)
}

fn said(agent: &Agent, arguments: &[&str]) -> Result<Said> {
    let said = agent.vigie(arguments)?;
    ensure!(said.code == 0, "vigie {arguments:?}: {said:?}\nagent:\n{}", agent.log());
    Ok(said)
}

/// Images of each class of a version.
fn classes(agent: &Agent, project: &str, version: &str) -> Result<BTreeMap<String, u64>> {
    let version = agent.vigie_json(&["datasets", "show", version, "-p", project])?;
    let classes = version["classes"].as_object().context("classes")?;
    let total = |counts: &Value| {
        ["train", "valid", "test"].iter().filter_map(|split| counts[*split].as_u64()).sum::<u64>()
    };
    Ok(classes.iter().map(|(class, counts)| (class.clone(), total(counts))).collect())
}

fn manifest(agent: &Agent, project: &str, version: &str) -> Result<String> {
    let version = agent.vigie_json(&["datasets", "show", version, "-p", project])?;
    Ok(version["manifest"].as_str().context("manifest")?.to_owned())
}

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|&(class, count)| (class.to_owned(), count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_names_are_put_right_and_back_again() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    said(&agent, &["projects", "create", "shop"])?;
    let list = ["classes", "set", "ankle boot", "bag", "coat", "-p", "shop"];
    said(&agent, &list)?;
    said(&agent, &["classes", "alias", "purse=bag", "-p", "shop"])?;

    let zip = agent.state().join("wrong.zip");
    let names = [("ankle_boot", "Ankle-BOOT"), ("bag", "purse"), ("coat", "Coats"), ("dress", "gown")];
    pictures(&zip, 6, &names)?;
    let zip = zip.to_str().context("path")?;
    said(&agent, &["datasets", "import", zip, "-p", "shop"])?;
    ensure!(classes(&agent, "shop", "source@v1")? == counts(&[("ankle boot", 6), ("bag", 6)]));
    let sets = agent.vigie_json(&["changesets", "list", "-p", "shop"])?;
    let renames = sets[0]["renames"].as_array().context("renames")?;
    ensure!(renames.len() == 2 && renames.iter().all(|rename| rename["images"] == 6), "{sets}");
    let left_out = sets[0]["quarantine"].to_string();
    ensure!(left_out.contains("did you mean \\\"coat\\\"?") && sets[0]["quarantined"] == 12, "{left_out}");

    // The unknown ones come in by policy, and a rename puts them where they belong.
    said(&agent, &["projects", "set", "shop", "--unknown-labels", "keep"])?;
    said(&agent, &["datasets", "import", zip, "-p", "shop"])?;
    let wrong = counts(&[("Coats", 6), ("ankle boot", 6), ("bag", 6), ("gown", 6)]);
    ensure!(classes(&agent, "shop", "source@v2")? == wrong);
    let checked = agent.vigie_json(&["classes", "check", "source@v2", "-p", "shop"])?;
    ensure!(checked[0]["suggestion"]["class"] == "coat", "{checked}");
    let rename = ["classes", "rename", "source", "Coats=coat", "-p", "shop"];
    let preview = agent.vigie_json(&[&rename[..], &["--dry-run"]].concat())?;
    ensure!(preview[0]["images"] == 6, "{preview}");
    ensure!(classes(&agent, "shop", "source@v2")? == wrong, "a preview changes nothing");
    said(&agent, &rename)?;
    let right = counts(&[("ankle boot", 6), ("bag", 6), ("coat", 6), ("gown", 6)]);
    ensure!(classes(&agent, "shop", "source@v3")? == right);

    // And back: the very same version as before, by its content.
    said(&agent, &["classes", "undo-rename", "source@v3", "-p", "shop"])?;
    ensure!(manifest(&agent, "shop", "source@v4")? == manifest(&agent, "shop", "source@v2")?);
    // What the import renamed goes back too.
    said(&agent, &["classes", "undo-rename", "source@v1", "-p", "shop"])?;
    let given = counts(&[("Ankle-BOOT", 6), ("Coats", 6), ("gown", 6), ("purse", 6)]);
    ensure!(classes(&agent, "shop", "source@v5")? == given);
    // All that the list knows is put right at once.
    said(&agent, &["classes", "rename", "source", "--by-list", "-p", "shop"])?;
    ensure!(manifest(&agent, "shop", "source@v6")? == manifest(&agent, "shop", "source@v2")?);

    let logs = agent.state().join("logs-of-lines");
    said(&agent, &["datasets", "history", "--csv", logs.to_str().context("path")?, "-p", "shop"])?;
    let log = std::fs::read_to_string(logs.join("source_history.csv"))?;
    ensure!(log.lines().count() == 7 && log.contains("undo of the other labels of source@v3"), "{log}");
    ensure!(logs.join("reference_history.csv").is_file() && logs.join("production_history.csv").is_file());

    let mut agent = agent;
    ensure!(agent.stop()? == Some(0));
    let check = agent.store_check()?;
    ensure!(check.code == 0, "{check:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_go_out_and_come_in_the_same() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    for project in ["shop", "copy", "again", "plain"] {
        said(&agent, &["projects", "create", project])?;
    }
    let zip = agent.state().join("shop.zip");
    pictures(
        &zip,
        10,
        &[("ankle_boot", "ankle boot"), ("bag", "bag"), ("coat", "co/at"), ("dress", "Kleid")],
    )?;
    said(&agent, &["datasets", "import", zip.to_str().context("path")?, "-p", "shop"])?;
    said(&agent, &["classes", "rename", "source", "co=\"coat\", long", "-p", "shop"])?;
    let original = manifest(&agent, "shop", "source@v2")?;
    let out = agent.state().join("out");
    let path = |name: &str| out.join(name).display().to_string();
    std::fs::create_dir(&out)?;

    for (layout, project) in [("jsonl", "copy"), ("csv", "again")] {
        let file = path(&format!("shop.{layout}"));
        said(&agent, &["datasets", "export", "source@v2", &file, "--layout", layout, "-p", "shop"])?;
        let again =
            agent.vigie(&["datasets", "export", "source@v1", &file, "--layout", layout, "-p", "shop"])?;
        ensure!(again.code == 6, "nothing is overwritten: {again:?}");
        said(&agent, &["datasets", "import-manifest", &file, "-p", project])?;
        ensure!(manifest(&agent, project, "source@v1")? == original, "{layout}");
    }

    let folder = path("pictures");
    let first = agent.vigie_json(&["datasets", "export", "source@v2", &folder, "-p", "shop"])?;
    ensure!(first["written"] == 40, "{first}");
    // One is lost and one is torn: an export goes on where it was, and overwrites nothing.
    let rows = std::fs::read_to_string(out.join("pictures/manifest.jsonl"))?;
    let files: Vec<String> = rows
        .lines()
        .map(|line| Ok(serde_json::from_str::<Value>(line)?["file"].as_str().context("file")?.to_owned()))
        .collect::<Result<_>>()?;
    std::fs::remove_file(out.join("pictures").join(&files[3]))?;
    let second = agent.vigie_json(&["datasets", "export", "source@v2", &folder, "-p", "shop"])?;
    ensure!(second["written"] == 1 && second["there_already"] == 39, "{second}");
    std::fs::write(out.join("pictures").join(&files[5]), "something else")?;
    let refused = agent.vigie(&["datasets", "export", "source@v2", &folder, "-p", "shop"])?;
    ensure!(refused.code == 6, "{refused:?}");
    std::fs::remove_file(out.join("pictures").join(&files[5]))?;
    said(&agent, &["datasets", "export", "source@v2", &folder, "-p", "shop"])?;

    // The folders are what an import reads: the same images, splits and (where a folder can be called
    // so) labels.
    said(&agent, &["datasets", "import", &folder, "-p", "plain"])?;
    let images = |project: &str, version: &str| -> Result<Vec<(String, String)>> {
        let images = agent.vigie_json(&["datasets", "images", version, "-n", "0", "-p", project])?;
        let row = |image: &Value| {
            let text = |name: &str| image[name].as_str().unwrap_or_default().to_owned();
            (text("image"), text("split"))
        };
        Ok(images.as_array().context("images")?.iter().map(row).collect())
    };
    ensure!(images("plain", "source@v1")? == images("shop", "source@v2")?);

    // Another agent has no blob of it: pictures come from the folder, and the version is the same one.
    let other = Agent::start(&AgentOptions::default()).await?;
    said(&other, &["projects", "create", "shop"])?;
    let rows = format!("{folder}/manifest.jsonl");
    let without = other.vigie(&["datasets", "import-manifest", &rows, "-p", "shop"])?;
    ensure!(without.err.contains("left out") || without.out.contains("nothing"), "{without:?}");
    said(&other, &["datasets", "import-manifest", &rows, "--images", &folder, "-p", "shop"])?;
    ensure!(manifest(&other, "shop", "source@v1")? == original);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_labels_are_found_and_windows_and_balance_are_kept_on_record() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    said(&agent, &["projects", "create", "shop"])?;
    let zip = agent.state().join("shop.zip");
    pictures(&zip, 30, &[("ankle_boot", "boot"), ("trouser", "trouser"), ("bag", "bag")])?;
    said(
        &agent,
        &["datasets", "import", zip.to_str().context("path")?, "--lineage", "reference", "-p", "shop"],
    )?;
    // Three boots are called trousers.
    let images = agent.vigie_json(&[
        "datasets",
        "images",
        "reference@v1",
        "--class",
        "boot",
        "-n",
        "3",
        "-p",
        "shop",
    ])?;
    let wrong: Vec<String> = images
        .as_array()
        .context("images")?
        .iter()
        .map(|image| image["image"].as_str().unwrap_or_default().to_owned())
        .collect();
    let rows =
        said(&agent, &["datasets", "export", "reference@v1", "-", "--layout", "jsonl", "-p", "shop"])?.out;
    let spoilt: Vec<String> = rows
        .lines()
        .map(|line| match wrong.iter().any(|hash| line.contains(hash)) {
            true => line.replace("\"label\":\"boot\"", "\"label\":\"trouser\""),
            false => line.to_owned(),
        })
        .collect();
    let file = agent.state().join("spoilt.jsonl");
    std::fs::write(&file, spoilt.join("\n"))?;
    let file = file.to_str().context("path")?;
    // It takes labels away from what is there: somebody has to look.
    let lineage = ["--lineage", "reference", "--replace", "-p", "shop"];
    said(&agent, &[&["datasets", "import-manifest", file], &lineage[..]].concat())?;
    let sets = agent.vigie_json(&["changesets", "list", "-p", "shop"])?;
    said(&agent, &["changesets", "accept", sets[0]["id"].as_str().context("id")?, "-p", "shop"])?;
    ensure!(classes(&agent, "shop", "reference@v2")?["trouser"] == 33);

    let check = ["datasets", "label-check", "reference@v2", "--input", "64", "--folds", "3", "-p", "shop"];
    said(&agent, &check)?;
    let found = agent.vigie_json(&["datasets", "label-issues", "-n", "0", "-p", "shop"])?;
    let issues = found["issues"]["items"].as_array().context("issues")?;
    let suggested: Vec<&str> = issues
        .iter()
        .filter(|issue| wrong.iter().any(|hash| issue["image"] == hash.as_str()))
        .filter_map(|issue| issue["suggested"].as_str())
        .collect();
    ensure!(suggested.len() >= 2 && suggested.iter().all(|label| *label == "boot"), "{found}");
    ensure!(issues.len() <= 12, "few right labels are doubted: {found}");

    // The first one gets the label it had; the second is said to be right.
    let doubted: Vec<&str> = issues.iter().filter_map(|issue| issue["image"].as_str()).collect();
    said(&agent, &["datasets", "label-accept", &doubted[0][..12], "-p", "shop"])?;
    said(&agent, &["datasets", "label-keep", &doubted[1][..12], "-p", "shop"])?;
    let left = agent.vigie_json(&["datasets", "label-issues", "-n", "0", "-p", "shop"])?;
    ensure!(left["issues"]["items"].as_array().context("issues")?.len() == issues.len() - 2, "{left}");

    let plan = agent.vigie_json(&["datasets", "balance", "reference@v3", "--plan", "down", "-p", "shop"])?;
    let run = ["datasets", "balance", "reference@v3", "--plan", "down", "--run", "-p", "shop"];
    said(&agent, &run)?;
    let version = agent.vigie_json(&["datasets", "show", "reference@v4", "-p", "shop"])?;
    let trains: u64 = version["classes"]
        .as_object()
        .context("classes")?
        .values()
        .filter_map(|counts| counts["train"].as_u64())
        .sum();
    ensure!(plan["epoch_after"] == trains, "{plan} {version}");

    let update = ["datasets", "update", "reference@v4", "production", "--last", "20", "-p", "shop"];
    said(&agent, &update)?;
    let version = agent.vigie_json(&["datasets", "show", "production@v1", "-p", "shop"])?;
    ensure!(version["window"] == serde_json::json!({"kind": "last", "images": 20}), "{version}");
    let images = agent.vigie_json(&["datasets", "images", "production@v1", "-n", "0", "-p", "shop"])?;
    let admitted =
        |image: &Value| image["admission"].as_str().is_some_and(|text| text.contains("last 20 images"));
    ensure!(images.as_array().is_some_and(|images| images.len() == 20 && images.iter().all(admitted)));

    let mut agent = agent;
    ensure!(agent.stop()? == Some(0));
    let check = agent.store_check()?;
    ensure!(check.code == 0, "{check:?}");
    Ok(())
}
