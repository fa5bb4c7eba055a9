//! Peers that mean harm, or stumble: the agent drops them in time, stays within its memory, and serves
//! the others meanwhile.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use vigie_protocol::wire::{ClientHello, MAX_FRAME, blobs, frame, handshake};
use vigie_protocol::{ErrorCode, Hash};
use vigie_tests::peers::{Steady, closed, closed_unread, send};
use vigie_tests::{Agent, AgentOptions};

/// Short, so that the tests need not wait long for it.
const PATIENCE: (&str, &str) = ("VIGIE_CONNECTIONS_PATIENCE_S", "2");

fn impatient() -> AgentOptions {
    AgentOptions::default().with(PATIENCE.0, PATIENCE.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_halves_are_dropped() -> Result<()> {
    let agent = Agent::start(&impatient()).await?;
    let steady = Steady::start(&agent).await?;
    // What is said without a handshake, and after one; then silence.
    let before: [&[u8]; 6] = [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0xff; 100_000],
        &[0, 0],
        &[0, 0, 0, 100, b'{', b'"'],
        &[0, 0, 0, 2, b'{', b'}'],
    ];
    let after: [&[u8]; 6] = [
        &[0xff; 100_000],
        // A frame of four gigabytes.
        &[0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 3, b'{', b'{', b'{'],
        // Half a prefix; half a frame; a megabyte of four.
        &[0, 0],
        &[0, 0, 4, 0, b'{'],
        &[&[0, 0x40, 0, 0][..], &vec![b'['; 1 << 20]].concat(),
    ];
    let unknown = br#"{"Request":{"context":{},"id":1,"message":{"Levitate":{"request":{}}}}}"#;
    let unknown = [&[0, 0, 0, unknown.len() as u8][..], unknown].concat();
    let cases = before.iter().map(|bytes| (false, bytes.to_vec()));
    let cases = cases.chain(after.iter().map(|bytes| (true, bytes.to_vec()))).chain([(true, unknown)]);
    let mut peers = JoinSet::new();
    for (number, (greeted, bytes)) in cases.enumerate() {
        let mut stream = if greeted { agent.greeted().await? } else { agent.raw().await? };
        peers.spawn(async move {
            // The agent may hang up before it has heard all of it.
            let _ = stream.write_all(&bytes).await;
            closed(&mut stream).await.with_context(|| format!("case {number}"))
        });
    }
    // And one that never stops, a byte at a time, in a frame that would take it a day.
    let mut drip = agent.greeted().await?;
    peers.spawn(async move {
        drip.write_all(&[0, 1, 0, 0]).await?;
        let (mut heard, mut said) = drip.split();
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        let dripping = async {
            loop {
                pace.tick().await;
                if said.write_all(b"[").await.is_err() {
                    return;
                }
            }
        };
        let mut nothing = [0];
        let ended = tokio::time::timeout(Duration::from_secs(60), async {
            tokio::select! {
                () = dripping => {}
                _ = tokio::io::AsyncReadExt::read(&mut heard, &mut nothing) => {}
            }
        });
        ended.await.context("the agent keeps listening to a drip")?;
        Ok(Vec::new())
    });
    while let Some(peer) = peers.join_next().await {
        peer??;
    }
    steady.served("garbage and halves").await
}

#[tokio::test(flavor = "multi_thread")]
async fn absurd_deadlines_disturb_nothing() -> Result<()> {
    let agent = Agent::start(&impatient()).await?;
    let mut stream = agent.greeted().await?;
    // One that has run out when it arrives may or may not be answered; the others are.
    send(&mut stream, 1, 0, "Whoami", json!({})).await?;
    for (id, deadline) in [(2, 60), (3, 100 * 365 * 86_400), (4, u64::MAX)] {
        send(&mut stream, id, deadline, "Whoami", json!({})).await?;
        let answered = async {
            loop {
                let answer: Value = serde_json::from_slice(&frame::read(&mut stream, MAX_FRAME).await?)?;
                if answer["request_id"] != 1 {
                    return anyhow::Ok(answer);
                }
            }
        };
        let answer = tokio::time::timeout(Duration::from_secs(60), answered).await??;
        ensure!(answer["request_id"] == id && answer["message"]["Ok"].is_object(), "{answer}");
    }
    Ok(())
}

/// Peers ask for as much as they may, and read nothing.
#[tokio::test(flavor = "multi_thread")]
async fn peers_that_do_not_read_cost_little_and_are_dropped() -> Result<()> {
    const PEERS: usize = 48;
    let agent = Agent::start(&impatient()).await?;
    let blob: Vec<u8> = (0..1u32 << 20).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let (hash, size) = (Hash::of(&blob), blob.len() as u64);
    blobs::upload(agent.client(), std::io::Cursor::new(blob), hash, size, |_| {}).await?;
    let steady = Steady::start(&agent).await?;
    let (before, _) = agent.memory()?;
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let mut stream = agent.greeted().await?;
        for id in 0..64 {
            send(&mut stream, id, 60, "BlobRead", json!({"hash": hash, "offset": 0})).await?;
        }
        peers.push(stream);
    }
    for stream in &peers {
        closed_unread(stream).await?;
    }
    let (after, most) = agent.memory()?;
    eprintln!("{PEERS} peers that do not read: {before} MiB before, {most} MiB at most, {after} MiB after");
    // All that they asked for is 1,536 MiB, four times as much in JSON.
    ensure!(most < before + 700, "{before} MiB before, {most} MiB at most");
    steady.served("peers that do not read").await
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections() -> Result<()> {
    const WANTED: usize = 10_000;
    let wanted = connections_allowed(WANTED)?;
    let other_user = rustix::process::geteuid().is_root().then_some(65_534);
    let options = AgentOptions::default().with("VIGIE_ACCESS_ROLES", r#"{ "uid:65534" = "viewer" }"#);
    let agent = Agent::start(&options).await?;
    std::fs::set_permissions(agent.state(), PermissionsExt::from_mode(0o711))?;
    let steady = Steady::start(&agent).await?;
    let (before, _) = agent.memory()?;

    // In a thread of its own: a user id belongs to a thread.
    let socket = agent.socket();
    let (flooded, flood) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let flooding = std::thread::spawn(move || -> Result<()> {
        if let Some(uid) = other_user {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(uid))?;
        }
        let mut held = Vec::new();
        while held.len() < wanted {
            held.push(BlockingStream::connect(&socket)?);
        }
        // One more, to hear why it is turned away.
        let last = BlockingStream::connect(&socket)?;
        flooded.send(last)?;
        // An error means that the test is over.
        let _ = released.recv();
        Ok(())
    });
    let last = tokio::task::spawn_blocking(move || flood.recv()).await??;
    let (_, most) = agent.memory()?;
    eprintln!("{wanted} connections: {before} MiB before, {most} MiB at most");
    ensure!(most < before + 200, "{before} MiB before, {most} MiB at most");
    last.set_nonblocking(true)?;
    let mut last = tokio::net::UnixStream::from_std(last)?;
    let heard = closed(&mut last).await?;
    // A few are told why at one time, the rest find the door shut.
    ensure!(heard.is_empty() || String::from_utf8_lossy(&heard).contains("overloaded"), "{heard:?}");

    if other_user.is_some() {
        // The others get in at once; and whoever floods is told so when there is time for it.
        let client = agent.new_client("beside the flood");
        client.first_attempt().await?;
    } else {
        eprintln!("not root: the flood came from the agent's own user");
    }
    steady.served("ten thousand connections").await?;

    release.send(())?;
    flooding.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??;
    // The client goes on trying by itself.
    agent.new_client("after the flood").welcome().await?;
    Ok(())
}

/// A user who has as many connections as one may is told so; the others are not concerned.
#[tokio::test(flavor = "multi_thread")]
async fn one_user_does_not_take_the_room_of_others() -> Result<()> {
    let agent = Agent::start(&AgentOptions::default().with("VIGIE_CONNECTIONS_MAX_PER_USER", "4")).await?;
    // With the client that every test has.
    let held = [agent.greeted().await?, agent.greeted().await?, agent.greeted().await?];
    let mut stream = agent.raw().await?;
    let refused = handshake::connect(&mut stream, &ClientHello::new("fifth")).await;
    let Err(handshake::HandshakeError::Refused(error)) = refused else {
        anyhow::bail!("it was let in: {refused:?}");
    };
    ensure!(error.code == ErrorCode::Overloaded && error.retry_after_ms.is_some(), "{error:?}");
    ensure!(error.hint.as_deref().unwrap_or_default().contains("max_per_user"), "{error:?}");
    drop(held);
    agent.new_client("later").welcome().await?;
    Ok(())
}

/// How many connections this process may hold, up to `wanted`; raises its limit as far as it goes.
fn connections_allowed(wanted: usize) -> Result<usize> {
    let spare = 500;
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let raised = hard.min((wanted + spare) as u64).max(limit.current.unwrap_or(0));
    setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum })?;
    let allowed = usize::try_from(raised)?.saturating_sub(spare).min(wanted);
    if allowed < wanted {
        eprintln!("this system allows {allowed} connections of {wanted}");
    }
    ensure!(allowed > 500, "too few to prove anything");
    Ok(allowed)
}
