//! The storage: files with entity tags, dates and ranges.

use super::http::{Answer, Request};
use super::{Fault, World};

/// Answers a request for a file.
pub(super) fn respond(world: &World, request: &Request, fault: Option<&Fault>) -> Answer {
    let Some(file) = world.files.get(&request.path) else {
        return Answer::new(404, "text/xml", b"<Error><Code>NoSuchKey</Code></Error>".to_vec());
    };
    let total = file.bytes.len();
    let described = |answer: Answer| {
        answer.with("ETag", &file.etag).with("Last-Modified", &file.modified).with("Accept-Ranges", "bytes")
    };
    let still_the_same =
        request.header("if-range").is_none_or(|seen| seen == file.etag || seen == file.modified);
    let range = request.header("range").and_then(|range| parse(range, total)).filter(|_| still_the_same);
    match range {
        Some(Ok((first, last))) if fault != Some(&Fault::IgnoreRange) => {
            let first = if fault == Some(&Fault::WrongRange) { first / 2 } else { first };
            let span = format!("bytes {first}-{last}/{total}");
            let bytes = file.bytes[first..=last].to_vec();
            described(Answer::new(206, "application/zip", bytes)).with("Content-Range", &span)
        }
        Some(Err(())) if fault != Some(&Fault::IgnoreRange) => {
            let span = format!("bytes */{total}");
            described(Answer::new(416, "text/plain", Vec::new())).with("Content-Range", &span)
        }
        _ => described(Answer::new(200, "application/zip", file.bytes.to_vec())),
    }
}

/// The first and last byte of `bytes=5-` or `bytes=5-9`; an error when they lie behind the end.
fn parse(range: &str, total: usize) -> Option<Result<(usize, usize), ()>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last = last.parse().unwrap_or(usize::MAX).min(total.saturating_sub(1));
    Some(if first < total && first <= last { Ok((first, last)) } else { Err(()) })
}
