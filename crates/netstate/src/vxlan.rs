//! What joins the nodes of an overlay network: VXLAN devices (RFC 7348), the forwarding and
//! neighbour entries on them, and those on a bridge of which one is a port. What a plan names is
//! never learnt from the wire.

use std::net::IpAddr;

use model::{IfName, Mac, Vni};
use serde::Serialize;

use crate::LinkKey;

/// A VXLAN device of the node. Its outer packets have a UDP checksum, may be fragmented on their
/// way, and leave by the route to each peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vxlan {
    pub vni: Vni,
    /// The node's underlay address that its packets come from, and so the family of the underlay.
    pub local: IpAddr,
    /// The UDP port that all nodes listen on.
    pub port: u16,
    pub learning: Learning,
    /// The bridge it is a port of; `None` where packets are routed into it.
    pub master: Option<IfName>,
    /// Whether the bridge answers what asks for a neighbour that it knows behind this port, rather
    /// than sending the question out by it (`neigh_suppress`, bridge(8)).
    pub suppress: bool,
}

/// Where a VXLAN device has its forwarding entries from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Learning {
    /// From the packets it gets, beside those of the plan: whoever can send it one moves a MAC.
    FromPackets,
    Never,
}

/// A permanent neighbour entry on a VXLAN device, or on the bridge that has one as port: which MAC
/// an address has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NeighbourKey {
    pub dev: IfName,
    pub address: IpAddr,
}

/// A permanent forwarding entry of a VXLAN device: which node has a MAC. The value is that node's
/// underlay address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FdbKey {
    pub dev: IfName,
    pub mac: Mac,
}

/// A node that gets a copy of each frame that no forwarding entry leads: to a group, to all, or
/// to a MAC that is not known (the entries of the all-zero MAC, bridge(8)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FloodKey {
    pub dev: IfName,
    pub remote: IpAddr,
}

/// A forwarding entry of a bridge, which no frame moves (`static sticky`, bridge(8)): the MAC is
/// behind this port, a VXLAN device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PortFdbKey {
    pub port: IfName,
    pub mac: Mac,
}

impl NeighbourKey {
    pub fn link(&self) -> LinkKey {
        LinkKey::on_node(self.dev.clone())
    }
}

impl FdbKey {
    pub fn link(&self) -> LinkKey {
        LinkKey::on_node(self.dev.clone())
    }
}

impl FloodKey {
    pub fn link(&self) -> LinkKey {
        LinkKey::on_node(self.dev.clone())
    }
}

impl PortFdbKey {
    pub fn link(&self) -> LinkKey {
        LinkKey::on_node(self.port.clone())
    }
}
