//! A real agent over its Unix socket: what a call costs, what watching costs, what idling costs.
//!
//! `cargo build --release --workspace && cargo bench --workspace --bench rpc`: two minutes, of which
//! the agent idles one.

#[path = "../../core/benches/figures/mod.rs"]
mod figures;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;
use vigie_core::store::{Blobs, PredictionLog, State};
use vigie_protocol::blob::CHUNK_BYTES;
use vigie_protocol::dataset::{ChangeSet, ChangeSetState, Lineage};
use vigie_protocol::event::{Event, Subject, Update, WatchCursor};
use vigie_protocol::page::PageRequest;
use vigie_protocol::prediction::{Prediction, PredictionFilter, Scored, Timings};
use vigie_protocol::project::Project;
use vigie_protocol::review::FindingCounts;
use vigie_protocol::service::{
    BlobRead, ChangeSetDecide, ChangeSetGet, Empty, PredictionList, Watch, Watched,
};
use vigie_protocol::wire::{AgentClient, ClientOptions, Target};
use vigie_protocol::{ApiError, ChangeSetId, Hash, IdempotencyKey, ModelNumber, ProjectName, Time};
use vigie_tests::{Agent, AgentOptions};

use figures::{Times, figure};

const CALLS: usize = 5_000;
const PAGES: usize = 500;
const WATCHERS: usize = 64;
/// Changes that the watchers are told of, one after another.
const NEWS: usize = 100;
const IDLE: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let folder = tempfile::Builder::new().prefix("vigie-").tempdir_in("/tmp")?;
        let made = prepare(folder.path())?;
        let agent = Agent::start_on(
            folder.path().to_owned(),
            // The watchers are all of one user, and more than one user usually may be.
            &AgentOptions::default().with("VIGIE_CONNECTIONS_MAX_PER_USER", "128"),
        )
        .await?;
        calls(agent.client(), made.blob).await?;
        watching(&agent, &made.change_sets).await?;
        drop(agent);
        idling().await
    })
}

fn birds() -> ProjectName {
    "birds".parse().expect("a name")
}

struct Made {
    blob: Hash,
    change_sets: Vec<ChangeSetId>,
}

/// A state with predictions that fill pages, a large blob, and change-sets to decide.
fn prepare(folder: &Path) -> Result<Made> {
    let now = Time::now();
    let state = State::open(folder, now, None)?;
    let project = Project::new(birds(), now, "ada");
    state.catalog.create_project(&project, None)?;
    state.log.append(&(0..1_500).map(|_| (birds(), prediction(now))).collect::<Vec<_>>())?;
    let blob = state.blobs.put(&vec![7; 3 * CHUNK_BYTES])?;
    state.blobs.sync()?;
    let change_sets = (0..NEWS).map(|_| propose(&state, now)).collect::<Result<_>>()?;
    Ok(Made { blob, change_sets })
}

/// One that takes about a kilobyte, so that a thousand fill a page.
fn prediction(at: Time) -> Prediction {
    let scored = |n| Scored { class: format!("species {n:03}"), probability: 0.05 };
    Prediction {
        id: Uuid::now_v7().into(),
        at,
        model: ModelNumber(1),
        weights: Hash::of(b"weights"),
        image: Hash::of(b"image"),
        picture_kept: false,
        top: (0..20).map(scored).collect(),
        timings: Timings::default(),
        by: "ada".to_owned(),
        name: None,
        feedback: None,
    }
}

fn propose(state: &State, now: Time) -> Result<ChangeSetId> {
    let id = ChangeSetId::new();
    let set = ChangeSet {
        id,
        project: birds(),
        lineage: Lineage::Source,
        base: None,
        state: ChangeSetState::Proposed,
        origin: "import of birds.zip".to_owned(),
        created: now,
        by: "ada".to_owned(),
        manifest: Hash::of(b"manifest"),
        classes: BTreeMap::new(),
        result: BTreeMap::new(),
        bytes: 0,
        unchanged: 0,
        duplicates: 0,
        quarantine: Vec::new(),
        quarantined: 0,
        renames: Vec::new(),
        window: None,
        findings: FindingCounts::default(),
        left: BTreeMap::new(),
        accepted_as: None,
        decided: None,
        generation: 0,
    };
    state.catalog.propose(&set, None)?;
    Ok(id)
}

async fn calls(client: &AgentClient, blob: Hash) -> Result<()> {
    let mut empty = Times::default();
    for _ in 0..CALLS {
        let started = Instant::now();
        client.call(|client, context| async move { client.whoami(context, Empty {}).await }).await?;
        empty.add(started.elapsed());
    }
    figure("an empty call (whoami)", empty.summary(), "");

    let mut chunks = Times::default();
    for _ in 0..PAGES {
        let started = Instant::now();
        let request = BlobRead { hash: blob, offset: CHUNK_BYTES as u64 };
        let chunk =
            client.call(move |client, context| async move { client.blob_read(context, request).await });
        ensure!(chunk.await?.bytes.len() == CHUNK_BYTES, "a whole chunk");
        chunks.add(started.elapsed());
    }
    figure(&format!("a blob's chunk of {} KiB", CHUNK_BYTES >> 10), chunks.summary(), "");

    let (mut pages, mut bytes) = (Times::default(), 0);
    for _ in 0..PAGES / 5 {
        let started = Instant::now();
        let page = client.call(|client, context| async move {
            let page = PageRequest { cursor: None, limit: 1_000 };
            let request = PredictionList { project: birds(), filter: PredictionFilter::default(), page };
            client.prediction_list(context, request).await
        });
        let page = page.await?;
        pages.add(started.elapsed());
        bytes = serde_json::to_vec(&page)?.len();
        ensure!(page.items.len() > 500, "a full page");
    }
    let what = format!("a page of predictions, 1 MiB ({} KiB as JSON)", bytes >> 10);
    figure(&what, pages.summary(), "");
    Ok(())
}

/// Decides change-sets while many watch, and takes the time until each of them knows.
async fn watching(agent: &Agent, change_sets: &[ChangeSetId]) -> Result<()> {
    let (told, mut hearing) = mpsc::channel(WATCHERS);
    let mut watchers = JoinSet::new();
    for _ in 0..WATCHERS {
        // A connection each, as consoles have.
        let client = AgentClient::spawn(Target::Unix(agent.socket()), ClientOptions::new("watcher"));
        let start = watch(&client, None).await?;
        watchers.spawn(follow(client.with_timeout(Duration::from_secs(60)), start.next, told.clone()));
    }
    let (mut deciding, mut first, mut each, mut last) =
        (Times::default(), Times::default(), Times::default(), Times::default());
    for &change_set in change_sets {
        let request = ChangeSetDecide {
            key: IdempotencyKey::new(),
            project: birds(),
            change_set,
            expected_generation: generation(agent.client(), change_set).await?,
            accept: false,
            reason: None,
            selection: None,
        };
        let asked = Instant::now();
        let decide = agent.client().call(move |client, context| {
            let request = request.clone();
            async move { client.change_set_decide(context, request).await }
        });
        let decide = async { decide.await.map(|_| asked.elapsed()) };
        let hear = async {
            let mut heard = Vec::new();
            while heard.len() < WATCHERS {
                let (of, at): (ChangeSetId, Instant) = hearing.recv().await.context("watchers live")?;
                ensure!(of == change_set, "news come in order");
                heard.push(at.saturating_duration_since(asked));
            }
            Ok(heard)
        };
        let (decided, mut heard) = tokio::try_join!(async { Ok(decide.await?) }, hear)?;
        heard.sort();
        deciding.add(decided);
        first.add(heard[0]);
        heard.iter().for_each(|&time| each.add(time));
        last.add(heard[WATCHERS - 1]);
    }
    figure("a durable change (change_set_decide)", deciding.summary(), "");
    figure(&format!("  until the first of {WATCHERS} watchers knows"), first.summary(), "");
    figure("  until any of them knows", each.summary(), "");
    figure("  until all of them know", last.summary(), "");
    watchers.shutdown().await;
    Ok(())
}

async fn generation(client: &AgentClient, change_set: ChangeSetId) -> Result<u64> {
    let request = ChangeSetGet { project: birds(), change_set };
    let found = client.call(move |client, context| {
        let request = request.clone();
        async move { client.change_set_get(context, request).await }
    });
    Ok(found.await?.generation)
}

async fn watch(client: &AgentClient, cursor: Option<WatchCursor>) -> Result<Watched, ApiError> {
    let request = Watch { cursor, max_wait_ms: 25_000 };
    client.call(move |client, context| async move { client.watch(context, request).await }).await
}

/// Says when it hears of which change-set.
async fn follow(client: AgentClient, mut cursor: WatchCursor, told: mpsc::Sender<(ChangeSetId, Instant)>) {
    while let Ok(watched) = watch(&client, Some(cursor)).await {
        let now = Instant::now();
        cursor = watched.next;
        for update in watched.updates {
            if let Update::Event { event: Event { subject: Subject::ChangeSet { change_set }, .. } } = update
                && told.send((change_set, now)).await.is_err()
            {
                return;
            }
        }
    }
}

/// What a process did since it started.
struct Spent {
    cpu: Duration,
    switches: u64,
    threads: usize,
}

impl Spent {
    fn by(pid: u32) -> Result<Self> {
        let mut spent = Self { cpu: Duration::ZERO, switches: 0, threads: 0 };
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            // A thread may end meanwhile.
            let (Ok(times), Ok(status)) =
                (fs::read_to_string(task.join("schedstat")), fs::read_to_string(task.join("status")))
            else {
                continue;
            };
            let nanos = times.split_whitespace().next().context("schedstat")?.parse()?;
            spent.cpu += Duration::from_nanos(nanos);
            spent.switches += field(&status, "voluntary_ctxt_switches:")?;
            spent.switches += field(&status, "nonvoluntary_ctxt_switches:")?;
            spent.threads += 1;
        }
        Ok(spent)
    }
}

fn field(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context(name.to_owned())?;
    Ok(line.split_whitespace().next().context("a value")?.parse()?)
}

/// An agent that nobody asks anything, after it has settled.
async fn idling() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let before = Spent::by(agent.pid())?;
    tokio::time::sleep(IDLE).await;
    let after = Spent::by(agent.pid())?;
    let cpu = (after.cpu - before.cpu).as_secs_f64() / IDLE.as_secs_f64();
    let wakes = (after.switches - before.switches) as f64 / IDLE.as_secs_f64();
    figure("idle: processor", format!("{:.3} % of a core", cpu * 100.0), "");
    figure("idle: wake-ups", format!("{wakes:.1} a second, {} threads", after.threads), "a few a second");
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid()))?;
    let memory = [field(&status, "VmRSS:")? >> 10, field(&status, "VmHWM:")? >> 10];
    figure("idle: memory", format!("{} MiB, at most {} MiB", memory[0], memory[1]), "");
    Ok(())
}
