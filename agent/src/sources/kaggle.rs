//! The part of Kaggle's API that sources need: which version a dataset has, and where it lies.

use std::path::PathBuf;

use reqwest::header::HeaderValue;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use vigie_protocol::source::KaggleDataset;

use super::credentials;
use super::error::SourceError;
use super::http::{Ask, Http};

/// The most of an answer about a dataset, which has its description and all its versions, in bytes.
const MAX_VIEW: usize = 16 << 20;

/// Kaggle, as it is configured.
#[derive(Clone, Debug)]
pub(super) struct Kaggle {
    pub(super) url: String,
    /// The configured file; empty for the usual places.
    pub(super) credentials: PathBuf,
}

/// What Kaggle says of a dataset. It says much more.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    current_version_number: Option<u64>,
}

impl Kaggle {
    /// The newest version of a dataset.
    pub(super) async fn newest(&self, http: &Http, dataset: &KaggleDataset) -> Result<u64, SourceError> {
        let (owner, slug) = dataset.parts();
        let ask = self.ask(dataset, &format!("/api/v1/datasets/view/{owner}/{slug}")).await?;
        let response = http.get(&ask).await?;
        if response.status() != StatusCode::OK {
            return Err(http.complaint(&ask.place, response).await);
        }
        let odd = |what: &str| SourceError::Odd { place: ask.place.clone(), what: what.to_owned() };
        let body = http.whole(&ask.place, response, MAX_VIEW).await?;
        let view: View =
            serde_json::from_slice(&body).map_err(|_| odd("is described by an answer that is no JSON"))?;
        match view.current_version_number {
            Some(number) if number > 0 => Ok(number),
            _ => Err(odd("has no version yet")),
        }
    }

    /// The request for a version's zip file; it is redirected to where that lies.
    pub(super) async fn download(&self, dataset: &KaggleDataset, version: u64) -> Result<Ask, SourceError> {
        let (owner, slug) = dataset.parts();
        let path = format!("/api/v1/datasets/download/{owner}/{slug}?datasetVersionNumber={version}");
        let ask = self.ask(dataset, &path).await?;
        Ok(Ask { place: format!("Kaggle dataset {dataset} version {version}"), ..ask })
    }

    /// Whether a version could be downloaded, without doing it: datasets may be seen by those who must
    /// not have them, or not before they accepted a licence.
    pub(super) async fn probe(
        &self,
        http: &Http,
        dataset: &KaggleDataset,
        version: u64,
    ) -> Result<(), SourceError> {
        let ask = Ask { probe: true, ..self.download(dataset, version).await? };
        // What it redirects to is not asked: it is made for one download.
        let response = http.get_once(&ask, &ask.url, true).await?;
        match response.status() {
            status if status.is_redirection() || status.is_success() => Ok(()),
            _ => Err(http.complaint(&ask.place, response).await),
        }
    }

    async fn ask(&self, dataset: &KaggleDataset, path: &str) -> Result<Ask, SourceError> {
        let text = format!("{}{path}", self.url.trim_end_matches('/'));
        let url: Url = text
            .parse()
            .map_err(|_| SourceError::Url { url: self.url.clone(), reason: "it is not a valid URL" })?;
        let place = format!("Kaggle dataset {dataset}");
        let authorization = self.authorization().await?;
        Ok(Ask { url, place, authorization, from: None, probe: false, if_range: None })
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, SourceError> {
        let configured = self.credentials.clone();
        let find = move || credentials::find(&configured, &|name| std::env::var(name).ok());
        let found = tokio::task::spawn_blocking(find)
            .await
            .map_err(|error| SourceError::Client(error.to_string()))??;
        Ok(found.map(|found| {
            if let Some(warning) = found.warning {
                tracing::warn!("{warning}");
            }
            found.authorization
        }))
    }
}
