//! The `routed` backend: the nodes are neighbours on one link, and the other nodes' subnets are
//! routed to their addresses there.
//!
//! Packets cross as they are: whoever is on that link can read and forge them. Where the link is
//! not the nodes' alone, use another backend.

use model::{Family, IfName, Network, Prefix};
use netstate::KernelState;
use netstate::nft::{Datum, Item, NftFamily};

use super::{OverlayView, reachable, route};
use crate::firewall::{NAMES, element};

pub(super) fn part(network: &Network, overlay: &OverlayView) -> KernelState {
    let mut state = KernelState::default();
    for (peer, subnet) in reachable(network, overlay) {
        // Each family needs one in the underlay.
        let family = subnet.family();
        let way = peer.address(family).zip(overlay.uplinks.get(&family));
        if let Some((via, uplink)) = way {
            let (key, route) = route(network, subnet, via, uplink);
            state.routes.insert(key, route);
        }
        let remote = remote_element(subnet, &network.bridge);
        state.elements.insert(remote, Vec::new());
    }
    state
}

/// A subnet elsewhere, with the bridge whose endpoints are of the same network.
fn remote_element(subnet: Prefix, bridge: &IfName) -> netstate::nft::ElementKey {
    let set = match subnet.family() {
        Family::Ipv4 => NAMES.remote4,
        Family::Ipv6 => NAMES.remote6,
    };
    let bridge = Item::One(Datum::Ifname(bridge.clone()));
    element(NftFamily::Inet, set, vec![Item::Prefix(subnet), bridge])
}
