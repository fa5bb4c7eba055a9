//! The agent as a whole: every part, once, for whoever answers a request.

use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore, watch};
use vigie_core::store::catalog::EventDraft;
use vigie_core::store::{State, StoreError};
use vigie_protocol::event::{Severity, Subject, Update};
use vigie_protocol::health::ServiceState;
use vigie_protocol::{ApiError, ErrorCode, ProjectName, Time};

use crate::config::Config;
use crate::fault::api_error;
use crate::hub::Hub;
use crate::jobs::JobsHandle;
use crate::log::LogRing;
use crate::rpc::blobs::Uploads;
use crate::rpc::{Mutations, Reviews};
use crate::rules::RulesHandle;
use crate::schedule::SchedulerHandle;
use crate::services::Services;
use crate::serving::Serving;
use crate::sources::Sources;
use crate::telemetry::Sample;

/// Every part of a running agent.
pub struct App {
    /// As loaded at the start.
    pub config: Config,
    /// What it says of itself, the newest lines.
    pub log: LogRing,
    /// When this process started.
    pub started: Time,
    /// What the agent remembers.
    pub state: Arc<State>,
    /// Who watches what happens.
    pub hub: Arc<Hub>,
    /// How the services are.
    pub services: Arc<Services>,
    /// Background work.
    pub jobs: JobsHandle,
    /// What the agent does by itself.
    pub schedules: SchedulerHandle,
    /// By which data enters reference.
    pub rules: RulesHandle,
    /// Predictions.
    pub serving: Serving,
    /// Changes under way, which outlive the connections that asked for them.
    pub mutations: Mutations,
    /// Blobs on their way in.
    pub uploads: Uploads,
    /// What comes from elsewhere.
    pub sources: Arc<Sources>,
    /// The machine.
    pub samples: watch::Receiver<Sample>,
    /// Reviews of change-sets that somebody reads.
    pub reviews: Reviews,
    /// Held while an alias moves: moves of one agent happen one after another.
    pub moves: Mutex<()>,
    /// Held while a candidate is loaded beside what serves: memory has room for one.
    pub examination: Arc<Mutex<()>>,
    /// Pieces of blocking work under way, [`BLOCKING`] at most.
    pub blocking: Arc<Semaphore>,
}

/// The most pieces of blocking work at one time. They go on when whoever asked has gone away, so that
/// the limits of a connection do not bound them.
pub const BLOCKING: usize = 128;

impl App {
    /// Runs blocking work on the store away from the runtime's threads.
    ///
    /// # Errors
    /// What the work returned, as callers are told it.
    pub async fn store<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&State) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.blocking(move |app| work(&app.state).map_err(api_error)).await
    }

    /// Runs any blocking work away from the runtime's threads.
    ///
    /// # Errors
    /// What the work returned; `Internal` when it panicked.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let app = self.clone();
        let permit = self.blocking.clone().acquire_owned().await.expect("the semaphore is never closed");
        let work = move || {
            let _until_it_is_done = permit;
            work(&app)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
            Err(ApiError::new(ErrorCode::Internal, "a part of the agent panicked; see its log"))
        })
    }

    /// Records that something happened and tells the watchers. A store that cannot take the event
    /// is a fault of the service `store`, not of what happened.
    pub async fn event(
        self: &Arc<Self>,
        project: Option<ProjectName>,
        severity: Severity,
        subject: Subject,
        text: String,
    ) {
        let draft = EventDraft { at: Time::now(), project, severity, subject, text };
        match self.store(move |state| state.catalog.append_event(&draft)).await {
            Ok(event) => self.hub.publish(Update::Event { event }),
            Err(error) => tracing::error!(%error, "an event was not recorded"),
        }
    }

    /// Says how a service is; tells the watchers when its state is new.
    pub async fn service(self: &Arc<Self>, name: &str, state: ServiceState, detail: impl Into<String>) {
        let detail = detail.into();
        if !self.services.set(name, state, detail.clone(), Time::now()) {
            return;
        }
        let severity = match state {
            ServiceState::Down => Severity::Error,
            ServiceState::Degraded => Severity::Warning,
            ServiceState::Up | ServiceState::Starting | ServiceState::Off | ServiceState::Unknown => {
                Severity::Info
            }
        };
        let subject = Subject::Service { name: name.to_owned(), state };
        let text = match detail.as_str() {
            "" => format!("{name} is {}", state.as_str()),
            detail => format!("{name} is {}: {detail}", state.as_str()),
        };
        self.event(None, severity, subject, text).await;
    }
}
