//! Every method an agent answers, declared once: the tarpc service, the least role of each method
//! and the list of methods that the handshake sends all come from the table at the end.

mod datasets;
mod feedback;
mod jobs;
mod labels;
mod models;
mod operations;
mod predictions;
mod projects;
mod schedules;
mod sources;

pub use datasets::*;
pub use feedback::*;
pub use jobs::*;
pub use labels::*;
pub use models::*;
pub use operations::*;
pub use predictions::*;
pub use projects::*;
pub use schedules::*;
pub use sources::*;

use crate::ApiError;
use crate::access::{Principal, Role};
use crate::balance::BalancePlan;
use crate::blob::{BlobChunk, UploadStatus};
use crate::classes::{ClassList, LabelMatch};
use crate::dataset::{ChangeSet, ClassSizes, DatasetDifference, DatasetImage, DatasetVersion};
use crate::event::Event;
use crate::feedback::{Clusters, Feedback, FeedbackAccuracy, NewImages};
use crate::health::{AgentHealth, Finding};
use crate::history::{DatasetHistory, DatasetModelMetadata};
use crate::job::{Job, Lease};
use crate::label_check::{LabelCheck, LabelIssues};
use crate::model::{Alias, AliasMove, GateVerdict, ModelVersion};
use crate::page::Page;
use crate::prediction::{HourCount, Prediction};
use crate::project::Project;
use crate::review::ChangeSetImage;
use crate::rules::{RulesExplained, WaitingRoom};
use crate::run::Run;
use crate::schedule::{Firing, Schedule, ScheduleStatus};
use crate::source::Source;

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
    /// How large the images of each class of a dataset version are.
    read(Viewer) dataset_sizes: DatasetGet -> Vec<ClassSizes>;
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

    /// The sources of a project, by name.
    read(Viewer) source_list: InProject -> Vec<Source>;
    /// Sets a source up, or changes it.
    change(Operator) source_set: SourceSet -> Source;
    /// Removes a source; what was imported from it stays.
    change(Operator) source_remove: SourceRemove -> Source;
    /// Looks whether a source has something new, and imports it.
    change(Operator) source_check: SourceCheck -> SourceChecked;
    /// The class list of a project.
    read(Viewer) class_list_get: InProject -> ClassList;
    /// Replaces the class list of a project.
    change(Operator) class_list_set: ClassListSet -> ClassList;
    /// What the class list says of labels.
    read(Viewer) class_check: ClassCheck -> Vec<LabelMatch>;
    /// Dataset versions with how they came about, newest first.
    read(Viewer) dataset_history: DatasetList -> Page<DatasetHistory>;
    /// What a way of balancing would come to.
    read(Viewer) dataset_balance: DatasetBalance -> BalancePlan;
    /// All that is known of a dataset version and a model version together.
    read(Viewer) dataset_metadata: DatasetMetadata -> DatasetModelMetadata;
    /// Label checks, newest first.
    read(Viewer) label_check_list: LabelCheckList -> Page<LabelCheck>;
    /// Images whose label may be wrong.
    read(Viewer) label_issue_list: LabelIssueList -> LabelIssues;
    /// Says that labels are right.
    change(Labeller) label_keep: LabelKeep -> Empty;

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

    /// Schedules with their next firings, those of the agent first.
    read(Viewer) schedule_list: ScheduleList -> Vec<ScheduleStatus>;
    /// Sets a schedule.
    change(Admin) schedule_set: ScheduleSet -> Schedule;
    /// Removes a schedule with its history.
    change(Admin) schedule_remove: ScheduleRemove -> Empty;
    /// Pauses or resumes a schedule.
    change(Operator) schedule_pause: SchedulePause -> Schedule;
    /// Fires a schedule now.
    change(Operator) schedule_run: ScheduleRun -> Firing;
    /// The firings of a schedule, newest first.
    read(Viewer) schedule_history: ScheduleHistory -> Page<Firing>;
    /// The classes that wait to enter reference, and what for.
    read(Viewer) class_waiting: ClassWaiting -> WaitingRoom;
    /// What the rules of a project say now, and why.
    read(Viewer) rules_explain: InProject -> RulesExplained;
    /// Says of a prediction that it is correct or wrong.
    change(Labeller) feedback_give: FeedbackGive -> Feedback;
    /// Takes back what the caller said of a prediction.
    change(Labeller) feedback_withdraw: FeedbackWithdraw -> FeedbackLeft;
    /// Feedback, that on the newest predictions first.
    read(Viewer) feedback_list: FeedbackList -> Page<Feedback>;
    /// How often predictions were right, as far as people said.
    read(Viewer) feedback_accuracy: FeedbackAccuracyGet -> FeedbackAccuracy;
    /// What came in since the production model was promoted.
    read(Viewer) feedback_new_images: InProject -> NewImages;
    /// The classes that an answer can name without founding one.
    read(Viewer) label_classes: InProject -> Vec<String>;
    /// The next images of a queue whose class is asked for.
    read(Viewer) label_next: LabelNext -> LabelPage;
    /// The deferred images that look alike, grouped.
    read(Viewer) label_clusters: InProject -> Clusters;
    /// Says what all images of a cluster show.
    change(Labeller) label_cluster: LabelCluster -> ClusterLabelled;

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
