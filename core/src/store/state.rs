//! temp
use std::path::Path;
use std::sync::Arc;
use vigie_protocol::{AgentId, PredictionId, ProjectName, Time};
use vigie_protocol::prediction::Prediction;
use super::{*, blobs::FolderBlobs, catalog::Catalog, log::DayLog, facts::RedbFacts, audit::AuditLog};
/// temp
#[derive(Debug)]
pub struct State { /// t
 pub agent_id: AgentId, /// t
 pub catalog: Catalog, /// t
 pub blobs: Arc<FolderBlobs>, /// t
 pub log: Arc<DayLog>, /// t
 pub audit: AuditLog }
impl State {
 /// t
 pub fn open(dir: &Path, _now: Time, repair: RepairProgress) -> Result<Self> {
  for d in ["blobs","predictions","packs","runs","logs"] { std::fs::create_dir_all(dir.join(d)).map_err(|source| StoreError::Io{what:"x".into(),source})?; }
  let facts = RedbFacts::open(&dir.join("meta.redb"), Some(repair))?;
  Ok(Self{agent_id: AgentId::new(), catalog: Catalog::new(Arc::new(facts)), blobs: Arc::new(FolderBlobs::open(&dir.join("blobs"))?), log: Arc::new(DayLog::open(&dir.join("predictions"))?), audit: AuditLog})
 }
 /// t
 pub fn forget_prediction(&self, p:&ProjectName, id: PredictionId) -> Result<Option<Prediction>> { self.log.forget(p,id) }
}
