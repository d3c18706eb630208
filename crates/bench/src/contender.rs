//! Who is measured attaching: one way to attach and detach a namespace, on a machine of its own.
//!
//! A contender gives the time of whole processes, and keeps what its own detaching needs. It does
//! not decide how often or in which order.

mod cni;
mod floor;
mod netavark;
mod plugin;
mod pontoon;

use std::time::Duration;

use anyhow::Result;

use crate::machine::Target;

pub use cni::{Chain, Cni};
pub use floor::{Commands, Nothing, VethPair};
pub use netavark::{Netavark, Setup};
pub use plugin::{Plugin, PluginCalls};
pub use pontoon::{Pontoon, Records};

pub const PONTOON: &str = "pontoon";
pub const PLUGIN: &str = "pontoon-cni";
pub const FAST: &str = "pontoon, fast path";
pub const CNI: &str = "CNI bridge+portmap";
pub const NETAVARK: &str = "netavark";
pub const COMMANDS: &str = "ip commands, no NAT";
pub const VETH_PAIR: &str = "veth pair by ip";
pub const NOTHING: &str = "true, does nothing";

pub trait Contender {
    fn attach(&mut self, target: &Target) -> Result<Duration>;

    /// The target was attached just before. None when there is nothing to measure.
    fn detach(&mut self, target: &Target) -> Result<Option<Duration>>;
}

/// The port of the node that the contenders' first published port is at.
const FIRST_HOST_PORT: u16 = 10_000;
const FIRST_PORT: u16 = 80;

/// So many ports, each published at another number. No two are neighbours, which some take for a
/// range.
pub fn remaps(count: u16) -> impl Iterator<Item = (u16, u16)> {
    (0..count).map(|offset| (FIRST_HOST_PORT + 2 * offset, FIRST_PORT + offset))
}
