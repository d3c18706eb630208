//! A flow that goes to another node: what proves it, and what is put around its packets.
//!
//! The kernel's own packet is the pattern: what it has put around one goes around the next ones
//! too, with their lengths, checksums and identification.

use crate::frame::{be16, half_at};
use crate::{Proof, Proved, Underlay, VXLAN4_BYTES, VXLAN6_BYTES};

/// Of an IP header, up to what changes on the way: hops, and IPv4's checksum.
pub const IP_FIRST: usize = 12;
/// What is written in front of a packet at most: all that is around it, its own Ethernet header and
/// the beginning of its IP header.
pub const FRONT_MAX: usize = VXLAN6_BYTES + 14 + IP_FIRST;
/// The same over IPv4.
pub const FRONT4: usize = VXLAN4_BYTES + 14 + IP_FIRST;
/// What is written in front of a packet that crosses as it is.
pub const PLAIN_FRONT: usize = 14 + IP_FIRST;
/// Where the outer UDP header is.
const UDP4: usize = 34;
const UDP6: usize = 54;
/// No fewer than 64 KiB make of 536 bytes each (RFC 9293 section 3.7.1).
const SEGMENTS_MAX: u16 = 128;
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
    /// The number of an [`Around`].
    pub around: u8,
    /// The identification that the next outer IPv4 header gets.
    pub id: u16,
    /// What is in front of a packet: what the kernel had put there, and in it what is written anew
    /// for each. It goes from here to the packet: built elsewhere, it would be copied twice.
    pub front: [u8; FRONT_MAX],
}

impl Proved for Leaving {
    #[inline(always)]
    fn proof(&self) -> &Proof {
        &self.proof
    }
}

/// What is put around a packet between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    Vxlan(Underlay),
    /// Nothing: it is routed.
    Nothing,
}

impl Around {
    /// In bytes, up to the inner Ethernet header.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Vxlan(underlay) => underlay.bytes() as u32,
            Self::Nothing => 0,
        }
    }
}

const VXLAN4: u8 = 0;
const VXLAN6: u8 = 1;
const NOTHING: u8 = 2;

/// The beginning of an IP header, as three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpFirst([u32; 3]);

/// A packet to put something around.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The beginning of its IP header, as it came from the container.
    pub ip: IpFirst,
    /// Its frame, and its transport header with the data, in bytes.
    pub frame: u32,
    pub transport: u32,
    /// Payload of each segment that it stands for; 0 for one alone.
    pub segment: u32,
    pub check: u16,
}

impl Leaving {
    #[inline(always)]
    pub fn around(&self) -> Around {
        match self.around {
            VXLAN4 => Around::Vxlan(Underlay::Ipv4),
            VXLAN6 => Around::Vxlan(Underlay::Ipv6),
            _ => Around::Nothing,
        }
    }

    /// Takes over the Ethernet header of a packet that the kernel has sent as it is.
    #[inline(always)]
    pub fn learn_plain(&mut self, bytes: &[u8; 14]) {
        copy(&mut self.front, bytes);
        self.around = NOTHING;
    }

    /// What goes in front of a packet that crosses as it is, instead of its Ethernet header and
    /// the beginning of its IP header.
    #[inline(always)]
    pub fn plain_front(&mut self, ip: IpFirst) -> &[u8; PLAIN_FRONT] {
        ip.behind(self.hops_taken).put(&mut self.front, 14);
        self.front.first_chunk().unwrap_or(&[0; PLAIN_FRONT])
    }

    /// Takes over what the kernel has put around a packet, the Ethernet headers included.
    #[inline(always)]
    pub fn learn4(&mut self, bytes: &[u8; VXLAN4_BYTES + 14], inner: &[u64; 4], protocol: u8) {
        copy(&mut self.front, bytes);
        self.around = VXLAN4;
        let h = &self.front;
        // Length, identification and class differ from packet to packet.
        let ip = word(h, 14) as u32 & 0xff00;
        self.ip_sum = fold(ip + word(h, 20) as u32 + word(h, 22) as u32 + words::<26, 34>(h));
        let udp = words::<26, 34>(h) + 17 + words::<UDP4, { UDP4 + 4 }>(h);
        self.udp_sum = fold(udp + words::<42, 64>(h));
        self.udp_check = word(h, UDP4 + 6);
        self.id = word(h, 18).wrapping_add(1);
        self.inner_sum = inner_sum(inner, protocol);
    }

    /// The same over IPv6.
    #[inline(always)]
    pub fn learn6(&mut self, bytes: &[u8; VXLAN6_BYTES + 14], inner: &[u64; 4], protocol: u8) {
        copy(&mut self.front, bytes);
        self.around = VXLAN6;
        let h = &self.front;
        let udp = words::<22, 54>(h) + 17 + words::<UDP6, { UDP6 + 4 }>(h);
        self.udp_sum = fold(udp + words::<62, 84>(h));
        self.udp_check = word(h, UDP6 + 6);
        self.inner_sum = inner_sum(inner, protocol);
    }

    /// Whether the device completes the packet's checksum: until then it has the sum of the
    /// addresses, the protocol and the length. All segments are so.
    #[inline(always)]
    pub fn completes(&self, load: &Load) -> bool {
        load.segment != 0 || load.check == fold(self.inner_sum as u32 + load.transport)
    }

    /// What goes in front of a packet over IPv4, instead of its Ethernet header and the beginning
    /// of its IP header.
    #[inline(always)]
    pub fn front4(&mut self, load: &Load) -> &[u8; FRONT4] {
        let length = (load.frame + 36) as u16;
        let class = self.front[15] & !ECN | load.ip.ecn();
        let id = self.id;
        // Each segment gets one of its own.
        let ids = if load.segment == 0 { 1 } else { SEGMENTS_MAX };
        self.id = id.wrapping_add(ids);
        self.front[15] = class;
        put(&mut self.front, 16, length);
        put(&mut self.front, 18, id);
        let sum = self.ip_sum as u32 + class as u32 + length as u32 + id as u32;
        put(&mut self.front, 24, !fold(sum));
        self.finish::<UDP4>(load);
        self.front.first_chunk().unwrap_or(&[0; FRONT4])
    }

    /// The same over IPv6.
    #[inline(always)]
    pub fn front6(&mut self, load: &Load) -> &[u8; FRONT_MAX] {
        put(&mut self.front, 18, (load.frame + 16) as u16);
        self.front[15] = self.front[15] & !(ECN << 4) | load.ip.ecn() << 4;
        self.finish::<UDP6>(load);
        &self.front
    }

    /// What goes in front of a packet that the VXLAN device puts the rest around, over IPv6.
    #[inline(always)]
    pub fn inner_front6(&mut self, ip: IpFirst) -> &[u8; 14 + IP_FIRST] {
        ip.behind(self.hops_taken)
            .put(&mut self.front, VXLAN6_BYTES + 14);
        self.front.last_chunk().unwrap_or(&[0; 14 + IP_FIRST])
    }

    /// UDP's length and checksum, and the inner IP header.
    #[inline(always)]
    fn finish<const UDP: usize>(&mut self, load: &Load) {
        let ip = load.ip.behind(self.hops_taken);
        ip.put(&mut self.front, UDP + 30);
        let length = load.frame + 16;
        put(&mut self.front, UDP + 4, length as u16);
        // Each segment would need its own. None is what RFC 7348 asks for.
        let check = if load.segment != 0 || self.udp_check == 0 {
            0
        } else {
            let inside = self.inside(load, ip);
            match !fold(self.udp_sum as u32 + 2 * length + inside) {
                0 => 0xffff,
                check => check,
            }
        };
        put(&mut self.front, UDP + 6, check);
    }

    /// The sum of the inner packet. A right IPv4 header has none; the transport's header and data
    /// have, once the checksum is complete, the complement of what it covers beside them.
    #[inline(always)]
    fn inside(&self, load: &Load, ip: IpFirst) -> u32 {
        let beside = fold(self.inner_sum as u32 + load.transport);
        let transport = (!beside) as u32;
        if ip.is_ipv4() {
            return transport;
        }
        let IpFirst([first, second, _]) = ip;
        let protocol = (second >> 8) as u8;
        let first = (first >> 16) + (first & 0xffff);
        let second = (second >> 16) + (second & 0xffff);
        // The addresses, without the protocol.
        let addresses = self.inner_sum as u32 + !(protocol as u16) as u32;
        transport + first + second + addresses
    }
}

impl IpFirst {
    #[inline(always)]
    pub fn of(bytes: &[u8; IP_FIRST]) -> Self {
        let [a, b, c] = [
            half_at::<0, _>(bytes),
            half_at::<4, _>(bytes),
            half_at::<8, _>(bytes),
        ];
        Self([u32::from_be(a), u32::from_be(b), u32::from_be(c)])
    }

    #[inline(always)]
    pub fn is_ipv4(self) -> bool {
        self.0[0] >> 28 == 4
    }

    /// The same behind so many hops.
    #[inline(always)]
    fn behind(self, taken: u8) -> Self {
        let Self([first, second, third]) = self;
        let taken = taken as u32;
        if !self.is_ipv4() {
            return Self([first, second.wrapping_sub(taken), third]);
        }
        if taken == 0 {
            return self;
        }
        // RFC 1141: the sum is less by as much as the word is.
        let sum = (third & 0xffff) + (taken << 8);
        let sum = sum + (sum >= 0xffff) as u32;
        let hops = (third & 0xffff_0000).wrapping_sub(taken << 24);
        Self([first, second, hops | sum & 0xffff])
    }

    #[inline(always)]
    fn put<const N: usize>(self, front: &mut [u8; N], at: usize) {
        let Self([first, second, third]) = self;
        put_half(front, at, first);
        put_half(front, at + 4, second);
        put_half(front, at + 8, third);
    }

    /// What the outer header says of congestion.
    #[inline(always)]
    fn ecn(self) -> u8 {
        let shift = if self.is_ipv4() { 16 } else { 20 };
        let inner = (self.0[0] >> shift) as u8 & ECN;
        if inner == CONGESTED { CAPABLE } else { inner }
    }
}

/// Behind so many hops, into the front of a packet.
#[inline(always)]
pub(crate) fn put_ip<const N: usize>(front: &mut [u8; N], at: usize, ip: IpFirst, taken: u8) {
    ip.behind(taken).put(front, at);
}

#[inline(always)]
fn put_half<const N: usize>(bytes: &mut [u8; N], at: usize, half: u32) {
    if let Some(place) = bytes.split_at_mut(at).1.first_chunk_mut() {
        *place = half.to_be_bytes();
    }
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
fn words<const FROM: usize, const TO: usize>(bytes: &[u8; FRONT_MAX]) -> u32 {
    let mut sum = 0;
    let mut at = FROM;
    while at < TO {
        sum += word(bytes, at) as u32;
        at += 2;
    }
    sum
}

#[inline(always)]
fn word(bytes: &[u8; FRONT_MAX], at: usize) -> u16 {
    be16(bytes[at], bytes[at + 1])
}

#[inline(always)]
fn put(bytes: &mut [u8; FRONT_MAX], at: usize, word: u16) {
    if let Some(place) = bytes.split_at_mut(at).1.first_chunk_mut() {
        *place = word.to_be_bytes();
    }
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
