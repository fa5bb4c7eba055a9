//! The gate of a real agent: what it refuses does not move and is told why; who goes against it types a
//! reason, which stays; and the way back fails no request.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use vigie_protocol::model::{AliasMove, MoveKind};
use vigie_protocol::page::PageRequest;
use vigie_protocol::prediction::Prediction;
use vigie_protocol::service::{
    AliasHistory, AuditList, Empty, GateTest, InProject, ModelGet, Predict, Promote, Rollback,
};
use vigie_protocol::wire::AgentClient;
use vigie_protocol::{AliasName, ApiError, ErrorCode, IdempotencyKey, ModelNumber, ProjectName, Time};
use vigie_tests::{Agent, AgentOptions, Pick, ask, data, pick, pictures, repository, subset};

const GOOD: ModelNumber = ModelNumber(1);
/// Its labels were dealt out blindly, and a class of production is not among them.
const BAD: ModelNumber = ModelNumber(2);
const REASON: &str = "the camera is gone by Monday; v2 knows the new one";
/// Clients that ask for predictions while the alias moves.
const ASKING: usize = 8;
/// "At once", on a machine that is busy with other tests.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_model_is_refused_overridden_and_taken_back() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default()).await?;
    let project: ProjectName = "shop".parse()?;
    good_and_bad(&agent)?;
    let first = history(&agent, &project).await?;
    ensure!(first.len() == 1 && first[0].kind == MoveKind::Promote && first[0].to == GOOD, "{first:?}");
    ensure!(first[0].verdict.as_ref().is_some_and(|verdict| verdict.passed()), "{first:?}");

    refused_with_its_reasons(&agent, &project).await?;
    no_override_without_a_reason(&agent, &project).await?;
    ensure!(history(&agent, &project).await? == first, "a refused promotion moved something");

    let serving = Asking::start(&agent, &project)?;
    serving.answered_by(GOOD).await?;
    let asked = Time::now();
    let against = promote(&agent, &project, true, Some(REASON)).await?;
    serving.answered_by(BAD).await?;
    let back = ask!(
        agent.client(),
        rollback,
        Rollback {
            key: IdempotencyKey::new(),
            project: project.clone(),
            alias: AliasName::production(),
            expected_generation: None,
            reason: Some("customers complain".to_owned()),
        }
    );
    let back = back.await?;
    let taken_back = Instant::now();
    ensure!(back.alias.model == GOOD, "{back:?}");
    ensure!(Duration::from_millis(back.swap_ms) < AT_ONCE, "{} ms", back.swap_ms);
    serving.answered_by(GOOD).await?;
    for (begun, answer) in serving.stop().await? {
        ensure!(begun < taken_back || answer.model == GOOD, "asked after the rollback: {answer:?}");
    }

    let moves = history(&agent, &project).await?;
    let me = ask!(agent.client(), whoami, Empty {}).await?.name;
    let [rollback, overriding, _] = &moves[..] else { anyhow::bail!("{moves:?}") };
    ensure!(*overriding == against && *rollback == back.moved, "{moves:?}");
    for (step, kind, to, reason) in [
        (overriding, MoveKind::Override, BAD, REASON),
        (rollback, MoveKind::Rollback, GOOD, "customers complain"),
    ] {
        ensure!(step.kind == kind && step.to == to && step.by == me, "{step:?}");
        ensure!(step.reason.as_deref() == Some(reason), "{step:?}");
        ensure!((asked..=Time::now()).contains(&step.at), "{step:?}");
    }
    let verdict = overriding.verdict.as_ref().context("an override without what the gate said")?;
    ensure!(!verdict.passed() && verdict.against == Some(GOOD), "{verdict:?}");
    // What a person sees of it.
    let shown = agent.vigie(&["models", "history", "-p", "shop"])?;
    for part in ["against the gate", REASON, &me, "rolled back", "customers complain"] {
        ensure!(shown.out.contains(part), "{part:?} is not shown: {}", shown.out);
    }
    audited(&agent, &me).await
}

/// Puts the good model into production and registers the bad one.
fn good_and_bad(agent: &Agent) -> Result<()> {
    let (products, path) = (data("samples/products.zip"), |name: &str| agent.state().join(name));
    let (right, wrong) = (path("right.zip"), path("wrong.zip"));
    subset(&products, &right, 20)?;
    let recipe = ["-p", "shop", "--input", "64", "--epochs", "4"];
    agent.vigie_json(&[&["pipeline", right.to_str().context("path")?], &recipe[..]].concat())?;

    let classes: Vec<String> = pictures(&products, 1)?.into_iter().map(|(class, _)| class).collect();
    // Each folder has two pictures of each class: there is nothing to learn.
    let picks = classes[1..].iter().zip((40..).step_by(2)).flat_map(|(class, number)| {
        classes.iter().map(move |of| Pick { class, of, range: number..number + 2 })
    });
    pick(&products, &wrong, &picks.collect::<Vec<_>>())?;
    let wrong = wrong.to_str().context("path")?;
    agent.vigie_json(&["datasets", "import", wrong, "-p", "shop", "--lineage", "production"])?;
    let trained = agent.vigie_json(&[&["runs", "start", "production@v1"], &recipe[..]].concat())?;
    let run = trained["outcome"]["run"].as_str().with_context(|| format!("no run: {trained}"))?;
    let bad = agent.vigie_json(&["models", "evaluate", run, "-p", "shop"])?;
    ensure!(bad["outcome"]["number"] == BAD.0, "{bad}");
    Ok(())
}

async fn refused_with_its_reasons(agent: &Agent, project: &ProjectName) -> Result<()> {
    let test = GateTest { project: project.clone(), candidate: BAD, alias: AliasName::production() };
    let verdict = ask!(agent.client(), gate_test, test).await?;
    let failed: Vec<_> = verdict.checks.iter().filter(|check| !check.passed).collect();
    let names: Vec<&str> = failed.iter().map(|check| check.name.as_str()).collect();
    ensure!(names == ["classes", "test-accuracy"], "{verdict:?}");

    let Err(refused) = promote(agent, project, false, Some("it looks fine")).await else {
        anyhow::bail!("the gate let it through: {verdict:?}");
    };
    ensure!(refused.code == ErrorCode::GateRefused, "{refused:?}");
    // The evidence with its figures, and the way on.
    for check in &failed {
        let told = refused.message.contains(&format!("{}: {}", check.name, check.detail));
        ensure!(told && refused.message.contains("v2"), "{check:?} is not said: {refused:?}");
    }
    ensure!(refused.hint.as_ref().is_some_and(|hint| hint.contains("--override --reason")), "{refused:?}");

    let said = agent.vigie(&["models", "promote", "v2", "-p", "shop", "--yes"])?;
    let told = failed.iter().all(|check| said.err.contains(&check.detail));
    ensure!(said.code == 6 && told, "{said:?}");
    let stays = ask!(agent.client(), alias_list, InProject { project: project.clone() }).await?;
    ensure!(stays.len() == 1 && stays[0].model == GOOD, "{stays:?}");
    let detail = ask!(agent.client(), model_get, ModelGet { project: project.clone(), number: BAD }).await?;
    ensure!(detail.aliases.is_empty(), "{:?}", detail.aliases);
    ensure!(predict(agent.client(), project, &picture()?).await?.model == GOOD);
    Ok(())
}

async fn no_override_without_a_reason(agent: &Agent, project: &ProjectName) -> Result<()> {
    for reason in [None, Some(""), Some(" \t\n")] {
        let refused = promote(agent, project, true, reason).await;
        let told = |error: &ApiError| {
            error.code == ErrorCode::Invalid
                && error.message.contains("needs a reason")
                && error.hint.as_ref().is_some_and(|hint| hint.contains("--reason"))
        };
        ensure!(refused.as_ref().is_err_and(told), "{reason:?}: {refused:?}");
    }
    let said = agent.vigie(&["models", "promote", "v2", "-p", "shop", "--yes", "--override"])?;
    ensure!(said.code == 2 && said.err.contains("--reason"), "{said:?}");
    Ok(())
}

/// The audit log has every attempt with its end, refused ones too.
async fn audited(agent: &Agent, me: &str) -> Result<()> {
    let list = AuditList { page: PageRequest { cursor: None, limit: 1_000 } };
    let lines = ask!(agent.client(), audit_list, list).await?.items;
    let attempts: Vec<_> = lines.iter().filter(|line| line.target == "shop production -> v2").collect();
    ensure!(attempts.iter().all(|line| line.method == "promote" && line.principal == me), "{attempts:?}");
    for (outcome, reason, count) in [
        ("ok", Some(REASON), 1),
        ("the gate refused v2", Some("it looks fine"), 1),
        ("needs a reason", None, 1),
    ] {
        let found =
            attempts.iter().filter(|line| line.outcome.contains(outcome) && line.reason.as_deref() == reason);
        ensure!(found.count() == count, "{outcome:?} for {reason:?}: {attempts:#?}");
    }
    let back = lines.iter().find(|line| line.method == "rollback").context("the rollback's line")?;
    ensure!(back.outcome == "ok" && back.reason.as_deref() == Some("customers complain"), "{back:?}");
    Ok(())
}

async fn history(agent: &Agent, project: &ProjectName) -> Result<Vec<AliasMove>> {
    let request = AliasHistory {
        project: project.clone(),
        alias: AliasName::production(),
        page: PageRequest::default(),
    };
    Ok(ask!(agent.client(), alias_history, request).await?.items)
}

/// Asks for production for the bad model.
async fn promote(
    agent: &Agent,
    project: &ProjectName,
    override_gate: bool,
    reason: Option<&str>,
) -> Result<AliasMove, ApiError> {
    let request = Promote {
        key: IdempotencyKey::new(),
        project: project.clone(),
        candidate: BAD,
        alias: AliasName::production(),
        expected_generation: 1,
        reason: reason.map(str::to_owned),
        override_gate,
    };
    Ok(ask!(agent.client(), promote, request).await?.moved)
}

fn picture() -> Result<Vec<u8>> {
    Ok(std::fs::read(repository().join("core/tests/fixtures/nets/photo_cat.png"))?)
}

async fn predict(client: &AgentClient, project: &ProjectName, image: &[u8]) -> Result<Prediction, ApiError> {
    let request =
        Predict { project: project.clone(), image: image.to_owned(), blob: None, top: 3, name: None };
    ask!(client, predict, request).await
}

/// Clients that ask for predictions without a pause; each of their requests must be answered.
struct Asking {
    answers: watch::Receiver<HashMap<ModelNumber, usize>>,
    stop: Vec<oneshot::Sender<()>>,
    clients: JoinSet<Result<Vec<(Instant, Prediction)>>>,
}

impl Asking {
    fn start(agent: &Agent, project: &ProjectName) -> Result<Self> {
        let (count, answers) = watch::channel(HashMap::new());
        let (mut stop, mut clients) = (Vec::new(), JoinSet::new());
        for number in 0..ASKING {
            let (client, project) = (agent.new_client(&format!("asking {number}")), project.clone());
            let (count, picture) = (count.clone(), picture()?);
            let (end, mut ended) = oneshot::channel();
            stop.push(end);
            clients.spawn(async move {
                let mut answers = Vec::new();
                // A request that was begun is waited for: none may fail.
                while ended.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                    let begun = Instant::now();
                    let answer = predict(&client, &project, &picture).await?;
                    count.send_modify(|count| *count.entry(answer.model).or_default() += 1);
                    answers.push((begun, answer));
                }
                Ok(answers)
            });
        }
        Ok(Self { answers, stop, clients })
    }

    /// Waits until a model has made more answers than there are requests under way.
    async fn answered_by(&self, model: ModelNumber) -> Result<()> {
        let mut answers = self.answers.clone();
        let before = answers.borrow_and_update().get(&model).copied().unwrap_or(0);
        let enough = answers.wait_for(|count| count.get(&model).copied().unwrap_or(0) > before + ASKING);
        tokio::time::timeout(Duration::from_secs(60), enough)
            .await
            .with_context(|| format!("{model} does not answer"))??;
        Ok(())
    }

    /// All answers, with when they were asked for.
    async fn stop(mut self) -> Result<Vec<(Instant, Prediction)>> {
        drop(self.stop);
        let mut all = Vec::new();
        while let Some(answers) = self.clients.join_next().await {
            all.extend(answers?.context("a request failed while the alias moved")?);
        }
        Ok(all)
    }
}
