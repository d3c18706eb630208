//! `bridge pontoon`: what a container may send, and what another node on a stretched network.

use std::net::Ipv6Addr;

use netstate::nft::{
    EtherType, Expr, HookPoint, HookType, Icmpv6Type, L4proto, Right, Rule, Statement,
};

use super::rules::{
    ACCEPT, COUNTER, DROP, Named, address6, base, goto, is, is_not, plain, priority, rule, set,
};
use super::{Crossing, NAMES, PORT_START};
use crate::overlay::VXLAN_START;

/// The endpoints' ports and, where a network is stretched, the devices to other nodes. What is
/// said of an endpoint holds for all of a node's at once.
pub(super) fn chains(crossing: &Crossing) -> Vec<Named> {
    let from = |start: &str, chain: &str| {
        let devices = Right::IfnameStart(start.to_owned());
        rule([is([Expr::Iifname], devices), goto(chain)])
    };
    let mut entrances = vec![from(PORT_START, "port")];
    let mut chains = port_chains();
    if !crossing.stretched.is_empty() {
        entrances.push(from(VXLAN_START, "remote"));
        chains.extend(remote_chains());
    }
    let prerouting = base(
        HookType::Filter,
        HookPoint::Prerouting,
        priority::BRIDGE_DSTNAT,
        entrances,
    );
    chains.push(("prerouting", prerouting));
    chains
}

fn port_chains() -> Vec<Named> {
    vec![
        ("port", plain(frames("port_ip", "port_ip6", "port_arp"))),
        ("port_ip", plain(ip(NAMES.addrs4))),
        ("port_arp", plain(arp(NAMES.addrs4))),
        ("port_ip6", plain(port_ip6())),
        ("port_own6", plain(own6("port_nd6"))),
        ("port_unspecified6", plain(port_unspecified6())),
        ("port_nd6", plain(nd6(NAMES.targets6))),
    ]
}

fn remote_chains() -> Vec<Named> {
    let frames = frames("remote_ip", "remote_ip6", "remote_arp");
    vec![
        ("remote", plain(frames)),
        ("remote_ip", plain(ip(NAMES.remotes4))),
        ("remote_arp", plain(arp(NAMES.remotes4))),
        ("remote_ip6", plain(remote_ip6())),
        ("remote_own6", plain(own6("remote_nd6"))),
        ("remote_nd6", plain(nd6(NAMES.remote_targets6))),
    ]
}

/// IPv4, ARP and IPv6, untagged; nothing else leaves a container.
fn frames(to_ip: &str, to_ip6: &str, to_arp: &str) -> Vec<Rule> {
    let to = |kind: EtherType, chain: &str| {
        rule([is([Expr::EtherType], Right::EtherType(kind)), goto(chain)])
    };
    vec![
        to(EtherType::Ip, to_ip),
        to(EtherType::Ip6, to_ip6),
        to(EtherType::Arp, to_arp),
        rule([COUNTER, DROP]),
    ]
}

fn ip(addrs: &str) -> Vec<Rule> {
    let own = [Expr::Iifname, Expr::EtherSaddr, Expr::IpSaddr];
    vec![rule([is(own, set(addrs)), ACCEPT]), rule([COUNTER, DROP])]
}

/// Both the frame and what it says must be the sender's own.
fn arp(addrs: &str) -> Vec<Rule> {
    let frame = [Expr::Iifname, Expr::EtherSaddr, Expr::ArpSaddrIp];
    let claim = [Expr::Iifname, Expr::ArpSaddrEther, Expr::ArpSaddrIp];
    let (frame, claim) = (is(frame, set(addrs)), is(claim, set(addrs)));
    vec![rule([frame, claim, ACCEPT]), rule([COUNTER, DROP])]
}

fn port_ip6() -> Vec<Rule> {
    let own = [Expr::Iifname, Expr::EtherSaddr, Expr::Ip6Saddr];
    let unspecified = is([Expr::Ip6Saddr], address6(Ipv6Addr::UNSPECIFIED));
    let mac = is([Expr::Iifname, Expr::EtherSaddr], set(NAMES.macs));
    vec![
        rule([is(own, set(NAMES.addrs6)), goto("port_own6")]),
        rule([unspecified, mac, goto("port_unspecified6")]),
        rule([COUNTER, DROP]),
    ]
}

/// The MAC of a frame from a node is known to be one of its own; without an address it may only
/// carry a report of what somebody listens to.
fn remote_ip6() -> Vec<Rule> {
    let own = [Expr::Iifname, Expr::EtherSaddr, Expr::Ip6Saddr];
    let unspecified = || is([Expr::Ip6Saddr], address6(Ipv6Addr::UNSPECIFIED));
    let mut rules = vec![rule([is(own, set(NAMES.remotes6)), goto("remote_own6")])];
    let report = |kind| rule([unspecified(), icmpv6(kind), ACCEPT]);
    rules.extend(REPORTS.map(report));
    rules.push(rule([COUNTER, DROP]));
    rules
}

/// What a listener says (RFC 2710, RFC 3810).
const REPORTS: [Icmpv6Type; 3] = [
    Icmpv6Type::MldListenerReport,
    Icmpv6Type::Mld2ListenerReport,
    Icmpv6Type::MldListenerDone,
];

fn icmpv6(kind: Icmpv6Type) -> Statement {
    is([Expr::Icmpv6Type], Right::Icmpv6Type(kind))
}

/// From an address of the sender's own everything may go but what only a router says. A type that
/// can't be read, behind headers that hide it, comes to the drop at the end.
fn own6(nd: &str) -> Vec<Rule> {
    let drop = |kind: Icmpv6Type| rule([icmpv6(kind), COUNTER, DROP]);
    let neighbour = |kind: Icmpv6Type| rule([icmpv6(kind), goto(nd)]);
    let readable = is_not(
        [Expr::Icmpv6Type],
        Right::Icmpv6Type(Icmpv6Type::NdRouterAdvert),
    );
    vec![
        rule([
            is_not([Expr::L4proto], Right::L4proto(L4proto::Icmpv6)),
            ACCEPT,
        ]),
        rule([is_not([Expr::FragOff], Right::FragOffZero), ACCEPT]),
        drop(Icmpv6Type::NdRouterAdvert),
        drop(Icmpv6Type::NdRedirect),
        drop(Icmpv6Type::MldListenerQuery),
        drop(Icmpv6Type::RouterRenumbering),
        neighbour(Icmpv6Type::NdNeighborSolicit),
        neighbour(Icmpv6Type::NdNeighborAdvert),
        rule([readable, ACCEPT]),
        rule([COUNTER, DROP]),
    ]
}

/// Without an address an endpoint may report what it listens to (RFC 3590) and ask whether its
/// own addresses are free (RFC 4862 section 5.4).
fn port_unspecified6() -> Vec<Rule> {
    let own_target = [Expr::Iifname, Expr::EtherSaddr, Expr::NdTarget];
    let solicit = icmpv6(Icmpv6Type::NdNeighborSolicit);
    let mut rules = vec![rule([is([Expr::FragExists], Right::Exists), COUNTER, DROP])];
    rules.extend(REPORTS.map(|kind| rule([icmpv6(kind), ACCEPT])));
    rules.extend([
        rule([solicit, is(own_target, set(NAMES.targets6)), ACCEPT]),
        rule([COUNTER, DROP]),
    ]);
    rules
}

/// Neighbour discovery is never fragmented (RFC 6980), and an advertisement is for an address
/// of the sender's own.
fn nd6(targets: &str) -> Vec<Rule> {
    let own_target = [Expr::Iifname, Expr::EtherSaddr, Expr::NdTarget];
    let advert = icmpv6(Icmpv6Type::NdNeighborAdvert);
    vec![
        rule([is([Expr::FragExists], Right::Exists), COUNTER, DROP]),
        rule([icmpv6(Icmpv6Type::NdNeighborSolicit), ACCEPT]),
        rule([advert, is(own_target, set(targets)), ACCEPT]),
        rule([COUNTER, DROP]),
    ]
}
