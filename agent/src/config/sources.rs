//! Whether and how the agent fetches data from elsewhere.

use std::fmt;
use std::path::PathBuf;

use reqwest::Url;
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
    /// The proxy that outbound connections go through; empty for none.
    pub proxy: ProxyUrl,
    /// Hosts that are asked without the proxy: names, with all below them, and addresses.
    pub no_proxy: Vec<String>,
    /// PEM file with certificates of authorities that are trusted beside the system's; empty for none.
    pub ca_file: PathBuf,
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
            proxy: ProxyUrl::default(),
            no_proxy: Vec::new(),
            ca_file: PathBuf::new(),
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
            proxy,
            no_proxy,
            ca_file: _,
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
        if !proxy.is_empty() && proxy.url().is_none() {
            return Err(ConfigError::Range {
                key: "sources.proxy",
                // It may hold a password, wherever that is in what cannot be read.
                value: "not usable".to_owned(),
                expected: "it must be http://HOST:PORT or https://HOST:PORT, perhaps with USER:PASSWORD@",
            });
        }
        if let Some(host) = no_proxy.iter().find(|host| !is_host(host)) {
            return Err(ConfigError::Range {
                key: "sources.no_proxy",
                value: format!("{host:?} in it"),
                expected: "it must be a list of host names and addresses, without ports",
            });
        }
        Ok(())
    }
}

/// A name, with or without a dot before it, or an address, with or without brackets.
fn is_host(text: &str) -> bool {
    let address: Option<std::net::IpAddr> = text.trim_matches(['[', ']']).parse().ok();
    let name = text.strip_prefix('.').unwrap_or(text);
    let is_name = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
    };
    address.is_some() || name.split('.').all(is_name)
}

/// The URL of a proxy, perhaps with a user and a password, which it shows to nobody: neither as text
/// nor in debug output.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProxyUrl(String);

impl ProxyUrl {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The URL with its secrets; nothing for what cannot be one of a proxy.
    pub(crate) fn url(&self) -> Option<Url> {
        let plain = self.0.starts_with("http://") || self.0.starts_with("https://");
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if !plain || self.0.len() > 2_048 || self.0.contains(odd) {
            return None;
        }
        let url: Url = self.0.parse().ok()?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        is_bare.then_some(url)
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.url() {
            Some(url) => f.write_str(&url.origin().ascii_serialization()),
            None if self.is_empty() => Ok(()),
            None => f.write_str("…"),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

impl From<&str> for ProxyUrl {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_shows_no_password() {
        for (text, usable, shown) in [
            ("", false, ""),
            ("http://proxy.example:3128", true, "http://proxy.example:3128"),
            ("http://al:SECRET@proxy.example:3128/", true, "http://proxy.example:3128"),
            ("https://al:SECRET@[2001:db8::1]:3129", true, "https://[2001:db8::1]:3129"),
            ("http://al:SEC/RET@proxy.example:3128", false, "…"),
            ("http://al:SECRET@proxy.example:3128/path", false, "…"),
            ("http://al:SECRET@proxy.example:3128/?SECRET", false, "…"),
            ("socks5://al:SECRET@proxy.example:1080", false, "…"),
            ("al:SECRET@proxy.example:3128", false, "…"),
            ("http://al:SEC RET@proxy.example", false, "…"),
            ("http://", false, "…"),
        ] {
            let proxy = ProxyUrl::from(text);
            assert_eq!((proxy.url().is_some(), proxy.to_string().as_str()), (usable, shown), "{text}");
            let config = SourcesConfig { proxy, ..SourcesConfig::default() };
            let checked = config.check();
            assert_eq!(checked.is_ok(), usable || text.is_empty(), "{text}");
            let said = format!("{config:?} {checked:?}");
            assert!(!said.contains("SEC") && !said.contains("RET"), "{said}");
        }
    }

    #[test]
    fn exceptions_are_hosts() {
        for (host, good) in [
            ("mirror.example", true),
            (".corp.example", true),
            ("10.0.0.1", true),
            ("[2001:db8::1]", true),
            ("bücher.example", true),
            ("", false),
            (".", false),
            ("*", false),
            ("*.example", false),
            ("http://mirror.example", false),
            ("mirror.example:80", false),
            ("10.0.0.0/8", false),
            ("a b", false),
        ] {
            let config = SourcesConfig { no_proxy: vec![host.to_owned()], ..SourcesConfig::default() };
            assert_eq!(config.check().is_ok(), good, "{host}");
        }
    }
}
