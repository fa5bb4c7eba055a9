//! Off the hot path: pictures of predictions are kept by the project's policy, then the record is
//! logged. A picture is durable before the record that names it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use vigie_core::store::log::LogWriter;
use vigie_core::store::{Blobs, blobs::FolderBlobs};
use vigie_protocol::ProjectName;
use vigie_protocol::prediction::{LogHealth, Prediction};
use vigie_protocol::project::{PicturePolicy, Project};

/// Pictures that may wait to be written. Each is at most one image file, so this also bounds
/// memory.
const WAITING: usize = 256;
/// Pictures are synced together: one sync for all that came in this span.
const GROUP: Duration = Duration::from_millis(20);
const GROUP_MAX: usize = 64;

/// Records answers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    pictures: mpsc::SyncSender<Picture>,
    writer: LogWriter,
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
    pub fn start(blobs: Arc<FolderBlobs>, writer: LogWriter) -> std::io::Result<Self> {
        let (pictures, waiting) = mpsc::sync_channel(WAITING);
        let shed = Arc::new(AtomicU64::new(0));
        let keeper = Keeper { blobs, writer: writer.clone(), shed: shed.clone() };
        thread::Builder::new().name("pictures".to_owned()).spawn(move || keeper.run(&waiting))?;
        Ok(Self { pictures, writer, shed })
    }

    /// Records an answer; never blocks. Returns it as it will be logged.
    pub fn record(&self, project: &Project, mut prediction: Prediction, image: Vec<u8>) -> Prediction {
        let name = project.name.clone();
        if wants_picture(project.settings.keep_pictures, &prediction) {
            prediction.picture_kept = true;
            let picture = Picture { project: name.clone(), prediction: prediction.clone(), image };
            if self.pictures.try_send(picture).is_ok() {
                return prediction;
            }
            self.shed.fetch_add(1, Ordering::Relaxed);
            prediction.picture_kept = false;
        }
        // A full log queue counts what it sheds; the answer goes out all the same.
        self.writer.submit(name, prediction.clone());
        prediction
    }

    /// How recording keeps up.
    pub fn health(&self) -> RecorderHealth {
        RecorderHealth { log: self.writer.health(), pictures_shed: self.shed.load(Ordering::Relaxed) }
    }
}

fn wants_picture(policy: PicturePolicy, prediction: &Prediction) -> bool {
    match policy {
        PicturePolicy::None | PicturePolicy::Unknown => false,
        PicturePolicy::All => true,
        // The hash is uniform, and the same image is always treated alike.
        PicturePolicy::Sampled { percent } => {
            u16::from_le_bytes([prediction.image.as_bytes()[0], prediction.image.as_bytes()[1]])
                < u16::try_from(u32::from(percent.min(100)) * 65_535 / 100).unwrap_or(u16::MAX)
        }
    }
}

struct Keeper {
    blobs: Arc<FolderBlobs>,
    writer: LogWriter,
    shed: Arc<AtomicU64>,
}

impl Keeper {
    fn run(&self, waiting: &mpsc::Receiver<Picture>) {
        while let Ok(first) = waiting.recv() {
            let mut group = vec![first];
            let end = Instant::now() + GROUP;
            while group.len() < GROUP_MAX
                && let Ok(next) = waiting.recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                group.push(next);
            }
            self.keep(group);
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
