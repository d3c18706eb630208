//! The `ipip` backend: packets of the containers inside IP, to the node that has their destination.
//!
//! Packets say nothing of their network, and the kernel tells such devices apart by their ends
//! alone: networks share them. The firewall keeps the networks apart by their subnets, and drops
//! what comes from others than nodes. The kinds are those that take both families inside.
//!
//! - Over IPv4 (`sit`, net/ipv6/sit.c) a node has one device, without another end: a packet goes to
//!   the gateway of its route, the peer's underlay address, which for an IPv6 subnet is written as
//!   an IPv4-compatible address (RFC 4291 section 2.5.5.1). Beside it another such device of the
//!   same address can't be made, and an `ipip` device that takes packets from everywhere (`tunl0`,
//!   set up) is asked before a `sit` one.
//! - Over IPv6 (`ip6tnl`, net/ipv6/ip6_tunnel.c) a node has a device for each peer: the kernel
//!   refuses gateways that are on another device. One device of the `external` kind, with the ends
//!   in each route, would take what anybody sends to any address of the node.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::{Backend, Family, IfName, MTU_MIN_IPV6, Mtu, Network, NodeId};
use netstate::nft::{Datum, Item, NftFamily};
use netstate::{Alias, KernelState, Link, LinkKey, LinkKind, Netns, Tunnel};

use super::{
    OverlayView, Peer, across, overhead_bytes, passage, reachable, remote_elements, route,
    vtep_element,
};
use crate::NetworkView;
use crate::firewall::{NAMES, Passage, Way, element};
use crate::network::{ipv6_off, ipv6_on};

/// Both ends of what leads to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ends {
    Ipv4 { local: Ipv4Addr, remote: Ipv4Addr },
    Ipv6 { local: Ipv6Addr, remote: Ipv6Addr },
}

impl Ends {
    /// `None` for a peer without an address of the family that this node's underlay has.
    fn of(overlay: &OverlayView, peer: &Peer) -> Option<Self> {
        match (overlay.local, peer.address(Family::of(overlay.local))?) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => Some(Self::Ipv4 { local, remote }),
            (IpAddr::V6(local), IpAddr::V6(remote)) => Some(Self::Ipv6 { local, remote }),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        }
    }

    fn remote(self) -> IpAddr {
        match self {
            Self::Ipv4 { remote, .. } => remote.into(),
            Self::Ipv6 { remote, .. } => remote.into(),
        }
    }

    fn tunnel(self) -> Tunnel {
        match self {
            Self::Ipv4 { local, .. } => Tunnel::Ipv4 { local },
            Self::Ipv6 { local, remote } => Tunnel::Ipv6 { local, remote },
        }
    }

    /// How a route of this family says where the outer packet goes, where the device doesn't.
    fn gateway(self, inner: Family) -> Option<IpAddr> {
        match (self, inner) {
            (Self::Ipv4 { remote, .. }, Family::Ipv4) => Some(remote.into()),
            (Self::Ipv4 { remote, .. }, Family::Ipv6) => Some(remote.to_ipv6_compatible().into()),
            (Self::Ipv6 { .. }, _) => None,
        }
    }
}

/// The name of a device: of the node, or of this other end.
pub fn device_name(tunnel: &Tunnel) -> IfName {
    let name = match tunnel {
        Tunnel::Ipv4 { .. } => "pi-nodes".to_owned(),
        Tunnel::Ipv6 { remote, .. } => format!("pi-{:012x}", digest(*remote)),
    };
    match name.parse() {
        Ok(name) => name,
        Err(_) => unreachable!("pi- and twelve digits are an interface name"),
    }
}

/// 48 bits of an address (FNV-1a): two in a million nodes have the same with a chance of 1 in 500.
fn digest(address: Ipv6Addr) -> u64 {
    let hash = address.octets().iter().fold(FNV_BASIS, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    });
    (hash >> 48 ^ hash) & ((1 << 48) - 1)
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// What one network adds: ways to the other nodes' parts of it.
pub(super) fn part(network: &Network, overlay: &OverlayView) -> KernelState {
    let mut state = KernelState::default();
    for (peer, subnet) in reachable(network, overlay) {
        let Some(ends) = Ends::of(overlay, peer) else {
            continue;
        };
        let device = device_name(&ends.tunnel());
        let via = ends.gateway(subnet.family());
        let (key, route) = route(network, subnet, via, &device);
        state.routes.insert(key, route);
        let elements = remote_elements(subnet, &device, &network.bridge);
        let elements = elements.into_iter().chain([vtep_element(ends.remote())]);
        state
            .elements
            .extend(elements.map(|element| (element, Vec::new())));
    }
    let ways = ways(network, overlay);
    let across = across::elements(&ways);
    state.elements.extend(across.map(|key| (key, Vec::new())));
    state
}

pub(super) fn ways(network: &Network, overlay: &OverlayView) -> Vec<Way> {
    let devices = devices(network, overlay);
    let devices = devices.iter();
    let ways =
        devices.flat_map(|(family, device)| across::routed(network, overlay, (*family, device)));
    ways.collect()
}

pub(super) fn passages(network: &Network, overlay: &OverlayView) -> Vec<Passage> {
    let devices = devices(network, overlay);
    let devices = devices.iter();
    let passages =
        devices.filter_map(|(family, device)| passage(network, overlay, (*family, device)));
    passages.collect()
}

/// What leads to the peers' subnets of each family: over IPv4 peers share a device.
fn devices(network: &Network, overlay: &OverlayView) -> BTreeSet<(Family, IfName)> {
    let led = reachable(network, overlay).filter_map(|(peer, subnet)| {
        let ends = Ends::of(overlay, peer)?;
        Some((subnet.family(), device_name(&ends.tunnel())))
    });
    led.collect()
}

/// The devices of the node, where some network crosses by them. From anywhere but these networks
/// they are as closed as a bridge.
pub(crate) fn device_part(node: NodeId, networks: &[NetworkView]) -> KernelState {
    let in_ip = |view: &'_ NetworkView| {
        let overlay = view.overlay.as_ref();
        overlay.is_some_and(|overlay| overlay.backend == Backend::Ipip)
    };
    let ours: Vec<&NetworkView> = networks.iter().filter(|view| in_ip(view)).collect();
    let overlays: Vec<&OverlayView> = ours.iter().filter_map(|v| v.overlay.as_ref()).collect();
    let mut state = KernelState::default();
    let Some(first) = overlays.first() else {
        return state;
    };
    let speaks_ipv6 = ours
        .iter()
        .any(|view| view.network.subnet(Family::Ipv6).is_some());
    for tunnel in tunnels(first, &overlays) {
        let device = device_name(&tunnel);
        let key = LinkKey::on_node(device.clone());
        state.links.insert(key.clone(), link(node, first, tunnel));
        state.up.insert(key);
        state.sysctls.extend(match speaks_ipv6 {
            true => ipv6_on(&Netns::Node, &device),
            false => ipv6_off(&Netns::Node, &device),
        });
        let name = vec![Item::One(Datum::Ifname(device))];
        let closed = element(NftFamily::Inet, NAMES.bridges, name);
        state.elements.insert(closed, Vec::new());
    }
    state
}

/// One over IPv4, whatever the peers; over IPv6 one for each.
fn tunnels(first: &OverlayView, overlays: &[&OverlayView]) -> Vec<Tunnel> {
    if let IpAddr::V4(local) = first.local {
        return vec![Tunnel::Ipv4 { local }];
    }
    let peers = overlays.iter().flat_map(|overlay| {
        let peers = overlay.peers.iter();
        peers.filter_map(|peer| Ends::of(overlay, peer))
    });
    let all: BTreeSet<Ends> = peers.collect();
    all.into_iter().map(Ends::tunnel).collect()
}

/// The MTU is the underlay's, not a network's; below IPv6's least the kernel makes no such device,
/// and fragments the outer packets.
fn link(node: NodeId, overlay: &OverlayView, tunnel: Tunnel) -> Link {
    let overhead = overhead_bytes(Backend::Ipip, Family::of(overlay.local));
    let room = overlay.underlay_mtu.bytes().saturating_sub(overhead);
    Link {
        mac: None,
        mtu: Mtu::try_from(room.max(MTU_MIN_IPV6)).unwrap_or(Mtu::ETHERNET),
        alias: Alias {
            node,
            purpose: "overlays in IP".to_owned(),
        },
        kind: LinkKind::Tunnel(tunnel),
    }
}
