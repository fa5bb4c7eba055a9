//! The service's methods, each handed to the file of its group.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tarpc::RequestName;
use tarpc::context::Context;
use tarpc::server::Serve;
use vigie_core::store::audit::AuditDraft;
use vigie_core::store::catalog::Receipt;
use vigie_core::store::{State, StoreError};
use vigie_protocol::access::Principal;
use vigie_protocol::balance::BalancePlan;
use vigie_protocol::blob::{BlobChunk, UploadStatus};
use vigie_protocol::classes::{ClassList, LabelMatch};
use vigie_protocol::dataset::{ChangeSet, ClassSizes, DatasetDifference, DatasetImage, DatasetVersion};
use vigie_protocol::event::Event;
use vigie_protocol::feedback::{Clusters, Feedback, FeedbackAccuracy, NewImages};
use vigie_protocol::health::{AgentHealth, Finding};
use vigie_protocol::history::{DatasetHistory, DatasetModelMetadata};
use vigie_protocol::job::{Job, Lease};
use vigie_protocol::label_check::{LabelCheck, LabelIssues};
use vigie_protocol::model::{Alias, AliasMove, GateVerdict, ModelVersion};
use vigie_protocol::page::Page;
use vigie_protocol::prediction::{HourCount, Prediction};
use vigie_protocol::project::Project;
use vigie_protocol::review::ChangeSetImage;
use vigie_protocol::rules::{RulesExplained, WaitingRoom};
use vigie_protocol::run::Run;
use vigie_protocol::schedule::{Firing, Schedule, ScheduleStatus};
use vigie_protocol::service::*;
use vigie_protocol::source::Source;
use vigie_protocol::wire::WireCodec;
use vigie_protocol::{ApiError, ErrorCode, Hash, IdempotencyKey, Time};

use super::guard::{Answer, Handler};
use super::session::Session;
use crate::app::App;

/// Answers one connection's requests.
#[derive(Clone)]
pub struct Api {
    pub(super) session: Arc<Session>,
    pub(super) app: Arc<App>,
    /// The digest of the request that is being answered, if it asks for a change.
    request: Option<Hash>,
}

impl Api {
    /// Answers for `session`.
    pub fn new(session: Arc<Session>, app: Arc<App>) -> Self {
        Self { session, app, request: None }
    }

    /// Reads from the store.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&State) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.app.store(work).await
    }

    /// Carries a change out once: a key that was carried out before gets the first answer again,
    /// made from what was stored with the change, and one that is being carried out waits for its
    /// end. The change runs to its end whatever becomes of the connection, and lands in the audit
    /// log whether it succeeds or not.
    pub(super) async fn change<Stored, Answer, Work>(
        &self,
        change: Change,
        work: impl FnOnce(Self, Receipt) -> Work,
    ) -> Result<Answer, ApiError>
    where
        Stored: DeserializeOwned + Into<Answer> + Send + 'static,
        Answer: Clone + Send + Sync + 'static,
        Work: Future<Output = Result<Answer, ApiError>> + Send + 'static,
    {
        if let Some(reason) = &change.reason {
            at_most("the reason", reason, REASON_BYTES)?;
        }
        let at = Time::now();
        let mut draft = change.audit(&self.session.principal, at);
        let Change { key, method, target, reason: _ } = change;
        let receipt = Receipt { key, method, request: self.request, at, audit: Some(draft.clone()) };
        let request = self.request.unwrap_or_else(|| Hash::of(target.as_bytes()));
        let work = work(self.clone(), receipt.clone());
        let app = self.app.clone();
        let carried_out = async move {
            if let Some(stored) = app.store(move |state| state.catalog.receipt::<Stored>(&receipt)).await? {
                return Ok(stored.into());
            }
            let result = work.await;
            if let Err(error) = &result {
                draft.outcome = error.to_string();
                // The key is still good: trying again with it may succeed.
                draft.key = None;
            }
            let recorded = app.store(move |state| state.record(&draft)).await;
            match (&result, recorded) {
                // What was done is kept with its line; the line is written as soon as the disk allows.
                (Ok(_), Err(error)) => tracing::error!(%error, "the audit log cannot be written"),
                (Err(_), Err(error)) => return Err(error),
                (_, Ok(())) => {}
            }
            result
        };
        self.app.mutations.once(key, request, carried_out).await
    }

    /// Keeps the answer of a change that is not laid down together with its receipt.
    pub(super) async fn keep<T>(&self, receipt: Receipt, answer: T) -> Result<T, ApiError>
    where
        T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
    {
        self.read(move |state| state.catalog.keep(&receipt, &answer)).await
    }

    pub(super) fn who(&self) -> String {
        self.session.principal.name.clone()
    }
}

impl Handler for Api {
    fn handle(mut self, context: Context, request: VigieRequest) -> Answer {
        if method(request.name()).is_some_and(|method| method.mutation) {
            // What cannot be written again cannot have been read.
            self.request = WireCodec::MsgPack.encode(&request).ok().map(|bytes| Hash::of(&bytes));
        }
        Box::pin(self.serve().serve(context, request))
    }
}

/// The longest reason, in bytes.
const REASON_BYTES: usize = 4_000;

/// Refuses a text of more than `most` bytes: it is kept, and sent on to whoever looks.
pub(super) fn at_most(what: &str, text: &str, most: usize) -> Result<(), ApiError> {
    if text.len() <= most {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::TooLarge,
        format!("{what} has {} bytes, at most {most} are kept", text.len()),
    ))
}

/// What a change is, for its receipt and the audit log.
pub(super) struct Change {
    pub key: IdempotencyKey,
    pub method: &'static str,
    pub target: String,
    pub reason: Option<String>,
}

impl Change {
    /// What the audit log says when the change was carried out.
    fn audit(&self, principal: &Principal, at: Time) -> AuditDraft {
        AuditDraft {
            key: Some(self.key),
            at,
            principal: principal.name.clone(),
            role: principal.role.to_string(),
            via: principal.via.clone(),
            method: self.method.to_owned(),
            target: self.target.clone(),
            outcome: "ok".to_owned(),
            reason: self.reason.clone(),
        }
    }
}

macro_rules! answer_with {
    ($($method:ident($request:ty) -> $response:ty = $function:path;)*) => {
        impl Vigie for Api {
            $(async fn $method(self, _: Context, request: $request) -> Result<$response, ApiError> {
                $function(self, request).await
            })*
        }
    };
}

use super::{
    agent, blobs, classes, datasets, feedback, figures, jobs, labelling, models, predictions, projects,
    rules, schedules, sources,
};

answer_with! {
    whoami(Empty) -> Principal = agent::whoami;
    health(Empty) -> AgentHealth = agent::health;
    doctor(Empty) -> Vec<Finding> = agent::doctor;
    agent_log(AgentLog) -> AgentLogPage = agent::log;

    project_list(Empty) -> Vec<Project> = projects::list;
    project_get(InProject) -> Project = projects::get;
    project_create(ProjectCreate) -> Project = projects::create;
    project_update(ProjectUpdate) -> Project = projects::update;

    dataset_list(DatasetList) -> Page<DatasetVersion> = datasets::list;
    dataset_get(DatasetGet) -> DatasetVersion = datasets::get;
    dataset_images(DatasetImages) -> Page<DatasetImage> = datasets::images;
    dataset_sizes(DatasetGet) -> Vec<ClassSizes> = datasets::sizes;
    dataset_diff(DatasetDiff) -> DatasetDifference = datasets::diff;
    change_set_list(ChangeSetList) -> Page<ChangeSet> = datasets::change_sets;
    change_set_get(ChangeSetGet) -> ChangeSet = datasets::change_set;
    change_set_images(ChangeSetImages) -> Page<ChangeSetImage> = datasets::change_set_images;
    change_set_decide(ChangeSetDecide) -> ChangeSet = datasets::decide;

    source_list(InProject) -> Vec<Source> = sources::list;
    source_set(SourceSet) -> Source = sources::set;
    source_remove(SourceRemove) -> Source = sources::remove;
    source_check(SourceCheck) -> SourceChecked = sources::check;

    class_list_get(InProject) -> ClassList = classes::list;
    class_list_set(ClassListSet) -> ClassList = classes::set_list;
    class_check(ClassCheck) -> Vec<LabelMatch> = classes::check;
    dataset_history(DatasetList) -> Page<DatasetHistory> = figures::history;
    dataset_balance(DatasetBalance) -> BalancePlan = figures::balance;
    dataset_metadata(DatasetMetadata) -> DatasetModelMetadata = figures::metadata;
    label_check_list(LabelCheckList) -> Page<LabelCheck> = classes::checks;
    label_issue_list(LabelIssueList) -> LabelIssues = classes::issues;
    label_keep(LabelKeep) -> Empty = classes::keep;

    job_submit(JobSubmit) -> Job = jobs::submit;
    train_submit(TrainSubmit) -> TrainSubmitted = jobs::train;
    job_list(JobList) -> Page<Job> = jobs::list;
    job_get(JobGet) -> Job = jobs::get;
    job_log(JobLog) -> JobLogPage = jobs::log;
    job_cancel(JobChange) -> Job = jobs::cancel;
    job_retry(JobChange) -> Job = jobs::retry;
    lease_list(Empty) -> Vec<Lease> = jobs::leases;

    run_list(RunList) -> Page<Run> = jobs::runs;
    run_get(RunGet) -> Run = jobs::run;

    model_list(ModelList) -> Page<ModelVersion> = models::list;
    model_get(ModelGet) -> ModelDetail = models::get;
    gate_test(GateTest) -> GateVerdict = models::gate_test;
    alias_list(InProject) -> Vec<Alias> = models::aliases;
    alias_history(AliasHistory) -> Page<AliasMove> = models::history;
    promote(Promote) -> AliasMoved = models::promote;
    rollback(Rollback) -> AliasMoved = models::rollback;

    predict(Predict) -> Prediction = predictions::predict;
    prediction_list(PredictionList) -> Page<Prediction> = predictions::list;
    prediction_get(PredictionGet) -> Prediction = predictions::get;
    prediction_forget(PredictionForget) -> Empty = predictions::forget;
    prediction_counts(PredictionCounts) -> Vec<HourCount> = predictions::counts;

    schedule_list(ScheduleList) -> Vec<ScheduleStatus> = schedules::list;
    schedule_set(ScheduleSet) -> Schedule = schedules::set;
    schedule_remove(ScheduleRemove) -> Empty = schedules::remove;
    schedule_pause(SchedulePause) -> Schedule = schedules::pause;
    schedule_run(ScheduleRun) -> Firing = schedules::run;
    schedule_history(ScheduleHistory) -> Page<Firing> = schedules::history;
    class_waiting(ClassWaiting) -> WaitingRoom = rules::waiting;
    rules_explain(InProject) -> RulesExplained = rules::explained;

    feedback_give(FeedbackGive) -> Feedback = feedback::give;
    feedback_withdraw(FeedbackWithdraw) -> FeedbackLeft = feedback::withdraw;
    feedback_list(FeedbackList) -> Page<Feedback> = feedback::list;
    feedback_accuracy(FeedbackAccuracyGet) -> FeedbackAccuracy = feedback::accuracy;
    feedback_new_images(InProject) -> NewImages = feedback::new_images;
    label_classes(InProject) -> Vec<String> = labelling::classes;
    label_next(LabelNext) -> LabelPage = labelling::next;
    label_clusters(InProject) -> Clusters = labelling::clusters;
    label_cluster(LabelCluster) -> ClusterLabelled = labelling::label_cluster;

    event_list(EventList) -> Page<Event> = agent::events;
    watch(Watch) -> Watched = agent::watch;

    upload_begin(UploadBegin) -> UploadStatus = blobs::begin;
    upload_chunk(UploadChunk) -> UploadStatus = blobs::chunk;
    upload_status(UploadGet) -> UploadStatus = blobs::status;
    upload_commit(UploadGet) -> UploadStatus = blobs::commit;
    blob_read(BlobRead) -> BlobChunk = blobs::read;

    audit_list(AuditList) -> Page<AuditEntry> = agent::audit_list;
    audit_verify(Empty) -> AuditVerdict = agent::audit_verify;
    backup(Backup) -> BackupMade = agent::backup;
}
