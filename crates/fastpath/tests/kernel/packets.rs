//! Frames as a container with `CAP_NET_RAW` writes them: right ones, and each way to be odd.

use std::net::IpAddr;

use testnet::frame::Mac;

use crate::ground::Endpoint;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;
pub const URG: u8 = 32;

/// What a frame says. Public fields: a test changes what it is about.
#[derive(Debug, Clone)]
pub struct Spec {
    pub macs: (Mac, Mac),
    pub addresses: (IpAddr, IpAddr),
    pub ports: (u16, u16),
    pub protocol: u8,
    pub tcp_flags: u8,
    pub tos: u8,
    pub hops: u8,
    /// Flags and offset as in IPv4's header; IPv6 gets a fragment header where it is not 0x4000.
    pub fragment: u16,
    /// Words of IPv4 options; bytes of an IPv6 extension header where there are some.
    pub options: u8,
    /// Added to the IPv4 checksum.
    pub checksum_error: u16,
    /// Added to the length that IP says.
    pub length_error: i16,
    pub payload: Vec<u8>,
}

/// IPv4 and IPv6 alike: nothing but "don't fragment".
pub const WHOLE: u16 = 0x4000;
pub const MORE: u16 = 0x2000;

impl Spec {
    pub fn new(from: Endpoint, to: Endpoint, family: usize, protocol: u8) -> Self {
        Self {
            macs: (from.mac(), to.mac()),
            addresses: (from.both()[family], to.both()[family]),
            ports: (4_000, 5_000),
            protocol,
            tcp_flags: ACK,
            tos: 0,
            hops: 64,
            fragment: WHOLE,
            options: 0,
            checksum_error: 0,
            length_error: 0,
            payload: b"a plain packet".to_vec(),
        }
    }

    pub fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    pub fn frame(&self) -> Vec<u8> {
        let (from, to) = self.macs;
        let (ethertype, packet) = match self.addresses {
            (IpAddr::V4(_), _) => (0x0800_u16, self.ipv4()),
            _ => (0x86dd, self.ipv6()),
        };
        [&to[..], &from, &ethertype.to_be_bytes(), &packet].concat()
    }

    fn octets(&self) -> (Vec<u8>, Vec<u8>) {
        let octets = |address: IpAddr| match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        (octets(self.addresses.0), octets(self.addresses.1))
    }

    fn length(&self, bytes: usize) -> [u8; 2] {
        (bytes as u16)
            .wrapping_add_signed(self.length_error)
            .to_be_bytes()
    }

    fn ipv4(&self) -> Vec<u8> {
        let segment = self.segment();
        let words = 5 + self.options;
        let total = usize::from(words) * 4 + segment.len();
        let mut h = vec![0x40 | words, self.tos];
        h.extend(self.length(total));
        h.extend([0, 9]);
        h.extend(self.fragment.to_be_bytes());
        h.extend([self.hops, self.protocol, 0, 0]);
        let (from, to) = self.octets();
        h.extend(from);
        h.extend(to);
        // No operation, as often as it takes.
        h.extend(vec![1; usize::from(self.options) * 4]);
        let sum = checksum(&h).wrapping_add(self.checksum_error);
        h[10..12].copy_from_slice(&sum.to_be_bytes());
        h.extend(segment);
        h
    }

    fn ipv6(&self) -> Vec<u8> {
        let mut data = self.segment();
        let mut next = self.protocol;
        if self.fragment != WHOLE {
            let [high, low] =
                (self.fragment << 3 | u16::from(self.fragment & MORE != 0)).to_be_bytes();
            data = [&[next, 0, high, low, 0, 0, 0, 9][..], &data].concat();
            next = 44;
        }
        if self.options > 0 {
            // Destination options: PadN.
            data = [&[next, 0, 1, 4, 0, 0, 0, 0][..], &data].concat();
            next = 60;
        }
        let class = [0x60 | self.tos >> 4, self.tos << 4, 0, 0];
        let length = self.length(data.len());
        let (from, to) = self.octets();
        [&class[..], &length, &[next, self.hops], &from, &to, &data].concat()
    }

    fn segment(&self) -> Vec<u8> {
        let mut s = [self.ports.0.to_be_bytes(), self.ports.1.to_be_bytes()].concat();
        let sum_at = match self.protocol {
            UDP => {
                s.extend(((8 + self.payload.len()) as u16).to_be_bytes());
                s.extend([0, 0]);
                6
            }
            TCP => {
                s.extend([
                    0,
                    0,
                    0,
                    1,
                    0,
                    0,
                    0,
                    1,
                    0x50,
                    self.tcp_flags,
                    1,
                    0,
                    0,
                    0,
                    0,
                    0,
                ]);
                16
            }
            // An echo request, of either family.
            protocol => {
                let kind = if protocol == 1 { 8 } else { 128 };
                s = vec![kind, 0, 0, 0, 0, 1, 0, 1];
                2
            }
        };
        s.extend(&self.payload);
        let (from, to) = self.octets();
        let length = (s.len() as u32).to_be_bytes();
        let pseudo = match self.protocol {
            1 => Vec::new(),
            protocol => [&from[..], &to, &length, &[0, 0, 0, protocol]].concat(),
        };
        let sum = checksum(&[pseudo, s.clone()].concat());
        s[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
        s
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
