//! A flow that goes to another node: what proves it, and what is put around its packets.
//!
//! The kernel's own packet is the pattern: what it has put around one goes around the next ones
//! too, with their lengths, checksums and identification.

use crate::frame::be16;
use crate::{Proof, Proved, Underlay, VXLAN4_BYTES, VXLAN6_BYTES};

/// Of an IP header, up to what changes on the way: hops, and IPv4's checksum.
pub const IP_FIRST: usize = 12;
/// What is written in front of a packet at most: all that is around it, its own Ethernet header and
/// the beginning of its IP header.
pub const FRONT_MAX: usize = VXLAN6_BYTES + 14 + IP_FIRST;
/// The same, a multiple of eight, without the IP header.
const PATTERN: usize = 88;
/// Where the outer UDP header is.
const UDP4: usize = 34;
const UDP6: usize = 54;
const CONGESTED: u8 = 3;
const ECN: u8 = 3;
/// ECT(0): what of "congestion experienced" is said outside (RFC 6040 section 4.1).
const CAPABLE: u8 = 2;

/// That the kernel sent a packet of a flow to another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Leaving {
    /// Its target is the device that leads there.
    pub proof: Proof,
    /// What the kernel had written for queues.
    pub mark: u32,
    pub priority: u32,
    /// The interface index of the network's VXLAN device.
    pub device: u32,
    /// Sums (RFC 1071) of what stays the same: of the outer IPv4 header, of what the outer UDP
    /// checksum covers, and of what the inner transport's covers beside its own header and data.
    pub ip_sum: u16,
    pub udp_sum: u16,
    pub inner_sum: u16,
    /// The outer UDP checksum of the pattern; none is made where it has none.
    pub udp_check: u16,
    /// Of this flow: its packets take one hop on this node or, on a stretched network, none.
    pub hops_taken: u8,
    pub is_ipv6: u8,
    pub unused: [u8; 2],
    /// What was in front of the inner IP header.
    pub pattern: [u8; PATTERN],
}

impl Proved for Leaving {
    #[inline(always)]
    fn proof(&self) -> &Proof {
        &self.proof
    }
}

/// A packet to put something around.
#[derive(Debug, Clone, Copy)]
pub struct Load<'p> {
    /// The beginning of its IP header, as it came from the container.
    pub ip: &'p [u8; IP_FIRST],
    /// Its frame, and its transport header with the data, in bytes.
    pub frame: u32,
    pub transport: u32,
    /// Payload of each segment that it stands for; 0 for one alone.
    pub segment: u32,
    pub check: u16,
    /// For the outer IPv4 header.
    pub id: u16,
}

impl Leaving {
    #[inline(always)]
    pub fn underlay(&self) -> Underlay {
        if self.is_ipv6 == 0 {
            Underlay::Ipv4
        } else {
            Underlay::Ipv6
        }
    }

    /// Takes over what the kernel has put around a packet, the Ethernet headers included.
    #[inline(always)]
    pub fn learn4(&mut self, bytes: &[u8; VXLAN4_BYTES + 14], inner: &[u64; 4], protocol: u8) {
        copy(&mut self.pattern, bytes);
        self.is_ipv6 = 0;
        let h = &self.pattern;
        // Length, identification and class differ from packet to packet.
        let ip = word(h, 14) as u32 & 0xff00;
        self.ip_sum = fold(ip + word(h, 20) as u32 + word(h, 22) as u32 + words::<26, 34>(h));
        let udp = words::<26, 34>(h) + 17 + words::<UDP4, { UDP4 + 4 }>(h);
        self.udp_sum = fold(udp + words::<42, 64>(h));
        self.udp_check = word(h, UDP4 + 6);
        self.inner_sum = inner_sum(inner, protocol);
    }

    /// The same over IPv6.
    #[inline(always)]
    pub fn learn6(&mut self, bytes: &[u8; VXLAN6_BYTES + 14], inner: &[u64; 4], protocol: u8) {
        copy(&mut self.pattern, bytes);
        self.is_ipv6 = 1;
        let h = &self.pattern;
        let udp = words::<22, 54>(h) + 17 + words::<UDP6, { UDP6 + 4 }>(h);
        self.udp_sum = fold(udp + words::<62, 84>(h));
        self.udp_check = word(h, UDP6 + 6);
        self.inner_sum = inner_sum(inner, protocol);
    }

    /// Whether the device completes the packet's checksum: until then it has the sum of the
    /// addresses, the protocol and the length. All segments are so.
    #[inline(always)]
    pub fn completes(&self, load: &Load<'_>) -> bool {
        load.segment != 0 || load.check == fold(self.inner_sum as u32 + load.transport)
    }

    /// What goes in front of a packet over IPv4, instead of its Ethernet header and the beginning
    /// of its IP header.
    #[inline(always)]
    pub fn front4(&self, load: &Load<'_>, front: &mut [u8; FRONT_MAX]) {
        copy(front, &self.pattern);
        let length = (load.frame + 36) as u16;
        let class = self.pattern[15] & !ECN | ecn(load.ip);
        front[15] = class;
        put(front, 16, length);
        put(front, 18, load.id);
        let sum = self.ip_sum as u32 + class as u32 + length as u32 + load.id as u32;
        put(front, 24, !fold(sum));
        self.finish::<UDP4>(load, front);
    }

    /// The same over IPv6.
    #[inline(always)]
    pub fn front6(&self, load: &Load<'_>, front: &mut [u8; FRONT_MAX]) {
        copy(front, &self.pattern);
        put(front, 18, (load.frame + 16) as u16);
        front[15] = self.pattern[15] & !(ECN << 4) | ecn(load.ip) << 4;
        self.finish::<UDP6>(load, front);
    }

    /// What goes in front of a packet that the VXLAN device puts the rest around, over IPv6.
    #[inline(always)]
    pub fn inner_front6(&self, ip: &[u8; IP_FIRST]) -> [u8; 14 + IP_FIRST] {
        let ip = with_hops_taken(ip, self.hops_taken);
        let mut front = [0; 14 + IP_FIRST];
        let mut at = 0;
        while at < 14 {
            front[at] = self.pattern[VXLAN6_BYTES + at];
            at += 1;
        }
        at = 0;
        while at < IP_FIRST {
            front[14 + at] = ip[at];
            at += 1;
        }
        front
    }

    /// UDP's length and checksum, and the inner IP header.
    #[inline(always)]
    fn finish<const UDP: usize>(&self, load: &Load<'_>, front: &mut [u8; FRONT_MAX]) {
        let ip = with_hops_taken(load.ip, self.hops_taken);
        let mut at = 0;
        while at < IP_FIRST {
            front[UDP + 30 + at] = ip[at];
            at += 1;
        }
        let length = load.frame + 16;
        put(front, UDP + 4, length as u16);
        // Each segment would need its own. None is what RFC 7348 asks for.
        let check = if load.segment != 0 || self.udp_check == 0 {
            0
        } else {
            let inside = self.inside(load, &ip);
            match !fold(self.udp_sum as u32 + 2 * length + inside) {
                0 => 0xffff,
                check => check,
            }
        };
        put(front, UDP + 6, check);
    }

    /// The sum of the inner packet. A right IPv4 header has none; the transport's header and data
    /// have, once the checksum is complete, the complement of what it covers beside them.
    #[inline(always)]
    fn inside(&self, load: &Load<'_>, ip: &[u8; IP_FIRST]) -> u32 {
        let beside = fold(self.inner_sum as u32 + load.transport);
        let transport = (!beside) as u32;
        if ip[0] >> 4 == 4 {
            return transport;
        }
        let first = be16(ip[0], ip[1]) as u32 + be16(ip[2], ip[3]) as u32;
        let second = be16(ip[4], ip[5]) as u32 + be16(ip[6], ip[7]) as u32;
        // The addresses, without the protocol.
        let addresses = self.inner_sum as u32 + !(ip[6] as u16) as u32;
        transport + first + second + addresses
    }
}

/// The beginning of an IP header behind so many hops.
#[inline(always)]
pub(crate) fn with_hops_taken(ip: &[u8; IP_FIRST], taken: u8) -> [u8; IP_FIRST] {
    let mut ip = *ip;
    if taken == 0 {
        return ip;
    }
    if ip[0] >> 4 == 4 {
        ip[8] = ip[8].wrapping_sub(taken);
        // RFC 1141: the sum is less by as much as the word is.
        let sum = be16(ip[10], ip[11]) as u32 + ((taken as u32) << 8);
        let sum = sum + (sum >= 0xffff) as u32;
        [ip[10], ip[11]] = (sum as u16).to_be_bytes();
    } else {
        ip[7] = ip[7].wrapping_sub(taken);
    }
    ip
}

/// What the outer header says of congestion.
#[inline(always)]
fn ecn(ip: &[u8; IP_FIRST]) -> u8 {
    let inner = if ip[0] >> 4 == 4 { ip[1] } else { ip[1] >> 4 } & ECN;
    if inner == CONGESTED { CAPABLE } else { inner }
}

/// Of addresses, as words of memory, and the protocol.
#[inline(always)]
fn inner_sum(addresses: &[u64; 4], protocol: u8) -> u16 {
    let mut sum = 0;
    let mut at = 0;
    while at < 4 {
        let [a, b, c, d, e, f, g, h] = addresses[at].to_ne_bytes();
        sum += be16(a, b) as u32 + be16(c, d) as u32 + be16(e, f) as u32 + be16(g, h) as u32;
        at += 1;
    }
    fold(sum + protocol as u32)
}

#[inline(always)]
fn words<const FROM: usize, const TO: usize>(bytes: &[u8; PATTERN]) -> u32 {
    let mut sum = 0;
    let mut at = FROM;
    while at < TO {
        sum += word(bytes, at) as u32;
        at += 2;
    }
    sum
}

#[inline(always)]
fn word(bytes: &[u8; PATTERN], at: usize) -> u16 {
    be16(bytes[at], bytes[at + 1])
}

#[inline(always)]
fn put(bytes: &mut [u8; FRONT_MAX], at: usize, word: u16) {
    [bytes[at], bytes[at + 1]] = word.to_be_bytes();
}

#[inline(always)]
fn copy<const N: usize, const M: usize>(to: &mut [u8; N], from: &[u8; M]) {
    let mut at = 0;
    while at < N && at < M {
        to[at] = from[at];
        at += 1;
    }
}

#[inline(always)]
fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}
