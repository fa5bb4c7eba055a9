//! Changes happen once: whatever becomes of who asked for them, and however often they ask.

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use vigie_protocol::page::PageRequest;
use vigie_protocol::project::{Project, ProjectSettings};
use vigie_protocol::service::{AuditEntry, AuditList, Backup, BackupMade, Empty, ProjectCreate};
use vigie_protocol::wire::AgentClient;
use vigie_protocol::{ApiError, ErrorCode, IdempotencyKey};
use vigie_tests::peers::{Steady, send};
use vigie_tests::{Agent, AgentOptions};

fn creation(name: &str) -> Result<ProjectCreate> {
    Ok(ProjectCreate {
        key: IdempotencyKey::new(),
        name: name.parse()?,
        description: "made by who vanished".to_owned(),
        settings: ProjectSettings::default(),
    })
}

async fn create(client: &AgentClient, request: &ProjectCreate) -> Result<Project, ApiError> {
    let request = request.clone();
    client
        .call(move |client, context| {
            let request = request.clone();
            async move { client.project_create(context, request).await }
        })
        .await
}

async fn back_up(client: &AgentClient, request: &Backup) -> Result<BackupMade, ApiError> {
    let request = request.clone();
    client
        .call(move |client, context| {
            let request = request.clone();
            async move { client.backup(context, request).await }
        })
        .await
}

/// What the audit log says of changes to `target`.
async fn audited(agent: &Agent, target: &str) -> Result<Vec<AuditEntry>> {
    let request = AuditList { page: PageRequest { cursor: None, limit: 1_000 } };
    let list = agent.client().call(move |client, context| {
        let request = request.clone();
        async move { client.audit_list(context, request).await }
    });
    Ok(list.await?.items.into_iter().filter(|entry| entry.target == target).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_client_vanishes_happens_once() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    let steady = Steady::start(&agent).await?;
    for number in 0..40 {
        let request = creation(&format!("vanished-{number}"))?;
        let mut stream = agent.greeted().await?;
        send(&mut stream, 1, 30, "ProjectCreate", serde_json::to_value(&request)?).await?;
        // At once, or after a moment in which the agent may have begun.
        for _ in 0..number {
            tokio::task::yield_now().await;
        }
        drop(stream);
        let first = create(agent.client(), &request).await?;
        let second = create(agent.client(), &request).await?;
        ensure!(first == second && first.description == request.description, "{first:?} {second:?}");
        let lines = audited(&agent, request.name.as_str()).await?;
        ensure!(lines.len() == 1 && lines[0].outcome == "ok", "{lines:?}");
    }
    let projects =
        agent.client().call(|client, context| async move { client.project_list(context, Empty {}).await });
    ensure!(projects.await?.len() == 40);
    steady.served("changes whose clients vanish").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stands_for_one_request() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    let request = creation("owls")?;
    let mut peers = JoinSet::new();
    for number in 0..16 {
        let (client, request) = (agent.new_client(&format!("peer {number}")), request.clone());
        peers.spawn(async move { create(&client, &request).await });
    }
    let mut answers = Vec::new();
    while let Some(answer) = peers.join_next().await {
        answers.push(answer??);
    }
    ensure!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");

    for other in [
        ProjectCreate { description: "other words".to_owned(), ..request.clone() },
        ProjectCreate { name: "wrens".parse()?, ..request.clone() },
    ] {
        let refused = create(agent.client(), &other).await;
        ensure!(refused.as_ref().is_err_and(|error| error.code == ErrorCode::Precondition), "{refused:?}");
    }
    let elsewhere = Backup { key: request.key, path: "/nowhere/at/all".to_owned() };
    let refused = back_up(agent.client(), &elsewhere).await;
    ensure!(refused.as_ref().is_err_and(|error| error.code == ErrorCode::Precondition), "{refused:?}");

    ensure!(audited(&agent, "owls").await?.len() == 1);
    ensure!(audited(&agent, "wrens").await?.is_empty());
    Ok(())
}

/// What has no row of its own in the store is remembered too, over a restart as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut agent = Agent::start(&AgentOptions::default()).await?;
    let path = folder.path().join("monday").display().to_string();
    let request = Backup { key: IdempotencyKey::new(), path: path.clone() };
    let mut stream = agent.greeted().await?;
    send(&mut stream, 1, 30, "Backup", json!({"key": request.key, "path": request.path})).await?;
    drop(stream);
    let first = back_up(agent.client(), &request).await?;
    agent.kill_and_restart(&AgentOptions::default()).await?;
    let second = back_up(agent.client(), &request).await?;
    ensure!(first == second, "{first:?} {second:?}");
    ensure!(audited(&agent, &path).await?.len() == 1);

    let again = Backup { key: IdempotencyKey::new(), path };
    let refused = back_up(agent.client(), &again).await;
    ensure!(refused.as_ref().is_err_and(|error| error.code == ErrorCode::Conflict), "{refused:?}");
    Ok(())
}
