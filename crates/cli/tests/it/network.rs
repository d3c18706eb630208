//! Creating, showing and removing networks.

use crate::node::PontoonNode;

#[test]
fn a_picked_prefix_clashes_with_nothing() {
    let node = PontoonNode::new();
    node.sh("ip link add x type bridge; ip addr add 10.88.0.1/24 dev x; ip link set x up; ip route add blackhole 10.88.1.0/24");
    node.pontoon("network create one");
    node.pontoon("network create two --ipv6");
    let networks: serde_json::Value =
        serde_json::from_str(&node.pontoon("network ls --json")).unwrap();
    let prefix = |n: usize, s: usize| {
        networks[n]["subnets"][s]["prefix"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(prefix(0, 0), "10.88.2.0/24");
    assert_eq!(prefix(1, 0), "10.88.3.0/24");
    assert!(prefix(1, 1).starts_with("fd") && prefix(1, 1).ends_with("/64"));
    node.assert_settled();
}

#[test]
fn what_overlaps_is_refused_and_named() {
    let node = PontoonNode::new();
    let _outside = node.outside();
    node.sh("ip route add 10.7.0.0/16 via 203.0.113.2");
    node.pontoon("network create web --subnet 10.5.0.0/24 --bridge cbr0");
    let before = node.snapshot();
    for (line, code, says) in [
        ("network create web", 4, "there is a network web"),
        (
            "network create b --subnet 10.5.0.128/25",
            4,
            "10.5.0.0/24 of network web",
        ),
        ("network create b --subnet 203.0.113.128/25", 4, "up0"),
        (
            "network create b --subnet 10.7.1.0/24",
            4,
            "the route to 10.7.0.0/16 by up0",
        ),
        ("network create b --bridge up0", 4, "up0"),
        ("network create b --bridge cbr0", 4, "bridge of network web"),
        ("network create b --bridge pont7", 2, "pont7"),
        ("network create b --subnet 10.6.0.1/24", 2, "10.6.0.0/24"),
        ("network create b --subnet 10.6.0.0/31", 2, "10.6.0.0/31"),
        (
            "network create b --subnet 10.6.0.0/24 --subnet 10.8.0.0/24",
            2,
            "two IPv4",
        ),
        (
            "network create b --subnet 10.6.0.0/24 --gateway 10.9.0.1",
            2,
            "10.9.0.1",
        ),
        (
            "network create b --subnet fd00:6::/64 --mtu 1000",
            2,
            "1280",
        ),
        ("network create ../b", 2, "../b"),
        ("network show b", 3, "no network b"),
        ("network rm b", 3, "no network b"),
    ] {
        let said = node.refused(line, code);
        assert!(said.contains(says), "{line}: {said}");
    }
    assert_eq!(node.snapshot(), before);
    node.assert_settled();
}

#[test]
fn the_mtu_is_the_uplinks_unless_it_is_given() {
    let node = PontoonNode::new();
    let _outside = node.outside();
    node.sh("ip link set up0 mtu 1420");
    node.pontoon("network create auto --subnet 10.5.0.0/24");
    node.pontoon("network create small --subnet 10.6.0.0/24 --mtu 1300");
    node.pontoon("attach auto a --create");
    node.sh(
        "ip link show pn-auto | grep -q 'mtu 1420'; ip link show pn-small | grep -q 'mtu 1300'",
    );
    node.sh("ip -n a link show eth0 | grep -q 'mtu 1420'");
    node.sh("ip link set up0 mtu 1280");
    let said = node.pontoon("reconcile");
    assert!(said.contains("MTU"), "{said}");
    node.sh("ip -n a link show eth0 | grep -q 'mtu 1280'");
    node.assert_settled();
}

#[test]
fn a_network_with_endpoints_stays() {
    let node = PontoonNode::new();
    node.pontoon("network create web --subnet 10.5.0.0/24");
    node.pontoon("attach web a --create");
    let said = node.refused("network rm web", 4);
    assert!(said.contains("1 endpoint"), "{said}");
    node.pontoon("detach a --delete");
    node.pontoon("network rm web");
    node.assert_bare();
}

#[test]
fn a_dry_run_changes_nothing() {
    let node = PontoonNode::new();
    let before = node.snapshot();
    let plan = node.pontoon("network create web --subnet 10.5.0.0/24 --dry-run");
    assert!(plan.contains("ip link add pn-web"), "{plan}");
    assert_eq!(node.snapshot(), before);
    assert_eq!(node.pontoon("network ls --json"), "[]\n");
    node.pontoon("network create web --subnet 10.5.0.0/24");
    let before = node.snapshot();
    let plan = node.pontoon("attach web a --create -p 80 --dry-run");
    assert!(
        plan.contains("ip netns add a") && plan.contains("tcp . 80"),
        "{plan}"
    );
    node.pontoon("network rm web --dry-run");
    assert_eq!(node.snapshot(), before);
    assert_eq!(node.pontoon("ls --json"), "[]\n");
}
