//! What a container with raw sockets may try: the frames, without a judgement. `guard` sends them.

use std::net::{Ipv4Addr, Ipv6Addr};

use testnet::frame::{self, ArpOperation, BROADCAST, Mac, Payload, multicast_mac, solicited_node};

use crate::forge::{self, Extension, icmpv6};
use crate::ground::{A, PEER, WEB_GATEWAY, at};

pub const OWN: Mac = [2, 0, 0, 0, 5, 10];
const NEIGHBOUR: Mac = [2, 0, 0, 0, 5, 11];
pub const FORGED: Mac = [2, 0xde, 0xad, 0, 0, 1];
const NONE: Mac = [0; 6];
const TAG: u16 = 0x8100;
const OUTER_TAG: u16 = 0x88a8;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Frames of one attempt, and what of them would be seen on the other side.
#[derive(Clone)]
pub struct Attempt {
    pub name: &'static str,
    pub frames: Vec<Vec<u8>>,
    /// The first that matters: later fragments alone do nothing.
    telling: Vec<u8>,
    /// How many of them the guard has to drop.
    pub drops: usize,
}

impl Attempt {
    pub fn arrived_among(&self, seen: &[Vec<u8>]) -> bool {
        let is_in = |frame: &Vec<u8>| {
            frame
                .windows(self.telling.len())
                .any(|part| part == self.telling)
        };
        seen.iter().any(is_in)
    }
}

fn one(name: &'static str, to: Mac, from: Mac, packet: &Payload) -> Attempt {
    Attempt {
        name,
        frames: vec![packet.frame(to, from)],
        telling: packet.bytes.clone(),
        drops: 1,
    }
}

/// A packet behind tags, which a packet socket shows without.
fn behind_tags(name: &'static str, tags: &[u16], packet: &Payload) -> Attempt {
    Attempt {
        telling: packet.bytes.clone(),
        ..one(name, BROADCAST, OWN, &forge::tagged(packet, tags))
    }
}

fn in_fragments(name: &'static str, packet: &Payload, size: usize) -> Attempt {
    let pieces = forge::fragments(packet, size);
    Attempt {
        name,
        frames: pieces
            .iter()
            .map(|piece| piece.frame(multicast_mac(ALL_NODES), OWN))
            .collect(),
        telling: pieces[0].bytes.clone(),
        drops: 1,
    }
}

fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn own_link_local() -> Ipv6Addr {
    v6("fe80::ff:fe00:50a")
}

pub fn datagram(from: &str, to: &str) -> Payload {
    frame::udp(
        at(from, 1111),
        at(to, 7777),
        format!("from {from}").as_bytes(),
    )
}

fn arp(operation: ArpOperation, sender: (Mac, &str), target: (Mac, &str)) -> Payload {
    frame::arp(
        operation,
        (sender.0, v4(sender.1)),
        (target.0, v4(target.1)),
    )
}

/// "`target` is at a forged MAC."
fn advertisement(source: Ipv6Addr, target: &str, extensions: &[Extension]) -> Payload {
    let mut body = vec![0x20, 0, 0, 0];
    body.extend(v6(target).octets());
    body.extend([2, 1]);
    body.extend(FORGED);
    icmpv6((source, ALL_NODES), forge::ADVERTISEMENT, &body, extensions)
}

/// "Is `target` free?", without an address to answer to.
fn probe(target: &str) -> Payload {
    let body = [&[0; 4][..], &v6(target).octets()].concat();
    let ends = (Ipv6Addr::UNSPECIFIED, solicited_node(v6(target)));
    icmpv6(ends, forge::SOLICITATION, &body, &[])
}

fn mld_report(source: Ipv6Addr) -> Payload {
    let group = v6("ff02::1:ff00:10");
    let body = [&[0, 0, 0, 1, 4, 0, 0, 0][..], &group.octets()].concat();
    icmpv6(
        (source, v6("ff02::16")),
        forge::MLD2_REPORT,
        &body,
        &[forge::ROUTER_ALERT],
    )
}

fn foreign(ethertype: u16) -> Payload {
    let bytes = format!("something of type {ethertype:04x} that nobody has asked for");
    Payload {
        ethertype,
        bytes: bytes.into_bytes(),
    }
}

fn forged_ipv4() -> Vec<Attempt> {
    let [own, peer, gateway] = [A[0], PEER[0], WEB_GATEWAY[0]];
    let all_zero = frame::udp(at("0.0.0.0", 68), at("255.255.255.255", 67), b"dhcp");
    vec![
        one("source MAC", NEIGHBOUR, FORGED, &datagram(own, peer)),
        one(
            "IPv4 source unknown",
            NEIGHBOUR,
            OWN,
            &datagram("10.5.0.99", peer),
        ),
        one(
            "IPv4 source of the gateway",
            NEIGHBOUR,
            OWN,
            &datagram(gateway, peer),
        ),
        one(
            "IPv4 source of the peer",
            BROADCAST,
            OWN,
            &datagram(peer, gateway),
        ),
        one(
            "IPv4 source and MAC of the peer",
            BROADCAST,
            NEIGHBOUR,
            &datagram(peer, own),
        ),
        one(
            "IPv4 source from outside",
            BROADCAST,
            OWN,
            &datagram("198.51.100.7", peer),
        ),
        one("no IPv4 source", BROADCAST, OWN, &all_zero),
    ]
}

fn forged_arp() -> Vec<Attempt> {
    use ArpOperation::{Reply, Request};
    let [own, peer, gateway] = [A[0], PEER[0], WEB_GATEWAY[0]];
    vec![
        one(
            "ARP for the gateway",
            BROADCAST,
            OWN,
            &arp(Reply, (OWN, gateway), (NEIGHBOUR, peer)),
        ),
        one(
            "ARP for the peer",
            BROADCAST,
            OWN,
            &arp(Reply, (OWN, peer), (NONE, gateway)),
        ),
        one(
            "ARP request as the gateway",
            BROADCAST,
            OWN,
            &arp(Request, (OWN, gateway), (NONE, peer)),
        ),
        one(
            "ARP with a MAC not its own",
            BROADCAST,
            OWN,
            &arp(Reply, (FORGED, own), (NEIGHBOUR, peer)),
        ),
        one(
            "ARP in a frame not its own",
            BROADCAST,
            FORGED,
            &arp(Reply, (OWN, own), (NEIGHBOUR, peer)),
        ),
        one(
            "gratuitous ARP of the gateway",
            BROADCAST,
            OWN,
            &arp(Request, (OWN, gateway), (NONE, gateway)),
        ),
        one(
            "gratuitous ARP of the peer",
            BROADCAST,
            OWN,
            &arp(Reply, (OWN, peer), (BROADCAST, peer)),
        ),
        one(
            "ARP probe for the peer",
            BROADCAST,
            OWN,
            &arp(Request, (OWN, "0.0.0.0"), (NONE, peer)),
        ),
    ]
}

fn forged_ipv6() -> Vec<Attempt> {
    let [own, peer, gateway] = [A[1], PEER[1], WEB_GATEWAY[1]];
    vec![
        one("source MAC, IPv6", NEIGHBOUR, FORGED, &datagram(own, peer)),
        one(
            "IPv6 source unknown",
            NEIGHBOUR,
            OWN,
            &datagram("fd00:5::99", peer),
        ),
        one(
            "IPv6 source of the gateway",
            NEIGHBOUR,
            OWN,
            &datagram(gateway, peer),
        ),
        one(
            "IPv6 source of the peer",
            BROADCAST,
            OWN,
            &datagram(peer, gateway),
        ),
        one(
            "link-local source unknown",
            NEIGHBOUR,
            OWN,
            &datagram("fe80::1", "fe80::ff:fe00:50b"),
        ),
        one("no IPv6 source", NEIGHBOUR, OWN, &datagram("::", peer)),
    ]
}

fn forged_discovery() -> Vec<Attempt> {
    let [own, peer, gateway] = [A[1], PEER[1], WEB_GATEWAY[1]];
    let nodes = multicast_mac(ALL_NODES);
    let (own6, link_local) = (v6(own), own_link_local());
    vec![
        one(
            "advertisement for the gateway",
            nodes,
            OWN,
            &advertisement(own6, gateway, &[]),
        ),
        one(
            "advertisement for the peer",
            nodes,
            OWN,
            &advertisement(link_local, peer, &[]),
        ),
        one(
            "advertisement from nowhere",
            nodes,
            OWN,
            &advertisement(Ipv6Addr::UNSPECIFIED, gateway, &[]),
        ),
        one(
            "advertisement from the gateway",
            nodes,
            OWN,
            &advertisement(v6(gateway), gateway, &[]),
        ),
        one(
            "solicitation as the gateway",
            nodes,
            OWN,
            &frame::neighbour_solicitation((OWN, v6(gateway)), v6(peer)),
        ),
        one("probe for the peer", nodes, OWN, &probe(peer)),
    ]
}

/// What only a router says.
fn forged_routing() -> Vec<Attempt> {
    let nodes = multicast_mac(ALL_NODES);
    let (peer, link_local) = (PEER[1], own_link_local());
    let to_all = (link_local, ALL_NODES);
    let redirect = [
        &[0; 4][..],
        &link_local.octets(),
        &v6("2001:db8:1::2").octets(),
    ]
    .concat();
    vec![
        one(
            "router advertisement",
            nodes,
            OWN,
            &frame::router_advertisement((OWN, link_local), v6("2001:db8:66::")),
        ),
        one(
            "router advertisement of the gateway",
            nodes,
            OWN,
            &frame::router_advertisement((OWN, v6("fe80::ff:fe00:501")), v6("2001:db8:67::")),
        ),
        one(
            "redirect",
            NEIGHBOUR,
            OWN,
            &icmpv6((link_local, v6(peer)), forge::REDIRECT, &redirect, &[]),
        ),
        one(
            "listener query",
            nodes,
            OWN,
            &icmpv6(to_all, forge::MLD_QUERY, &[0; 20], &[forge::ROUTER_ALERT]),
        ),
        one(
            "router renumbering",
            nodes,
            OWN,
            &icmpv6(to_all, forge::RENUMBERING, &[0; 12], &[]),
        ),
        one(
            "listener report of another MAC",
            nodes,
            FORGED,
            &mld_report(Ipv6Addr::UNSPECIFIED),
        ),
    ]
}

/// "The gateway is at a forged MAC", behind `extensions`.
fn lie(extensions: &[Extension]) -> Payload {
    advertisement(v6(A[1]), WEB_GATEWAY[1], extensions)
}

/// "I am your router", behind `extensions`.
fn router(extensions: &[Extension]) -> Payload {
    let body = [&[64, 0, 7, 8][..], &[0; 8]].concat();
    let ends = (own_link_local(), ALL_NODES);
    icmpv6(ends, forge::ROUTER_ADVERTISEMENT, &body, extensions)
}

const OPTIONS: Extension = forge::padding(forge::NEXT_DESTINATION);
const WHOLE: Extension = forge::fragment_header(0, 0);

/// Neighbour discovery behind headers that hide it.
fn behind_headers() -> Vec<Attempt> {
    let nodes = multicast_mac(ALL_NODES);
    let (options, whole) = (OPTIONS, WHOLE);
    let hop = forge::padding(forge::NEXT_HOP_BY_HOP);
    let first = forge::fragment_header(0, 1);
    vec![
        one(
            "advertisement behind destination options",
            nodes,
            OWN,
            &lie(&[options]),
        ),
        one(
            "advertisement behind hop-by-hop options",
            nodes,
            OWN,
            &lie(&[hop]),
        ),
        one(
            "advertisement behind many headers",
            nodes,
            OWN,
            &lie(&[hop, options, forge::ROUTING, options]),
        ),
        one(
            "advertisement in an atomic fragment",
            nodes,
            OWN,
            &lie(&[whole]),
        ),
        one(
            "advertisement in a fragment in a fragment",
            nodes,
            OWN,
            &lie(&[whole, whole]),
        ),
        one(
            "advertisement in first fragments",
            nodes,
            OWN,
            &lie(&[first, first]),
        ),
        one(
            "router advertisement behind options",
            nodes,
            OWN,
            &router(&[hop, options]),
        ),
        one(
            "router advertisement in an atomic fragment",
            nodes,
            OWN,
            &router(&[whole]),
        ),
    ]
}

/// Neighbour discovery in fragments, the first of which may not show what it is.
fn fragmented() -> Vec<Attempt> {
    let (options, whole) = (OPTIONS, WHOLE);
    vec![
        in_fragments("advertisement in fragments of 8", &lie(&[]), 8),
        in_fragments("advertisement in fragments of 24", &lie(&[]), 24),
        in_fragments("options in the first fragment", &lie(&[options]), 8),
        in_fragments(
            "headers in the first fragments",
            &lie(&[options, forge::ROUTING, options]),
            16,
        ),
        in_fragments("a fragment header in the first fragment", &lie(&[whole]), 8),
        in_fragments(
            "fragments behind options in fragments",
            &lie(&[whole, options]),
            8,
        ),
        in_fragments("router advertisement in fragments", &router(&[options]), 8),
    ]
}

fn foreign_frames() -> Vec<Attempt> {
    use ArpOperation::Reply;
    let own = datagram(A[0], PEER[0]);
    let lie = arp(Reply, (OWN, WEB_GATEWAY[0]), (NEIGHBOUR, PEER[0]));
    let stp: Mac = [1, 0x80, 0xc2, 0, 0, 0];
    vec![
        behind_tags("tag", &[TAG], &own),
        behind_tags("ARP for the gateway behind a tag", &[TAG], &lie),
        behind_tags("provider tag", &[OUTER_TAG], &own),
        behind_tags("two tags", &[OUTER_TAG, TAG], &own),
        one("PPPoE", NEIGHBOUR, OWN, &foreign(0x8864)),
        one("MPLS", NEIGHBOUR, OWN, &foreign(0x8847)),
        one("EAPOL", NEIGHBOUR, OWN, &foreign(0x888e)),
        one("an unknown type", BROADCAST, OWN, &foreign(0x88b5)),
        one("802.3", BROADCAST, OWN, &foreign(46)),
        one("a spanning tree's", stp, OWN, &foreign(38)),
    ]
}

pub fn forged() -> Vec<Attempt> {
    [
        forged_ipv4(),
        forged_arp(),
        forged_ipv6(),
        forged_discovery(),
        forged_routing(),
        behind_headers(),
        fragmented(),
        foreign_frames(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub fn legitimate() -> Vec<Attempt> {
    [legitimate_ipv4(), legitimate_ipv6()].concat()
}

fn legitimate_ipv4() -> Vec<Attempt> {
    use ArpOperation::{Reply, Request};
    vec![
        one("datagram", NEIGHBOUR, OWN, &datagram(A[0], PEER[0])),
        one("broadcast", BROADCAST, OWN, &datagram(A[0], "10.5.0.255")),
        one(
            "multicast",
            [1, 0, 0x5e, 0, 0, 0xfb],
            OWN,
            &datagram(A[0], "224.0.0.251"),
        ),
        one(
            "ARP request",
            BROADCAST,
            OWN,
            &arp(Request, (OWN, A[0]), (NONE, PEER[0])),
        ),
        one(
            "ARP answer",
            NEIGHBOUR,
            OWN,
            &arp(Reply, (OWN, A[0]), (NEIGHBOUR, PEER[0])),
        ),
        one(
            "gratuitous ARP",
            BROADCAST,
            OWN,
            &arp(Request, (OWN, A[0]), (NONE, A[0])),
        ),
    ]
}

fn legitimate_ipv6() -> Vec<Attempt> {
    let [own, peer] = [A[1], PEER[1]];
    let link_local = own_link_local();
    let nodes = multicast_mac(ALL_NODES);
    let own_advertisement =
        |address| frame::neighbour_advertisement(address, ALL_NODES, (OWN, address));
    let question = frame::neighbour_solicitation((OWN, v6(own)), v6(peer));
    let echo = |extensions: &[Extension]| {
        let ends = (v6(own), v6(peer));
        icmpv6(ends, forge::ECHO, &[0, 1, 0, 1, 7, 7], extensions)
    };
    vec![
        one("IPv6 datagram", NEIGHBOUR, OWN, &datagram(own, peer)),
        one(
            "link-local datagram",
            NEIGHBOUR,
            OWN,
            &datagram("fe80::ff:fe00:50a", "fe80::ff:fe00:50b"),
        ),
        one("IPv6 multicast", nodes, OWN, &datagram(own, "ff02::1")),
        one("probe for its own address", nodes, OWN, &probe(own)),
        one(
            "probe for its own link-local address",
            nodes,
            OWN,
            &probe("fe80::ff:fe00:50a"),
        ),
        one("listener report", nodes, OWN, &mld_report(link_local)),
        one(
            "listener report from nowhere",
            nodes,
            OWN,
            &mld_report(Ipv6Addr::UNSPECIFIED),
        ),
        one("solicitation", nodes, OWN, &question),
        one("advertisement", nodes, OWN, &own_advertisement(v6(own))),
        one(
            "link-local advertisement",
            nodes,
            OWN,
            &own_advertisement(link_local),
        ),
        one(
            "router solicitation",
            nodes,
            OWN,
            &icmpv6(
                (link_local, v6("ff02::2")),
                forge::ROUTER_SOLICITATION,
                &[0; 4],
                &[],
            ),
        ),
        one("echo", NEIGHBOUR, OWN, &echo(&[])),
        one("echo behind options", NEIGHBOUR, OWN, &echo(&[OPTIONS])),
    ]
}
