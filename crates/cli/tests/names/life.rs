//! The server comes, is killed, comes again, follows the records, and goes.

use std::fs;

use hickory_proto::rr::RecordType;
use testnet::dns::{SOON, ask, is_silent, wait_for};
use testnet::{Netns, wait_until};

use crate::ground::NamesNode;

fn web() -> NamesNode {
    let node = NamesNode::new();
    node.pontoon("network create web --names --subnet 10.5.0.0/24");
    node.pontoon("attach web a --create --ip 10.5.0.10");
    node
}

#[test]
fn the_first_attach_starts_it_and_the_last_network_ends_it() {
    let node = web();
    // Who attached waited for it.
    assert!(ask("a", "10.5.0.1", "a", RecordType::A).is_some());
    let first = node.server().unwrap();
    node.pontoon("attach web b --create --ip 10.5.0.11");
    assert_eq!(node.server(), Some(first));
    node.pontoon("detach a --delete");
    node.pontoon("detach b --delete");
    assert_eq!(node.server(), Some(first));
    node.pontoon("network rm web");
    wait_until("the server ends", SOON, || node.server().is_none());
}

#[test]
fn killed_it_comes_again_with_the_next_attach_or_reconcile() {
    let node = web();
    node.kill_server();
    assert!(is_silent(&Netns::named("a"), "10.5.0.1", "a"));
    node.pontoon("attach web b --create --ip 10.5.0.11");
    wait_for("a", "10.5.0.1", "b", &["10.5.0.11"]);
    node.kill_server();
    node.pontoon("reconcile");
    wait_for("b", "10.5.0.1", "a", &["10.5.0.10"]);
}

#[test]
fn it_follows_what_others_record() {
    let node = web();
    let first = node.server().unwrap();
    for n in 11..16 {
        node.pontoon(&format!(
            "attach web c{n} --create --ip 10.5.0.{n} --alias all"
        ));
        wait_for("a", "10.5.0.1", &format!("c{n}"), &[&format!("10.5.0.{n}")]);
    }
    node.pontoon("detach c11 --delete");
    wait_for(
        "a",
        "10.5.0.1",
        "all",
        &["10.5.0.12", "10.5.0.13", "10.5.0.14", "10.5.0.15"],
    );
    node.pontoon("network create late --names --subnet 10.8.0.0/24");
    node.pontoon("attach late z --create --ip 10.8.0.10");
    wait_for("z", "10.8.0.1", "z", &["10.8.0.10"]);
    assert_eq!(node.server(), Some(first));
}

#[test]
fn without_the_server_containers_attach_all_the_same() {
    let node = NamesNode::new();
    node.sh("mkdir /run/alone");
    fs::copy(NamesNode::binary(), "/run/alone/pontoon").unwrap();
    node.pontoon("network create web --names --subnet 10.5.0.0/24");
    let out = node.try_pontoon_at("/run/alone/pontoon", "attach web a --create");
    assert!(out.success(), "{out}");
    assert!(
        out.stderr.contains("warning") && out.stderr.contains("pontoon-names"),
        "{out}"
    );
    node.sh("ip netns exec a ping -c1 -W2 10.5.0.1");
}

#[test]
fn a_port_that_another_process_has_is_told_and_taken_when_it_is_free() {
    let node = NamesNode::new();
    node.pontoon("network create web --names --subnet 10.5.0.0/24");
    let stranger = node
        .netns()
        .run(|| std::net::UdpSocket::bind("0.0.0.0:53").unwrap());
    let out = node.try_pontoon("attach web a --create --ip 10.5.0.10");
    assert!(out.success(), "{out}");
    assert!(out.stderr.contains("10.5.0.1, port 53"), "{out}");
    drop(stranger);
    wait_for("a", "10.5.0.1", "a", &["10.5.0.10"]);
}

#[test]
fn another_firewalls_word_counts() {
    let node = web();
    node.sh("nft add table inet strict
         nft add chain inet strict input '{ type filter hook input priority 0; policy drop; }'");
    assert!(is_silent(&Netns::named("a"), "10.5.0.1", "a"));
    let doctor = node.try_pontoon("doctor");
    assert!(doctor.stdout.contains("inet strict input"), "{doctor}");
    node.sh("nft add rule inet strict input iifname pn-web meta l4proto '{ tcp, udp }' th dport 53 accept");
    wait_for("a", "10.5.0.1", "a", &["10.5.0.10"]);
}
