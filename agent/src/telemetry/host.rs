//! Cores, memory, disk, and the agent's own size.

use std::path::PathBuf;

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use vigie_protocol::health::HostStats;

pub(super) struct HostProbe {
    /// Absent where the system tells nothing of itself.
    system: Option<System>,
    state_dir: PathBuf,
    agent: Pid,
}

impl HostProbe {
    pub(super) fn new(state_dir: PathBuf) -> Self {
        let system = System::new().inspect_err(|error| tracing::warn!(%error, "no figures of this machine"));
        Self { system: system.ok(), state_dir, agent: Pid::from_u32(std::process::id()) }
    }

    pub(super) fn sample(&mut self) -> HostStats {
        let (disk_total, disk_free) = rustix::fs::statvfs(&self.state_dir)
            .map_or((0, 0), |disk| (disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize));
        let mut stats = HostStats {
            hostname: System::host_name().unwrap_or_default(),
            load1: System::load_average().map_or(0.0, |load| load.one),
            disk_total,
            disk_free,
            ..HostStats::default()
        };
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
            system.refresh_processes_specifics(
                ProcessesToUpdate::Some(&[self.agent]),
                true,
                ProcessRefreshKind::nothing().with_memory(),
            );
            stats.cores = u32::try_from(system.cpus().len()).unwrap_or(u32::MAX);
            stats.cpu = system.global_cpu_usage() / 100.0;
            stats.memory_total = system.total_memory();
            stats.memory_used = system.used_memory();
            stats.agent_memory = system.process(self.agent).map_or(0, sysinfo::Process::memory);
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_of_this_machine() {
        let sample = HostProbe::new(std::env::temp_dir()).sample();
        assert!(sample.cores >= 1 && sample.memory_total > sample.agent_memory);
        assert!(sample.agent_memory > 0 && sample.disk_total >= sample.disk_free);
    }
}
