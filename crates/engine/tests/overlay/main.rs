//! Overlay networks on three nodes: namespaces joined by a switch, each with records of its own.
//! Every node is told what the cluster agreed on; what is measured is what passes between them.

#![allow(clippy::unwrap_used)]

mod ipip;
mod known;
mod lab;
mod request;
mod rules;
mod stretched;

use std::net::SocketAddr;

use engine::Mode;
use model::Backend;
use store::Membership;
use testnet::{Netns, Transport};

use lab::{BOTH, Lab, NODES, V4, V6, assert_one_network, elsewhere, overlay};

#[test]
fn three_nodes_are_one_network_over_vxlan() {
    assert_one_network(&Lab::new(&[overlay("web", 50, Backend::Vxlan)], V4));
}

#[test]
fn three_nodes_are_one_network_over_vxlan_in_ipv6() {
    assert_one_network(&Lab::new(&[overlay("web", 50, Backend::Vxlan)], V6));
}

#[test]
fn three_nodes_are_one_network_by_routes() {
    assert_one_network(&Lab::new(&[overlay("web", 50, Backend::Routed)], BOTH));
}

#[test]
fn packets_fill_the_underlay_and_no_more() {
    for (backend, families, inside) in [
        (Backend::Vxlan, V4, 1450),
        (Backend::Vxlan, V6, 1430),
        (Backend::Routed, V4, 1500),
    ] {
        elsewhere(move || {
            let lab = Lab::new(&[overlay("web", 50, backend)], families);
            lab.adopt_all();
            lab.attach(1, "web", "c1");
            let to = lab.attach(2, "web", "c2")[0];
            assert!(lab.carries("c1", to, inside), "{backend} {families:?}");
            assert!(!lab.carries("c1", to, inside + 1), "{backend} {families:?}");
        });
    }
}

#[test]
fn ipv6_works_on_an_underlay_that_is_too_small_for_it() {
    let lab = Lab::new(&[overlay("web", 50, Backend::Vxlan)], V4);
    for n in 1..=NODES {
        lab.node.sh(&format!("ip -n n{n} link set up0 mtu 1300"));
    }
    lab.adopt_all();
    lab.attach(1, "web", "c1");
    let to = lab.attach(2, "web", "c2")[1];
    assert!(lab.carries("c1", to, 1280));
}

#[test]
fn networks_are_apart_on_all_nodes() {
    for backend in [Backend::Vxlan, Backend::Routed] {
        elsewhere(move || {
            let networks = [overlay("web", 50, backend), overlay("db", 51, backend)];
            let lab = Lab::new(&networks, BOTH);
            lab.adopt_all();
            lab.attach(1, "web", "web1");
            let near = lab.attach(1, "db", "db1");
            let far = lab.attach(2, "db", "db2");
            for address in near.iter().chain(&far) {
                assert!(!lab.pings("web1", *address), "{backend}: {address}");
            }
            for address in &far {
                assert!(lab.pings("db1", *address), "{backend}: {address}");
            }
        });
    }
}

#[test]
fn a_node_that_leaves_is_forgotten_and_comes_back() {
    for backend in [Backend::Vxlan, Backend::Routed] {
        elsewhere(move || {
            let mut lab = Lab::new(&[overlay("web", 50, backend)], BOTH);
            lab.adopt_all();
            lab.attach(1, "web", "c1");
            let far = lab.attach(3, "web", "c3");
            let name = "n3".parse().unwrap();
            let gone = lab.cluster.nodes.remove(&name).unwrap();
            lab.adopt(1);
            assert!(!lab.pings("c1", far[0]), "{backend}");
            let left = lab
                .node
                .sh("ip -n n1 route; ip -n n1 neigh; ip netns exec n1 bridge fdb");
            assert!(!left.contains("10.50.3.0"), "{backend}: {left}");
            assert!(!left.contains("192.0.2.3 self"), "{backend}: {left}");
            lab.cluster.nodes.insert(name, gone);
            lab.adopt(1);
            for address in &far {
                assert!(lab.pings("c1", *address), "{backend}: {address}");
            }
            lab.assert_settled();
        });
    }
}

#[test]
fn a_network_that_the_cluster_drops_goes_when_nobody_is_on_it() {
    let mut lab = Lab::new(&[overlay("web", 50, Backend::Vxlan)], V4);
    lab.adopt_all();
    lab.attach(1, "web", "c1");
    lab.cluster.networks.clear();
    let membership = |n| Membership {
        me: format!("n{n}").parse().unwrap(),
        cluster: lab.cluster.clone(),
    };
    let adopt = |n| {
        lab.on(n, |engine| {
            engine.adopt(&membership(n), Mode::Apply).unwrap()
        })
    };
    let web: Vec<model::NetworkName> = vec!["web".parse().unwrap()];
    assert_eq!(adopt(1).outcome.stranded, web);
    assert_eq!(adopt(2).outcome.removed, web);
    assert_eq!(
        lab.node.sh("ip -n n2 -o link | grep -c 'p[nv]-' || true"),
        "0\n"
    );
    // Who is there still has the node.
    assert!(lab.pings("c1", "10.50.1.1".parse().unwrap()));
    lab.assert_settled();
}

#[test]
fn what_no_node_has_is_unreachable() {
    for backend in [Backend::Vxlan, Backend::Routed] {
        elsewhere(move || {
            let lab = Lab::new(&[overlay("web", 50, backend)], BOTH);
            // Whatever left by the default route would end here.
            lab.node.sh("ip -n switch addr add 192.0.2.200/24 dev br0
                         ip -n switch addr add 2001:db8::200/64 dev br0 nodad
                         ip -n n1 route add default via 192.0.2.200
                         ip -n n1 -6 route add default via 2001:db8::200");
            lab.adopt_all();
            lab.attach(1, "web", "c1");
            let wire = Netns::named("switch").sniff("p1");
            for (from, address) in [
                ("c1", "10.50.77.7"),
                ("n1", "10.50.77.7"),
                ("c1", "fd00:50:0:77::7"),
                ("n1", "fd00:50:0:77::7"),
            ] {
                let line = format!("ip netns exec {from} ping -n -c 1 -W 1 {address}");
                let said = lab.node.try_sh(&line);
                assert!(!said.success(), "{backend}: {from} to {address}");
            }
            // The sender is told, by its own node.
            let said = lab
                .node
                .try_sh("ip netns exec c1 ping -n -c 1 -W 1 10.50.77.7");
            assert!(said.stdout.contains("Unreachable"), "{backend}: {said}");
            assert!(lab.pings("n1", "192.0.2.200".parse().unwrap()));
            let to_switch = |frame: &[u8]| {
                let ip = testnet::Seen::ip_of(frame);
                ip.is_some_and(|ip| ip.destination.ip().to_string() == "192.0.2.200")
            };
            let leaked = wire.until(to_switch);
            let leaked = leaked
                .iter()
                .filter_map(|frame| testnet::Seen::ip_of(frame));
            let leaked: Vec<_> = leaked.map(|ip| ip.destination.ip()).collect();
            let ours = |to: &std::net::IpAddr| to.to_string().contains("50.77");
            assert!(!leaked.iter().any(ours), "{backend}: {leaked:?}");
            lab.assert_settled();
        });
    }
}

#[test]
fn what_is_deleted_comes_back() {
    let lab = Lab::new(&[overlay("web", 50, Backend::Vxlan)], V4);
    lab.adopt_all();
    lab.attach(1, "web", "c1");
    let far = lab.attach(2, "web", "c2");
    for breakage in [
        "ip link del pv-4050",
        "ip link set pv-4050 down",
        "ip neigh flush dev pv-4050 nud permanent",
        "bridge fdb del 02:70:00:00:00:02 dev pv-4050",
        "bridge fdb replace 02:70:00:00:00:02 dev pv-4050 dst 192.0.2.3 self permanent",
        "ip route del 10.50.2.0/24",
        "ip route del 10.50.0.0/16",
        "ip -6 route del fd00:50::/48",
        "nft flush ruleset",
    ] {
        lab.node.sh(&format!("ip netns exec n1 {breakage}"));
        assert_ne!(lab.reconcile(1, Mode::Apply), [""; 0], "{breakage}");
        lab.assert_settled();
        for address in &far {
            assert!(lab.pings("c1", *address), "{breakage}: {address}");
        }
    }
}

/// A device of a stranger on the underlay, with the same VNI and a node's MAC and address inside.
const INTRUDER: &str = "
    ip netns add stranger
    ip -n stranger link add up0 type veth peer name px netns switch
    ip -n switch link set px master br0 up
    ip -n stranger link set up0 up
    ip -n stranger addr add 192.0.2.66/24 dev up0
    ip -n stranger link add vx type vxlan id 4050 local 192.0.2.66 remote 192.0.2.2 dstport 4789
    ip -n stranger link set vx up address 02:70:00:00:00:01
    ip -n stranger addr add 10.50.1.0/32 dev vx
    ip -n stranger neigh replace 10.50.2.0 lladdr 02:70:00:00:00:02 dev vx nud permanent
    ip -n stranger route add 10.50.2.0/24 via 10.50.2.0 dev vx onlink src 10.50.1.0";

#[test]
fn only_nodes_may_send() {
    let lab = Lab::new(&[overlay("web", 50, Backend::Vxlan)], V4);
    lab.adopt_all();
    let inside = lab.attach(2, "web", "c2")[0];
    let dropped = || lab.dropped("n2", "inet pontoon vxlan", "@th,96,24");
    assert_eq!(dropped(), 0);
    lab.node.sh(INTRUDER);
    assert!(!lab.pings("stranger", inside));
    assert!(dropped() >= 1, "the forged packet came as far as the rule");
    // The same packet passes where the rule is not: it is the rule that stops it.
    lab.node
        .sh("ip netns exec n2 nft flush chain inet pontoon vxlan");
    lab.node.sh("ip netns exec n2 ip neigh replace 10.50.1.0 lladdr 02:70:00:00:00:01 dev pv-4050
                 ip netns exec n2 bridge fdb replace 02:70:00:00:00:01 dev pv-4050 dst 192.0.2.66 self");
    assert!(lab.pings("stranger", inside), "the forgery is one");
}

#[test]
fn a_container_cannot_speak_as_its_node() {
    let lab = Lab::new(&[overlay("web", 50, Backend::Vxlan)], V4);
    lab.adopt_all();
    lab.attach(1, "web", "c1");
    // To anybody but a node it may say what it likes, to this port too.
    lab.node.sh("ip -n switch addr add 192.0.2.200/24 dev br0");
    let at = |address: &str| -> SocketAddr { format!("{address}:4789").parse().unwrap() };
    let _other = Netns::named("switch").serve(Transport::Udp, at("192.0.2.200"));
    let c1 = Netns::named("c1");
    c1.ask(Transport::Udp, at("192.0.2.200")).unwrap();
    c1.assert_unreachable(Transport::Udp, at("192.0.2.2"));
    let rules = lab
        .node
        .sh("ip netns exec n1 nft list chain inet pontoon from_bridge");
    let line = rules.lines().find(|line| line.contains("vteps4")).unwrap();
    assert!(!line.contains("packets 0 "), "{line}");
}
