//! An overlay network's part of the kernel state beyond its bridge: how packets reach the other
//! nodes' endpoints. Each backend is a function from what is known to what should be.

mod across;
mod ipip;
mod routed;
mod stretched;
mod vxlan;

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{
    Backend, Family, IfName, Mtu, Network, NodeId, NodeName, OverlayPrefix, Prefix, Span, Vni,
    Whereabouts,
};
use netstate::nft::{Datum, ElementKey, Item, NftFamily};
use netstate::{KernelState, Netns, Route, RouteKey};

use crate::NetworkView;
use crate::firewall::{NAMES, Passage, Way, element};

pub use ipip::device_name as tunnel_device;
pub(crate) use ipip::device_part as tunnel_part;
pub use vxlan::device_name as vxlan_device;
pub(crate) use vxlan::{DEVICE_START as VXLAN_START, PORT as VXLAN_PORT};

/// The metric of routes to other nodes' subnets.
const METRIC: u32 = 100;
/// The metric of the route that refuses what no other leads: anybody's for the same prefix is
/// better.
const UNOWNED_METRIC: u32 = 1_000_000;

/// What of an overlay network is not on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayView {
    pub backend: Backend,
    pub vni: Vni,
    pub span: Span,
    pub prefixes: Vec<OverlayPrefix>,
    /// This node's first address in the underlay.
    pub local: IpAddr,
    /// Of the device that has it.
    pub underlay_mtu: Mtu,
    /// The devices that have its underlay addresses now, by family.
    pub uplinks: BTreeMap<Family, IfName>,
    /// Nodes that hold a subnet of the network.
    pub peers: Vec<Peer>,
}

impl OverlayView {
    /// Of all nodes.
    pub(crate) fn prefix(&self, family: Family) -> Option<Prefix> {
        let mut all = self.prefixes.iter().map(|whole| whole.prefix);
        all.find(|prefix| prefix.family() == family)
    }
}

/// Another node's part of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub node: NodeName,
    /// At most one a family.
    pub underlay: Vec<IpAddr>,
    pub subnets: Vec<Prefix>,
    /// Its endpoints on the network, where this is stretched, as far as it tells: of its subnets.
    pub endpoints: Vec<Whereabouts>,
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
    let mut state = match (overlay.span, overlay.backend) {
        (Span::Node, Backend::Vxlan) => vxlan::part(node, view, overlay),
        (Span::Node, Backend::Routed) => routed::part(&view.network, overlay),
        (Span::Node, Backend::Ipip) => ipip::part(&view.network, overlay),
        (Span::Stretched, _) => stretched::part(node, view, overlay),
    };
    state.routes.extend(unowned(&view.network, overlay));
    state
}

/// What is for no node's subnet is for nobody: it must not leave by the default route.
fn unowned(network: &Network, overlay: &OverlayView) -> Vec<(RouteKey, Route)> {
    let prefixes = overlay.prefixes.iter().map(|whole| whole.prefix);
    let own = prefixes.filter(|whole| network.subnet(whole.family()).is_some());
    let refused = own.map(|whole| {
        let key = RouteKey {
            netns: Netns::Node,
            destination: whole,
            metric: UNOWNED_METRIC,
        };
        (key, Route::Unreachable)
    });
    refused.collect()
}

/// The bytes that a backend puts around a packet of a container (RFC 7348 section 5: outer
/// Ethernet excluded, inner included; of IP-in-IP the outer IP header).
pub fn overhead_bytes(backend: Backend, underlay: Family) -> u16 {
    match (backend, underlay) {
        (Backend::Vxlan, Family::Ipv4) => 50,
        (Backend::Vxlan, Family::Ipv6) => 70,
        (Backend::Ipip, Family::Ipv4) => 20,
        (Backend::Ipip, Family::Ipv6) => 40,
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
fn route(
    network: &Network,
    subnet: Prefix,
    via: Option<IpAddr>,
    dev: &IfName,
) -> (RouteKey, Route) {
    let key = RouteKey {
        netns: Netns::Node,
        destination: subnet,
        metric: METRIC,
    };
    let way = netstate::Way {
        via,
        dev: dev.clone(),
        source: network.subnet(subnet.family()).map(|own| own.gateway),
        onlink: via.is_some(),
    };
    (key, Route::Leads(way))
}

/// A subnet elsewhere: by itself, for rules that name the network's devices, and with the device
/// that leads there and the bridge whose endpoints are of the same network, for where these are
/// too many for rules.
fn remote_elements(subnet: Prefix, device: &IfName, bridge: &IfName) -> [ElementKey; 2] {
    let (elsewhere, remote) = match subnet.family() {
        Family::Ipv4 => (NAMES.elsewhere4, NAMES.remote4),
        Family::Ipv6 => (NAMES.elsewhere6, NAMES.remote6),
    };
    let name = |name: &IfName| Item::One(Datum::Ifname(name.clone()));
    let subnet = || Item::Prefix(subnet);
    [
        (elsewhere, vec![subnet()]),
        (remote, vec![subnet(), name(device), name(bridge)]),
    ]
    .map(|(set, key)| element(NftFamily::Inet, set, key))
}

/// Between the network's bridge and what leads to its other nodes' subnets.
fn passage(
    network: &Network,
    overlay: &OverlayView,
    (family, device): (Family, &IfName),
) -> Option<Passage> {
    network.subnet(family)?;
    Some(Passage {
        bridge: network.bridge.clone(),
        device: device.clone(),
        whole: overlay.prefix(family)?,
    })
}

/// How a network's packets come in that stay in it on the way between nodes.
pub(crate) fn ways(network: &Network, overlay: &OverlayView) -> Vec<Way> {
    match (overlay.span, overlay.backend) {
        (Span::Node, Backend::Vxlan) => vxlan::ways(network, overlay),
        (Span::Node, Backend::Routed) => routed::ways(network, overlay),
        (Span::Node, Backend::Ipip) => ipip::ways(network, overlay),
        (Span::Stretched, _) => across::bridged(network, overlay),
    }
}

/// How they pass, where the device is not the network's alone.
pub(crate) fn passages(network: &Network, overlay: &OverlayView) -> Vec<Passage> {
    match (overlay.span, overlay.backend) {
        (Span::Node, Backend::Routed) => routed::passages(network, overlay),
        (Span::Node, Backend::Ipip) => ipip::passages(network, overlay),
        (Span::Node, Backend::Vxlan) | (Span::Stretched, _) => Vec::new(),
    }
}

/// Lets in what another node sends.
fn vtep_element(remote: IpAddr) -> ElementKey {
    let set = match remote {
        IpAddr::V4(_) => NAMES.vteps4,
        IpAddr::V6(_) => NAMES.vteps6,
    };
    let key = vec![Item::One(Datum::address(remote))];
    element(NftFamily::Inet, set, key)
}
