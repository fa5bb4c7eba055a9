//! One connection to a simulated agent: handshake, roles, and every method of the service.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tarpc::context::Context;
use tarpc::server::{BaseChannel, Channel, Serve, serve as answer_with};
use tarpc::{RequestName, ServerError};
use tokio::io::DuplexStream;
use tokio::task::yield_now;
use tokio::time::timeout;
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
use vigie_protocol::wire::handshake::{self, MAX_HELLO};
use vigie_protocol::wire::{
    ClientHello, Greeting, Limits, MAX_WAIT, PROTOCOL, Welcome, WireCodec, frame, transport,
};
use vigie_protocol::{ApiError, Time};

use super::agent::SimAgent;
use super::state::State;

/// Requests at one time on one connection, as with the real agent.
const REQUESTS: usize = 64;

/// Predictions counted before others get their turn.
const COUNTED_AT_ONCE: usize = 4_096;

/// Serves one stream to its end.
pub(super) async fn serve(agent: SimAgent, mut stream: DuplexStream) {
    let Some(welcome) = welcome(&agent, &mut stream).await else { return };
    let session = Session { agent, who: Arc::new(welcome.principal) };
    BaseChannel::with_defaults(transport::server(stream, welcome.codec))
        .max_concurrent_requests(REQUESTS)
        .execute(answer_with(move |context, request| session.clone().answer(context, request)))
        .for_each_concurrent(None, |handler| handler)
        .await;
}

async fn welcome(agent: &SimAgent, stream: &mut DuplexStream) -> Option<Welcome> {
    let (greeting, now) = {
        let state = agent.state();
        let (epoch, version) = (state.epoch(), state.version().to_owned());
        (Greeting { agent_id: agent.id(), epoch, version }, state.now)
    };
    let (principal, lacking) = {
        let door = agent.door();
        let via = "unix socket, uid 1007, pid 4242".to_owned();
        let principal = Principal { name: "alice".to_owned(), role: door.role, via };
        (door.refusal.clone().map_or(Ok(principal), Err), door.lacking.clone())
    };
    match principal {
        Ok(principal) if !lacking.is_empty() => {
            let has = |method: &&MethodInfo| !lacking.contains(method.name);
            let methods = METHODS.iter().filter(has).map(|method| method.name.to_owned()).collect();
            welcome_as_another_build(stream, greeting, principal, methods, now).await
        }
        // Who is turned away was told why; whoever says nothing sensible has gone.
        principal => Some(handshake::accept(stream, &greeting, principal, now).await.ok()?.1),
    }
}

/// The handshake of a build that has other methods than this one, which the real one cannot play.
async fn welcome_as_another_build(
    stream: &mut DuplexStream,
    greeting: Greeting,
    principal: Principal,
    methods: Vec<String>,
    server_time: Time,
) -> Option<Welcome> {
    let hello = frame::read(stream, MAX_HELLO).await.ok()?;
    let hello: ClientHello = serde_json::from_slice(&hello).ok()?;
    let codec = hello.codec.iter().find_map(|name| WireCodec::named(name))?;
    let Greeting { agent_id, epoch, version } = greeting;
    let (proto, limits) = (PROTOCOL.1, Limits::default());
    let welcome = Welcome { proto, codec, agent_id, epoch, principal, methods, limits, server_time, version };
    let answer = serde_json::to_vec(&serde_json::json!({ "ok": welcome })).ok()?;
    frame::write(stream, &answer).await.ok()?;
    Some(welcome)
}

/// Somebody who was let in.
#[derive(Clone)]
struct Session {
    agent: SimAgent,
    who: Arc<Principal>,
}

impl Session {
    async fn answer(self, context: Context, request: VigieRequest) -> Result<VigieResponse, ServerError> {
        let name = request.name();
        let refused = |detail| Err(ServerError::new(ErrorKind::PermissionDenied, detail));
        let Some(method) = method(name) else {
            return refused(format!("{name} is not in the table of methods"));
        };
        let Principal { name, role, via: _ } = self.who.as_ref();
        if *role < method.role {
            let (method, needed) = (method.name, method.role);
            return refused(format!("{method} needs the role {needed}; {name} has the role {role}"));
        }
        let agent = self.agent.clone();
        agent.note_call(method.name);
        let answer = self.serve().serve(context, request).await;
        if agent.loses(method.name) {
            std::future::pending::<()>().await;
        }
        answer
    }

    async fn watch(&self, request: Watch) -> Watched {
        let (mut bell, news) = {
            let state = self.agent.state();
            (state.bell(), state.news(request.cursor))
        };
        let Some(cursor) = request.cursor else { return news };
        if news.resync || news.next != cursor {
            return news;
        }
        let wait = Duration::from_millis(request.max_wait_ms.into()).min(MAX_WAIT);
        // Whether by news or by the clock: what there is then is the answer.
        let _ = timeout(wait, bell.wait_for(|newest| *newest != cursor)).await;
        self.agent.state().news(Some(cursor))
    }

    async fn count(&self, request: &PredictionCounts) -> Result<Vec<HourCount>, ApiError> {
        let mut counting = self.agent.state().counting(request)?;
        while !counting.go_on(COUNTED_AT_ONCE) {
            yield_now().await;
        }
        Ok(counting.done())
    }
}

macro_rules! answer_from_state {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        impl Vigie for Session {
            $(async fn $method(self, _: Context, request: $request) -> Result<$response, ApiError> {
                State::$method(&mut self.agent.state(), &self.who, request)
            })*

            async fn watch(self, _: Context, request: Watch) -> Result<Watched, ApiError> {
                Ok(Session::watch(&self, request).await)
            }

            async fn prediction_counts(
                self,
                _: Context,
                request: PredictionCounts,
            ) -> Result<Vec<HourCount>, ApiError> {
                self.count(&request).await
            }
        }
    };
}

answer_from_state! {
    whoami(Empty) -> Principal;
    health(Empty) -> AgentHealth;
    doctor(Empty) -> Vec<Finding>;
    agent_log(AgentLog) -> AgentLogPage;

    project_list(Empty) -> Vec<Project>;
    project_get(InProject) -> Project;
    project_create(ProjectCreate) -> Project;
    project_update(ProjectUpdate) -> Project;

    dataset_list(DatasetList) -> Page<DatasetVersion>;
    dataset_get(DatasetGet) -> DatasetVersion;
    dataset_images(DatasetImages) -> Page<DatasetImage>;
    dataset_sizes(DatasetGet) -> Vec<ClassSizes>;
    dataset_diff(DatasetDiff) -> DatasetDifference;
    change_set_list(ChangeSetList) -> Page<ChangeSet>;
    change_set_get(ChangeSetGet) -> ChangeSet;
    change_set_images(ChangeSetImages) -> Page<ChangeSetImage>;
    change_set_decide(ChangeSetDecide) -> ChangeSet;

    source_list(InProject) -> Vec<Source>;
    source_set(SourceSet) -> Source;
    source_remove(SourceRemove) -> Source;
    source_check(SourceCheck) -> SourceChecked;
    class_list_get(InProject) -> ClassList;
    class_list_set(ClassListSet) -> ClassList;
    class_check(ClassCheck) -> Vec<LabelMatch>;
    dataset_history(DatasetList) -> Page<DatasetHistory>;
    dataset_balance(DatasetBalance) -> BalancePlan;
    dataset_metadata(DatasetMetadata) -> DatasetModelMetadata;
    label_check_list(LabelCheckList) -> Page<LabelCheck>;
    label_issue_list(LabelIssueList) -> LabelIssues;
    label_keep(LabelKeep) -> Empty;

    job_submit(JobSubmit) -> Job;
    train_submit(TrainSubmit) -> TrainSubmitted;
    job_list(JobList) -> Page<Job>;
    job_get(JobGet) -> Job;
    job_log(JobLog) -> JobLogPage;
    job_cancel(JobChange) -> Job;
    job_retry(JobChange) -> Job;
    lease_list(Empty) -> Vec<Lease>;

    run_list(RunList) -> Page<Run>;
    run_get(RunGet) -> Run;

    model_list(ModelList) -> Page<ModelVersion>;
    model_get(ModelGet) -> ModelDetail;
    gate_test(GateTest) -> GateVerdict;
    alias_list(InProject) -> Vec<Alias>;
    alias_history(AliasHistory) -> Page<AliasMove>;
    promote(Promote) -> AliasMoved;
    rollback(Rollback) -> AliasMoved;

    predict(Predict) -> Prediction;
    prediction_list(PredictionList) -> Page<Prediction>;
    prediction_get(PredictionGet) -> Prediction;
    prediction_forget(PredictionForget) -> Empty;

    schedule_list(ScheduleList) -> Vec<ScheduleStatus>;
    schedule_set(ScheduleSet) -> Schedule;
    schedule_remove(ScheduleRemove) -> Empty;
    schedule_pause(SchedulePause) -> Schedule;
    schedule_run(ScheduleRun) -> Firing;
    schedule_history(ScheduleHistory) -> Page<Firing>;
    class_waiting(ClassWaiting) -> WaitingRoom;
    rules_explain(InProject) -> RulesExplained;
    feedback_give(FeedbackGive) -> Feedback;
    feedback_withdraw(FeedbackWithdraw) -> FeedbackLeft;
    feedback_list(FeedbackList) -> Page<Feedback>;
    feedback_accuracy(FeedbackAccuracyGet) -> FeedbackAccuracy;
    feedback_new_images(InProject) -> NewImages;
    label_classes(InProject) -> Vec<String>;
    label_next(LabelNext) -> LabelPage;
    label_clusters(InProject) -> Clusters;
    label_cluster(LabelCluster) -> ClusterLabelled;

    event_list(EventList) -> Page<Event>;

    upload_begin(UploadBegin) -> UploadStatus;
    upload_chunk(UploadChunk) -> UploadStatus;
    upload_status(UploadGet) -> UploadStatus;
    upload_commit(UploadGet) -> UploadStatus;
    blob_read(BlobRead) -> BlobChunk;

    audit_list(AuditList) -> Page<AuditEntry>;
    audit_verify(Empty) -> AuditVerdict;
    backup(Backup) -> BackupMade;
}
