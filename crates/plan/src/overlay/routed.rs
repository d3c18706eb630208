//! The `routed` backend: the nodes are neighbours on one link, and the other nodes' subnets are
//! routed to their addresses there.
//!
//! Packets cross as they are: whoever is on that link can read and forge them. Where the link is
//! not the nodes' alone, use another backend.

use model::Network;
use netstate::KernelState;

use super::{OverlayView, across, passage, reachable, remote_elements, route};
use crate::firewall::{Passage, Way};

pub(super) fn part(network: &Network, overlay: &OverlayView) -> KernelState {
    let mut state = KernelState::default();
    let ways = ways(network, overlay);
    let across = across::elements(&ways);
    state.elements.extend(across.map(|key| (key, Vec::new())));
    for (peer, subnet) in reachable(network, overlay) {
        // Each family needs one in the underlay.
        let family = subnet.family();
        let Some((via, uplink)) = peer.address(family).zip(overlay.uplinks.get(&family)) else {
            continue;
        };
        let (key, route) = route(network, subnet, Some(via), uplink);
        state.routes.insert(key, route);
        let remote = remote_elements(subnet, uplink, &network.bridge);
        state.elements.extend(remote.map(|key| (key, Vec::new())));
    }
    state
}

pub(super) fn ways(network: &Network, overlay: &OverlayView) -> Vec<Way> {
    let uplinks = overlay.uplinks.iter();
    let ways =
        uplinks.flat_map(|(family, uplink)| across::routed(network, overlay, (*family, uplink)));
    ways.collect()
}

pub(super) fn passages(network: &Network, overlay: &OverlayView) -> Vec<Passage> {
    let uplinks = overlay.uplinks.iter();
    let passages =
        uplinks.filter_map(|(family, uplink)| passage(network, overlay, (*family, uplink)));
    passages.collect()
}
