//! The presets that ship, each as a project on a real agent with real pictures in the layout that its
//! source has; only where the pictures lie is another place.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vigie_tests::{Agent, AgentOptions, data, flat, pictures, repository, zip_of};

/// A preset with another origin for its one source.
fn preset(agent: &Agent, name: &str, origin: &str) -> Result<PathBuf> {
    let text = fs::read_to_string(repository().join("configs/projects").join(format!("{name}.toml")))?;
    let mut lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("origin = ")).context("an origin")?;
    lines[at] = origin;
    let file = agent.state().join(format!("{name}.toml"));
    fs::write(&file, lines.join("\n"))?;
    Ok(file)
}

/// Real pictures: so many of each of the first classes, under a path made of their class and number.
fn layout(
    per_class: usize,
    classes: usize,
    path: impl Fn(&str, usize) -> String,
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (class, bytes) in pictures(&data("samples/products.zip"), per_class)? {
        let known = numbers.len();
        if !numbers.contains_key(&class) && known == classes {
            continue;
        }
        let number = numbers.entry(class.clone()).or_default();
        found.push((path(&class, *number), bytes));
        *number += 1;
    }
    Ok(found)
}

fn zip(to: &Path, files: &[(String, Vec<u8>)]) -> Result<()> {
    let entries: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    zip_of(to, &entries)
}

/// Applies a preset twice (the second time nothing changes), has its source looked at, and returns the
/// version that came of it.
async fn exercise(agent: &Agent, name: &str, source: &str, origin: &str) -> Result<Value> {
    let file = preset(agent, name, origin)?;
    let file = file.to_str().context("a path")?;
    let steps = agent.vigie_json(&["projects", "apply", file])?;
    let became = |steps: &Value, wanted: &str| {
        steps.as_array().is_some_and(|steps| steps.iter().all(|step| step["became"] == wanted))
    };
    ensure!(became(&steps, "created"), "{steps}");
    let again = agent.vigie_json(&["projects", "apply", file])?;
    ensure!(became(&again, "unchanged"), "{again}");
    agent.vigie_json(&["sources", "check", source, "-p", name])?;
    let sets = agent.vigie_json(&["changesets", "list", "-p", name])?;
    let set = sets[0]["id"].as_str().with_context(|| format!("a change-set: {sets}"))?;
    if sets[0]["state"] == "proposed" {
        agent.vigie_json(&["changesets", "accept", set, "-p", name])?;
    }
    agent.vigie_json(&["datasets", "show", "source@v1", "-p", name])
}

fn images(version: &Value, split: &str) -> u64 {
    let classes = version["classes"].as_object().into_iter().flatten();
    classes.filter_map(|(_, counts)| counts[split].as_u64()).sum()
}

fn names(version: &Value) -> Vec<&str> {
    version["classes"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn birds_come_in_their_authors_splits_under_the_right_names() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    let archive = agent.state().join("birds.zip");
    let split = |number| match number {
        0..8 => "train",
        8 => "valid",
        _ => "test",
    };
    // The same class under another name in one of its folders.
    let folder = |class: &str, number| match (class, split(number)) {
        ("bag", "valid") => "Bag ".to_owned(),
        (class, _) => class.to_uppercase(),
    };
    zip(&archive, &layout(10, 4, |class, n| format!("birds/{}/{}/{n:02}.png", split(n), folder(class, n)))?)?;
    let origin = format!("origin = {{ kind = \"zip\", path = {:?} }}", archive.display());
    let version = exercise(&agent, "birds", "kaggle", &origin).await?;
    ensure!([images(&version, "train"), images(&version, "valid"), images(&version, "test")] == [32, 4, 4]);
    ensure!(names(&version).len() == 5, "as the folders are called: {version}");
    // A person says what the names are, and has the wrong one put right.
    let right: Vec<&str> = names(&version).into_iter().filter(|name| *name != "Bag").collect();
    agent.vigie_json(&[&["classes", "set"], &right[..], &["-p", "birds"]].concat())?;
    agent.vigie_json(&["classes", "rename", "source", "--by-list", "-p", "birds"])?;
    let right = agent.vigie_json(&["datasets", "show", "source@v2", "-p", "birds"])?;
    ensure!(names(&right).len() == 4 && images(&right, "valid") == 4, "{right}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_split_of_sixteen_is_dealt_anew() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    let archive = agent.state().join("xray.zip");
    let split = |number| match number {
        0..80 => "train",
        80..88 => "val",
        _ => "test",
    };
    let class = |class: &str| if class < "b" { "NORMAL" } else { "PNEUMONIA" };
    let files = layout(100, 2, |name, n| {
        format!("chest_xray/{}/{}/person{}_bacteria_{n}.png", split(n), class(name), n / 2)
    })?;
    zip(&archive, &files)?;
    let origin = format!("origin = {{ kind = \"zip\", path = {:?} }}", archive.display());
    let version = exercise(&agent, "radiography", "kaggle", &origin).await?;
    ensure!(names(&version) == ["NORMAL", "PNEUMONIA"], "{version}");
    let [train, valid, test] = ["train", "valid", "test"].map(|split| images(&version, split));
    ensure!(train + valid + test <= 200 && valid > 20, "16 became {valid}: {version}");
    // All images of a patient serve in one split.
    let listed = agent.vigie_json(&["datasets", "images", "source@v1", "-n", "0", "-p", "radiography"])?;
    let mut splits: BTreeMap<&str, &str> = BTreeMap::new();
    for image in listed.as_array().context("images")? {
        let (group, split) = (image["group"].as_str().context("a group")?, image["split"].as_str());
        let split = split.context("a split")?;
        let held = splits.entry(group).or_insert(split);
        ensure!(*held == split, "{group} is in {held} and {split}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shops_table_says_what_its_pictures_are() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    let shop = agent.state().join("shop");
    flat(&data("samples/products.zip"), &shop, 8)?;
    let origin = format!("origin = {{ kind = \"folder\", path = {:?} }}", shop.display());
    let version = exercise(&agent, "products", "catalogue", &origin).await?;
    ensure!(names(&version).len() == 10, "{version}");
    let listed = agent.vigie_json(&["datasets", "images", "source@v1", "-n", "1", "-p", "products"])?;
    ensure!(listed[0]["group"].is_string(), "{listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_this_machine_and_names_that_users_made() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    let write = |folder: &Path, files: &[(String, Vec<u8>)]| -> Result<()> {
        for (name, bytes) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().context("a folder")?)?;
            fs::write(path, bytes)?;
        }
        Ok(())
    };
    let at = |folder: &Path| format!("origin = {{ kind = \"folder\", path = {:?} }}", folder.display());

    let archive = agent.state().join("archive");
    let class = |name: &str| if name < "b" { "healthy" } else { "covid19" };
    write(&archive, &layout(6, 2, |name, n| format!("{}/patient{}_{n}.png", class(name), n / 3))?)?;
    let version = exercise(&agent, "xray-vit", "archive", &at(&archive)).await?;
    ensure!(names(&version) == ["COVID", "NORMAL"], "by their aliases: {version}");

    let woods = agent.state().join("woods");
    write(&woods, &layout(6, 3, |name, n| format!("{name}/{n}.png"))?)?;
    let version = exercise(&agent, "mushrooms", "starter", &at(&woods)).await?;
    ensure!(names(&version).len() == 3, "{version}");
    Ok(())
}
