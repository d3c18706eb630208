//! What a network keeps apart: other networks, the outside, and all but the node where it is
//! internal.

use testnet::{Seen, Transport};

use crate::ground::{
    A, BLUE_GATEWAY, NODE, OTHER, OUTSIDE, PEER, Pair, Site, TRANSPORTS, WEB, WEB_GATEWAY,
    assert_clients_among, at, both, serve_all, with_and_without_bridge_nf,
};

const C: Pair = ["10.7.0.10", "fd00:7::10"];
const D: Pair = ["10.7.0.11", "fd00:7::11"];
const VAULT_GATEWAY: Pair = ["10.7.0.1", "fd00:7::1"];
const VAULT: Pair = ["10.7.0.0/24", "fd00:7::/64"];

/// What root in a container may try to reach `to` by its gateway.
fn tricks(site: &Site, from: &str, gateway: Pair, bridge: &str, to: Pair) -> [String; 2] {
    let mac = site
        .node
        .sh(&format!("cat /sys/class/net/{bridge}/address"));
    let by_gateway =
        |family: usize| format!("ip route replace {} via {}\n", to[family], gateway[family]);
    let by_device = |family: usize| {
        let to = to[family];
        format!(
            "ip route replace {to} dev eth0\nip neigh replace {to} lladdr {} dev eth0\n",
            mac.trim()
        )
    };
    let script = |trick: &dyn Fn(usize) -> String| format!("# {from}\n{}{}", trick(0), trick(1));
    [script(&by_gateway), script(&by_device)]
}

#[test]
fn networks_are_apart_in_both_directions() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "-p 8080:80 -p 8080:80/udp");
        let web = serve_all(&site.at("a"), &[80, 81]);
        let blue = serve_all(&site.at("other"), &[80, 81]);
        let asked: Vec<_> = [80, 81]
            .into_iter()
            .flat_map(|port| {
                let from_blue = both(A, port).map(|to| ("other", to));
                let from_web = both(OTHER, port).map(|to| ("peer", to));
                from_blue.into_iter().chain(from_web)
            })
            .collect();
        for family in 0..2 {
            site.assert_seen(
                "node",
                Transport::Tcp,
                at(A[family], 80),
                WEB_GATEWAY[family],
            );
            site.assert_seen(
                "node",
                Transport::Tcp,
                at(OTHER[family], 80),
                BLUE_GATEWAY[family],
            );
        }
        site.assert_silent(&asked);
        let of_blue = tricks(&site, "other", BLUE_GATEWAY, "pn-blue", A);
        let of_web = tricks(&site, "peer", WEB_GATEWAY, "pn-web", OTHER);
        for (of_blue, of_web) in of_blue.iter().zip(&of_web) {
            site.inside("other", of_blue);
            site.inside("peer", of_web);
            site.assert_silent(&asked);
        }
        assert_clients_among(&web, &WEB_GATEWAY);
        assert_clients_among(&blue, &BLUE_GATEWAY);
    });
}

fn assert_open_to_itself_and_the_node(site: &Site) {
    for family in 0..2 {
        for transport in TRANSPORTS {
            site.assert_seen("d", transport, at(C[family], 80), D[family]);
            site.assert_seen("node", transport, at(C[family], 80), VAULT_GATEWAY[family]);
            let gateway = at(VAULT_GATEWAY[family], 82);
            let _server = site.node.netns().serve(transport, gateway);
            site.assert_seen("c", transport, gateway, C[family]);
        }
    }
}

#[test]
fn an_internal_network_has_no_way_out_and_none_in() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "-p 8080:80 -p 8080:80/udp");
        site.node.pontoon(&format!(
            "network create vault --internal --subnet {} --subnet {}",
            VAULT[0], VAULT[1]
        ));
        site.attach("vault", "c", 10, "");
        site.attach("vault", "d", 11, "");
        let vault = serve_all(&site.at("c"), &[80]);
        let elsewhere = [site.outside.netns(), &site.at("a"), &site.at("other")]
            .map(|netns| serve_all(netns, &[80]));
        assert_open_to_itself_and_the_node(&site);
        assert_eq!(
            site.inside("c", "ip route show default; ip -6 route show default"),
            ""
        );
        for prefix in VAULT {
            site.outside.route_via_node(&site.node, prefix);
        }
        let ways_out = [
            both(OUTSIDE, 80),
            both(A, 80),
            both(OTHER, 80),
            both(NODE, 8080),
            both(VAULT_GATEWAY, 8080),
        ];
        let out = ways_out.iter().flatten().map(|to| ("c", *to));
        let into = ["outside", "a", "other"].into_iter();
        let into = into.flat_map(|from| both(C, 80).map(|to| (from, to)));
        let asked: Vec<_> = out.chain(into).collect();
        let sniffer = site.outside.netns().sniff("out0");
        site.assert_silent(&asked);
        site.inside(
            "c",
            "ip route add default via 10.7.0.1; ip -6 route add default via fd00:7::1",
        );
        for (from, gateway, bridge) in [
            ("a", WEB_GATEWAY, "pn-web"),
            ("other", BLUE_GATEWAY, "pn-blue"),
        ] {
            let [by_gateway, _] = tricks(&site, from, gateway, bridge, C);
            site.inside(from, &by_gateway);
        }
        site.assert_silent(&asked);
        assert_clients_among(&vault, &[D, VAULT_GATEWAY].concat());
        elsewhere
            .iter()
            .for_each(|servers| assert_clients_among(servers, &[]));
        site.assert_seen("node", Transport::Udp, at(OUTSIDE[0], 80), NODE[0]);
        let marker = |frame: &[u8]| {
            Seen::ip_of(frame).is_some_and(|ip| ip.destination == at(OUTSIDE[0], 80))
        };
        for frame in sniffer.until(marker) {
            let source = Seen::ip_of(&frame).map(|ip| ip.source.ip().to_string());
            let leaked = source
                .as_ref()
                .is_some_and(|ip| ip.starts_with("10.") || ip.starts_with("fd00"));
            assert!(!leaked, "{source:?} left the node");
        }
    });
}

#[test]
fn the_outside_reaches_no_unpublished_port_by_a_direct_route() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "-p 8080:80 -p 8080:80/udp");
        let inside = serve_all(&site.at("a"), &[80, 81]);
        let peer = serve_all(&site.at("peer"), &[8080]);
        let _outside = serve_all(site.outside.netns(), &[80]);
        for prefix in WEB {
            site.outside.route_via_node(&site.node, prefix);
        }
        let closed = [
            both(A, 80),
            both(A, 81),
            both(A, 8080),
            both(PEER, 8080),
            both(NODE, 81),
        ];
        let closed: Vec<_> = closed
            .into_iter()
            .flatten()
            .map(|to| ("outside", to))
            .collect();
        site.assert_silent(&closed);
        for family in 0..2 {
            let ping = format!("! ping -c1 -W1 {}", A[family]);
            site.inside("outside", &ping);
            for transport in TRANSPORTS {
                site.assert_seen(
                    "outside",
                    transport,
                    at(NODE[family], 8080),
                    OUTSIDE[family],
                );
                // Answers pass all the same.
                site.assert_seen("a", transport, at(OUTSIDE[family], 80), NODE[family]);
            }
        }
        assert_clients_among(&inside, &OUTSIDE);
        assert_clients_among(&peer, &[]);
    });
}
