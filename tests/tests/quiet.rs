//! No outbound connection unless configured: not one internet socket is made in a whole life.

use anyhow::{Context, Result, ensure};
use vigie_tests::{Agent, AgentOptions, data, repository, subset};

#[tokio::test(flavor = "multi_thread")]
async fn no_internet_socket_is_ever_made() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let trace = folder.path().join("sockets").display().to_string();
    // With -D the tracer is the one that stands aside: the process started here is the agent.
    let under = ["strace", "-D", "-f", "-qq", "-e", "trace=socket", "-o", &trace];
    let options = AgentOptions { under: under.map(str::to_owned).to_vec(), ..AgentOptions::default() };
    let mut agent = Agent::start(&options).await?;
    let pictures = agent.state().join("shop.zip");
    subset(&data("samples/products.zip"), &pictures, 8)?;
    let source = pictures.to_str().context("path")?;
    agent.vigie_json(&["pipeline", source, "-p", "shop", "--input", "64", "--epochs", "2"])?;
    let picture = repository().join("core/tests/fixtures/nets/photo_cat.png");
    agent.vigie_json(&["predict", picture.to_str().context("path")?, "-p", "shop"])?;
    ensure!(agent.stop()? == Some(0), "{}", agent.log());

    let made = std::fs::read_to_string(&trace)?;
    ensure!(made.contains("AF_UNIX"), "the trace shows nothing:\n{made}");
    ensure!(!made.contains("AF_INET"), "an internet socket:\n{made}");
    Ok(())
}
