//! What `doctor` says of a kernel, against what then works there: on this machine's kernel and, by
//! `make test-kernels`, on others.

use std::net::SocketAddr;

use serde_json::Value;
use testnet::{Netns, Outside, Transport};

use crate::node::PontoonNode;

/// Each backend over each underlay, as doctor calls it, and what ip-link(8) is told to make its
/// device; nothing where it needs none.
const BACKENDS: [(&str, &str); 6] = [
    ("vxlan over IPv4", "vxlan id 1 dstport 0 local 192.0.2.1"),
    ("vxlan over IPv6", "vxlan id 1 dstport 0 local 2001:db8::1"),
    ("routed over IPv4", ""),
    ("routed over IPv6", ""),
    ("ipip over IPv4", "sit mode any local 192.0.2.1"),
    (
        "ipip over IPv6",
        "ip6tnl mode any local 2001:db8::1 remote 2001:db8::2",
    ),
];

/// Every check that a test compares: here, or (that of the fast path) in `fastpath/main.rs`, (those
/// of the firewalls) in `traffic/foreign.rs`,
/// (those of the records) in `survive/records.rs` and (that of limits) in `run/limits.rs`.
const COMPARED: [&str; 10] = [
    "kernel",
    "backends",
    "rates",
    "fast path",
    "limits",
    "forwarding",
    "firewalls",
    "legacy firewalls",
    "records",
    "state",
];

/// One check of `doctor`: how it came out, and what was found.
struct Found {
    health: String,
    text: String,
}

fn doctor(node: &PontoonNode) -> Vec<(String, Found)> {
    let printed = node.try_pontoon("doctor --json").stdout;
    let checks: Vec<Value> = serde_json::from_str(&printed).unwrap();
    let word = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let found = checks.iter().map(|check| {
        let (health, text) = (word(check, "health"), word(check, "found"));
        (word(check, "name"), Found { health, text })
    });
    found.collect()
}

fn check(node: &PontoonNode, name: &str) -> Found {
    let checks = doctor(node);
    let found = checks.into_iter().find(|(found, _)| found == name);
    found
        .unwrap_or_else(|| panic!("doctor has no check {name}"))
        .1
}

#[test]
fn every_check_is_compared_by_some_test() {
    let node = PontoonNode::new();
    for (name, _) in doctor(&node) {
        assert!(COMPARED.contains(&&*name), "no test compares '{name}'");
    }
}

#[test]
fn a_kernel_that_is_called_good_carries_a_network() {
    let node = PontoonNode::new();
    let outside = node.outside();
    let kernel = check(&node, "kernel");
    node.pontoon("network create web --subnet 10.5.0.0/24 --subnet fd00:5::/64");
    let attached = node.try_pontoon("attach web a --create --ip 10.5.0.10 -p 8080:80");
    assert_eq!(kernel.health == "good", attached.success(), "{attached}");
    if kernel.health != "good" {
        assert_eq!(attached.code, 9, "{attached}");
        return;
    }
    node.pontoon("attach web b --create --ip 10.5.0.11");
    let _server = Netns::named("a").serve(Transport::Tcp, "[::]:80".parse().unwrap());
    let inside: SocketAddr = "10.5.0.10:80".parse().unwrap();
    let seen = Netns::named("b").ask(Transport::Tcp, inside).unwrap();
    assert_eq!(seen.ip().to_string(), "10.5.0.11");
    for own in [Outside::NODE_V4.into(), Outside::NODE_V6.into()] {
        let published = SocketAddr::new(own, 8080);
        outside.netns().ask(Transport::Tcp, published).unwrap();
    }
    node.assert_settled();
}

#[test]
fn the_backends_it_names_are_those_whose_devices_can_be_made() {
    let node = PontoonNode::new();
    let backends = check(&node, "backends").text;
    let named = backends.strip_prefix("this kernel has ").unwrap();
    let named: Vec<&str> = named.split(", ").collect();
    for (backend, device) in BACKENDS {
        let tried = match device {
            "" => "true".to_owned(),
            device => format!("unshare --net ip link add tried type {device}"),
        };
        let tried = node.try_sh(&tried);
        let says = named.contains(&backend);
        assert_eq!(says, tried.success(), "{backend}: {backends}: {tried}");
    }
    for name in &named {
        let known = BACKENDS.iter().any(|(backend, _)| backend == name);
        assert!(known, "no test tries {name}");
    }
}

#[test]
fn rates_are_kept_where_it_says_so_and_refused_elsewhere() {
    let node = PontoonNode::new();
    let rates = check(&node, "rates");
    let by_hand = |line: &str| {
        let tried = format!("unshare --net sh -euc 'ip link add tried type {line}'");
        node.try_sh(&tried).success()
    };
    let tbf = by_hand("bridge; tc qdisc add dev tried root tbf rate 1mbit burst 8k limit 16k");
    assert_eq!(
        tbf,
        !rates.text.starts_with("tbf does not"),
        "{}",
        rates.text
    );
    if rates.text.starts_with("tbf and ifb") {
        assert!(by_hand("ifb"));
    }
    node.pontoon("network create web --subnet 10.5.0.0/24");
    let attached = node.try_pontoon("attach web a --create --rate 10mbit");
    assert_eq!(rates.health == "good", attached.success(), "{attached}");
    node.assert_settled();
}

#[test]
fn a_node_without_cgroups_is_told_what_containers_need() {
    let node = PontoonNode::new();
    let limits = check(&node, "limits");
    assert_eq!(limits.health, "warning");
    assert!(limits.text.contains("no cgroups"), "{}", limits.text);
    node.pontoon("network create web --subnet 10.5.0.0/24");
    let refused = node.try_pontoon("run web -- true");
    assert!(
        !refused.success() && refused.stderr.contains("no cgroups"),
        "{refused}"
    );
}

#[test]
fn forwarding_is_as_it_says() {
    let node = PontoonNode::new();
    const KEYS: [&str; 2] = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];
    for line in [
        "",
        "network create web --subnet 10.5.0.0/24 --subnet fd00:5::/64",
    ] {
        if !line.is_empty() {
            node.pontoon(line);
        }
        let says = check(&node, "forwarding").text;
        for key in KEYS {
            let is_on = node.sh(&format!("sysctl -n {key}")).trim() == "1";
            assert_eq!(is_on, !says.contains(key), "{key}: {says}");
        }
    }
}
