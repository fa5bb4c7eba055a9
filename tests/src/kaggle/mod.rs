//! Kaggle and its storage as sources meet them, on this machine: datasets with versions, downloads that
//! redirect to another host and port, and whatever can go wrong with them, by script.
//!
//! Kaggle's own client works against it too (`tests/peers/kaggle`).

mod api;
mod files;
mod http;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use self::http::{Answer, Request};

/// The token that gives access to what is not public.
pub const TOKEN: &str = "a-token-that-nobody-else-may-see";

/// A server that goes on until it is dropped.
#[derive(Debug)]
pub struct FakeKaggle {
    api: SocketAddr,
    storage: SocketAddr,
    world: Shared,
    servers: [JoinHandle<()>; 2],
}

type Shared = Arc<Mutex<World>>;

/// What the server has, and what it was asked.
#[derive(Debug, Default)]
struct World {
    datasets: HashMap<String, Dataset>,
    /// Files of the storage, by path.
    files: HashMap<String, File>,
    /// What happens to the next requests for a path, one each.
    faults: HashMap<String, VecDeque<Fault>>,
    seen: Vec<Seen>,
    /// Files that were ever put.
    puts: usize,
}

#[derive(Clone, Debug, Default)]
struct Dataset {
    denial: Option<Denial>,
    /// The paths of its versions' zip files in the storage.
    versions: BTreeMap<u64, String>,
}

#[derive(Clone, Debug)]
struct File {
    bytes: Arc<Vec<u8>>,
    etag: String,
    modified: String,
}

/// Why a dataset cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// It is not there.
    Vanished,
    /// It is seen by nobody else.
    Forbidden,
    /// It is seen, and downloaded only by who accepted its licence.
    Licence,
}

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// So many bytes of the body come, then the connection ends.
    Truncate(usize),
    /// So many bytes of the body come, then nothing more until the client goes.
    Stall(usize),
    /// An answer with this status.
    Status(u16),
    /// Too many requests, with the seconds after which to come back.
    Busy(u64),
    /// A page for browsers in place of the file.
    Page,
    /// Bytes that are no HTTP.
    Garbage,
    /// A redirect to this URL.
    Redirect(String),
    /// All of the file, whatever range was asked for.
    IgnoreRange,
    /// The range that was asked for, from another place of the file.
    WrongRange,
    /// An answer that does not say how long it is.
    NoLength,
    /// The connection ends without a word.
    Hangup,
    /// The file becomes another one, and is answered.
    Replace(Vec<u8>),
}

/// Which of the two was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Kaggle itself.
    Api,
    /// The storage that downloads are redirected to.
    Storage,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Who was asked.
    pub side: Side,
    /// `GET /files/birds.zip?sig=1`.
    pub line: String,
    /// Its headers, in small letters.
    pub headers: HashMap<String, String>,
}

impl Seen {
    /// A header, if it came.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

impl FakeKaggle {
    /// Starts one on free ports.
    ///
    /// # Errors
    /// When there are none.
    pub async fn start() -> Result<Self> {
        let (api, storage) =
            (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let world = Shared::default();
        let (at_api, at_storage) = (api.local_addr()?, storage.local_addr()?);
        let servers = [
            tokio::spawn(serve(api, Side::Api, world.clone(), at_storage)),
            tokio::spawn(serve(storage, Side::Storage, world.clone(), at_storage)),
        ];
        Ok(Self { api: at_api, storage: at_storage, world, servers })
    }

    /// The base of its API: `http://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// The URL of a file in its storage.
    pub fn file_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.storage)
    }

    /// Puts a file into the storage under `/…`; a changed one has another entity tag.
    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        self.world().put(path, bytes);
    }

    /// Publishes a version of a dataset (`owner/slug`) and makes it the newest.
    pub fn publish(&self, dataset: &str, version: u64, zip: Vec<u8>) {
        let path = format!("/kaggle/{dataset}/{version}.zip");
        self.put(&path, zip);
        self.world().datasets.entry(dataset.to_owned()).or_default().versions.insert(version, path);
    }

    /// The path in the storage of a dataset's version.
    pub fn path_of(&self, dataset: &str, version: u64) -> String {
        format!("/kaggle/{dataset}/{version}.zip")
    }

    /// Denies a dataset, or no longer.
    pub fn deny(&self, dataset: &str, denial: Option<Denial>) {
        self.world().datasets.entry(dataset.to_owned()).or_default().denial = denial;
    }

    /// What happens to the next requests for a path (of either side, without query), one each.
    pub fn script(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.world().faults.entry(path.to_owned()).or_default().extend(faults);
    }

    /// The requests that came so far, of which none are kept.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.world().seen)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

impl World {
    fn put(&mut self, path: &str, bytes: Vec<u8>) {
        self.puts += 1;
        let etag = format!("\"{:x}-{:x}\"", bytes.len(), self.puts);
        let modified = "Sat, 21 Nov 2026 05:00:00 GMT".to_owned();
        self.files.insert(path.to_owned(), File { bytes: Arc::new(bytes), etag, modified });
    }
}

impl Drop for FakeKaggle {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, side: Side, world: Shared, storage: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let world = world.clone();
        tokio::spawn(async move {
            // A client that breaks its connection off is part of the play.
            let _ = answer(stream, side, &world, storage).await;
        });
    }
}

async fn answer(mut stream: TcpStream, side: Side, world: &Shared, storage: SocketAddr) -> Result<()> {
    let request = http::read(&mut stream).await?;
    // Some clients ask for both through one proxy.
    let side = if request.host == storage.to_string() { Side::Storage } else { side };
    let (answer, fault) = {
        let mut world = lock(world);
        world.seen.push(Seen { side, line: request.line(), headers: request.headers.clone() });
        let fault = world.faults.get_mut(&request.path).and_then(VecDeque::pop_front);
        if let Some(Fault::Replace(bytes)) = &fault {
            world.put(&request.path, bytes.clone());
        }
        (respond(&world, side, &request, fault.as_ref(), storage), fault)
    };
    http::write(&mut stream, answer, fault).await
}

fn respond(
    world: &World,
    side: Side,
    request: &Request,
    fault: Option<&Fault>,
    storage: SocketAddr,
) -> Answer {
    match fault {
        Some(Fault::Status(status)) => return Answer::error(*status, "as the script says"),
        Some(Fault::Busy(seconds)) => {
            return Answer::error(429, "slow down").with("Retry-After", &seconds.to_string());
        }
        Some(Fault::Page) => return Answer::new(200, "text/html", b"<html>Please log in</html>".to_vec()),
        Some(Fault::Redirect(to)) => return Answer::new(302, "text/plain", Vec::new()).with("Location", to),
        Some(
            Fault::Truncate(_)
            | Fault::Stall(_)
            | Fault::Garbage
            | Fault::IgnoreRange
            | Fault::WrongRange
            | Fault::NoLength
            | Fault::Hangup
            | Fault::Replace(_),
        )
        | None => {}
    }
    match side {
        Side::Api => api::respond(world, request, storage),
        Side::Storage => files::respond(world, request, fault),
    }
}
