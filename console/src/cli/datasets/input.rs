//! What `vigie datasets import` reads.

use std::path::{Path, PathBuf};

use clap::Args;
use vigie_protocol::job::ImportSource;
use vigie_protocol::source::{Checksum, KaggleDataset};

use super::import_source;
use crate::exit::Failure;
use crate::session::Session;

/// A file or folder, or what the agent downloads.
#[derive(Clone, Debug, Args)]
pub struct Input {
    /// The folder or zip file
    #[arg(required_unless_present_any = ["url", "kaggle"])]
    source: Option<PathBuf>,
    /// A zip file for the agent to download, behind an http or https URL
    #[arg(long, value_name = "URL", conflicts_with = "source")]
    url: Option<String>,
    /// What its bytes must come to: sha256:… or blake3:…
    #[arg(long, value_name = "SUM", requires = "url")]
    checksum: Option<Checksum>,
    /// A Kaggle dataset for the agent to download
    #[arg(long, value_name = "OWNER/DATASET", conflicts_with_all = ["source", "url"])]
    kaggle: Option<KaggleDataset>,
    /// Which of its versions; the newest when absent
    #[arg(long, value_name = "NUMBER", requires = "kaggle")]
    version: Option<u64>,
    /// Send the zip file to the agent, although the agent could read it where it is
    #[arg(long, requires = "source")]
    upload: bool,
}

impl Input {
    /// The folder or zip file, when it is on this machine.
    pub fn path(&self) -> Option<&Path> {
        self.source.as_deref()
    }

    /// Whether it is sent to the agent, although that could read it where it is.
    pub fn is_sent(&self) -> bool {
        self.upload
    }

    /// What the job is to read.
    pub async fn source(self, session: &Session) -> Result<ImportSource, Failure> {
        let Self { source, url, checksum, kaggle, version, upload } = self;
        match (source, url, kaggle) {
            (Some(path), ..) => import_source(session, &path, upload).await,
            (None, Some(url), _) => Ok(ImportSource::Url { url, checksum }),
            (None, None, Some(dataset)) => Ok(ImportSource::Kaggle { dataset, version }),
            (None, None, None) => Err(Failure::usage("what is to be imported?")),
        }
    }
}
