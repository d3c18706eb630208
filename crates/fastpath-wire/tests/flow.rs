//! Which frames are plain, and what tells flows apart: examples, and properties over any bytes.

#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use fastpath_wire::{
    Bucket, Flow, FlowKey, NO_ADDRESS, Port, Proof, Settings, Sized, Slow, Terms, Verdict,
    parse_flow,
};
use proptest::prelude::*;

const FROM: [u8; 6] = [2, 0, 0, 0, 5, 10];
const TO: [u8; 6] = [2, 0, 0, 0, 5, 11];
const SECOND: u64 = 1_000_000_000;

/// IPv4 TCP, an ACK with some data.
fn tcp4() -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 44, 0, 1, 0x40, 0, 64, 6, 0, 0];
    ip.extend([10, 5, 0, 10, 10, 5, 0, 11]);
    let sum: u32 = ip
        .chunks(2)
        .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let tcp = [
        0x1f, 0x90, 0xa0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
    ];
    [&TO[..], &FROM, &[8, 0], &ip, &tcp, b"data"].concat()
}

/// IPv6 UDP with some data.
fn udp6() -> Vec<u8> {
    let mut ip = vec![0x60, 0, 0, 0, 0, 12, 17, 64];
    for end in [10, 11] {
        ip.extend([0xfd, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end]);
    }
    let udp = [0x1f, 0x90, 0xa0, 0, 0, 12, 0, 0];
    [&TO[..], &FROM, &[0x86, 0xdd], &ip, &udp, b"data"].concat()
}

fn parse(frame: &[u8]) -> Result<Flow, Slow> {
    parse_flow(&frame)
}

fn changed(frame: &[u8], at: usize, to: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at] = to;
    frame
}

#[test]
fn plain_frames_are_flows() {
    assert_eq!(parse(&tcp4()).unwrap().headers, 54);
    assert_eq!(parse(&udp6()).unwrap().headers, 62);
}

#[test]
fn what_is_not_plain_says_why() {
    let (tcp, udp) = (tcp4(), udp6());
    let cases: &[(&[u8], usize, u8, Slow)] = &[
        (&tcp, 13, 6, Slow::NotIp),
        (&tcp, 12, 0x81, Slow::NotIp),
        (&tcp, 14, 0x46, Slow::Options),
        (&tcp, 14, 0x65, Slow::Odd),
        (&tcp, 20, 0x20, Slow::Fragment),
        (&tcp, 20, 0x80, Slow::Fragment),
        (&tcp, 21, 1, Slow::Fragment),
        (&tcp, 17, 43, Slow::Odd),
        (&tcp, 24, 0, Slow::Odd),
        (&tcp, 46, 0x40, Slow::Odd),
        (&tcp, 46, 0xf0, Slow::Odd),
        (&tcp, 47, 0x12, Slow::TcpFlags),
        (&tcp, 47, 0x11, Slow::TcpFlags),
        (&tcp, 47, 0x14, Slow::TcpFlags),
        (&tcp, 47, 0x30, Slow::TcpFlags),
        (&tcp, 47, 0x00, Slow::TcpFlags),
        (&udp, 20, 44, Slow::Fragment),
        (&udp, 20, 0, Slow::Protocol),
        (&udp, 20, 58, Slow::Protocol),
        (&udp, 19, 13, Slow::Odd),
        (&udp, 59, 11, Slow::Odd),
        (&udp, 14, 0x45, Slow::Odd),
    ];
    for (frame, at, to, why) in cases {
        assert_eq!(parse(&changed(frame, *at, *to)), Err(*why), "{at} {to:#x}");
    }
    for length in 0..tcp.len() {
        assert!(parse(&tcp[..length]).is_err(), "{length} bytes");
    }
    for length in 0..udp.len() {
        assert!(parse(&udp[..length]).is_err(), "{length} bytes");
    }
    assert_eq!(parse(&[&tcp[..], b"x"].concat()), Err(Slow::Odd));
}

fn port(mac: [u8; 6], last: u8) -> Port {
    let v4 = u32::from_ne_bytes(Ipv4Addr::new(10, 5, 0, last).octets());
    let mut v6 = [0xfd, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0_u8];
    v6[15] = last;
    let word = |at: usize| u64::from_ne_bytes(v6[at..at + 8].try_into().unwrap());
    let [a, b, c, d, e, f] = mac;
    Port {
        network: 1,
        mtu: 1500,
        aside_until_ns: 0,
        mac: [a, b, c, d, e, f, 0, 0],
        counters: 0,
        unused: 0,
        addresses: [[u64::from(v4), 0], [word(0), word(8)], NO_ADDRESS],
    }
}

#[test]
fn endpoints_speak_with_their_own_names_only() {
    let (from, to) = (port(FROM, 10), port(TO, 11));
    for frame in [tcp4(), udp6()] {
        let flow = parse(&frame).unwrap();
        assert!(from.speaks_to(&to, &flow));
        assert!(!to.speaks_to(&from, &flow));
        assert!(!from.speaks_to(&from, &flow));
        assert!(!from.speaks_to(&Port { network: 2, ..to }, &flow));
        assert!(!port(FROM, 12).speaks_to(&to, &flow));
        assert!(!from.speaks_to(&port(TO, 12), &flow));
        assert!(!port(TO, 10).speaks_to(&to, &flow));
        let nobody = Port {
            addresses: [NO_ADDRESS; 3],
            ..from
        };
        assert!(!nobody.speaks_to(&to, &flow));
    }
}

const TERMS: Terms<'_> = Terms {
    settings: &Settings {
        proof_ns: SECOND,
        seed: 7,
        token: 1,
        has_routed: 0,
    },
    generation: 3,
};

fn proof() -> Proof {
    Proof {
        key: FlowKey([1; 7]),
        proved_ns: 10 * SECOND,
        asked_ns: 0,
        generation: 3,
        target: 5,
        frame_max: 1514,
        counters: 0,
    }
}

const ONE: Sized = Sized {
    frame: 1514,
    headers: 54,
    segment: 0,
};

#[test]
fn a_proof_holds_for_its_time_and_generation() {
    let verdict = |after: u64| proof().verdict(10 * SECOND + after, &TERMS, ONE);
    assert_eq!(verdict(0), Verdict::Fast);
    assert_eq!(verdict(SECOND / 2 - 1), Verdict::Fast);
    assert_eq!(verdict(SECOND / 2), Verdict::FastAndAsk);
    assert_eq!(verdict(SECOND), Verdict::Unproved);
    let old = Proof {
        generation: 2,
        ..proof()
    };
    assert_eq!(old.verdict(10 * SECOND, &TERMS, ONE), Verdict::Unproved);
    // A clock that was read before the proof was written.
    let before = proof().verdict(10 * SECOND - 1, &TERMS, ONE);
    assert_eq!(before, Verdict::Unproved);
}

#[test]
fn a_proof_is_renewed_by_one_copy_at_a_time() {
    let asked = Proof {
        asked_ns: 10 * SECOND + SECOND / 2,
        ..proof()
    };
    let verdict = |after: u64| asked.verdict(10 * SECOND + after, &TERMS, ONE);
    assert_eq!(verdict(SECOND / 2 + 1), Verdict::Fast);
    assert_eq!(verdict(SECOND / 4 * 3), Verdict::FastAndAsk);
}

#[test]
fn what_does_not_fit_is_too_big() {
    let verdict = |size| proof().verdict(10 * SECOND, &TERMS, size);
    let big = Sized { frame: 1515, ..ONE };
    assert_eq!(verdict(big), Verdict::TooBig);
    let segments = |segment| Sized {
        frame: 64_000,
        headers: 66,
        segment,
    };
    assert_eq!(verdict(segments(1448)), Verdict::Fast);
    assert_eq!(verdict(segments(1449)), Verdict::TooBig);
}

#[test]
fn a_bucket_keeps_two_flows_and_gives_up_the_older() {
    let empty = Proof {
        key: FlowKey([0; 7]),
        proved_ns: 0,
        ..proof()
    };
    let mut bucket = Bucket { proofs: [empty; 2] };
    for (n, flow) in [1, 2, 3].into_iter().enumerate() {
        let key = FlowKey([flow; 7]);
        let place = bucket.place(&key);
        (place.key, place.proved_ns) = (key, n as u64 + 1);
    }
    assert!(bucket.find(&FlowKey([1; 7])).is_none());
    assert_eq!(bucket.find(&FlowKey([2; 7])).unwrap().proved_ns, 2);
    assert_eq!(bucket.find(&FlowKey([3; 7])).unwrap().proved_ns, 3);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// Reads any bytes without a panic, and accepts only what an independent reading calls plain.
    #[test]
    fn any_bytes_are_read(
        start in prop_oneof![Just(tcp4()), Just(udp6())],
        edits in prop::collection::vec((0_usize..120, any::<u8>()), 0..4),
        length in 0_usize..130,
    ) {
        let mut frame = start;
        for (at, to) in edits {
            if let Some(byte) = frame.get_mut(at) {
                *byte = to;
            }
        }
        if length < 100 {
            frame.truncate(length);
        }
        if parse(&frame).is_ok() {
            let ipv4 = frame[12..14] == [8, 0];
            let (next, header) = if ipv4 { (frame[23], 34) } else { (frame[20], 54) };
            prop_assert!(ipv4 || frame[12..14] == [0x86, 0xdd]);
            prop_assert!(next == 17 || frame[header + 13] & 0x37 == 0x10);
            prop_assert!(next == 17 || next == 6);
            let said = if ipv4 {
                usize::from(u16::from_be_bytes([frame[16], frame[17]])) + 14
            } else {
                usize::from(u16::from_be_bytes([frame[18], frame[19]])) + 54
            };
            prop_assert_eq!(said, frame.len());
        }
    }

    /// What a rule of a bridge can match tells flows apart; what changes from packet to packet
    /// does not.
    #[test]
    fn headers_tell_flows_apart(
        frame in prop_oneof![Just(tcp4()), Just(udp6())],
        at in 0_usize..62,
        to in any::<u8>(),
    ) {
        let ipv4 = frame[12..14] == [8, 0];
        let at = at.min(frame.len() - 1);
        let other = changed(&frame, at, to);
        prop_assume!(other != frame);
        let key = parse(&frame).unwrap().key(1);
        if let Ok(flow) = parse(&other) {
            let free: &[std::ops::Range<usize>] = if ipv4 {
                // Sequence numbers, PSH, ECE and CWR, window, checksum, urgent pointer, data; the
                // header's length with fewer words of options.
                &[38..54, 54..58]
            } else {
                // ECN and flow label, the checksum, data.
                &[15..18, 60..66]
            };
            let is_free = free.iter().any(|range| range.contains(&at));
            let same = flow.key(1).is(&key);
            if !is_free {
                prop_assert!(!same, "byte {at} does not count");
            } else if ipv4 || at != 15 {
                prop_assert!(same, "byte {at} counts");
            }
        }
        prop_assert!(!parse(&frame).unwrap().key(2).is(&key));
    }
}
