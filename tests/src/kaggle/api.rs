//! Kaggle's API: the addresses that agents ask (`GET /api/v1/datasets/…`) and those that its own client
//! posts to (`POST /api/v1/datasets.DatasetApiService/…`).

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::{Dataset, Denial, TOKEN, World};

/// Answers a request.
pub(super) fn respond(world: &World, request: &Request, storage: SocketAddr) -> Answer {
    let Some(path) = request.path.strip_prefix("/api/v1/") else {
        return Answer::error(404, "not found");
    };
    let parts: Vec<&str> = path.split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["datasets", "view", owner, slug]) => {
            with_dataset(world, request, &format!("{owner}/{slug}"), view)
        }
        ("GET", ["datasets", "download", owner, slug]) => {
            let number = request.asked("datasetVersionNumber").and_then(|number| number.parse().ok());
            with_dataset(world, request, &format!("{owner}/{slug}"), |name, dataset| {
                download(name, dataset, number, storage)
            })
        }
        ("POST", ["datasets.DatasetApiService", method]) => {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            let name = format!("{}/{}", text("ownerSlug"), text("datasetSlug"));
            let number = body["datasetVersionNumber"].as_u64();
            with_dataset(world, request, &name, |name, dataset| match *method {
                "GetDataset" => view(name, dataset),
                "GetDatasetMetadata" => {
                    Answer::json(200, &json!({"info": {"licenses": [{"name": "CC0-1.0"}]}}))
                }
                "GetDatasetStatus" => Answer::json(200, &json!({"status": "ready"})),
                "ListDatasetFiles" => files(world, dataset),
                "DownloadDataset" => download(name, dataset, number, storage),
                _ => Answer::error(404, "no such method"),
            })
        }
        ("POST", ["security.OAuthService", "IntrospectToken"]) => {
            Answer::json(200, &json!({"active": true, "username": "alice", "userId": 1}))
        }
        _ => Answer::error(404, "not found"),
    }
}

/// The dataset, for who may see it.
fn with_dataset(
    world: &World,
    request: &Request,
    name: &str,
    answer: impl FnOnce(&str, &Dataset) -> Answer,
) -> Answer {
    let authorization = request.header("authorization");
    if authorization.is_some_and(|sent| sent.starts_with("Bearer ") && sent != format!("Bearer {TOKEN}")) {
        return Answer::error(401, "Unauthenticated");
    }
    match world.datasets.get(name) {
        Some(dataset) if dataset.denial == Some(Denial::Forbidden) && authorization.is_none() => {
            Answer::error(403, "Permission 'datasets.get' was denied")
        }
        Some(dataset) if dataset.denial != Some(Denial::Vanished) && !dataset.versions.is_empty() => {
            answer(name, dataset)
        }
        _ => Answer::error(404, "Dataset not found"),
    }
}

fn view(name: &str, dataset: &Dataset) -> Answer {
    let newest = dataset.versions.keys().next_back();
    let versions: Vec<Value> = dataset
        .versions
        .keys()
        .rev()
        .map(|number| json!({"versionNumber": number, "status": "Ready"}))
        .collect();
    Answer::json(
        200,
        &json!({
            "id": 7,
            "ref": name,
            "title": "Garden birds",
            "ownerRef": name.split('/').next(),
            "currentVersionNumber": newest,
            "lastUpdated": "2026-11-21T05:00:00.0000000Z",
            "licenseName": "CC0-1.0",
            "isPrivate": dataset.denial == Some(Denial::Forbidden),
            "versions": versions,
        }),
    )
}

fn files(world: &World, dataset: &Dataset) -> Answer {
    let newest = dataset.versions.values().next_back().and_then(|path| world.files.get(path));
    let size = newest.map_or(0, |file| file.bytes.len());
    let file = json!({"name": "images.zip", "totalBytes": size, "creationDate": "2026-11-21T05:00:00.0Z"});
    Answer::json(200, &json!({"datasetFiles": [file]}))
}

/// Redirects to where a version lies, under a signature that only this download has.
fn download(name: &str, dataset: &Dataset, number: Option<u64>, storage: SocketAddr) -> Answer {
    if dataset.denial == Some(Denial::Licence) {
        return Answer::error(403, &format!("You must accept the licence of {name} before downloading"));
    }
    let path = match number {
        Some(number) => dataset.versions.get(&number),
        None => dataset.versions.values().next_back(),
    };
    match path {
        Some(path) => {
            let to = format!("http://{storage}{path}?X-Goog-Signature=SECRET-SIGNATURE");
            Answer::new(302, "text/plain", Vec::new()).with("Location", &to)
        }
        None => Answer::error(404, "Dataset version not found"),
    }
}
