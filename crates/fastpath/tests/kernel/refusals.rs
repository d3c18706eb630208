//! What is never carried fast, each next to a packet that is: the kernel decides about it.

use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use testnet::wait_until;

use crate::ground::{A, B, BOUND, C, Ground};
use crate::packets::{ACK, FIN, MORE, PSH, RST, SYN, Spec, TCP, UDP, URG};

/// A flow that is carried, and the counters to watch.
struct Carried {
    ground: Ground,
    spec: Spec,
}

/// A proof is its CPU's own: on another a packet would be slow for want of one, and not for what it
/// is. Threads that start here stay, too.
fn stay_on_this_cpu() {
    let mut this = CpuSet::new();
    this.set(sched_getcpu());
    sched_setaffinity(None, &this).unwrap();
}

impl Carried {
    fn new(family: usize, protocol: u8) -> Self {
        stay_on_this_cpu();
        let ground = Ground::on(false);
        let spec = Spec::new(A, B, family, protocol);
        let carried = Self { ground, spec };
        carried.assert_fast();
        carried
    }

    fn send(&self, spec: &Spec) {
        A.netns().send_frame("eth0", &spec.frame());
    }

    fn counted(&self) -> (u64, u64) {
        let status = self.ground.status(A);
        (status.fast_packets, status.slow_packets)
    }

    fn slow(&self, why: &str) -> u64 {
        let slow = self.ground.status(A).slow;
        slow.iter().find(|s| s.why == why).map_or(0, |s| s.packets)
    }

    /// The flow is carried, once its CPU has seen it.
    fn assert_fast(&self) {
        let (before, _) = self.counted();
        wait_until("a packet is carried", BOUND, || {
            self.send(&self.spec);
            self.counted().0 > before
        });
    }

    /// Not carried, not even when it comes again and again; and the flow itself goes on.
    fn assert_slow(&self, why: &str, spec: &Spec) {
        let (fast, slow) = (self.counted().0, self.slow(why));
        for n in 1..=4 {
            self.send(spec);
            let what = format!("{why}, {n} times: {spec:?}");
            wait_until(&what, BOUND, || self.slow(why) >= slow + n);
        }
        assert_eq!(self.counted().0, fast, "carried: {spec:?}");
        self.assert_fast();
    }
}

#[test]
fn what_opens_or_ends_a_connection_goes_the_kernels_way() {
    for family in [0, 1] {
        let carried = Carried::new(family, TCP);
        for flags in [SYN, SYN | ACK, FIN | ACK, RST, RST | ACK, URG | ACK, 0, PSH] {
            let spec = carried.spec.with(|s| s.tcp_flags = flags);
            carried.assert_slow("tcp-flags", &spec);
        }
    }
}

#[test]
fn fragments_options_and_other_protocols_go_the_kernels_way() {
    for (family, icmp) in [(0, 1), (1, 58)] {
        let carried = Carried::new(family, UDP);
        let spec = &carried.spec;
        carried.assert_slow("fragment", &spec.with(|s| s.fragment = MORE));
        carried.assert_slow("fragment", &spec.with(|s| s.fragment = 3));
        let options = if family == 0 { "options" } else { "protocol" };
        carried.assert_slow(options, &spec.with(|s| s.options = 1));
        carried.assert_slow("protocol", &spec.with(|s| s.protocol = icmp));
    }
}

#[test]
fn packets_that_contradict_themselves_go_the_kernels_way() {
    let carried = Carried::new(0, UDP);
    let spec = &carried.spec;
    carried.assert_slow("odd", &spec.with(|s| s.checksum_error = 1));
    for family in [0, 1] {
        let carried = Carried::new(family, UDP);
        for error in [-1, 1, -10, 100] {
            carried.assert_slow("odd", &carried.spec.with(|s| s.length_error = error));
        }
    }
}

#[test]
fn a_forged_source_is_never_carried() {
    for family in [0, 1] {
        let carried = Carried::new(family, UDP);
        let spec = &carried.spec;
        let foreign = Spec::new(C, B, family, UDP);
        carried.assert_slow("unproved", &spec.with(|s| s.macs.0 = foreign.macs.0));
        carried.assert_slow(
            "unproved",
            &spec.with(|s| s.addresses.0 = foreign.addresses.0),
        );
        carried.assert_slow("unproved", &foreign);
        let elsewhere = ["10.9.9.9".parse().unwrap(), "fd00:9::9".parse().unwrap()];
        carried.assert_slow(
            "unproved",
            &spec.with(|s| s.addresses.0 = elsewhere[family]),
        );
        carried.assert_slow(
            "unproved",
            &spec.with(|s| s.addresses.1 = elsewhere[family]),
        );
    }
}

#[test]
fn what_is_for_the_gateway_or_for_all_is_not_carried() {
    let carried = Carried::new(0, UDP);
    let bridge = carried.ground.node.netns().mac_of("br0");
    carried.assert_slow("unproved", &carried.spec.with(|s| s.macs.1 = bridge));
    carried.assert_slow("unproved", &carried.spec.with(|s| s.macs.1 = [0xff; 6]));
    carried.assert_slow("unproved", &carried.spec.with(|s| s.macs.1 = C.mac()));
}

#[test]
fn a_tag_goes_the_kernels_way() {
    let carried = Carried::new(0, UDP);
    let plain = carried.spec.frame();
    let tagged = [&plain[..12], &[0x81, 0, 0, 5], &plain[12..]].concat();
    let (fast, slow) = (carried.counted().0, carried.slow("not-ip"));
    A.netns().send_frame("eth0", &tagged);
    wait_until("it is counted", BOUND, || carried.slow("not-ip") > slow);
    assert_eq!(carried.counted().0, fast);
}

#[test]
fn what_the_receiver_has_no_room_for_goes_the_kernels_way() {
    let carried = Carried::new(0, UDP);
    let node = &carried.ground.node;
    node.sh("ip -n a link set eth0 mtu 9000; ip link set pont10 mtu 9000");
    carried.assert_fast();
    let arrivals = B.netns().sniff("eth0");
    let big = carried.spec.with(|s| s.payload = vec![7; 1_600]);
    carried.assert_slow("too-big", &big);
    let marker = carried.spec.with(|s| s.payload = b"marker".to_vec());
    carried.send(&marker);
    let before = arrivals.until(|frame| frame.ends_with(b"marker"));
    assert!(before.iter().all(|frame| frame.len() < 1_600));
}
