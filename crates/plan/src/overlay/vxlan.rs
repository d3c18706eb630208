//! The `vxlan` backend: one device for each network, to which the other nodes' subnets are
//! routed.
//!
//! The device learns nothing and floods nothing. A peer's subnet has a route by the subnet's first
//! address, that address a permanent neighbour entry with the peer's MAC, and the MAC a permanent
//! FDB entry with the peer's address in the underlay (RFC 7348 section 4).

use std::net::IpAddr;

use model::{Family, IfName, Mac, Network, NodeId, OverlayPrefix, Prefix, Vni};
use netstate::nft::{Datum, ElementKey, Item, NftFamily};
use netstate::{
    Alias, FdbKey, KernelState, Learning, Link, LinkKey, LinkKind, NeighbourKey, Netns, Vxlan,
};

use super::{OverlayView, across, reachable, route, vtep_element};
use crate::NetworkView;
use crate::firewall::{NAMES, Way, element};
use crate::network::ipv6_sysctls;

/// IANA's port for VXLAN (RFC 7348 section 5).
pub(crate) const PORT: u16 = 4789;

/// What the names of our devices begin with.
pub(crate) const DEVICE_START: &str = "pv-";

/// The device of a network: `pv-` and its VNI.
pub fn device_name(vni: Vni) -> IfName {
    match format!("{DEVICE_START}{vni}").parse() {
        Ok(name) => name,
        Err(_) => unreachable!("pv- and eight digits are an interface name"),
    }
}

pub(super) fn part(node: NodeId, view: &NetworkView, overlay: &OverlayView) -> KernelState {
    let network = &view.network;
    let device = device_name(overlay.vni);
    let key = LinkKey::on_node(device.clone());
    let mut state = KernelState::default();
    state.links.insert(key.clone(), link(node, view, overlay));
    state.up.insert(key);
    state
        .sysctls
        .extend(ipv6_sysctls(network, &Netns::Node, &device));
    for (peer, subnet) in reachable(network, overlay) {
        let Some(remote) = peer.address(Family::of(overlay.local)) else {
            continue;
        };
        let (hop, mac) = (next_hop(subnet), vtep_mac(overlay, &peer.subnets));
        let dev = || device.clone();
        state.neighbours.insert(
            NeighbourKey {
                dev: dev(),
                address: hop,
            },
            mac,
        );
        state.fdb.insert(FdbKey { dev: dev(), mac }, remote);
        let (key, route) = route(network, subnet, Some(hop), &device);
        state.routes.insert(key, route);
        state.elements.insert(vtep_element(remote), Vec::new());
    }
    let ways = ways(network, overlay);
    let elements = way_elements(network, &device).chain(across::elements(&ways));
    state.elements.extend(elements.map(|key| (key, Vec::new())));
    state
}

pub(super) fn ways(network: &Network, overlay: &OverlayView) -> Vec<Way> {
    let device = device_name(overlay.vni);
    let families = Family::BOTH.into_iter();
    let ways = families.flat_map(|family| across::routed(network, overlay, (family, &device)));
    ways.collect()
}

pub(super) fn link(node: NodeId, view: &NetworkView, overlay: &OverlayView) -> Link {
    // The address that it has in its part says which part it is, also of a stretched network.
    let part = |whole: &OverlayPrefix| {
        let own = view.network.subnet(whole.prefix.family())?;
        Prefix::of(own.gateway, whole.node_bits).ok()
    };
    let own: Vec<Prefix> = overlay.prefixes.iter().filter_map(part).collect();
    Link {
        mac: Some(vtep_mac(overlay, &own)),
        mtu: view.mtu,
        alias: Alias {
            node,
            purpose: format!("overlay {}", view.network.name),
        },
        kind: LinkKind::Vxlan(Vxlan {
            vni: overlay.vni,
            local: overlay.local,
            port: PORT,
            learning: Learning::Never,
            master: None,
            suppress: false,
        }),
    }
}

/// The first address of a node subnet, which no endpoint has.
fn next_hop(subnet: Prefix) -> IpAddr {
    subnet.address()
}

/// A node's MAC on the network: the number of its first subnet among the network's, so that every
/// node can tell every other's, and no two have the same.
fn vtep_mac(overlay: &OverlayView, subnets: &[Prefix]) -> Mac {
    let mut prefixes = overlay.prefixes.iter();
    let slot = subnets.first().and_then(|first| {
        let whole = prefixes.find(|whole| whole.prefix.family() == first.family())?;
        ipam::slot_of(*whole, *first)
    });
    let [.., a, b, c, d] = slot.unwrap_or_default().to_be_bytes();
    Mac::ours([a, b, c, d])
}

/// Between the network's bridge and its device packets pass freely; from anywhere else the device
/// is as closed as a bridge.
fn way_elements(network: &Network, device: &IfName) -> impl Iterator<Item = ElementKey> {
    let name = |name: &IfName| Item::One(Datum::Ifname(name.clone()));
    let (bridge, device) = (name(&network.bridge), name(device));
    let of = |set: &str, key: Vec<Item>| element(NftFamily::Inet, set, key);
    [
        of(NAMES.bridges, vec![device.clone()]),
        of(NAMES.bridged, vec![device.clone(), bridge.clone()]),
        of(NAMES.bridged, vec![bridge, device]),
    ]
    .into_iter()
}
