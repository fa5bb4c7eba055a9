//! One collector an agent: follows it, and publishes all that is known of it as one snapshot, the
//! newest in the place of the one before. Whoever reads slowly misses snapshots, never the newest.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use vigie_protocol::event::Update;
use vigie_protocol::job::{Job, JobState};
use vigie_protocol::page::PageRequest;
use vigie_protocol::prediction::HourCount;
use vigie_protocol::project::Project;
use vigie_protocol::service::{Empty, EventList, InProject, JobList, PredictionCounts};
use vigie_protocol::wire::client::{AgentClient, LinkState};
use vigie_protocol::wire::watch::{Watched, Watcher};
use vigie_protocol::{ApiError, Time};

use super::ask::ask;
use super::state::{AgentIndex, Glance, HourGlance, Link, Served, Snapshot};

/// How often the agent is asked how it is.
const HEALTH: Duration = Duration::from_secs(3);
/// How often its counters are read: two readings make a rate.
const COUNTERS: Duration = Duration::from_secs(5);
/// How often everything else is read anew, though no event said that it changed.
const EVERYTHING: Duration = Duration::from_secs(60);
/// Jobs that are over and still shown.
const FINISHED_JOBS: u32 = 50;
/// Events that are kept.
const EVENTS: usize = 200;
/// Projects of one agent whose counters are read; an agent with more shows the first.
const PROJECTS: usize = 32;
/// The longest wait for one answer: the next reading comes soon anyway.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where collectors put their snapshots.
pub type Publish = Arc<dyn Fn(AgentIndex, Arc<Snapshot>) + Send + Sync>;

/// What tells the time: the system's clock, or a test's.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// Follows an agent for as long as the task lives.
pub async fn collect(agent: AgentIndex, client: AgentClient, clock: Clock, publish: Publish) {
    let client = client.with_timeout(PATIENCE);
    let mut collector =
        Collector { agent, status: client.status(), client, clock, publish, known: Snapshot::default() };
    collector.run().await;
}

struct Collector {
    agent: AgentIndex,
    client: AgentClient,
    status: watch::Receiver<LinkState>,
    clock: Clock,
    publish: Publish,
    known: Snapshot,
}

impl Collector {
    async fn run(&mut self) {
        loop {
            self.link();
            self.publish();
            if self.known.is_connected() {
                self.follow().await;
            } else if self.status.changed().await.is_err() {
                return;
            }
        }
    }

    /// Stays with a connected agent until the link changes.
    async fn follow(&mut self) {
        let mut watcher = Watcher::spawn(&self.client, None);
        let mut status = self.status.clone();
        status.mark_unchanged();
        let [mut health, mut counters, mut everything] = [HEALTH, COUNTERS, EVERYTHING].map(|period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        // The first tick of everything comes at once and brings the projects that counters need.
        loop {
            let told = tokio::select! {
                biased;
                changed = status.changed() => {
                    if changed.is_err() || !matches!(*self.status.borrow(), LinkState::Connected(_)) {
                        return;
                    }
                    continue;
                }
                _ = everything.tick() => self.everything().await,
                told = watcher.next() => match told {
                    Some(Watched::Resync) => self.everything().await,
                    Some(Watched::Updates(updates)) => self.updates(updates).await,
                    None => return,
                },
                _ = health.tick() => self.health().await,
                _ = counters.tick() => self.counters().await,
            };
            if let Err(error) = told {
                tracing::debug!(%error, agent = self.agent.0, "a reading failed");
            }
            self.link();
            self.publish();
        }
    }

    /// How the link stands, in the wall clock's time.
    fn link(&mut self) {
        let now = (self.clock)();
        let instant = Instant::now();
        self.known.heard =
            self.client.last_heard().map(|heard| now.minus(instant.saturating_duration_since(heard)));
        self.known.link = match &*self.status.borrow_and_update() {
            // While it is tried again, why there is none is still the newest that is known.
            LinkState::Connecting => match &self.known.link {
                Link::Waiting { reason, .. } => Link::Waiting { until: now, reason: reason.clone() },
                refused @ Link::Refused { .. } => refused.clone(),
                Link::Connecting | Link::Connected { .. } => Link::Connecting,
            },
            LinkState::Connected(welcome) => Link::Connected {
                version: welcome.version.clone(),
                role: welcome.principal.role,
                methods: Arc::new(welcome.methods.clone()),
            },
            LinkState::Waiting { until, error } => Link::Waiting {
                until: now.plus(until.saturating_duration_since(instant)),
                reason: error.message.clone(),
            },
            LinkState::Refused { error } => {
                Link::Refused { reason: error.message.clone(), hint: error.hint.clone() }
            }
        };
    }

    fn publish(&self) {
        (self.publish)(self.agent, Arc::new(self.known.clone()));
    }

    async fn health(&mut self) -> Result<(), ApiError> {
        self.known.health = Some(ask!(self.client, health, Empty {}).await?);
        Ok(())
    }

    async fn everything(&mut self) -> Result<(), ApiError> {
        self.health().await?;
        self.projects().await?;
        self.jobs().await?;
        let page = PageRequest { cursor: None, limit: EVENTS as u32 };
        self.known.events = ask!(self.client, event_list, EventList { project: None, page }).await?.items;
        self.known.happened += 1;
        Ok(())
    }

    async fn projects(&mut self) -> Result<(), ApiError> {
        let projects: Vec<Project> = ask!(self.client, project_list, Empty {}).await?;
        let mut glances = Vec::with_capacity(projects.len());
        for project in projects {
            let aliases = ask!(self.client, alias_list, InProject { project: project.name.clone() }).await?;
            let known = self.known.project(&project.name);
            let hours = known.map(|glance| glance.hours.clone()).unwrap_or_default();
            glances.push(Glance { project, aliases, hours });
        }
        self.known.projects = glances;
        Ok(())
    }

    async fn jobs(&mut self) -> Result<(), ApiError> {
        let list = |state, limit| JobList { project: None, state, page: PageRequest { cursor: None, limit } };
        let mut jobs: Vec<Job> = Vec::new();
        for state in [JobState::Running, JobState::Cancelling, JobState::Queued] {
            jobs.extend(ask!(self.client, job_list, list(Some(state), 100)).await?.items);
        }
        let newest = ask!(self.client, job_list, list(None, FINISHED_JOBS)).await?.items;
        for job in newest {
            if jobs.iter().all(|known| known.id != job.id) {
                jobs.push(job);
            }
        }
        self.known.jobs = jobs;
        Ok(())
    }

    /// Counters of the last day, and of this hour and the last for the rate.
    async fn counters(&mut self) -> Result<(), ApiError> {
        let now = self.known.health.as_ref().map_or_else(|| (self.clock)(), |health| health.now);
        let day = now.minus(Duration::from_secs(23 * 3_600));
        let hour = |time: Time| Time::from_micros(time.hour() * 3_600_000_000);
        let since = hour(now.minus(Duration::from_secs(3_600)));
        let (mut predictions, mut total_us) = (0, 0);
        let names: Vec<_> = self.known.projects.iter().map(|glance| glance.project.name.clone()).collect();
        for project in names.into_iter().take(PROJECTS) {
            let request = PredictionCounts { project: project.clone(), since: day, until: now };
            let counts = ask!(self.client, prediction_counts, request).await?;
            for count in counts.iter().filter(|count| count.hour >= since) {
                predictions += count.predictions;
                total_us += count.total_us_sum;
            }
            if let Some(glance) = self.known.projects.iter_mut().find(|glance| glance.project.name == project)
            {
                glance.hours = hours(&counts, day.hour());
            }
        }
        self.known.served = Some(Served { at: (self.clock)(), since, predictions, total_us });
        Ok(())
    }

    async fn updates(&mut self, updates: Vec<Update>) -> Result<(), ApiError> {
        use vigie_protocol::event::Subject;
        let mut projects_changed = false;
        for update in updates {
            match update {
                Update::Event { event } => {
                    projects_changed |= matches!(event.subject, Subject::Project | Subject::Alias { .. });
                    // A project is not announced; the first thing that happens in it is.
                    projects_changed |=
                        event.project.as_ref().is_some_and(|name| self.known.project(name).is_none());
                    self.known.happened += 1;
                    self.known.events.retain(|known| known.seq != event.seq);
                    self.known.events.insert(0, event);
                    self.known.events.truncate(EVENTS);
                }
                Update::Job { job } => self.job(*job),
                Update::Unknown => {}
            }
        }
        if projects_changed {
            self.projects().await?;
        }
        Ok(())
    }

    /// The newest of a job takes the place of the one before; the oldest of those that are over go.
    fn job(&mut self, job: Job) {
        match self.known.jobs.iter_mut().find(|known| known.id == job.id) {
            Some(known) => *known = job,
            None => self.known.jobs.insert(0, job),
        }
        let mut over = 0;
        self.known.jobs.retain(|job| {
            over += u32::from(job.state.is_final());
            !job.state.is_final() || over <= FINISHED_JOBS
        });
    }
}

/// The 24 hours from `first` on, in their order; hours without predictions are there with none.
fn hours(counts: &[HourCount], first: i64) -> Vec<HourGlance> {
    let mut hours = vec![(0_u64, 0_u64, 0.0_f64); 24];
    for count in counts {
        let at = count.hour.hour() - first;
        if let Some((predictions, total_us, confidence)) =
            usize::try_from(at).ok().and_then(|at| hours.get_mut(at))
        {
            *predictions += count.predictions;
            *total_us += count.total_us_sum;
            *confidence += count.confidence_sum;
        }
    }
    let glance = |(predictions, total_us, confidence): (u64, u64, f64)| {
        let mean = |sum: f64| (predictions > 0).then(|| sum / predictions as f64);
        HourGlance { predictions, mean_ms: mean(total_us as f64 / 1_000.0), confidence: mean(confidence) }
    };
    hours.into_iter().map(glance).collect()
}
