//! The `ipip` backend: packets of the containers inside IP, to the node that has their destination.
//!
//! The kernel tells IP-in-IP devices apart by their own address alone, and packets say nothing of
//! their network: a node has one device for all of them, of a kind that takes both families (`sit`
//! over IPv4, net/ipv6/sit.c; `ip6tnl` over IPv6, net/ipv6/ip6_tunnel.c). It has no other end: a
//! packet goes to the gateway of its route, the peer's underlay address, which for an IPv6 subnet
//! over IPv4 is written as an IPv4-compatible address (RFC 4291 section 2.5.5.1). The firewall
//! keeps the networks apart by their subnets, and drops what comes from others than nodes.
//!
//! Beside it another such device of the same address can't be made, and an `ipip` device that
//! takes packets from everywhere (`tunl0`, set up) is asked before a `sit` one.

use std::net::IpAddr;

use model::{Backend, Family, IfName, MTU_MIN_IPV6, Mtu, Network, NodeId};
use netstate::nft::{Datum, Item, NftFamily};
use netstate::{Alias, KernelState, Link, LinkKey, LinkKind, Netns, Tunnel};

use super::{OverlayView, across, overhead_bytes, reachable, remote_element, route, vtep_element};
use crate::NetworkView;
use crate::firewall::{NAMES, element};
use crate::network::{ipv6_off, ipv6_on};

/// The device of a node.
pub fn device_name() -> IfName {
    match "pi-nodes".parse() {
        Ok(name) => name,
        Err(_) => unreachable!("pi-nodes is an interface name"),
    }
}

/// What one network adds: ways to the other nodes' parts of it.
pub(super) fn part(network: &Network, overlay: &OverlayView) -> KernelState {
    let device = device_name();
    let mut state = KernelState::default();
    let families = Family::BOTH.into_iter();
    let across = families.flat_map(|family| across::routed(network, overlay, (family, &device)));
    state.elements.extend(across.map(|key| (key, Vec::new())));
    for (peer, subnet) in reachable(network, overlay) {
        let Some(remote) = peer.address(Family::of(overlay.local)) else {
            continue;
        };
        let via = gateway(remote, subnet.family());
        let (key, route) = route(network, subnet, via, &device);
        state.routes.insert(key, route);
        let elements = [
            remote_element(subnet, &device, &network.bridge),
            vtep_element(remote),
        ];
        state
            .elements
            .extend(elements.map(|element| (element, Vec::new())));
    }
    state
}

/// How a route of this family says where the outer packet goes.
fn gateway(remote: IpAddr, inner: Family) -> IpAddr {
    match (remote, inner) {
        (IpAddr::V4(remote), Family::Ipv6) => remote.to_ipv6_compatible().into(),
        (remote, _) => remote,
    }
}

/// The device of the node, where some network crosses by it. From anywhere but these networks it
/// is as closed as a bridge.
pub(crate) fn device_part(node: NodeId, networks: &[NetworkView]) -> KernelState {
    let mut state = KernelState::default();
    let mut overlays = networks.iter().filter_map(|view| view.overlay.as_ref());
    let Some(overlay) = overlays.find(|o| o.backend == Backend::Ipip) else {
        return state;
    };
    let device = device_name();
    let key = LinkKey::on_node(device.clone());
    state.links.insert(key.clone(), link(node, overlay));
    state.up.insert(key);
    // Gateways are IPv6 addresses where the underlay is.
    let is_ipip = |view: &&NetworkView| {
        let overlay = view.overlay.as_ref();
        overlay.is_some_and(|overlay| overlay.backend == Backend::Ipip)
    };
    let mut ours = networks.iter().filter(is_ipip);
    let speaks_ipv6 =
        overlay.local.is_ipv6() || ours.any(|view| view.network.subnet(Family::Ipv6).is_some());
    state.sysctls.extend(match speaks_ipv6 {
        true => ipv6_on(&Netns::Node, &device),
        false => ipv6_off(&Netns::Node, &device),
    });
    let name = vec![Item::One(Datum::Ifname(device))];
    let closed = element(NftFamily::Inet, NAMES.bridges, name);
    state.elements.insert(closed, Vec::new());
    state
}

/// The MTU is the underlay's, not a network's; below IPv6's least the kernel makes no such device,
/// and fragments the outer packets.
fn link(node: NodeId, overlay: &OverlayView) -> Link {
    let overhead = overhead_bytes(Backend::Ipip, Family::of(overlay.local));
    let room = overlay.underlay_mtu.bytes().saturating_sub(overhead);
    Link {
        mac: None,
        mtu: Mtu::try_from(room.max(MTU_MIN_IPV6)).unwrap_or(Mtu::ETHERNET),
        alias: Alias {
            node,
            purpose: "overlays in IP".to_owned(),
        },
        kind: LinkKind::Tunnel(Tunnel {
            local: overlay.local,
        }),
    }
}
