//! Packets that `testnet::frame` has no builder for: ICMPv6 of any type behind any headers,
//! fragments, tags. Nothing here is sent.

use std::net::Ipv6Addr;

use testnet::frame::{ETHERTYPE_IPV6, PROTOCOL_ICMPV6, Payload};

const HOPS: u8 = 255;
const HEADER: usize = 40;
pub const NEXT_HOP_BY_HOP: u8 = 0;
pub const NEXT_ROUTING: u8 = 43;
pub const NEXT_FRAGMENT: u8 = 44;
pub const NEXT_DESTINATION: u8 = 60;

/// Types of ICMPv6 (RFC 4443, 4861, 2710, 3810).
pub const MLD_QUERY: u8 = 130;
pub const MLD2_REPORT: u8 = 143;
pub const ROUTER_SOLICITATION: u8 = 133;
pub const ROUTER_ADVERTISEMENT: u8 = 134;
pub const SOLICITATION: u8 = 135;
pub const ADVERTISEMENT: u8 = 136;
pub const REDIRECT: u8 = 137;
pub const RENUMBERING: u8 = 138;
pub const ECHO: u8 = 128;

/// A header before the message: its number and eight bytes, the first of which is filled in.
pub type Extension = (u8, [u8; 8]);

/// Options that mean nothing (PadN).
pub const fn padding(next: u8) -> Extension {
    (next, [0, 0, 1, 4, 0, 0, 0, 0])
}

pub const ROUTING: Extension = (NEXT_ROUTING, [0, 0, 4, 0, 0, 0, 0, 0]);
/// "Look at this, routers", as MLD has it (RFC 2711).
pub const ROUTER_ALERT: Extension = (NEXT_HOP_BY_HOP, [0, 0, 5, 2, 0, 0, 1, 0]);

/// A fragment header with this offset (a multiple of eight) and more to come or not.
pub const fn fragment_header(offset: u16, more: u16) -> Extension {
    let [high, low] = (offset | more).to_be_bytes();
    (NEXT_FRAGMENT, [0, 0, high, low, 0, 0, 0x12, 0x34])
}

/// An ICMPv6 message of code 0, with what follows the checksum, behind `extensions`.
pub fn icmpv6(
    ends: (Ipv6Addr, Ipv6Addr),
    kind: u8,
    body: &[u8],
    extensions: &[Extension],
) -> Payload {
    let mut message = [&[kind, 0, 0, 0][..], body].concat();
    let sum = checksum(ends, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut next = PROTOCOL_ICMPV6;
    for (number, bytes) in extensions.iter().rev() {
        let mut header = *bytes;
        header[0] = next;
        message = [&header[..], &message].concat();
        next = *number;
    }
    ipv6(ends, next, &message)
}

fn ipv6(ends: (Ipv6Addr, Ipv6Addr), next: u8, data: &[u8]) -> Payload {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    let header = [&[0x60, 0, 0, 0][..], &length, &[next, HOPS]].concat();
    Payload {
        ethertype: ETHERTYPE_IPV6,
        bytes: [&header[..], &ends.0.octets(), &ends.1.octets(), data].concat(),
    }
}

/// The packet in fragments of `size` bytes, a multiple of eight.
pub fn fragments(packet: &Payload, size: usize) -> Vec<Payload> {
    let (header, data) = packet.bytes.split_at(HEADER);
    let pieces: Vec<&[u8]> = data.chunks(size).collect();
    let last = pieces.len() - 1;
    let each = |(n, piece): (usize, &&[u8])| {
        let (_, mut fragment) = fragment_header((n * size) as u16, u16::from(n < last));
        fragment[0] = header[6];
        let length = (piece.len() + 8) as u16;
        let mut whole = header.to_vec();
        whole[4..6].copy_from_slice(&length.to_be_bytes());
        whole[6] = NEXT_FRAGMENT;
        Payload {
            ethertype: ETHERTYPE_IPV6,
            bytes: [&whole[..], &fragment, piece].concat(),
        }
    };
    pieces.iter().enumerate().map(each).collect()
}

/// The packet behind VLAN tags, given by their types.
pub fn tagged(packet: &Payload, tags: &[u16]) -> Payload {
    let mut tagged = packet.clone();
    for kind in tags.iter().rev() {
        let tag = [&[0, 0][..], &tagged.ethertype.to_be_bytes()].concat();
        tagged = Payload {
            ethertype: *kind,
            bytes: [&tag[..], &tagged.bytes].concat(),
        };
    }
    tagged
}

fn checksum(ends: (Ipv6Addr, Ipv6Addr), message: &[u8]) -> u16 {
    let length = (message.len() as u32).to_be_bytes();
    let pseudo = [
        &ends.0.octets()[..],
        &ends.1.octets(),
        &length,
        &[0, 0, 0, PROTOCOL_ICMPV6],
    ];
    let summed = [&pseudo.concat()[..], message].concat();
    let words = summed
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
