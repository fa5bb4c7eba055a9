//! Models are swapped under load: no request fails, every answer names the model that made it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;
use vigie_protocol::prediction::Prediction;
use vigie_protocol::service::{Predict, Promote, Rollback};
use vigie_protocol::{AliasName, IdempotencyKey, ModelNumber, ProjectName};
use vigie_tests::{Agent, AgentOptions, data, subset};

const CONCURRENCY: usize = 16;
const PREDICTIONS: usize = 1_000;
const MOVES: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_moves_under_a_thousand_predictions() -> Result<()> {
    let agent = Arc::new(Agent::start(&AgentOptions::default()).await?);
    let pictures = agent.state().join("shop.zip");
    subset(&data("samples/products.zip"), &pictures, 20)?;
    let source = pictures.to_str().context("path")?;
    let pipeline = ["pipeline", source, "-p", "shop", "--input", "64", "--epochs", "3"];
    agent.vigie_json(&pipeline)?;
    let seeded: Vec<&str> = pipeline.into_iter().chain(["--seed", "2", "--no-promote"]).collect();
    agent.vigie_json(&seeded)?;

    // What each model says of the picture on its own: how an answer shows who made it.
    let picture = std::fs::read(vigie_tests::repository().join("core/tests/fixtures/nets/photo_cat.png"))?;
    let project: ProjectName = "shop".parse()?;
    let mut expected: HashMap<ModelNumber, Prediction> = HashMap::new();
    for model in [2, 1] {
        move_production(&agent, &project, ModelNumber(model)).await?;
        expected.insert(ModelNumber(model), predict(&agent, &project, &picture).await?);
    }
    let (one, two) = (&expected[&ModelNumber(1)], &expected[&ModelNumber(2)]);
    ensure!(one.weights != two.weights && one.top != two.top, "two models that say the same prove nothing");

    let (done, moving) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (answered, mut answers) = watch::channel(ModelNumber(1));
    let mut tasks = tokio::task::JoinSet::new();
    let expected = Arc::new(expected);
    for _ in 0..CONCURRENCY {
        let (agent, project, picture) = (agent.clone(), project.clone(), picture.clone());
        let (done, moving, expected) = (done.clone(), moving.clone(), expected.clone());
        let answered = answered.clone();
        tasks.spawn(async move {
            let mut seen: HashMap<ModelNumber, usize> = HashMap::new();
            // Around all moves, and at least as many as promised.
            while done.fetch_add(1, Ordering::Relaxed) < PREDICTIONS || moving.load(Ordering::Relaxed) {
                let answer = predict(&agent, &project, &picture).await?;
                let said = &expected[&answer.model];
                ensure!(
                    answer.top == said.top && answer.weights == said.weights,
                    "{} did not make this answer: {answer:?}",
                    answer.model
                );
                answered.send_replace(answer.model);
                *seen.entry(answer.model).or_default() += 1;
            }
            anyhow::Ok(seen)
        });
    }
    drop(answered);
    for turn in 0..MOVES / 2 {
        move_production(&agent, &project, ModelNumber(2)).await?;
        // Each model answers before the next takes its place.
        answers.wait_for(|model| *model == ModelNumber(2)).await?;
        let back = roll_back(&agent, &project).await.with_context(|| format!("turn {turn}"))?;
        ensure!(back == ModelNumber(1), "rolled back to {back}");
        answers.wait_for(|model| *model == ModelNumber(1)).await?;
    }
    moving.store(false, Ordering::Relaxed);

    let mut seen: HashMap<ModelNumber, usize> = HashMap::new();
    while let Some(task) = tasks.join_next().await {
        for (model, count) in task?? {
            *seen.entry(model).or_default() += count;
        }
    }
    ensure!(seen.values().sum::<usize>() >= PREDICTIONS, "{seen:?}");
    ensure!(seen.len() == 2, "both models answered: {seen:?}");
    let history = agent.vigie_json(&["models", "history", "-p", "shop", "-n", "0"])?;
    // The pipeline's promotion, the two before the load, and those under it.
    ensure!(history.as_array().context("history")?.len() == 1 + 2 + MOVES, "{history}");
    Ok(())
}

async fn predict(agent: &Agent, project: &ProjectName, picture: &[u8]) -> Result<Prediction> {
    let request =
        Predict { project: project.clone(), image: picture.to_owned(), blob: None, top: 3, name: None };
    let answer = agent.client().call(move |client, context| {
        let request = request.clone();
        async move { client.predict(context, request).await }
    });
    Ok(answer.await?)
}

/// Promotes, whatever the gate says of models trained for three epochs.
async fn move_production(agent: &Agent, project: &ProjectName, candidate: ModelNumber) -> Result<()> {
    let aliases = agent.vigie_json(&["models", "history", "-p", project.as_str(), "-n", "1"])?;
    let request = Promote {
        key: IdempotencyKey::new(),
        project: project.clone(),
        candidate,
        alias: AliasName::production(),
        expected_generation: aliases[0]["generation"].as_u64().unwrap_or(0),
        reason: Some("the swap test".to_owned()),
        override_gate: true,
    };
    let moved = agent.client().call(move |client, context| {
        let request = request.clone();
        async move { client.promote(context, request).await }
    });
    ensure!(moved.await?.alias.model == candidate);
    Ok(())
}

async fn roll_back(agent: &Agent, project: &ProjectName) -> Result<ModelNumber> {
    let request = Rollback {
        key: IdempotencyKey::new(),
        project: project.clone(),
        alias: AliasName::production(),
        expected_generation: None,
        reason: None,
    };
    let moved = agent.client().call(move |client, context| {
        let request = request.clone();
        async move { client.rollback(context, request).await }
    });
    Ok(moved.await?.alias.model)
}
