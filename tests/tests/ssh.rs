//! The same commands through `ssh host vigie stdio`, against a real sshd on a loopback port.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use vigie_tests::{Agent, AgentOptions, binary, run};

struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left to do about it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn key(path: &Path) -> Result<()> {
    let said = run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path))?;
    ensure!(said.code == 0, "{said:?}");
    Ok(())
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn start_sshd(folder: &Path, port: u16, user_key: &Path) -> Result<Sshd> {
    key(&folder.join("host"))?;
    std::fs::copy(user_key.with_extension("pub"), folder.join("authorized_keys"))?;
    let folder_name = folder.display();
    let path = binary("vigie")?.parent().context("folder")?.display().to_string();
    std::fs::write(
        folder.join("sshd_config"),
        format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder_name}/host\n\
             AuthorizedKeysFile {folder_name}/authorized_keys\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n\
             SetEnv PATH={path}:/usr/bin:/bin\n"
        ),
    )?;
    if rustix::process::geteuid().is_root() {
        std::fs::create_dir_all("/run/sshd")?; // where a root sshd separates its privileges
    }
    let mut child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(folder.join("sshd_config"))
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start sshd; tests/run installs openssh-server")?;
    let mut said = String::new();
    let log = child.stderr.take().context("stderr")?;
    let mut lines = BufReader::new(log).lines();
    let listens = lines.by_ref().map_while(Result::ok).any(|line| {
        let listening = line.contains("Server listening");
        said.push_str(&line);
        said.push('\n');
        listening
    });
    ensure!(listens, "sshd did not start:\n{said}");
    // Its log must keep being read, or it would block on a full pipe.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Ok(Sshd(child))
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_over_a_real_sshd() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    let folder = tempfile::tempdir()?;
    let user_key = folder.path().join("user");
    key(&user_key)?;
    let port = free_port()?;
    let _sshd = start_sshd(folder.path(), port, &user_key)?;

    // ssh reads this instead of the user's own configuration: a wrapper is how it is told to.
    let wrapper = folder.path().join("ssh");
    std::fs::write(
        &wrapper,
        format!(
            "#!/bin/sh\nexec /usr/bin/ssh -F none -i {} -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile={}/known -o LogLevel=ERROR \"$@\"\n",
            user_key.display(),
            folder.path().display()
        ),
    )?;
    std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755))?;
    let search = format!("{}:{}", folder.path().display(), std::env::var("PATH")?);

    let user = run(Command::new("id").arg("-un"))?.out.trim().to_owned();
    let target = format!("ssh://{user}@127.0.0.1:{port}{}", agent.socket().display());
    let over_ssh = |arguments: &[&str]| {
        run(Command::new(binary("vigie")?)
            .args(["--agent", &target, "--output", "json"])
            .args(arguments)
            .env("PATH", &search)
            .env("VIGIE_CONFIG", folder.path().join("no-such-config.toml"))
            .stdin(Stdio::null()))
    };

    let who = over_ssh(&["whoami"])?;
    ensure!(who.code == 0, "{who:?}\nagent:\n{}", agent.log());
    ensure!(who.json()?["role"] == "admin", "{who:?}");
    let made = over_ssh(&["projects", "create", "far-away"])?;
    ensure!(made.code == 0, "{made:?}");
    ensure!(agent.vigie_json(&["projects", "list"])?[0]["name"] == "far-away");

    // A zip of this side goes up as a blob and is imported over there.
    let pictures = folder.path().join("pictures.zip");
    vigie_tests::subset(&vigie_tests::data("samples/digits.zip"), &pictures, 3)?;
    let imported = over_ssh(&["datasets", "import", pictures.to_str().context("path")?, "-p", "far-away"])?;
    ensure!(imported.code == 0, "{imported:?}\nagent:\n{}", agent.log());
    let versions = agent.vigie_json(&["datasets", "list", "-p", "far-away"])?;
    ensure!(versions.as_array().context("versions")?.len() == 1, "{versions}");

    // A stranger's key: a clear refusal and the exit code for it.
    std::fs::remove_file(&user_key)?;
    key(&user_key)?;
    let refused = over_ssh(&["whoami"])?;
    ensure!(refused.code == 3 && refused.err.contains("Permission denied"), "{refused:?}");
    Ok(())
}
