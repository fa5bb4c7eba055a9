//! The last events with the state they began from, kept so that one key writes them to a file, and the
//! way back from such a file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::event::Event;
use super::state::State;

/// Events of one half of the recording.
const HALF: usize = 5_000;
/// About so many bytes of events make a half too: snapshots and pages weigh more than keys.
const HALF_BYTES: usize = 16 << 20;
/// The version of the file's form.
const VERSION: u32 = 1;
/// The largest file that is read back.
const LARGEST: u64 = 512 << 20;

/// A recording under way: two halves, of which the older one goes when the newer one is full. So the
/// last 5,000 to 10,000 events are always there, and no event is ever played to forget another.
#[derive(Debug)]
pub struct Recorder {
    older: Option<Half>,
    newer: Half,
}

#[derive(Debug)]
struct Half {
    from: State,
    events: Vec<Event>,
    bytes: usize,
}

impl Half {
    fn new(from: State) -> Self {
        Self { from, events: Vec::new(), bytes: 0 }
    }
}

/// What a file holds.
#[derive(Serialize, Deserialize)]
pub struct Recording {
    version: u32,
    /// The state before the first event.
    pub from: State,
    /// What happened.
    pub events: Vec<Event>,
}

impl Recorder {
    /// Begins with this state.
    pub fn new(state: &State) -> Self {
        Self { older: None, newer: Half::new(state.clone()) }
    }

    /// Takes an event down, before it changes `state`.
    pub fn take(&mut self, event: &Event, state: &State) {
        if self.newer.events.len() >= HALF || self.newer.bytes >= HALF_BYTES {
            let full = std::mem::replace(&mut self.newer, Half::new(state.clone()));
            self.older = Some(full);
        }
        self.newer.bytes += weight(event);
        self.newer.events.push(event.clone());
    }

    /// All that is recorded, as a file's content.
    pub fn dump(&self) -> anyhow::Result<Vec<u8>> {
        let (from, before) = match &self.older {
            Some(older) => (&older.from, older.events.as_slice()),
            None => (&self.newer.from, [].as_slice()),
        };
        let events = before.iter().chain(&self.newer.events).cloned().collect();
        let recording = Recording { version: VERSION, from: from.clone(), events };
        Ok(rmp_serde::to_vec_named(&recording)?)
    }
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no recording of this version.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let length =
            std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
        anyhow::ensure!(length <= LARGEST, "{} is too large to be a recording", path.display());
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is no recording of a console", path.display()))
    }

    /// Reads a file's content.
    ///
    /// # Errors
    /// When it is no recording of this version.
    pub fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let recording: Self = rmp_serde::from_slice(bytes)?;
        anyhow::ensure!(
            recording.version == VERSION,
            "it is of version {}, this console reads {VERSION}",
            recording.version
        );
        Ok(recording)
    }
}

/// About how many bytes an event holds on to.
fn weight(event: &Event) -> usize {
    match event {
        Event::Agents(news) => {
            news.iter().map(|(_, snapshot)| 4_096 + 512 * (snapshot.jobs.len() + snapshot.events.len())).sum()
        }
        // A page of 200 rows.
        Event::Fetched { .. } => 64 * 1_024,
        Event::Ordered { order, .. } => order.len() * 4,
        Event::Paste(text) => text.len(),
        Event::Key(_)
        | Event::Mouse(_)
        | Event::Resize { .. }
        | Event::Second { .. }
        | Event::Done { .. }
        | Event::Picture { .. }
        | Event::Note { .. } => 256,
    }
}

/// Writes a file that does not exist yet, in the current folder; a number makes the name free.
pub fn write_new(name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "txt"));
    let names = std::iter::once(name.to_owned()).chain((2..1_000).map(|n| format!("{stem}-{n}.{extension}")));
    for name in names {
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Ok(mut file) => {
                file.write_all(bytes)?;
                file.sync_all()?;
                return std::path::absolute(name);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "there are a thousand of them already"))
}
