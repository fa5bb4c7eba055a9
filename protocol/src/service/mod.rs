//! Every method an agent answers, declared once: the tarpc service, the least role of each method
//! and the list of methods that the handshake sends all come from the table at the end.

mod datasets;
mod jobs;
mod models;
mod operations;
mod predictions;
mod projects;

pub use datasets::*;
pub use jobs::*;
pub use models::*;
pub use operations::*;
pub use predictions::*;
pub use projects::*;

use crate::ApiError;
use crate::access::{Principal, Role};
use crate::blob::{BlobChunk, UploadStatus};
use crate::dataset::{ChangeSet, DatasetDifference, DatasetImage, DatasetVersion};
use crate::event::Event;
use crate::health::{AgentHealth, Finding};
use crate::job::{Job, Lease};
use crate::model::{Alias, AliasMove, GateVerdict, ModelVersion};
use crate::page::Page;
use crate::prediction::{HourCount, Prediction};
use crate::project::Project;
use crate::review::ChangeSetImage;
use crate::run::Run;

/// What one method is called, who may call it, whether it changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodInfo {
    /// Its name in the handshake and in logs.
    pub name: &'static str,
    /// The least role that may call it.
    pub role: Role,
    /// Whether it changes something: then it carries an idempotency key and lands in the audit log.
    pub mutation: bool,
    /// Its first line of documentation.
    pub doc: &'static str,
}

/// The entry of a method, by its bare name (`promote`) or as tarpc says it (`Vigie.promote`).
pub fn method(name: &str) -> Option<&'static MethodInfo> {
    let name = name.strip_prefix("Vigie.").unwrap_or(name);
    METHODS.iter().find(|method| method.name == name)
}

/// What became of one call: the transport's error, or the agent's answer without its content.
#[cfg(feature = "samples")]
pub type CallOutcome = Result<Result<(), ApiError>, tarpc::client::RpcError>;

macro_rules! methods {
    ($(#[doc = $doc:literal] $access:ident($role:ident) $name:ident: $request:ident -> $response:ty;)*) => {
        /// The agent's methods as a tarpc service.
        #[tarpc::service]
        pub trait Vigie {
            $(#[doc = $doc] async fn $name(request: $request) -> Result<$response, ApiError>;)*
        }

        /// Every method with its least role, in the order of the declaration.
        pub const METHODS: &[MethodInfo] = &[$(MethodInfo {
            name: stringify!($name),
            role: Role::$role,
            mutation: methods!(@mutation $access),
            doc: $doc.trim_ascii_start(),
        },)*];

        /// Calls every method once with the sample of its request; says which were answered.
        #[cfg(feature = "samples")]
        pub async fn call_every<S>(client: &VigieClient<S>) -> Vec<(&'static str, CallOutcome)>
        where
            S: tarpc::client::stub::Stub<Req = VigieRequest, Resp = VigieResponse>,
        {
            let mut outcomes: Vec<(&'static str, CallOutcome)> = Vec::new();
            $({
                let request = <$request as crate::samples::Sample>::sample();
                let answer = client.$name(tarpc::context::current(), request).await;
                outcomes.push((stringify!($name), answer.map(|answer| answer.map(drop))));
            })*
            outcomes
        }

        #[cfg(feature = "samples")]
        impl Vigie for crate::samples::SampleAgent {
            $(async fn $name(self, _: tarpc::context::Context, _: $request) -> Result<$response, ApiError> {
                self.answer()
            })*
        }
    };
    (@mutation read) => { false };
    (@mutation change) => { true };
}

methods! {
    /// Who the caller is to this agent.
    read(Viewer) whoami: Empty -> Principal;
    /// How the agent, its services and its machine are.
    read(Viewer) health: Empty -> AgentHealth;
    /// A self-check with findings and hints.
    read(Viewer) doctor: Empty -> Vec<Finding>;
    /// The newest lines of the agent's own log.
    read(Operator) agent_log: AgentLog -> AgentLogPage;

    /// The projects, by name.
    read(Viewer) project_list: Empty -> Vec<Project>;
    /// One project.
    read(Viewer) project_get: InProject -> Project;
    /// Creates a project.
    change(Admin) project_create: ProjectCreate -> Project;
    /// Changes a project's description and settings.
    change(Admin) project_update: ProjectUpdate -> Project;

    /// Dataset versions, newest first.
    read(Viewer) dataset_list: DatasetList -> Page<DatasetVersion>;
    /// One dataset version.
    read(Viewer) dataset_get: DatasetGet -> DatasetVersion;
    /// The images of a dataset version.
    read(Viewer) dataset_images: DatasetImages -> Page<DatasetImage>;
    /// How one dataset version differs from another.
    read(Viewer) dataset_diff: DatasetDiff -> DatasetDifference;
    /// Change-sets, newest first.
    read(Viewer) change_set_list: ChangeSetList -> Page<ChangeSet>;
    /// One change-set.
    read(Viewer) change_set_get: ChangeSetGet -> ChangeSet;
    /// The images that a change-set changes, with what was found about them.
    read(Viewer) change_set_images: ChangeSetImages -> Page<ChangeSetImage>;
    /// Accepts a change-set, whole or in part, or rejects it.
    change(Operator) change_set_decide: ChangeSetDecide -> ChangeSet;

    /// Asks for a job.
    change(Operator) job_submit: JobSubmit -> Job;
    /// Asks for a training.
    change(Operator) train_submit: TrainSubmit -> TrainSubmitted;
    /// Jobs, newest first.
    read(Viewer) job_list: JobList -> Page<Job>;
    /// One job.
    read(Viewer) job_get: JobGet -> Job;
    /// A piece of a job's log.
    read(Viewer) job_log: JobLog -> JobLogPage;
    /// Asks a job to stop.
    change(Operator) job_cancel: JobChange -> Job;
    /// Queues a failed or cancelled job again.
    change(Operator) job_retry: JobChange -> Job;
    /// Who holds which resource.
    read(Viewer) lease_list: Empty -> Vec<Lease>;

    /// Runs, newest first.
    read(Viewer) run_list: RunList -> Page<Run>;
    /// One run with its metrics.
    read(Viewer) run_get: RunGet -> Run;

    /// Model versions, newest first.
    read(Viewer) model_list: ModelList -> Page<ModelVersion>;
    /// One model version with its passport.
    read(Viewer) model_get: ModelGet -> ModelDetail;
    /// What the gate says of a candidate.
    read(Viewer) gate_test: GateTest -> GateVerdict;
    /// The aliases of a project.
    read(Viewer) alias_list: InProject -> Vec<Alias>;
    /// The moves of an alias, newest first.
    read(Viewer) alias_history: AliasHistory -> Page<AliasMove>;
    /// Gives an alias to a model version, through the gate.
    change(Operator) promote: Promote -> AliasMoved;
    /// Gives an alias back to its previous holder.
    change(Operator) rollback: Rollback -> AliasMoved;

    /// Classifies an image with the production model, and logs the answer.
    read(Labeller) predict: Predict -> Prediction;
    /// Predictions, newest first.
    read(Viewer) prediction_list: PredictionList -> Page<Prediction>;
    /// One prediction.
    read(Viewer) prediction_get: PredictionGet -> Prediction;
    /// Erases a prediction with everything derived from it.
    change(Admin) prediction_forget: PredictionForget -> Empty;
    /// Predictions by the hour, model and class.
    read(Viewer) prediction_counts: PredictionCounts -> Vec<HourCount>;

    /// Events, newest first.
    read(Viewer) event_list: EventList -> Page<Event>;
    /// Waits for what happens next.
    read(Viewer) watch: Watch -> Watched;

    /// Begins or takes up an upload.
    read(Labeller) upload_begin: UploadBegin -> UploadStatus;
    /// Sends a piece of an upload.
    read(Labeller) upload_chunk: UploadChunk -> UploadStatus;
    /// Where an upload stands.
    read(Labeller) upload_status: UploadGet -> UploadStatus;
    /// Ends an upload: the blob is durable, and its hash was checked.
    read(Labeller) upload_commit: UploadGet -> UploadStatus;
    /// A piece of a blob.
    read(Viewer) blob_read: BlobRead -> BlobChunk;

    /// The audit log, newest first.
    read(Admin) audit_list: AuditList -> Page<AuditEntry>;
    /// Checks the audit log's chain.
    read(Admin) audit_verify: Empty -> AuditVerdict;
    /// Makes a consistent copy of the state directory.
    change(Admin) backup: Backup -> BackupMade;
}
