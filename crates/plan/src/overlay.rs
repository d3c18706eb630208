//! An overlay network's part of the kernel state beyond its bridge: how packets reach the other
//! nodes' endpoints. Each backend is a function from what is known to what should be.

mod routed;
mod vxlan;

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{Backend, Family, IfName, Network, NodeId, NodeName, OverlayPrefix, Prefix, Vni};
use netstate::{KernelState, Netns, Route, RouteKey};

use crate::NetworkView;

pub(crate) use vxlan::PORT as VXLAN_PORT;
pub use vxlan::device_name as vxlan_device;

/// The metric of routes to other nodes' subnets.
const METRIC: u32 = 100;

/// What of an overlay network is not on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayView {
    pub backend: Backend,
    pub vni: Vni,
    pub prefixes: Vec<OverlayPrefix>,
    /// This node's first address in the underlay.
    pub local: IpAddr,
    /// The devices that have its underlay addresses now, by family.
    pub uplinks: BTreeMap<Family, IfName>,
    /// Nodes that hold a subnet of the network.
    pub peers: Vec<Peer>,
}

/// Another node's part of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub node: NodeName,
    /// At most one a family.
    pub underlay: Vec<IpAddr>,
    pub subnets: Vec<Prefix>,
}

impl Peer {
    fn address(&self, family: Family) -> Option<IpAddr> {
        let mut all = self.underlay.iter().copied();
        all.find(|address| Family::of(*address) == family)
    }
}

/// The part of a network that leads to other nodes; nothing where it is on this one alone.
pub fn overlay_part(node: NodeId, view: &NetworkView) -> KernelState {
    let Some(overlay) = &view.overlay else {
        return KernelState::default();
    };
    match overlay.backend {
        Backend::Vxlan => vxlan::part(node, view, overlay),
        Backend::Routed => routed::part(&view.network, overlay),
    }
}

/// The bytes that a backend puts around a packet of a container (RFC 7348 section 5: outer
/// Ethernet excluded, inner included).
pub fn overhead_bytes(backend: Backend, underlay: Family) -> u16 {
    match (backend, underlay) {
        (Backend::Vxlan, Family::Ipv4) => 50,
        (Backend::Vxlan, Family::Ipv6) => 70,
        (Backend::Routed, _) => 0,
    }
}

/// Subnets of the network's own families, each with the peer that holds it.
fn reachable<'a>(
    network: &'a Network,
    overlay: &'a OverlayView,
) -> impl Iterator<Item = (&'a Peer, Prefix)> {
    let of = |peer: &'a Peer| peer.subnets.iter().map(move |subnet| (peer, *subnet));
    let all = overlay.peers.iter().flat_map(of);
    all.filter(|(_, subnet)| network.subnet(subnet.family()).is_some())
}

/// A route to another node's subnet. The node's own packets take it with the address it has in
/// the network: the other nodes know no other.
fn route(network: &Network, subnet: Prefix, via: IpAddr, dev: &IfName) -> (RouteKey, Route) {
    let key = RouteKey {
        netns: Netns::Node,
        destination: subnet,
        metric: METRIC,
    };
    let route = Route {
        via,
        dev: dev.clone(),
        source: network.subnet(subnet.family()).map(|own| own.gateway),
        onlink: true,
    };
    (key, route)
}
