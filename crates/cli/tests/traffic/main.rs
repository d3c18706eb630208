//! Traffic through `pontoon`'s networks, each test on nodes of its own: who reaches whom, by which
//! address, and what a container with `CAP_NET_RAW` can't do. What commands print and refuse is
//! tested in `it`.

#![allow(clippy::unwrap_used)]

#[path = "../it/node.rs"]
#[allow(dead_code, reason = "each test target uses a part of it")]
mod node;

mod attempts;
mod forge;
mod ground;

mod admin;
mod connectivity;
mod flows;
mod foreign;
mod guard;
mod host_address;
mod isolation;
mod publish;
mod records;
mod trace;
mod uplink;
