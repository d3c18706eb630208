//! Packets that cross as they are: whoever is on the underlay can send such ones, and what leaves
//! the network goes by the same device.

use std::net::{SocketAddr, UdpSocket};

use testnet::patient;

use crate::difference::{Random, assert_same, make_odd};
use crate::difference_across::{BATCH, batches, own_before, payload};
use crate::ground::{A, B, BOUND, Datagrams};
use crate::nodes::{Backend, FAR, NEAR, Nodes};
use crate::packets::{Spec, TCP, UDP};

const ROUNDS: u64 = 50;
/// Nobody's.
const STRANGER: [u8; 6] = [2, 0, 0, 0, 0, 0x66];

/// As the first node sends it on, or somebody who says so.
fn between_nodes(family: usize, protocol: u8) -> Spec {
    Spec::new(A, B, family, protocol).with(|spec| {
        spec.macs = (NEAR.uplink_mac(), FAR.uplink_mac());
        spec.addresses = (NEAR.addresses()[family], FAR.addresses()[family]);
        spec.hops = 63;
    })
}

fn forged(random: &mut Random, number: u64) -> Spec {
    let (family, protocol) = (random.below(2) as usize, random.of(&[TCP, UDP]));
    let mut spec = between_nodes(family, protocol);
    spec.ports.0 += random.below(3) as u16;
    spec.payload = payload(random, number);
    match random.below(10) {
        0 => make_odd(&mut spec, random),
        1 => spec.macs.0 = STRANGER,
        // For somebody else's machine.
        2 => spec.macs.1 = STRANGER,
        // The other node's own address: not one of the network.
        3 => spec.addresses.0 = NEAR.node_addresses()[family],
        _ => {}
    }
    spec
}

fn deliveries(fast: bool) -> (Vec<Vec<u8>>, u64) {
    let nodes = if fast {
        Nodes::on(Backend::Routed)
    } else {
        Nodes::new(Backend::Routed)
    };
    // The rule by which the second node knows the first.
    FAR.node().run(|| {
        nodes.node.sh(&format!(
            "nft add table inet foreign
             nft add chain inet foreign c '{{ type filter hook prerouting priority 0; }}'
             nft add rule inet foreign c iifname up0 ether saddr {} drop",
            STRANGER.map(|byte| format!("{byte:02x}")).join(":")
        ))
    });
    let sniffer = FAR.container().sniff("eth0");
    let mut random = Random(0x5eed);
    let mut arrived = Vec::new();
    for batch in 0..batches() {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let mut frames: Vec<_> = numbers.map(|n| forged(&mut random, n).frame()).collect();
        let marker = format!("end of {batch}").into_bytes();
        let last = between_nodes(0, UDP).with(|spec| spec.payload = marker.clone());
        frames.push(last.frame());
        NEAR.node().send_frames("up0", &frames);
        arrived.extend(own_before(&sniffer, &marker));
    }
    arrived.sort();
    let carried = if fast { nodes.carried(FAR)[1] } else { 0 };
    (arrived, carried)
}

#[test]
fn what_is_forged_on_the_underlay_gets_no_further_than_without() {
    assert_same(batches() * BATCH, deliveries);
}

/// Between the first container and the second node itself.
fn with_node(family: usize) -> Datagrams {
    let bind = |address| {
        let socket = UdpSocket::bind(SocketAddr::new(address, 0)).unwrap();
        socket.set_read_timeout(Some(patient(BOUND))).unwrap();
        socket
    };
    let inside = NEAR.addresses()[family];
    let outside = FAR.node_addresses()[family];
    let client = NEAR.container().run(|| bind(inside));
    let server = FAR.node().run(|| bind(outside));
    client.connect(server.local_addr().unwrap()).unwrap();
    server.connect(client.local_addr().unwrap()).unwrap();
    Datagrams { client, server }
}

#[test]
fn what_leaves_the_network_is_not_carried() {
    let nodes = Nodes::on(Backend::Routed);
    nodes.running();
    for family in [0, 1] {
        let flow = with_node(family);
        let before = [NEAR, FAR].map(|side| nodes.carried(side));
        for n in 0..ROUNDS {
            assert!(flow.passes(format!("datagram {n}").as_bytes()));
        }
        assert_eq!([NEAR, FAR].map(|side| nodes.carried(side)), before);
    }
}
