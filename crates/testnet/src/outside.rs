//! The outside world: a second namespace at the other end of the node's uplink.
//!
//! It knows the node's own addresses and no route behind them, like the internet: what a container
//! sends without source NAT gets no answer, until a test gives it a route.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::netns::Netns;
use crate::node::Node;

/// The far end of the node's uplink, also known as `outside` to `ip netns`.
#[derive(Debug)]
pub struct Outside {
    netns: Netns,
}

impl Outside {
    /// Its name under /run/netns.
    pub const NAME: &'static str = "outside";
    /// The node's device towards it.
    pub const NODE_IFNAME: &'static str = "up0";
    /// Its device towards the node.
    pub const IFNAME: &'static str = "out0";
    pub const NODE_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
    pub const NODE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
    pub const V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
    pub const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);

    pub(crate) fn join(node: &Node) -> Self {
        let (name, up, out) = (Self::NAME, Self::NODE_IFNAME, Self::IFNAME);
        let (node4, node6) = (Self::NODE_V4, Self::NODE_V6);
        let (out4, out6) = (Self::V4, Self::V6);
        node.sh(&format!(
            "ip netns add {name}
             ip link add {up} type veth peer name {out} netns {name}
             ip link set {up} up
             ip -n {name} link set lo up
             ip -n {name} link set {out} up
             ip addr add {node4}/24 dev {up}
             ip addr add {node6}/64 dev {up} nodad
             ip -n {name} addr add {out4}/24 dev {out}
             ip -n {name} addr add {out6}/64 dev {out} nodad
             ip route add default via {out4}
             ip -6 route add default via {out6}"
        ));
        Self {
            netns: Netns::named(name),
        }
    }

    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Sends what it has for `prefix` to the node, as a neighbour on the wire can.
    ///
    /// # Panics
    /// When the kernel refuses the route.
    pub fn route_via_node(&self, node: &Node, prefix: &str) {
        let via: IpAddr = if prefix.contains(':') {
            Self::NODE_V6.into()
        } else {
            Self::NODE_V4.into()
        };
        node.sh(&format!(
            "ip -n {} route add {prefix} via {via}",
            Self::NAME
        ));
    }
}
