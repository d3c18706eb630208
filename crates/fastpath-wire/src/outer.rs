//! What is around a frame between nodes: Ethernet, IP, UDP and a VXLAN header (RFC 7348 section 5).
//!
//! As with what is inside, what is not plain is left to the kernel: options, fragments, extension
//! headers, reserved bits, and "congestion experienced", which the kernel passes on inside
//! (RFC 6040).

use crate::flow::{IPV4, IPV6};
use crate::frame::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame, IPV4_PLAIN, UDP, be16, half_at, ipv6_addresses,
    is_sum_right,
};

/// Up to the inner Ethernet header.
pub const VXLAN4_BYTES: usize = 50;
pub const VXLAN6_BYTES: usize = 70;
/// IANA's port.
const PORT: u16 = 4789;
/// The VNI is valid, and nothing else is said.
const FLAGS: [u8; 4] = [8, 0, 0, 0];
const CONGESTED: u8 = 3;

/// The family of the nodes' addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underlay {
    Ipv4,
    Ipv6,
}

impl Underlay {
    /// What is around a frame, in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Ipv4 => VXLAN4_BYTES,
            Self::Ipv6 => VXLAN6_BYTES,
        }
    }
}

/// What of it rules could have decided by, and stays the same from packet to packet.
///
/// Word 0 is the VNI, the hops left, the UDP source port, the DSCP and the family; then the
/// sender's and the receiver's address, two words each. All zeros for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Outer(pub [u64; 5]);

impl Outer {
    pub const NOTHING: Self = Self([0; 5]);

    /// The family is in its first word.
    #[inline(always)]
    pub fn is_nothing(&self) -> bool {
        self.0[0] == 0
    }

    #[inline(always)]
    pub fn is(&self, other: &Self) -> bool {
        let [a, b, c, d, e] = self.0;
        let [f, g, h, i, j] = other.0;
        (a ^ f) | (b ^ g) | (c ^ h) | (d ^ i) | (e ^ j) == 0
    }

    #[inline(always)]
    pub fn vni(&self) -> u32 {
        self.0[0] as u32
    }

    #[inline(always)]
    fn new(vni: u32, family: u64, class: (u8, u8), port: u16, addresses: [u64; 4]) -> Self {
        let (dscp, hops) = class;
        let kind = (hops as u64) | (dscp as u64) << 8 | family << 12;
        let first = vni as u64 | kind << 32 | (port as u64) << 48;
        let [a, b, c, d] = addresses;
        Self([first, a, b, c, d])
    }
}

/// What is around the frame in a frame, if it is plain VXLAN.
#[inline(always)]
pub fn parse_outer(frame: &impl Frame) -> Option<(Underlay, Outer)> {
    let ethernet = frame.first::<14>()?;
    match be16(ethernet[12], ethernet[13]) {
        ETHERTYPE_IPV4 => Some((Underlay::Ipv4, parse_ipv4(frame)?)),
        ETHERTYPE_IPV6 => Some((Underlay::Ipv6, parse_ipv6(frame)?)),
        _ => None,
    }
}

#[inline(always)]
fn parse_ipv4(frame: &impl Frame) -> Option<Outer> {
    let h = frame.first::<34>()?;
    let is_whole = h[20] & 0xbf == 0 && h[21] == 0;
    if h[14] != IPV4_PLAIN || h[23] != UDP || !is_whole || h[15] & CONGESTED == CONGESTED {
        return None;
    }
    if be16(h[16], h[17]) as u32 + 14 != frame.bytes() || !is_sum_right(h) {
        return None;
    }
    let (port, vni) = udp(frame.at::<16>(34)?, be16(h[16], h[17]) - 20)?;
    let addresses = [half_at::<26, _>(h) as u64, 0, half_at::<30, _>(h) as u64, 0];
    Some(Outer::new(vni, IPV4, (h[15] >> 2, h[22]), port, addresses))
}

#[inline(always)]
fn parse_ipv6(frame: &impl Frame) -> Option<Outer> {
    let h = frame.first::<54>()?;
    let class = (h[14] & 0xf) << 4 | h[15] >> 4;
    if h[14] >> 4 != 6 || h[20] != UDP || class & CONGESTED == CONGESTED {
        return None;
    }
    let payload = be16(h[18], h[19]);
    if payload as u32 + 54 != frame.bytes() {
        return None;
    }
    let udp_header = frame.at::<16>(54)?;
    let (port, vni) = udp(udp_header, payload)?;
    // IPv6 wants one (RFC 8200 section 8.1).
    if udp_header[6] == 0 && udp_header[7] == 0 {
        return None;
    }
    let class = (class >> 2, h[21]);
    Some(Outer::new(vni, IPV6, class, port, ipv6_addresses(h)))
}

/// The UDP source port and the VNI.
#[inline(always)]
fn udp(h: &[u8; 16], payload: u16) -> Option<(u16, u32)> {
    let is_plain = be16(h[2], h[3]) == PORT && be16(h[4], h[5]) == payload;
    let is_vxlan = [h[8], h[9], h[10], h[11]] == FLAGS && h[15] == 0;
    if !is_plain || !is_vxlan {
        return None;
    }
    Some((
        be16(h[0], h[1]),
        u32::from_be_bytes([0, h[12], h[13], h[14]]),
    ))
}
