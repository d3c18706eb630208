//! The fast path on the real kernel: a node with a bridge and endpoints, made by hand, and this
//! crate alone. What `pontoon fastpath` says and prints is tested in `cli`.

#![allow(clippy::unwrap_used)]

mod counts;
mod crossing;
mod ground;
mod nodes;
mod packets;

mod changes;
mod difference;
mod difference_across;
mod flows;
mod refusals;
mod routed;
mod soak;
