//! Off the hot path: pictures of predictions are kept by the project's policy, then the record is
//! logged. A picture is durable before the record that names it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use vigie_core::store::catalog::is_drawn;
use vigie_core::store::log::LogWriter;
use vigie_core::store::{Blobs, blobs::FolderBlobs};
use vigie_protocol::ProjectName;
use vigie_protocol::prediction::{LogHealth, Prediction};
use vigie_protocol::project::{PicturePolicy, Project, ProjectSettings};

/// Pictures that may wait to be written. Each is at most one image file, so this also bounds
/// memory.
const WAITING: usize = 256;
/// Pictures are synced together: one sync for all that came in this span.
const GROUP: Duration = Duration::from_millis(20);
const GROUP_MAX: usize = 64;

/// Records answers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    waiting: mpsc::SyncSender<Waiting>,
    writer: Arc<LogWriter>,
    shed: Arc<AtomicU64>,
}

/// How recording keeps up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecorderHealth {
    /// The log's own health.
    pub log: LogHealth,
    /// Pictures not kept since the start, because too many waited or the disk refused.
    pub pictures_shed: u64,
}

enum Waiting {
    Picture(Box<Picture>),
    /// Answered once everything before it is with the log.
    Barrier(mpsc::SyncSender<()>),
}

struct Picture {
    project: ProjectName,
    prediction: Prediction,
    image: Vec<u8>,
}

impl Recorder {
    /// Starts the thread that writes pictures.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(blobs: FolderBlobs, writer: LogWriter) -> std::io::Result<Self> {
        let (sender, waiting) = mpsc::sync_channel(WAITING);
        let writer = Arc::new(writer);
        let shed = Arc::new(AtomicU64::new(0));
        let keeper = Keeper { blobs, writer: writer.clone(), shed: shed.clone() };
        thread::Builder::new().name("pictures".to_owned()).spawn(move || keeper.run(&waiting))?;
        Ok(Self { waiting: sender, writer, shed })
    }

    /// Records an answer; never blocks. Returns it as it will be logged.
    pub fn record(&self, project: &Project, mut prediction: Prediction, image: Vec<u8>) -> Prediction {
        let name = project.name.clone();
        if wants_picture(&project.settings, &prediction) {
            prediction.picture_kept = true;
            let picture = Box::new(Picture { project: name.clone(), prediction: prediction.clone(), image });
            if self.waiting.try_send(Waiting::Picture(picture)).is_ok() {
                return prediction;
            }
            self.shed.fetch_add(1, Ordering::Relaxed);
            prediction.picture_kept = false;
        }
        // A full log queue counts what it sheds; the answer goes out all the same.
        self.writer.submit(name, prediction.clone());
        prediction
    }

    /// Waits until everything recorded so far is durable; `false` when that took longer than
    /// `timeout`. Blocks.
    pub fn flush(&self, timeout: Duration) -> bool {
        let (answer, answered) = mpsc::sync_channel(1);
        self.wait_in_line(Waiting::Barrier(answer), timeout)
            && answered.recv_timeout(timeout).is_ok()
            && self.writer.flush(timeout)
    }

    /// Whether there was room for it before `timeout`.
    fn wait_in_line(&self, mut item: Waiting, timeout: Duration) -> bool {
        const LOOK: Duration = Duration::from_millis(5);
        let end = Instant::now() + timeout;
        loop {
            match self.waiting.try_send(item) {
                Ok(()) => return true,
                Err(mpsc::TrySendError::Full(back)) if Instant::now() < end => item = back,
                Err(_) => return false,
            }
            thread::park_timeout(LOOK);
        }
    }

    /// Why the log's disk refuses, while it does.
    pub fn error(&self) -> Option<String> {
        self.writer.error()
    }

    /// How recording keeps up.
    pub fn health(&self) -> RecorderHealth {
        let mut log = self.writer.health();
        // A record waits for its picture first.
        log.window_ms += u32::try_from(GROUP.as_millis()).unwrap_or(u32::MAX);
        RecorderHealth { log, pictures_shed: self.shed.load(Ordering::Relaxed) }
    }
}

fn wants_picture(settings: &ProjectSettings, prediction: &Prediction) -> bool {
    match settings.keep_pictures {
        PicturePolicy::None | PicturePolicy::Unknown => false,
        PicturePolicy::All => true,
        // Without its picture nobody could label it, and the sample would no longer be uniform.
        PicturePolicy::Sampled { .. } if is_drawn(prediction.id, settings.audit_percent) => true,
        // The hash is uniform, and the same image is always treated alike.
        PicturePolicy::Sampled { percent } => {
            u16::from_le_bytes([prediction.image.as_bytes()[0], prediction.image.as_bytes()[1]])
                < u16::try_from(u32::from(percent.min(100)) * 65_535 / 100).unwrap_or(u16::MAX)
        }
    }
}

struct Keeper {
    blobs: FolderBlobs,
    writer: Arc<LogWriter>,
    shed: Arc<AtomicU64>,
}

impl Keeper {
    fn run(&self, waiting: &mpsc::Receiver<Waiting>) {
        while let Ok(first) = waiting.recv() {
            let mut next = Some(first);
            let mut group = Vec::new();
            let mut barrier = None;
            let end = Instant::now() + GROUP;
            while let Some(item) = next {
                match item {
                    Waiting::Picture(picture) => group.push(*picture),
                    Waiting::Barrier(answer) => {
                        barrier = Some(answer);
                        break;
                    }
                }
                let left = end.saturating_duration_since(Instant::now());
                next = if group.len() < GROUP_MAX { waiting.recv_timeout(left).ok() } else { None };
            }
            self.keep(group);
            if let Some(answer) = barrier {
                // Who asked may have stopped waiting.
                let _ = answer.send(());
            }
        }
    }

    fn keep(&self, group: Vec<Picture>) {
        let written = group
            .iter()
            .try_for_each(|picture| self.blobs.put(&picture.image).map(drop))
            .and_then(|()| self.blobs.sync());
        if let Err(error) = &written {
            tracing::error!(%error, pictures = group.len(), "pictures of predictions could not be kept");
            self.shed.fetch_add(group.len() as u64, Ordering::Relaxed);
        }
        for Picture { project, mut prediction, .. } in group {
            prediction.picture_kept = written.is_ok();
            self.writer.submit(project, prediction);
        }
    }
}
