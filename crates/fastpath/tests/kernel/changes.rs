//! What changes while flows run: rules, ports, the fast path itself.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use fastpath::{Hindrance, Hook};
use testnet::{fewer, wait_until};

use crate::ground::{self, A, B, BOUND, C, Datagrams, Ground, NETWORK, Stream, port, ports};

/// A proof holds for a second.
const STALE: Duration = Duration::from_secs(4);
/// How old a proof may be, and something for the clock.
const PROOF: Duration = Duration::from_millis(1100);
/// How long nothing arrives when nothing comes any more.
const SILENCE: Duration = Duration::from_millis(400);
const BRIDGE_RULE: &str = "nft add table bridge foreign
    nft add chain bridge foreign c '{ type filter hook forward priority 0; }'
    nft add rule bridge foreign c ip saddr 10.5.0.10 ip daddr 10.5.0.11 drop";
const IP_RULE: &str = "nft add table ip foreign
    nft add chain ip foreign c '{ type filter hook forward priority 0; }'
    nft add rule ip foreign c ip saddr 10.5.0.10 ip daddr 10.5.0.11 drop";
const LEGACY_RULE: &str = "iptables-legacy -A FORWARD -s 10.5.0.10 -d 10.5.0.11 -j DROP";
const NETDEV_RULE: &str = "nft add table netdev foreign
    nft add chain netdev foreign c '{ type filter hook egress device pont11 priority 0; }'
    nft add rule netdev foreign c ip saddr 10.5.0.10 drop";

/// A flow that runs fast, short timeouts set.
fn running(ground: &Ground) -> Datagrams {
    let flow = Datagrams::between(A, B, 0);
    let before = ground.fast(A);
    wait_until("the flow is fast", BOUND, || {
        assert!(flow.passes(b"again"));
        ground.fast(A) > before
    });
    let short = Some(SILENCE);
    flow.server.set_read_timeout(short).unwrap();
    flow
}

fn arrives(flow: &Datagrams) -> bool {
    flow.client.send(b"again").unwrap();
    flow.server.recv(&mut [0; 64]).is_ok()
}

#[test]
fn a_new_rule_bites_at_the_next_packet_after_a_bump() {
    for (bridge_nf, rule) in [
        (false, BRIDGE_RULE),
        (true, IP_RULE),
        (true, LEGACY_RULE),
        (false, NETDEV_RULE),
    ] {
        thread::scope(|scope| {
            scope.spawn(|| {
                let ground = Ground::on(bridge_nf);
                let flow = running(&ground);
                ground.node.sh(rule);
                ground.fastpath.bump().unwrap();
                assert!(!arrives(&flow), "it went around: {rule}");
                assert!(!arrives(&flow), "it went around later: {rule}");
            });
        });
    }
}

#[test]
fn a_new_rule_bites_by_itself_when_proofs_are_stale() {
    let ground = Ground::on(false);
    let flow = running(&ground);
    ground.node.sh(BRIDGE_RULE);
    // Each processor has a proof of its own: the first silence is one's alone.
    let ruled = Instant::now();
    wait_until("the rule bites", STALE, || {
        !arrives(&flow) && ruled.elapsed() > PROOF
    });
    let fast = ground.fast(A);
    assert!(!arrives(&flow));
    assert_eq!(ground.fast(A), fast, "carried against the rule");
}

#[test]
fn a_rule_that_goes_lets_the_flow_be_fast_again() {
    let ground = Ground::on(false);
    ground.node.sh(BRIDGE_RULE);
    let flow = Datagrams::between(A, B, 0);
    let short = Some(SILENCE);
    flow.server.set_read_timeout(short).unwrap();
    assert!(!arrives(&flow) && !arrives(&flow));
    ground.node.sh("nft delete table bridge foreign");
    let before = ground.fast(A);
    wait_until("the flow is fast", BOUND, || {
        arrives(&flow) && ground.fast(A) > before
    });
}

fn assert_nothing_lost(ground: &Ground, change: impl FnOnce()) {
    let flows = (Datagrams::between(A, B, 0), Stream::between(A, B, 1));
    ground::assert_nothing_lost(flows, || {
        wait_until("both run", BOUND, || {
            ground.status(A).fast_packets > 10 || ground.fastpath.networks().unwrap().is_empty()
        });
        change();
    });
}

#[test]
fn nothing_is_lost_when_it_goes_off_and_on_under_traffic() {
    let ground = Ground::on(false);
    assert_nothing_lost(&ground, || {
        for _ in 0..fewer(5) {
            ground.fastpath.turn_off(None).unwrap();
            ground.turn_on();
            let before = ground.fast(A);
            wait_until("it is fast again", BOUND, || ground.fast(A) > before + 10);
        }
    });
}

#[test]
fn nothing_is_lost_when_programs_are_replaced_under_traffic() {
    let ground = Ground::on(false);
    assert_nothing_lost(&ground, || {
        for _ in 0..fewer(5) {
            let before = ground.fast(A);
            ground.turn_on();
            wait_until("it is still fast", BOUND, || ground.fast(A) > before + 10);
        }
    });
}

#[test]
fn a_port_that_is_withdrawn_is_reached_by_the_kernels_way() {
    let ground = Ground::on(false);
    let flow = running(&ground);
    let name = port(B).name;
    ground.fastpath.withdraw(NETWORK, &name).unwrap();
    let before = ground.fast(A);
    for _ in 0..20 {
        assert!(arrives(&flow));
    }
    assert_eq!(ground.fast(A), before);
    // The kernel takes an attachment that nobody holds off in its own time.
    wait_until("it is off", BOUND, || !ground.status(B).attached);
    assert_eq!(ground.fastpath.add(&port(B)).unwrap(), None);
    wait_until("it is fast again", BOUND, || {
        arrives(&flow) && ground.fast(A) > before
    });
}

#[test]
fn a_deleted_port_is_forgotten() {
    let ground = Ground::on(false);
    let _flow = running(&ground);
    ground.node.sh("ip link del pont11");
    let ensured = ground.fastpath.ensure(&ports(), &[]).unwrap();
    assert_eq!(ensured.hindered, [(port(B).name, Hindrance::NoDevice)]);
    let flow = Datagrams::between(A, C, 0);
    assert!(flow.passes(b"the others go on"));
}

#[test]
fn a_port_with_a_queue_or_a_filter_goes_without() {
    let ground = Ground::new(false);
    // Where our programs are filters, nothing else has its place once they are on.
    ground.node.sh("tc qdisc add dev pont12 ingress");
    ground.fastpath.turn_on(&[NETWORK], 1).unwrap();
    let ensured = ground.fastpath.ensure(&ports(), &[]).unwrap();
    assert_eq!((ensured.on.len(), ensured.hindered.len()), (2, 1));
    ground
        .node
        .sh("tc qdisc add dev pont11 root tbf rate 10mbit burst 10kb latency 50ms");
    let ensured = ground.fastpath.ensure(&ports(), &[]).unwrap();
    let qdisc = |kind: &str| Hindrance::Qdisc(kind.to_owned());
    assert_eq!(ensured.on, [port(A).name]);
    assert_eq!(
        ensured.hindered,
        [
            (port(B).name, qdisc("tbf")),
            (port(C).name, qdisc("ingress"))
        ]
    );
    let flow = Datagrams::between(A, B, 0);
    let before = ground.fast(A);
    for _ in 0..20 {
        assert!(flow.passes(b"through the queue"));
    }
    assert_eq!(ground.fast(A), before);
}

/// As a killed `on` or a hand in bpffs leaves it: without a program's pin, or one's attachment.
#[test]
fn on_makes_whole_what_is_there_by_halves() {
    let ground = Ground::on(false);
    let folder = format!("/sys/fs/bpf/pontoon/{}", model::NodeId::from_bits(0xfa57));
    for pin in ["pontoon_out", "pontoon_in", "networks/7/pont10-out"] {
        fs::remove_file(Path::new(&folder).join(pin)).unwrap();
        let flow = Datagrams::between(A, B, 0);
        assert!(flow.passes(b"goes on"));
        ground.turn_on();
        running(&ground);
    }
    fs::remove_file(Path::new(&folder).join("pontoon_in")).unwrap();
    ground.fastpath.turn_off(None).unwrap();
    assert!(!Path::new(&folder).exists());
}

#[test]
fn off_leaves_nothing() {
    let ground = Ground::on(false);
    let _flow = running(&ground);
    ground.fastpath.turn_off(None).unwrap();
    assert!(ground.fastpath.status(&ports()).unwrap().is_none());
    let left: Vec<_> = fs::read_dir(Path::new("/sys/fs/bpf/pontoon"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
    ground.fastpath.turn_off(None).unwrap();
}

/// As on a kernel without tcx.
fn on_by_filters() -> Ground {
    let mut ground = Ground::new(false);
    let node = model::NodeId::from_bits(0xfa58);
    ground.fastpath = fastpath::FastPath::with_hook(node, Hook::Clsact);
    ground.turn_on();
    ground
}

#[test]
fn a_kernel_without_tcx_is_served_by_filters() {
    let ground = on_by_filters();
    let flow = running(&ground);
    assert!(ground.status(A).attached);
    ground.node.sh(BRIDGE_RULE);
    ground.fastpath.bump().unwrap();
    assert!(!arrives(&flow));
    ground.node.sh("nft delete table bridge foreign");
    assert_nothing_lost(&ground, || {
        ground.turn_on();
        ground.fastpath.turn_off(None).unwrap();
    });
    let filters = ground.node.sh("tc filter show dev pont10 ingress");
    assert_eq!(filters, "");
}

#[test]
fn filters_that_are_there_stay_and_are_missed_when_they_are_gone() {
    let ground = on_by_filters();
    let look = "tc filter show dev pont10 ingress";
    let filter = ground.node.sh(look);
    assert!(filter.contains("pontoon_in"), "{filter}");
    ground.fastpath.ensure(&ports(), &[]).unwrap();
    assert_eq!(ground.node.sh(look), filter);
    // Other programs come in the place of those that are there: whoever is killed meanwhile
    // leaves a filter on each port.
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            (0..fewer(10)).for_each(|_| ground.turn_on());
            done.store(true, Relaxed);
        });
        while !done.load(Relaxed) {
            assert!(ground.node.sh(look).contains("pontoon_in"));
        }
    });
    assert_ne!(ground.node.sh(look), filter);
    ground.node.sh("tc filter del dev pont10 ingress");
    assert!(!ground.status(A).attached);
    ground.fastpath.ensure(&ports(), &[]).unwrap();
    assert!(ground.status(A).attached);
    let _flow = running(&ground);
    ground.fastpath.turn_off(None).unwrap();
    assert_eq!(ground.node.sh(look), "");
}

/// An agent hears of rules, and of the attachments themselves, while somebody turns it on.
#[test]
fn on_is_whole_whoever_voids_proofs_meanwhile() {
    let ground = Ground::on(false);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                // It may be off just now.
                let _ = ground.fastpath.bump();
            }
        });
        for _ in 0..fewer(20) {
            ground.fastpath.turn_off(None).unwrap();
            ground.turn_on();
        }
        done.store(true, Relaxed);
    });
    let status = ground.fastpath.status(&ports()).unwrap().unwrap();
    assert_eq!(status.proof_ms, 1000);
    running(&ground);
}

#[test]
fn what_another_build_has_left_is_turned_off() {
    let ground = Ground::on(false);
    let flow = Datagrams::between(A, B, 0);
    assert!(flow.passes(b"before"));
    let pins = "/sys/fs/bpf/pontoon/*";
    // As one whose settings have another length.
    ground
        .node
        .sh(&format!("mv {pins}/COUNTERS {pins}/SETTINGS"));
    assert!(ground.fastpath.status(&[]).is_err());
    ground.fastpath.turn_off(None).unwrap();
    assert_eq!(ground.node.sh("ls /sys/fs/bpf/pontoon"), "");
    assert!(flow.passes(b"after"));
    ground.turn_on();
    let before = ground.fast(A);
    assert!(flow.passes(b"again"));
    assert!(flow.passes(b"again"));
    assert!(ground.fast(A) > before);
}
