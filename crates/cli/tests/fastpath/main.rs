//! `pontoon fastpath`: what it prints and refuses, and that it carries traffic of endpoints as
//! `attach` makes them. What is carried and what is not is tested in `fastpath`.

#![allow(clippy::unwrap_used)]

#[path = "../it/node.rs"]
#[allow(dead_code, reason = "each test target uses a part of it")]
mod node;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use node::PontoonNode;
use serde_json::Value;
use testnet::{Netns, patient, wait_until};

const ROUNDS: usize = 100;
const BOUND: Duration = Duration::from_secs(10);

/// A network with two endpoints, of both families.
fn site() -> PontoonNode {
    let node = PontoonNode::new();
    node.pontoon("network create web --subnet 10.5.0.0/24 --subnet fd00:5::/64");
    node.pontoon("attach web a --create --ip 10.5.0.10 --ip fd00:5::10");
    node.pontoon("attach web b --create --ip 10.5.0.11 --ip fd00:5::11");
    node
}

/// Datagrams from `a` to `b` and back.
fn exchange(addresses: [&str; 2]) {
    let open = |name: &str, address: &str| {
        let at = SocketAddr::new(address.parse().unwrap(), 0);
        let socket = Netns::named(name).run(|| UdpSocket::bind(at)).unwrap();
        socket
            .set_read_timeout(Some(patient(Duration::from_secs(2))))
            .unwrap();
        socket
    };
    let (a, b) = (open("a", addresses[0]), open("b", addresses[1]));
    a.connect(b.local_addr().unwrap()).unwrap();
    b.connect(a.local_addr().unwrap()).unwrap();
    for n in 0..ROUNDS {
        for (from, to) in [(&a, &b), (&b, &a)] {
            from.send(&n.to_be_bytes()).unwrap();
            let mut data = [0; 8];
            assert_eq!(to.recv(&mut data).unwrap(), data.len());
            assert_eq!(data, n.to_be_bytes());
        }
    }
}

fn exchange_both() {
    exchange(["10.5.0.10", "10.5.0.11"]);
    exchange(["fd00:5::10", "fd00:5::11"]);
}

fn status(node: &PontoonNode) -> Value {
    serde_json::from_str(&node.pontoon("fastpath status --json")).unwrap()
}

fn fast_packets(node: &PontoonNode) -> Vec<u64> {
    let status = status(node);
    let ports = status["ports"].as_array().unwrap();
    let packets = ports.iter().map(|port| port["fast_packets"].as_u64());
    packets.map(Option::unwrap).collect()
}

#[test]
fn endpoints_speak_fast_while_it_is_on() {
    let node = site();
    assert_eq!(node.pontoon("fastpath status"), "fast path: off\n");
    assert_eq!(node.pontoon("fastpath on"), "fast path: on at 2 ports\n");
    exchange_both();
    let least = u64::try_from(ROUNDS).unwrap();
    for packets in fast_packets(&node) {
        assert!(packets > least, "{}", status(&node));
    }
    let text = node.pontoon("fastpath status");
    assert!(text.starts_with("fast path: on for web\n"), "{text}");
    assert!(text.contains("unproved"), "{text}");
    assert_eq!(node.pontoon("fastpath off"), "fast path: off\n");
    exchange_both();
    let left: Vec<_> = fs::read_dir(Path::new("/sys/fs/bpf/pontoon"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn it_says_how_the_kernel_runs_its_programs() {
    let node = site();
    node.pontoon("fastpath on");
    // Those of tcx are on the device and among no filters.
    let ports = status(&node)["ports"].clone();
    let port = ports[0]["port"].as_str().unwrap();
    let filters = node.sh(&format!("tc filter show dev {port} ingress"));
    let told = status(&node)["hook"].clone();
    let text = node.pontoon("fastpath status");
    let by_filters = "\nby filters: this kernel has no tcx\n";
    assert_eq!(
        told == "clsact",
        filters.contains("bpf"),
        "{told} {filters}"
    );
    assert_eq!(told == "clsact", text.contains(by_filters), "{told} {text}");
    exchange_both();
    assert!(fast_packets(&node).iter().all(|packets| *packets > 0));
}

#[test]
fn the_rest_of_pontoon_does_not_mind() {
    let node = site();
    node.pontoon("fastpath on web");
    node.assert_settled();
    node.pontoon("detach b --delete");
    let on = node.pontoon("fastpath status");
    assert!(on.starts_with("fast path: on for web\n"), "{on}");
    let pins = "ls /sys/fs/bpf/pontoon/*/networks/*";
    assert_eq!(node.sh(pins), "pont1-in\npont1-out\n");
    // Who comes later gets it too.
    node.pontoon("attach web b --create --ip 10.5.0.11 --ip fd00:5::11");
    assert!(!node.pontoon("fastpath status").contains("not attached"));
    exchange_both();
    let before = fast_packets(&node);
    exchange_both();
    let after = fast_packets(&node);
    assert!(
        before.iter().zip(&after).all(|(b, a)| a > b),
        "{before:?} {after:?}"
    );
    node.pontoon("detach a --delete");
    node.pontoon("detach b --delete");
    node.pontoon("network rm web");
    node.pontoon("fastpath off");
    node.assert_bare();
}

#[test]
fn a_capture_sees_what_is_carried_otherwise_and_its_death_heals() {
    let node = site();
    let idle = node.pontoon("capture b");
    assert!(idle.starts_with("nothing is carried past pont2"), "{idle}");
    node.pontoon("fastpath on");
    exchange_both();
    let mut capture = node.command("capture b").spawn().unwrap();
    let aside = || status(&node)["ports"][1]["aside"].as_bool().unwrap();
    wait_until("b steps aside", BOUND, aside);
    let before = fast_packets(&node);
    let seen = Netns::here().sniff("pont2");
    exchange_both();
    assert_eq!(fast_packets(&node), before);
    assert!(seen.first(BOUND, |frame| frame.len() > 42).is_some());
    capture.kill().unwrap();
    capture.wait().unwrap();
    wait_until("it comes back", BOUND, || !aside());
    exchange_both();
    assert!(fast_packets(&node)[1] > before[1]);
    let message = node.refused("capture nosuch", 3);
    assert!(message.contains("nosuch"), "{message}");
}

#[test]
fn one_network_can_have_it_without_another() {
    let node = site();
    node.pontoon("network create blue --subnet 10.6.0.0/24");
    node.pontoon("attach blue c --create");
    assert_eq!(
        node.pontoon("fastpath on blue"),
        "fast path: on at 1 port\n"
    );
    assert_eq!(status(&node)["networks"], serde_json::json!(["blue"]));
    assert_eq!(
        node.pontoon("fastpath on web"),
        "fast path: on at 3 ports\n"
    );
    assert!(
        node.pontoon("fastpath off blue")
            .starts_with("fast path: on for web\n")
    );
    exchange_both();
    assert!(fast_packets(&node).iter().all(|packets| *packets > 0));
    let message = node.refused("fastpath on nosuch", 3);
    assert!(message.contains("nosuch"), "{message}");
}

#[test]
fn a_limited_port_is_named_and_goes_the_kernels_way() {
    let node = site();
    node.sh("tc qdisc add dev pont2 root tbf rate 100mbit burst 100kb latency 50ms");
    let out = node.try_pontoon("fastpath on");
    assert_eq!(out.code, 10, "{out}");
    assert_eq!(
        out.stdout,
        "fast path: on at 1 port\nwithout: pont2: goes the kernel's way, through its tbf qdisc\n"
    );
    exchange_both();
    assert_eq!(fast_packets(&node)[0], 0);
}

#[test]
fn what_doctor_says_of_the_kernel_is_what_then_happens() {
    let node = site();
    let checked = || {
        let printed = node.try_pontoon("doctor --json").stdout;
        let checks: Vec<Value> = serde_json::from_str(&printed).unwrap();
        let check = checks.into_iter().find(|c| c["name"] == "fast path");
        check.expect("doctor has no such check")
    };
    let check = checked();
    let found = check["found"].as_str().unwrap();
    let on = node.try_pontoon("fastpath on");
    assert_eq!(check["health"] == "good", on.success(), "{check} {on}");
    if !on.success() {
        return;
    }
    assert!(found.contains("it is off"), "{found}");
    let told = status(&node)["hook"].clone();
    let hook = told.as_str().unwrap();
    assert!(
        found.contains(&format!("{hook},")) || found.contains(&format!("{hook};")),
        "{found}"
    );
    let after = checked();
    let found = after["found"].as_str().unwrap();
    assert!(found.contains("it is on for 1 network(s)"), "{found}");
    // The trial has left nothing in the node's own.
    assert_eq!(node.sh("ls /sys/fs/bpf/pontoon").lines().count(), 1);
    exchange_both();
}
