//! Standard streams as a connection. At the far end [`relay`] is `vigie stdio`: it joins them to the
//! agent's socket. At the near end [`spawn`] runs a command such as `ssh host vigie stdio` and
//! speaks over its streams. So a remote agent needs no port and no password of its own.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::task::AbortOnDropHandle;

/// How much of a command's last words is kept.
const STDERR_TAIL: usize = 4096;

/// Joins this process's standard input and output to the agent's socket until the agent closes.
/// Writes nothing of its own to standard output.
///
/// Reading standard input blocks a thread that nobody can interrupt: exit the process after this
/// instead of waiting for the runtime.
///
/// # Errors
/// When the socket cannot be reached or a stream fails.
pub async fn relay(socket: &Path) -> io::Result<()> {
    let agent = UnixStream::connect(socket).await?;
    join(tokio::io::stdin(), tokio::io::stdout(), agent).await
}

/// Copies `input` to the agent and the agent to `output`. When `input` ends, the agent is told so
/// and may still finish its answers; when the agent closes, all is over.
async fn join(
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    agent: UnixStream,
) -> io::Result<()> {
    let (mut from_agent, mut to_agent) = agent.into_split();
    let upwards = async {
        tokio::io::copy(&mut input, &mut to_agent).await?;
        to_agent.shutdown().await?;
        std::future::pending().await
    };
    let downwards = async {
        tokio::io::copy(&mut from_agent, &mut output).await?;
        output.shutdown().await
    };
    tokio::select! {
        // An agent that closed while we still write up makes `upwards` fail with a broken pipe;
        // what it said before is worth more than that error.
        biased;
        ended = downwards => ended,
        failed = upwards => failed,
    }
}

/// Runs `command` (program first) and makes one stream of its standard input and output. The
/// process is killed when the stream is dropped.
///
/// # Errors
/// When the command cannot be started.
pub fn spawn(command: &[String]) -> io::Result<(CommandStream, LastWords)> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let missing = || io::Error::other("a standard stream of the command is missing");
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    Ok((CommandStream { stdin, stdout, _child: child }, LastWords::listen(stderr)))
}

/// The standard streams of a running command as one stream.
#[derive(Debug)]
pub struct CommandStream {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _child: Child,
}

impl AsyncRead for CommandStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for CommandStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

/// The end of what a command wrote to its standard error: usually why it failed.
#[derive(Debug)]
pub struct LastWords {
    tail: Arc<Mutex<VecDeque<u8>>>,
    reader: AbortOnDropHandle<()>,
}

impl LastWords {
    fn listen(mut stderr: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&tail);
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(n @ 1..) = stderr.read(&mut buffer).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&buffer[..n]);
                let excess = kept.len().saturating_sub(STDERR_TAIL);
                kept.drain(..excess);
            }
        });
        Self { tail, reader: AbortOnDropHandle::new(reader) }
    }

    /// What was said, once the command ended or a moment passed. Drop its stream first.
    pub async fn hear(self) -> Option<String> {
        // A process that the command left behind may keep the pipe open for ever.
        let _ = tokio::time::timeout(Duration::from_millis(500), self.reader).await;
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let clean: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        Some(clean.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{duplex, split};

    use super::*;

    #[tokio::test]
    async fn relays_both_ways_and_half_closes() {
        let (agent, relayed) = UnixStream::pair().expect("pair");
        let (outer, inner) = duplex(16);
        let (input, output) = split(inner);
        let relay = tokio::spawn(join(input, output, relayed));

        let (mut heard, mut say) = split(outer);
        let (mut agent_hears, mut agent_says) = agent.into_split();
        say.write_all(&[7; 1000]).await.expect("said");
        say.shutdown().await.expect("half closed");
        let mut up = Vec::new();
        agent_hears.read_to_end(&mut up).await.expect("the end came through");
        assert_eq!(up, [7; 1000]);

        agent_says.write_all(b"still answering").await.expect("answered");
        drop((agent_says, agent_hears));
        let mut down = Vec::new();
        heard.read_to_end(&mut down).await.expect("heard");
        assert_eq!(down, b"still answering");
        relay.await.expect("no panic").expect("clean end");
    }

    #[tokio::test]
    async fn a_command_is_a_stream_and_its_last_words_are_kept() {
        let words = |script: &str| ["sh", "-c", script].map(str::to_owned);
        let (mut cat, _) = spawn(&words("exec cat")).expect("cat");
        cat.write_all(b"echo").await.expect("said");
        let mut heard = [0; 4];
        cat.read_exact(&mut heard).await.expect("heard");
        assert_eq!(&heard, b"echo");

        let script = "for i in $(seq 2000); do echo line $i >&2; done; echo 'host unknown' >&2";
        let (mut failing, last) = spawn(&words(script)).expect("script");
        failing.read_to_end(&mut Vec::new()).await.expect("its end");
        drop(failing);
        let last = last.hear().await.expect("it said something");
        assert!(last.ends_with("line 2000\nhost unknown"), "{last}");
        assert!(last.len() <= STDERR_TAIL);

        assert!(spawn(&["/nonexistent/program".to_owned()]).is_err());
    }
}
