//! The adapter on etcd from Debian's package: the contract, then faults and ways in.

// Clippy takes the fixtures of tests for something else.
#![allow(clippy::unwrap_used)]

mod access;
#[macro_use]
#[path = "../../../store/tests/cluster/contract.rs"]
mod contract;
mod faults;
mod records;
mod server;

contract!(server::Server::start());
