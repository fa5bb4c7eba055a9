//! Questions of views as calls.

use std::sync::Arc;
use std::time::Duration;

use vigie_protocol::feedback::LabelQueue;
use vigie_protocol::page::{Page, PageCursor, PageRequest};
use vigie_protocol::service::{
    AgentLog, AliasHistory, ChangeSetGet, ChangeSetImages, ChangeSetList, ClassWaiting, DatasetDiff,
    DatasetGet, DatasetImages, DatasetList, Empty, GateTest, InProject, JobGet, JobLog, LabelNext, LabelPage,
    ModelGet, ModelList, PredictionGet, PredictionList, RunGet, RunList, ScheduleHistory, ScheduleList,
};
use vigie_protocol::wire::client::AgentClient;
use vigie_protocol::{ApiError, ErrorCode};

use crate::compare::compare;
use crate::tui::ask::ask;
use crate::tui::state::{Answer, Lines, Query, Rows};

/// Rows asked for at once: some screens of them, and small enough for a slow link.
const PAGE: u32 = 200;

/// Asks an agent.
pub(super) async fn fetch(
    client: &AgentClient,
    query: Query,
    cursor: Option<PageCursor>,
) -> Result<Answer, ApiError> {
    // Logs are read on by a number, which stands in the cursor's place.
    let number = cursor.as_ref().and_then(|cursor| cursor.0.parse::<u64>().ok());
    let page = PageRequest { cursor, limit: PAGE };
    Ok(match query {
        Query::Datasets { project, lineage } => {
            Answer::Datasets(rows(ask!(client, dataset_list, DatasetList { project, lineage, page }).await?))
        }
        Query::Images { project, dataset, class, split } => {
            let request = DatasetImages { project, dataset, class, split, page };
            Answer::Images(rows(ask!(client, dataset_images, request).await?))
        }
        Query::DatasetSizes { project, dataset } => Answer::DatasetSizes(Arc::new(
            ask!(client, dataset_sizes, DatasetGet { project, dataset }).await?,
        )),
        Query::DatasetDiff { project, from, to } => {
            let request = DatasetDiff { project, from, to, class: None, page };
            let found = ask!(client, dataset_diff, request).await?;
            Answer::DatasetDiff { classes: Arc::new(found.classes), images: rows(found.images) }
        }
        Query::AgentLog => {
            let read = ask!(client, agent_log, AgentLog { cursor: number, limit: 1_000 }).await?;
            Answer::AgentLog(Lines { lines: Arc::new(read.lines), next: read.next, dropped: read.dropped })
        }
        Query::ChangeSets { project } => {
            Answer::ChangeSets(rows(ask!(client, change_set_list, ChangeSetList { project, page }).await?))
        }
        Query::ChangeSet { project, id } => {
            let request = ChangeSetGet { project, change_set: id };
            Answer::ChangeSet(Arc::new(ask!(client, change_set_get, request).await?))
        }
        Query::ChangeSetImages { project, id, class, kind, only_findings } => {
            // The first page looks at every image of the version.
            let client = client.with_timeout(Duration::from_secs(60));
            let request = ChangeSetImages { project, change_set: id, class, kind, only_findings, page };
            Answer::ChangeSetImages(rows(ask!(client, change_set_images, request).await?))
        }
        Query::Job { job } => Answer::Job(Arc::new(ask!(client, job_get, JobGet { job }).await?)),
        Query::JobLog { job } => {
            let read = ask!(client, job_log, JobLog { job, offset: number.unwrap_or(0) }).await?;
            Answer::JobLog(Lines { lines: Arc::new(read.lines), next: read.offset, dropped: 0 })
        }
        Query::Leases => Answer::Leases(Arc::new(ask!(client, lease_list, Empty {}).await?)),
        Query::Runs { project } => {
            Answer::Runs(rows(ask!(client, run_list, RunList { project, page }).await?))
        }
        Query::Run { project, run } => {
            Answer::Run(Arc::new(ask!(client, run_get, RunGet { project, run }).await?))
        }
        Query::Models { project } => {
            Answer::Models(rows(ask!(client, model_list, ModelList { project, page }).await?))
        }
        Query::Model { project, number } => {
            Answer::Model(Arc::new(ask!(client, model_get, ModelGet { project, number }).await?))
        }
        Query::Gate { project, candidate, alias } => {
            // An engine runs over the golden set: that takes its time.
            let client = client.with_timeout(Duration::from_secs(60));
            let request = GateTest { project, candidate, alias };
            Answer::Gate(Arc::new(ask!(client, gate_test, request).await?))
        }
        Query::Compare { project, candidate, base } => {
            let get = |number| ModelGet { project: project.clone(), number };
            let candidate = ask!(client, model_get, get(candidate)).await?.passport;
            let base = ask!(client, model_get, get(base)).await?.passport;
            // Thousands of outcomes are matched: not on a thread that talks to agents.
            let compared = tokio::task::spawn_blocking(move || compare(&candidate, &base)).await;
            let broken = |_| ApiError::new(ErrorCode::Internal, "the comparison could not be made");
            Answer::Compare(Arc::new(compared.map_err(broken)?))
        }
        Query::AliasHistory { project, alias } => {
            let request = AliasHistory { project, alias, page };
            Answer::AliasHistory(rows(ask!(client, alias_history, request).await?))
        }
        Query::Predictions { project, filter } => {
            let request = PredictionList { project, filter, page };
            Answer::Predictions(rows(ask!(client, prediction_list, request).await?))
        }
        Query::LabelNext { project, queue } => {
            to_label(client, LabelNext { project, queue, cluster: None, reveal: false, page }).await?
        }
        Query::LabelMembers { project, made: _, cluster } => {
            // Were they made anew meanwhile, an answer with the old time is refused.
            let (queue, cluster) = (LabelQueue::Cluster, Some(cluster));
            to_label(client, LabelNext { project, queue, cluster, reveal: false, page }).await?
        }
        Query::LabelClusters { project } => {
            Answer::LabelClusters(Arc::new(ask!(client, label_clusters, InProject { project }).await?))
        }
        Query::LabelClasses { project } => {
            Answer::LabelClasses(Arc::new(ask!(client, label_classes, InProject { project }).await?))
        }
        Query::Sources { project } => {
            Answer::Sources(Arc::new(ask!(client, source_list, InProject { project }).await?))
        }
        Query::Schedules => {
            let request = ScheduleList { project: None };
            Answer::Schedules(Arc::new(ask!(client, schedule_list, request).await?))
        }
        Query::Firings { project, name } => {
            let request = ScheduleHistory { project, name, page };
            Answer::Firings(rows(ask!(client, schedule_history, request).await?))
        }
        Query::Waiting { project, threshold } => {
            let request = ClassWaiting { project, threshold };
            Answer::Waiting(Arc::new(ask!(client, class_waiting, request).await?))
        }
        Query::Prediction { project, id } => {
            let request = PredictionGet { project, prediction: id };
            Answer::Prediction(Arc::new(ask!(client, prediction_get, request).await?))
        }
    })
}

async fn to_label(client: &AgentClient, request: LabelNext) -> Result<Answer, ApiError> {
    let LabelPage { items, waiting, gone } = ask!(client, label_next, request).await?;
    Ok(Answer::LabelNext { items: rows(items), waiting, gone })
}

fn rows<T>(page: Page<T>) -> Rows<T> {
    Rows { rows: Arc::new(page.items), next: page.next }
}
