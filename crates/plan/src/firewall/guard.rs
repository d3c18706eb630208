//! `bridge pontoon`: what a container may send.

use std::net::Ipv6Addr;

use netstate::nft::{EtherType, Expr, HookPoint, HookType, Icmpv6Type, Right, Rule, Statement};

use super::rules::{
    ACCEPT, COUNTER, DROP, Named, address6, base, goto, is, is_not, plain, priority, rule, set,
};
use super::{NAMES, PORT_START};

pub(super) fn chains() -> Vec<Named> {
    let prerouting = {
        let port = Right::IfnameStart(PORT_START.to_owned());
        let rules = vec![rule([is([Expr::Iifname], port), goto("port")])];
        base(
            HookType::Filter,
            HookPoint::Prerouting,
            priority::BRIDGE_DSTNAT,
            rules,
        )
    };
    vec![
        ("prerouting", prerouting),
        ("port", plain(port())),
        ("port_ip", plain(port_ip())),
        ("port_arp", plain(port_arp())),
        ("port_ip6", plain(port_ip6())),
        ("port_own6", plain(port_own6())),
        ("port_unspecified6", plain(port_unspecified6())),
        ("port_nd6", plain(port_nd6())),
    ]
}

/// IPv4, ARP and IPv6, untagged; nothing else leaves a container.
fn port() -> Vec<Rule> {
    let to = |kind: EtherType, chain: &str| {
        rule([is([Expr::EtherType], Right::EtherType(kind)), goto(chain)])
    };
    vec![
        to(EtherType::Ip, "port_ip"),
        to(EtherType::Ip6, "port_ip6"),
        to(EtherType::Arp, "port_arp"),
        rule([COUNTER, DROP]),
    ]
}

fn port_ip() -> Vec<Rule> {
    let own = [Expr::Iifname, Expr::EtherSaddr, Expr::IpSaddr];
    vec![
        rule([is(own, set(NAMES.addrs4)), ACCEPT]),
        rule([COUNTER, DROP]),
    ]
}

/// Both the frame and what it says must be the endpoint's own.
fn port_arp() -> Vec<Rule> {
    let frame = [Expr::Iifname, Expr::EtherSaddr, Expr::ArpSaddrIp];
    let claim = [Expr::Iifname, Expr::ArpSaddrEther, Expr::ArpSaddrIp];
    let (frame, claim) = (is(frame, set(NAMES.addrs4)), is(claim, set(NAMES.addrs4)));
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

fn icmpv6(kind: Icmpv6Type) -> Statement {
    is([Expr::Icmpv6Type], Right::Icmpv6Type(kind))
}

/// From an address of the endpoint's own everything may go but what only a router says. A type
/// that can't be read, behind headers that hide it, comes to the drop at the end.
fn port_own6() -> Vec<Rule> {
    let drop = |kind: Icmpv6Type| rule([icmpv6(kind), COUNTER, DROP]);
    let neighbour = |kind: Icmpv6Type| rule([icmpv6(kind), goto("port_nd6")]);
    let readable = is_not(
        [Expr::Icmpv6Type],
        Right::Icmpv6Type(Icmpv6Type::NdRouterAdvert),
    );
    vec![
        rule([is_not([Expr::L4proto], Right::ProtoIcmpv6), ACCEPT]),
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
    vec![
        rule([is([Expr::FragExists], Right::Exists), COUNTER, DROP]),
        rule([icmpv6(Icmpv6Type::MldListenerReport), ACCEPT]),
        rule([icmpv6(Icmpv6Type::Mld2ListenerReport), ACCEPT]),
        rule([icmpv6(Icmpv6Type::MldListenerDone), ACCEPT]),
        rule([solicit, is(own_target, set(NAMES.targets6)), ACCEPT]),
        rule([COUNTER, DROP]),
    ]
}

/// Neighbour discovery is never fragmented (RFC 6980), and an advertisement is for an address
/// of the endpoint's own.
fn port_nd6() -> Vec<Rule> {
    let own_target = [Expr::Iifname, Expr::EtherSaddr, Expr::NdTarget];
    let advert = icmpv6(Icmpv6Type::NdNeighborAdvert);
    vec![
        rule([is([Expr::FragExists], Right::Exists), COUNTER, DROP]),
        rule([icmpv6(Icmpv6Type::NdNeighborSolicit), ACCEPT]),
        rule([advert, is(own_target, set(NAMES.targets6)), ACCEPT]),
        rule([COUNTER, DROP]),
    ]
}
