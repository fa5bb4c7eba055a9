//! What the machine is doing: sampled now and then, read by whoever asks for the agent's health.

mod gpu;
mod host;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vigie_protocol::health::{GpuStats, HostStats};

/// Between two samples. CPU usage is the mean over it.
const PERIOD: Duration = Duration::from_secs(5);

/// The newest sample.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The machine.
    pub host: HostStats,
    /// Its GPUs.
    pub gpus: Vec<GpuStats>,
    /// Why there are no GPUs to report, when a driver is there and does not answer.
    pub gpu_fault: Option<String>,
}

/// Samples until `stop`; the receiver always holds the newest sample, the first one already.
pub async fn start(state_dir: PathBuf, stop: CancellationToken) -> watch::Receiver<Sample> {
    let take = |mut probes: Probes| async {
        // Reading /proc and asking the driver block; a panic in either must not end the agent.
        tokio::task::spawn_blocking(move || {
            let sample = probes.sample();
            (probes, sample)
        })
        .await
        .ok()
    };
    let probes = Probes { host: host::HostProbe::new(state_dir), gpu: gpu::GpuProbe::open() };
    let Some((mut probes, first)) = take(probes).await else {
        return watch::Sender::new(Sample::default()).subscribe();
    };
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let Some((returned, sample)) = take(probes).await else {
                tracing::error!("sampling the machine panicked; no more samples");
                return;
            };
            probes = returned;
            sender.send_replace(sample);
        }
    });
    receiver
}

struct Probes {
    host: host::HostProbe,
    gpu: gpu::GpuProbe,
}

impl Probes {
    fn sample(&mut self) -> Sample {
        let (gpus, gpu_fault) = match self.gpu.sample() {
            Ok(gpus) => (gpus, None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        Sample { host: self.host.sample(), gpus, gpu_fault }
    }
}
