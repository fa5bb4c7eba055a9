//! Kaggle's own client against the server that sources are tested with: what it accepts is what agents
//! meet outside.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use vigie_tests::kaggle::{Denial, FakeKaggle, Fault, Side, TOKEN};
use vigie_tests::{data, run};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Kaggle's own client: tests/peers/kaggle brings it and runs this"]
async fn kaggles_own_client_works_against_it() -> Result<()> {
    let client = std::env::var("VIGIE_KAGGLE_CLIENT").context("VIGIE_KAGGLE_CLIENT names no client")?;
    let kaggle = FakeKaggle::start().await?;
    let zip = std::fs::read(data("samples/digits.zip"))?;
    kaggle.publish("alice/digits", 1, b"PK\x05\x06 an older one".to_vec());
    kaggle.publish("alice/digits", 2, zip.clone());
    let home = tempfile::tempdir()?;
    let folder = home.path().to_owned();
    let url = kaggle.url();
    let client = move |arguments: &[&str]| {
        let mut command = Command::new(&client);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", &folder)
            .env("PATH", "/usr/bin:/bin")
            // It then asks http://localhost, port 80; a proxy brings that here.
            .env("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
            .env("http_proxy", &url)
            .env("no_proxy", "127.0.0.1")
            .env("KAGGLE_API_TOKEN", TOKEN);
        let said = tokio::task::block_in_place(|| run(&mut command))?;
        anyhow::Ok(said)
    };

    let target = home.path().join("out");
    let target = target.to_str().context("path")?;
    let download = ["datasets", "download", "alice/digits", "-p", target];
    let said = client(&download)?;
    ensure!(said.code == 0, "{said:?}");
    ensure!(std::fs::read(home.path().join("out/digits.zip"))? == zip, "{said:?}");
    let seen = kaggle.take_seen();
    let told = |side| seen.iter().filter(move |seen| seen.side == side);
    ensure!(told(Side::Api).all(|seen| seen.header("authorization").is_some()), "{seen:#?}");
    ensure!(told(Side::Storage).all(|seen| seen.header("authorization").is_none()), "{seen:#?}");
    ensure!(told(Side::Storage).count() > 0, "{seen:#?}");

    let said = client(&["datasets", "files", "alice/digits"])?;
    ensure!(said.code == 0 && said.out.contains("images.zip"), "{said:?}");
    let said = client(&["datasets", "status", "alice/digits"])?;
    ensure!(said.code == 0 && said.out.contains("ready"), "{said:?}");

    // It resumes what was cut off, as agents do.
    kaggle.script(&kaggle.path_of("alice/digits", 2), [Fault::Truncate(zip.len() / 2)]);
    let again = [&download[..], &["--force"]].concat();
    let said = client(&again)?;
    ensure!(said.code == 0, "{said:?}");
    ensure!(std::fs::read(home.path().join("out/digits.zip"))? == zip, "{said:?}");

    for (denial, status) in [(Denial::Licence, "403"), (Denial::Vanished, "404")] {
        kaggle.deny("alice/digits", Some(denial));
        let said = client(&again)?;
        let text = format!("{}{}", said.out, said.err);
        ensure!(said.code != 0 || text.contains(status), "{denial:?}: {said:?}");
    }
    Ok(())
}
