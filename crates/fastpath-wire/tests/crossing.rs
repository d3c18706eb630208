//! What is put around packets between nodes, and what is read of it: every length and checksum is
//! computed once more, the slow way.

#![allow(clippy::unwrap_used)]

use fastpath_wire::{
    ARRIVAL_FRONT, Around, Arrival, FRONT_MAX, Flow, FlowKey, IP_FIRST, Inside, IpFirst, Leaving,
    Load, Outer, Proof, Underlay, VXLAN4_BYTES, VXLAN6_BYTES, parse_flow, parse_outer,
    parse_receiver,
};
use proptest::prelude::*;

const BEFORE: [u8; 12] = [2, 0, 0, 51, 1, 1, 2, 0, 0, 50, 1, 10];
const AFTER: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
const UDP: u8 = 17;
/// ECT(0) and "congestion experienced".
const CAPABLE: u8 = 2;
const CONGESTED: u8 = 3;

fn sum(bytes: &[u8]) -> u32 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    bytes.chunks(2).map(word).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// An IP header in front of a packet, of either family by the length of the addresses.
fn ip(addresses: [&[u8]; 2], tos: u8, hops: u8, payload: &[u8]) -> Vec<u8> {
    let [from, to] = addresses;
    if from.len() == 16 {
        let length = (payload.len() as u16).to_be_bytes();
        let head = [
            0x60 | tos >> 4,
            tos << 4 | 3,
            7,
            9,
            length[0],
            length[1],
            UDP,
            hops,
        ];
        return [&head[..], from, to, payload].concat();
    }
    let length = (20 + payload.len() as u16).to_be_bytes();
    let mut h = vec![
        0x45, tos, length[0], length[1], 0x12, 0x34, 0, 0, hops, UDP, 0, 0,
    ];
    h.extend([from, to].concat());
    let check = !fold(sum(&h));
    h[10..12].copy_from_slice(&check.to_be_bytes());
    [&h[..], payload].concat()
}

/// UDP with a checksum that is open, as a socket leaves it to the device, or complete.
fn udp(addresses: [&[u8]; 2], ports: [u16; 2], data: &[u8], open: bool) -> Vec<u8> {
    let length = 8 + data.len() as u16;
    let mut segment = [ports[0], ports[1], length, 0]
        .map(u16::to_be_bytes)
        .concat();
    segment.extend(data);
    let pseudo = sum(addresses[0]) + sum(addresses[1]) + u32::from(UDP) + u32::from(length);
    let check = match open {
        true => fold(pseudo),
        // Zero would say that there is none (RFC 768).
        false => match !fold(pseudo + sum(&segment)) {
            0 => 0xffff,
            check => check,
        },
    };
    segment[6..8].copy_from_slice(&check.to_be_bytes());
    segment
}

/// Addresses of a family, for the inside or the outside.
fn addresses(is_ipv4: bool, prefix: u8) -> [Vec<u8>; 2] {
    [1, 2].map(|n| match is_ipv4 {
        true => vec![10, prefix, n, 10],
        false => [&[0xfd, 0, 0, prefix][..], &[0; 10], &[n, 0xfe]].concat(),
    })
}

/// A packet of the flow, before its node and behind it.
struct Inner {
    ethertype: [u8; 2],
    addresses: [Vec<u8>; 2],
    tos: u8,
}

impl Inner {
    fn new(is_ipv4: bool, tos: u8) -> Self {
        Self {
            ethertype: if is_ipv4 { [8, 0] } else { [0x86, 0xdd] },
            addresses: addresses(is_ipv4, 50),
            tos,
        }
    }

    fn frame(&self, macs: &[u8; 12], hops: u8, data: &[u8], open: bool) -> Vec<u8> {
        let addresses = [&*self.addresses[0], &*self.addresses[1]];
        let segment = udp(addresses, [4_000, 5_000], data, open);
        let packet = ip(addresses, self.tos, hops, &segment);
        [&macs[..], &self.ethertype, &packet].concat()
    }

    /// In VXLAN as the kernel sends it, but for the checksum, which is not looked at.
    fn around(&self, underlay: Underlay, inner: &[u8]) -> Vec<u8> {
        let is_ipv4 = underlay == Underlay::Ipv4;
        let nodes = addresses(is_ipv4, 99);
        let vxlan = [&[8, 0, 0, 0, 0, 0x10, 0, 0][..], inner].concat();
        let segment = udp([&nodes[0], &nodes[1]], [55_555, 4_789], &vxlan, false);
        let packet = ip([&nodes[0], &nodes[1]], self.tos & 3, 64, &segment);
        let ethertype = if is_ipv4 { [8, 0] } else { [0x86, 0xdd] };
        [
            &[2, 9, 9, 9, 9, 2, 2, 9, 9, 9, 9, 1][..],
            &ethertype,
            &packet,
        ]
        .concat()
    }
}

fn nothing() -> Leaving {
    Leaving {
        proof: Proof {
            key: FlowKey([0; 7]),
            proved_ns: 0,
            asked_ns: 0,
            generation: 0,
            target: 0,
            frame_max: 0,
            counters: 0,
        },
        mark: 0,
        priority: 0,
        device: 0,
        ip_sum: 0,
        udp_sum: 0,
        inner_sum: 0,
        udp_check: 0,
        hops_taken: 1,
        around: 0,
        id: 0,
        front: [0; FRONT_MAX],
    }
}

fn learnt(underlay: Underlay, sample: &[u8]) -> Leaving {
    let mut way = nothing();
    let flow = inner_flow(underlay, sample);
    match underlay {
        Underlay::Ipv4 => way.learn4(sample.first_chunk().unwrap(), flow.addresses(), UDP),
        Underlay::Ipv6 => way.learn6(sample.first_chunk().unwrap(), flow.addresses(), UDP),
    }
    way
}

fn inner_flow(underlay: Underlay, frame: &[u8]) -> Flow {
    let flow = match underlay {
        Underlay::Ipv4 => parse_flow(&Inside::<_, VXLAN4_BYTES>(&frame)),
        Underlay::Ipv6 => parse_flow(&Inside::<_, VXLAN6_BYTES>(&frame)),
    };
    flow.unwrap()
}

fn load(frame: &[u8], segment: u32) -> Load {
    let flow = parse_flow(&frame).unwrap();
    Load {
        ip: IpFirst::of(frame[14..].first_chunk().unwrap()),
        frame: frame.len() as u32,
        transport: frame.len() as u32 - 14 - flow.ip_bytes(),
        segment,
        check: flow.check,
    }
}

/// What goes in front of a packet.
fn put_around(way: &mut Leaving, underlay: Underlay, frame: &[u8], segment: u32) -> Vec<u8> {
    let load = load(frame, segment);
    match underlay {
        Underlay::Ipv4 => way.front4(&load).to_vec(),
        Underlay::Ipv6 => way.front6(&load).to_vec(),
    }
}

/// Whether the UDP checksum of what is in IP is right.
fn is_sum_right(frame: &[u8]) -> bool {
    let (addresses, segment) = match frame[12] {
        8 => (&frame[26..34], &frame[34..]),
        _ => (&frame[22..54], &frame[54..]),
    };
    let length = segment.len() as u32;
    fold(sum(addresses) + sum(segment) + u32::from(UDP) + length) == 0xffff
}

proptest! {
    /// A packet that is put together from the pattern is what the kernel would send, and says
    /// inside what the container said.
    #[test]
    fn what_is_put_around_is_right(
        underlay in prop_oneof![Just(Underlay::Ipv4), Just(Underlay::Ipv6)],
        is_ipv4: bool,
        dscp in 0_u8..64,
        ecn in 0_u8..4,
        other_ecn in 0_u8..4,
        hops in 2_u8..=255,
        data in proptest::collection::vec(any::<u8>(), 0..300),
        sample_data in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let sample = Inner::new(is_ipv4, dscp << 2);
        let sample = sample.around(underlay, &sample.frame(&AFTER, hops - 1, &sample_data, false));
        let mut way = learnt(underlay, &sample);
        let before = Inner::new(is_ipv4, dscp << 2 | other_ecn);
        let inner = Inner::new(is_ipv4, dscp << 2 | ecn);
        let frame = inner.frame(&BEFORE, hops, &data, true);
        prop_assert!(way.completes(&load(&frame, 0)));
        // The one before it leaves nothing of its own.
        let earlier = before.frame(&BEFORE, hops, &sample_data, true);
        put_around(&mut way, underlay, &earlier, 0);
        put_around(&mut way, underlay, &earlier, 5);
        let front = put_around(&mut way, underlay, &frame, 0);
        let around = underlay.bytes();
        // The device completes the inner checksum.
        let complete = inner.frame(&BEFORE, hops, &data, false);
        let sent = [&front[..], &complete[14 + IP_FIRST..]].concat();
        prop_assert_eq!(&sent[around..], &inner.frame(&AFTER, hops - 1, &data, false)[..]);
        prop_assert!(is_sum_right(&sent));
        let (read, outer) = parse_outer(&&sent[..]).unwrap();
        prop_assert_eq!(read, underlay);
        prop_assert_eq!(outer.vni(), 0x1000);
        prop_assert!(outer.is(&parse_outer(&&sample[..]).unwrap().1));
        let tos = match underlay {
            Underlay::Ipv4 => sent[15],
            Underlay::Ipv6 => sent[14] << 4 | sent[15] >> 4,
        };
        prop_assert_eq!(tos, if ecn == CONGESTED { CAPABLE } else { ecn });
    }

    /// A packet that crosses as it is is what the kernel would send.
    #[test]
    fn what_is_routed_is_right(
        is_ipv4: bool,
        tos: u8,
        hops in 2_u8..=255,
        taken in 0_u8..=1,
        data in proptest::collection::vec(any::<u8>(), 0..300),
        open: bool,
    ) {
        let inner = Inner::new(is_ipv4, tos);
        let mut way = nothing();
        // It was something else before.
        way.front = [0xff; FRONT_MAX];
        way.hops_taken = taken;
        let sample = inner.frame(&AFTER, hops, b"sample", false);
        way.learn_plain(sample.first_chunk().unwrap());
        prop_assert_eq!(way.around(), Around::Nothing);
        let frame = inner.frame(&BEFORE, hops, &data, open);
        let front = way.plain_front(IpFirst::of(frame[14..].first_chunk().unwrap()));
        let sent = [&front[..], &frame[front.len()..]].concat();
        prop_assert_eq!(sent, inner.frame(&AFTER, hops - taken, &data, open));
    }

    /// Whom a packet is for is read the same whether it is plain or not.
    #[test]
    fn the_receiver_is_read_of_whole_and_of_odd_packets(is_ipv4: bool, protocol: u8) {
        let inner = Inner::new(is_ipv4, 0);
        let mut frame = inner.frame(&AFTER, 64, b"data", false);
        let flow = parse_flow(&&frame[..]).unwrap();
        prop_assert_eq!(parse_receiver(&&frame[..]), Some(flow.receiver_key()));
        frame[if is_ipv4 { 23 } else { 20 }] = protocol;
        prop_assert_eq!(parse_receiver(&&frame[..]), Some(flow.receiver_key()));
        prop_assert!(flow.sender_key() != flow.receiver_key());
        let cut = if is_ipv4 { 33 } else { 53 };
        prop_assert_eq!(parse_receiver(&&frame[..cut]), None);
    }

    /// What comes out of a packet is what the kernel would have made of it.
    #[test]
    fn what_is_taken_out_is_right(
        is_ipv4: bool,
        hops in 2_u8..=255,
        taken in 0_u8..=1,
        data in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let inner = Inner::new(is_ipv4, 0);
        let frame = inner.frame(&BEFORE, hops, &data, false);
        let mut ethernet = [0; 14];
        ethernet[..12].copy_from_slice(&AFTER);
        ethernet[12..].copy_from_slice(&inner.ethertype);
        let mut way = Arrival {
            proof: nothing().proof,
            outer: Outer::NOTHING,
            arrived: 0,
            hops_taken: taken,
            unused: 0,
            front: [0xff; ARRIVAL_FRONT],
        };
        way.learn(&ethernet);
        let front = way.front(IpFirst::of(frame[14..].first_chunk().unwrap()));
        let delivered = [&front[..], &frame[front.len()..]].concat();
        prop_assert_eq!(delivered, inner.frame(&AFTER, hops - taken, &data, false));
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_outer(&&bytes[..]);
    }
}

#[test]
fn segments_of_many_are_sent_without_a_checksum_around() {
    let inner = Inner::new(true, 0);
    let sample = inner.around(Underlay::Ipv4, &inner.frame(&AFTER, 63, b"sample", false));
    let mut way = learnt(Underlay::Ipv4, &sample);
    let frame = inner.frame(&BEFORE, 64, b"many segments", true);
    let front = put_around(&mut way, Underlay::Ipv4, &frame, 5);
    assert_eq!(front[40..42], [0, 0]);
}

#[test]
fn no_two_packets_have_one_identification() {
    let inner = Inner::new(true, 0);
    let sample = inner.around(Underlay::Ipv4, &inner.frame(&AFTER, 63, b"sample", false));
    let mut way = learnt(Underlay::Ipv4, &sample);
    let frame = inner.frame(&BEFORE, 64, b"data", true);
    // 64 KiB in the smallest segments that are usual.
    let segments = [0, 536, 0];
    let ids = segments.map(|segment| {
        let front = put_around(&mut way, Underlay::Ipv4, &frame, segment);
        u16::from_be_bytes([front[18], front[19]])
    });
    let [one, many, after] = ids;
    assert_eq!(many, one.wrapping_add(1));
    assert!(after.wrapping_sub(many) >= 65_535 / 536, "{ids:?}");
}

#[test]
fn a_checksum_that_is_complete_is_told_from_one_that_is_open() {
    for is_ipv4 in [true, false] {
        let inner = Inner::new(is_ipv4, 0);
        let sample = inner.around(Underlay::Ipv4, &inner.frame(&AFTER, 63, b"sample", false));
        let way = learnt(Underlay::Ipv4, &sample);
        for (open, completes) in [(true, true), (false, false)] {
            let frame = inner.frame(&BEFORE, 64, b"data", open);
            assert_eq!(way.completes(&load(&frame, 0)), completes);
        }
    }
}

#[test]
fn what_is_not_plain_around_is_not_read() {
    let inner = Inner::new(true, 0);
    let frame = inner.frame(&AFTER, 63, b"data", false);
    let v4 = inner.around(Underlay::Ipv4, &frame);
    let v6 = inner.around(Underlay::Ipv6, &frame);
    let cases: &[(&[u8], usize, u8)] = &[
        // Another ethertype, options, a fragment, another protocol, port, flag, reserved byte.
        (&v4, 13, 6),
        (&v4, 14, 0x46),
        (&v4, 20, 0x20),
        (&v4, 21, 1),
        (&v4, 23, 6),
        (&v4, 24, 0),
        (&v4, 37, 1),
        (&v4, 39, 0),
        (&v4, 42, 0),
        (&v4, 43, 1),
        (&v4, 49, 1),
        (&v6, 14, 0x45),
        (&v6, 20, 44),
        (&v6, 57, 1),
        (&v6, 62, 0x0c),
    ];
    for (frame, at, to) in cases {
        let mut frame = frame.to_vec();
        assert!(parse_outer(&&frame[..]).is_some());
        frame[*at] = *to;
        assert!(parse_outer(&&frame[..]).is_none(), "{at} {to:#x}");
    }
    let mut unchecked = v6.clone();
    unchecked[60..62].fill(0);
    assert!(parse_outer(&&unchecked[..]).is_none());
    for length in 0..v4.len() {
        assert!(parse_outer(&&v4[..length]).is_none(), "{length} bytes");
    }
}

#[test]
fn a_flow_behind_a_node_is_the_one_before_it() {
    let inner = Inner::new(true, 0);
    let flow = |macs, hops| {
        let frame = inner.frame(macs, hops, b"data", false);
        parse_flow(&&frame[..]).unwrap()
    };
    let before = flow(&BEFORE, 64).key(7);
    assert_eq!(flow(&AFTER, 63).hops_from(&before), Some(1));
    assert_eq!(flow(&AFTER, 64).hops_from(&before), Some(0));
    assert_eq!(flow(&AFTER, 62).hops_from(&before), None);
    assert_eq!(flow(&AFTER, 65).hops_from(&before), None);
    let other = Inner::new(true, 4 << 2).frame(&AFTER, 63, b"data", false);
    assert_eq!(parse_flow(&&other[..]).unwrap().hops_from(&before), None);
    let other = Inner::new(false, 0).frame(&AFTER, 63, b"data", false);
    assert_eq!(parse_flow(&&other[..]).unwrap().hops_from(&before), None);
}
