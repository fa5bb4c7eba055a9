//! The log of each job: one file of JSON lines under `<state>/logs/jobs`, read by byte offset.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use vigie_protocol::JobId;
use vigie_protocol::job::LogLine;
use vigie_protocol::service::JobLogPage;

/// A log does not grow past this; its last line then says so.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// A line's text is cut here, in bytes.
const MAX_TEXT: usize = 8 * 1024;

/// About as much of a log as one page holds, in bytes.
const PAGE_BYTES: u64 = 256 * 1024;

/// The logs of all jobs. Not durable by the line: a crash of the machine may cost the newest.
#[derive(Clone, Debug)]
pub struct JobLogs {
    folder: PathBuf,
    max_bytes: u64,
}

impl JobLogs {
    /// Logs in `folder`, which is made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), max_bytes: MAX_BYTES })
    }

    /// Adds lines to a job's log.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&self, job: JobId, lines: &[LogLine]) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(job))?;
        let mut length = file.metadata()?.len();
        let mut text = Vec::new();
        for line in lines {
            if length >= self.max_bytes {
                break;
            }
            let mut line = line.clone();
            line.text.truncate(line.text.floor_char_boundary(MAX_TEXT));
            let before = text.len();
            push_json(&mut text, &line)?;
            length += (text.len() - before) as u64;
            if length >= self.max_bytes {
                let full = "the log is full; nothing more is kept".to_owned();
                push_json(&mut text, &LogLine { at: line.at, level: "warn".to_owned(), text: full })?;
            }
        }
        file.write_all(&text)
    }

    /// A page of a job's log from a byte offset; an empty one when there is no log.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, job: JobId, offset: u64) -> io::Result<JobLogPage> {
        let mut file = match File::open(self.path(job)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(JobLogPage { lines: Vec::new(), offset: 0, end: true });
            }
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let offset = offset.min(length);
        file.seek(SeekFrom::Start(offset))?;
        let mut page = JobLogPage { lines: Vec::new(), offset, end: false };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while page.offset - offset < PAGE_BYTES {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            // A line without its end is still being written.
            if line.last() != Some(&b'\n') {
                page.end = true;
                return Ok(page);
            }
            page.offset += read as u64;
            // An offset inside a line, or a line torn by a crash, costs that line.
            page.lines.extend(serde_json::from_slice::<LogLine>(&line));
        }
        page.end = page.offset >= length;
        Ok(page)
    }

    fn path(&self, job: JobId) -> PathBuf {
        self.folder.join(format!("{job}.jsonl"))
    }
}

fn push_json(text: &mut Vec<u8>, line: &LogLine) -> io::Result<()> {
    serde_json::to_writer(&mut *text, line)?;
    text.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use vigie_protocol::Time;

    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine { at: Time::from_micros(1), level: "info".into(), text: text.into() }
    }

    fn logs(max_bytes: u64) -> (tempfile::TempDir, JobLogs) {
        let folder = tempfile::tempdir().unwrap();
        let logs = JobLogs { max_bytes, ..JobLogs::open(&folder.path().join("jobs")).unwrap() };
        (folder, logs)
    }

    #[test]
    fn pages_join_to_the_whole() {
        let (_folder, logs) = logs(MAX_BYTES);
        let job = JobId::new();
        assert_eq!(logs.read(job, 7).unwrap(), JobLogPage { lines: vec![], offset: 0, end: true });
        let lines: Vec<_> = (0..5_000).map(|i| line(&format!("line {i} {}", "é\n".repeat(50)))).collect();
        for chunk in lines.chunks(100) {
            logs.append(job, chunk).unwrap();
        }
        let (mut read, mut offset, mut pages) = (Vec::new(), 0, 0);
        loop {
            let page = logs.read(job, offset).unwrap();
            read.extend(page.lines);
            (offset, pages) = (page.offset, pages + 1);
            if page.end {
                break;
            }
        }
        assert_eq!(read, lines);
        assert!(pages > 2, "{pages}");
        logs.append(job, &[line("more")]).unwrap();
        assert_eq!(logs.read(job, offset).unwrap().lines, [line("more")]);
        assert!(logs.read(job, u64::MAX).unwrap().end);
    }

    #[test]
    fn a_full_log_says_so_once() {
        let (_folder, logs) = logs(1_000);
        let job = JobId::new();
        for i in 0..100 {
            logs.append(job, &[line(&format!("line {i}"))]).unwrap();
        }
        let page = logs.read(job, 0).unwrap();
        let full = page.lines.iter().filter(|line| line.text.contains("full")).count();
        assert_eq!((full, page.lines.last().unwrap().level.as_str()), (1, "warn"));
        assert!(page.offset < 1_200);
    }

    #[test]
    fn torn_and_long_lines_do_no_harm() {
        let (_folder, logs) = logs(MAX_BYTES);
        let job = JobId::new();
        fs::write(logs.path(job), b"{\"at\":\n{\"torn").unwrap();
        assert_eq!(logs.read(job, 0).unwrap().lines, []);
        logs.append(job, &[line("after the tear"), line(&"é".repeat(MAX_TEXT))]).unwrap();
        let lines = logs.read(job, 0).unwrap().lines;
        assert!(lines.last().unwrap().text.len() <= MAX_TEXT);
        let inside = logs.read(job, 3).unwrap();
        assert_eq!(inside.lines, lines);
    }
}
