//! The newest lines of the agent's log, in a memory that does not grow.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vigie_protocol::Time;
use vigie_protocol::service::{AgentLogLine, AgentLogPage};

/// Lines that are kept.
const MAX_LINES: usize = 2_000;
/// Bytes of text that are kept. All of it fits into one frame of the wire, even in JSON, which
/// writes six bytes for a control character.
const MAX_BYTES: usize = 512 * 1024;
/// A line's text is cut here, in bytes, and the name of the part that says it too.
pub(super) const MAX_TEXT: usize = 4 * 1024;

/// The newest lines. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LogRing(Arc<Mutex<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<AgentLogLine>,
    /// The number of the newest line; 0 before there is one.
    newest: u64,
    /// Bytes of text in `lines`.
    bytes: usize,
}

impl LogRing {
    /// Adds a line. The oldest ones go when there are too many, or too many bytes of them.
    pub fn push(&self, at: Time, level: &str, mut target: String, mut text: String) {
        target.truncate(target.floor_char_boundary(MAX_TEXT));
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        let mut ring = self.lock();
        ring.newest += 1;
        let line = AgentLogLine { seq: ring.newest, at, level: level.to_owned(), target, text };
        ring.bytes += weight(&line);
        ring.lines.push_back(line);
        while ring.lines.len() > MAX_LINES || ring.bytes > MAX_BYTES {
            let Some(oldest) = ring.lines.pop_front() else { break };
            ring.bytes -= weight(&oldest);
        }
    }

    /// At most `limit` lines: from `cursor` on, oldest first; without a cursor the newest ones. A
    /// cursor beyond the next line comes from an earlier start of the agent, and counts as 0. The
    /// answer belongs to the agent's start `epoch`.
    pub fn page(&self, epoch: u64, cursor: Option<u64>, limit: usize) -> AgentLogPage {
        let ring = self.lock();
        let next = ring.newest + 1;
        let oldest = ring.lines.front().map_or(next, |line| line.seq);
        let (start, dropped) = match cursor {
            None => (ring.lines.len().saturating_sub(limit), 0),
            Some(cursor) => {
                let cursor = if cursor > next { 1 } else { cursor.max(1) };
                (ring.lines.partition_point(|line| line.seq < cursor), oldest.saturating_sub(cursor))
            }
        };
        let lines: Vec<AgentLogLine> = ring.lines.iter().skip(start).take(limit).cloned().collect();
        let next = lines.last().map_or(next, |line| line.seq + 1);
        AgentLogPage { lines, next, dropped, epoch }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // No code under this lock leaves the ring half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(line: &AgentLogLine) -> usize {
    line.target.len() + line.text.len()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use vigie_protocol::wire::{MAX_FRAME, WireCodec};

    use super::*;

    fn ring(lines: u64) -> LogRing {
        let ring = LogRing::default();
        (1..=lines).for_each(|n| push(&ring, &format!("line {n}")));
        ring
    }

    fn push(ring: &LogRing, text: &str) {
        ring.push(Time::from_micros(5), "info", "agent".to_owned(), text.to_owned());
    }

    /// What a page shows: its first and last line's number, where it ends, what was lost.
    fn shown(page: &AgentLogPage) -> (Option<u64>, Option<u64>, u64, u64) {
        let seq = |line: Option<&AgentLogLine>| line.map(|line| line.seq);
        (seq(page.lines.first()), seq(page.lines.last()), page.next, page.dropped)
    }

    #[test]
    fn a_page_starts_where_it_is_asked_to() {
        for (lines, cursor, limit, expected) in [
            (0, None, 10, (None, None, 1, 0)),
            (0, Some(0), 10, (None, None, 1, 0)),
            (0, Some(1), 10, (None, None, 1, 0)),
            (5, None, 10, (Some(1), Some(5), 6, 0)),
            (5, None, 2, (Some(4), Some(5), 6, 0)),
            (5, Some(0), 2, (Some(1), Some(2), 3, 0)),
            (5, Some(3), 2, (Some(3), Some(4), 5, 0)),
            (5, Some(6), 2, (None, None, 6, 0)),
            // From an earlier start.
            (5, Some(7), 2, (Some(1), Some(2), 3, 0)),
            (5, Some(u64::MAX), 2, (Some(1), Some(2), 3, 0)),
            (2_003, Some(0), 2, (Some(4), Some(5), 6, 3)),
            (2_003, Some(3), 2, (Some(4), Some(5), 6, 1)),
            (2_003, Some(4), 2, (Some(4), Some(5), 6, 0)),
            (2_003, None, 5_000, (Some(4), Some(2_003), 2_004, 0)),
        ] {
            let page = ring(lines).page(7, cursor, limit);
            assert_eq!(shown(&page), expected, "{lines} lines from {cursor:?}, at most {limit}");
            assert_eq!(page.epoch, 7);
        }
    }

    #[test]
    fn pages_join_to_the_whole() {
        let ring = ring(1_234);
        let (mut read, mut cursor) = (Vec::new(), 0);
        loop {
            let page = ring.page(7, Some(cursor), 100);
            if page.lines.is_empty() {
                break;
            }
            cursor = page.next;
            read.extend(page.lines.into_iter().map(|line| line.text));
        }
        assert_eq!(read, (1..=1_234).map(|n| format!("line {n}")).collect::<Vec<_>>());
    }

    #[test]
    fn neither_long_lines_nor_many_fill_the_memory() {
        let ring = LogRing::default();
        push(&ring, &"é".repeat(MAX_TEXT));
        assert_eq!(ring.page(7, None, 1).lines[0].text.len(), MAX_TEXT);
        push(&ring, &format!("x{}", "é".repeat(MAX_TEXT)));
        assert_eq!(ring.page(7, None, 1).lines[0].text.len(), MAX_TEXT - 1, "cut between characters");

        (0..MAX_LINES).for_each(|_| push(&ring, &"\u{1}".repeat(MAX_TEXT)));
        let page = ring.page(7, Some(0), MAX_LINES);
        assert!(page.lines.len() < MAX_BYTES / MAX_TEXT + 1 && page.dropped > 1_000, "{:?}", shown(&page));
        for codec in WireCodec::ALL {
            // With the answer's own wrapping, which is less than this.
            assert!(codec.encode(&page).unwrap().len() + 1_000 < MAX_FRAME, "{codec}");
        }
        (0..MAX_LINES).for_each(|_| push(&ring, "short"));
        assert_eq!(ring.page(7, Some(0), MAX_LINES).lines.len(), MAX_LINES);
        assert_eq!(ring.lock().bytes, MAX_LINES * "agentshort".len());
    }
}
