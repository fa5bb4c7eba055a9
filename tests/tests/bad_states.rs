//! State directories that are not as they should be: each has its answer, and what can serve serves.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
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
async fn what_belongs_to_someone_else_is_named_and_not_touched() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("vigie-").tempdir_in("/tmp")?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let path = |name: &str| folder.path().join(name);
    // Where nobody may run it.
    let program = path("vigie-agent");
    fs::copy(binary("vigie-agent")?, &program)?;
    let (fresh, state, sockets) = (path("fresh"), path("state"), path("sockets"));
    for made in [&fresh, &state, &sockets] {
        fs::create_dir(made)?;
    }
    let mut agent = Agent::start_on(state.clone(), &AgentOptions::default()).await?;
    ensure!(agent.stop()? == Some(0), "{}", agent.log());
    hand_over(folder.path())?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;

    let (ours, there) = (state.join("agent.sock"), sockets.join("agent.sock"));
    let to_state = ["Permission denied", "must belong to the user", "--state"];
    let to_socket = ["Permission denied", "must be able to write in its folder", "--socket"];
    for (forbidden, state, socket, named, because) in [
        (&fresh, &fresh, &ours, &fresh.join("blobs"), to_state),
        (&state.join("meta.redb"), &state, &ours, &state.join("meta.redb"), to_state),
        (&state.join("audit.log"), &state, &ours, &state.join("audit.log"), to_state),
        (&sockets, &state, &there, &there, to_socket),
    ] {
        let before = forbid(forbidden)?;
        let mut command = Command::new(&program);
        command.args(["run", "--state"]).arg(state).arg("--socket").arg(socket);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let because = [&because[..], &[named.to_str().context("path")?]].concat();
        refused(&mut command, &because).with_context(|| format!("{} is forbidden", forbidden.display()))?;
        allow(forbidden, before)?;
    }
    agent.is_whole()?;
    agent.kill_and_restart(&AgentOptions::default()).await?;
    agent.vigie_json(&["projects", "create", "shop"])?;
    Ok(())
}

/// Root may write everywhere; nobody may not.
const NOBODY: u32 = 65534;

/// Gives a folder and all in it to nobody, if it is not the caller's to lose.
fn hand_over(folder: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    chown(folder, Some(NOBODY), Some(NOBODY))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            hand_over(&entry.path())?;
        } else {
            chown(entry.path(), Some(NOBODY), Some(NOBODY))?;
        }
    }
    Ok(())
}

/// Takes a file or a folder away from the agent's user: folders can still be read. Returns its mode.
fn forbid(path: &Path) -> Result<u32> {
    let metadata = fs::metadata(path)?;
    if rustix::process::geteuid().is_root() {
        chown(path, Some(0), Some(0))?;
    }
    let mode = if metadata.is_dir() { 0o555 } else { 0 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(metadata.permissions().mode())
}

fn allow(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if rustix::process::geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
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
