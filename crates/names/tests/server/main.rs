//! The server on a real kernel, in a thread of the test: asked by containers over a bridge, told of
//! them by the records alone. That an attach starts it is tested in `cli` and `cni`.

#![allow(clippy::unwrap_used)]

mod flood;
mod ground;
mod others;
mod resolve;
