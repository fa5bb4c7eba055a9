//! The agent's self-check: what is wrong, and what to do about it.

use std::time::SystemTime;

use vigie_core::infer;
use vigie_core::store::gc::{self, Named};
use vigie_protocol::Time;
use vigie_protocol::health::{Finding, ServiceState};

use crate::app::App;
use crate::sources::find_leftovers;

/// Free space below which someone should look, and below which someone must act, in bytes.
const DISK_LOW: u64 = 10 << 30;
const DISK_FULL: u64 = 1 << 30;

/// Looks at everything that can be looked at without changing it. Blocks.
pub fn examine(app: &App) -> Vec<Finding> {
    let mut findings = vec![disk(app), device(app), weights(app), audit(app), blobs(app), log(app)];
    findings.push(sources(app));
    findings.extend(downloads(app));
    findings
}

fn finding(check: &str, state: ServiceState, detail: String, hint: Option<&str>) -> Finding {
    Finding { check: check.to_owned(), state, detail, hint: hint.map(str::to_owned) }
}

fn disk(app: &App) -> Finding {
    let free = app.samples.borrow().host.disk_free;
    let state = match free {
        ..DISK_FULL => ServiceState::Down,
        DISK_FULL..DISK_LOW => ServiceState::Degraded,
        _ => ServiceState::Up,
    };
    let hint = (state != ServiceState::Up)
        .then_some("make room: `vigie blobs gc` shows what is not needed, `--remove` removes it");
    let detail = format!("{:.1} GiB free where the state lies", free as f64 / f64::from(1 << 30));
    finding("disk", state, detail, hint)
}

fn device(app: &App) -> Finding {
    let name = &app.config.agent.device;
    match infer::device::pick(name) {
        Ok(_) => finding("device", ServiceState::Up, format!("{name} is there"), None),
        Err(error) => finding(
            "device",
            ServiceState::Down,
            error.to_string(),
            Some("set agent.device to \"cpu\", or install the driver"),
        ),
    }
}

fn weights(app: &App) -> Finding {
    let folder = &app.config.agent.weights;
    let names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".safetensors").map(str::to_owned))
        .collect();
    if names.is_empty() {
        return finding(
            "weights",
            ServiceState::Degraded,
            format!("no pretrained weights in {}", folder.display()),
            Some("copy data/weights/*.safetensors of the release there, or set agent.weights"),
        );
    }
    finding("weights", ServiceState::Up, names.join(", "), None)
}

fn audit(app: &App) -> Finding {
    match app.state.audit.verify() {
        Ok(verdict) => match verdict.broken_at {
            None => finding("audit", ServiceState::Up, format!("{} lines, chain whole", verdict.lines), None),
            Some(place) => finding(
                "audit",
                ServiceState::Down,
                place,
                Some("the log was edited or damaged: compare it with a backup"),
            ),
        },
        Err(error) => finding("audit", ServiceState::Down, error.to_string(), None),
    }
}

fn blobs(app: &App) -> Finding {
    match gc::check(&app.state.catalog, &app.state.blobs, Time::now()) {
        Ok(Named { missing, .. }) if !missing.is_empty() => finding(
            "blobs",
            ServiceState::Down,
            format!("{} are missing, such as {}", missing.len(), missing[0]),
            Some("restore them from a backup"),
        ),
        Ok(Named { damaged, .. }) if !damaged.is_empty() => {
            finding("blobs", ServiceState::Down, damaged.join("; "), Some("restore them from a backup"))
        }
        Ok(Named { count, .. }) => finding(
            "blobs",
            ServiceState::Up,
            format!(
                "{count} that projects refer to are there; `vigie blobs gc` finds what nothing refers to"
            ),
            None,
        ),
        Err(error) => finding("blobs", ServiceState::Down, error.to_string(), None),
    }
}

fn sources(app: &App) -> Finding {
    match app.sources.is_up() {
        Err("") => {
            let detail = "no outbound connections ([sources] enabled is false)".to_owned();
            return finding("sources", ServiceState::Off, detail, None);
        }
        Err(why) => return finding("sources", ServiceState::Down, why.to_owned(), None),
        Ok(()) => {}
    }
    let out = app.sources.way_out();
    match app.sources.kaggle_credentials() {
        Ok(None) => {
            let detail =
                format!("downloads are allowed{out}; no credentials for Kaggle, public datasets need none");
            finding("sources", ServiceState::Up, detail, None)
        }
        Ok(Some((from, None))) => {
            let detail = format!("downloads are allowed{out}; credentials for Kaggle from {from}");
            finding("sources", ServiceState::Up, detail, None)
        }
        Ok(Some((_, Some(warning)))) => finding("sources", ServiceState::Degraded, warning, None),
        Err(error) => finding(
            "sources",
            ServiceState::Degraded,
            error,
            Some("see `vigie sources --help` for where credentials lie"),
        ),
    }
}

/// Downloads that nobody needs, if there are any.
fn downloads(app: &App) -> Option<Finding> {
    let (catalog, folder) = (&app.state.catalog, app.sources.downloads());
    match find_leftovers(catalog, folder, SystemTime::now(), gc::GRACE) {
        Ok(left) if left.files.is_empty() => None,
        Ok(left) => {
            let first = left.files[0].display();
            let detail = format!(
                "{} files of {} MiB that no job needs any more, such as {first}",
                left.files.len(),
                left.bytes >> 20
            );
            let hint = Some("`vigie blobs gc --remove` removes them");
            Some(finding("downloads", ServiceState::Degraded, detail, hint))
        }
        Err(error) => Some(finding("downloads", ServiceState::Down, error.to_string(), None)),
    }
}

fn log(app: &App) -> Finding {
    let health = app.serving.recorder().health();
    let shed = health.log.shed + health.pictures_shed;
    let state = if shed == 0 { ServiceState::Up } else { ServiceState::Degraded };
    let detail = format!(
        "{} records waiting, {} records and {} pictures shed since the start",
        health.log.pending, health.log.shed, health.pictures_shed
    );
    finding("prediction-log", state, detail, (shed > 0).then_some("the disk is too slow or full"))
}
