//! Serving: each project's production model answers predictions. It needs no other service: when
//! the job engine, the log or the disk is down, answers go on.

mod answer;
mod draws;
mod loaded;
mod pool;
mod recorder;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use vigie_core::vision::{self, PixelRoom};
use vigie_protocol::prediction::Prediction;
use vigie_protocol::project::Project;
use vigie_protocol::{ApiError, ErrorCode, ProjectName, Time};

pub use answer::Question;
pub use draws::drawing;
pub use loaded::{Loaded, load, read_passport};
pub use pool::Pool;
pub use recorder::{Recorder, RecorderHealth};

/// Answers predictions for every project that has a production model.
#[derive(Debug)]
pub struct Serving {
    pool: Pool,
    limits: vision::Limits,
    /// Bounds what all threads of the pool decode at one time.
    room: Arc<PixelRoom>,
    recorder: Recorder,
    slots: RwLock<HashMap<ProjectName, Slot>>,
    /// As they were last read.
    projects: RwLock<HashMap<ProjectName, Project>>,
    blob_images: Semaphore,
    ready: watch::Sender<bool>,
}

/// Images that are read from blobs for predictions at one time. Nobody's request holds their bytes, so
/// that no other limit bounds them.
const BLOB_IMAGES: usize = 16;

/// What one project serves. Requests hold their own reference to the model that answers them, so a
/// swap fails none of them and the old model goes when its last request is answered.
#[derive(Debug, Default)]
struct Slot {
    current: Option<Arc<Loaded>>,
    /// Kept warm: a rollback needs no loading.
    previous: Option<Arc<Loaded>>,
}

impl Serving {
    /// Serves nothing yet.
    pub fn new(pool: Pool, limits: vision::Limits, recorder: Recorder) -> Self {
        Self {
            pool,
            limits,
            room: Arc::new(PixelRoom::new()),
            recorder,
            slots: RwLock::default(),
            projects: RwLock::default(),
            blob_images: Semaphore::new(BLOB_IMAGES),
            ready: watch::Sender::new(false),
        }
    }

    /// Answers a question with the project's production model and records the answer.
    ///
    /// # Errors
    /// `Precondition` when the project has no production model, `BadImage` and `TooLarge` for the
    /// image, `Overloaded` when too many wait already.
    pub async fn predict(
        &self,
        project: &Project,
        question: Question,
        now: Time,
    ) -> Result<Prediction, ApiError> {
        // The agent answers before its models are loaded; who asks that early waits for them. The
        // sender lives in self, so the wait cannot fail.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
        let model = self.current(&project.name).ok_or_else(|| {
            ApiError::new(ErrorCode::Precondition, format!("{} has no production model", project.name))
                .with_hint("train one and promote it: vigie pipeline, or vigie models promote")
        })?;
        if question.image.len() as u64 > self.limits.max_bytes {
            return Err(ApiError::new(
                ErrorCode::TooLarge,
                format!(
                    "the image has {} bytes, the limit is {}",
                    question.image.len(),
                    self.limits.max_bytes
                ),
            ));
        }
        let (limits, room) = (self.limits, Arc::clone(&self.room));
        let work = move |waited| answer::answer(&model, question, (&limits, &room), waited, now);
        let (prediction, image) = self.pool.run(work).await?;
        Ok(self.recorder.record(project, prediction, image))
    }

    /// Waits until one more image may be read from a blob; it counts until the permit is dropped.
    pub async fn room_for_blob(&self) -> SemaphorePermit<'_> {
        self.blob_images.acquire().await.expect("the semaphore is never closed")
    }

    /// What was read of a project or, when the disk refused, what was read of it before: predictions go
    /// on without the facts.
    ///
    /// # Errors
    /// Those of the reading, when there is nothing from before or the project does not exist.
    pub fn last_known(
        &self,
        name: &ProjectName,
        read: Result<Project, ApiError>,
    ) -> Result<Project, ApiError> {
        let known = self.projects.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        match read {
            Err(error) if error.code == ErrorCode::Storage => known.ok_or(error),
            Ok(project) if known.as_ref() != Some(&project) => {
                let mut projects = self.projects.write().unwrap_or_else(PoisonError::into_inner);
                projects.insert(name.clone(), project.clone());
                Ok(project)
            }
            read => read,
        }
    }

    /// Says that the models of this start are loaded, or have failed to.
    pub fn set_ready(&self) {
        self.ready.send_replace(true);
    }

    /// The model that answers a project's predictions now.
    pub fn current(&self, project: &ProjectName) -> Option<Arc<Loaded>> {
        self.slots().get(project)?.current.clone()
    }

    /// The model that answered before it, if it is still warm.
    pub fn previous(&self, project: &ProjectName) -> Option<Arc<Loaded>> {
        self.slots().get(project)?.previous.clone()
    }

    /// From now on `model` answers; requests under way end with the one that has them.
    pub fn swap(&self, project: &ProjectName, model: Arc<Loaded>) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(project.clone()).or_default();
        slot.previous = slot.current.replace(model);
    }

    /// How the record of answers keeps up.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn slots(&self) -> std::sync::RwLockReadGuard<'_, HashMap<ProjectName, Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }
}
