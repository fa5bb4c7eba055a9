//! Vigie's daemon: see `ARCHITECTURE.md` for its rooms.

mod fault;
pub mod jobs;
pub mod worker;
