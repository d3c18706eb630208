//! The fast path on the real kernel: a node with a bridge and endpoints, made by hand, and this
//! crate alone. What `pontoon fastpath` says and prints is tested in `cli`.

#![allow(clippy::unwrap_used)]

mod ground;
mod packets;

mod changes;
mod difference;
mod flows;
mod refusals;
