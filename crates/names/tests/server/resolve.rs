//! Containers find each other, on their networks and on no other, and the server follows the
//! records.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};
use model::{NetworkId, Reach};
use testnet::dns::{SOON, addresses, ask, ask_by_tcp, ask_within, is_silent, wait_for};
use testnet::{Netns, wait_until};

use crate::ground::NamesNode;

/// Networks 5 and 6: `a` and `b` on the one, `c` on the other, `d` on both.
fn two_networks() -> NamesNode {
    let node = NamesNode::with_resolver("127.0.0.1");
    node.network(5, Reach::Outside);
    node.network(6, Reach::Outside);
    node.attach(5, "a", 10, &["shop", "A1"]);
    node.attach(5, "b", 11, &["shop"]);
    node.attach(6, "c", 12, &[]);
    node.attach(5, "d", 13, &[]);
    node.attach(6, "d", 13, &[]);
    node.serve();
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
    let back = ask("b", "10.5.0.1", "10.0.5.10.in-addr.arpa.", RecordType::PTR).unwrap();
    assert!(matches!(&back.answers[0].data, RData::PTR(name) if name.0.to_ascii() == "a."));
    // The node itself knows them too.
    let seen = ask_within(SOON, node.netns(), "10.5.0.1", "a", RecordType::A);
    assert_eq!(addresses(&seen.unwrap()), ["10.5.0.10"]);
    assert!(names::answers("fd00:5::1".parse().unwrap()));
}

#[test]
fn nobody_sees_the_names_of_networks_it_is_not_on() {
    let node = two_networks();
    let on_both = ask("d", "10.6.0.1", "a", RecordType::A).unwrap();
    assert_eq!(addresses(&on_both), ["10.5.0.10"]);
    // None of its names: the node's resolver, which is not there, is asked.
    let elsewhere = ask("c", "10.6.0.1", "a", RecordType::A).unwrap();
    assert_eq!(elsewhere.metadata.response_code, ResponseCode::ServFail);
    let owner = ask("c", "10.6.0.1", "10.0.5.10.in-addr.arpa.", RecordType::PTR).unwrap();
    assert_eq!(owner.metadata.response_code, ResponseCode::NXDomain);
    // The other network's gateway says nothing at all to it, nor to the outside.
    node.sh("ip -n c route add default via 10.6.0.1");
    assert!(is_silent(&Netns::named("c"), "10.5.0.1", "a"));
    let outside = node.outside();
    outside.route_via_node(&node, "10.5.0.0/24");
    assert!(is_silent(outside.netns(), "10.5.0.1", "a"));
    assert!(is_silent(outside.netns(), "203.0.113.1", "a"));
}

#[test]
fn it_follows_the_records_and_ends_with_the_last_network() {
    let node = NamesNode::with_resolver("127.0.0.1");
    node.network(5, Reach::Outside);
    let a = node.attach(5, "a", 10, &[]);
    node.serve();
    let mut all = vec![a];
    for host in 11..15 {
        all.push(node.attach(5, &format!("c{host}"), host, &["all"]));
        let address = format!("10.5.0.{host}");
        wait_for("a", "10.5.0.1", &format!("c{host}"), &[&address]);
    }
    node.records().delete_endpoint(all.remove(1), 0).unwrap();
    wait_for(
        "a",
        "10.5.0.1",
        "all",
        &["10.5.0.12", "10.5.0.13", "10.5.0.14"],
    );
    node.network(8, Reach::Outside);
    node.attach(8, "z", 20, &[]);
    wait_for("z", "10.8.0.1", "z", &["10.8.0.20"]);
    for id in all {
        node.records().delete_endpoint(id, 0).unwrap();
    }
    node.records().delete_network(NetworkId(5)).unwrap();
    wait_until("nobody listens at the network that is gone", SOON, || {
        is_silent(node.netns(), "10.5.0.1", "a")
    });
    assert!(node.is_served());
    node.records()
        .set_network_names(NetworkId(8), model::Names::Off)
        .unwrap();
    wait_until("the server ends", SOON, || !node.is_served());
}
