//! How agents are shown.

use vigie_protocol::health::{AgentHealth, Environment, GpuStats, HostStats, ServiceState};

use super::Answer;
use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, bytes, count, percent, when};

/// Agents, one a row.
pub fn list(answers: &[Answer<AgentHealth>]) -> Table {
    let mut table = Table::new(
        [
            Column::text("CONTEXT"),
            Column::text("ENVIRONMENT"),
            Column::text("STATE"),
            Column::text("VERSION"),
            Column::text("DEVICE"),
            Column::text("STARTED"),
            Column::figure("CPU"),
            Column::figure("MEMORY"),
            Column::flexible("TARGET"),
            Column::flexible("REMARK"),
        ],
        "no agents",
    );
    for Answer { context, target, answer, error } in answers {
        let mut row = vec![Cell::maybe(context.as_ref())];
        match answer {
            Some(health) => {
                let host = &health.host;
                row.extend([
                    environment(health.environment.as_ref()),
                    state(worst(health)),
                    health.version.as_str().into(),
                    health.device.as_str().into(),
                    age(health.now, health.started).into(),
                    percent(f64::from(host.cpu)).into(),
                    bytes(host.agent_memory).into(),
                    target.as_str().into(),
                    remark(health).into(),
                ]);
            }
            None => {
                row.extend([Cell::none(), Cell::toned("no answer", Tone::Bad)]);
                row.extend(std::iter::repeat_n(Cell::none(), 5));
                row.extend([target.as_str().into(), Cell::maybe(error.as_ref())]);
            }
        }
        table.row(row);
    }
    table
}

/// What an agent is for, in the colour that its configuration gives it.
fn environment(environment: Option<&Environment>) -> Cell {
    match environment {
        Some(Environment { name, colour }) => Cell::toned(name, Tone::Environment(*colour)),
        None => Cell::none(),
    }
}

/// The state of the service that is worst off.
fn worst(health: &AgentHealth) -> ServiceState {
    let rank = |state: ServiceState| match state {
        ServiceState::Off => 0,
        ServiceState::Up => 1,
        ServiceState::Unknown => 2,
        ServiceState::Starting => 3,
        ServiceState::Degraded => 4,
        ServiceState::Down => 5,
    };
    health
        .services
        .iter()
        .map(|service| service.state)
        .max_by_key(|&state| rank(state))
        .unwrap_or(ServiceState::Up)
}

/// The first service that is not well, and what it says.
fn remark(health: &AgentHealth) -> String {
    let ill = |state| matches!(state, ServiceState::Degraded | ServiceState::Down);
    let service = health.services.iter().find(|service| ill(service.state));
    service.map(|service| format!("{}: {}", service.name, service.detail)).unwrap_or_default()
}

/// A service's state in its colour.
pub fn state(state: ServiceState) -> Cell {
    let tone = match state {
        ServiceState::Up => Tone::Good,
        ServiceState::Starting | ServiceState::Degraded => Tone::Warn,
        ServiceState::Down => Tone::Bad,
        ServiceState::Off | ServiceState::Unknown => Tone::Dim,
    };
    Cell::toned(state.as_str(), tone)
}

/// An agent's services and its machine.
pub fn sheet(health: &AgentHealth, style: &Style) -> Sheet {
    let AgentHealth {
        agent,
        environment,
        version,
        started,
        now,
        state_dir,
        device,
        services,
        host,
        gpus,
        prediction_log,
    } = health;
    let HostStats {
        hostname,
        cores,
        cpu,
        load1,
        memory_total,
        memory_used,
        disk_total,
        disk_free,
        agent_memory,
    } = host;
    let mut rows = Table::new(
        [Column::text("SERVICE"), Column::text("STATE"), Column::text("SINCE"), Column::flexible("REMARK")],
        "no services",
    );
    for service in services {
        rows.row([
            service.name.as_str().into(),
            state(service.state),
            // By the agent's clock: ours may differ.
            age(*now, service.since).into(),
            service.detail.as_str().into(),
        ]);
    }
    let skew = style.now.since(*now).max(now.since(style.now));
    let sheet = Sheet::new()
        .field("Agent", agent.to_string())
        .field("Environment", self::environment(environment.as_ref()))
        .field("Version", version.as_str())
        .field("Started", when(*now, *started))
        .maybe("Clock", (skew.as_secs() > 5).then(|| format!("differs from yours by {} s", skew.as_secs())))
        .field("State", state_dir.as_str())
        .field("Device", device.as_str())
        .field(
            "Host",
            format!("{hostname}, {cores} cores, {} busy, load {load1:.2}", percent(f64::from(*cpu))),
        )
        .field(
            "Memory",
            format!("{} of {}; agent {}", bytes(*memory_used), bytes(*memory_total), bytes(*agent_memory)),
        )
        .field("Disk", format!("{} free of {}", bytes(*disk_free), bytes(*disk_total)))
        .field(
            "Prediction log",
            Cell::toned(
                format!(
                    "{} not durable yet (window {} ms), {} shed",
                    count(prediction_log.pending),
                    prediction_log.window_ms,
                    count(prediction_log.shed)
                ),
                if prediction_log.shed > 0 { Tone::Warn } else { Tone::Plain },
            ),
        );
    gpus.iter().fold(sheet, |sheet, gpu| sheet.field("GPU", self::gpu(gpu))).table("Services", rows)
}

fn gpu(gpu: &GpuStats) -> String {
    let GpuStats { index, name, busy, memory_total, memory_used, temperature, power } = gpu;
    format!(
        "cuda:{index} {name}, {} busy, {} of {}, {temperature} °C, {power:.0} W",
        percent(f64::from(*busy)),
        bytes(*memory_used),
        bytes(*memory_total)
    )
}
