//! Vigie's daemon; `ARCHITECTURE.md` has the map of its rooms.

pub mod access;
pub mod app;
pub mod config;
pub mod doctor;
pub mod fault;
pub mod hub;
pub mod jobs;
mod keys;
pub mod log;
pub mod offline;
pub mod promotion;
pub mod rpc;
pub mod rules;
pub mod run;
pub mod schedule;
pub mod services;
pub mod serving;
pub mod sources;
pub mod telemetry;
pub mod worker;
