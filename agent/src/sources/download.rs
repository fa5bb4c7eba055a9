//! One file from a server to the disk, whatever happens on the way: resumed by range where the
//! server can prove that it still is the same file, tried again with growing pauses, held against its
//! length and checksum, and never larger than there is room for.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED,
};
use reqwest::{Response, StatusCode};
use ring::digest;
use tokio::time::sleep;
use vigie_core::fail_point::{self, FailPoint};
use vigie_protocol::Hash;
use vigie_protocol::source::Checksum;

use super::backoff;
use super::error::SourceError;
use super::http::{Ask, Http};
use super::part::{About, Part, Place, is_whole};
use super::teller::Teller;

/// Bytes that are written at once.
const PIECE: usize = 256 << 10;

/// Bytes after which room is looked for again: others write to the disk as well, and not every server
/// says how much there will be.
const LOOK_EVERY: u64 = 64 << 20;

/// Bytes that are free after a download filled the disk, whatever the reserve: the agent has to write
/// down how it ended.
const MIN_RESERVE: u64 = 8 << 20;

/// Characters of a header that are looked at.
const MAX_HEADER: usize = 1_024;

/// How a zip file begins, and how an empty one does.
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// How much, how often, how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most bytes of a file.
    pub(super) max_bytes: u64,
    /// Bytes that stay free on the disk.
    pub(super) reserve: u64,
    /// Failures in a row, without a byte in between.
    pub(super) attempts: u32,
    /// Longest pause between attempts.
    pub(super) max_pause: Duration,
}

/// A file that is wanted.
#[derive(Debug)]
pub(super) struct Download<'a> {
    pub(super) http: &'a Http,
    pub(super) bounds: Bounds,
    /// What is asked; its range is filled in here.
    pub(super) ask: Ask,
    /// Tells this file from others: the same for each attempt.
    pub(super) source: Hash,
    /// What its bytes must come to.
    pub(super) checksum: Option<Checksum>,
    /// Whether it was announced just now, so that not being there may be a matter of seconds.
    pub(super) announced: bool,
    pub(super) place: Place,
}

impl Download<'_> {
    /// Brings the file to the disk; says where it is.
    ///
    /// # Errors
    /// [`SourceError`]; what came by then stays, and the next call goes on from there. Of what came to
    /// a full disk, as much stays as leaves the reserve free.
    pub(super) async fn run(&self, teller: &mut Teller) -> Result<PathBuf, SourceError> {
        match self.bring(teller).await {
            Err(error) if error.is_full_disk() => Err(self.make_room(error).await),
            done => done,
        }
    }

    async fn bring(&self, teller: &mut Teller) -> Result<PathBuf, SourceError> {
        let (place, source) = (self.place.clone(), self.source);
        if blocking("looking for a download", move || is_whole(&place, source)).await? {
            return Ok(self.place.whole());
        }
        let place = self.place.clone();
        let mut part = blocking("opening a download", move || Part::open(&place, source)).await?;
        if part.len > 0 {
            teller.note(&format!("going on from byte {} of the download", part.len)).await;
        }
        let mut failures = 0;
        loop {
            let before = part.len;
            let Err(error) = self.attempt(&mut part, teller).await else { break };
            if part.len > before {
                failures = 0;
            }
            failures += 1;
            let retry_after = match (&error, error.again()) {
                (SourceError::Vanished(_), None) if self.announced => None,
                (_, Some(retry_after)) => retry_after,
                (_, None) => return Err(error),
            };
            if failures >= self.bounds.attempts {
                return Err(error);
            }
            let pause = backoff::pause(failures, retry_after, self.bounds.max_pause, rand::random());
            let seconds = pause.as_secs_f32();
            teller.warn(&format!("{error}; asking again in {seconds:.1} s")).await;
            sleep(pause).await;
        }
        self.verify(&part).await?;
        fail_point::pass(FailPoint::DownloadComplete);
        blocking("keeping a download", move || part.complete()).await
    }

    /// Asks once, and writes what comes.
    async fn attempt(&self, part: &mut Part, teller: &mut Teller) -> Result<(), SourceError> {
        let place = || self.ask.place.clone();
        let mut response = self.http.get(&self.ask_on(part)).await?;
        let now = about(&response);
        match response.status() {
            StatusCode::OK => {
                if part.len > 0 {
                    teller.warn("what came cannot be gone on with; starting again").await;
                }
                self.restart(part, now).await?;
            }
            StatusCode::PARTIAL_CONTENT if part.len > 0 => {
                let goes_on = first_byte(response.headers()) == Some(part.len);
                if !goes_on || !part.about.is_same_file(&now) {
                    self.restart(part, About::default()).await?;
                    return Err(SourceError::Changed(place()));
                }
                // The first answer may not have said it.
                part.about.total = part.about.total.or(now.total);
            }
            StatusCode::RANGE_NOT_SATISFIABLE if part.len > 0 => {
                if now.total == Some(part.len) && part.about.total == now.total {
                    return Ok(());
                }
                self.restart(part, About::default()).await?;
                return Err(SourceError::Changed(place()));
            }
            _ => return Err(self.http.complaint(&self.ask.place, response).await),
        }
        self.check_room(part).await?;
        self.receive(part, &mut response, teller).await?;
        match part.about.total {
            Some(total) if part.len != total => {
                Err(SourceError::Truncated { place: place(), have: part.len, total })
            }
            _ => Ok(()),
        }
    }

    /// The request for what is missing.
    fn ask_on(&self, part: &Part) -> Ask {
        let About { etag, modified, .. } = &part.about;
        // Only a strong tag promises the same bytes (RFC 9110 13.1.5).
        let strong = etag.as_ref().filter(|etag| !etag.starts_with("W/"));
        let validator = strong.or(modified.as_ref()).and_then(|text| HeaderValue::from_str(text).ok());
        let from = (part.len > 0 && validator.is_some()).then_some(part.len);
        Ask { from, if_range: validator, ..self.ask.clone() }
    }

    async fn restart(&self, part: &mut Part, about: About) -> Result<(), SourceError> {
        let mut begun = part.clone();
        *part = blocking("beginning a download", move || begun.begin(about).map(|()| begun)).await?;
        Ok(())
    }

    /// Writes a body to its end, or as far as it comes.
    async fn receive(
        &self,
        part: &mut Part,
        response: &mut Response,
        teller: &mut Teller,
    ) -> Result<(), SourceError> {
        let mut looked = part.len;
        let mut waiting = Vec::with_capacity(PIECE);
        loop {
            let piece = self.http.piece(&self.ask.place, response).await;
            let ended = match &piece {
                Ok(Some(bytes)) => {
                    waiting.extend_from_slice(bytes.as_ref());
                    false
                }
                Ok(None) | Err(_) => true,
            };
            if !waiting.is_empty() && (ended || waiting.len() >= PIECE) {
                self.check_piece(part, &waiting, response.headers())?;
                let (mut more, bytes) = (part.clone(), std::mem::take(&mut waiting));
                *part = blocking("writing a download", move || more.write(&bytes).map(|()| more)).await?;
                waiting.reserve(PIECE);
                teller.step(part.len, part.about.total).await;
                fail_point::pass(FailPoint::DownloadPiece);
                if part.len - looked >= LOOK_EVERY {
                    looked = part.len;
                    self.check_room(part).await?;
                }
            }
            if ended {
                return piece.map(drop);
            }
        }
    }

    /// Refuses bytes that do not belong there.
    fn check_piece(&self, part: &Part, bytes: &[u8], headers: &HeaderMap) -> Result<(), SourceError> {
        let place = self.ask.place.clone();
        if part.len == 0 && !ZIP.iter().any(|start| bytes.starts_with(start)) {
            let kind = text(headers, &CONTENT_TYPE).unwrap_or_else(|| "something else".to_owned());
            return Err(SourceError::Odd { place, what: format!("sends no zip file ({kind})") });
        }
        let len = part.len + bytes.len() as u64;
        if len > self.bounds.max_bytes {
            return Err(SourceError::TooLarge { place, max: self.bounds.max_bytes });
        }
        match part.about.total {
            Some(total) if len > total => {
                Err(SourceError::Odd { place, what: format!("sends more than its {total} bytes") })
            }
            _ => Ok(()),
        }
    }

    /// Refuses what would not fit, before it comes: what is missing, and as much as the whole again
    /// for the images that are taken out of it, which do not get smaller.
    async fn check_room(&self, part: &Part) -> Result<(), SourceError> {
        let Bounds { max_bytes, reserve, .. } = self.bounds;
        if part.about.total.unwrap_or(part.len) > max_bytes {
            return Err(SourceError::TooLarge { place: self.ask.place.clone(), max: max_bytes });
        }
        let free = self.free().await?;
        let needed = part.needs().unwrap_or(part.len);
        if needed.saturating_add(reserve) > free {
            return Err(self.no_space(part, free));
        }
        Ok(())
    }

    /// After the disk was found full: gives back what the reserve lacks, and says what is missing.
    async fn make_room(&self, error: SourceError) -> SourceError {
        let target = self.bounds.reserve.max(MIN_RESERVE);
        let lacking = async {
            let lack = target.saturating_sub(self.free().await?);
            let (place, source) = (self.place.clone(), self.source);
            let part = blocking("shortening a download", move || {
                let mut part = Part::open(&place, source)?;
                part.give_back(lack).map(|()| part)
            });
            let part = part.await?;
            Ok::<_, SourceError>(self.no_space(&part, self.free().await?))
        };
        match (lacking.await, error) {
            // It counted before anything was given back, and says what was the matter.
            (_, error @ SourceError::NoSpace { .. }) => error,
            (Ok(told), _) => told,
            (Err(failed), error) => {
                tracing::warn!(error = %failed, "a download on a full disk cannot be shortened");
                error
            }
        }
    }

    fn no_space(&self, part: &Part, free: u64) -> SourceError {
        SourceError::NoSpace {
            place: self.ask.place.clone(),
            needed: part.needs().map(|needed| needed.div_ceil(1 << 20)),
            free: free >> 20,
            reserve: self.bounds.reserve >> 20,
        }
    }

    async fn free(&self) -> Result<u64, SourceError> {
        let folder = self.place.folder().to_owned();
        blocking("looking for room on the disk", move || free_bytes(&folder)).await
    }

    /// Holds the bytes against the checksum. They are read again: half of them may have come before
    /// the agent was killed.
    async fn verify(&self, part: &Part) -> Result<(), SourceError> {
        let Some(wanted) = self.checksum else { return Ok(()) };
        let path = part.path();
        let found = blocking("reading a download", move || checksum(&path, wanted)).await?;
        if found == wanted {
            return Ok(());
        }
        // Going on with these bytes would lead here again.
        self.restart(&mut part.clone(), About::default()).await?;
        Err(SourceError::Checksum { place: self.ask.place.clone(), wanted, found })
    }
}

/// What an answer says of the file.
fn about(response: &Response) -> About {
    let headers = response.headers();
    let total = match response.status() {
        StatusCode::OK => text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        _ => range(headers).and_then(|(_, total)| total),
    };
    About::of(text(headers, &ETAG), text(headers, &LAST_MODIFIED), total)
}

/// What a probe's answer says of the file: its entity tag, its date, its length.
pub(super) fn content(response: &Response) -> (Option<String>, Option<String>, Option<u64>) {
    let About { etag, modified, total, .. } = about(response);
    (etag, modified, total)
}

fn first_byte(headers: &HeaderMap) -> Option<u64> {
    range(headers)?.0
}

/// The first byte and the length of the whole that `Content-Range` tells.
fn range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    parse_range(&text(headers, &CONTENT_RANGE)?)
}

/// Reads `bytes 5-9/10`, `bytes 5-9/*` and `bytes */10`.
fn parse_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (span, total) = text.trim().strip_prefix("bytes ")?.trim_start().split_once('/')?;
    let first = span.split_once('-').and_then(|(first, _)| first.trim().parse().ok());
    Some((first, total.trim().parse().ok()))
}

/// A header as text, if it is a short one.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    (text.len() <= MAX_HEADER).then(|| text.to_owned())
}

fn checksum(path: &Path, kind: Checksum) -> io::Result<Checksum> {
    let mut file = File::open(path)?;
    match kind {
        Checksum::Blake3(_) => {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(&mut file)?;
            Ok(Checksum::Blake3(Hash::from(hasher.finalize())))
        }
        Checksum::Sha256(_) => {
            let mut context = digest::Context::new(&digest::SHA256);
            let mut buffer = vec![0; PIECE];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    read => context.update(&buffer[..read]),
                }
            }
            let mut digest = [0; 32];
            digest.copy_from_slice(context.finish().as_ref());
            Ok(Checksum::Sha256(digest))
        }
    }
}

/// Bytes that may still be written where `folder` lies.
fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Carries out a call that blocks.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SourceError> {
    let done = tokio::task::spawn_blocking(call).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(SourceError::io(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_servers_write_them() {
        for (text, expected) in [
            ("bytes 5-9/10", Some((Some(5), Some(10)))),
            ("bytes 5-9/*", Some((Some(5), None))),
            ("bytes */10", Some((None, Some(10)))),
            ("bytes=5-9/10", None),
            ("5-9/10", None),
            ("bytes 99999999999999999999-1/7", Some((None, Some(7)))),
            ("", None),
        ] {
            assert_eq!(parse_range(text), expected, "{text}");
        }
    }

    #[test]
    fn checksums_are_those_of_the_standards() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), b"abc").expect("written");
        for text in [
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        ] {
            let wanted: Checksum = text.parse().expect("a checksum");
            assert_eq!(checksum(file.path(), wanted).expect("read").to_string(), text);
        }
    }
}
