//! The document that Pontoon grew from, step by step, each part in one command.

use crate::node::PontoonNode;

#[test]
fn the_seed_works_step_by_step() {
    let node = PontoonNode::new();
    node.pontoon("network create seed --subnet 192.168.0.0/24 --bridge cbr0");
    node.pontoon("attach seed netns0 --create --ip 192.168.0.10");
    node.pontoon("attach seed netns1 --create --ip 192.168.0.11");
    node.sh("ip -br link show type bridge | grep -q ^cbr0");
    node.sh("ip netns exec netns0 ping -c2 -i0.2 -W2 192.168.0.11");
    let neighbours = node.sh("ip netns exec netns1 ip neigh");
    assert!(
        neighbours.contains("192.168.0.10 dev eth0 lladdr"),
        "{neighbours}"
    );
    node.sh("ping -c1 -W2 192.168.0.10");
    let stack = node.pontoon("stack netns1");
    for part in [
        "192.168.0.11/24",
        "192.168.0.1",
        "eth0",
        "02:70:c0:a8:00:0a",
    ] {
        assert!(stack.contains(part), "no {part} in\n{stack}");
    }
    node.assert_settled();
    node.pontoon("detach netns0 --delete");
    node.pontoon("detach netns1 --delete");
    node.pontoon("network rm seed");
    node.assert_bare();
}

#[test]
fn containers_reach_the_outside_behind_the_node() {
    let node = PontoonNode::new();
    let outside = node.outside();
    node.pontoon("network create web --subnet 10.5.0.0/24 --subnet fd00:5::/64");
    node.pontoon("attach web a --create");
    for (address, seen) in [
        ("203.0.113.2", "203.0.113.1"),
        ("2001:db8:1::2", "2001:db8:1::1"),
    ] {
        let any = if seen.contains(':') {
            "[::]:7000"
        } else {
            "0.0.0.0:7000"
        };
        let server = outside
            .netns()
            .serve(testnet::Transport::Tcp, any.parse().unwrap());
        let to = std::net::SocketAddr::new(address.parse().unwrap(), 7000);
        let client = testnet::Netns::named("a")
            .ask(testnet::Transport::Tcp, to)
            .unwrap();
        assert_eq!(client.ip().to_string(), seen);
        drop(server);
    }
}

#[test]
fn the_stack_shows_foreign_rules_and_no_escape_sequence() {
    let node = PontoonNode::new();
    node.pontoon("network create web --subnet 10.5.0.0/24");
    node.pontoon("attach web a --create");
    let rules = "table inet own { chain c { type filter hook input priority 0; tcp dport 23 drop comment \"\u{1b}[2J\"; }; }";
    node.sh(&format!("ip netns exec a nft '{rules}'"));
    node.sh("ip -n a link set eth0 alias \"$(printf 'x\\033[2Jy')\"");
    let stack = node.pontoon("stack a");
    assert!(stack.contains("Firewall table inet own"), "{stack}");
    assert!(stack.contains("tcp dport 23 drop"), "{stack}");
    assert!(!stack.contains('\u{1b}'), "{stack:?}");
    let node_stack = node.pontoon("stack");
    assert!(
        node_stack.contains("Firewall table inet pontoon"),
        "{node_stack}"
    );
}
