//! The actions of schedules, on the real agent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use vigie_core::store::backup;
use vigie_protocol::dataset::Lineage;
use vigie_protocol::event::{Event, Update};
use vigie_protocol::health::ServiceState;
use vigie_protocol::job::JobSpec;
use vigie_protocol::schedule::{FiredJob, Firing, ScheduleAction};
use vigie_protocol::service::SourceChecked;
use vigie_protocol::source::{Source, SourceState};
use vigie_protocol::{ApiError, ErrorCode, JobId, ProjectName, SourceName, Time};

use super::service::{Acted, World};
use crate::app::App;
use crate::fault::api_error;
use crate::jobs::JobDraft;
use crate::keys;
use crate::rules::preprocess_spec;
use crate::sources::{self, Asker};

/// How long a backup waits for predictions that are not durable yet.
const FLUSH: Duration = Duration::from_secs(5);

/// The agent, to its scheduler.
pub(crate) struct Agent(pub(crate) Arc<App>);

impl World for Agent {
    fn now(&self) -> Time {
        Time::now()
    }

    async fn act(&self, firing: &Firing) -> Result<Acted, ApiError> {
        match &firing.action {
            ScheduleAction::UpdateReference { from, accept } => {
                self.update_reference(firing, *from, *accept).await
            }
            ScheduleAction::Preprocess => self.preprocess(firing).await,
            ScheduleAction::Gc => {
                let detail = "removing blobs that nothing refers to".to_owned();
                self.submit(firing, JobSpec::Gc { dry_run: false }, detail).await
            }
            ScheduleAction::Backup { folder } => self.backup(firing, folder).await,
            ScheduleAction::CheckSource { source } => self.check_source(firing, source).await,
            ScheduleAction::Collect { accept } => {
                let detail = "collecting what people said of predictions".to_owned();
                self.submit(firing, JobSpec::Collect { accept: *accept }, detail).await
            }
            ScheduleAction::Unknown => {
                Err(ApiError::new(ErrorCode::Unsupported, "this agent does not know that action")
                    .with_hint("update the agent"))
            }
        }
    }

    async fn at_work(&self, jobs: &[FiredJob]) -> Result<Option<JobId>, ApiError> {
        for FiredJob { job, .. } in jobs {
            match self.0.jobs.get(*job).await {
                Ok(found) if !found.state.is_final() => return Ok(Some(*job)),
                Ok(_) => {}
                Err(error) if error.code == ErrorCode::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn tell(&self, event: Event) {
        self.0.hub.publish(Update::Event { event });
    }

    async fn health(&self, state: ServiceState, detail: String) {
        self.0.service("scheduler", state, detail).await;
    }
}

impl Agent {
    /// Looking twice is no harm: a version that is on its way in is not brought in again.
    async fn check_source(&self, firing: &Firing, source: &SourceName) -> Result<Acted, ApiError> {
        let checked =
            sources::check(&self.0, &project(firing)?, source, &Asker::schedule(who(firing))).await?;
        let SourceChecked { source: Source { state, detail, .. }, job } = checked;
        let detail = if detail.is_empty() { state.to_string() } else { detail };
        Ok(match (job, state) {
            (Some(job), _) => Acted::Submitted { jobs: vec![job.id], detail },
            (None, SourceState::Ok) => Acted::Nothing(detail),
            (None, state) => {
                return Err(ApiError::new(ErrorCode::Precondition, format!("{source} is {state}: {detail}")));
            }
        })
    }

    async fn update_reference(
        &self,
        firing: &Firing,
        from: Lineage,
        accept: bool,
    ) -> Result<Acted, ApiError> {
        let project = project(firing)?;
        let head = self.0.store(move |state| state.catalog.dataset_head(&project, from)).await?;
        let Some(head) = head else {
            return Ok(Acted::Nothing(format!("{from} has no version yet")));
        };
        let (from, into) = (head.dataset, Lineage::Reference);
        // What is accepted unseen only adds.
        let spec = JobSpec::Propose { from, into, accept, admit_all: false, only_add: accept, window: None };
        self.submit(firing, spec, format!("bringing what {from} has into {into}")).await
    }

    async fn preprocess(&self, firing: &Firing) -> Result<Acted, ApiError> {
        let project = project(firing)?;
        let found = self.0.store(move |state| {
            let head = state.catalog.dataset_head(&project, Lineage::Reference)?;
            head.map(|head| Ok((head.dataset, preprocess_spec(&state.catalog, &project)?))).transpose()
        });
        match found.await? {
            Some((dataset, spec)) => {
                self.submit(firing, JobSpec::Preprocess { dataset, spec }, format!("packing {dataset}")).await
            }
            None => Ok(Acted::Nothing("reference has no version yet".to_owned())),
        }
    }

    async fn submit(&self, firing: &Firing, spec: JobSpec, detail: String) -> Result<Acted, ApiError> {
        let receipt = keys::derived("schedule.job", &[firing.id.uuid().as_bytes()], Time::now());
        let draft = JobDraft { project: firing.project.clone(), spec, after: Vec::new(), by: who(firing) };
        let job = self.0.jobs.submit(draft, Some(receipt)).await?;
        Ok(Acted::Submitted { jobs: vec![job.id], detail })
    }

    /// A backup is whole or not there: one of this firing's name was made before a crash.
    async fn backup(&self, firing: &Firing, folder: &str) -> Result<Acted, ApiError> {
        let due = firing.due.timestamp().strftime("%Y%m%dT%H%M%SZ");
        let target = PathBuf::from(folder).join(format!("vigie-{due}-{}", firing.number));
        let made = self.0.blocking(move |app| {
            if target.exists() {
                return Ok(format!("{} is there", target.display()));
            }
            app.serving.recorder().flush(FLUSH);
            let made = backup::backup(&app.state, &target, Time::now()).map_err(api_error)?;
            let left_out = match made.damaged {
                0 => String::new(),
                damaged => format!("; {damaged} damaged files were left out, see `vigie-agent store check`"),
            };
            Ok(format!("{} with {} files, {} bytes{left_out}", target.display(), made.files, made.bytes))
        });
        made.await.map(Acted::Done)
    }
}

/// Who asks for what a schedule submits.
fn who(firing: &Firing) -> String {
    format!("schedule {}", firing.schedule)
}

fn project(firing: &Firing) -> Result<ProjectName, ApiError> {
    firing.project.clone().ok_or_else(|| ApiError::invalid("this action needs a project"))
}
