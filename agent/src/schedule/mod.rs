//! Schedules: what the agent does by itself.
//!
//! [`calendar`] knows when a cron expression fires, [`plan`] what a schedule does at a time; both are
//! pure. [`service`] is the loop: it lays firings down and has their actions ([`act`]) carried out.
//! A firing is durable before its action begins, and whatever the action submits has a key made from
//! the firing; so a restart takes up what is open, and nothing is done twice.

mod act;
mod calendar;
mod check;
mod events;
mod plan;
mod service;

pub(crate) use act::Agent;
pub(crate) use check::{check, next_firings};
pub use service::{Acted, Scheduler, SchedulerHandle, World};

#[cfg(test)]
mod tests;
