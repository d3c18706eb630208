//! What planning and attaching need to know of a node, foreign things included, and which part
//! of a kernel an observation looks at. Plain data: `kernel` fills it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{Family, IfName, Mac, Mtu, NodeId, Prefix, Target};
use serde::Serialize;

use crate::{Alias, SysctlKey};

/// One device of the node, anybody's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkFacts {
    pub name: IfName,
    /// In bytes; the loopback device's does not fit an [`Mtu`].
    pub mtu: u32,
    pub mac: Option<Mac>,
    /// Its `ifalias` as it stands.
    pub alias: Option<String>,
    /// What `ip link add type` was told; `None` for hardware and the loopback device.
    pub kind: Option<String>,
    pub master: Option<IfName>,
    /// Whether it is set up, with or without a carrier.
    pub up: bool,
}

impl LinkFacts {
    /// Our mark, where it carries one: of these records or of another node's.
    pub fn mark(&self) -> Option<Alias> {
        self.alias.as_deref()?.parse().ok()
    }
}

/// An address on a device of the node, anybody's, of any scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AddressFacts {
    pub dev: IfName,
    pub address: IpAddr,
    pub prefix_len: u8,
}

/// A route of the node, anybody's, of any table but `local`: one that leads somewhere or that
/// keeps its prefix from being led anywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RouteFacts {
    pub prefix: Prefix,
    /// `None` for a multipath route.
    pub dev: Option<IfName>,
    pub via: Option<IpAddr>,
    /// `rtm_protocol`, rtnetlink(7).
    pub protocol: u8,
    pub metric: u32,
    pub table: u32,
}

/// The node as planning sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeFacts {
    pub links: Vec<LinkFacts>,
    pub addresses: Vec<AddressFacts>,
    pub routes: Vec<RouteFacts>,
    /// The MTU of the device of the best default route, IPv4's first; 1500 without one.
    pub default_mtu: Mtu,
    /// Devices that take router advertisements (`accept_ra` is 1) only while they do not forward:
    /// once IPv6 forwarding is on they would lose the routes learnt that way. Hardware, and what
    /// else holds such a route now; never a port of a bridge.
    pub ra_uplinks: Vec<IfName>,
}

impl NodeFacts {
    pub fn link(&self, name: &IfName) -> Option<&LinkFacts> {
        self.links.iter().find(|link| link.name == *name)
    }

    /// The device that has this address: the loopback device too, where somebody put it there.
    pub fn device_of(&self, address: IpAddr) -> Option<&LinkFacts> {
        let mut addresses = self.addresses.iter();
        let at = addresses.find(|facts| facts.address == address)?;
        self.link(&at.dev)
    }
}

/// The device pair of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub target: Target,
    /// The end in the target.
    pub ifname: IfName,
    /// The end on the node.
    pub port: IfName,
}

/// What an observation looks at beside the node's own links, routes and tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interest {
    /// Whose marks count.
    pub node: NodeId,
    /// The targets that are entered, by the pairs that should end there.
    pub targets: Vec<Pair>,
    pub sysctls: Vec<SysctlKey>,
    /// Names under `/run/netns` that are looked for.
    pub namespaces: BTreeSet<String>,
}

/// A socket of the node that holds a port: TCP listening, UDP bound.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Listener {
    /// `0.0.0.0` or `::` for any. One that takes both families is listed once for each.
    pub address: IpAddr,
    pub port: u16,
    /// What `/proc/PID/fd` shows as `socket:[INODE]`.
    pub inode: u32,
}

impl Listener {
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }
}
