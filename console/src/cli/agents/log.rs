//! `vigie agents log`.

use std::collections::VecDeque;
use std::time::Duration;

use clap::{Args, ValueEnum};
use vigie_protocol::service::{AgentLog, AgentLogLine, AgentLogPage};

use crate::app::App;
use crate::cli::jobs::log_tone;
use crate::exit::Failure;
use crate::out::{Style, count, safe, warn};
use crate::session::{Session, ask};

/// How often a followed log is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Lines of one page, at most; more the agent does not send at once.
const PAGE: u32 = 1_000;

#[derive(Debug, Args)]
pub struct Log {
    /// Go on with what it says next, until Ctrl-C (as JSON, lines are one object each)
    #[arg(long, short)]
    follow: bool,
    /// At most this many of the lines that are there; 0 for all
    #[arg(long, short = 'n', default_value_t = 50, value_name = "LINES")]
    lines: usize,
    /// Only lines of this level and graver ones
    #[arg(long, default_value = "trace")]
    level: Level,
}

/// How grave a line is, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Level {
    /// Someone must act
    Error,
    /// Someone should look
    Warn,
    /// For the record
    Info,
    /// For who looks for a fault
    Debug,
    /// Everything
    Trace,
}

impl Level {
    /// Whether a line is to be shown. One of a level that this console does not know always is.
    fn lets_through(self, line: &AgentLogLine) -> bool {
        Level::from_str(&line.level, true).map_or(true, |level| level <= self)
    }
}

impl Log {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let (lines, end) = self.there(session).await?;
        for line in &lines {
            self.print(app, line)?;
        }
        if self.follow { self.follow(app, session, end).await } else { Ok(()) }
    }

    /// Prints the lines to come, for as long as somebody reads them.
    async fn follow(&self, app: &App, session: &Session, mut end: End) -> anyhow::Result<()> {
        loop {
            session.pause(EVERY).await?;
            let page = page(session, end.cursor).await?;
            if page.epoch != end.epoch {
                warn("the agent was restarted");
                // From the first line of its new start.
                end = End { cursor: 0, epoch: page.epoch };
                continue;
            }
            if page.dropped > 0 {
                warn(format!("{} lines came and went too fast to be read", count(page.dropped)));
            }
            for line in page.lines.iter().filter(|line| self.level.lets_through(line)) {
                self.print(app, line)?;
            }
            end.cursor = page.next;
        }
    }

    /// The newest of the lines that are there already and are wanted, and where they end.
    async fn there(&self, session: &Session) -> Result<(VecDeque<AgentLogLine>, End), Failure> {
        let mut lines = VecDeque::new();
        let mut end = End { cursor: 0, epoch: 0 };
        loop {
            let AgentLogPage { lines: more, next, epoch, dropped: _ } = page(session, end.cursor).await?;
            // An agent that does not move on, or never ends, would keep us here for ever.
            let over = more.len() < PAGE as usize || next <= end.cursor;
            end = End { cursor: next, epoch };
            lines.extend(more.into_iter().filter(|line| self.level.lets_through(line)));
            if self.lines > 0 {
                lines.drain(..lines.len().saturating_sub(self.lines));
            }
            if over {
                return Ok((lines, end));
            }
        }
    }

    fn print(&self, app: &App, line: &AgentLogLine) -> anyhow::Result<()> {
        Ok(app.out.line(line, |style| text(line, style))?)
    }
}

/// Where reading goes on, and in which start of the agent.
struct End {
    cursor: u64,
    epoch: u64,
}

async fn page(session: &Session, cursor: u64) -> Result<AgentLogPage, Failure> {
    ask!(session, agent_log, AgentLog { cursor: Some(cursor), limit: PAGE }).await
}

fn text(line: &AgentLogLine, style: &Style) -> String {
    let AgentLogLine { seq: _, at, level, target, text } = line;
    let at = at.timestamp().strftime("%Y-%m-%d %H:%M:%S");
    let text = log_tone(level).paint(&safe(text), style);
    format!("{at} {:<5} {}: {text}", safe(level), safe(target))
}

#[cfg(test)]
mod tests {
    use vigie_protocol::samples::Sample;

    use super::*;

    fn line(level: &str) -> AgentLogLine {
        AgentLogLine { level: level.to_owned(), ..AgentLogPage::sample().lines.remove(0) }
    }

    #[test]
    fn graver_lines_pass_too() {
        let words = ["error", "warn", "info", "debug", "trace", "from_the_future"];
        for (level, expected) in [
            (Level::Error, &["error", "from_the_future"][..]),
            (Level::Warn, &["error", "warn", "from_the_future"]),
            (Level::Trace, &words),
        ] {
            let passed: Vec<_> = words.into_iter().filter(|word| level.lets_through(&line(word))).collect();
            assert_eq!(passed, expected);
        }
    }

    #[test]
    fn lines_are_safe_to_show() {
        let style = Style { colour: false, width: None, now: vigie_protocol::Time::default() };
        let hostile = AgentLogLine { text: "a\nb \u{1b}[2J".to_owned(), ..line("warn") };
        insta::assert_snapshot!(text(&hostile, &style), @r"2026-11-21 00:00:01 warn  vigie_agent::run: a\nb \u{1b}[2J");
    }
}
