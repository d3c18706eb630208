//! The records and the node's lock, as the engine uses them.

// Clippy takes the fixtures of tests for something else.
#![allow(clippy::unwrap_used)]

mod alone;
mod conflicts;
mod files;
mod fixture;
mod processes;
mod round_trip;
mod upgrade;
