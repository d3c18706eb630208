//! What a captured frame says, as far as tests ask: its addresses, protocol and ports.
//!
//! No IPv6 extension headers, no VLAN tags, no fragments: tests send none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::frame::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, Mac, PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP,
};

/// An Ethernet frame, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub destination_mac: Mac,
    pub source_mac: Mac,
    pub ethertype: u16,
    pub ip: Option<SeenIp>,
}

/// The IP packet in it. Ports are 0 where the protocol has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenIp {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub protocol: u8,
    /// What follows the IP header.
    pub payload: Vec<u8>,
}

impl Seen {
    /// None when the frame is too short for what it says it is.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (destination_mac, rest) = frame.split_first_chunk()?;
        let (source_mac, rest) = rest.split_first_chunk()?;
        let (ethertype, packet) = rest.split_first_chunk()?;
        let ethertype = u16::from_be_bytes(*ethertype);
        let ip = match ethertype {
            ETHERTYPE_IPV4 => Some(read_ipv4(packet)?),
            ETHERTYPE_IPV6 => Some(read_ipv6(packet)?),
            _ => None,
        };
        Some(Self {
            destination_mac: *destination_mac,
            source_mac: *source_mac,
            ethertype,
            ip,
        })
    }

    /// The IP packet of a frame, if it carries one that can be read.
    #[must_use]
    pub fn ip_of(frame: &[u8]) -> Option<SeenIp> {
        Self::read(frame)?.ip
    }
}

fn read_ipv4(packet: &[u8]) -> Option<SeenIp> {
    let header_bytes = usize::from(packet.first()? & 0x0f) * 4;
    let source: &[u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let destination: &[u8; 4] = packet.get(16..20)?.try_into().ok()?;
    let ends: (Ipv4Addr, Ipv4Addr) = ((*source).into(), (*destination).into());
    // A short frame is padded: the header knows where the packet ends.
    let end = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
    let payload = packet.get(header_bytes..end.min(packet.len()))?;
    read_transport((ends.0.into(), ends.1.into()), *packet.get(9)?, payload)
}

fn read_ipv6(packet: &[u8]) -> Option<SeenIp> {
    let source: &[u8; 16] = packet.get(8..24)?.try_into().ok()?;
    let destination: &[u8; 16] = packet.get(24..40)?.try_into().ok()?;
    let ends: (Ipv6Addr, Ipv6Addr) = ((*source).into(), (*destination).into());
    read_transport(
        (ends.0.into(), ends.1.into()),
        *packet.get(6)?,
        packet.get(40..)?,
    )
}

fn read_transport(ends: (IpAddr, IpAddr), protocol: u8, payload: &[u8]) -> Option<SeenIp> {
    let (source_port, destination_port) = match protocol {
        PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP => (
            u16::from_be_bytes(payload.get(0..2)?.try_into().ok()?),
            u16::from_be_bytes(payload.get(2..4)?.try_into().ok()?),
        ),
        _ => (0, 0),
    };
    Some(SeenIp {
        source: SocketAddr::new(ends.0, source_port),
        destination: SocketAddr::new(ends.1, destination_port),
        protocol,
        payload: payload.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BROADCAST, udp};

    #[test]
    fn what_was_built_is_what_is_read() {
        for (source, destination) in [
            ("192.0.2.1:1000", "192.0.2.2:53"),
            ("[2001:db8::1]:1000", "[2001:db8::2]:53"),
        ] {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let mut frame = udp(source, destination, b"data").frame(BROADCAST, [2; 6]);
            let seen = Seen::read(&frame).unwrap();
            assert_eq!(seen.source_mac, [2; 6]);
            let ip = seen.ip.unwrap();
            assert_eq!((ip.source, ip.destination), (source, destination));
            assert_eq!(ip.payload[8..], *b"data");
            frame.truncate(20);
            assert_eq!(Seen::read(&frame), None);
        }
    }
}
