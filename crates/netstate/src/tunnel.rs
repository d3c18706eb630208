//! IP-in-IP devices: packets of either family inside IP (RFC 2003, RFC 4213, RFC 2473).
//!
//! Over IPv4 one device leads to all nodes: it has no other end of its own, and a packet goes to
//! the gateway of its route. The kernel tells such devices apart by their own address alone, so
//! that a node has one, whatever networks use it. Over IPv6 there is one for each other node: the
//! kernel takes no gateway of the underlay there (`ip6_route_check_nh_onlink`, net/ipv6/route.c).

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;

/// How far outer packets go (RFC 1700's default): that of the inner ones says nothing of the
/// underlay.
pub const TUNNEL_TTL: u8 = 64;

/// An IP-in-IP device of the node, by the underlay that its packets cross.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tunnel {
    /// To the gateways of routes.
    Ipv4 {
        /// The node's underlay address, that outer packets come from.
        local: Ipv4Addr,
    },
    /// To one other node.
    Ipv6 {
        /// The node's underlay address, that outer packets come from.
        local: Ipv6Addr,
        /// The other node's.
        remote: Ipv6Addr,
    },
}

impl Tunnel {
    /// What `ip link add type` is told: over either underlay the kind that takes packets of both
    /// families.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ipv4 { .. } => "sit",
            Self::Ipv6 { .. } => "ip6tnl",
        }
    }
}
