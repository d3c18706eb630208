//! Names on a real kernel: the server is started by who attaches, and asked by containers.

#![allow(clippy::unwrap_used)]

mod ground;
mod life;
mod resolve;
