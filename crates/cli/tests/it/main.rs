//! `pontoon` on a real kernel: each test is a node of its own, in fresh namespaces.

#![allow(clippy::unwrap_used)]

mod node;

mod attach;
mod cluster;
mod cluster_etcd;
mod cni_install;
mod daemon;
mod daemon_api;
mod daemon_faults;
mod daemon_heals;
mod doctor;
mod ipam;
mod network;
mod seed;
