//! What the console costs: from a key to its bytes, a refresh, a repaint, the first frame, memory over
//! a day. In front of 200 agents with 1,000,000 predictions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vigie::tui::event::Event;
use vigie::tui::state::State;
use vigie_protocol::wire::client::Dialer;
use vigie_protocol::{ApiError, ErrorCode};
use vigie_tests::console::{Console, clock_of};
use vigie_tests::fleet::{Fleet, FleetOptions};

const PATIENCE: Duration = Duration::from_secs(120);
/// The views that are measured, and how to get there.
const VIEWS: [&str; 10] = [
    "overview",
    "agents",
    "services",
    "projects",
    "jobs",
    "events",
    "models",
    "runs",
    "datasets",
    "predictions",
];

fn main() {
    // What `cargo bench` passes on; there is nothing to choose.
    let _ = std::env::args();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    first_frame(&runtime);
    let fleet = Arc::new(Fleet::new(&FleetOptions::default()));
    fleet.warm();
    let begun = Instant::now();
    let mut console = console(&fleet, (120, 40), &runtime);
    let there =
        |state: &State| state.fleet.agents.iter().filter(|agent| agent.snapshot.health.is_some()).count();
    assert!(console.until(PATIENCE, |state| there(state) == 200), "200 agents did not come");
    say("200 agents connected and told of", &format!("{:.2} s", begun.elapsed().as_secs_f64()));
    keys(&mut console);
    refresh(&fleet, &mut console);
    drop(console);
    repaint(&fleet, &runtime);
    day(&fleet, &runtime);
}

fn console(fleet: &Arc<Fleet>, size: (u16, u16), runtime: &tokio::runtime::Runtime) -> Console {
    let names = fleet.names().into_iter().enumerate();
    let agents = names.map(|(i, name)| (name, fleet.dialer(i))).collect();
    Console::new(agents, size, clock_of(fleet), runtime.handle())
}

/// Until the first bytes, with 200 agents of which none can be reached.
fn first_frame(runtime: &tokio::runtime::Runtime) {
    let nobody = || Dialer::new(|| async { Err(ApiError::new(ErrorCode::Unavailable, "nobody there")) });
    let mut times: Vec<f64> = (0..20)
        .map(|_| {
            let begun = Instant::now();
            let agents = (0..200).map(|i| (format!("agent-{i:03}"), nobody())).collect();
            let clock = Arc::new(vigie_protocol::Time::now);
            let mut console = Console::new(agents, (120, 40), clock, runtime.handle());
            console.pass(Duration::ZERO);
            assert!(console.written().bytes > 0, "nothing was drawn");
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    say("first frame, no agent reachable", &format!("{:.1} ms (slowest of 20)", quantile(&mut times, 100)));
}

/// From a key to its bytes, in every view and in a long list that is filtered and sorted.
fn keys(console: &mut Console) {
    let mut all = Vec::new();
    console.go("project birds@agent-000");
    for view in VIEWS {
        console.go(view);
        console.until(Duration::from_secs(5), |state| vigie::tui::shown_rows(state) > 0);
        let mut times = timed(console, "j j j k tab space space j k G g g ! ! s s s S", 10);
        say(&format!("key to bytes, {view}"), &summary(&mut times));
        all.extend(times);
    }
    console.go("predictions");
    let mut rows = 0;
    while rows < 20_000 {
        console.press("G");
        if !console.until(Duration::from_secs(20), |state| vigie::tui::shown_rows(state) > rows) {
            break;
        }
        rows = vigie::tui::shown_rows(console.state());
    }
    let mut times = timed(console, "j k G g g", 40);
    say(&format!("key to bytes, {rows} rows loaded"), &summary(&mut times));
    all.extend(times);
    console.press("/");
    let mut times = timed(console, "a backspace e backspace o backspace", 20);
    say(&format!("key to bytes, filter typed over {rows} rows"), &summary(&mut times));
    console.press("esc");
    all.extend(times);
    say("key to bytes, all of these", &summary(&mut all));
}

fn timed(console: &mut Console, keys: &str, times: usize) -> Vec<f64> {
    let mut taken = Vec::new();
    for _ in 0..times {
        for key in keys.split(' ') {
            taken.push(console.press(key).as_secs_f64() * 1e3);
        }
    }
    taken
}

/// What a second of a living fleet costs on a 120x40 terminal.
fn refresh(fleet: &Arc<Fleet>, console: &mut Console) {
    for view in VIEWS {
        console.go(view);
        console.until(Duration::from_secs(3), |state| vigie::tui::shown_rows(state) > 0);
        console.written();
        let mut bytes = Vec::new();
        for _ in 0..12 {
            fleet.tick(Duration::from_secs(1));
            // The collectors live in real time: they are given some of it.
            console.until(Duration::from_millis(700), |_| false);
            console.second(fleet.now());
            bytes.push(console.written().bytes as f64);
        }
        let (middle, most) = (quantile(&mut bytes, 50), quantile(&mut bytes, 100));
        say(&format!("bytes a second, {view}"), &format!("{middle:.0} (most {most:.0})"));
    }
}

/// A whole frame on a 200x50 terminal.
fn repaint(fleet: &Arc<Fleet>, runtime: &tokio::runtime::Runtime) {
    let mut console = console(fleet, (200, 50), runtime);
    assert!(
        console.until(PATIENCE, |state| state
            .fleet
            .agents
            .iter()
            .all(|agent| agent.snapshot.health.is_some()))
    );
    console.go("project birds@agent-000");
    let mut most = (0, "");
    for view in VIEWS {
        console.go(view);
        console.until(Duration::from_secs(5), |state| vigie::tui::shown_rows(state) > 0);
        console.pass(Duration::from_secs(1));
        console.written();
        console.tell(Event::Resize { width: 200, height: 50 });
        console.pass(Duration::from_secs(1));
        let bytes = console.written().bytes;
        say(&format!("full repaint at 200x50, {view}"), &format!("{bytes} bytes"));
        most = most.max((bytes, view));
    }
    say("full repaint at 200x50, the largest", &format!("{} bytes ({})", most.0, most.1));
}

/// Memory over a simulated day of the whole fleet.
fn day(fleet: &Arc<Fleet>, runtime: &tokio::runtime::Runtime) {
    let mut console = console(fleet, (120, 40), runtime);
    assert!(
        console.until(PATIENCE, |state| state
            .fleet
            .agents
            .iter()
            .all(|agent| agent.snapshot.health.is_some()))
    );
    let (mut sizes, mut known) = (Vec::new(), Vec::new());
    for hour in 0..24 {
        for _ in 0..60 {
            fleet.tick(Duration::from_secs(60));
            console.until(Duration::from_millis(50), |_| false);
            console.second(fleet.now());
        }
        console.go(VIEWS[hour % VIEWS.len()]);
        sizes.push(resident());
        // The fleet's own memory is in that figure: what the console knows is told apart.
        known.push(serde_json::to_vec(console.state()).map_or(0, |bytes| bytes.len() as u64));
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    say(
        "memory of fleet and console, after 1, 6, 12, 24 simulated hours",
        &format!(
            "{:.0}, {:.0}, {:.0}, {:.0} MiB",
            mib(sizes[0]),
            mib(sizes[5]),
            mib(sizes[11]),
            mib(sizes[23])
        ),
    );
    say(
        "what the console knows then, as JSON",
        &format!(
            "{:.1}, {:.1}, {:.1}, {:.1} MiB",
            mib(known[0]),
            mib(known[5]),
            mib(known[11]),
            mib(known[23])
        ),
    );
}

/// Bytes of memory that this process holds.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1_024
}

fn summary(times: &mut [f64]) -> String {
    let (p50, p99, most) = (quantile(times, 50), quantile(times, 99), quantile(times, 100));
    format!("p50 {p50:.2} ms, p99 {p99:.2} ms, slowest {most:.2} ms (n={})", times.len())
}

fn quantile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(0.0)
}

#[expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
fn say(what: &str, figure: &str) {
    println!("{what:<60} {figure}");
}
