//! The simulated fleet speaks the protocol as an agent does: what is asked of it, what it does by
//! itself, and what goes wrong when a test says so.

mod automation;
mod changes;
mod faults;
mod life;
mod lists;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use vigie_protocol::page::{Page, PageRequest};
use vigie_protocol::service::call_every;
use vigie_protocol::wire::client::{AgentClient, ClientOptions};
use vigie_protocol::{ApiError, ErrorCode, ProjectName};
use vigie_tests::fleet::{Fleet, FleetOptions};

/// Calls one method: `ask!(client, job_get, JobGet { job })`.
macro_rules! ask {
    ($client:expr, $method:ident, $request:expr) => {{
        let request = $request;
        $client
            .call(move |client, context| {
                let request = request.clone();
                async move { client.$method(context, request).await }
            })
            .await
    }};
}
pub(crate) use ask;

fn birds() -> ProjectName {
    "birds".parse().expect("a name")
}

/// A fleet of so many agents that share so many predictions, and a client of the first.
fn fleet(agents: usize, predictions: u64) -> (Fleet, AgentClient) {
    let fleet = Fleet::new(&FleetOptions { agents, predictions, ..FleetOptions::default() });
    let client = client(&fleet, 0);
    (fleet, client)
}

fn client(fleet: &Fleet, number: usize) -> AgentClient {
    let options = ClientOptions { timeout: Duration::from_secs(5), ..ClientOptions::new("test") };
    AgentClient::with_dialer(fleet.dialer(number), options)
}

/// All rows of a list, read in pages of `limit`, and how many pages it took.
async fn read_all<T>(
    limit: u32,
    mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>, ApiError>,
) -> (Vec<T>, usize) {
    let (mut rows, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let Page { items, next } = page(PageRequest { cursor, limit }).await.expect("a page");
        assert!(limit == 0 || items.len() <= limit as usize, "{} rows of {limit}", items.len());
        rows.extend(items);
        pages += 1;
        assert!(pages < 5_000, "the list does not end");
        cursor = next;
        if cursor.is_none() {
            return (rows, pages);
        }
    }
}

/// Rows as text, to be compared: a loss that is no number equals itself.
fn texts<T: Serialize>(rows: &[T]) -> Vec<String> {
    rows.iter().map(|row| serde_json::to_string(row).expect("a row of the protocol")).collect()
}

/// Holds that every row is there once.
fn once<T: Serialize>(what: &str, rows: &[T]) {
    let all = texts(rows);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{what} lists a row twice");
}

#[tokio::test(start_paused = true)]
async fn every_method_is_answered() {
    use ErrorCode::{Conflict, Invalid, NotFound, Precondition, Unsupported};
    let (_fleet, client) = fleet(1, 1_000);
    // Of the samples only those fit that name something that is there. All changes have one key, which
    // is used up by the first of them that is carried out.
    let expected: &[(&str, Option<ErrorCode>)] = &[
        ("whoami", None),
        ("health", None),
        ("doctor", None),
        ("agent_log", None),
        ("project_list", None),
        ("project_get", None),
        ("project_create", Some(Conflict)),
        ("project_update", Some(Conflict)),
        ("dataset_list", Some(Invalid)),
        ("dataset_get", None),
        ("dataset_images", Some(Invalid)),
        ("dataset_sizes", None),
        ("dataset_diff", Some(Invalid)),
        ("change_set_list", Some(Invalid)),
        ("change_set_get", Some(NotFound)),
        ("change_set_images", Some(NotFound)),
        ("change_set_decide", Some(NotFound)),
        ("source_list", None),
        ("source_set", Some(NotFound)),
        ("source_remove", Some(NotFound)),
        ("source_check", Some(NotFound)),
        ("class_list_get", None),
        ("class_list_set", Some(Conflict)),
        ("class_check", None),
        ("dataset_history", Some(Invalid)),
        ("dataset_balance", None),
        ("dataset_metadata", Some(NotFound)),
        ("label_check_list", Some(Invalid)),
        ("label_issue_list", Some(NotFound)),
        ("label_keep", None),
        ("job_submit", Some(Precondition)),
        ("train_submit", Some(Precondition)),
        ("job_list", Some(Invalid)),
        ("job_get", Some(NotFound)),
        ("job_log", Some(NotFound)),
        ("job_cancel", Some(Precondition)),
        ("job_retry", Some(Precondition)),
        ("lease_list", None),
        ("run_list", Some(Invalid)),
        ("run_get", Some(NotFound)),
        ("model_list", Some(Invalid)),
        ("model_get", Some(NotFound)),
        ("gate_test", Some(NotFound)),
        ("alias_list", None),
        ("alias_history", Some(Invalid)),
        ("promote", Some(Precondition)),
        ("rollback", Some(Precondition)),
        ("predict", Some(Invalid)),
        ("prediction_list", Some(Invalid)),
        ("prediction_get", Some(NotFound)),
        ("prediction_forget", Some(Precondition)),
        ("prediction_counts", None),
        ("schedule_list", None),
        ("schedule_set", Some(Unsupported)),
        ("schedule_remove", Some(Precondition)),
        ("schedule_pause", Some(Precondition)),
        ("schedule_run", Some(Precondition)),
        ("schedule_history", Some(Invalid)),
        ("class_waiting", None),
        ("rules_explain", None),
        ("feedback_give", Some(Precondition)),
        ("feedback_withdraw", Some(Precondition)),
        ("feedback_list", Some(Invalid)),
        ("feedback_accuracy", None),
        ("feedback_new_images", None),
        ("label_classes", None),
        ("label_next", Some(Invalid)),
        ("label_clusters", None),
        ("label_cluster", Some(Precondition)),
        ("event_list", Some(Invalid)),
        ("watch", None),
        ("upload_begin", None),
        ("upload_chunk", Some(NotFound)),
        ("upload_status", Some(NotFound)),
        ("upload_commit", Some(NotFound)),
        ("blob_read", Some(NotFound)),
        ("audit_list", Some(Invalid)),
        ("audit_verify", None),
        ("backup", Some(Precondition)),
    ];
    let outcomes = client
        .with_timeout(Duration::from_secs(60))
        .call(|client, _| async move { Ok(Ok(call_every(&client).await)) })
        .await
        .expect("connected");
    let codes = outcomes.into_iter().map(|(method, outcome)| {
        let answer = outcome.unwrap_or_else(|error| panic!("{method} was not answered: {error}"));
        (method, answer.err().map(|error| error.code))
    });
    assert_eq!(codes.collect::<Vec<_>>(), expected);
}
