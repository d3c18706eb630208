//! Containers find each other, on their networks and on no other.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};
use testnet::Netns;
use testnet::dns::{SOON, addresses, ask, ask_by_tcp, ask_within, is_silent, wait_for};

use crate::ground::NamesNode;

/// Networks `web` and `db`; `a` and `b` on the one, `c` on the other, `d` on both.
fn two_networks() -> NamesNode {
    let node = NamesNode::new();
    node.pontoon("network create web --names --subnet 10.5.0.0/24 --subnet fd00:5::/64");
    node.pontoon("network create db --names --subnet 10.6.0.0/24");
    node.pontoon("attach web a --create --ip 10.5.0.10 --ip fd00:5::10 --alias shop --alias A1");
    node.pontoon("attach web b --create --ip 10.5.0.11 --alias shop");
    node.pontoon("attach db c --create --ip 10.6.0.12");
    node.pontoon("attach web d --create --ip 10.5.0.13");
    node.pontoon("attach db d --ip 10.6.0.13");
    wait_for("c", "10.6.0.1", "d", &["10.6.0.13"]);
    node
}

#[test]
fn containers_of_a_network_resolve_each_other() {
    let node = two_networks();
    let b = ask("a", "10.5.0.1", "b", RecordType::A).unwrap();
    assert_eq!(addresses(&b), ["10.5.0.11"]);
    let a = ask("b", "fd00:5::1", "A", RecordType::AAAA).unwrap();
    assert_eq!(addresses(&a), ["fd00:5::10"]);
    let a1 = ask_by_tcp("b", "10.5.0.1", "a1", RecordType::A);
    assert_eq!(addresses(&a1), ["10.5.0.10"]);
    let shop = ask("d", "10.5.0.1", "shop", RecordType::A).unwrap();
    assert_eq!(addresses(&shop), ["10.5.0.10", "10.5.0.11"]);
    let back = ask("b", "10.5.0.1", "10.0.5.10.in-addr.arpa", RecordType::PTR).unwrap();
    assert!(matches!(&back.answers[0].data, RData::PTR(name) if name.0.to_ascii() == "a."));
    // The node itself knows them too.
    let seen = ask_within(SOON, node.netns(), "10.5.0.1", "a", RecordType::A);
    assert_eq!(addresses(&seen.unwrap()), ["10.5.0.10"]);
}

#[test]
fn nobody_sees_the_names_of_networks_it_is_not_on() {
    let node = two_networks();
    let on_both = ask("d", "10.6.0.1", "a", RecordType::A).unwrap();
    assert_eq!(addresses(&on_both), ["10.5.0.10"]);
    // `c` asks its own gateway for a name of the other network: it is none of its names, and the
    // node's resolver, which is not there, is asked.
    let elsewhere = ask("c", "10.6.0.1", "a", RecordType::A).unwrap();
    assert_eq!(elsewhere.metadata.response_code, ResponseCode::ServFail);
    let owner = ask("c", "10.6.0.1", "10.0.5.10.in-addr.arpa", RecordType::PTR).unwrap();
    assert_eq!(owner.metadata.response_code, ResponseCode::NXDomain);
    // The other network's gateway says nothing at all to it.
    assert!(is_silent(&Netns::named("c"), "10.5.0.1", "a"));
    let outside = node.outside();
    outside.route_via_node(&node, "10.5.0.0/24");
    assert!(is_silent(outside.netns(), "10.5.0.1", "a"));
    // Nobody answers at other addresses of the node.
    assert!(is_silent(outside.netns(), "203.0.113.1", "a"));
}

#[test]
fn a_network_without_names_has_no_aliases_until_it_is_given_names() {
    let node = NamesNode::new();
    node.pontoon("network create plain --subnet 10.7.0.0/24");
    let refused = node.try_pontoon("attach plain a --create --alias shop");
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("pontoon names on plain"),
        "{refused}"
    );
    node.pontoon("attach plain a --create --ip 10.7.0.10");
    assert_eq!(node.server(), None);
    assert!(is_silent(&Netns::named("a"), "10.7.0.1", "a"));
    node.pontoon("names on plain");
    wait_for("a", "10.7.0.1", "a", &["10.7.0.10"]);
    node.pontoon("names off plain");
    testnet::wait_until("the server ends", SOON, || node.server().is_none());
}

#[test]
fn what_is_answered_is_listed_with_and_without_the_server() {
    let node = two_networks();
    let text = node.pontoon("names");
    assert!(text.starts_with("server: running, process "), "{text}");
    assert!(text.contains("web at 10.5.0.1, fd00:5::1"), "{text}");
    let json = node.names();
    assert_eq!(json["networks"][1]["network"], "web");
    assert_eq!(json["networks"][1]["names"]["b"][0], "10.5.0.11");
    assert_eq!(json["networks"][1]["silent"].as_array().unwrap().len(), 0);
    node.kill_server();
    let json = node.names();
    assert!(json["server"].is_null());
    assert_eq!(json["networks"][0]["names"]["c"][0], "10.6.0.12");
    assert_eq!(json["networks"][0]["silent"][0], "10.6.0.1");
}
