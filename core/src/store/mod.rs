//! What an agent remembers: facts, the prediction log, blobs. The only room that sees redb.
//!
//! Three narrow traits; nothing redb-shaped crosses them, so that other stores can stand behind
//! them. Calls block and come from CPU threads.

pub mod manifest;
mod traits;

pub use traits::*;
