//! The agent's RPC server: it takes connections ([`server`]), knows who is behind each
//! ([`session`]), lets through what their role allows ([`guard`]) and carries changes to their end
//! whatever becomes of the connection ([`mutation`]). [`api`] hands each method to the file of its
//! group.

mod agent;
pub mod api;
pub mod blobs;
mod classes;
mod datasets;
mod feedback;
pub mod figures;
pub mod guard;
mod jobs;
mod labelling;
mod models;
pub mod mutation;
mod predictions;
mod projects;
pub mod reviews;
mod room;
mod rules;
mod schedules;
pub mod server;
pub mod session;
mod sources;
mod stream;

pub use api::Api;
pub use guard::Handler;
pub use mutation::Mutations;
pub use reviews::Reviews;
pub use server::{Server, ServerOptions};
pub use session::Session;

#[cfg(test)]
mod tests;
