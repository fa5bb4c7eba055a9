//! Cores, memory, disk, and the agent's own size.

use std::path::PathBuf;

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use vigie_protocol::health::HostStats;

pub(super) struct HostProbe {
    system: System,
    state_dir: PathBuf,
    agent: Pid,
}

impl HostProbe {
    pub(super) fn new(state_dir: PathBuf) -> Self {
        Self { system: System::new(), state_dir, agent: Pid::from_u32(std::process::id()) }
    }

    pub(super) fn sample(&mut self) -> HostStats {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        self.system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[self.agent]),
            true,
            ProcessRefreshKind::nothing().with_memory(),
        );
        let (disk_total, disk_free) = rustix::fs::statvfs(&self.state_dir)
            .map_or((0, 0), |disk| (disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize));
        HostStats {
            hostname: System::host_name().unwrap_or_default(),
            cores: u32::try_from(self.system.cpus().len()).unwrap_or(u32::MAX),
            cpu: self.system.global_cpu_usage() / 100.0,
            load1: System::load_average().one,
            memory_total: self.system.total_memory(),
            memory_used: self.system.used_memory(),
            disk_total,
            disk_free,
            agent_memory: self.system.process(self.agent).map_or(0, sysinfo::Process::memory),
        }
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
