//! The audit log: JSON lines, each with the BLAKE3 of the line before, each durable before the
//! answer to what it records.
//!
//! Whoever changes or removes a line breaks the chain from there on. The chain cannot show that its
//! end was cut off; who wants to notice that keeps the head elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use vigie_protocol::{Hash, Time};

use super::{Result, StoreError};

/// Longer lines are no lines of ours.
const LINE_BYTES: u64 = 1 << 20;
const BLOCK_BYTES: u64 = 64 << 10;

/// What is to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditDraft {
    /// When.
    pub at: Time,
    /// Who.
    pub principal: String,
    /// In which role.
    pub role: String,
    /// From where.
    pub via: String,
    /// The method.
    pub method: String,
    /// What it was done to.
    pub target: String,
    /// `ok`, or the error's code and message.
    pub outcome: String,
    /// Why, as typed.
    pub reason: Option<String>,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    /// Rises by one with every line, from 1.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// Who.
    pub principal: String,
    /// In which role.
    pub role: String,
    /// From where.
    pub via: String,
    /// The method.
    pub method: String,
    /// What it was done to.
    pub target: String,
    /// `ok`, or the error's code and message.
    pub outcome: String,
    /// Why, as typed.
    #[serde(default)]
    pub reason: Option<String>,
    /// BLAKE3 of the line before, without its line feed; zeros on the first.
    pub prev: Hash,
}

/// What a check of the chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCheck {
    /// Lines that follow from one another, from the first.
    pub lines: u64,
    /// The first line that does not follow from the one before, and why.
    pub broken_at: Option<String>,
    /// BLAKE3 of the last good line.
    pub head: Hash,
}

/// The audit log of one agent.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    end: Mutex<End>,
    cut: u64,
}

/// Where the log ends.
#[derive(Debug)]
struct End {
    file: File,
    seq: u64,
    head: Hash,
    bytes: u64,
}

impl AuditLog {
    /// Opens or creates the log. A last line that a crash left unfinished is cut off: nobody was told
    /// that what it records was done.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the last whole line is none of ours, [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        let io_error = |e| io_error(path, e);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(io_error)?;
        let size = file.metadata().map_err(io_error)?.len();
        let mut last = None;
        let bytes = end_of_last_line(&file, size).map_err(io_error)?;
        each_line_back(&file, bytes, |line| {
            last = Some(line.to_vec());
            false
        })
        .map_err(io_error)?;
        let (seq, head) = match last {
            None => (0, start()),
            Some(line) => {
                let text = "its last line cannot be read; look at the file, then move it aside";
                let entry = parse(&line).ok_or_else(|| StoreError::Damaged {
                    what: path.display().to_string(),
                    detail: text.to_owned(),
                })?;
                (entry.seq, Hash::of(&line))
            }
        };
        if bytes < size {
            tracing::warn!(file = %path.display(), bytes = size - bytes, "cut an unfinished line off the audit log");
            file.set_len(bytes).and_then(|()| file.sync_all()).map_err(io_error)?;
        }
        Ok(Self { path: path.to_owned(), end: Mutex::new(End { file, seq, head, bytes }), cut: size - bytes })
    }

    /// Bytes of an unfinished line that were cut off when the log was opened.
    pub fn cut_bytes(&self) -> u64 {
        self.cut
    }

    /// Appends a line; it is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the log is then as it was before.
    pub fn append(&self, draft: &AuditDraft) -> Result<AuditLine> {
        let AuditDraft { at, principal, role, via, method, target, outcome, reason } = draft.clone();
        let mut end = self.lock();
        let seq = end.seq + 1;
        let line =
            AuditLine { seq, at, principal, role, via, method, target, outcome, reason, prev: end.head };
        let mut text = serde_json::to_vec(&line).expect("plain structs in memory always encode");
        let head = Hash::of(&text);
        text.push(b'\n');
        let before = end.bytes;
        if let Err(error) = end.file.write_all(&text).and_then(|()| end.file.sync_data()) {
            // Half a line would spoil the next one.
            let _ = end.file.set_len(before);
            return Err(io_error(&self.path, error));
        }
        end.bytes += text.len() as u64;
        end.seq = seq;
        end.head = head;
        Ok(line)
    }

    /// Up to `limit` lines older than number `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a line is none of ours, [`StoreError::Io`].
    pub fn page(&self, before: Option<u64>, limit: usize) -> Result<Vec<AuditLine>> {
        let (file, size) = self.snapshot()?;
        let from = match before {
            Some(seq) => find(&file, size, seq).map_err(|e| io_error(&self.path, e))?,
            None => size,
        };
        let mut lines = Vec::new();
        let mut damaged = false;
        each_line_back(&file, from, |line| {
            match parse(line) {
                Some(line) if before.is_none_or(|before| line.seq < before) => lines.push(line),
                Some(_) => {}
                None => damaged = true,
            }
            !damaged && lines.len() < limit.max(1)
        })
        .map_err(|e| io_error(&self.path, e))?;
        if damaged {
            let detail = "a line cannot be read; check the chain".to_owned();
            return Err(StoreError::Damaged { what: self.path.display().to_string(), detail });
        }
        Ok(lines)
    }

    /// Checks the whole chain, as far as it had grown when the check began.
    ///
    /// # Errors
    /// [`StoreError::Io`]; a broken chain is an answer, not an error.
    pub fn verify(&self) -> Result<AuditCheck> {
        let (file, size) = self.snapshot()?;
        let mut reader = BufReader::new(file.take(size));
        let mut check = AuditCheck { lines: 0, broken_at: None, head: start() };
        loop {
            let mut line = Vec::new();
            let read = (&mut reader)
                .take(LINE_BYTES)
                .read_until(b'\n', &mut line)
                .map_err(|e| io_error(&self.path, e))?;
            if read == 0 {
                return Ok(check);
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let number = check.lines + 1;
            let fault = match parse(line) {
                None => Some("it cannot be read"),
                Some(entry) if entry.prev != check.head => Some("it does not follow from the line before"),
                Some(entry) if entry.seq != number => Some("its number is out of order"),
                Some(_) => None,
            };
            if let Some(fault) = fault {
                check.broken_at = Some(format!("line {number}: {fault}"));
                return Ok(check);
            }
            check.lines = number;
            check.head = Hash::of(line);
        }
    }

    /// Copies the log as it stands now.
    pub(super) fn copy_to(&self, target: &Path) -> Result<()> {
        let (file, size) = self.snapshot()?;
        let mut copy = File::create_new(target).map_err(|e| io_error(target, e))?;
        io::copy(&mut file.take(size), &mut copy).map_err(|e| io_error(target, e))?;
        copy.sync_all().map_err(|e| io_error(target, e))
    }

    /// A handle of its own and how far the log goes.
    fn snapshot(&self) -> Result<(File, u64)> {
        let size = self.lock().bytes;
        Ok((File::open(&self.path).map_err(|e| io_error(&self.path, e))?, size))
    }

    fn lock(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the first line follows from.
fn start() -> Hash {
    Hash::from([0; 32])
}

fn parse(line: &[u8]) -> Option<AuditLine> {
    serde_json::from_slice(line).ok()
}

/// Just past the last line feed before `size`.
fn end_of_last_line(file: &File, size: u64) -> io::Result<u64> {
    let mut end = size;
    while end > 0 {
        let from = end.saturating_sub(BLOCK_BYTES);
        let block = read_at(file, from, end)?;
        if let Some(index) = block.iter().rposition(|&byte| byte == b'\n') {
            return Ok(from + index as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// Calls `each` with the lines that end at or before `end`, last first, while it answers `true`.
/// `end` is just past a line feed.
fn each_line_back(file: &File, end: u64, mut each: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    // `tail` holds the bytes from `from` on that no line was made of yet.
    let (mut from, mut tail) = (end, Vec::new());
    loop {
        while let Some(body) = tail.strip_suffix(b"\n")
            && let Some(index) = body.iter().rposition(|&byte| byte == b'\n')
        {
            if !each(&body[index + 1..]) {
                return Ok(());
            }
            tail.truncate(index + 1);
        }
        if from == 0 || tail.len() as u64 > LINE_BYTES {
            if let Some(first) = tail.strip_suffix(b"\n") {
                each(first);
            }
            return Ok(());
        }
        let block = from.saturating_sub(BLOCK_BYTES);
        let mut bytes = read_at(file, block, from)?;
        bytes.append(&mut tail);
        (from, tail) = (block, bytes);
    }
}

/// A place just past a line feed, at or after the start of line `seq` and not far behind it. Lines
/// are numbered in order, so a few looks suffice.
fn find(file: &File, size: u64, seq: u64) -> io::Result<u64> {
    let (mut low, mut high) = (0, size);
    while high - low > BLOCK_BYTES {
        let middle = low + (high - low) / 2;
        let block = read_at(file, middle, (middle + LINE_BYTES).min(high))?;
        let mut lines = block.split_inclusive(|&byte| byte == b'\n');
        let skipped = lines.next().map_or(0, <[u8]>::len) as u64;
        let line = lines.next().and_then(|line| line.strip_suffix(b"\n")).and_then(parse);
        match line {
            Some(line) if line.seq < seq => low = middle + skipped,
            Some(_) => high = middle + skipped,
            None => break, // a long last line, or damage that the caller will meet
        }
        if low >= high {
            break;
        }
    }
    Ok(high)
}

fn read_at(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

fn io_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { what: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn draft(n: u64) -> AuditDraft {
        AuditDraft {
            at: Time::from_micros(i64::try_from(n).unwrap()),
            principal: "ada".to_owned(),
            role: "admin".to_owned(),
            via: "unix".to_owned(),
            method: "promote".to_owned(),
            target: "birds/production\nv7".to_owned(),
            outcome: "ok".to_owned(),
            // Of many lengths, so that lines meet the ends of blocks.
            reason: (!n.is_multiple_of(3)).then(|| "because ".repeat(usize::try_from(n % 400).unwrap())),
        }
    }

    fn filled(lines: u64) -> (tempfile::TempDir, PathBuf, AuditLog) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let log = AuditLog::open(&path).unwrap();
        for n in 1..=lines {
            assert_eq!(log.append(&draft(n)).unwrap().seq, n);
        }
        (dir, path, log)
    }

    #[test]
    fn lines_follow_from_one_another_over_restarts() {
        let (_dir, path, log) = filled(3);
        let head = log.verify().unwrap().head;
        drop(log);
        let log = AuditLog::open(&path).unwrap();
        assert_eq!((log.append(&draft(4)).unwrap().prev, log.cut_bytes()), (head, 0));
        let check = log.verify().unwrap();
        assert_eq!((check.lines, check.broken_at), (4, None));
    }

    #[test]
    fn pages_come_newest_first_from_anywhere() {
        let (_dir, _path, log) = filled(500);
        for before in
            [None, Some(1), Some(2), Some(37), Some(250), Some(499), Some(500), Some(501), Some(9_999)]
        {
            for limit in [1, 10, 1_000] {
                let newest = before.map_or(500, |before: u64| (before - 1).min(500));
                let expected: Vec<u64> = (1..=newest).rev().take(limit).collect();
                let found: Vec<u64> = log.page(before, limit).unwrap().iter().map(|line| line.seq).collect();
                assert_eq!(found, expected, "{before:?} {limit}");
            }
        }
        assert_eq!(log.page(None, 1).unwrap()[0].reason, draft(500).reason);
    }

    #[test]
    fn an_empty_log_has_no_pages() {
        let (_dir, _path, log) = filled(0);
        assert_eq!(log.page(None, 10).unwrap(), []);
        assert_eq!(log.verify().unwrap(), AuditCheck { lines: 0, broken_at: None, head: start() });
    }

    #[test]
    fn a_torn_line_is_cut_off() {
        let (_dir, path, log) = filled(3);
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        let last = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        for end in last + 1..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let log = AuditLog::open(&path).unwrap();
            assert_eq!(log.cut_bytes(), (end - last) as u64);
            assert_eq!(log.append(&draft(3)).unwrap().seq, 3);
            assert_eq!(log.verify().unwrap().lines, 3);
        }
    }

    #[test]
    fn a_changed_line_is_found() {
        let (_dir, path, log) = filled(5);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let changed = text.replacen(
            "\"seq\":3,\"at\":\"1970-01-01T00:00:00.000003Z\",\"principal\":\"ada\"",
            "\"seq\":3,\"at\":\"1970-01-01T00:00:00.000003Z\",\"principal\":\"eve\"",
            1,
        );
        let removed = [&lines[..2], &lines[3..]].concat().join("\n") + "\n";
        let swapped = [lines[0], lines[2], lines[1], lines[3], lines[4]].join("\n") + "\n";
        let spoilt = text.replacen("{\"seq\":2", "{seq:2", 1);
        for (name, text, good) in
            [("changed", changed, 3), ("removed", removed, 2), ("swapped", swapped, 1), ("spoilt", spoilt, 1)]
        {
            std::fs::write(&path, text).unwrap();
            let log = AuditLog::open(&path).unwrap();
            let check = log.verify().unwrap();
            assert_eq!(check.lines, good, "{name}");
            assert!(check.broken_at.unwrap().starts_with(&format!("line {}", good + 1)), "{name}");
        }
        drop(log);
    }
}
