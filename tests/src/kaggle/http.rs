//! As much of HTTP/1.1 as it takes, one request a connection, and the ways to break it.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Fault;

/// The longest head or body of a request.
const MOST: usize = 1 << 20;

/// A request as it came.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Whom it is for, when it came as to a proxy.
    pub(super) host: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn line(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{}", self.method, self.path, self.query)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// A part of the query: `number` of `?number=2`.
    pub(super) fn asked(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn new(status: u16, kind: &str, body: Vec<u8>) -> Self {
        Self { status, headers: vec![("Content-Type".to_owned(), kind.to_owned())], body }
    }

    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", body.to_string().into_bytes())
    }

    /// As Kaggle says that something is wrong.
    pub(super) fn error(status: u16, message: &str) -> Self {
        Self::json(status, &serde_json::json!({"code": status, "message": message}))
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Reads one request.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        ensure!(bytes.len() < MOST, "a head without end");
        ensure!(stream.read_buf(&mut bytes).await? > 0, "gone");
    };
    let text = String::from_utf8(bytes[..head].to_vec())?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next().context("a request line")?.split(' ');
    let (method, target) = (words.next().context("a method")?, words.next().context("a target")?);
    // As proxies are asked: `http://localhost/api/…`.
    let (host, target) = match target.strip_prefix("http://") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", target),
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(Ok(0), |length| length.parse())?;
    ensure!(length <= MOST, "a body that is too long");
    let mut body = bytes.split_off(head + 4);
    while body.len() < length {
        ensure!(stream.read_buf(&mut body).await? > 0, "gone");
    }
    let host = host.to_owned();
    Ok(Request {
        method: method.to_owned(),
        host,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
    })
}

/// Writes an answer, or as much of it as the fault leaves.
pub(super) async fn write(stream: &mut TcpStream, answer: Answer, fault: Option<Fault>) -> Result<()> {
    let Answer { status, headers, body } = answer;
    let mut head = format!("HTTP/1.1 {status} As Scripted\r\n");
    if fault != Some(Fault::NoLength) {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("Connection: close\r\n\r\n");
    match fault {
        Some(Fault::Hangup) => return Ok(()),
        Some(Fault::Garbage) => stream.write_all(b"\x00\xff this is no HTTP \r\n\r\n").await?,
        Some(Fault::Truncate(bytes)) => {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body[..bytes.min(body.len())]).await?;
        }
        Some(Fault::Stall(bytes)) => {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body[..bytes.min(body.len())]).await?;
            stream.flush().await?;
            // Until the client goes.
            let _ = stream.read(&mut [0]).await;
        }
        _ => {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
        }
    }
    stream.shutdown().await?;
    Ok(())
}
