//! What a network is for: containers reach each other, the node, and the outside.

use testnet::Transport;

use crate::ground::{
    A, NODE, OUTSIDE, PEER, Site, TRANSPORTS, WEB_GATEWAY, at, both, serve_all,
    with_and_without_bridge_nf,
};

#[test]
fn containers_of_a_network_reach_each_other_as_neighbours() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "");
        let _servers = [
            serve_all(&site.at("a"), &[80]),
            serve_all(&site.at("peer"), &[80]),
        ];
        for (from, own, to, mac) in [
            ("a", A, PEER, "02:00:00:00:05:0b"),
            ("peer", PEER, A, "02:00:00:00:05:0a"),
        ] {
            for family in 0..2 {
                for transport in TRANSPORTS {
                    site.assert_seen(from, transport, at(to[family], 80), own[family]);
                }
                let neighbour = site.inside(from, &format!("ip neigh show {}", to[family]));
                assert!(neighbour.contains(&format!("lladdr {mac}")), "{neighbour}");
            }
        }
    });
}

#[test]
fn the_node_and_its_containers_reach_each_other() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "");
        let _inside = serve_all(&site.at("a"), &[80]);
        for family in 0..2 {
            for transport in TRANSPORTS {
                site.assert_seen("node", transport, at(A[family], 80), WEB_GATEWAY[family]);
                for own in [WEB_GATEWAY[family], NODE[family]] {
                    let _server = site.node.netns().serve(transport, at(own, 81));
                    site.assert_seen("a", transport, at(own, 81), A[family]);
                }
            }
        }
    });
}

#[test]
fn the_outside_sees_the_node_and_its_errors_come_back() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "");
        let _servers = serve_all(site.outside.netns(), &[80]);
        for family in 0..2 {
            for transport in TRANSPORTS {
                for from in ["a", "peer", "other"] {
                    site.assert_seen(from, transport, at(OUTSIDE[family], 80), NODE[family]);
                }
                let closed = site.at("a").ask(transport, at(OUTSIDE[family], 81));
                let refused = std::io::ErrorKind::ConnectionRefused;
                assert_eq!(closed.unwrap_err().kind(), refused, "{transport:?}");
            }
        }
    });
}

#[test]
fn an_address_is_usable_when_attach_returns() {
    let site = Site::bare(false);
    site.network("web", 5);
    for number in 20..25 {
        let (name, port) = (format!("c{number}"), 8000 + u16::from(number));
        site.attach("web", &name, number, &format!("-p {port}:80"));
        // A tentative address can't be bound.
        let address = at(&format!("fd00:5::{number}"), 80);
        let _server = site.at(&name).serve(Transport::Tcp, address);
        site.assert_seen("outside", Transport::Tcp, at(NODE[1], port), OUTSIDE[1]);
        site.assert_seen("node", Transport::Tcp, address, WEB_GATEWAY[1]);
        let tentative =
            format!("ip -6 addr show dev pn-web tentative; ip -n {name} -6 addr show tentative");
        assert_eq!(site.node.sh(&tentative), "");
    }
}

#[test]
fn packets_larger_than_the_mtu_pass() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "");
        for to in [PEER, WEB_GATEWAY, OUTSIDE].into_iter().flatten() {
            site.inside("a", &format!("ping -c1 -W2 -s 3000 {to}"));
        }
    });
}

#[test]
fn a_network_of_one_family_works_alone() {
    let site = Site::bare(false);
    for (name, subnet, family) in [("four", "10.7.0.0/24", 0), ("six", "fd00:7::/64", 1)] {
        site.node
            .pontoon(&format!("network create {name} --subnet {subnet}"));
        site.node
            .pontoon(&format!("attach {name} {name} --create -p 808{family}:80"));
        let _inside = serve_all(&site.at(name), &[80]);
        let _outside = serve_all(site.outside.netns(), &[80]);
        for transport in TRANSPORTS {
            site.assert_seen(name, transport, at(OUTSIDE[family], 80), NODE[family]);
        }
        let port = 8080 + family as u16;
        site.assert_seen(
            "outside",
            Transport::Tcp,
            at(NODE[family], port),
            OUTSIDE[family],
        );
        let others = both(NODE, port)
            .into_iter()
            .filter(|to| to.is_ipv6() == (family == 0));
        site.assert_silent(&others.map(|to| ("outside", to)).collect::<Vec<_>>());
    }
}
