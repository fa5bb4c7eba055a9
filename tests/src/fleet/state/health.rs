//! How the agent, its services and its machine are; who the caller is.

use vigie_protocol::access::Principal;
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::health::{
    AgentHealth, Environment, EnvironmentColour, Finding, GpuStats, HostStats, ServiceHealth, ServiceState,
};
use vigie_protocol::prediction::LogHealth;
use vigie_protocol::service::Empty;
use vigie_protocol::{AliasName, ApiError};

use super::super::dice::{mix, share};
use super::super::words::HOSTILE;
use super::{Character, State};

/// How often the machine is looked at, in seconds.
const SAMPLED: i64 = 5;

const GIB: u64 = 1 << 30;

impl State {
    pub(in super::super) fn whoami(&mut self, who: &Principal, _: Empty) -> Result<Principal, ApiError> {
        Ok(who.clone())
    }

    pub(in super::super) fn health(&mut self, _: &Principal, _: Empty) -> Result<AgentHealth, ApiError> {
        Ok(AgentHealth {
            agent: self.identity.id,
            version: self.version.clone(),
            started: self.started,
            now: self.now,
            state_dir: "/var/lib/vigie".to_owned(),
            device: self.identity.character.device().to_owned(),
            services: self.services.values().cloned().collect(),
            host: self.host(),
            gpus: self.gpus(),
            environment: self.environment(),
            prediction_log: LogHealth {
                pending: self.noise(8) % 12,
                shed: if self.identity.character == Character::Full { 214 } else { 0 },
                window_ms: 50,
            },
        })
    }

    /// Two of three are production.
    fn environment(&self) -> Option<Environment> {
        let (name, colour) = match self.identity.index % 3 {
            0 => ("staging", EnvironmentColour::Yellow),
            _ => ("production", EnvironmentColour::Red),
        };
        Some(Environment { name: name.to_owned(), colour })
    }

    pub(in super::super) fn doctor(&mut self, _: &Principal, _: Empty) -> Result<Vec<Finding>, ApiError> {
        let full = self.identity.character == Character::Full;
        let (disk, hint) = if full {
            let hint = "make room: `vigie blobs gc` shows what is not needed, `--remove` removes it";
            (ServiceState::Down, Some(hint))
        } else {
            (ServiceState::Up, None)
        };
        let free = self.host().disk_free as f64 / GIB as f64;
        let mut findings = vec![
            finding("disk", disk, format!("{free:.1} GiB free where the state lies"), hint),
            finding("weights", ServiceState::Up, "efficientnet-lite0, efficientnet-b0".to_owned(), None),
            finding("audit", ServiceState::Up, format!("{} lines, chain whole", self.audit.len()), None),
        ];
        let ailing = self.services.values();
        let ailing =
            ailing.filter(|service| matches!(service.state, ServiceState::Degraded | ServiceState::Down));
        findings.extend(ailing.map(|service| {
            let hint = "look at the agent's log, then start it again";
            finding(&service.name, service.state, service.detail.clone(), Some(hint))
        }));
        Ok(findings)
    }

    /// Says how a service is; tells the watchers when its state is new.
    pub(super) fn service(&mut self, name: &str, state: ServiceState, detail: impl Into<String>) {
        let (detail, now) = (detail.into(), self.now);
        let service = self.services.entry(name.to_owned()).or_insert_with(|| ServiceHealth {
            name: name.to_owned(),
            state: ServiceState::Unknown,
            since: now,
            detail: String::new(),
        });
        service.detail.clone_from(&detail);
        if service.state == state {
            return;
        }
        (service.state, service.since) = (state, now);
        let severity = match state {
            ServiceState::Down => Severity::Error,
            ServiceState::Degraded => Severity::Warning,
            ServiceState::Up | ServiceState::Starting | ServiceState::Off | ServiceState::Unknown => {
                Severity::Info
            }
        };
        let text = match detail.as_str() {
            "" => format!("{name} is {}", state.as_str()),
            detail => format!("{name} is {}: {detail}", state.as_str()),
        };
        self.event(None, severity, Subject::Service { name: name.to_owned(), state }, text);
    }

    /// Brings the services up, as a start does.
    pub(super) fn serve_again(&mut self) {
        self.service("store", ServiceState::Up, "");
        self.service("jobs", ServiceState::Up, "3 workers");
        self.service("device", ServiceState::Up, self.identity.character.device());
        match self.identity.character {
            Character::Full => {
                self.service("prediction-log", ServiceState::Degraded, "214 records shed: the disk is full");
            }
            _ => self.service("prediction-log", ServiceState::Up, ""),
        }
        match self.identity.character {
            Character::Broken => {
                let detail = format!("no driver answers: {}", HOSTILE[0]);
                self.service("telemetry", ServiceState::Down, detail);
                self.service("http", ServiceState::Starting, "waits for its port");
            }
            _ => self.service("telemetry", ServiceState::Up, ""),
        }
        let names: Vec<_> = self.projects.keys().cloned().collect();
        for name in names {
            let service = format!("serving:{name}");
            let production = self
                .projects
                .get(&name)
                .and_then(|project| project.aliases.get(&AliasName::production()).map(|row| row.alias.model));
            let now = self.now;
            match (production, self.projects.get_mut(&name)) {
                (Some(model), Some(project)) => {
                    project.log.begin(now, model);
                    self.service(&service, ServiceState::Up, format!("model {model}"));
                }
                _ => self.service(&service, ServiceState::Off, "no production model"),
            }
        }
    }

    /// Bits that change with every sample of the machine.
    fn noise(&self, n: u64) -> u64 {
        let sample = (self.now.as_micros() / 1_000_000).div_euclid(SAMPLED).cast_unsigned();
        mix(self.identity.seed ^ n, sample)
    }

    fn host(&self) -> HostStats {
        let seed = self.identity.seed;
        let busy = if self.jobs.unfinished() > 0 { 0.55 } else { 0.04 };
        let memory_total = [16, 32, 64, 128][(seed % 4) as usize] * GIB;
        let disk_total = 500 * GIB;
        let used = match self.identity.character {
            Character::Full => 0.998,
            _ => 0.2 + 0.5 * share(mix(seed, 21)),
        };
        // A fifth of the machines has a name that is no good for a terminal.
        let hostname = match self.identity.index % 5 {
            4 => format!("{} {}", self.identity.name, HOSTILE[(self.identity.index / 5 % 8) as usize]),
            _ => format!("{}.vigie.internal", self.identity.name),
        };
        let cores = [8, 16, 32, 4][(seed % 4) as usize];
        HostStats {
            hostname,
            cores,
            cpu: (busy + 0.3 * share(self.noise(1))).min(1.0) as f32,
            load1: f64::from(cores) * (busy + 0.2 * share(self.noise(2))),
            memory_total,
            memory_used: (memory_total as f64 * (0.3 + 0.1 * share(self.noise(3)))) as u64,
            disk_total,
            disk_free: (disk_total as f64 * (1.0 - used)) as u64,
            agent_memory: 90_000_000 + self.noise(4) % 40_000_000,
        }
    }

    fn gpus(&self) -> Vec<GpuStats> {
        let count = if self.identity.character == Character::Gpu { 2 } else { 0 };
        let gpu = |index: u32| {
            let n = 100 + u64::from(index) * 10;
            let busy = if self.jobs.unfinished() > 0 && index == 0 { 0.85 } else { 0.0 };
            let memory_total = 80 * GIB;
            GpuStats {
                index,
                name: "NVIDIA H100 80GB HBM3".to_owned(),
                busy: (busy + 0.1 * share(self.noise(n))) as f32,
                memory_total,
                memory_used: (memory_total as f64 * (busy * 0.7 + 0.01)) as u64,
                temperature: 34 + (busy * 40.0) as u32 + (self.noise(n + 1) % 4) as u32,
                power: (70.0 + busy * 480.0 + 20.0 * share(self.noise(n + 2))) as f32,
            }
        };
        (0..count).map(gpu).collect()
    }
}

fn finding(check: &str, state: ServiceState, detail: String, hint: Option<&str>) -> Finding {
    Finding { check: check.to_owned(), state, detail, hint: hint.map(str::to_owned) }
}
