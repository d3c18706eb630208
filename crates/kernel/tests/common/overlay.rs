//! Two nodes joined by an underlay, and what each of them needs to reach the other.

use std::net::IpAddr;

use kernel::Kernel;
use model::{Family, Mac};
use netstate::{
    FdbKey, FloodKey, KernelState, Learning, Link, LinkKey, LinkKind, NeighbourKey, Netns,
    PortFdbKey, Route, RouteKey, Tunnel, Vxlan, Way, diff,
};
use testnet::{Node, in_netns};

use super::{BRIDGE, address, alias, apply, bridge_key, build, ifname};

pub const DEV: &str = "pv-42";
/// The namespace of the second node.
const OTHER: &str = "other";

/// Makes the second node and the wire between both, with addresses of both families.
pub fn underlay(node: &Node) {
    node.sh(
        "ip netns add other; ip -n other link set lo up
         ip link add u0 type veth peer name u0 netns other
         ip link set u0 up; ip -n other link set u0 up
         ip addr add 192.0.2.1/24 dev u0; ip -n other addr add 192.0.2.2/24 dev u0
         ip addr add 2001:db8::1/64 dev u0 nodad; ip -n other addr add 2001:db8::2/64 dev u0 nodad",
    );
}

pub fn vtep(family: Family, node: u8) -> IpAddr {
    match family {
        Family::Ipv4 => format!("192.0.2.{node}"),
        Family::Ipv6 => format!("2001:db8::{node}"),
    }
    .parse()
    .unwrap()
}

/// Of a node's VXLAN device.
pub fn mac(node: u8) -> Mac {
    Mac::ours([10, 50, 0, node])
}

pub fn dev_key() -> LinkKey {
    LinkKey::on_node(ifname(DEV))
}

pub fn vxlan(state: &mut KernelState) -> &mut Vxlan {
    match &mut state.links.get_mut(&dev_key()).unwrap().kind {
        LinkKind::Vxlan(vxlan) => vxlan,
        other => panic!("{other:?}"),
    }
}

/// A bridge with addresses, and a VXLAN device beside it or in it.
fn devices(family: Family, node: u8, stretched: bool) -> KernelState {
    let mut state = KernelState::default();
    let mtu = match family {
        Family::Ipv4 => 1450,
        Family::Ipv6 => 1430,
    };
    let bridge = Link {
        mac: Some(Mac::ours([10, 50, 1, node])),
        mtu: mtu.try_into().unwrap(),
        alias: alias("network web"),
        kind: LinkKind::Bridge,
    };
    let kind = LinkKind::Vxlan(Vxlan {
        vni: 42.try_into().unwrap(),
        local: vtep(family, node),
        port: 4789,
        learning: Learning::Never,
        master: stretched.then(|| ifname(BRIDGE)),
        suppress: stretched,
    });
    let device = Link {
        mac: Some(mac(node)),
        mtu: mtu.try_into().unwrap(),
        alias: alias("overlay web"),
        kind,
    };
    state.links.insert(bridge_key(), bridge);
    state.links.insert(dev_key(), device);
    state.up.extend([bridge_key(), dev_key()]);
    state
}

/// Packets for the other node's subnets are routed to it: no broadcast ever leaves.
pub fn routed(family: Family, node: u8) -> KernelState {
    let other = 3 - node;
    let mut state = devices(family, node, false);
    for (subnet, via, source) in [
        (
            format!("10.50.{other}.0/24"),
            format!("10.50.{other}.0"),
            format!("10.50.{node}.1"),
        ),
        (
            format!("fd50:{other}::/64"),
            format!("fd50:{other}::"),
            format!("fd50:{node}::1"),
        ),
    ] {
        let bits = if subnet.contains(':') { 64 } else { 24 };
        let own = address(bridge_key(), &format!("{source}/{bits}"));
        state.addresses.insert(own);
        let key = RouteKey {
            netns: Netns::Node,
            destination: subnet.parse().unwrap(),
            metric: 100,
        };
        let address: IpAddr = via.parse().unwrap();
        let route = Route::Leads(Way {
            via: Some(address),
            dev: ifname(DEV),
            source: Some(source.parse().unwrap()),
            onlink: true,
        });
        state.routes.insert(key, route);
        let dev = ifname(DEV);
        state
            .neighbours
            .insert(NeighbourKey { dev, address }, mac(other));
    }
    let key = FdbKey {
        dev: ifname(DEV),
        mac: mac(other),
    };
    state.fdb.insert(key, vtep(family, other));
    state.routes.extend(unreachable());
    state
}

/// What no node has.
fn unreachable() -> [(RouteKey, Route); 2] {
    ["10.50.0.0/16", "fd50::/32"].map(|whole| {
        let key = RouteKey {
            netns: Netns::Node,
            destination: whole.parse().unwrap(),
            metric: 1_000_000,
        };
        (key, Route::Unreachable)
    })
}

pub const TUNNEL: &str = "pi-nodes";

/// A bridge with addresses, and a device to the other node for packets of both families.
pub fn tunnelled(family: Family, node: u8) -> KernelState {
    let other = 3 - node;
    let mut state = KernelState::default();
    let (mtu, mtu_inside) = match family {
        Family::Ipv4 => (1500u16, 1480u16),
        Family::Ipv6 => (1500, 1460),
    };
    let bridge = Link {
        mac: Some(Mac::ours([10, 50, 1, node])),
        mtu: mtu.try_into().unwrap(),
        alias: alias("network web"),
        kind: LinkKind::Bridge,
    };
    let tunnel = match (vtep(family, node), vtep(family, other)) {
        (IpAddr::V6(local), IpAddr::V6(remote)) => Tunnel::Ipv6 { local, remote },
        (IpAddr::V4(local), _) => Tunnel::Ipv4 { local },
        ends => panic!("{ends:?}"),
    };
    let device = Link {
        mac: None,
        mtu: mtu_inside.try_into().unwrap(),
        alias: alias("overlays in IP"),
        kind: LinkKind::Tunnel(tunnel),
    };
    let key = LinkKey::on_node(ifname(TUNNEL));
    state.links.insert(bridge_key(), bridge);
    state.links.insert(key.clone(), device);
    state.up.extend([bridge_key(), key]);
    for (subnet, source) in [
        (format!("10.50.{other}.0/24"), format!("10.50.{node}.1/24")),
        (format!("fd50:{other}::/64"), format!("fd50:{node}::1/64")),
    ] {
        let own = address(bridge_key(), &source);
        let source = own.address;
        state.addresses.insert(own);
        let via = match (vtep(family, other), source) {
            (IpAddr::V4(remote), IpAddr::V6(_)) => Some(remote.to_ipv6_compatible().into()),
            (IpAddr::V4(remote), IpAddr::V4(_)) => Some(remote.into()),
            (IpAddr::V6(_), _) => None,
        };
        let key = RouteKey {
            netns: Netns::Node,
            destination: subnet.parse().unwrap(),
            metric: 100,
        };
        let way = Way {
            via,
            dev: ifname(TUNNEL),
            source: Some(source),
            onlink: via.is_some(),
        };
        state.routes.insert(key, Route::Leads(way));
    }
    state
}

/// One Ethernet over both nodes: what no entry leads is copied to the other, and one endpoint of
/// the other is known beforehand.
pub fn stretched(family: Family, node: u8) -> KernelState {
    let mut state = devices(family, node, true);
    for text in [format!("10.60.0.{node}/24"), format!("fd60::{node}/64")] {
        state.addresses.insert(address(bridge_key(), &text));
    }
    let flood = FloodKey {
        dev: ifname(DEV),
        remote: vtep(family, 3 - node),
    };
    state.floods.insert(flood);
    let known = Mac::ours([10, 60, 0, 30 + node]);
    for text in [
        format!("10.60.0.{}", 30 + node),
        format!("fd60::{}", 30 + node),
    ] {
        let (dev, address) = (ifname(BRIDGE), text.parse().unwrap());
        state
            .neighbours
            .insert(NeighbourKey { dev, address }, known);
    }
    let (dev, mac) = (ifname(DEV), known);
    let remote = vtep(family, 3 - node);
    state.fdb.insert(FdbKey { dev, mac }, remote);
    let (port, mac) = (ifname(DEV), known);
    state.port_fdb.insert(PortFdbKey { port, mac });
    state
}

/// Makes each node from its plan alone.
pub fn join(here: &KernelState, there: &KernelState) {
    let make = |state| build(&mut Kernel::open().unwrap(), state);
    make(here);
    in_netns(OTHER, || make(there));
}

pub fn part(here: &KernelState, there: &KernelState) {
    let unmake = |state| {
        let plan = diff(state, &KernelState::default());
        let report = apply(&mut Kernel::open().unwrap(), &plan);
        assert!(report.is_success(), "{report:?}");
    };
    unmake(here);
    in_netns(OTHER, || unmake(there));
}
