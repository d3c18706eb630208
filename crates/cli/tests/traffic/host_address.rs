//! Ports published at an address: they answer there, and nowhere else.

use testnet::frame::{self, Mac};
use testnet::{Netns, Server, Transport};

use crate::ground::{
    BLUE_GATEWAY, LOOPBACK, NODE, OUTSIDE, Pair, Site, TRANSPORTS, WEB_GATEWAY,
    assert_clients_among, at, both, serve, serve_all, with_and_without_bridge_nf,
};

#[test]
fn what_is_published_on_loopback_answers_the_node_alone() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(
            bridge_nf,
            "-p 127.0.0.1:8081:80 -p 127.0.0.1:8081:80/udp -p [::1]:8081:80 -p [::1]:8081:80/udp \
             -p 127.0.0.1:9000-9009 -p [::1]:9000-9009",
        );
        let servers = serve_all(&site.at("a"), &[80, 9004]);
        for family in 0..2 {
            for transport in TRANSPORTS {
                let to = at(LOOPBACK[family], 8081);
                site.assert_seen("node", transport, to, WEB_GATEWAY[family]);
            }
            let range = at(LOOPBACK[family], 9004);
            site.assert_seen("node", Transport::Tcp, range, WEB_GATEWAY[family]);
        }
        let mut asked = Vec::new();
        for port in [8081, 9004] {
            for own in [NODE, WEB_GATEWAY, BLUE_GATEWAY] {
                for from in ["outside", "node", "a", "peer", "other"] {
                    asked.extend(both(own, port).map(|to| (from, to)));
                }
            }
        }
        site.assert_silent(&asked);
        assert_clients_among(&servers, &WEB_GATEWAY);
    });
}

/// A frame from a neighbour on the wire, or from a container, right to the node's loopback
/// address (CVE-2020-8558). The node has services there, and `route_localnet` is on.
#[test]
fn frames_to_loopback_addresses_reach_nobody() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(
            bridge_nf,
            "-p 127.0.0.1:8081:80/udp -p [::1]:8081:80/udp -p 8080:80/udp -p 9000-9009:9000-9009/udp",
        );
        assert!(
            site.node
                .sh("sysctl -n net.ipv4.conf.pn-web.route_localnet")
                .starts_with('1')
        );
        let inside = [80, 9004].map(|port| serve(&site.at("a"), Transport::Udp, port));
        let own = LOOPBACK.map(|ip| site.node.netns().serve(Transport::Udp, at(ip, 7000)));
        let marked = NODE.map(|ip| site.node.netns().serve(Transport::Udp, at(ip, 7001)));
        let uplink = site.node.netns().mac_of("up0");
        let [web, blue] = ["pn-web", "pn-blue"].map(|bridge| site.node.netns().mac_of(bridge));
        for (from, ifname, mac, ips) in [
            ("outside", "out0", uplink, OUTSIDE),
            ("a", "eth0", web, crate::ground::A),
            ("peer", "eth0", web, crate::ground::PEER),
            ("other", "eth0", blue, crate::ground::OTHER),
        ] {
            let sender = Sender {
                netns: site.at(from),
                ifname,
                to_mac: mac,
            };
            for family in 0..2 {
                for port in [7000, 8080, 8081, 9004] {
                    sender.send(at(ips[family], 1234), at(LOOPBACK[family], port));
                    // Not from it either.
                    sender.send(at(LOOPBACK[family], 1234), at(NODE[family], port));
                }
                sender.send_marker(at(ips[family], 1234), &marked[family]);
            }
        }
        assert_clients_among(&inside, &[]);
        assert_clients_among(&own, &[]);
    });
}

/// Sends datagrams of its own making.
struct Sender {
    netns: Netns,
    ifname: &'static str,
    to_mac: Mac,
}

impl Sender {
    fn send(&self, from: std::net::SocketAddr, to: std::net::SocketAddr) {
        let own = self.netns.mac_of(self.ifname);
        let frame = frame::udp(from, to, b"forged").frame(self.to_mac, own);
        self.netns.send_frame(self.ifname, &frame);
    }

    /// What was sent before is through with the node when this has come.
    fn send_marker(&self, from: std::net::SocketAddr, server: &Server) {
        self.send(from, server.address());
        let came = || server.clients().contains(&from);
        testnet::wait_until("the marker", std::time::Duration::from_secs(2), came);
    }
}

const SECOND: Pair = ["203.0.113.9", "2001:db8:1::9"];

#[test]
fn what_is_published_on_one_address_answers_there_alone() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "");
        site.node
            .sh("ip addr add 203.0.113.9/24 dev up0; ip addr add 2001:db8:1::9/64 dev up0 nodad");
        site.attach(
            "web",
            "b",
            12,
            "-p 203.0.113.9:8083:80 -p 203.0.113.9:8083:80/udp -p [2001:db8:1::9]:8083:80 \
             -p [2001:db8:1::9]:8083:80/udp -p 203.0.113.9:9000-9009 -p [2001:db8:1::9]:9000-9009",
        );
        let servers = serve_all(&site.at("b"), &[80, 9004]);
        for family in 0..2 {
            for (from, seen) in [
                ("outside", OUTSIDE),
                ("node", WEB_GATEWAY),
                ("peer", WEB_GATEWAY),
                ("b", WEB_GATEWAY),
                ("other", crate::ground::OTHER),
            ] {
                for transport in TRANSPORTS {
                    site.assert_seen(from, transport, at(SECOND[family], 8083), seen[family]);
                }
                site.assert_seen(from, Transport::Tcp, at(SECOND[family], 9004), seen[family]);
            }
        }
        let silent = [8083, 9004].into_iter().flat_map(|port| {
            let outside = both(NODE, port).map(|to| ("outside", to));
            let node =
                [NODE, LOOPBACK, WEB_GATEWAY].map(|own| both(own, port).map(|to| ("node", to)));
            outside.into_iter().chain(node.into_iter().flatten())
        });
        site.assert_silent(&silent.collect::<Vec<_>>());
        drop(servers);
        // Another endpoint may have the same port at the other address.
        site.attach("web", "c", 13, "-p 203.0.113.1:8083:80");
        let server = serve(&site.at("c"), Transport::Tcp, 80);
        site.assert_seen("outside", Transport::Tcp, at(NODE[0], 8083), OUTSIDE[0]);
        assert_eq!(server.clients().len(), 1);
    });
}

#[test]
fn the_unspecified_address_of_a_family_is_that_family_alone() {
    let site = Site::new(
        false,
        "-p 0.0.0.0:8084:80 -p [::]:8085:80 -p 0.0.0.0:9000-9009 -p [::]:9100-9109",
    );
    let _servers = serve_all(&site.at("a"), &[80, 9004, 9104]);
    for (family, ports) in [[8084, 9004], [8085, 9104]].into_iter().enumerate() {
        for port in ports {
            for (from, own, seen) in [
                ("outside", NODE, OUTSIDE),
                ("node", LOOPBACK, WEB_GATEWAY),
                ("node", NODE, WEB_GATEWAY),
            ] {
                site.assert_seen(from, Transport::Tcp, at(own[family], port), seen[family]);
                site.assert_silent(&[(from, at(own[1 - family], port))]);
            }
        }
    }
}
