//! What a node knows, and the kernel state that follows from it.

use model::{Backend, Endpoint, Family, IfName, Mtu, NetnsOrigin, Network, NodeId, Reach, Span};
use netstate::{KernelState, Netns, SysctlKey};

use crate::firewall::Crossing;
use crate::overlay::{OverlayView, passages, tunnel_part, ways};
use crate::{endpoint_part, network_part, overlay_part, ruleset};

/// Everything the state of a node's kernel depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub node: NodeId,
    pub networks: Vec<NetworkView>,
    /// Foreign devices that learn routes from router advertisements.
    pub ra_uplinks: Vec<IfName>,
}

/// A network, the MTU it has today, and its endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkView {
    pub network: Network,
    pub mtu: Mtu,
    pub endpoints: Vec<EndpointView>,
    /// What leads to other nodes; `None` for a network on this node alone, and where only an
    /// endpoint's part is asked for.
    pub overlay: Option<OverlayView>,
}

/// An endpoint, and where its namespace came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointView {
    pub endpoint: Endpoint,
    pub origin: NetnsOrigin,
}

/// The kernel state of a node: nothing at all where there is no network.
pub fn desired(view: &View) -> KernelState {
    let mut state = KernelState::default();
    if view.networks.is_empty() {
        return state;
    }
    for network in &view.networks {
        state.extend(network_part(view.node, network));
        state.extend(overlay_part(view.node, network));
        for endpoint in &network.endpoints {
            state.extend(endpoint_part(view.node, network, endpoint));
        }
    }
    state.extend(tunnel_part(view.node, &view.networks));
    state.extend(ruleset(view.node, &crossing(view, &state)));
    state.sysctls.extend(forwarding(view));
    state
}

/// `parts` are the networks'.
fn crossing(view: &View, parts: &KernelState) -> Crossing {
    let overlays = || view.networks.iter().filter_map(|n| n.overlay.as_ref());
    let by = |backend: Backend| overlays().filter(move |overlay| overlay.backend == backend);
    let stretched = by(Backend::Vxlan).filter(|overlay| overlay.span == Span::Stretched);
    let locals = by(Backend::Vxlan).map(|overlay| overlay.local);
    let networks = view.networks.iter();
    let crossing = networks.filter_map(|n| Some((&n.network, n.overlay.as_ref()?)));
    let mut crossing = Crossing {
        vnis: by(Backend::Vxlan).map(|overlay| overlay.vni).collect(),
        stretched: stretched.map(|overlay| overlay.vni).collect(),
        families: locals.map(Family::of).collect(),
        tunnels: by(Backend::Ipip).map(|overlay| overlay.local).collect(),
        ways: crossing.clone().flat_map(|(n, o)| ways(n, o)).collect(),
        passages: crossing.flat_map(|(n, o)| passages(n, o)).collect(),
        ..Crossing::default()
    };
    crossing.read(parts);
    crossing
}

/// A node forwards the families that some network reaches the outside or other nodes with.
fn forwarding(view: &View) -> Vec<(SysctlKey, String)> {
    let open = |family: Family| {
        let reaches = |n: &NetworkView| n.network.reach == Reach::Outside || n.overlay.is_some();
        let mut networks = view.networks.iter().filter(|n| reaches(n));
        networks.any(|n| n.network.subnet(family).is_some())
    };
    let mut sysctls = Vec::new();
    for family in Family::BOTH.into_iter().filter(|family| open(*family)) {
        sysctls.push((SysctlKey::forwarding(family), "1".to_owned()));
        if family == Family::Ipv6 {
            sysctls.extend(view.ra_uplinks.iter().map(accept_ra_as_router));
        }
    }
    sysctls
}

/// A router ignores router advertisements unless told otherwise, and would lose its own default
/// route when its addresses next expire (`accept_ra`, Documentation/networking/ip-sysctl.rst).
fn accept_ra_as_router(uplink: &IfName) -> (SysctlKey, String) {
    let key = SysctlKey::of_device(Netns::Node, Family::Ipv6, uplink, "accept_ra");
    (key, "2".to_owned())
}
