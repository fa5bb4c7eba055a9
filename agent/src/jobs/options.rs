//! What the job engine is configured with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use vigie_core::store::rebuildable::{features_path, pack_path, run_path};
use vigie_protocol::{Hash, JobId, RunId};

/// Options of the job engine.
#[derive(Clone, Debug)]
pub struct JobOptions {
    /// The state directory: blobs, packs, runs and job logs are folders of it.
    pub state: PathBuf,
    /// The folder with pretrained weights (`efficientnet-lite0.safetensors`).
    pub weights: PathBuf,
    /// The device that trainings and evaluations use: `cpu`, `cuda:0`.
    pub device: String,
    /// Jobs that run at the same time.
    pub max_workers: usize,
    /// Threads of each worker.
    pub worker_threads: usize,
    /// The most private memory of a worker, in MiB; absent leaves it to the system.
    pub memory_limit_mb: Option<u64>,
    /// Added to a worker's niceness, 0–19.
    pub nice: i32,
    /// How long a worker has between SIGTERM and SIGKILL when its job is cancelled.
    pub cancel_grace: Duration,
    /// The same when the agent stops.
    pub drain_grace: Duration,
    /// The most bytes that an imported archive may unpack to.
    pub max_unpacked_bytes: u64,
    /// Jobs that may be unfinished at once; more are refused.
    pub max_unfinished: usize,
}

impl JobOptions {
    /// The defaults for a state directory: the CPU, two workers of as many threads as the machine
    /// has, no memory limit.
    pub fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
            weights: state.join("weights"),
            device: "cpu".to_owned(),
            max_workers: 2,
            worker_threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory_limit_mb: None,
            nice: 5,
            cancel_grace: Duration::from_secs(10),
            drain_grace: Duration::from_secs(10),
            max_unpacked_bytes: 64 << 30,
            max_unfinished: 1_000,
        }
    }

    /// The folder of the job logs.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs/jobs")
    }

    /// The blob folder.
    pub(super) fn blobs(&self) -> PathBuf {
        self.state.join("blobs")
    }

    /// Where a pack is.
    pub(super) fn pack(&self, id: Hash) -> PathBuf {
        self.state.join(pack_path(id))
    }

    /// Where the features of a pack's images are.
    pub(super) fn features(&self, id: Hash) -> PathBuf {
        self.state.join(features_path(id))
    }

    /// A run's folder.
    pub(super) fn run(&self, run: RunId) -> PathBuf {
        self.state.join(run_path(run))
    }

    /// The folder of the imports' journals.
    pub(super) fn journals(&self) -> PathBuf {
        self.state.join("imports")
    }

    /// Where an import notes what it has measured, until it ends.
    pub(super) fn journal(&self, job: JobId) -> PathBuf {
        self.journals().join(format!("{job}.journal"))
    }

    /// The device as a worker sees it: the only one it may use is its first.
    pub(super) fn worker_device(&self) -> String {
        if self.device.starts_with("cuda:") { "cuda:0".to_owned() } else { self.device.clone() }
    }
}
