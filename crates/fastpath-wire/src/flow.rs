//! A flow: everything of a packet's headers that rules of a bridge could have decided by and that
//! stays the same from packet to packet.

use crate::PartKey;

/// Why a packet goes the kernel's way. The number is its place in [`crate::Counters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Slow {
    /// ARP and all else that is not IP, and what is tagged.
    NotIp = 0,
    /// Headers that are cut short or contradict themselves: the kernel decides what becomes of it.
    Odd = 1,
    /// IPv4 options.
    Options = 2,
    /// A piece of a datagram.
    Fragment = 3,
    /// Neither TCP nor UDP; IPv6 extension headers too.
    Protocol = 4,
    /// A TCP segment that opens or ends a connection, or is urgent.
    TcpFlags = 5,
    /// More than the receiver's MTU.
    TooBig = 6,
    /// The kernel has delivered no packet of this flow lately.
    Unproved = 7,
    /// Between nodes: without a checksum, or with one that is not left to the device.
    Checksum = 8,
    /// From another node, IPv6 within IPv4 or the other way round, on a kernel that can't take out
    /// what is of the other family: before Linux 6.3 (`BPF_F_ADJ_ROOM_DECAP_L3_IPV4`, `_IPV6`).
    Family = 9,
}

impl Slow {
    /// All of them, by number.
    pub const ALL: [Self; crate::SLOW_KINDS] = [
        Self::NotIp,
        Self::Odd,
        Self::Options,
        Self::Fragment,
        Self::Protocol,
        Self::TcpFlags,
        Self::TooBig,
        Self::Unproved,
        Self::Checksum,
        Self::Family,
    ];

    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotIp => "not-ip",
            Self::Odd => "odd",
            Self::Options => "options",
            Self::Fragment => "fragment",
            Self::Protocol => "protocol",
            Self::TcpFlags => "tcp-flags",
            Self::TooBig => "too-big",
            Self::Unproved => "unproved",
            Self::Checksum => "checksum",
            Self::Family => "family",
        }
    }
}

/// A flow on one port: compared as seven words, all bits of which count.
///
/// Word 0 is the port's interface index, the family, the protocol, the DSCP and the hops left;
/// words 1 and 2 the receiver's and the sender's MAC with a transport port each; then the sender's
/// and the receiver's address, two words each, an IPv4 address in the first. Bytes of the wire
/// stand in memory as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct FlowKey(pub [u64; 7]);

impl FlowKey {
    /// The port that it comes in by.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        self.0[0] as u32
    }

    /// Whether it is the same flow. Spelled out: a call for seven words would cost more than them.
    #[inline(always)]
    pub fn is(&self, other: &Self) -> bool {
        let [a, b, c, d, e, f, g] = self.0;
        let [h, i, j, k, l, m, n] = other.0;
        (a ^ h) | (b ^ i) | (c ^ j) | (d ^ k) | (e ^ l) | (f ^ m) | (g ^ n) == 0
    }
}

/// What a packet is to the fast path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The key, without the interface index.
    pub(crate) words: [u64; 7],
    /// Ethernet, IP and transport headers, in bytes.
    pub headers: u32,
    /// The transport's checksum, as it stands there.
    pub check: u16,
}

const FAMILY_SHIFT: u32 = 32;
const PROTOCOL_SHIFT: u32 = 40;
const HOPS_SHIFT: u32 = 56;
const TCP: u8 = 6;
/// As maps have them too.
pub const IPV4: u64 = 4;
pub const IPV6: u64 = 6;

impl Flow {
    /// The flow as it comes in by a port.
    #[inline(always)]
    pub fn key(&self, ifindex: u32) -> FlowKey {
        let mut words = self.words;
        words[0] |= ifindex as u64;
        FlowKey(words)
    }

    #[inline(always)]
    pub(crate) fn receiver_mac(&self) -> u64 {
        mac_bits(self.words[1])
    }

    #[inline(always)]
    pub(crate) fn sender_mac(&self) -> u64 {
        mac_bits(self.words[2])
    }

    #[inline(always)]
    pub(crate) fn sender(&self) -> [u64; 2] {
        [self.words[3], self.words[4]]
    }

    #[inline(always)]
    pub(crate) fn receiver(&self) -> [u64; 2] {
        [self.words[5], self.words[6]]
    }

    /// The sender's address, to be looked for among prefixes.
    #[inline(always)]
    pub fn sender_key(&self) -> PartKey {
        self.part_key(self.sender())
    }

    /// The receiver's.
    #[inline(always)]
    pub fn receiver_key(&self) -> PartKey {
        self.part_key(self.receiver())
    }

    #[inline(always)]
    fn part_key(&self, [high, low]: [u64; 2]) -> PartKey {
        [(self.words[0] >> FAMILY_SHIFT) & 0xff, high, low]
    }

    #[inline(always)]
    pub fn is_ipv4(&self) -> bool {
        (self.words[0] >> FAMILY_SHIFT) & 0xff == IPV4
    }

    #[inline(always)]
    pub fn is_tcp(&self) -> bool {
        self.protocol() == TCP
    }

    #[inline(always)]
    pub fn protocol(&self) -> u8 {
        (self.words[0] >> PROTOCOL_SHIFT) as u8
    }

    /// The sender's and the receiver's, as words of memory.
    #[inline(always)]
    pub fn addresses(&self) -> &[u64; 4] {
        self.words.last_chunk().unwrap_or(&[0; 4])
    }

    /// The length of the IP header.
    #[inline(always)]
    pub fn ip_bytes(&self) -> u32 {
        if self.is_ipv4() { 20 } else { 40 }
    }

    /// Whether this is what a node makes of a packet of a flow on its way: the same but for MACs,
    /// and the hops that it has taken. How many of them, none or one.
    #[inline(always)]
    pub fn hops_from(&self, before: &FlowKey) -> Option<u8> {
        let [first, receiver, sender, a, b, c, d] = before.0;
        let [own_first, own_receiver, own_sender, e, f, g, h] = self.words;
        let addresses = (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h);
        let ports = ((receiver ^ own_receiver) | (sender ^ own_sender)) & !mac_bits(u64::MAX);
        // Family, protocol and DSCP.
        let kind = (first ^ own_first) >> FAMILY_SHIFT & 0x00ff_ffff;
        if addresses | ports | kind != 0 {
            return None;
        }
        let taken = (first >> HOPS_SHIFT).wrapping_sub(own_first >> HOPS_SHIFT);
        (taken <= 1).then_some(taken as u8)
    }
}

/// The first word, of family, protocol, DSCP and hops.
#[inline(always)]
pub(crate) fn first_word(family: u64, protocol: u8, dscp: u8, hops: u8) -> u64 {
    let bytes = (protocol as u64) << 8 | (dscp as u64) << 16 | (hops as u64) << 24;
    (family | bytes) << FAMILY_SHIFT
}

/// A word that begins with a MAC, with a port behind it, as they stand in memory.
#[inline(always)]
pub(crate) fn mac_word(mac: u64, port: [u8; 2]) -> u64 {
    mac_bits(mac) | u64::from_ne_bytes([0, 0, 0, 0, 0, 0, port[0], port[1]])
}

#[inline(always)]
fn mac_bits(word: u64) -> u64 {
    word & u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0])
}
