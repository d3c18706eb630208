//! A network's own part of the kernel state: its bridge.

use std::net::IpAddr;

use model::{Family, IfName, Mac, Network, NetworkId, NetworkName, NodeId, Reach};
use netstate::nft::{Datum, ElementKey, Item, NftFamily};
use netstate::{AddressKey, Alias, KernelState, Link, LinkKey, LinkKind, Netns, SysctlKey};

use crate::NetworkView;
use crate::firewall::{NAMES, element};

/// The bridge of a network that was given no name for it: `pn-NAME`, or `pn-nID` where that is
/// no interface name. Ports are called otherwise: the firewall knows them by their names.
pub fn bridge_name(name: &NetworkName, id: NetworkId) -> IfName {
    let numbered = || format!("pn-n{}", id.0).parse();
    let named: Result<IfName, _> = format!("pn-{name}").parse();
    match named.or_else(|_| numbered()) {
        Ok(name) => name,
        Err(_) => unreachable!("pn-n and ten digits are an interface name"),
    }
}

/// The bridge with its addresses, and the network's elements in the sets.
pub fn network_part(node: NodeId, view: &NetworkView) -> KernelState {
    let network = &view.network;
    let mut state = KernelState::default();
    let key = LinkKey::on_node(network.bridge.clone());
    state.links.insert(key.clone(), bridge(node, view));
    state.up.insert(key.clone());
    for subnet in &network.subnets {
        state.addresses.insert(AddressKey {
            link: key.clone(),
            address: subnet.gateway,
            prefix_len: subnet.prefix.bits(),
        });
    }
    state.sysctls.extend(sysctls(view));
    state.elements.extend(elements(view));
    state
}

fn bridge(node: NodeId, view: &NetworkView) -> Link {
    let purpose = format!("network {}", view.network.name);
    // A MAC of its own: otherwise the bridge takes its lowest port's, and the neighbours' caches
    // go wrong when that port leaves (`br_stp_recalculate_bridge_id`, net/bridge/br_stp_if.c).
    let first = view.network.subnets.first().map(|subnet| subnet.gateway);
    Link {
        mac: Some(first.map_or(Mac::ours([0; 4]), Mac::for_address)),
        mtu: view.mtu,
        alias: Alias { node, purpose },
        kind: LinkKind::Bridge,
    }
}

fn sysctls(view: &NetworkView) -> Vec<(SysctlKey, String)> {
    let bridge = &view.network.bridge;
    ipv6_sysctls(&view.network, &Netns::Node, bridge)
}

/// Lets the node's own connections to 127.0.0.1 leave by the bridge: set with the first endpoint
/// that has a port published there. What containers send to 127.0.0.0/8 the firewall drops.
pub(crate) fn route_localnet(network: &Network) -> (SysctlKey, String) {
    let bridge = &network.bridge;
    let key = SysctlKey::of_device(Netns::Node, Family::Ipv4, bridge, "route_localnet");
    (key, "1".to_owned())
}

/// How a device of ours speaks IPv6. Without an IPv6 subnet not at all: no link-local address,
/// nothing to reach the node by. With one, no router but us is listened to, and nothing waits
/// for duplicate address detection: we give out the addresses and guard them.
pub(crate) fn ipv6_sysctls(
    network: &Network,
    netns: &Netns,
    device: &IfName,
) -> Vec<(SysctlKey, String)> {
    match network.subnet(Family::Ipv6) {
        Some(_) => ipv6_on(netns, device),
        None => ipv6_off(netns, device),
    }
}

pub(crate) fn ipv6_on(netns: &Netns, device: &IfName) -> Vec<(SysctlKey, String)> {
    let values = [
        ("disable_ipv6", "0"),
        ("accept_ra", "0"),
        ("accept_dad", "0"),
    ];
    let of = |(name, value)| ipv6_sysctl(netns, device, name, value);
    values.map(of).into()
}

pub(crate) fn ipv6_off(netns: &Netns, device: &IfName) -> Vec<(SysctlKey, String)> {
    vec![ipv6_sysctl(netns, device, "disable_ipv6", "1")]
}

fn ipv6_sysctl(
    netns: &Netns,
    device: &IfName,
    name: &'static str,
    value: &str,
) -> (SysctlKey, String) {
    let key = SysctlKey::of_device(netns.clone(), Family::Ipv6, device, name);
    (key, value.to_owned())
}

/// The network's elements: its bridge, where a packet between its own endpoints passes, and the
/// addresses that are inside.
fn elements(view: &NetworkView) -> Vec<(ElementKey, Vec<Datum>)> {
    let network = &view.network;
    let bridge = || Item::One(Datum::Ifname(network.bridge.clone()));
    let of =
        |set: &str, key: Vec<Item>, data: Vec<Datum>| (element(NftFamily::Inet, set, key), data);
    let mut elements = vec![
        of(NAMES.bridges, vec![bridge()], Vec::new()),
        of(NAMES.bridged, vec![bridge(), bridge()], Vec::new()),
    ];
    if network.reach == Reach::Internal {
        elements.push(of(NAMES.internal, vec![bridge()], Vec::new()));
    }
    for subnet in &network.subnets {
        let whole = view.overlay.as_ref();
        let whole = whole.and_then(|overlay| overlay.prefix(subnet.prefix.family()));
        let inside = vec![Item::Prefix(whole.unwrap_or(subnet.prefix)), bridge()];
        match subnet.gateway {
            IpAddr::V4(_) => elements.push(of(NAMES.inside4, inside, Vec::new())),
            IpAddr::V6(gateway) => {
                elements.push(of(NAMES.inside6, inside, Vec::new()));
                let gateway = vec![Datum::Ipv6Addr(gateway)];
                elements.push(of(NAMES.gateway6, vec![bridge()], gateway));
            }
        }
    }
    elements
}
