//! Sources: where images come from again and again, and how they get to this machine.
//!
//! * An import of a URL or a Kaggle dataset is downloaded first ([`launch`]), by the agent itself,
//!   within the job: [`download`] with its [`part`] on disk, over [`http`], which knows which
//!   addresses are allowed ([`guard`]), who may hear the credentials ([`credentials`]), which way out
//!   there is ([`clients`]), and why a server is not trusted ([`certificate`]).
//! * [`check()`] looks whether a source has something new and submits its import; [`settle`] brings the
//!   source up to date once that has ended, by its policy; [`follow`] does so whenever a job ends.
//!
//! Nothing here opens a connection unless the configuration says so: without `[sources] enabled`,
//! there is no HTTP client at all.

mod backoff;
mod certificate;
mod check;
mod clients;
mod credentials;
mod download;
mod error;
mod follow;
mod guard;
mod http;
mod kaggle;
mod launch;
mod leftovers;
mod listing;
mod part;
mod settle;
mod teller;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::Mutex;
use vigie_protocol::job::ImportSource;
use vigie_protocol::source::{Revision, SourceOrigin};
use vigie_protocol::{ApiError, Hash, JobId};

use self::download::{Bounds, Download, content};
use self::error::SourceError;
use self::http::{Ask, Http};
use self::kaggle::Kaggle;
use self::part::Place;
use self::teller::Teller;
use crate::config::SourcesConfig;

pub use self::check::{Asker, check};
pub use self::follow::follow;
pub use self::launch::FetchingLauncher;
pub use self::leftovers::{Leftovers, collect as collect_leftovers, find as find_leftovers};

/// The folder of downloads in the state directory.
const DOWNLOADS: &str = "downloads";

/// What sources need of the agent.
#[derive(Debug)]
pub struct Sources {
    config: SourcesConfig,
    /// Absent when the configuration allows no outbound connections, or why it cannot be had.
    http: Result<Http, String>,
    downloads: PathBuf,
    /// Held while it is decided what becomes of what a check found: no source is imported twice.
    turn: Mutex<()>,
}

impl Sources {
    /// As configured, with downloads in the state directory `state`. Opens no connection.
    pub fn new(config: &SourcesConfig, state: &Path) -> Self {
        let http = match config.enabled {
            true => Http::new(config).map_err(|error| match error {
                SourceError::Client(why) => why,
                error => error.to_string(),
            }),
            false => Err(String::new()),
        };
        Self { config: config.clone(), http, downloads: state.join(DOWNLOADS), turn: Mutex::default() }
    }

    /// Where downloads lie.
    pub fn downloads(&self) -> &Path {
        &self.downloads
    }

    /// Whether downloads are possible; else why not, empty when the configuration does not want any.
    pub fn is_up(&self) -> Result<(), &str> {
        self.http.as_ref().map(drop).map_err(String::as_str)
    }

    /// Which way connections go out, without the proxy's credentials: `, through the proxy …`, or empty.
    pub fn way_out(&self) -> String {
        match self.config.proxy.is_empty() {
            true => String::new(),
            false => format!(", through the proxy {}", self.config.proxy),
        }
    }

    /// Refuses an import that cannot even begin.
    ///
    /// # Errors
    /// `Precondition` where no outbound connections are allowed, `Invalid` for a URL that is none.
    pub fn check_import(&self, source: &ImportSource) -> Result<(), ApiError> {
        match source {
            ImportSource::Url { url, .. } => Ask::of(url).and_then(|_| self.http()).map(drop),
            ImportSource::Kaggle { .. } => self.http().map(drop),
            ImportSource::Path { .. }
            | ImportSource::Blob { .. }
            | ImportSource::Manifest { .. }
            | ImportSource::Unknown => Ok(()),
        }
        .map_err(|error| error.refusal())
    }

    /// Refuses an origin that nothing could come from.
    ///
    /// # Errors
    /// As [`Sources::check_import`]; `Invalid` for a path that is not absolute.
    pub fn check_origin(&self, origin: &SourceOrigin) -> Result<(), ApiError> {
        match origin {
            SourceOrigin::Folder { path } | SourceOrigin::Zip { path } if !Path::new(path).is_absolute() => {
                Err(ApiError::invalid(format!("{path:?} is not an absolute path")))
            }
            SourceOrigin::Unknown => {
                Err(ApiError::invalid("this agent does not know that kind of origin; update it"))
            }
            origin => self.check_import(&origin.import(&Revision::Unknown)),
        }
    }

    /// Where credentials for Kaggle were found, and what is wrong with the place; nothing when there
    /// are none. Blocks.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn kaggle_credentials(&self) -> Result<Option<(String, Option<String>)>, String> {
        let found = credentials::find(&self.config.kaggle_credentials, &|name| std::env::var(name).ok());
        match found {
            Ok(found) => Ok(found.map(|found| (found.from, found.warning))),
            Err(error) => Err(crate::jobs::with_source(&error)),
        }
    }

    /// Brings what an import reads to this machine; says where it is. What comes stays when this is
    /// dropped, and the next call for the job goes on from there.
    async fn fetch(
        &self,
        job: JobId,
        source: &ImportSource,
        teller: &mut Teller,
    ) -> Result<PathBuf, SourceError> {
        let http = self.http()?;
        let SourcesConfig { max_download_gib, disk_reserve_mib, attempts, max_pause_s, .. } = self.config;
        let bounds = Bounds {
            max_bytes: max_download_gib << 30,
            reserve: disk_reserve_mib << 20,
            attempts,
            max_pause: Duration::from_secs(max_pause_s),
        };
        let (ask, name, checksum, announced) = match source {
            ImportSource::Url { url, checksum } => (Ask::of(url)?, url.clone(), *checksum, false),
            ImportSource::Kaggle { dataset, version } => {
                let kaggle = self.kaggle();
                let version = match version {
                    Some(version) => *version,
                    None => kaggle.newest(http, dataset).await?,
                };
                let name = format!("kaggle:{dataset}@{version}");
                (kaggle.download(dataset, version).await?, name, None, true)
            }
            ImportSource::Path { .. }
            | ImportSource::Blob { .. }
            | ImportSource::Manifest { .. }
            | ImportSource::Unknown => {
                let what = "what is on this machine needs no download".to_owned();
                return Err(SourceError::Odd { place: source.name().into_owned(), what });
            }
        };
        teller.note(&format!("downloading {}", ask.place)).await;
        let place = Place::new(&self.downloads, job);
        let source = Hash::of(name.as_bytes());
        Download { http, bounds, ask, source, checksum, announced, place }.run(teller).await
    }

    /// Removes what was downloaded for a job.
    ///
    /// # Errors
    /// When a file that is there cannot be removed.
    fn forget(&self, job: JobId) -> io::Result<()> {
        Place::new(&self.downloads, job).remove()
    }

    /// What an origin holds now.
    async fn look(&self, origin: &SourceOrigin) -> Result<Revision, SourceError> {
        match origin {
            SourceOrigin::Folder { path } => self.listing(path, listing::of_folder).await,
            SourceOrigin::Zip { path } => self.listing(path, listing::of_file).await,
            SourceOrigin::Url { url } => {
                let http = self.http()?;
                let ask = Ask { probe: true, ..Ask::of(url)? };
                let response = http.get(&ask).await?;
                match response.status() {
                    StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                        let (etag, modified, bytes) = content(&response);
                        Ok(Revision::Content { etag, modified, bytes })
                    }
                    _ => Err(http.complaint(&ask.place, response).await),
                }
            }
            SourceOrigin::Kaggle { dataset } => {
                let (http, kaggle) = (self.http()?, self.kaggle());
                let number = kaggle.newest(http, dataset).await?;
                Ok(Revision::Version { number })
            }
            SourceOrigin::Unknown => {
                let what = "is of a kind that this agent does not know".to_owned();
                Err(SourceError::Odd { place: "the source".to_owned(), what })
            }
        }
    }

    /// Whether what [`Sources::look`] found can be had.
    async fn probe(&self, origin: &SourceOrigin, revision: &Revision) -> Result<(), SourceError> {
        match (origin, revision) {
            (SourceOrigin::Kaggle { dataset }, Revision::Version { number }) => {
                self.kaggle().probe(self.http()?, dataset, *number).await
            }
            _ => Ok(()),
        }
    }

    async fn listing(
        &self,
        path: &str,
        look: impl FnOnce(&Path) -> io::Result<Revision> + Send + 'static,
    ) -> Result<Revision, SourceError> {
        let owned = PathBuf::from(path);
        let looked = tokio::task::spawn_blocking(move || look(&owned)).await;
        let looked = looked.unwrap_or_else(|error| Err(io::Error::other(error)));
        looked.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => SourceError::Vanished(path.to_owned()),
            io::ErrorKind::PermissionDenied => {
                SourceError::Forbidden { place: path.to_owned(), said: String::new() }
            }
            _ => SourceError::Io { what: path.to_owned(), source },
        })
    }

    fn http(&self) -> Result<&Http, SourceError> {
        self.http.as_ref().map_err(|why| match why.as_str() {
            "" => SourceError::Off,
            why => SourceError::Client(why.to_owned()),
        })
    }

    fn kaggle(&self) -> Kaggle {
        Kaggle { url: self.config.kaggle_url.clone(), credentials: self.config.kaggle_credentials.clone() }
    }

    /// How often and after which pauses a check asks again.
    fn patience(&self) -> (u32, Duration) {
        // Someone waits for the answer of a check; the next one comes anyway.
        (self.config.attempts.min(3), Duration::from_secs(self.config.max_pause_s.min(5)))
    }
}
