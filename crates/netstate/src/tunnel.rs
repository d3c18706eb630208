//! IP-in-IP devices: packets of either family inside IP (RFC 2003, RFC 4213, RFC 2473).
//!
//! One device leads to all nodes: it has no other end of its own, and a packet goes to the gateway
//! of its route. The kernel tells such devices apart by their own address alone, so that a node
//! has one, whatever networks use it.

use std::net::IpAddr;

use model::Family;
use serde::Serialize;

/// How far outer packets go (RFC 1700's default): that of the inner ones says nothing of the
/// underlay.
pub const TUNNEL_TTL: u8 = 64;

/// An IP-in-IP device of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tunnel {
    /// The node's underlay address that its packets come from, and so the family of the underlay.
    pub local: IpAddr,
}

impl Tunnel {
    /// What `ip link add type` is told: over either underlay the kind that takes packets of both
    /// families.
    pub fn kind(&self) -> &'static str {
        match Family::of(self.local) {
            Family::Ipv4 => "sit",
            Family::Ipv6 => "ip6tnl",
        }
    }
}
