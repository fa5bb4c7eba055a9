//! The audit log: JSON lines, each with the BLAKE3 of the line before, each durable before the
//! answer to what it records.
//!
//! Whoever changes or removes a line breaks the chain from there on. The chain cannot show that its
//! end was cut off; who wants to notice that keeps the head elsewhere.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use vigie_protocol::{Hash, IdempotencyKey, Time};

use super::disk::{Disk, DiskFile, RealDisk};
use super::{Result, StoreError};

/// Longer lines are no lines of ours.
const LINE_BYTES: u64 = 1 << 20;
const BLOCK_BYTES: u64 = 64 << 10;
/// Lines in which a key is looked for before it is written: a line that may be there already is one
/// of the last, because nothing is recorded while an earlier one is due.
const KEYS_KEPT: usize = 1_000;
/// The most bytes of each text of a line: with all of them escaped it is far shorter than
/// [`LINE_BYTES`].
const TEXT_BYTES: usize = 8 << 10;

/// What is to be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDraft {
    /// The caller's key, when what it asked for was carried out: a line is written once for it.
    pub key: Option<IdempotencyKey>,
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
    /// The caller's key, when what it asked for was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<IdempotencyKey>,
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
    /// The fault is a last line without its end: what a crash leaves.
    pub torn: bool,
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
    file: Box<dyn DiskFile>,
    seq: u64,
    head: Hash,
    bytes: u64,
    /// A failed append may have left something behind `bytes`.
    torn: bool,
    /// The keys of the last lines, newest first, each with its line.
    recent: VecDeque<(IdempotencyKey, AuditLine)>,
}

impl AuditLog {
    /// Opens or creates the log. A last line that a crash left unfinished is cut off: nobody was told
    /// that what it records was done.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the last whole line is none of ours, [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), path)
    }

    pub(super) fn open_on(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self> {
        let io_error = |e| io_error(path, e);
        let file = disk.append(path).map_err(io_error)?;
        let reader = File::open(path).map_err(io_error)?;
        let size = reader.metadata().map_err(io_error)?.len();
        let mut last = None;
        let mut recent = VecDeque::new();
        let mut looked = 0;
        let bytes = end_of_last_line(&reader, size).map_err(io_error)?;
        each_line_back(&reader, bytes, |line| {
            last.get_or_insert_with(|| line.to_vec());
            // A line that cannot be read is for the check of the chain to tell.
            recent.extend(parse(line).and_then(|line| Some((line.key?, line))));
            looked += 1;
            looked < KEYS_KEPT
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
            file.set_len(bytes).and_then(|()| file.sync()).map_err(io_error)?;
        }
        let end = Mutex::new(End { file, seq, head, bytes, torn: false, recent });
        Ok(Self { path: path.to_owned(), end, cut: size - bytes })
    }

    /// Bytes of an unfinished line that were cut off when the log was opened.
    pub fn cut_bytes(&self) -> u64 {
        self.cut
    }

    /// Appends a line; it is durable when this returns. A key that is in the log has its line: that
    /// one is returned.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the log is then as it was before.
    pub fn append(&self, draft: &AuditDraft) -> Result<AuditLine> {
        let AuditDraft { key, at, principal, role, via, method, target, outcome, reason } = draft.clone();
        let [principal, role, via, method, target, outcome] =
            [principal, role, via, method, target, outcome].map(clipped);
        let reason = reason.map(clipped);
        let mut end = self.lock();
        if let Some((_, line)) = end.recent.iter().find(|(known, _)| Some(*known) == key) {
            return Ok(line.clone());
        }
        let (seq, prev) = (end.seq + 1, end.head);
        let line = AuditLine { seq, at, principal, role, via, method, target, outcome, reason, key, prev };
        let mut text = serde_json::to_vec(&line).expect("plain structs in memory always encode");
        let head = Hash::of(&text);
        text.push(b'\n');
        if let Err(error) = end.write(&text) {
            // Half a line would spoil the next one. What cannot be cut off now is cut off then.
            end.torn = end.file.set_len(end.bytes).is_err();
            return Err(io_error(&self.path, error));
        }
        end.bytes += text.len() as u64;
        end.seq = seq;
        end.head = head;
        if let Some(key) = key {
            end.recent.truncate(KEYS_KEPT - 1);
            end.recent.push_front((key, line.clone()));
        }
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
        verify_lines(file.take(size)).map_err(|e| io_error(&self.path, e))
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

/// Checks the chain of a log that nobody writes.
///
/// # Errors
/// [`StoreError::Io`]; a broken chain is an answer, not an error.
pub(super) fn verify(path: &Path) -> Result<AuditCheck> {
    File::open(path).and_then(verify_lines).map_err(|e| io_error(path, e))
}

fn verify_lines(log: impl Read) -> io::Result<AuditCheck> {
    let mut reader = BufReader::new(log);
    let mut check = AuditCheck { lines: 0, broken_at: None, head: start(), torn: false };
    loop {
        let mut line = Vec::new();
        if (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(check);
        }
        let number = check.lines + 1;
        let Some(line) = line.strip_suffix(b"\n") else {
            check.broken_at = Some(format!("line {number}: it has no end"));
            check.torn = (line.len() as u64) < LINE_BYTES;
            return Ok(check);
        };
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

impl End {
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.bytes)?;
            self.torn = false;
        }
        self.file.write_all(text)?;
        self.file.sync()
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

/// A text that fits a line, whatever somebody typed.
fn clipped(mut text: String) -> String {
    if text.len() > TEXT_BYTES {
        text.truncate(text.floor_char_boundary(TEXT_BYTES));
        text.push('…');
    }
    text
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
mod tests;
