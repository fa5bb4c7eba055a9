//! Sources: where a project's images come from again and again, and how far each was followed.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use crate::dataset::{DatasetRef, Lineage};
use crate::import::ImportOptions;
use crate::job::ImportSource;
use crate::{ChangeSetId, Hash, JobId, ProjectName, SourceName, Time};

/// Where a project's images come from, looked at again whenever someone or a schedule asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its project.
    pub project: ProjectName,
    /// Its name, unique in the project.
    pub name: SourceName,
    /// Where the images are.
    pub origin: SourceOrigin,
    /// Into which line they go.
    pub lineage: Lineage,
    /// How it is read.
    #[serde(default)]
    pub options: ImportOptions,
    /// Who decides on a new version's change-set.
    #[serde(default)]
    pub acceptance: Acceptance,
    /// Whether the version that was made is decoded into a pack at once.
    #[serde(default)]
    pub preprocess: bool,
    /// When it was set up.
    pub created: Time,
    /// By whom.
    pub by: String,
    /// How it was found at the last check.
    #[serde(default)]
    pub state: SourceState,
    /// Since when it is in that state.
    #[serde(default)]
    pub since: Time,
    /// What there is to say of that state: a reason, a hint.
    #[serde(default)]
    pub detail: String,
    /// When it was last checked.
    #[serde(default)]
    pub checked: Option<Time>,
    /// What the last check that reached it found there.
    #[serde(default)]
    pub latest: Option<Revision>,
    /// The last version whose change-set became part of the line. It stays good whatever becomes of
    /// the source.
    #[serde(default)]
    pub imported: Option<Imported>,
    /// A version on its way in.
    #[serde(default)]
    pub pending: Option<Pending>,
    /// A version whose change-set was rejected: it is not brought in again.
    #[serde(default)]
    pub declined: Option<Revision>,
    /// Rises with every change; what a change must name.
    pub generation: u64,
}

impl Source {
    /// One that nobody has looked at yet, read in the usual way.
    pub fn new(
        project: ProjectName,
        name: SourceName,
        origin: SourceOrigin,
        lineage: Lineage,
        created: Time,
        by: String,
    ) -> Self {
        Self {
            project,
            name,
            origin,
            lineage,
            options: ImportOptions::default(),
            acceptance: Acceptance::default(),
            preprocess: false,
            created,
            by,
            state: SourceState::Unchecked,
            since: created,
            detail: String::new(),
            checked: None,
            latest: None,
            imported: None,
            pending: None,
            declined: None,
            generation: 1,
        }
    }

    /// The same without what is secret in its URL: for whoever may look.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        self.origin = self.origin.redacted();
        self
    }
}

/// Where the images of a source are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceOrigin {
    /// A folder on the agent's machine.
    Folder {
        /// Absolute path.
        path: String,
    },
    /// A zip file on the agent's machine.
    Zip {
        /// Absolute path.
        path: String,
    },
    /// A zip file behind an `http` or `https` URL.
    Url {
        /// The URL; a user and password in it are sent to its host alone.
        url: String,
    },
    /// A Kaggle dataset.
    Kaggle {
        /// Which.
        dataset: KaggleDataset,
    },
    /// An origin this build does not know; nothing comes from it.
    #[serde(other)]
    Unknown,
}

impl SourceOrigin {
    /// What an import of the state `revision` of this origin reads.
    pub fn import(&self, revision: &Revision) -> ImportSource {
        match self {
            SourceOrigin::Folder { path } | SourceOrigin::Zip { path } => {
                ImportSource::Path { path: path.clone() }
            }
            SourceOrigin::Url { url } => ImportSource::Url { url: url.clone(), checksum: None },
            SourceOrigin::Kaggle { dataset } => ImportSource::Kaggle {
                dataset: dataset.clone(),
                version: match revision {
                    Revision::Version { number } => Some(*number),
                    Revision::Content { .. } | Revision::Listing { .. } | Revision::Unknown => None,
                },
            },
            SourceOrigin::Unknown => ImportSource::Unknown,
        }
    }

    /// The same without what is secret in its URL.
    #[must_use]
    pub fn redacted(self) -> Self {
        match self {
            SourceOrigin::Url { url } => SourceOrigin::Url { url: redacted_url(&url) },
            SourceOrigin::Folder { .. }
            | SourceOrigin::Zip { .. }
            | SourceOrigin::Kaggle { .. }
            | SourceOrigin::Unknown => self,
        }
    }
}

impl fmt::Display for SourceOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceOrigin::Folder { path } | SourceOrigin::Zip { path } => f.write_str(path),
            SourceOrigin::Url { url } => f.write_str(&redacted_url(url)),
            SourceOrigin::Kaggle { dataset } => write!(f, "kaggle:{dataset}"),
            SourceOrigin::Unknown => f.write_str("an unknown origin"),
        }
    }
}

/// Who decides on the change-set that a new version of a source becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Acceptance {
    /// A person.
    #[default]
    Ask,
    /// It is accepted by itself when it touches less than this share of the images that the line
    /// holds, and the first version of an empty line always; a person decides on the rest.
    Under {
        /// Percent of the line's images that may be added, removed, relabelled or moved.
        percent: f32,
    },
    /// A policy this build does not know: a person decides.
    #[serde(other)]
    Unknown,
}

/// How a source was found when it was last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Not looked at yet.
    #[default]
    Unchecked,
    /// It is there.
    Ok,
    /// It is there no more, or never was.
    Vanished,
    /// It is there, and not for us.
    Forbidden,
    /// Its owner wants a licence, rules or terms accepted first.
    Licence,
    /// Nobody answers, or not what they should.
    Unreachable,
    /// What it holds cannot be imported.
    Broken,
    /// A state this build does not know.
    #[serde(other)]
    Unknown,
}

impl SourceState {
    /// The word used on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceState::Unchecked => "unchecked",
            SourceState::Ok => "ok",
            SourceState::Vanished => "vanished",
            SourceState::Forbidden => "forbidden",
            SourceState::Licence => "licence",
            SourceState::Unreachable => "unreachable",
            SourceState::Broken => "broken",
            SourceState::Unknown => "unknown",
        }
    }
}

impl fmt::Display for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What tells one state of a source from the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Revision {
    /// Its owner numbers its versions.
    Version {
        /// The number, from 1.
        number: u64,
    },
    /// What its server says of the file. Two that are equal and say nothing tell nothing.
    Content {
        /// Its entity tag.
        #[serde(default)]
        etag: Option<String>,
        /// When it was last modified, as the server writes it.
        #[serde(default)]
        modified: Option<String>,
        /// Its length.
        #[serde(default)]
        bytes: Option<u64>,
    },
    /// The names, sizes and times of the files of this machine.
    Listing {
        /// Digest of all of it.
        digest: Hash,
        /// How many files.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A revision this build does not know; it is like no other.
    #[serde(other)]
    Unknown,
}

impl Revision {
    /// Whether both are the same state for certain.
    pub fn is_same(&self, other: &Revision) -> bool {
        match self {
            Revision::Content { etag: None, modified: None, bytes: None } | Revision::Unknown => false,
            _ => self == other,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Revision::Version { number } => write!(f, "version {number}"),
            Revision::Content { etag: Some(etag), .. } => write!(f, "the file tagged {etag}"),
            Revision::Content { modified: Some(modified), .. } => write!(f, "the file of {modified}"),
            Revision::Content { bytes: Some(bytes), .. } => write!(f, "the file of {bytes} bytes"),
            Revision::Content { .. } => f.write_str("a file without version"),
            Revision::Listing { digest, files: 1, .. } => write!(f, "the file {}", digest.short()),
            Revision::Listing { digest, files, .. } => write!(f, "{files} files {}", digest.short()),
            Revision::Unknown => f.write_str("an unknown version"),
        }
    }
}

/// A version of a source that became part of its line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Which.
    pub revision: Revision,
    /// When.
    pub at: Time,
    /// The dataset version that holds it; absent when there was nothing to hold.
    #[serde(default)]
    pub dataset: Option<DatasetRef>,
}

/// A version of a source on its way in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Which.
    pub revision: Revision,
    /// The job that imports it.
    pub job: JobId,
    /// The change-set it became, while someone has to decide on it.
    #[serde(default)]
    pub change_set: Option<ChangeSetId>,
    /// The change-set of an older version that nobody decided on: rejected as soon as this version has
    /// one of its own.
    #[serde(default)]
    pub supersedes: Option<ChangeSetId>,
    /// How often its import failed.
    #[serde(default)]
    pub failures: u32,
    /// When the job ended that failed last.
    #[serde(default)]
    pub failed: Option<Time>,
    /// Scheduled checks since then that let it rest.
    #[serde(default)]
    pub skipped: u32,
}

impl Pending {
    /// Failures of one version after which only a person has it tried again.
    pub const MAX_FAILURES: u32 = 5;

    /// A version whose import begins.
    pub fn new(revision: Revision, job: JobId, supersedes: Option<ChangeSetId>) -> Self {
        Self { revision, job, change_set: None, supersedes, failures: 0, failed: None, skipped: 0 }
    }

    /// Scheduled checks that will let a failed import rest before one tries it again: none after the
    /// first failure, then 1, 3, 7. Nothing when it is left to a person.
    pub fn checks_to_wait(&self) -> Option<u32> {
        let Self { failures, skipped, .. } = *self;
        let rest = 1_u32.checked_shl(failures.saturating_sub(1))?.saturating_sub(1);
        (failures < Self::MAX_FAILURES).then(|| rest.saturating_sub(skipped))
    }

    /// How often its import failed and what comes next: `failed twice; the next check tries again`.
    pub fn outlook(&self) -> String {
        let failed = match self.failures {
            0 | 1 => "failed once".to_owned(),
            2 => "failed twice".to_owned(),
            often => format!("failed {often} times"),
        };
        match self.checks_to_wait() {
            Some(0) => format!("{failed}; the next check tries again"),
            Some(1) => format!("{failed}; its schedule lets one check pass and tries again"),
            Some(more) => format!("{failed}; its schedule lets {more} checks pass and tries again"),
            None => format!("{failed}; it is tried again only when you check it yourself"),
        }
    }
}

/// A Kaggle dataset as its address names it: `owner/slug`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct KaggleDataset(String);

impl KaggleDataset {
    /// Its owner and its slug.
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or((&self.0, ""))
    }
}

impl fmt::Display for KaggleDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KaggleDataset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // It becomes a part of paths of URLs, hence the narrow alphabet.
        let is_part = |part: &str| {
            (1..=100).contains(&part.len())
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        match text.split_once('/') {
            Some((owner, slug)) if is_part(owner) && is_part(slug) => Ok(Self(text.to_owned())),
            _ => Err(format!("{text:?} is not a Kaggle dataset such as gpiosenka/100-bird-species")),
        }
    }
}

impl<'de> Deserialize<'de> for KaggleDataset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What the bytes of a download must come to. Written `sha256:…` or `blake3:…`, in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Their SHA-256 digest.
    Sha256([u8; 32]),
    /// Their BLAKE3 hash.
    Blake3(Hash),
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Checksum::Sha256(digest) => write!(f, "sha256:{}", Hash::from(*digest)),
            Checksum::Blake3(hash) => write!(f, "blake3:{hash}"),
        }
    }
}

impl FromStr for Checksum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex = |digits: &str| digits.parse::<Hash>().map_err(|error| error.to_string());
        match text.split_once(':') {
            Some(("sha256", digits)) => Ok(Self::Sha256(*hex(digits)?.as_bytes())),
            Some(("blake3", digits)) => Ok(Self::Blake3(hex(digits)?)),
            _ => Err(format!("{text:?} is not a checksum such as sha256:9f86… or blake3:af13…")),
        }
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A URL without what may be secret in it: its user and password, its query, its fragment. What is
/// no `http` or `https` URL is not shown at all.
pub fn redacted_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| is_web(scheme)) else {
        return "…".to_owned();
    };
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((_, host)) => ("…@", host),
        None => ("", authority),
    };
    let (path, query) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..at], "?…"),
        None => (rest, ""),
    };
    format!("{scheme}://{user}{host}{path}{query}")
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_imports_rest_longer_each_time() {
        for (failures, skipped, wait) in [
            (0, 0, Some(0)),
            (1, 0, Some(0)),
            (2, 0, Some(1)),
            (2, 1, Some(0)),
            (3, 1, Some(2)),
            (4, 0, Some(7)),
            (4, 99, Some(0)),
            (5, 0, None),
            (5, 99, None),
            (u32::MAX, 0, None),
        ] {
            let new = Pending::new(Revision::Version { number: 1 }, JobId::new(), None);
            let pending = Pending { failures, skipped, ..new };
            assert_eq!(pending.checks_to_wait(), wait, "{failures} {skipped}");
            let by_hand = pending.outlook().contains("only when you check it yourself");
            assert_eq!(by_hand, wait.is_none(), "{}", pending.outlook());
        }
    }

    #[test]
    fn secrets_of_urls_are_not_shown() {
        for (url, shown) in [
            ("https://example.org/birds.zip", "https://example.org/birds.zip"),
            ("https://example.org:8443/a/b.zip?sig=SECRET&x=1", "https://example.org:8443/a/b.zip?…"),
            ("https://alice:SECRET@example.org/b.zip", "https://…@example.org/b.zip"),
            ("https://alice:SEC@RET@example.org/b.zip", "https://…@example.org/b.zip"),
            ("https://example.org?SECRET", "https://example.org?…"),
            ("https://example.org/b.zip#SECRET", "https://example.org/b.zip?…"),
            ("https://example.org/a@b.zip", "https://example.org/a@b.zip"),
            ("https:alice:SECRET@example.org", "…"),
            ("ftp://alice:SECRET@example.org/b.zip", "…"),
            ("SECRET", "…"),
            ("", "…"),
        ] {
            assert_eq!(redacted_url(url), shown, "{url}");
        }
    }

    #[test]
    fn kaggle_datasets_are_two_plain_words() {
        for good in ["gpiosenka/100-bird-species", "a/b", "o_1/s.2"] {
            assert_eq!(good.parse::<KaggleDataset>().expect(good).to_string(), good);
        }
        for bad in ["", "a", "/", "a/", "/b", "a/b/c", "../b", "a/..", "a b/c", "é/b", "a/b?x=1", "a/%2e"] {
            assert!(bad.parse::<KaggleDataset>().is_err(), "{bad}");
        }
        assert_eq!("a/b".parse::<KaggleDataset>().expect("one").parts(), ("a", "b"));
    }

    #[test]
    fn checksums_say_of_which_kind_they_are() {
        let digits = "ab".repeat(32);
        for kind in ["sha256", "blake3"] {
            let text = format!("{kind}:{digits}");
            assert_eq!(text.parse::<Checksum>().expect("one").to_string(), text);
        }
        for bad in ["", &digits, "md5:ab", "sha256:ab", "sha256:", &format!("sha512:{digits}")] {
            assert!(bad.parse::<Checksum>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_tells_something_is_the_same() {
        let content = |etag: Option<&str>, bytes| Revision::Content {
            etag: etag.map(str::to_owned),
            modified: None,
            bytes,
        };
        assert!(content(Some("a"), None).is_same(&content(Some("a"), None)));
        assert!(!content(Some("a"), Some(1)).is_same(&content(Some("b"), Some(1))));
        assert!(!content(None, None).is_same(&content(None, None)));
        assert!(!Revision::Unknown.is_same(&Revision::Unknown));
        assert!(Revision::Version { number: 2 }.is_same(&Revision::Version { number: 2 }));
    }
}
