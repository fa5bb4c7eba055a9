//! Lines of a worker's standard error: any bytes, any length, bounded memory.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// A line is cut here, in bytes; the rest of it is dropped.
const MAX_LINE: usize = 4096;

/// Reads lines; bytes that are no UTF-8 become replacement characters.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader) }
    }

    /// The next line without its end; nothing at the end or when reading fails.
    pub(super) async fn next(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            let chunk = self.reader.fill_buf().await.ok()?;
            if chunk.is_empty() {
                return (!line.is_empty()).then(|| text(&line));
            }
            let (piece, ends) = match chunk.iter().position(|&byte| byte == b'\n') {
                Some(end) => (&chunk[..end], true),
                None => (chunk, false),
            };
            let room = MAX_LINE - line.len();
            line.extend_from_slice(&piece[..piece.len().min(room)]);
            let used = piece.len() + usize::from(ends);
            self.reader.consume(used);
            if ends {
                return Some(text(&line));
            }
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches('\r').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_of_any_bytes() {
        let long = "x".repeat(100_000);
        let input = format!("one\r\n\n{long}\ncaf\u{e9}\nlast");
        let mut input = input.into_bytes();
        input.extend_from_slice(b"\xff");
        let mut lines = Lines::new(input.as_slice());
        let mut read = Vec::new();
        while let Some(line) = lines.next().await {
            read.push(line);
        }
        assert_eq!(read, ["one", "", &long[..MAX_LINE], "café", "last\u{fffd}"]);
    }
}
