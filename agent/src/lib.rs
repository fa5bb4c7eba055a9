//! Vigie's daemon.

pub mod access;
pub mod rpc;
