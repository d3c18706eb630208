//! A network stretched over all nodes: one Ethernet, the VXLAN device being a port of each node's
//! bridge.
//!
//! The whole prefix is on-link for every endpoint; its addresses are still of its node's part, and
//! its default route is its own node. What is known beforehand is permanent: the nodes' own MACs,
//! and the endpoints that a node tells of. Where such a MAC is, the bridge knows (by the device's
//! port) and the device (at which node), and for its addresses the bridge has neighbour entries by
//! which it answers who asks (ARP, neighbour solicitations): the question does not leave the node
//! (`neigh_suppress`; `br_do_proxy_suppress_arp`, `br_do_suppress_nd` in
//! net/bridge/br_arp_nd_proxy.c). What is not known, or not yet, must be learnt: the bridge learns
//! by which port, the device from which node (`learning`), as any switch, and what nobody has
//! answered yet is copied to every node (head-end replication, the FDB entries of the all-zero
//! MAC).
//!
//! Learning must not let a node, or whoever speaks as one, take what is another's. The MAC of an
//! endpoint is made from its IPv4 address (`model::Mac::for_address`; another is refused when it
//! attaches), and so all of a node's lie in one range. Two checks bind a node to its part:
//!
//! - `inet pontoon vxlan`, on the outer packet and so before anything is learnt: the MAC that the
//!   frame inside comes from is of the sending node's range.
//! - `bridge pontoon remote`, on the frame: the addresses that it claims (IPv4, ARP, IPv6,
//!   neighbour discovery) are of the part that its MAC is of, and it says nothing of routers.

use std::net::IpAddr;

use model::{Family, IfName, Mac, NodeId, Prefix, Subnet, Whereabouts};
use netstate::nft::{Datum, ElementKey, Item, NftFamily};
use netstate::{
    FdbKey, FloodKey, KernelState, Learning, Link, LinkKey, LinkKind, NeighbourKey, Netns,
    PortFdbKey,
};

use super::{OverlayView, Peer, across, vtep_element, vxlan};
use crate::NetworkView;
use crate::firewall::{NAMES, element};
use crate::network::ipv6_off;

pub(super) fn part(node: NodeId, view: &NetworkView, overlay: &OverlayView) -> KernelState {
    let device = vxlan::device_name(overlay.vni);
    let key = LinkKey::on_node(device.clone());
    let mut state = KernelState::default();
    state.links.insert(key.clone(), link(node, view, overlay));
    state.up.insert(key);
    // It is a port.
    state.sysctls.extend(ipv6_off(&Netns::Node, &device));
    let ways = across::bridged(&view.network, overlay);
    let across = across::elements(&ways);
    state.elements.extend(across.map(|key| (key, Vec::new())));
    for peer in &overlay.peers {
        let Some(remote) = peer.address(Family::of(overlay.local)) else {
            continue;
        };
        let dev = device.clone();
        state.floods.insert(FloodKey { dev, remote });
        for known in own_end(peer)
            .into_iter()
            .chain(peer.endpoints.iter().copied())
        {
            put_known(&mut state, view, (&device, remote), known);
        }
        let trusted = trusted(view, overlay, peer, remote);
        state
            .elements
            .extend(trusted.into_iter().map(|element| (element, Vec::new())));
    }
    state
}

fn link(node: NodeId, view: &NetworkView, overlay: &OverlayView) -> Link {
    let mut link = vxlan::link(node, view, overlay);
    if let LinkKind::Vxlan(vxlan) = &mut link.kind {
        vxlan.learning = Learning::FromPackets;
        vxlan.master = Some(view.network.bridge.clone());
        vxlan.suppress = true;
    }
    link
}

/// The peer's own end of the network, by the addresses that every node has in its part.
fn own_end(peer: &Peer) -> Option<Whereabouts> {
    let own = peer.subnets.iter().map(|subnet| Subnet::new(*subnet, None));
    let gateways = own.map(|own| own.map(|own| own.gateway));
    Whereabouts::new(&gateways.collect::<Result<Vec<_>, _>>().ok()?).ok()
}

/// That something is at a node: nobody asks for it, and nothing for it is flooded.
fn put_known(
    state: &mut KernelState,
    view: &NetworkView,
    (device, remote): (&IfName, IpAddr),
    known: Whereabouts,
) {
    let mac = known.mac();
    let dev = device.clone();
    state.fdb.insert(FdbKey { dev, mac }, remote);
    let port = device.clone();
    state.port_fdb.insert(PortFdbKey { port, mac });
    let link_local = IpAddr::V6(mac.link_local());
    let addresses = known.addresses().chain([link_local]);
    let spoken = addresses.filter(|at| view.network.subnet(Family::of(*at)).is_some());
    for address in spoken {
        let dev = view.network.bridge.clone();
        state.neighbours.insert(NeighbourKey { dev, address }, mac);
    }
}

/// What the firewall takes from a peer.
fn trusted(
    view: &NetworkView,
    overlay: &OverlayView,
    peer: &Peer,
    remote: IpAddr,
) -> Vec<ElementKey> {
    let mut trusted = vec![vtep_element(remote)];
    let mut macs = peer.subnets.iter().copied().filter_map(Mac::range_for);
    let Some((first, last)) = macs.next() else {
        return trusted;
    };
    trusted.push(source_element(remote, first, last));
    let device = vxlan::device_name(overlay.vni);
    let claim = |set: &str, address: Item| {
        let device = Item::One(Datum::Ifname(device.clone()));
        let macs = Item::Range(Datum::EtherAddr(first), Datum::EtherAddr(last));
        element(NftFamily::Bridge, set, vec![device, macs, address])
    };
    let families = peer.subnets.iter().copied();
    let known = families.filter(|subnet| view.network.subnet(subnet.family()).is_some());
    for subnet in known {
        match subnet.family() {
            Family::Ipv4 => trusted.push(claim(NAMES.remotes4, Item::Prefix(subnet))),
            Family::Ipv6 => {
                let link_local = common(first.link_local().into(), last.link_local().into());
                for prefix in [subnet, link_local] {
                    trusted.push(claim(NAMES.remotes6, Item::Prefix(prefix)));
                    let targets = targets(prefix);
                    trusted.extend(targets.map(|t| claim(NAMES.remote_targets6, t)));
                }
            }
        }
    }
    trusted
}

/// The MACs that frames from a node come from.
fn source_element(remote: IpAddr, first: Mac, last: Mac) -> ElementKey {
    let set = match remote {
        IpAddr::V4(_) => NAMES.sources4,
        IpAddr::V6(_) => NAMES.sources6,
    };
    let macs = Item::Range(Datum::VxlanEtherSaddr(first), Datum::VxlanEtherSaddr(last));
    let key = vec![Item::One(Datum::address(remote)), macs];
    element(NftFamily::Inet, set, key)
}

/// The longest prefix that has both.
fn common(first: IpAddr, last: IpAddr) -> Prefix {
    let family = Family::of(first);
    let lens = (0..=family.bits()).rev();
    let mut prefixes = lens.filter_map(|len| Prefix::of(first, len).ok());
    let both = prefixes.find(|prefix| prefix.contains(last));
    both.unwrap_or(Prefix::any(family))
}

fn targets(prefix: Prefix) -> Option<Item> {
    match (prefix.address(), prefix.last()) {
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            Some(Item::Range(Datum::NdTarget(first), Datum::NdTarget(last)))
        }
        _ => None,
    }
}
