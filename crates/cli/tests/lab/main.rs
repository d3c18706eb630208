//! `pontoon lab`: several nodes on one machine, made, used, cut, killed and removed.

#![allow(clippy::unwrap_used)]

mod death;
mod ground;
mod life;
mod traffic;
