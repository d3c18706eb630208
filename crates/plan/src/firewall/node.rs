//! `inet pontoon`: published ports, source NAT, and what may pass between networks.

use std::net::{IpAddr, Ipv6Addr};

use model::{Family, Prefix, Vni};
use netstate::nft::{
    ADMIN_CHAIN, Chain, CtStatus, Expr, HookPoint, HookType, Ip6Source, L4proto, NatFamily,
    NftName, Right, Rule, Rules, Statement,
};

use super::forward::{by_device, forward, networks};
use super::rules::{
    ACCEPT, COUNTER, DROP, Named, RETURN, address6, base, goto, is, is_not, loopback4, plain,
    priority, rule, set,
};
use super::{Crossing, NAMES, PORT_START, Way};
use crate::overlay::VXLAN_PORT;

pub(super) fn chains(crossing: &Crossing) -> Vec<Named> {
    let mut chains = everywhere(crossing);
    let mut input = Vec::new();
    if !crossing.vnis.is_empty() {
        let output = base(
            HookType::Filter,
            HookPoint::Output,
            priority::RAW,
            untracked(crossing, [Expr::IpDaddr, Expr::Ip6Daddr], None),
        );
        chains.push(("raw_output", output));
        input.push(rule([udp_to_vxlan(), goto("vxlan")]));
        chains.push(("vxlan", plain(vxlan(crossing))));
    }
    if !crossing.tunnels.is_empty() {
        input.extend(crossing.tunnels.iter().flat_map(|own| into_tunnel(*own)));
        chains.push(("ipip", plain(ipip())));
    }
    if !input.is_empty() {
        let input = base(HookType::Filter, HookPoint::Input, priority::FILTER, input);
        chains.push(("input", input));
    }
    if crossing.ipv6 {
        chains.extend(loopback());
    }
    chains
}

/// What leads replies to the node's own connections to `[::1]` back.
fn loopback() -> [Named; 2] {
    use HookPoint::{Input, Prerouting};
    let chain = |point, priority, rules| base(HookType::Filter, point, priority, rules);
    let (before, behind) = (priority::BEHIND_DSTNAT, priority::BEHIND_SRCNAT);
    [
        (
            "loopback_prerouting",
            chain(Prerouting, before, loopback_prerouting()),
        ),
        ("loopback_input", chain(Input, behind, loopback_input())),
    ]
}

/// Packets with a packet of either family inside.
const IN_IP: [L4proto; 2] = [L4proto::Ipv4, L4proto::Ipv6];

fn in_ip(inner: L4proto) -> Statement {
    is([Expr::L4proto], Right::L4proto(inner))
}

/// What is in IP and for the address of the tunnel. Tunnels of other addresses of the node are not
/// ours.
fn into_tunnel(own: IpAddr) -> [Rule; 2] {
    let daddr = match own {
        IpAddr::V4(_) => Expr::IpDaddr,
        IpAddr::V6(_) => Expr::Ip6Daddr,
    };
    IN_IP.map(|inner| {
        let to_us = is([daddr], Right::Prefix(Prefix::host(own)));
        rule([to_us, in_ip(inner), goto("ipip")])
    })
}

/// Only other nodes may send.
fn ipip() -> Vec<Rule> {
    let from_others = |saddr, vteps| rule([is_not([saddr], set(vteps)), COUNTER, DROP]);
    vec![
        from_others(Expr::IpSaddr, NAMES.vteps4),
        from_others(Expr::Ip6Saddr, NAMES.vteps6),
    ]
}

fn everywhere(crossing: &Crossing) -> Vec<Named> {
    use HookPoint::{Forward, Output, Postrouting, Prerouting};
    use HookType::{Filter, Nat};
    vec![
        (
            "raw_prerouting",
            base(Filter, Prerouting, priority::RAW, raw_prerouting(crossing)),
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
            "nat_postrouting",
            base(Nat, Postrouting, priority::SRCNAT, nat_postrouting()),
        ),
        ("to_bridge", plain(to_bridge())),
        (
            "forward",
            base(Filter, Forward, priority::FILTER, forward(crossing)),
        ),
        ("networks", plain(networks(crossing))),
        (
            ADMIN_CHAIN,
            Chain {
                hook: None,
                rules: Rules::Admin,
            },
        ),
    ]
}

/// What stays in its network on the way between nodes is done here, without connection tracking.
/// No IP packet comes in by a port itself: one that does went around the bridge, as frames to the
/// link-local multicast addresses do (IEEE 802.1D table 7-10), and so around the guard.
fn raw_prerouting(crossing: &Crossing) -> Vec<Rule> {
    let port = || Right::IfnameStart(PORT_START.to_owned());
    let by_node = [Expr::IpSaddr, Expr::Ip6Saddr];
    let around_guard = rule([is([Expr::Iifname], port()), COUNTER, DROP]);
    let from_elsewhere = is_not([Expr::Iifname], port());
    // What there is most of comes first; no way is by a port.
    let mut rules = untracked(crossing, by_node, Some(&from_elsewhere));
    match crossing.few_ways() {
        Some(ways) => rules.extend(ways.iter().map(across)),
        None => rules.extend(across_sets()),
    }
    rules.push(around_guard);
    rules.extend(by_device(crossing, Expr::Iifname, "from_bridge"));
    rules
}

/// Between endpoints on different nodes nothing is translated, and both nodes would keep an entry.
fn across(way: &Way) -> Rule {
    let (saddr, daddr) = match way.from.family() {
        Family::Ipv4 => (Expr::IpSaddr, Expr::IpDaddr),
        Family::Ipv6 => (Expr::Ip6Saddr, Expr::Ip6Daddr),
    };
    rule([
        is([Expr::Iifname], Right::Ifname(way.iif.clone())),
        is([saddr], Right::Prefix(way.from)),
        is([daddr], Right::Prefix(way.to)),
        is_not([daddr], Right::Prefix(way.except)),
        Statement::Notrack,
        ACCEPT,
    ])
}

fn across_sets() -> [Rule; 2] {
    [
        (Expr::IpSaddr, Expr::IpDaddr, NAMES.across4),
        (Expr::Ip6Saddr, Expr::Ip6Daddr, NAMES.across6),
    ]
    .map(|(saddr, daddr, across)| {
        let way = [Expr::Iifname, saddr, daddr];
        rule([is(way, set(across)), Statement::Notrack, ACCEPT])
    })
}

/// What nodes send each other in VXLAN is tracked by what is inside. Outside, every flow would have
/// an entry for each way, for a source port that says nothing.
fn untracked(crossing: &Crossing, node: [Expr; 2], besides: Option<&Statement>) -> Vec<Rule> {
    let [v4, v6] = node;
    let of = |family: &Family| {
        let among_nodes = match family {
            Family::Ipv4 => is([v4], set(NAMES.vteps4)),
            Family::Ipv6 => is([v6], set(NAMES.vteps6)),
        };
        let packet = [udp_to_vxlan(), among_nodes].into_iter();
        let packet = packet.chain(besides.cloned());
        rule(packet.chain([Statement::Notrack, ACCEPT]))
    };
    crossing.families.iter().map(of).collect()
}

/// Frames between endpoints of one bridge, where `br_netfilter` shows them to us, are done after one
/// look-up, without connection tracking. The node's loopback addresses are for the node alone, also
/// where `route_localnet` lets its own packets out (CVE-2020-8558). The nodes' own VXLAN ports and
/// tunnels are for nodes: what a container sends there would come from this node's address.
fn from_bridge(crossing: &Crossing) -> Vec<Rule> {
    let drop_loopback = |expr: Expr, loopback: Right| rule([is([expr], loopback), COUNTER, DROP]);
    let local = is([Expr::Iifname, Expr::EtherDaddr], set(NAMES.local));
    let mut rules = vec![
        rule([local, Statement::Notrack, ACCEPT]),
        drop_loopback(Expr::IpDaddr, loopback4()),
        drop_loopback(Expr::IpSaddr, loopback4()),
        drop_loopback(Expr::Ip6Daddr, address6(Ipv6Addr::LOCALHOST)),
        drop_loopback(Expr::Ip6Saddr, address6(Ipv6Addr::LOCALHOST)),
    ];
    if !crossing.vnis.is_empty() {
        rules.extend(to_nodes(&udp_to_vxlan()));
    }
    if !crossing.tunnels.is_empty() {
        rules.extend(IN_IP.iter().flat_map(|inner| to_nodes(&in_ip(*inner))));
    }
    rules
}

fn to_nodes(what: &Statement) -> [Rule; 2] {
    [
        (Expr::IpDaddr, NAMES.vteps4),
        (Expr::Ip6Daddr, NAMES.vteps6),
    ]
    .map(|(daddr, vteps)| rule([what.clone(), is([daddr], set(vteps)), COUNTER, DROP]))
}

/// Of a network of ours, only other nodes' addresses may send (CVE-2023-28840), and where it is
/// stretched a node only what comes from its own MACs: here nothing has been learnt of the frame.
/// Other VNIs are not ours to judge, and the underlay is no less trusted for it. What nodes send is
/// done after one look-up, however many networks there are.
fn vxlan(crossing: &Crossing) -> Vec<Rule> {
    let of = |vni: &Vni| is([Expr::VxlanVni], Right::Vni(*vni));
    let foreign_mac = |vni: &Vni| {
        [
            (Expr::IpSaddr, NAMES.sources4),
            (Expr::Ip6Saddr, NAMES.sources6),
        ]
        .map(|(saddr, sources)| {
            let source = [saddr, Expr::VxlanEtherSaddr];
            rule([of(vni), is_not(source, set(sources)), COUNTER, DROP])
        })
    };
    let mut rules: Vec<Rule> = crossing.stretched.iter().flat_map(foreign_mac).collect();
    rules.extend([
        rule([is([Expr::IpSaddr], set(NAMES.vteps4)), ACCEPT]),
        rule([is([Expr::Ip6Saddr], set(NAMES.vteps6)), ACCEPT]),
    ]);
    let from_others = crossing.vnis.iter();
    rules.extend(from_others.map(|vni| rule([of(vni), COUNTER, DROP])));
    rules
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
///
/// Ranges are asked by `ct protocol`: of `meta l4proto` in a key with ranges nft 1.0.6 (Debian 12)
/// converts the byte order, of one byte, which Linux 6.12.117 refuses.
fn published() -> Vec<Rule> {
    use Expr::{CtProtocol, Ip6Daddr, IpDaddr, L4proto, ThDport};
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
        dnat(Ip, &[IpDaddr, CtProtocol, ThDport], NAMES.ranges4),
        dnat(Ip6, &[Ip6Daddr, L4proto, ThDport], NAMES.host_ports6),
        dnat(Ip6, &[L4proto, ThDport], NAMES.ports6),
        dnat(Ip6, &[Ip6Daddr, CtProtocol, ThDport], NAMES.ranges6),
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

/// What stays in its network on the way to another node is not tracked, and keeps its address.
fn nat_postrouting() -> Vec<Rule> {
    vec![
        rule([is([Expr::Oifname], set(NAMES.bridges)), goto("to_bridge")]),
        rule([
            is([Expr::Iifname], set(NAMES.bridges)),
            Statement::Masquerade,
        ]),
    ]
}

/// Who reaches a published port from the node itself, or from the endpoint's own network on any
/// node, is seen as the gateway: its replies would not come back to us otherwise, or untracked.
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
