//! temp
use super::Result;
use vigie_protocol::{Hash, Time};
/// t
#[derive(Debug)]
pub struct AuditLog;
/// t
#[derive(Debug)]
#[allow(missing_docs)]
pub struct AuditDraft { pub at: Time, pub principal: String, pub role: String, pub via: String, pub method: String, pub target: String, pub outcome: String, pub reason: Option<String> }
/// t
#[allow(missing_docs)]
pub struct AuditLine { pub seq: u64, pub at: Time, pub principal: String, pub role: String, pub via: String, pub method: String, pub target: String, pub outcome: String, pub reason: Option<String>, pub prev: Hash }
/// t
#[allow(missing_docs)]
pub struct Verdict { pub lines: u64, pub broken_at: Option<String>, pub head: Hash }
impl AuditLog {
 /// t
 pub fn append(&self, _: &AuditDraft) -> Result<()> { Ok(()) }
 /// t
 pub fn page(&self, _b: Option<u64>, _l: usize) -> Result<Vec<AuditLine>> { Ok(vec![]) }
 /// t
 pub fn verify(&self) -> Result<Verdict> { Ok(Verdict{lines:0,broken_at:None,head:Hash::of(b"")}) }
}
