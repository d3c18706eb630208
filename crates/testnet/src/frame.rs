//! Forged packets, right down to their checksums: what a container with `CAP_NET_RAW` can send.
//!
//! A builder gives a [`Payload`]; [`Payload::frame`] puts the Ethernet header before it. Nothing
//! here sends; see [`crate::Netns::send_frame`].
//! Sources: RFC 826 (ARP), 791, 8200 (IP), 768 (UDP), 4861 (neighbour discovery), 9260 (SCTP).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub type Mac = [u8; 6];

/// Reads six bytes in hexadecimal between colons.
#[must_use]
pub fn parse_mac(text: &str) -> Option<Mac> {
    let bytes: Result<Vec<u8>, _> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect();
    bytes.ok()?.try_into().ok()
}

pub const BROADCAST: Mac = [0xff; 6];
pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_ARP: u16 = 0x0806;
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
pub const PROTOCOL_TCP: u8 = 6;
pub const PROTOCOL_UDP: u8 = 17;
pub const PROTOCOL_ICMPV6: u8 = 58;
pub const PROTOCOL_SCTP: u8 = 132;

/// The initiate tag of every forged SCTP endpoint, and so the verification tag of what it is sent.
const SCTP_TAG: u32 = 0x5054_4e31;
const HOPS: u8 = 64;
/// Neighbour discovery is dropped with any other hop limit (RFC 4861, section 7.1): it proves that
/// no router forwarded the packet.
const DISCOVERY_HOPS: u8 = 255;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What an Ethernet frame carries, and the type that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    pub ethertype: u16,
    pub bytes: Vec<u8>,
}

impl Payload {
    /// The whole frame.
    #[must_use]
    pub fn frame(&self, destination: Mac, source: Mac) -> Vec<u8> {
        let ethertype = self.ethertype.to_be_bytes();
        [&destination[..], &source, &ethertype, &self.bytes].concat()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpOperation {
    Request,
    Reply,
}

/// An ARP packet; a gratuitous one has its sender's address as the target.
#[must_use]
pub fn arp(operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Payload {
    let operation: u16 = match operation {
        ArpOperation::Request => 1,
        ArpOperation::Reply => 2,
    };
    let mut bytes = vec![0, 1, 8, 0, 6, 4];
    bytes.extend(operation.to_be_bytes());
    for (mac, address) in [sender, target] {
        bytes.extend(mac);
        bytes.extend(address.octets());
    }
    Payload {
        ethertype: ETHERTYPE_ARP,
        bytes,
    }
}

/// A UDP datagram over either family.
///
/// # Panics
/// When the two addresses are of different families.
#[must_use]
pub fn udp(source: SocketAddr, destination: SocketAddr, data: &[u8]) -> Payload {
    let length = length16(8 + data.len());
    let mut segment = ports(source, destination);
    segment.extend(length.to_be_bytes());
    segment.extend([0, 0]);
    segment.extend(data);
    let (from, to) = (source.ip(), destination.ip());
    let checksum = match transport_checksum(from, to, PROTOCOL_UDP, &segment) {
        // Zero on the wire says "no checksum".
        0 => 0xffff,
        sum => sum,
    };
    segment[6..8].copy_from_slice(&checksum.to_be_bytes());
    ip(from, to, (PROTOCOL_UDP, HOPS), &segment)
}

/// The two chunks that open an SCTP association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SctpChunk {
    Init,
    InitAck,
}

/// An SCTP packet with one chunk, over either family. A forged `InitAck` answers a forged `Init`.
///
/// # Panics
/// When the two addresses are of different families.
#[must_use]
pub fn sctp(chunk: SctpChunk, source: SocketAddr, destination: SocketAddr) -> Payload {
    let (kind, verification_tag): (u8, u32) = match chunk {
        SctpChunk::Init => (1, 0),
        SctpChunk::InitAck => (2, SCTP_TAG),
    };
    let mut packet = ports(source, destination);
    packet.extend(verification_tag.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend([kind, 0, 0, 20]);
    packet.extend(SCTP_TAG.to_be_bytes());
    // Receiver window, outbound and inbound streams, first sequence number.
    packet.extend(0x0001_0000_u32.to_be_bytes());
    packet.extend([0, 1, 0, 1, 0, 0, 0, 1]);
    // The one field of the packet in little-endian order (RFC 9260, appendix A).
    let checksum = crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
    ip(
        source.ip(),
        destination.ip(),
        (PROTOCOL_SCTP, HOPS),
        &packet,
    )
}

/// "`target` is at `mac`", unsolicited and overriding what the receiver knows.
#[must_use]
pub fn neighbour_advertisement(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    target: (Mac, Ipv6Addr),
) -> Payload {
    let mut body = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    body.extend(target.1.octets());
    body.extend(link_address_option(2, target.0));
    discovery(source, destination, body)
}

/// "Who has `target`?", sent to the target's solicited-node group ([`multicast_mac`]).
#[must_use]
pub fn neighbour_solicitation(sender: (Mac, Ipv6Addr), target: Ipv6Addr) -> Payload {
    let mut body = vec![135, 0, 0, 0, 0, 0, 0, 0];
    body.extend(target.octets());
    body.extend(link_address_option(1, sender.0));
    discovery(sender.1, solicited_node(target), body)
}

/// "I am your router, and `prefix`/64 is on this link", to all nodes.
#[must_use]
pub fn router_advertisement(sender: (Mac, Ipv6Addr), prefix: Ipv6Addr) -> Payload {
    // Hop limit 64, no flags, router for 1,800 s, no timers.
    let mut body = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08];
    body.extend([0; 8]);
    body.extend(link_address_option(1, sender.0));
    // Prefix information: on-link and autonomous, valid and preferred for 86,400 s.
    body.extend([3, 4, 64, 0xc0]);
    body.extend(86_400_u32.to_be_bytes());
    body.extend(86_400_u32.to_be_bytes());
    body.extend([0; 4]);
    body.extend(prefix.octets());
    discovery(sender.1, ALL_NODES, body)
}

/// The group that a node listens to for solicitations of `address` (RFC 4291, section 2.7.1).
#[must_use]
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

/// The Ethernet group of an IPv6 multicast address (RFC 2464, section 7).
#[must_use]
pub fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

fn link_address_option(kind: u8, mac: Mac) -> Vec<u8> {
    [&[kind, 1][..], &mac].concat()
}

fn discovery(source: Ipv6Addr, destination: Ipv6Addr, mut body: Vec<u8>) -> Payload {
    let (source, destination) = (source.into(), destination.into());
    let checksum = transport_checksum(source, destination, PROTOCOL_ICMPV6, &body);
    body[2..4].copy_from_slice(&checksum.to_be_bytes());
    ip(
        source,
        destination,
        (PROTOCOL_ICMPV6, DISCOVERY_HOPS),
        &body,
    )
}

/// An IP packet of the addresses' family. `next` is the protocol it carries and the hops it has.
fn ip(source: IpAddr, destination: IpAddr, next: (u8, u8), data: &[u8]) -> Payload {
    let (protocol, hops) = next;
    let (ethertype, mut header) = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => (
            ETHERTYPE_IPV4,
            ipv4_header((source, destination), next, data.len()),
        ),
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length16(data.len()).to_be_bytes());
            header.extend([protocol, hops]);
            header.extend(source.octets());
            header.extend(destination.octets());
            (ETHERTYPE_IPV6, header)
        }
        _ => panic!("{source} and {destination} are of different families"),
    };
    header.extend(data);
    Payload {
        ethertype,
        bytes: header,
    }
}

fn ipv4_header(ends: (Ipv4Addr, Ipv4Addr), next: (u8, u8), data_bytes: usize) -> Vec<u8> {
    let (protocol, hops) = next;
    let mut header = vec![0x45, 0];
    header.extend(length16(20 + data_bytes).to_be_bytes());
    // No identification, don't fragment.
    header.extend([0, 0, 0x40, 0, hops, protocol, 0, 0]);
    header.extend(ends.0.octets());
    header.extend(ends.1.octets());
    let checksum = internet_checksum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

fn ports(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let ports = [source.port(), destination.port()];
    ports.into_iter().flat_map(u16::to_be_bytes).collect()
}

fn length16(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("a packet has at most 65,535 bytes")
}

/// The checksum over a segment and the pseudo-header of its family.
fn transport_checksum(source: IpAddr, destination: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let mut summed = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => summed.extend(address.octets()),
            IpAddr::V6(address) => summed.extend(address.octets()),
        }
    }
    // The widths of these two fields differ by family; their sum does not.
    summed.extend([0, protocol]);
    summed.extend(length16(segment.len()).to_be_bytes());
    summed.extend(segment);
    internet_checksum(&summed)
}

/// RFC 1071.
pub(crate) fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Castagnoli's polynomial, reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_gives_the_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_summed_header_sums_to_zero() {
        let packet = udp(
            "192.0.2.1:1".parse().unwrap(),
            "192.0.2.2:2".parse().unwrap(),
            b"odd",
        );
        assert_eq!(internet_checksum(&packet.bytes[..20]), 0);
        let whole = transport_checksum(
            "192.0.2.1".parse().unwrap(),
            "192.0.2.2".parse().unwrap(),
            PROTOCOL_UDP,
            &packet.bytes[20..],
        );
        assert_eq!(whole, 0);
    }

    #[test]
    fn the_solicited_node_group_keeps_the_last_three_bytes() {
        let group = solicited_node("2001:db8::12:3456".parse().unwrap());
        assert_eq!(group, "ff02::1:ff12:3456".parse::<Ipv6Addr>().unwrap());
        assert_eq!(multicast_mac(group), [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
    }
}
