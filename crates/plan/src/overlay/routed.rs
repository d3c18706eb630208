//! The `routed` backend: the nodes are neighbours on one link, and the other nodes' subnets are
//! routed to their addresses there.
//!
//! Packets cross as they are: whoever is on that link can read and forge them. Where the link is
//! not the nodes' alone, use another backend.

use model::Network;
use netstate::KernelState;

use super::{OverlayView, across, reachable, remote_element, route};

pub(super) fn part(network: &Network, overlay: &OverlayView) -> KernelState {
    let mut state = KernelState::default();
    let uplinks = overlay.uplinks.iter();
    let across =
        uplinks.flat_map(|(family, uplink)| across::routed(network, overlay, (*family, uplink)));
    state.elements.extend(across.map(|key| (key, Vec::new())));
    for (peer, subnet) in reachable(network, overlay) {
        // Each family needs one in the underlay.
        let family = subnet.family();
        let Some((via, uplink)) = peer.address(family).zip(overlay.uplinks.get(&family)) else {
            continue;
        };
        let (key, route) = route(network, subnet, Some(via), uplink);
        state.routes.insert(key, route);
        let remote = remote_element(subnet, uplink, &network.bridge);
        state.elements.insert(remote, Vec::new());
    }
    state
}
