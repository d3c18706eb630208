//! Flows that are carried, and what counts them.

use crate::ground::{A, B, Datagrams, Ground, Stream};

const ROUNDS: u64 = 200;

/// Each direction: all but the first packets on each CPU, which proofs are of.
fn assert_carried(ground: &Ground, before: [u64; 2], sent: u64) {
    let cpus = std::thread::available_parallelism().unwrap().get();
    let least = sent - u64::try_from(cpus).unwrap();
    for (end, before) in [A, B].into_iter().zip(before) {
        let status = ground.status(end);
        let carried = status.fast_packets - before;
        assert!(carried >= least, "{} of {least}: {status:?}", end.0);
    }
}

fn datagrams_are_carried(bridge_nf: bool) {
    let ground = Ground::on(bridge_nf);
    for family in [0, 1] {
        let flow = Datagrams::between(A, B, family);
        assert!(flow.passes(b"the first goes the kernel's way"));
        let before = [A, B].map(|end| ground.fast(end));
        for n in 0..ROUNDS {
            assert!(flow.passes(format!("datagram {n}").as_bytes()));
        }
        assert_carried(&ground, before, ROUNDS);
    }
}

#[test]
fn datagrams_of_both_families_are_carried() {
    datagrams_are_carried(false);
}

#[test]
fn datagrams_are_carried_where_br_netfilter_looks() {
    datagrams_are_carried(true);
}

fn connections_are_carried(bridge_nf: bool) {
    let ground = Ground::on(bridge_nf);
    for family in [0, 1] {
        let mut flow = Stream::between(A, B, family);
        assert!(flow.passes());
        let before = [A, B].map(|end| ground.fast(end));
        for _ in 0..ROUNDS {
            assert!(flow.passes());
        }
        assert_carried(&ground, before, ROUNDS);
        let bytes = ground.status(A).fast_bytes;
        flow.carry(8 << 20);
        let carried = ground.status(A).fast_bytes - bytes;
        assert!(carried > 7 << 20, "{carried} bytes: {:?}", ground.status(A));
    }
}

#[test]
fn connections_of_both_families_are_carried_with_offloads() {
    connections_are_carried(false);
}

#[test]
fn connections_are_carried_where_br_netfilter_looks() {
    connections_are_carried(true);
}

#[test]
fn segments_of_the_wire_are_carried_too() {
    let ground = Ground::new(false);
    for end in [A, B] {
        let name = end.0;
        ground.node.sh(&format!(
            "ip netns exec {name} ethtool -K eth0 tso off gso off tx off >/dev/null"
        ));
    }
    ground.turn_on();
    let mut flow = Stream::between(A, B, 0);
    flow.carry(1 << 20);
    assert!(
        ground.status(A).fast_bytes > 1 << 19,
        "{:?}",
        ground.status(A)
    );
}

#[test]
fn a_flow_stays_fast_longer_than_a_proof_holds() {
    let ground = Ground::on(false);
    let flow = Datagrams::between(A, B, 0);
    assert!(flow.passes(b"first"));
    let begun = std::time::Instant::now();
    let (mut sent, before) = (0, [A, B].map(|end| ground.fast(end)));
    while begun.elapsed() < std::time::Duration::from_millis(2_500) {
        assert!(flow.passes(b"again"));
        sent += 1;
    }
    assert_carried(&ground, before, sent);
    for end in [&flow.client, &flow.server] {
        end.set_nonblocking(true).unwrap();
        let more = end.recv(&mut [0; 64]);
        assert!(more.is_err(), "a copy that renews a proof was delivered");
    }
}
