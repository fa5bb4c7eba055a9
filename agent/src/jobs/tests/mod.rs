//! The engine with scripted workers, a real store and paused time.

#![expect(clippy::unwrap_used, reason = "tests")]

mod garbage;
mod life;
mod survival;
mod world;
