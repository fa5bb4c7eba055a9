//! The agent's RPC server: it takes connections ([`server`]), knows who is behind each
//! ([`session`]), lets through what their role allows ([`guard`]) and carries changes to their end
//! whatever becomes of the connection ([`mutation`]).

pub mod guard;
pub mod mutation;
pub mod server;
pub mod session;

pub use guard::Handler;
pub use mutation::Mutations;
pub use server::{Server, ServerOptions};
pub use session::Session;

#[cfg(test)]
mod tests;
