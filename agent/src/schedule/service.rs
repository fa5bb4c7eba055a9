//! The loop: looks what is due, lays it down, has it carried out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use vigie_core::fail_point::{self, FailPoint};
use vigie_core::store::StoreError;
use vigie_core::store::catalog::{Catalog, EventDraft};
use vigie_protocol::event::{Event, Severity, Subject};
use vigie_protocol::health::ServiceState;
use vigie_protocol::schedule::{FiredJob, Firing, FiringCause, FiringState, Schedule, Trigger};
use vigie_protocol::{ApiError, ErrorCode, FiringId, JobId, Time};

use super::events::Watcher;
use super::plan::{Plan, Planner};

/// The longest sleep: a clock that is set goes unnoticed for no longer.
const LOOK: Duration = Duration::from_secs(30);

/// Actions that are carried out at one time.
const AT_ONCE: usize = 16;

/// Pauses before an action is tried again that failed for a reason which may pass.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120), Duration::from_secs(600)];

/// Pause before something is tried again that the store refused.
const STORE_AGAIN: Duration = Duration::from_secs(5);

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acted {
    /// Jobs go on with it.
    Submitted {
        /// Which.
        jobs: Vec<JobId>,
        /// What they do.
        detail: String,
    },
    /// It is done; says what.
    Done(String),
    /// There was nothing to do; says why.
    Nothing(String),
}

/// What the scheduler needs of the agent.
pub trait World: Send + Sync + 'static {
    /// The time on the clock.
    fn now(&self) -> Time;

    /// Carries an action out. Asked again for the same firing, it submits nothing twice.
    fn act(&self, firing: &Firing) -> impl Future<Output = Result<Acted, ApiError>> + Send;

    /// One of these jobs that has not ended.
    fn at_work(&self, jobs: &[FiredJob]) -> impl Future<Output = Result<Option<JobId>, ApiError>> + Send;

    /// Tells those who watch.
    fn tell(&self, event: Event);

    /// Says how the scheduler is.
    fn health(&self, state: ServiceState, detail: String) -> impl Future<Output = ()> + Send;
}

/// The scheduler, to those who change schedules. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SchedulerHandle {
    wake: Arc<Notify>,
}

impl SchedulerHandle {
    /// Something changed: a schedule, the events, a firing that somebody asked for.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

/// Fires schedules.
pub struct Scheduler<W> {
    world: Arc<W>,
    catalog: Catalog,
    handle: SchedulerHandle,
}

/// What a look came to.
struct Look {
    /// Firings to carry out, oldest first.
    open: Vec<Firing>,
    /// When something is due next.
    wake: Option<Time>,
    schedules: usize,
    /// Schedules that cannot fire, and why.
    faults: Vec<String>,
}

/// Firings whose actions are being carried out.
#[derive(Default)]
struct Flying {
    tasks: JoinSet<()>,
    firings: HashMap<Id, Firing>,
}

impl Flying {
    fn holds(&self, firing: &Firing) -> bool {
        let same = |other: &Firing| other.schedule == firing.schedule && other.project == firing.project;
        self.firings.values().any(same)
    }
}

impl<W: World> Scheduler<W> {
    /// A scheduler over the catalog's schedules. Nothing happens before [`Scheduler::run`].
    pub fn new(world: Arc<W>, catalog: Catalog, handle: SchedulerHandle) -> Self {
        Self { world, catalog, handle }
    }

    /// Fires what is due until `stop`. Actions under way are cut off then, and taken up at the next
    /// start.
    pub async fn run(self, stop: CancellationToken) {
        let mut watcher = Watcher::default();
        let mut flying = Flying::default();
        loop {
            let now = self.world.now();
            let (seen, looked) = self.look(watcher, now).await;
            watcher = seen;
            let pause = match looked {
                Ok(look) => {
                    self.begin(&mut flying, look.open);
                    let state =
                        if look.faults.is_empty() { ServiceState::Up } else { ServiceState::Degraded };
                    self.world.health(state, describe(look.schedules, &look.faults)).await;
                    look.wake.map_or(LOOK, |wake| wake.since(now).min(LOOK))
                }
                Err(error) => {
                    self.world.health(ServiceState::Degraded, error.to_string()).await;
                    STORE_AGAIN
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.handle.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                Some(ended) = flying.tasks.join_next_with_id() => self.landed(&mut flying, ended).await,
            }
        }
        flying.tasks.shutdown().await;
    }

    /// One look at all schedules. The watcher comes back, whatever becomes of the look.
    async fn look(&self, mut watcher: Watcher, now: Time) -> (Watcher, Result<Look, StoreError>) {
        let catalog = self.catalog.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let looked = look(&catalog, &mut watcher, now);
            (watcher, looked)
        });
        looking.await.unwrap_or_else(|panic| {
            let (what, detail) = ("a look at the schedules".to_owned(), panic.to_string());
            (Watcher::default(), Err(StoreError::Database { what, detail }))
        })
    }

    /// Begins what is open and not on its way: of each schedule one at a time, in the order of time.
    fn begin(&self, flying: &mut Flying, open: Vec<Firing>) {
        for firing in open {
            if flying.firings.len() >= AT_ONCE {
                return;
            }
            if !flying.holds(&firing) {
                let work = carry_out(Arc::clone(&self.world), self.catalog.clone(), firing.clone());
                let task = flying.tasks.spawn(work);
                flying.firings.insert(task.id(), firing);
            }
        }
    }

    /// An action's task has ended. One that panicked must not be begun again and again.
    async fn landed(&self, flying: &mut Flying, ended: Result<(Id, ()), tokio::task::JoinError>) {
        match ended {
            Ok((id, ())) => drop(flying.firings.remove(&id)),
            Err(error) => {
                let Some(firing) = flying.firings.remove(&error.id()) else { return };
                tracing::error!(schedule = %firing.schedule, %error, "the action of a schedule panicked");
                let failed = ApiError::new(ErrorCode::Internal, "the agent failed at it; see its log");
                end(&*self.world, &self.catalog, firing, Err(failed)).await;
            }
        }
    }
}

/// Plans every schedule and lays down what fires.
fn look(catalog: &Catalog, watcher: &mut Watcher, now: Time) -> Result<Look, StoreError> {
    let schedules = catalog.schedules()?;
    watcher.keep(&schedules);
    let mut look = Look { open: Vec::new(), wake: None, schedules: schedules.len(), faults: Vec::new() };
    for schedule in schedules.iter().filter(|schedule| schedule.paused.is_none()) {
        let plan = match plan(catalog, watcher, schedule, now)? {
            Ok(plan) => plan,
            Err(fault) => {
                look.faults.push(format!("schedule {} cannot fire: {fault}", schedule.name));
                continue;
            }
        };
        let moved = plan.progress != schedule.progress || !plan.firings.is_empty();
        let settled = if moved {
            catalog.settle_schedule(schedule, plan.progress, &plan.firings)
        } else {
            Ok(Vec::new())
        };
        let wake = match settled {
            Ok(_) => plan.wake,
            // Somebody changed it meanwhile: look again.
            Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => Some(now),
            Err(error) => return Err(error),
        };
        if let Some(wake) = wake {
            look.wake = Some(look.wake.map_or(wake, |other| other.min(wake)));
        }
    }
    look.open = catalog.open_firings()?;
    if !look.open.is_empty() {
        fail_point::pass(FailPoint::FiringLaid);
    }
    Ok(look)
}

fn plan(
    catalog: &Catalog,
    watcher: &mut Watcher,
    schedule: &Schedule,
    now: Time,
) -> Result<Result<Plan, String>, StoreError> {
    if let Trigger::Event { on, debounce_s } = &schedule.spec.trigger {
        let debounce = Duration::from_secs(u64::from(*debounce_s));
        let pending = watcher.pending(catalog, schedule, on)?;
        let nothing = || Plan { progress: schedule.progress, firings: Vec::new(), wake: None };
        return Ok(Ok(
            pending.map_or_else(nothing, |pending| pending.plan(&schedule.progress, debounce, now))
        ));
    }
    let planner = Planner::of(schedule).map_err(|error| error.to_string());
    Ok(planner.map(|planner| planner.plan(&schedule.progress, now)))
}

fn describe(schedules: usize, faults: &[String]) -> String {
    match (faults, schedules) {
        ([], 1) => "1 schedule".to_owned(),
        ([], count) => format!("{count} schedules"),
        ([fault], _) => fault.clone(),
        ([fault, others @ ..], _) => format!("{fault} (and {} more)", others.len()),
    }
}

/// Carries a firing's action out, and ends the firing.
async fn carry_out<W: World>(world: Arc<W>, catalog: Catalog, firing: Firing) {
    let mut pauses = PAUSES.iter();
    let acted = loop {
        let acted = match before_is_at_work(&*world, &catalog, &firing).await {
            Ok(None) => world.act(&firing).await,
            Ok(Some(job)) => Ok(Acted::Nothing(format!("the firing before it is still at work, job {job}"))),
            Err(error) => Err(error),
        };
        match acted {
            Err(error)
                if may_pass(&error)
                    && let Some(pause) = pauses.next() =>
            {
                tracing::warn!(schedule = %firing.schedule, %error, "an action is tried again");
                tokio::time::sleep(*pause).await;
            }
            acted => break acted,
        }
    };
    fail_point::pass(FailPoint::FiringActed);
    end(&*world, &catalog, firing, acted).await;
}

/// Whether what a schedule submitted last is still going on: then one that is merely due would pile up
/// behind it. What was missed, asked for or made by an event comes all the same.
async fn before_is_at_work<W: World>(
    world: &W,
    catalog: &Catalog,
    firing: &Firing,
) -> Result<Option<JobId>, ApiError> {
    if firing.cause != FiringCause::Due {
        return Ok(None);
    }
    let (catalog, firing) = (catalog.clone(), firing.clone());
    let before = tokio::task::spawn_blocking(move || {
        let page = catalog.firings(firing.project.as_ref(), &firing.schedule, None, 10)?;
        let before = page.items.into_iter().filter(|before| before.number < firing.number);
        Ok::<_, StoreError>(before.flat_map(|before| before.jobs).collect::<Vec<FiredJob>>())
    });
    let jobs = before.await.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
    world.at_work(&jobs.map_err(crate::fault::api_error)?).await
}

fn may_pass(error: &ApiError) -> bool {
    matches!(
        error.code,
        ErrorCode::Overloaded | ErrorCode::Unavailable | ErrorCode::Timeout | ErrorCode::Storage
    )
}

/// Ends a firing, for as long as it takes the store to take it.
async fn end<W: World>(world: &W, catalog: &Catalog, firing: Firing, acted: Result<Acted, ApiError>) {
    let (state, jobs, detail) = match acted {
        Ok(Acted::Submitted { jobs, detail }) => (FiringState::Submitted, jobs, detail),
        Ok(Acted::Done(detail)) => (FiringState::Done, Vec::new(), detail),
        Ok(Acted::Nothing(detail)) => (FiringState::Skipped, Vec::new(), detail),
        Err(error) => {
            let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            (FiringState::Failed, Vec::new(), error.message + &hint)
        }
    };
    let now = world.now();
    let severity = if state == FiringState::Failed { Severity::Warning } else { Severity::Info };
    let (schedule, id): (_, FiringId) = (firing.schedule.clone(), firing.id);
    let event = EventDraft {
        at: now,
        project: firing.project.clone(),
        severity,
        subject: Subject::Schedule { schedule, firing: Some(id), job: jobs.first().copied() },
        text: format!("schedule {}, {}: {}, {detail}", firing.schedule, firing.action.name(), state.as_str()),
    };
    let jobs = jobs.into_iter().map(|job| FiredJob { job, state: None }).collect();
    let ended = Firing { state, jobs, detail, ended: Some(now), ..firing };
    loop {
        let (catalog, ended, event) = (catalog.clone(), ended.clone(), event.clone());
        let told = tokio::task::spawn_blocking(move || catalog.end_firing(&ended, &event)).await;
        match told {
            Ok(Ok(told)) => return told.into_iter().for_each(|event| world.tell(event)),
            Ok(Err(error)) => tracing::error!(%error, "a firing cannot be ended; trying again"),
            Err(error) => return tracing::error!(%error, "ending a firing panicked"),
        }
        tokio::time::sleep(STORE_AGAIN).await;
    }
}
