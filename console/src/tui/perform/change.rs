//! Changes as calls. Each is made again under its key when its time runs out: it goes on at the
//! agent, and whoever asks again waits for its end.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use vigie_protocol::service::Predict;
use vigie_protocol::wire::blobs;
use vigie_protocol::wire::client::AgentClient;
use vigie_protocol::{ApiError, ErrorCode};

use crate::tui::ask::ask;
use crate::tui::effect::{Change, Done, Request};

/// The largest image file that is read.
const LARGEST_IMAGE: u64 = 64 << 20;
/// After this a change is given up here; it may still be carried out there.
const PATIENCE: Duration = Duration::from_secs(600);

/// Carries a change out.
pub(super) async fn carry_out(client: &AgentClient, change: Change) -> Result<Done, ApiError> {
    let late = |_| {
        Err(ApiError::new(ErrorCode::Timeout, "no answer within ten minutes")
            .with_hint("it may still be carried out: look at the events"))
    };
    match change {
        Change::Ask(request) => timeout(PATIENCE, to_the_end(client, request)).await.unwrap_or_else(late),
        Change::PredictFile { project, path } => {
            let image = read(&path).await?;
            let name =
                std::path::Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
            let request = Predict { project, image, blob: None, top: 5, name };
            Ok(Done::Predicted(Box::new(blobs::predict(client, request).await?)))
        }
    }
}

/// Asks until there is an answer: a late one is no refusal.
async fn to_the_end(client: &AgentClient, request: Request) -> Result<Done, ApiError> {
    loop {
        match once(client, request.clone()).await {
            Err(error) if error.code == ErrorCode::Timeout => {
                tracing::info!(method = Change::Ask(request.clone()).method(), "the agent is still at it");
            }
            done => return done,
        }
    }
}

async fn once(client: &AgentClient, request: Request) -> Result<Done, ApiError> {
    Ok(match request {
        Request::Promote(request) => Done::Moved(Box::new(ask!(client, promote, request).await?)),
        Request::Rollback(request) => Done::Moved(Box::new(ask!(client, rollback, request).await?)),
        Request::CancelJob(request) => Done::Job(Box::new(ask!(client, job_cancel, request).await?)),
        Request::RetryJob(request) => Done::Job(Box::new(ask!(client, job_retry, request).await?)),
        Request::SubmitJob(request) => Done::Job(Box::new(ask!(client, job_submit, request).await?)),
        Request::Train(request) => Done::Job(Box::new(ask!(client, train_submit, request).await?.job)),
        Request::Decide(request) => Done::Decided(Box::new(ask!(client, change_set_decide, request).await?)),
        Request::Forget(request) => {
            ask!(client, prediction_forget, request).await?;
            Done::Forgotten
        }
        Request::Feedback(request) => {
            ask!(client, feedback_give, request).await?;
            Done::Said
        }
        Request::Withdraw(request) => {
            ask!(client, feedback_withdraw, request).await?;
            Done::Said
        }
        Request::LabelCluster(request) => Done::ClusterLabelled(ask!(client, label_cluster, request).await?),
        Request::CheckSource(request) => {
            Done::SourceChecked(Box::new(ask!(client, source_check, request).await?))
        }
        Request::PauseSchedule(request) => {
            Done::Schedule(Box::new(ask!(client, schedule_pause, request).await?))
        }
        Request::RunSchedule(request) => Done::Fired(Box::new(ask!(client, schedule_run, request).await?)),
        // Not a change that can be asked for twice: each answer is a prediction of its own.
        Request::Predict(request) => Done::Predicted(Box::new(blobs::predict(client, request).await?)),
    })
}

/// Reads an image file, of bounded size.
async fn read(path: &str) -> Result<Vec<u8>, ApiError> {
    let cannot = |error: std::io::Error| ApiError::invalid(format!("cannot read {path}: {error}"));
    let file = tokio::fs::File::open(path).await.map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_IMAGE + 1).read_to_end(&mut bytes).await.map_err(cannot)?;
    if bytes.len() as u64 > LARGEST_IMAGE {
        return Err(ApiError::invalid(format!("{path} is larger than {} MiB", LARGEST_IMAGE >> 20)));
    }
    Ok(bytes)
}
