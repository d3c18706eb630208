//! Published ports: every kind, from everywhere, and no more than what was published.

use std::time::{Duration, Instant};

use testnet::frame::{self, SctpChunk};
use testnet::{Seen, Server, Transport};

use crate::ground::{
    A, BLUE_GATEWAY, LOOPBACK, NODE, OTHER, OUTSIDE, Pair, Site, TRANSPORTS, WEB_GATEWAY,
    assert_clients_among, at, serve, serve_all, with_and_without_bridge_nf,
};

/// Each kind of publication: its ports as on the command line, and what leads where.
const KINDS: [(&str, &[(u16, u16)]); 4] = [
    ("8001", &[(8001, 8001)]),
    ("8080:80", &[(8080, 80)]),
    ("9000-9002", &[(9000, 9000), (9001, 9001), (9002, 9002)]),
    (
        "7000-7002:6000-6002",
        &[(7000, 6000), (7001, 6001), (7002, 6002)],
    ),
];

/// Who asks, where, and as whom the container sees them.
const CLIENTS: [(&str, Pair, Pair); 9] = [
    ("outside", NODE, OUTSIDE),
    ("node", NODE, WEB_GATEWAY),
    ("node", LOOPBACK, WEB_GATEWAY),
    ("node", WEB_GATEWAY, WEB_GATEWAY),
    ("peer", NODE, WEB_GATEWAY),
    ("peer", WEB_GATEWAY, WEB_GATEWAY),
    ("other", NODE, OTHER),
    ("other", BLUE_GATEWAY, OTHER),
    ("a", NODE, WEB_GATEWAY),
];

fn publish_all(protocols: &[&str]) -> String {
    let each = |(ports, _): &(&str, _)| -> String {
        protocols
            .iter()
            .map(|proto| format!(" -p {ports}/{proto}"))
            .collect()
    };
    KINDS.iter().map(each).collect()
}

#[test]
fn every_kind_of_port_answers_from_everywhere() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, &publish_all(&["tcp", "udp"]));
        let mut wrong = Vec::new();
        for transport in TRANSPORTS {
            for (port, inside) in KINDS.iter().flat_map(|(_, ports)| *ports) {
                let server = serve(&site.at("a"), transport, *inside);
                for (from, to, seen) in CLIENTS {
                    for family in 0..2 {
                        let to = at(to[family], *port);
                        let answer = site.at(from).ask(transport, to);
                        let right = answer.as_ref().is_ok_and(|client| {
                            client.ip() == at(seen[family], 0).ip()
                                && server.clients().contains(client)
                        });
                        if !right {
                            wrong.push(format!("{from} {transport:?} {to}: {answer:?}"));
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn sctp_is_translated_there_and_back() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, &publish_all(&["sctp"]));
        let inside = site.at("a");
        let (at_a, at_outside) = (inside.sniff("eth0"), site.outside.netns().sniff("out0"));
        let uplink = site.node.netns().mac_of("up0");
        let bridge = site.node.netns().mac_of("pn-web");
        let (outside_mac, a_mac) = (site.outside.netns().mac_of("out0"), inside.mac_of("eth0"));
        for family in 0..2 {
            for (port, inner) in KINDS.iter().flat_map(|(_, ports)| *ports) {
                let (client, server) = (at(OUTSIDE[family], 5000 + inner), at(A[family], *inner));
                let opening = frame::sctp(SctpChunk::Init, client, at(NODE[family], *port));
                site.outside
                    .netns()
                    .send_frame("out0", &opening.frame(uplink, outside_mac));
                let is = |from, to| {
                    move |frame: &[u8]| {
                        let ip = Seen::ip_of(frame);
                        ip.is_some_and(|ip| (ip.source, ip.destination) == (from, to))
                    }
                };
                at_a.expect("the INIT", is(client, server));
                let answer = frame::sctp(SctpChunk::InitAck, server, client);
                inside.send_frame("eth0", &answer.frame(bridge, a_mac));
                at_outside.expect("the INIT ACK", is(at(NODE[family], *port), client));
            }
        }
    });
}

/// CVE-2025-67499: a port published by its number alone also catches what passes through.
#[test]
fn what_passes_through_to_the_same_port_elsewhere_is_not_caught() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "-p 53:53/udp -p 53:53/tcp -p 1000-2000");
        site.node.sh(
            "ip netns add behind; ip link add be0 type veth peer name eth0 netns behind
            ip addr add 198.51.100.1/24 dev be0; ip link set be0 up
            ip -n behind addr add 198.51.100.2/24 dev eth0; ip -n behind link set eth0 up
            ip -n behind route add default via 198.51.100.1",
        );
        site.outside.route_via_node(&site.node, "198.51.100.0/24");
        let caught = serve_all(&site.at("a"), &[53, 1053]);
        let _outside = serve_all(site.outside.netns(), &[53, 1053]);
        let _behind = serve_all(&site.at("behind"), &[53, 1053]);
        for (port, transport) in [
            (53, Transport::Udp),
            (53, Transport::Tcp),
            (1053, Transport::Tcp),
        ] {
            for family in 0..2 {
                for from in ["a", "peer", "other", "node"] {
                    site.assert_seen(from, transport, at(OUTSIDE[family], port), NODE[family]);
                }
            }
            site.assert_seen("outside", transport, at("198.51.100.2", port), OUTSIDE[0]);
            site.assert_seen("behind", transport, at(OUTSIDE[0], port), "198.51.100.2");
        }
        assert_clients_among(&caught, &[]);
    });
}

/// Serves in `a` at the node's ports minus `shift`, and asks from outside, each family.
fn assert_ports_answer(site: &Site, ports: &[u16], shift: u16) {
    for port in ports {
        let _server: Server = serve(&site.at("a"), Transport::Tcp, port - shift);
        for family in 0..2 {
            let to = at(NODE[family], *port);
            site.assert_seen("outside", Transport::Tcp, to, OUTSIDE[family]);
            site.assert_seen(
                "node",
                Transport::Tcp,
                at(LOOPBACK[family], *port),
                WEB_GATEWAY[family],
            );
        }
    }
}

#[test]
fn fifty_thousand_ports_in_one_range_answer_at_both_ends_and_between() {
    let site = Site::bare(false);
    site.network("web", 5);
    let started = Instant::now();
    site.attach("web", "a", 10, "-p 10000-59999");
    let took = started.elapsed();
    assert!(took < testnet::patient(Duration::from_secs(2)), "{took:?}");
    assert_ports_answer(&site, &[10_000, 10_001, 35_000, 59_998, 59_999], 0);
    let _servers = [
        serve_all(&site.at("a"), &[9999, 60_000]),
        serve_all(site.outside.netns(), &[80]),
    ];
    site.assert_silent(&[
        ("outside", at(NODE[0], 9999)),
        ("outside", at(NODE[1], 60_000)),
    ]);
    // The node's own connections leave from ports of that range.
    for _ in 0..20 {
        site.assert_seen("node", Transport::Tcp, at(OUTSIDE[0], 80), NODE[0]);
        site.assert_seen("a", Transport::Tcp, at(OUTSIDE[1], 80), NODE[1]);
    }
}

mod heavy {
    use super::{Duration, Instant, Site, assert_ports_answer};

    #[test]
    fn fifty_thousand_remapped_ports_are_published_in_seconds() {
        let site = Site::bare(false);
        site.network("web", 5);
        let started = Instant::now();
        site.attach("web", "a", 10, "-p 10000-59999:9000-58999");
        let took = started.elapsed();
        assert!(took < testnet::patient(Duration::from_secs(20)), "{took:?}");
        assert_ports_answer(&site, &[10_000, 35_000, 59_999], 1000);
        site.node.assert_settled();
        site.node.sh("nft flush ruleset");
        site.node.pontoon("reconcile");
        assert_ports_answer(&site, &[10_000, 35_000, 59_999], 1000);
        site.node.pontoon("detach a --delete");
        site.node.assert_settled();
    }
}
