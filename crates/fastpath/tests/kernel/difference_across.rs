//! Thousands of packets from one node to another, plain, odd and hostile: with the fast path and
//! without, the same arrives, byte for byte.

use testnet::{Sniffer, fewer, wait_until};

use crate::difference::{Random, assert_same, make_odd};
use crate::ground::{A, B, BOUND};
use crate::nodes::{Backend, FAR, NEAR, Nodes};
use crate::packets::{Spec, TCP, UDP};

const BATCHES: u32 = 40;
/// Few enough for a sniffer's buffer.
pub const BATCH: u64 = 60;
const MARK: &[u8; 4] = b"PNTN";

pub fn batches() -> u64 {
    fewer(BATCHES).into()
}

/// From the one container to the other.
fn plain(backend: Backend, family: usize, protocol: u8) -> Spec {
    Spec::new(A, B, family, protocol).with(|spec| {
        spec.macs = (NEAR.mac(), backend.next_hop(NEAR));
        spec.addresses = (NEAR.addresses()[family], FAR.addresses()[family]);
    })
}

fn spec(backend: Backend, random: &mut Random, number: u64) -> Spec {
    let (family, protocol) = (random.below(2) as usize, random.of(&[TCP, UDP]));
    let mut spec = plain(backend, family, protocol);
    spec.ports.0 += random.below(3) as u16;
    spec.payload = payload(random, number);
    if random.below(4) == 0 {
        make_odd(&mut spec, random);
    }
    spec
}

/// By which a packet is told from others, and from each other.
pub fn payload(random: &mut Random, number: u64) -> Vec<u8> {
    let mut payload = vec![b'.'; random.below(1_200) as usize];
    payload.extend(MARK);
    payload.extend(number.to_be_bytes());
    payload
}

fn deliveries(backend: Backend, fast: bool) -> (Vec<Vec<u8>>, u64) {
    let nodes = if fast {
        Nodes::on(backend)
    } else {
        Nodes::new(backend)
    };
    let sniffer = FAR.container().sniff("eth0");
    let mut random = Random(0x5eed);
    let mut arrived = Vec::new();
    for batch in 0..batches() {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let mut frames: Vec<_> = numbers
            .map(|n| spec(backend, &mut random, n).frame())
            .collect();
        let marker = format!("end of {batch}").into_bytes();
        frames.push(
            plain(backend, 0, UDP)
                .with(|s| s.payload = marker.clone())
                .frame(),
        );
        NEAR.container().send_frames("eth0", &frames);
        arrived.extend(own_before(&sniffer, &marker));
    }
    if fast {
        wait_until("all is counted", BOUND, || nodes.carried(FAR)[1] > 0);
    }
    arrived.sort();
    let carried = if fast { nodes.carried(FAR)[1] } else { 0 };
    (arrived, carried)
}

pub fn own_before(sniffer: &Sniffer, marker: &[u8]) -> Vec<Vec<u8>> {
    let frames = sniffer.until(|frame| frame.ends_with(marker));
    let own = frames
        .into_iter()
        .filter(|frame| frame.windows(MARK.len()).any(|bytes| bytes == MARK));
    own.collect()
}

#[test]
fn the_same_packets_arrive_from_another_node_with_and_without() {
    assert_same(batches() * BATCH, |fast| deliveries(Backend::Vxlan4, fast));
}

#[test]
fn the_same_packets_arrive_over_ipv6_with_and_without() {
    assert_same(batches() * BATCH, |fast| deliveries(Backend::Vxlan6, fast));
}

#[test]
fn the_same_packets_arrive_in_a_stretched_network_with_and_without() {
    assert_same(batches() * BATCH, |fast| {
        deliveries(Backend::Stretched, fast)
    });
}

#[test]
fn the_same_packets_arrive_where_they_are_routed_with_and_without() {
    assert_same(batches() * BATCH, |fast| deliveries(Backend::Routed, fast));
}
