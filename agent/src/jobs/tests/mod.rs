//! The engine with scripted workers, a real store and paused time.

#![expect(clippy::unwrap_used, reason = "tests")]

mod life;
mod survival;
mod world;
