//! Chains with the reference plugins, before and behind.

use serde_json::{Value, json};
use testnet::{Netns, Transport};

use crate::driver::{Container, List, answer, bare};
use crate::ground::{CniNode, NODE_V4, V4, V6, texts};

fn whole_chain(node: &CniNode) -> List {
    List::of(node, json!({"subnet": V4}))
        .version("1.0.0")
        .then(json!({"type": "tuning", "sysctl": {"net.ipv4.conf.eth0.arp_filter": "1"}}))
        .then(json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}))
        .then(json!({"type": "firewall", "backend": "iptables"}))
}

#[test]
fn the_reference_plugins_work_behind_pontoon() {
    let node = CniNode::with(&["a", "b"]);
    let list = whole_chain(&node);
    let rate = 8_000_000_u64;
    let bandwidth = json!({"bandwidth": {
        "ingressRate": rate, "ingressBurst": rate, "egressRate": rate, "egressBurst": rate,
    }});
    let a = Container::named("a").with_runtime(bandwidth);
    let result = list.add(&a).unwrap();
    list.add(&Container::named("b")).unwrap();
    assert_eq!(
        node.sh("ip netns exec a sysctl -n net.ipv4.conf.eth0.arp_filter"),
        "1\n"
    );
    let port = result["interfaces"][1]["name"].as_str().unwrap();
    let shaped = node.sh(&format!("tc qdisc show dev {port}"));
    assert!(shaped.contains("tbf"), "{shaped}");
    assert!(node.pings("b", "10.5.0.2"));
    list.check(&a, &result).unwrap();
    list.del(&a, &result).unwrap();
    list.del(&Container::named("b"), &Value::Null).unwrap();
    assert_eq!(node.attached(), [""; 0]);
    // The network stays; the container's devices go, the chain's shaping one among them.
    assert_eq!(node.sh("ip -o link | grep -E 'pont[0-9]|bwp' || true"), "");
}

/// As containerd asks: without a bound on what goes at once.
#[test]
fn pontoon_keeps_to_the_bandwidth_itself() {
    let node = CniNode::with(&["a"]);
    let mut list = List::of(&node, json!({"subnet": V4}));
    list.plugins[0]["capabilities"] = json!({"bandwidth": true});
    let most = i64::from(i32::MAX);
    let a = Container::named("a").with_runtime(json!({"bandwidth": {
        "ingressRate": 20_000_000, "ingressBurst": most, "egressRate": 10_000_004, "egressBurst": most,
    }}));
    let result = list.add(&a).unwrap();
    let receives = node.sh("tc qdisc show dev pont1");
    assert!(
        receives.contains("tbf 706f: root") && receives.contains("rate 20Mbit"),
        "{receives}"
    );
    let sends = node.sh("tc qdisc show dev pifb1");
    assert!(sends.contains("rate 10Mbit"), "{sends}");
    list.check(&a, &result).unwrap();
    node.sh("tc qdisc del dev pont1 ingress");
    let missing = list.check(&a, &result).unwrap_err();
    assert!(
        format!("{missing:?}").contains("did not wait at pifb1"),
        "{missing:?}"
    );
    list.del(&a, &result).unwrap();
    assert_eq!(node.sh("ip -o link | grep -E 'pont[0-9]|pifb' || true"), "");
}

#[test]
fn portmap_may_publish_in_pontoons_place() {
    let node = CniNode::with(&["a"]);
    let outside = node.outside();
    let mut list = List::of(&node, json!({"subnet": V4})).version("1.0.0");
    list.plugins[0]["capabilities"] = json!({"ips": true});
    let list = list.then(json!({"type": "portmap", "capabilities": {"portMappings": true}}));
    let ports = json!({"portMappings": [
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
    ]});
    let a = Container::named("a").with_runtime(ports);
    let result = list.add(&a).unwrap();
    let server = std::net::SocketAddr::from(([0, 0, 0, 0], 80));
    let _server = Netns::named("a").serve(Transport::Tcp, server);
    let public = NODE_V4.parse().unwrap();
    outside.netns().ask(Transport::Tcp, public).unwrap();
    list.del(&a, &result).unwrap();
    assert_eq!(node.attached(), [""; 0]);
}

#[test]
fn what_stood_before_in_the_chain_is_handed_on() {
    let node = CniNode::with(&["a"]);
    let earlier = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "lo", "sandbox": "/var/run/netns/a", "x": 1}],
        "ips": [{"address": "127.0.0.1/8", "interface": 0}],
        "routes": [{"dst": "192.168.9.0/24"}],
        "dns": {"nameservers": ["10.0.0.1"]},
        "more": "kept",
    });
    let config = json!({"cniVersion": "1.0.0", "name": "web", "type": "pontoon-cni",
        "subnets": [V4, V6], "prevResult": earlier});
    let state_dir = node.state_dir().to_str().unwrap();
    let call = bare(&[
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "a"),
        ("CNI_NETNS", "/var/run/netns/a"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/usr/lib/cni"),
        ("PONTOON_STATE_DIR", state_dir),
    ]);
    let result = answer(call, &config.to_string()).unwrap();
    assert_eq!(
        texts(&result["interfaces"], "name"),
        ["lo", "pn-web", "pont1", "eth0"]
    );
    assert_eq!(result["interfaces"][0]["x"], 1);
    assert_eq!(
        texts(&result["ips"], "address"),
        ["127.0.0.1/8", "10.5.0.2/24", "fd00:5::2/64"]
    );
    assert_eq!(result["ips"][1]["interface"], 3);
    assert_eq!(
        texts(&result["routes"], "dst"),
        ["192.168.9.0/24", "0.0.0.0/0", "::/0"]
    );
    assert_eq!(result["dns"]["nameservers"], json!(["10.0.0.1"]));
    assert_eq!(result["more"], "kept");
}
