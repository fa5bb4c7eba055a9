//! Finding what the demo needs: the agent's binary, pictures, pretrained weights.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::exit::{Exit, Failure};

const AGENT: &str = "vigie-agent";
const SAMPLES: &str = "samples/products.zip";
const WEIGHTS: &str = "weights";
const WEIGHTS_FILE: &str = "efficientnet-lite0.safetensors";

/// Where it all is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assets {
    /// The agent's binary.
    pub agent: PathBuf,
    /// The folder or zip file with pictures.
    pub samples: PathBuf,
    /// The folder with pretrained weights.
    pub weights: PathBuf,
}

impl Assets {
    /// Looks beside this binary, up from it, up from the working directory; `data` are other
    /// pictures than the bundled ones.
    pub fn find(data: Option<PathBuf>) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("cannot tell where this binary lies")?;
        let beside = own.parent().context("this binary lies in no folder")?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let agent = agent(beside, std::env::split_paths(&path))?;
        let roots =
            roots(std::env::var_os("VIGIE_DATA").map(PathBuf::from), beside, std::env::current_dir().ok());
        let weights = find(&roots, &format!("{WEIGHTS}/{WEIGHTS_FILE}"), "pretrained weights")?;
        let weights = weights.parent().unwrap_or(&weights).to_owned();
        let samples = match data {
            Some(data) if data.exists() => data,
            Some(data) => {
                return Err(Failure::new(Exit::NotFound, format!("{} does not exist", data.display())).into());
            }
            None => find(&roots, SAMPLES, "sample pictures")?,
        };
        Ok(Self { agent, samples, weights })
    }
}

fn agent(beside: &Path, path: impl Iterator<Item = PathBuf>) -> Result<PathBuf, Failure> {
    std::iter::once(beside.to_owned())
        .chain(path)
        .map(|folder| folder.join(AGENT))
        .find(|agent| agent.is_file())
        .ok_or_else(|| {
            Failure::new(Exit::NotFound, format!("{AGENT} is neither beside this binary nor on the PATH"))
                .hint("`cargo build --release` in the repository builds both")
        })
}

/// Folders that may hold `samples/` and `weights/`, the likeliest first.
fn roots(named: Option<PathBuf>, beside: &Path, working: Option<PathBuf>) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = named.into_iter().collect();
    roots.push(beside.join("share/vigie"));
    roots.extend(beside.parent().map(|prefix| prefix.join("share/vigie")));
    roots.extend(beside.ancestors().map(|folder| folder.join("data")));
    roots.extend(working.iter().flat_map(|folder| folder.ancestors()).map(|folder| folder.join("data")));
    roots
}

fn find(roots: &[PathBuf], file: &str, what: &str) -> Result<PathBuf, Failure> {
    roots.iter().map(|root| root.join(file)).find(|path| path.is_file()).ok_or_else(|| {
        Failure::new(
            Exit::NotFound,
            format!("the {what} ({file}) are neither beside this binary nor in a repository above it"),
        )
        .hint("run it from a clone of the repository, or set VIGIE_DATA to its data folder")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, b"").expect("written");
    }

    #[test]
    fn finds_a_repository_above_and_an_installation_beside() {
        let dir = tempfile::tempdir().expect("temp dir");
        let root = dir.path();
        touch(&root.join("repo/data").join(SAMPLES));
        touch(&root.join("usr/share/vigie").join(SAMPLES));
        for (beside, found) in [("repo/target/release", "repo/data"), ("usr/bin", "usr/share/vigie")] {
            let roots = roots(None, &root.join(beside), None);
            assert_eq!(find(&roots, SAMPLES, "pictures"), Ok(root.join(found).join(SAMPLES)));
        }
        // Binaries elsewhere, but started within the repository.
        let elsewhere = roots(None, Path::new("/nowhere/bin"), Some(root.join("repo/console")));
        assert!(find(&elsewhere, SAMPLES, "pictures").is_ok());
        let named = roots(Some(root.join("usr/share/vigie")), Path::new("/nowhere/bin"), None);
        assert!(find(&named, SAMPLES, "pictures").is_ok());
    }

    #[test]
    fn says_what_to_do_about_what_is_missing() {
        let failure = find(&[], SAMPLES, "sample pictures").expect_err("nowhere");
        assert_eq!(failure.exit, Exit::NotFound);
        assert!(failure.hint.is_some_and(|hint| hint.contains("VIGIE_DATA")));
        let failure = agent(Path::new("/nowhere"), std::iter::empty()).expect_err("nowhere");
        assert!(failure.hint.is_some_and(|hint| hint.contains("cargo build --release")));
    }
}
