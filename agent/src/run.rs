//! A running agent from its start to its end.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use vigie_core::observe::Silent;
use vigie_core::store::gc::{self, GcPlan};
use vigie_core::store::log::LogWriter;
use vigie_core::store::{State, StoreError};
use vigie_core::{infer, vision};
use vigie_protocol::blob::GcReport;
use vigie_protocol::event::{Event, Severity, Subject, Update, WatchCursor};
use vigie_protocol::health::ServiceState;
use vigie_protocol::service::Watched;
use vigie_protocol::wire::unix::{BindError, Listener};
use vigie_protocol::wire::{Greeting, MAX_WAIT};
use vigie_protocol::{AliasName, Time};

use crate::access::Access;
use crate::app::{self, App};
use crate::config::{Config, ConnectionsConfig, ServingConfig};
use crate::hub::Hub;
use crate::jobs::{self, JobEngine, JobOptions, ProcessLauncher};
use crate::log::{self, LogRing};
use crate::rpc::blobs::Uploads;
use crate::rpc::{Api, Mutations, Reviews, Server, ServerOptions};
use crate::rules::{self, RulesHandle};
use crate::schedule::{self, Scheduler, SchedulerHandle};
use crate::services::Services;
use crate::serving::{self, Pool, Recorder, Serving};
use crate::sources::{self, FetchingLauncher, Sources};
use crate::telemetry;

/// Runs until a signal has stopped everything in order, or a second one at once.
///
/// # Errors
/// When the agent cannot start: the state cannot be opened, the socket is taken.
pub fn run(config: Config) -> anyhow::Result<()> {
    let log = log::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(config, log));
    // Dropped, it would wait for whatever blocks, however long: a backup, a collection, a disk that does
    // not answer. What is cut off is found at the next start.
    runtime.shutdown_timeout(if matches!(ended, Ok(End::Drained)) { DRAIN } else { Duration::ZERO });
    ended.map(drop)
}

/// How an agent ended.
enum End {
    /// Everything was brought to its end.
    Drained,
    /// A second signal did not wait for that.
    AtOnce,
}

async fn serve(config: Config, log: LogRing) -> anyhow::Result<End> {
    let started = Time::now();
    let mut signals = Signals::listen()?;
    let state = open_state(&config, started).await?;
    // The socket comes last of what can fail, and first of what others see.
    let listener = Listener::bind(&config.agent.socket).await.map_err(cannot_listen)?;
    let stop = CancellationToken::new();
    let (app, engine) = assemble(config, log, state, started, stop.clone()).await?;
    let jobs = tokio::spawn(engine.run(stop.clone()));

    let greeting = Greeting {
        agent_id: app.state.agent,
        epoch: app.hub.epoch(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let access = Access::new(app.config.access.clone(), rustix::process::geteuid().as_raw());
    let answerer = app.clone();
    let options = server_options(&app.config.connections);
    let server =
        Server::new(listener, greeting, access, options, move |session| Api::new(session, answerer.clone()));
    let answering = tokio::spawn(server.run(stop.clone()));
    tokio::spawn(watch_services(app.clone(), stop.clone()));
    let (world, catalog) = (Arc::new(schedule::Agent(app.clone())), app.state.catalog.clone());
    let scheduler = Scheduler::new(world, catalog, app.schedules.clone());
    let scheduling = tokio::spawn(scheduler.run(stop.clone()));
    let ruling = tokio::spawn(rules::run(app.clone(), stop.clone()));
    tokio::spawn(wake_on_events(app.clone(), stop.clone()));
    tokio::spawn(erase_after_jobs(app.clone(), stop.clone()));
    tokio::spawn(sources::follow(app.clone(), stop.clone()));
    tokio::spawn(catch_up_draws(app.clone()));
    load_production(&app).await;
    app.serving.set_ready();
    app.event(None, Severity::Info, Subject::Agent, "the agent started".to_owned()).await;
    tracing::info!(
        socket = %app.config.agent.socket.display(),
        state = %app.config.agent.state.display(),
        device = app.config.agent.device,
        "ready"
    );
    notify(NotifyState::Ready);

    let signal = signals.next().await;
    tracing::info!(signal, "stopping; a second signal does not wait");
    notify(NotifyState::Stopping);
    app.event(None, Severity::Info, Subject::Agent, format!("the agent stops on {signal}")).await;
    stop.cancel();
    let drained = async {
        // Requests first: they may still ask for jobs. So may schedules and rules.
        report(answering.await);
        report(scheduling.await);
        report(ruling.await);
        let left = app.mutations.drain(DRAIN).await;
        if left > 0 {
            tracing::warn!(left, "changes were cut off");
        }
        report(jobs.await);
        let flushing = app.clone();
        report(tokio::task::spawn_blocking(move || flushing.serving.recorder().flush(DRAIN)).await.map(drop));
    };
    tokio::select! {
        () = drained => {
            tracing::info!("stopped");
            Ok(End::Drained)
        }
        signal = signals.next() => {
            tracing::warn!(signal, "stopped at once; jobs are taken up at the next start");
            Ok(End::AtOnce)
        }
    }
}

/// What an earlier agent logged and did not come to draw from.
async fn catch_up_draws(app: Arc<App>) {
    if let Err(error) = app.store(|state| state.catalog.catch_up_draws(&*state.log, Time::now())).await {
        tracing::warn!(%error, "the audit sample may lack predictions of before the start");
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a part of the agent ended badly");
    }
}

async fn open_state(config: &Config, now: Time) -> anyhow::Result<Arc<State>> {
    let dir = config.agent.state.clone();
    let shown = dir.display().to_string();
    let open = move || {
        // After a crash the database reads itself through; systemd must know that it is no hang.
        let repairing = Box::new(|share: f64| {
            tracing::info!("checking the store after a crash: {:.0} %", share * 100.0);
            notify(NotifyState::Status(&format!("checking the store: {:.0} %", share * 100.0)));
            notify(NotifyState::ExtendTimeoutUsec(60_000_000));
        });
        State::open(&dir, now, Some(repairing))
    };
    let opened = tokio::task::spawn_blocking(open).await?;
    let state = opened.map_err(|error| match error {
        StoreError::Locked(_) => anyhow::anyhow!("{error}; is another agent running on {shown}?"),
        StoreError::Newer { .. } => anyhow::anyhow!("{error}; {shown} needs a newer vigie-agent"),
        StoreError::Damaged { .. } => anyhow::anyhow!(
            "{error}; `vigie-agent store check` says what is left, `vigie-agent restore` takes a backup"
        ),
        StoreError::Io { what, source } if source.kind() == io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!(
                "cannot open the state in {shown}: {what}: {source}; all of it must belong to the user \
                 that the agent runs as (uid {}): chown it, or choose another place with --state",
                rustix::process::geteuid().as_raw()
            )
        }
        error => anyhow::Error::new(error).context(format!("cannot open the state in {shown}")),
    })?;
    Ok(Arc::new(state))
}

/// Why there is no socket, and what to do about its folder.
fn cannot_listen(error: BindError) -> anyhow::Error {
    let BindError::Io { path, source } = error else { return error.into() };
    let advice = match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => format!(
            "; the user that the agent runs as (uid {}) must be able to write in its folder; or choose \
             another place with --socket",
            rustix::process::geteuid().as_raw()
        ),
        io::ErrorKind::NotFound => "; make its folder, or choose another place with --socket".to_owned(),
        _ => String::new(),
    };
    anyhow::anyhow!("cannot listen on {}: {source}{advice}", path.display())
}

/// Every part of an agent, put together; nothing of it answers anybody yet.
pub(crate) async fn assemble(
    config: Config,
    log: LogRing,
    state: Arc<State>,
    started: Time,
    stop: CancellationToken,
) -> anyhow::Result<(Arc<App>, JobEngine)> {
    let hub = Arc::new(Hub::new(rand::random()));
    let services = Arc::new(Services::default());
    let draw = serving::drawing(state.catalog.clone());
    let writer = LogWriter::start_and_tell(state.log.clone(), config.serving.log_queue, draw)
        .context("cannot start the prediction log")?;
    let recorder = Recorder::start(state.blobs.apart(), writer)?;
    let serving = Serving::new(start_pool(&config.serving)?, limits(&config.serving), recorder);
    let sink = Arc::new(HubSink { hub: hub.clone(), state: state.clone() });
    let sources = Arc::new(Sources::new(&config.sources, &config.agent.state));
    let (collected, downloads) = (state.clone(), sources.downloads().to_owned());
    let collect: jobs::Collector = Arc::new(move |dry_run| {
        let plan = GcPlan { now: Time::now(), grace: gc::GRACE, dry_run };
        let report = gc::collect(&collected.catalog, &collected.log, &collected.blobs, &plan, &Silent)?;
        let (now, grace) = (SystemTime::now(), gc::GRACE);
        let left = sources::collect_leftovers(&collected.catalog, &downloads, now, grace, dry_run)?;
        Ok(GcReport { downloads: left.files.len() as u64, download_bytes: left.bytes, ..report })
    });
    let options = job_options(&config);
    let workers = ProcessLauncher::new(&options.device, options.worker_threads);
    let launcher = Arc::new(FetchingLauncher::new(workers, sources.clone()));
    let (engine, jobs) = JobEngine::with_launcher(options, state.catalog.clone(), launcher, collect, sink)?;
    let uploads = Uploads::new(state.blobs.temporaries());
    let samples = telemetry::start(config.agent.state.clone(), stop).await;
    let app = App {
        config,
        log,
        started,
        state,
        hub,
        services,
        jobs,
        schedules: SchedulerHandle::default(),
        rules: RulesHandle::default(),
        serving,
        mutations: Mutations::default(),
        uploads,
        sources,
        samples,
        reviews: Reviews::default(),
        moves: Mutex::new(()),
        examination: Arc::default(),
        blocking: Arc::new(Semaphore::new(app::BLOCKING)),
    };
    Ok((Arc::new(app), engine))
}

fn server_options(config: &ConnectionsConfig) -> ServerOptions {
    ServerOptions {
        max_connections: config.max,
        max_per_user: config.max_per_user,
        patience: Duration::from_secs(config.patience_s),
        ..ServerOptions::default()
    }
}

fn start_pool(config: &ServingConfig) -> io::Result<Pool> {
    let threads = or_one_a_core(config.threads);
    Pool::start(threads, config.queue, Duration::from_millis(config.max_wait_ms))
}

fn limits(config: &ServingConfig) -> vision::Limits {
    vision::Limits {
        max_bytes: config.max_image_mib << 20,
        max_pixels: config.max_megapixels * 1_000_000,
        ..vision::Limits::default()
    }
}

fn job_options(config: &Config) -> JobOptions {
    let grace = Duration::from_secs(config.jobs.stop_grace_s);
    let mut options = JobOptions::new(&config.agent.state);
    options.weights = config.agent.weights.clone();
    options.device = config.agent.device.clone();
    options.max_workers = config.jobs.max_workers;
    options.worker_threads = or_one_a_core(config.jobs.worker_threads);
    options.memory_limit_mb = Some(config.jobs.memory_limit_mib).filter(|&limit| limit > 0);
    options.cancel_grace = grace;
    options.drain_grace = grace;
    options.max_unpacked_bytes = config.jobs.max_unpacked_gib << 30;
    options
}

/// What the configuration says; 0 means a thread for each core.
fn or_one_a_core(threads: usize) -> usize {
    match threads {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        threads => threads,
    }
}

/// Tells watchers what the job engine does.
struct HubSink {
    hub: Arc<Hub>,
    state: Arc<State>,
}

impl jobs::EventSink for HubSink {
    fn event(&self, draft: vigie_core::store::catalog::EventDraft) {
        match self.state.catalog.append_event(&draft) {
            Ok(event) => self.hub.publish(Update::Event { event }),
            Err(error) => tracing::error!(%error, "an event was not recorded"),
        }
    }

    fn recorded(&self, event: Event) {
        self.hub.publish(Update::Event { event });
    }

    fn job(&self, job: &vigie_protocol::job::Job) {
        self.hub.publish(Update::Job { job: Box::new(job.clone().redacted()) });
    }
}

/// Loads every project's production model. One that cannot be loaded is down, and says why; the
/// others serve.
async fn load_production(app: &Arc<App>) {
    // A promotion that comes in meanwhile waits: it must not be undone by an older model.
    let _moving = app.moves.lock().await;
    let projects = match app.store(|state| state.catalog.projects()).await {
        Ok(projects) => projects,
        Err(error) => return tracing::error!(%error, "the projects cannot be read"),
    };
    for project in projects {
        let (name, service) = (project.name.clone(), format!("serving:{}", project.name));
        let loaded = app
            .blocking(move |app| match app.state.catalog.alias(&name, &AliasName::production()) {
                Ok(alias) => {
                    serving::load(&app.state, &name, alias.model, &app.config.agent.device).map(Some)
                }
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(error) => Err(crate::fault::api_error(error)),
            })
            .await;
        match loaded {
            Ok(Some(loaded)) => {
                let detail = format!("model {}", loaded.version.number);
                app.serving.swap(&project.name, Arc::new(loaded));
                app.service(&service, ServiceState::Up, detail).await;
            }
            Ok(None) => app.service(&service, ServiceState::Off, "no production model").await,
            Err(error) => app.service(&service, ServiceState::Down, error.message).await,
        }
    }
}

/// Wakes those who act on what happened.
async fn wake_on_events(app: Arc<App>, stop: CancellationToken) {
    let mut cursor = None;
    while let Some(watched) = news(&app, &mut cursor, &stop).await {
        let happened = |update: &Update| matches!(update, Update::Event { .. });
        if watched.resync || watched.updates.iter().any(happened) {
            app.schedules.wake();
            app.rules.wake();
        }
    }
}

/// Erases what had to wait for a job, once one has ended.
async fn erase_after_jobs(app: Arc<App>, stop: CancellationToken) {
    let mut cursor = None;
    while let Some(watched) = news(&app, &mut cursor, &stop).await {
        let ended = |update: &Update| matches!(update, Update::Job { job } if job.state.is_final());
        if (watched.resync || watched.updates.iter().any(ended))
            && let Err(error) = app.store(|state| state.erase_due(Time::now())).await
        {
            tracing::warn!(%error, "what was to be erased is not yet");
        }
    }
}

/// What happened since the last look, sooner or later; nothing once the agent stops.
async fn news(app: &App, cursor: &mut Option<WatchCursor>, stop: &CancellationToken) -> Option<Watched> {
    let watched = tokio::select! {
        () = stop.cancelled() => return None,
        watched = app.hub.watch(*cursor, MAX_WAIT) => watched,
    };
    *cursor = Some(watched.next);
    Some(watched)
}

/// How long changes under way may take once the agent stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Between two looks at the services that do not speak up themselves.
const LOOK: Duration = Duration::from_secs(5);

/// Keeps the states of the store, the log, the device and the telemetry true.
async fn watch_services(app: Arc<App>, stop: CancellationToken) {
    let device = app.config.agent.device.clone();
    match infer::device::pick(&device) {
        Ok(_) => app.service("device", ServiceState::Up, device).await,
        Err(error) => app.service("device", ServiceState::Down, error.to_string()).await,
    }
    match app.sources.is_up() {
        Ok(()) => app.service("sources", ServiceState::Up, "").await,
        Err("") => app.service("sources", ServiceState::Off, "no outbound connections").await,
        Err(why) => app.service("sources", ServiceState::Down, why).await,
    }
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => look(&app).await,
        }
        notify(NotifyState::Watchdog);
    }
}

async fn look(app: &Arc<App>) {
    match app.store(keep_up).await {
        Ok(()) => app.service("store", ServiceState::Up, "").await,
        Err(error) => app.service("store", ServiceState::Down, error.message).await,
    }
    let counts = app.jobs.counts();
    let detail = format!("{} running, {} waiting", counts.running, counts.waiting);
    app.service("jobs", ServiceState::Up, detail).await;
    match app.serving.recorder().error() {
        None => app.service("prediction-log", ServiceState::Up, "").await,
        Some(error) => app.service("prediction-log", ServiceState::Degraded, error).await,
    }
    let fault = app.samples.borrow().gpu_fault.clone();
    match fault {
        None => app.service("telemetry", ServiceState::Up, "").await,
        Some(fault) => app.service("telemetry", ServiceState::Degraded, fault).await,
    }
}

/// What the store does now and then, and what it could not do when it was asked.
fn keep_up(state: &State) -> Result<(), StoreError> {
    state.record_due()?;
    state.catalog.prune_receipts(Time::now()).map(drop)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Tells systemd, when it listens.
fn notify(state: NotifyState<'_>) {
    // Without systemd there is nobody to tell, and that is no error.
    let _ = sd_notify::notify(&[state]);
}
