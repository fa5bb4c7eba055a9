//! From people's word on predictions to a dataset version, on the real agent with real pictures:
//! feedback survives a power cut, is collected once, founds a class, and drains the deferred queue.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vigie_tests::{Agent, AgentOptions, data, subset};
use zip::ZipArchive;

/// The `from`-th to the `to`-th picture of a class of the bundled products, as files.
fn pictures(agent: &Agent, class: &str, from: usize, to: usize) -> Result<Vec<String>> {
    let mut source = ZipArchive::new(File::open(data("samples/products.zip"))?)?;
    let mut files = Vec::new();
    for n in from..=to {
        let mut entry = source.by_name(&format!("products/{class}/{class}-{n:04}.png"))?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let path: PathBuf = agent.state().join(format!("{class}-{n}.png"));
        fs::write(&path, bytes)?;
        files.push(path.display().to_string());
    }
    Ok(files)
}

/// Predicts each picture and returns the identities of the answers.
fn predict(agent: &Agent, files: &[String]) -> Result<Vec<(String, String)>> {
    let mut command = vec!["predict", "-p", "shop", "-o", "json"];
    command.extend(files.iter().map(String::as_str));
    let said = agent.vigie(&command)?;
    ensure!(said.code == 0, "{said:?}\n{}", agent.log());
    let text = |value: &Value| value.as_str().map(str::to_owned).context("text");
    let line = |line: &str| {
        let answer: Value = serde_json::from_str(line)?;
        Ok((text(&answer["id"])?, text(&answer["top"][0]["class"])?))
    };
    said.out.lines().map(line).collect()
}

fn json(agent: &Agent, line: &str) -> Result<Value> {
    agent.vigie_json(&line.split_whitespace().chain(["-p", "shop"]).collect::<Vec<_>>())
}

fn length(value: &Value) -> Result<usize> {
    Ok(value.as_array().with_context(|| format!("a list, not {value}"))?.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_word_to_a_version() -> Result<()> {
    let options = AgentOptions::default();
    let mut agent = Agent::start(&options).await?;
    // A shop that knows no boots and no bags yet.
    let all = agent.state().join("all.zip");
    subset(&data("samples/products.zip"), &all, 12)?;
    let folder = agent.state().join("shop");
    for class in ["trouser", "dress", "sandal"] {
        let target = folder.join(class);
        fs::create_dir_all(&target)?;
        for file in pictures(&agent, class, 1, 12)? {
            let name = PathBuf::from(&file);
            fs::copy(&file, target.join(name.file_name().context("a name")?))?;
        }
    }
    let source = folder.to_str().context("path")?;
    agent.vigie_json(&["pipeline", source, "-p", "shop", "--input", "64", "--epochs", "3"])?;
    json(&agent, "projects set shop --audit 100%")?;

    let known = predict(&agent, &pictures(&agent, "trouser", 30, 33)?)?;
    let boots = predict(&agent, &pictures(&agent, "ankle_boot", 1, 8)?)?;
    let (first, others) = known.split_first().context("four answers")?;

    // A word on each; one of them is replaced, one is taken back and given again.
    let (id, predicted) = first;
    ensure!(json(&agent, &format!("feedback give {id} --unknown"))?["state"]["kind"] == "deferred");
    let given = json(&agent, &format!("feedback give {id} --class {predicted}"))?;
    ensure!(given["consensus"]["kind"] == "correct" && length(&given["votes"])? == 1, "{given}");
    json(&agent, &format!("feedback withdraw {id}"))?;
    ensure!(length(&json(&agent, "feedback list")?)? == 0);
    json(&agent, &format!("feedback give {id} --class {predicted}"))?;
    for (id, _) in others {
        json(&agent, &format!("feedback give {id} --class trouser"))?;
    }
    let refused = agent.vigie(&["feedback", "give", id, "-p", "shop", "--class", "trousre"])?;
    ensure!(refused.code != 0 && refused.err.contains("did you mean \"trouser\""), "{refused:?}");
    for (id, _) in &boots {
        json(&agent, &format!("feedback give {id} --unknown"))?;
    }

    // The power goes between the last word and the collection.
    let before = json(&agent, "feedback list")?;
    agent.kill_and_restart(&options).await?;
    ensure!(json(&agent, "feedback list")? == before, "an acknowledged word is lost");
    ensure!(length(&json(&agent, "predictions list --feedback unknown")?)? == boots.len());
    ensure!(length(&json(&agent, "predictions list --feedback none")?)? == 0);

    let collected = json(&agent, "feedback collect")?;
    ensure!(collected["outcome"]["dataset"]["lineage"] == "production", "{collected}");
    let version = json(&agent, "datasets show production@v1")?;
    let images = json(&agent, "datasets images production@v1 -n 0")?;
    ensure!(length(&images)? == known.len(), "{version}");
    let admission = images[0]["admission"].as_str().context("admission")?;
    ensure!(admission.starts_with("labelled by ") && admission.contains("prediction "), "{admission}");
    let again = json(&agent, "feedback collect")?;
    ensure!(again["outcome"]["kind"] == "no_change", "{again}");
    ensure!(json(&agent, "feedback list")?[boots.len()]["state"]["kind"] == "settled");

    // Boots look alike; one answer founds their class.
    let clusters = json(&agent, "label clusters --refresh")?;
    let groups = clusters["clusters"].as_array().context("clusters")?;
    ensure!(!groups.is_empty(), "{clusters}");
    let made = clusters["made"].as_str().context("made")?;
    for group in groups {
        let number = group["number"].to_string();
        let cluster = ["label", "answer", "--cluster", &number, "--made", made];
        let answer = [&cluster[..], &["--class", "ankle boot", "-p", "shop"]].concat();
        let refused = agent.vigie(&answer)?;
        if number == "1" {
            ensure!(refused.code != 0 && refused.err.contains("no class"), "{refused:?}");
        }
        agent.vigie_json(&answer.into_iter().chain(["--new"]).collect::<Vec<_>>())?;
    }
    // Those that look like no other are answered one by one.
    let left = json(&agent, "label next")?;
    for item in left["items"]["items"].as_array().context("items")? {
        let id = item["prediction"].as_str().context("id")?;
        agent.vigie_json(&["label", "answer", id, "--class", "ankle boot", "-p", "shop"])?;
    }
    ensure!(json(&agent, "label next")?["waiting"] == 0, "the queue is not drained");
    json(&agent, "feedback collect")?;
    let version = json(&agent, "datasets show production@v2")?;
    let total = |class: &Value| {
        ["train", "valid", "test"].iter().map(|s| class[s].as_u64().unwrap_or(0)).sum::<u64>()
    };
    ensure!(total(&version["classes"]["ankle boot"]) == boots.len() as u64, "{version}");

    audit_and_figures(&agent, known.len() + boots.len())?;
    forgotten(&agent, &boots[0].0)?;
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    let said = agent.store_check()?;
    ensure!(said.code == 0, "{said:?}");
    Ok(())
}

/// The sample is labelled blind, and shown apart.
fn audit_and_figures(agent: &Agent, predictions: usize) -> Result<()> {
    let figures = json(agent, "feedback accuracy")?;
    ensure!(figures["feedback"]["overall"]["n"] == predictions, "{figures}");
    ensure!(figures["audit"]["overall"]["n"] == 0 && figures["audit_due"] == predictions, "{figures}");
    ensure!(figures["caveat"].as_str().is_some_and(|text| text.contains("biased")), "{figures}");
    // Whoever saw a prediction is not asked blind about it: new ones are.
    let fresh = predict(agent, &pictures(agent, "sandal", 40, 41)?)?;
    // Recording, and drawing from it, is off the hot path: a backup waits for both.
    let copy = agent.state().join("copy").display().to_string();
    ensure!(agent.vigie(&["backup", &copy])?.code == 0);
    let next = json(agent, "label next --queue audit")?;
    let asked = next["items"]["items"].as_array().context("items")?;
    // Its file is called after its class.
    let blind = |item: &Value| item["top"] == serde_json::json!([]) && item["name"].is_null();
    ensure!(asked.len() == fresh.len() && asked.iter().all(blind), "{next}");
    ensure!(!agent.vigie(&["label", "next", "--queue", "audit", "-p", "shop"])?.out.contains("sandal"));
    let shown = json(agent, "label next --queue audit --show")?;
    let first = &shown["items"]["items"][0];
    ensure!(first["top"][0]["class"].is_string(), "{shown}");
    for (id, _) in &fresh {
        json(agent, &format!("label answer {id} --class sandal --blind"))?;
    }
    let figures = json(agent, "feedback accuracy")?;
    ensure!(figures["audit"]["overall"]["n"] == fresh.len(), "{figures}");
    ensure!(figures["feedback"]["overall"]["n"] == predictions, "{figures}");
    let new = json(agent, "feedback new-images")?;
    ensure!(new["model"] == 1 && new["predictions"] == predictions + fresh.len(), "{new}");
    ensure!(new["collected"] == predictions && new["labelled"] == predictions + fresh.len(), "{new}");
    Ok(())
}

/// Erasing a prediction erases what people said of it.
fn forgotten(agent: &Agent, id: &str) -> Result<()> {
    let before = length(&json(agent, "feedback list -n 0")?)?;
    json(agent, &format!("predictions forget {id} --yes"))?;
    ensure!(length(&json(agent, "feedback list -n 0")?)? == before - 1);
    Ok(())
}
