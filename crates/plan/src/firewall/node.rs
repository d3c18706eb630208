//! `inet pontoon`: published ports, source NAT, and what may pass between networks.

use std::net::Ipv6Addr;

use model::Vni;
use netstate::nft::{
    ADMIN_CHAIN, Chain, CtState, CtStatus, Expr, HookPoint, HookType, Ip6Source, NatFamily,
    NftName, Right, Rule, Rules, Statement,
};

use super::rules::{
    ACCEPT, COUNTER, DROP, Named, RETURN, address6, base, goto, is, is_not, jump, loopback4, plain,
    priority, rule, set,
};
use super::{Crossing, NAMES, PORT_START};
use crate::overlay::VXLAN_PORT;

pub(super) fn chains(crossing: &Crossing) -> Vec<Named> {
    let mut chains = everywhere(crossing);
    if !crossing.vnis.is_empty() {
        let input = base(
            HookType::Filter,
            HookPoint::Input,
            priority::FILTER,
            vec![rule([udp_to_vxlan(), goto("vxlan")])],
        );
        chains.extend([("input", input), ("vxlan", plain(vxlan(&crossing.vnis)))]);
    }
    chains
}

fn everywhere(crossing: &Crossing) -> Vec<Named> {
    use HookPoint::{Forward, Input, Output, Postrouting, Prerouting};
    use HookType::{Filter, Nat};
    vec![
        (
            "raw_prerouting",
            base(Filter, Prerouting, priority::RAW, raw_prerouting()),
        ),
        ("from_bridge", plain(from_bridge(crossing))),
        (
            "nat_prerouting",
            base(Nat, Prerouting, priority::DSTNAT, nat_prerouting()),
        ),
        (
            "nat_output",
            base(Nat, Output, priority::DSTNAT, nat_output()),
        ),
        ("published", plain(published())),
        (
            "loopback_prerouting",
            base(
                Filter,
                Prerouting,
                priority::BEHIND_DSTNAT,
                loopback_prerouting(),
            ),
        ),
        (
            "loopback_input",
            base(Filter, Input, priority::BEHIND_SRCNAT, loopback_input()),
        ),
        (
            "nat_postrouting",
            base(
                Nat,
                Postrouting,
                priority::SRCNAT,
                nat_postrouting(crossing),
            ),
        ),
        ("to_bridge", plain(to_bridge())),
        (
            "forward",
            base(Filter, Forward, priority::FILTER, forward(crossing)),
        ),
        ("networks", plain(networks())),
        (
            ADMIN_CHAIN,
            Chain {
                hook: None,
                rules: Rules::Admin,
            },
        ),
    ]
}

/// Where `br_netfilter` shows us what is bridged, a frame to an endpoint is done here after one
/// look-up, without connection tracking. No IP packet comes in by a port itself: one that does
/// went around the bridge, as frames to the link-local multicast addresses do (IEEE 802.1D table
/// 7-10), and so around the guard.
fn raw_prerouting() -> Vec<Rule> {
    let local = is([Expr::Iifname, Expr::EtherDaddr], set(NAMES.local));
    let port = Right::IfnameStart(PORT_START.to_owned());
    vec![
        rule([local, Statement::Notrack, ACCEPT]),
        rule([is([Expr::Iifname], port), COUNTER, DROP]),
        rule([is([Expr::Iifname], set(NAMES.bridges)), goto("from_bridge")]),
    ]
}

/// The node's loopback addresses are for the node alone, also where `route_localnet` lets its
/// own packets out (CVE-2020-8558). The nodes' own VXLAN ports are for nodes: what a container
/// sends there would come from this node's address.
fn from_bridge(crossing: &Crossing) -> Vec<Rule> {
    let drop_loopback = |expr: Expr, loopback: Right| rule([is([expr], loopback), COUNTER, DROP]);
    let mut rules = vec![
        drop_loopback(Expr::IpDaddr, loopback4()),
        drop_loopback(Expr::IpSaddr, loopback4()),
        drop_loopback(Expr::Ip6Daddr, address6(Ipv6Addr::LOCALHOST)),
        drop_loopback(Expr::Ip6Saddr, address6(Ipv6Addr::LOCALHOST)),
    ];
    if !crossing.vnis.is_empty() {
        let to_nodes =
            |expr: Expr, vteps| rule([udp_to_vxlan(), is([expr], set(vteps)), COUNTER, DROP]);
        rules.push(to_nodes(Expr::IpDaddr, NAMES.vteps4));
        rules.push(to_nodes(Expr::Ip6Daddr, NAMES.vteps6));
    }
    rules
}

/// Of a network of ours, only other nodes' addresses may send (CVE-2023-28840). Other VNIs are
/// not ours to judge, and the underlay is no less trusted for it.
fn vxlan(vnis: &[Vni]) -> Vec<Rule> {
    let from_others = |vni: Vni, saddr: Expr, vteps: &str| {
        let ours = is([Expr::VxlanVni], Right::Vni(vni));
        rule([ours, is_not([saddr], set(vteps)), COUNTER, DROP])
    };
    let of = |vni: &Vni| {
        [
            from_others(*vni, Expr::IpSaddr, NAMES.vteps4),
            from_others(*vni, Expr::Ip6Saddr, NAMES.vteps6),
        ]
    };
    vnis.iter().flat_map(of).collect()
}

fn udp_to_vxlan() -> Statement {
    is([Expr::UdpDport], Right::Port(VXLAN_PORT))
}

/// Translation comes before the check for martians: a frame from the wire to 127.0.0.1 must not
/// be led to what is published there.
fn nat_prerouting() -> Vec<Rule> {
    vec![
        rule([is([Expr::IpDaddr], loopback4()), RETURN]),
        rule([is([Expr::FibDaddrType], Right::FibLocal), goto("published")]),
    ]
}

fn nat_output() -> Vec<Rule> {
    vec![rule([
        is([Expr::FibDaddrType], Right::FibLocal),
        goto("published"),
    ])]
}

/// The most particular first: one address, then any, then ranges.
fn published() -> Vec<Rule> {
    use Expr::{Ip6Daddr, IpDaddr, L4proto, ThDport};
    use NatFamily::{Ip, Ip6};
    let dnat = |family: NatFamily, key: &[Expr], map: &str| {
        rule([Statement::Dnat {
            family,
            key: key.to_vec(),
            map: NftName::from(map),
        }])
    };
    vec![
        dnat(Ip, &[IpDaddr, L4proto, ThDport], NAMES.host_ports4),
        dnat(Ip, &[L4proto, ThDport], NAMES.ports4),
        dnat(Ip, &[IpDaddr, L4proto, ThDport], NAMES.ranges4),
        dnat(Ip6, &[Ip6Daddr, L4proto, ThDport], NAMES.host_ports6),
        dnat(Ip6, &[L4proto, ThDport], NAMES.ports6),
        dnat(Ip6, &[Ip6Daddr, L4proto, ThDport], NAMES.ranges6),
    ]
}

/// A reply to the node's own connection to `[::1]` has `::1` as its destination again once NAT
/// has turned it around, and would be dropped: IPv6 has no `route_localnet`. On its way in it is
/// sent to the node's address on the bridge instead, without connection tracking's knowledge.
fn loopback_prerouting() -> Vec<Rule> {
    let to_gateway = Statement::SetIp6Daddr(Ip6Source::Map {
        key: vec![Expr::Iifname],
        map: NftName::from(NAMES.gateway6),
    });
    let loopback = is([Expr::Ip6Daddr], address6(Ipv6Addr::LOCALHOST));
    vec![rule([loopback, to_gateway])]
}

/// Behind routing the reply gets its `::1` back.
fn loopback_input() -> Vec<Rule> {
    let loopback = is([Expr::CtOriginalIp6Saddr], address6(Ipv6Addr::LOCALHOST));
    let from_bridge = is([Expr::Iifname], set(NAMES.bridges));
    let back = Statement::SetIp6Daddr(Ip6Source::Address(Ipv6Addr::LOCALHOST));
    vec![rule([loopback, from_bridge, back])]
}

/// What stays in its network on the way to another node keeps its address.
fn nat_postrouting(crossing: &Crossing) -> Vec<Rule> {
    let mut rules = vec![
        rule([is([Expr::Oifname], set(NAMES.bridges)), goto("to_bridge")]),
        rule([
            is([Expr::Iifname], set(NAMES.bridges)),
            Statement::Masquerade,
        ]),
    ];
    if crossing.routed {
        rules.splice(1..1, to_remote());
    }
    rules
}

/// From a bridge to the same network's subnets on other nodes.
fn to_remote() -> [Rule; 2] {
    let to = |daddr: Expr, remote| rule([is([daddr, Expr::Iifname], set(remote)), ACCEPT]);
    [
        to(Expr::IpDaddr, NAMES.remote4),
        to(Expr::Ip6Daddr, NAMES.remote6),
    ]
}

/// The way back.
fn from_remote() -> [Rule; 2] {
    let from = |saddr: Expr, remote| rule([is([saddr, Expr::Oifname], set(remote)), ACCEPT]);
    [
        from(Expr::IpSaddr, NAMES.remote4),
        from(Expr::Ip6Saddr, NAMES.remote6),
    ]
}

/// Who reaches a published port from the node itself, or from the endpoint's own network, is
/// seen as the gateway: its replies would not come back to us otherwise.
fn to_bridge() -> Vec<Rule> {
    let dnat = || is([Expr::CtStatus], Right::CtStatus(CtStatus::Dnat));
    let from_node = is([Expr::FibSaddrType], Right::FibLocal);
    let from_inside = |saddr: Expr, inside: &str| is([saddr, Expr::Oifname], set(inside));
    vec![
        rule([dnat(), from_node, Statement::Masquerade]),
        rule([
            dnat(),
            from_inside(Expr::IpSaddr, NAMES.inside4),
            Statement::Masquerade,
        ]),
        rule([
            dnat(),
            from_inside(Expr::Ip6Saddr, NAMES.inside6),
            Statement::Masquerade,
        ]),
    ]
}

/// A network is open to itself, over its nodes too: bridged packets that `br_netfilter` shows us
/// are done after one look-up.
fn forward(crossing: &Crossing) -> Vec<Rule> {
    let same = is([Expr::Iifname, Expr::Oifname], set(NAMES.bridged));
    let mut rules = vec![
        rule([same, ACCEPT]),
        rule([is([Expr::Iifname], set(NAMES.bridges)), goto("networks")]),
        rule([is([Expr::Oifname], set(NAMES.bridges)), goto("networks")]),
    ];
    if crossing.routed {
        rules.splice(1..1, to_remote().into_iter().chain(from_remote()));
    }
    rules
}

/// What is forwarded between a network and anything else. The administrator has the first word;
/// then internal networks are closed, and the others open to the outside, to answers and to what
/// was published.
fn networks() -> Vec<Rule> {
    let state = |states: &[CtState]| is([Expr::CtState], Right::CtState(states.to_vec()));
    let drop_at = |expr: Expr, name: &str| rule([is([expr], set(name)), COUNTER, DROP]);
    vec![
        rule([jump(ADMIN_CHAIN)]),
        drop_at(Expr::Iifname, NAMES.internal),
        drop_at(Expr::Oifname, NAMES.internal),
        rule([state(&[CtState::Invalid]), COUNTER, DROP]),
        rule([state(&[CtState::Established, CtState::Related]), ACCEPT]),
        rule([
            is([Expr::CtStatus], Right::CtStatus(CtStatus::Dnat)),
            ACCEPT,
        ]),
        drop_at(Expr::Oifname, NAMES.bridges),
    ]
}
