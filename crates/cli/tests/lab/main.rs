//! `pontoon lab`: several nodes on one machine, made, used, cut, killed and removed.

#![allow(clippy::unwrap_used)]

mod death;
mod fast;
mod faults;
mod ground;
mod known;
mod life;
mod names;
mod nodes;
mod pulse;
mod refusals;
mod store;
mod traffic;
