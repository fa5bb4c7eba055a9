//! The commands that were typed, from one console to the next.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::config::state_home;

/// Lines that are kept.
const LINES: usize = 200;
/// A file larger than this is none of ours.
const LARGEST: u64 = 1 << 20;

/// What was typed before. No history is a fine history: whatever is wrong with the file, the console
/// comes up.
pub fn read() -> Vec<String> {
    let Some(path) = path() else { return Vec::new() };
    let small = fs::metadata(&path).is_ok_and(|metadata| metadata.len() <= LARGEST);
    let text = if small { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
    let lines: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

/// Keeps what was typed, readable for its owner alone. A disk that refuses costs the history, nothing
/// else.
pub fn write(lines: &[String]) {
    let Some(path) = path() else { return };
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        for line in &lines[lines.len().saturating_sub(LINES)..] {
            writeln!(file, "{line}")?;
        }
        file.persist(&path)?;
        Ok(())
    };
    if let Err(error) = write() {
        tracing::debug!(%error, "the history is not kept");
    }
}

fn path() -> Option<PathBuf> {
    state_home().map(|home| home.join("console-history"))
}
