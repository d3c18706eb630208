//! Thousands of packets, plain, odd and hostile, on two nodes: one with the fast path, one without.
//! What arrives where must be the same, byte for byte.

use std::thread;

use testnet::{Sniffer, fewer};

use crate::ground::{A, B, C, Ground};
use crate::packets::{ACK, MORE, Spec, TCP, UDP, WHOLE};

const BATCHES: u32 = 60;
/// Few enough for a sniffer's buffer.
const BATCH: u64 = 60;
const MARK: &[u8; 4] = b"PNTN";

fn batches() -> u64 {
    fewer(BATCHES).into()
}

/// xorshift64*: the same packets on both nodes.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// Few flows, so that most packets are of one that is known; every fourth is odd in a way.
fn spec(random: &mut Random, number: u64) -> Spec {
    let family = random.below(2) as usize;
    let protocol = random.of(&[TCP, UDP]);
    let to = random.of(&[B, C]);
    let mut spec = Spec::new(A, to, family, protocol);
    spec.ports.0 += random.below(3) as u16;
    let mut payload = vec![b'.'; random.below(1_200) as usize];
    payload.extend(MARK);
    payload.extend(number.to_be_bytes());
    spec.payload = payload;
    if random.below(4) == 0 {
        make_odd(&mut spec, random);
    }
    spec
}

/// Odd in one way.
pub fn make_odd(spec: &mut Spec, random: &mut Random) {
    let family = usize::from(spec.addresses.0.is_ipv6());
    let other = Spec::new(C, B, family, spec.protocol);
    match random.below(14) {
        0 => spec.tcp_flags = random.below(64) as u8,
        1 => spec.fragment = MORE,
        2 => spec.fragment = random.below(100) as u16,
        3 => spec.options = 1 + random.below(9) as u8,
        4 => spec.checksum_error = random.below(3) as u16,
        5 => spec.length_error = random.below(64) as i16 - 32,
        6 => spec.macs.0 = other.macs.0,
        7 => spec.addresses.0 = other.addresses.0,
        8 => spec.macs.1 = random.of(&[B.mac(), C.mac(), [0xff; 6], [2, 0, 0, 0, 5, 99]]),
        9 => spec.protocol = if family == 0 { 1 } else { 58 },
        10 => spec.tos = random.below(256) as u8,
        11 => spec.hops = random.below(3) as u8,
        12 => spec.fragment = WHOLE | 0x8000,
        _ => spec.tcp_flags = ACK | 0xc0,
    }
}

/// What arrived at B and C, sorted: the way may overtake, but neither lose nor make.
fn deliveries(fast: bool, bridge_nf: bool) -> (Vec<Vec<u8>>, u64) {
    let ground = if fast {
        Ground::on(bridge_nf)
    } else {
        Ground::new(bridge_nf)
    };
    let sniffers = [B, C].map(|end| (end.netns().sniff("eth0"), end));
    let mut random = Random(0x5eed);
    let mut arrived = Vec::new();
    for batch in 0..batches() {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let mut frames: Vec<_> = numbers.map(|n| spec(&mut random, n).frame()).collect();
        let marker = format!("end of {batch}").into_bytes();
        for end in [B, C] {
            let marker = marker.clone();
            frames.push(
                Spec::new(A, end, 0, UDP)
                    .with(|s| s.payload = marker)
                    .frame(),
            );
        }
        A.netns().send_frames("eth0", &frames);
        for (sniffer, end) in &sniffers {
            arrived.extend(before(sniffer, &marker, end.1));
        }
    }
    arrived.sort();
    let carried = if fast { ground.fast(A) } else { 0 };
    (arrived, carried)
}

/// The test's own frames, with the end they arrived at before them.
fn before(sniffer: &Sniffer, marker: &[u8], end: u8) -> Vec<Vec<u8>> {
    let frames = sniffer.until(|frame| frame.ends_with(marker));
    let own = frames
        .into_iter()
        .filter(|frame| frame.windows(MARK.len()).any(|bytes| bytes == MARK));
    own.map(|frame| [&[end][..], &frame].concat()).collect()
}

/// What is delivered with and without, and how much of it was carried. `sent` is how many.
pub fn assert_same<F>(sent: u64, deliveries: F)
where
    F: Fn(bool) -> (Vec<Vec<u8>>, u64) + Copy + Send + 'static,
{
    let run = |fast: bool| thread::spawn(move || deliveries(fast));
    let (with, without) = (run(true), run(false));
    let ((with, carried), (without, _)) = (with.join().unwrap(), without.join().unwrap());
    assert!(carried > sent / 3, "only {carried} were carried");
    assert!(without.len() as u64 > sent / 2);
    let lost = without.iter().filter(|f| with.binary_search(f).is_err());
    let made = with.iter().filter(|f| without.binary_search(f).is_err());
    let (lost, made): (Vec<_>, Vec<_>) = (lost.collect(), made.collect());
    assert!(
        lost.is_empty() && made.is_empty(),
        "lost {lost:x?}\nmade {made:x?}"
    );
    assert_eq!(with.len(), without.len());
}

#[test]
fn the_same_packets_arrive_with_and_without() {
    assert_same(batches() * BATCH, |fast| deliveries(fast, false));
}

#[test]
fn the_same_packets_arrive_where_br_netfilter_looks() {
    assert_same(batches() * BATCH, |fast| deliveries(fast, true));
}
