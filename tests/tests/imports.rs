//! Imports of real pictures as datasets really come, and the review of what they propose.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vigie_protocol::JobId;
use vigie_tests::{Agent, AgentOptions, Said, data, flat, pictures, repository};

const LABEL: &str = "category | strip '[\"]' | part 1 of '>>'";

/// Runs a command of the project `shop`.
fn shop(agent: &Agent, arguments: &[&str]) -> Result<Value> {
    agent.vigie_json(&[arguments, &["-p", "shop"]].concat())
}

fn shop_says(agent: &Agent, arguments: &[&str]) -> Result<Said> {
    agent.vigie(&[arguments, &["-p", "shop"]].concat())
}

/// The identity of the newest change-set.
fn newest(agent: &Agent) -> Result<String> {
    let sets = shop(agent, &["changesets", "list", "-n", "1"])?;
    Ok(sets[0]["id"].as_str().context("a change-set")?.to_owned())
}

fn images(agent: &Agent, dataset: &str) -> Result<Vec<Value>> {
    let images = shop(agent, &["datasets", "images", dataset, "-n", "0"])?;
    Ok(images.as_array().context("images")?.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shops_folder_comes_in_by_its_table_and_is_taken_in_part() -> Result<()> {
    let mut agent = Agent::start(&AgentOptions::default()).await?;
    agent.vigie_json(&["projects", "create", "shop"])?;
    let folder = agent.state().join("shop");
    flat(&data("samples/products.zip"), &folder, 12)?;
    // One picture twice more, as the web keeps them; and a black frame.
    let cat = repository().join("core/tests/fixtures/nets/photo_cat.png");
    let whole = image::open(&cat)?;
    whole.save(folder.join("cat-1.png"))?;
    whole.thumbnail(150, 150).save(folder.join("cat-2.png"))?;
    image::RgbImage::new(28, 28).save(folder.join("black.png"))?;
    let mut table = fs::read_to_string(folder.join("products.csv"))?;
    for name in ["cat-1.png", "cat-2.png", "black.png"] {
        table.push_str(&format!("{name},\"[\"\"cat >> pets\"\"]\",{name}\n"));
    }
    fs::write(folder.join("products.csv"), table)?;

    let path = folder.to_str().context("path")?;
    let how = ["--csv", "products.csv", "--image-column", "image", "--label", LABEL, "--group", "product"];
    let import = [&["datasets", "import", path, "--review"], &how[..]].concat();
    let job = shop(&agent, &import)?;
    ensure!(job["state"] == "succeeded", "{job}");
    let id = newest(&agent)?;
    let set = shop(&agent, &["changesets", "show", &id])?;
    ensure!(set["classes"].as_object().context("classes")?.len() == 11, "{set}");
    ensure!(set["quarantined"] == 0 && set["findings"]["near_duplicates"].as_u64() >= Some(2), "{set}");
    ensure!(set["findings"]["leaks"] == 0 && set["findings"]["outliers"].as_u64() >= Some(1), "{set}");

    // The review names them, page by page.
    let found = shop(&agent, &["changesets", "images", &id, "--class", "cat", "--findings", "-n", "0"])?;
    let found = found.as_array().context("images")?;
    let kinds = |name: &str| -> Vec<String> {
        let image = found.iter().find(|image| image["change"]["origin"] == name);
        let findings = image.and_then(|image| image["findings"].as_array());
        findings.into_iter().flatten().filter_map(|f| f["kind"].as_str().map(str::to_owned)).collect()
    };
    ensure!(kinds("cat-1.png").contains(&"near_duplicate".to_owned()), "{found:?}");
    ensure!(kinds("cat-2.png").contains(&"near_duplicate".to_owned()), "{found:?}");
    ensure!(kinds("black.png").contains(&"outlier".to_owned()), "{found:?}");
    let shown = shop_says(&agent, &["changesets", "images", &id, "--class", "cat", "--findings"])?;
    ensure!(shown.out.contains("looks like cat-"), "{shown:?}");

    // Two classes are taken, without one picture; a name that means nothing is refused first.
    let bags = shop(&agent, &["changesets", "images", &id, "--class", "bag", "--kind", "added"])?;
    let without = bags[0]["change"]["image"].as_str().context("hash")?;
    let wrong = shop_says(&agent, &["changesets", "accept", &id, "--class", "bagg"])?;
    ensure!(wrong.code != 0 && wrong.err.contains("changes nothing of the class"), "{wrong:?}");
    let accept = ["changesets", "accept", &id, "--class", "bag", "--class", "coat", "--without", without];
    let accepted = shop(&agent, &accept)?;
    ensure!(accepted["accepted_as"] == 1 && accepted["left"]["bag"]["added"] == 1, "{accepted}");
    ensure!(accepted["left"].as_object().context("left")?.len() == 10, "{accepted}");
    let version = shop(&agent, &["datasets", "show", "source@v1"])?;
    ensure!(version["classes"].as_object().context("classes")?.len() == 2, "{version}");
    let taken = images(&agent, "source@v1")?;
    ensure!(taken.len() == 23 && taken.iter().all(|image| image["image"] != without), "{}", taken.len());
    ensure!(taken.iter().all(|image| image["group"].is_string() && image["fingerprint"].is_string()));

    // The rest comes with the next import, and where images are they stay.
    let rest = shop(&agent, &[&["datasets", "import", path], &how[..]].concat())?;
    ensure!(rest["state"] == "succeeded", "{rest}");
    let all = images(&agent, "source@v2")?;
    ensure!(all.len() == 123, "{}", all.len());
    for image in &taken {
        let now = all.iter().find(|now| now["image"] == image["image"]).context("kept")?;
        ensure!(now["split"] == image["split"], "{now}");
    }
    let split_of = |group: &Value| -> Vec<&Value> {
        all.iter().filter(|image| &image["group"] == group).map(|image| &image["split"]).collect()
    };
    for image in &all {
        ensure!(split_of(&image["group"]).iter().all(|split| **split == image["split"]), "{image}");
    }
    let audit = agent.vigie_json(&["audit", "list"])?;
    ensure!(audit.to_string().contains("accept of classes [bag, coat] and 0 images without 1"), "{audit}");
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    let checked = agent.store_check()?;
    ensure!(checked.code == 0, "{checked:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiny_valid_split_is_redrawn_and_a_resplit_is_reviewed() -> Result<()> {
    let mut agent = Agent::start(&AgentOptions::default()).await?;
    agent.vigie_json(&["projects", "create", "shop"])?;
    // As the chest X-rays come: two classes, a valid split of 16, two pictures a patient.
    let folder = agent.state().join("xray");
    let all = pictures(&data("samples/products.zip"), 150)?;
    for (class, name) in [("sneaker", "NORMAL"), ("sandal", "PNEUMONIA")] {
        let of_class = all.iter().filter(|(label, _)| label == class).map(|(_, bytes)| bytes);
        for (n, bytes) in of_class.enumerate() {
            let split = match n {
                0..8 => "val",
                8..30 => "test",
                _ => "train",
            };
            let place = folder.join("chest_xray").join(split).join(name);
            fs::create_dir_all(&place)?;
            fs::write(place.join(format!("{name}-person{}_{n}.png", n / 2)), bytes)?;
        }
    }
    let path = folder.to_str().context("path")?;
    let pattern = "([A-Z]+-person[0-9]+)_";
    let import = ["datasets", "import", path, "--group-pattern", pattern];
    shop(&agent, &[&import[..], &["--redraw-split=valid"]].concat())?;
    let counts = |dataset: &str| -> Result<[u64; 3]> {
        let version = shop(&agent, &["datasets", "show", dataset])?;
        let classes = version["classes"].as_object().context("classes")?.clone();
        let sum = |split: &str| classes.values().filter_map(|class| class[split].as_u64()).sum();
        Ok([sum("train"), sum("valid"), sum("test")])
    };
    let [_, valid, test] = counts("source@v1")?;
    ensure!((40..=54).contains(&valid) && test >= 44, "{:?}", counts("source@v1")?);

    // The reference takes it; a re-split brings 70/15/15 and waits for a decision.
    shop(&agent, &["datasets", "update", "source@v1", "reference"])?;
    let job = shop(&agent, &["datasets", "resplit", "reference"])?;
    ensure!(job["outcome"]["kind"] == "change_set" && job["outcome"]["dataset"].is_null(), "{job}");
    let id = newest(&agent)?;
    let moved = shop(&agent, &["changesets", "images", &id, "--kind", "moved", "-n", "0"])?;
    let moved = moved.as_array().context("moved")?.len() as u64;
    ensure!(moved > 0 && moved < 60, "{moved} moved");
    // Half of a group cannot be taken.
    let first = shop(&agent, &["changesets", "images", &id, "-n", "1"])?;
    let one = first[0]["change"]["image"].as_str().context("hash")?.to_owned();
    let torn = shop_says(&agent, &["changesets", "accept", &id, "--image", &one])?;
    ensure!(torn.code != 0 && torn.err.contains("take the group whole"), "{torn:?}");
    shop(&agent, &["changesets", "accept", &id])?;
    for (count, share) in counts("reference@v2")?.into_iter().zip([0.7, 0.15, 0.15]) {
        ensure!((count as f64 - share * 300.0).abs() <= 8.0, "{:?}", counts("reference@v2")?);
    }
    let again = shop(&agent, &["datasets", "resplit", "reference"])?;
    ensure!(again["outcome"]["kind"] == "no_change", "what is balanced stays: {again}");
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    let checked = agent.store_check()?;
    ensure!(checked.code == 0, "{checked:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_was_killed_decodes_nothing_twice() -> Result<()> {
    let armed = AgentOptions::default().with("VIGIE_FAIL_POINT", "import-noted:40");
    let mut agent = Agent::start(&armed).await?;
    agent.vigie_json(&["projects", "create", "shop"])?;
    let source = data("samples/products.zip").display().to_string();
    let died = agent.vigie_while_alive(&["datasets", "import", &source, "-p", "shop", "--no-wait"]).await?;
    drop(died);
    while !agent.has_ended()? {
        tokio::task::yield_now().await;
    }
    let checked = agent.store_check()?;
    ensure!(checked.code == 0, "{checked:?}");
    agent.kill_and_restart(&AgentOptions::default()).await?;
    let jobs = agent.vigie_json(&["jobs", "list"])?;
    let id: JobId = jobs[0]["id"].as_str().context("job")?.parse()?;
    agent.job_succeeds(id).await?;
    let log = agent.vigie(&["jobs", "log", &id.to_string()])?;
    let note = "images were measured by an earlier attempt";
    let line = log.out.lines().find(|line| line.contains(note)).with_context(|| format!("{log:?}"))?;
    let remembered = line.split_whitespace().zip(line.split_whitespace().skip(1));
    let count = remembered.filter(|(_, next)| *next == "images").find_map(|(n, _)| n.parse::<u64>().ok());
    // The other threads may have noted one each.
    ensure!((40..=40 + 64).contains(&count.context("a number")?), "{line}");
    ensure!(!agent.state().join("imports").join(format!("{id}.journal")).exists(), "the journal goes");
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    let checked = agent.store_check()?;
    ensure!(checked.code == 0, "{checked:?}");
    Ok(())
}
