//! What runs in a terminal, in a real one: a pseudo-terminal with an emulator at its other end.

mod console;
mod edge;
#[path = "../fake/mod.rs"]
mod fake;
mod idle;
mod link;
mod recording;
mod session;
mod start;
mod terminal;
