//! An endpoint's own part of the kernel state: its pair of devices, what stands inside its
//! target, and its elements in the firewall's sets.

use std::net::IpAddr;

use model::{
    Endpoint, EndpointId, Family, IfName, NetnsOrigin, Network, NodeId, Prefix, Reach, Subnet,
    Target,
};
use netstate::nft::{Datum, DatumType, ElementKey, Item, NftFamily};
use netstate::{
    AddressKey, Alias, KernelState, Link, LinkKey, LinkKind, Netns, Peer, PortFlags, Route,
    RouteKey, SysctlKey, Way,
};

use crate::firewall::{NAMES, PORT_START, element};
use crate::network::ipv6_sysctls;
use crate::publish::{published_elements, reached_by_loopback};
use crate::shaping::shaping_part;
use crate::{EndpointView, NetworkView};

/// The metric of the first endpoint's default route; each further one of a target is higher, so
/// that the next takes over when the first is detached.
const DEFAULT_ROUTE_METRIC: u32 = 100;

/// The name of an endpoint's end on the node: `pont` and its number in hexadecimal.
pub fn port_name(id: EndpointId) -> IfName {
    match format!("{PORT_START}{:x}", id.0).parse() {
        Ok(name) => name,
        Err(_) => unreachable!("pont and eight digits are an interface name"),
    }
}

/// The part of one endpoint.
pub fn endpoint_part(node: NodeId, network: &NetworkView, view: &EndpointView) -> KernelState {
    let endpoint = &view.endpoint;
    let mut state = KernelState::default();
    if let (NetnsOrigin::Made, Target::Named(name)) = (view.origin, &endpoint.target) {
        state
            .namespaces
            .insert(name.clone(), mark(node, network, endpoint));
    }
    let port = LinkKey::on_node(endpoint.port.clone());
    let inside = inside(endpoint, &endpoint.ifname);
    state
        .links
        .insert(port.clone(), pair(node, network, endpoint));
    if let Some(loopback) = loopback(endpoint) {
        state.up.insert(loopback);
    }
    state.up.extend([port, inside.clone()]);
    state.sysctls.extend(sysctls(&network.network, endpoint));
    for (subnet, address) in numbered(&network.network, endpoint) {
        state.addresses.insert(AddressKey {
            link: inside.clone(),
            address,
            prefix_len: subnet.prefix.bits(),
        });
    }
    state
        .routes
        .extend(default_routes(&network.network, endpoint));
    state
        .elements
        .extend(guard_elements(&network.network, endpoint));
    let published = endpoint.publish.iter();
    let published = published.flat_map(|publish| published_elements(endpoint, *publish));
    state.elements.extend(published);
    state.extend(shaping_part(node, network, endpoint));
    state
}

fn inside(endpoint: &Endpoint, name: &IfName) -> LinkKey {
    LinkKey {
        netns: Netns::Target(endpoint.target.clone()),
        name: name.clone(),
    }
}

fn loopback(endpoint: &Endpoint) -> Option<LinkKey> {
    let name = "lo".parse().ok()?;
    Some(inside(endpoint, &name))
}

/// The endpoint's addresses with the subnets they are of.
fn numbered<'a>(
    network: &'a Network,
    endpoint: &'a Endpoint,
) -> impl Iterator<Item = (&'a Subnet, IpAddr)> {
    let with_subnet = |address: &IpAddr| Some((network.subnet_of(*address)?, *address));
    endpoint.addresses.iter().filter_map(with_subnet)
}

fn pair(node: NodeId, network: &NetworkView, endpoint: &Endpoint) -> Link {
    let [_, _, tail @ ..] = endpoint.mac.bytes();
    Link {
        // The node's end is never spoken to; it differs from the container's in its first byte.
        mac: Some(port_mac(tail)),
        mtu: network.mtu,
        alias: mark(node, network, endpoint),
        kind: LinkKind::Veth {
            port: PortFlags {
                master: Some(network.network.bridge.clone()),
                hairpin: !endpoint.publish.is_empty(),
            },
            peer: Some(Peer {
                at: inside(endpoint, &endpoint.ifname),
                mac: endpoint.mac,
                mtu: network.mtu,
            }),
        },
    }
}

pub(crate) fn mark(node: NodeId, network: &NetworkView, endpoint: &Endpoint) -> Alias {
    let purpose = format!("endpoint {}/{}", network.network.name, endpoint.name);
    Alias { node, purpose }
}

fn port_mac(tail: [u8; 4]) -> model::Mac {
    let [a, b, c, d] = tail;
    let bytes = [0x06, 0x70, a, b, c, d];
    model::Mac::from_bytes(bytes).unwrap_or(model::Mac::ours(tail))
}

fn sysctls(network: &Network, endpoint: &Endpoint) -> Vec<(SysctlKey, String)> {
    let netns = Netns::Target(endpoint.target.clone());
    let mut sysctls = ipv6_sysctls(network, &netns, &endpoint.ifname);
    let by_loopback = endpoint.publish.iter().any(|p| reached_by_loopback(*p));
    if by_loopback && endpoint.address(Family::Ipv4).is_some() {
        sysctls.push(crate::network::route_localnet(network));
    }
    sysctls
}

fn default_routes(network: &Network, endpoint: &Endpoint) -> Vec<(RouteKey, Route)> {
    if network.reach == Reach::Internal {
        return Vec::new();
    }
    let route = |(subnet, _): (&Subnet, IpAddr)| {
        let key = RouteKey {
            netns: Netns::Target(endpoint.target.clone()),
            destination: Prefix::any(subnet.prefix.family()),
            metric: DEFAULT_ROUTE_METRIC + u32::from(endpoint.rank),
        };
        let way = Way {
            via: Some(subnet.gateway),
            dev: endpoint.ifname.clone(),
            source: None,
            onlink: false,
        };
        (key, Route::Leads(way))
    };
    numbered(network, endpoint).map(route).collect()
}

/// What a frame from this port may claim to be, and where frames for it come from.
fn guard_elements(network: &Network, endpoint: &Endpoint) -> Vec<(ElementKey, Vec<Datum>)> {
    let port = Datum::Ifname(endpoint.port.clone());
    let mac = Datum::EtherAddr(endpoint.mac);
    let bridge = Datum::Ifname(network.bridge.clone());
    let of = |family, set: &str, key: Vec<Datum>| {
        let key = key.into_iter().map(Item::One).collect();
        (element(family, set, key), Vec::new())
    };
    let claims = |set: &str, last: Datum| {
        of(
            NftFamily::Bridge,
            set,
            vec![port.clone(), mac.clone(), last],
        )
    };
    let mut elements = vec![
        of(NftFamily::Inet, NAMES.local, vec![bridge, mac.clone()]),
        of(
            NftFamily::Bridge,
            NAMES.macs,
            vec![port.clone(), mac.clone()],
        ),
    ];
    let link_local = endpoint.mac.link_local().into();
    let has_ipv6 = endpoint.address(Family::Ipv6).is_some();
    let link_local = has_ipv6.then_some(link_local);
    for address in endpoint.addresses.iter().copied().chain(link_local) {
        match address {
            IpAddr::V4(_) => elements.push(claims(NAMES.addrs4, Datum::address(address))),
            IpAddr::V6(target) => {
                elements.push(claims(NAMES.addrs6, Datum::address(address)));
                elements.push(claims(NAMES.targets6, Datum::NdTarget(target)));
            }
        }
    }
    debug_assert!(elements.iter().all(|(key, _)| has_known_types(key)));
    elements
}

/// The firewall's declarations and the elements made here must agree.
fn has_known_types(key: &ElementKey) -> bool {
    let types: Option<Vec<DatumType>> = key
        .key
        .iter()
        .map(|item| match item {
            Item::One(datum) => Some(datum.datum_type()),
            Item::Ports(_) => Some(DatumType::InetService),
            Item::Prefix(_) | Item::Range(..) => None,
        })
        .collect();
    let declared = crate::firewall::declared_key(key.set.family, key.set.name.as_str());
    types.is_none_or(|types| declared.is_some_and(|declared| declared == types))
}
