//! Whether and how the agent fetches data from elsewhere.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Fetching data from elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourcesConfig {
    /// Whether the agent opens outbound connections for sources at all.
    pub enabled: bool,
    /// Whether it also fetches from loopback, link-local and private addresses.
    pub allow_private: bool,
    /// Largest download, in GiB, 1–65,536.
    pub max_download_gib: u64,
    /// Room that a download leaves on the disk of the state directory, in MiB, 0–1,048,576.
    pub disk_reserve_mib: u64,
    /// Seconds without a byte after which a connection is given up, 1–3,600.
    pub stall_s: u64,
    /// Failures in a row, without a byte in between, after which a download fails, 1–100.
    pub attempts: u32,
    /// Longest pause between two attempts, in seconds, 1–3,600; also when a server asks for more.
    pub max_pause_s: u64,
    /// File with Kaggle's credentials (`access_token` or `kaggle.json`); empty for Kaggle's own
    /// variables and files.
    pub kaggle_credentials: PathBuf,
    /// Where Kaggle answers.
    pub kaggle_url: String,
}

impl Default for SourcesConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            allow_private: false,
            max_download_gib: 64,
            disk_reserve_mib: 2_048,
            stall_s: 60,
            attempts: 8,
            max_pause_s: 120,
            kaggle_credentials: PathBuf::new(),
            kaggle_url: "https://www.kaggle.com".to_owned(),
        }
    }
}

impl SourcesConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let Self {
            enabled: _,
            allow_private: _,
            max_download_gib,
            disk_reserve_mib,
            stall_s,
            attempts,
            max_pause_s,
            kaggle_credentials: _,
            kaggle_url,
        } = self;
        let ranges = [
            ("sources.max_download_gib", *max_download_gib, 1..=65_536, "it must be 1 to 65536"),
            ("sources.disk_reserve_mib", *disk_reserve_mib, 0..=1_048_576, "it must be 0 to 1048576"),
            ("sources.stall_s", *stall_s, 1..=3_600, "it must be 1 to 3600"),
            ("sources.attempts", u64::from(*attempts), 1..=100, "it must be 1 to 100"),
            ("sources.max_pause_s", *max_pause_s, 1..=3_600, "it must be 1 to 3600"),
        ];
        for (key, value, range, expected) in ranges {
            if !range.contains(&value) {
                return Err(ConfigError::Range { key, value: value.to_string(), expected });
            }
        }
        // Credentials go there: in the clear only as far as this machine.
        let local = ["http://localhost", "http://127.0.0.1"].iter().any(|local| {
            kaggle_url.strip_prefix(local).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        });
        if !local && !kaggle_url.starts_with("https://") {
            return Err(ConfigError::Range {
                key: "sources.kaggle_url",
                value: format!("{kaggle_url:?}"),
                expected: "it must begin with https://, or be on this machine",
            });
        }
        Ok(())
    }
}
