//! State directories that are not as they should be: each has its answer, and what can serve serves.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use redb::{Database, ReadableDatabase, TableDefinition};
use vigie_tests::{Agent, AgentOptions, Said, binary, data, repository, run, subset};

async fn agent_that_serves() -> Result<Agent> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    let pictures = agent.state().join("shop.zip");
    subset(&data("samples/products.zip"), &pictures, 8)?;
    let source = pictures.to_str().context("path")?;
    agent.vigie_json(&["pipeline", source, "-p", "shop", "--input", "64", "--epochs", "2"])?;
    Ok(agent)
}

/// Starts an agent that must refuse to.
fn refused(command: &mut Command, because: &[&str]) -> Result<()> {
    let said: Said = run(command)?;
    ensure!(said.code == 1, "it started: {said:?}");
    for part in because {
        ensure!(said.err.contains(part), "{part:?} is not said: {said:?}");
    }
    Ok(())
}

fn start_on(state: &Path) -> Result<Command> {
    let mut command = Command::new(binary("vigie-agent")?);
    command.args(["run", "--state"]).arg(state);
    Ok(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_opened_once() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    refused(&mut start_on(agent.state())?, &["in use by another process", "another agent"])?;
    let said = agent.store_check()?;
    ensure!(said.code == 1 && said.err.contains("stop it"), "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_someone_else_is_not_touched() -> Result<()> {
    const NOBODY: u32 = 65534;
    let folder = tempfile::Builder::new().prefix("vigie-").tempdir_in("/tmp")?;
    let state = folder.path().join("state");
    fs::create_dir(&state)?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let mut command = start_on(&state)?;
    if rustix::process::geteuid().is_root() {
        // Root may write everywhere; nobody may not.
        let program = folder.path().join("vigie-agent");
        fs::copy(binary("vigie-agent")?, &program)?;
        command = Command::new(program);
        command.args(["run", "--state"]).arg(&state).uid(NOBODY).gid(NOBODY);
    } else {
        fs::set_permissions(&state, fs::Permissions::from_mode(0o555))?;
    }
    refused(&mut command, &["Permission denied", "state"])
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_in_the_facts_are_refused() -> Result<()> {
    let mut agent = agent_that_serves().await?;
    ensure!(agent.stop()? == Some(0));
    let path = agent.state().join("meta.redb");
    let file = fs::File::options().read(true).write(true).open(&path)?;
    // One byte of each page: some of them matter.
    for page in 1..file.metadata()?.len() / 4096 {
        let mut byte = [0];
        file.read_exact_at(&mut byte, page * 4096 + 777)?;
        file.write_all_at(&[byte[0] ^ 4], page * 4096 + 777)?;
    }
    refused(&mut start_on(agent.state())?, &["meta.redb", "damaged", "restore"])?;
    let said = agent.store_check()?;
    ensure!(said.code == 2 && said.out.contains("restore a backup"), "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_a_newer_build_is_left_alone() -> Result<()> {
    const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    let mut agent = Agent::start(&AgentOptions::default()).await?;
    ensure!(agent.stop()? == Some(0));
    let facts = agent.state().join("meta.redb");
    {
        let database = Database::open(&facts)?;
        let change = database.begin_write()?;
        change.open_table(META)?.insert("schema", 99)?;
        change.commit()?;
    }
    refused(&mut start_on(agent.state())?, &["schema 99", "needs a newer vigie-agent"])?;
    let said = agent.store_check()?;
    ensure!(said.code == 1 && said.err.contains("schema 99"), "{said:?}");
    // Opening marks the file as in use and back; what it says is what it said.
    let meta = Database::open(&facts)?.begin_read()?.open_table(META)?;
    ensure!(meta.get("schema")?.context("a schema")?.value() == 99);
    ensure!(!agent.state().join("meta.redb.bak-99").exists(), "it was migrated");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_that_are_damaged_or_gone_stop_serving_and_nothing_else() -> Result<()> {
    let mut agent = agent_that_serves().await?;
    let model = agent.vigie_json(&["models", "show", "v1", "-p", "shop"])?;
    let weights = model["model"]["weights"].as_str().context("weights")?.to_owned();
    let weights = blob(&agent, &weights);
    let whole = fs::read(&weights)?;
    ensure!(agent.stop()? == Some(0));

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for broken in [Some(flipped), None] {
        match &broken {
            Some(bytes) => fs::write(&weights, bytes)?,
            None => fs::remove_file(&weights)?,
        }
        let said = agent.store_check()?;
        ensure!(said.code == 2 && said.out.contains("model v1"), "{said:?}");

        agent.kill_and_restart(&AgentOptions::default()).await?;
        let down = agent.when(async || {
            let health = agent.vigie_json(&["agents", "health"])?;
            let services = health["services"].as_array().context("services")?.clone();
            Ok(services
                .into_iter()
                .find(|service| service["name"] == "serving:shop" && service["state"] == "down"))
        });
        let down = down.await?;
        ensure!(down["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{down}");
        let picture = repository().join("core/tests/fixtures/nets/photo_cat.png");
        let said = agent.vigie(&["predict", picture.to_str().context("path")?, "-p", "shop"])?;
        ensure!(said.code != 0 && !said.err.is_empty(), "{said:?}");
        // Everything else goes on.
        agent.vigie_json(&["datasets", "list", "-p", "shop"])?;
        agent.vigie_json(&["projects", "create", if broken.is_some() { "one" } else { "two" }])?;
        ensure!(agent.stop()? == Some(0));
    }

    fs::write(&weights, &whole)?;
    ensure!(agent.store_check()?.code == 0);
    Ok(())
}

fn blob(agent: &Agent, hash: &str) -> PathBuf {
    agent.state().join("blobs").join(&hash[..2]).join(hash)
}
