//! See the room's plan.
