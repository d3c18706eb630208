//! What is in the maps. All of it is plain words, the same for programs and loader.

use core::ops::Deref;

use crate::{Flow, FlowKey, Outer};

/// Names of the maps and programs in the object, and of their pins.
pub const MAP_SETTINGS: &str = "SETTINGS";
pub const MAP_GENERATION: &str = "GENERATION";
pub const MAP_PORTS: &str = "PORTS";
pub const MAP_PROOFS: &str = "PROOFS";
pub const MAP_COUNTERS: &str = "COUNTERS";
pub const MAP_LEAVING: &str = "LEAVING";
pub const MAP_ARRIVALS: &str = "ARRIVALS";
pub const MAP_TICKETS: &str = "TICKETS";
pub const MAP_OVERLAYS: &str = "OVERLAYS";
pub const MAP_UPLINKS: &str = "UPLINKS";
pub const MAP_PARTS: &str = "PARTS";
/// Of what comes in from a container, and of what goes out to one.
pub const PROGRAM_IN: &str = "pontoon_in";
pub const PROGRAM_OUT: &str = "pontoon_out";
/// Of what comes in from other nodes, and of what goes out to them.
pub const PROGRAM_FROM_NODES: &str = "pontoon_from_nodes";
pub const PROGRAM_TO_NODES: &str = "pontoon_to_nodes";

/// A bridge takes 1,023 ports; a node has some networks.
pub const PORTS_MAX: u32 = 16_384;
/// Of proofs, on each CPU; a power of two. 704 KiB a CPU.
pub const BUCKETS: u32 = 4_096;
/// Of proofs of flows between nodes, either way, on each CPU; a power of two, no more than
/// [`BUCKETS`]. 832 and 640 KiB a CPU.
pub const NODE_BUCKETS: u32 = 2_048;
/// Flows that a bucket has room for.
pub const WAYS: usize = 2;
pub const SLOW_KINDS: usize = 10;
/// Overlay networks of a node.
pub const OVERLAYS_MAX: u32 = 1_024;
/// Prefixes of routed networks: of the whole network and of the node's own part, of each family.
pub const PARTS_MAX: u32 = 4 * OVERLAYS_MAX;
/// Devices of a node that have its underlay addresses.
pub const UPLINKS_MAX: u32 = 64;
/// Places for counters.
pub const COUNTERS_MAX: u32 = PORTS_MAX + UPLINKS_MAX;
/// Packets of one CPU that are on the kernel's way at once; a power of two, 128 at most.
pub const TICKETS: u32 = 64;

/// What holds for the whole node, for as long as the maps are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// How long a proof holds, in nanoseconds. 0 for settings that nobody has made yet.
    pub proof_ns: u64,
    /// Random: which flows share a bucket can't be foreseen from inside a container.
    pub seed: u64,
    /// The upper half of what our packets have in `tc_index`: see [`Settings::ticket`].
    pub token: u32,
    /// Whether there are routed networks; without, what is not in VXLAN is not looked at.
    pub has_routed: u32,
}

/// What one run of a program goes by.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    pub settings: &'a Settings,
    /// Proofs of other generations are void. In a map of its own: whoever voids them writes it, and
    /// nothing else, at any time.
    pub generation: u32,
}

impl Deref for Terms<'_> {
    type Target = Settings;

    #[inline(always)]
    fn deref(&self) -> &Settings {
        self.settings
    }
}

/// In `tc_index`: a copy that goes to renew a proof.
const COPY: u32 = 0x80;
/// In `tc_index`: on its way out, carried.
const CARRIED: u32 = 0x7f;
const TOKEN: u32 = 0xff00;

impl Settings {
    /// The mark of random bits that no packet has from elsewhere, but by accident.
    pub const fn token_of(random: u64) -> u32 {
        let token = random as u32 & TOKEN;
        if token == 0 { 0x5a00 } else { token }
    }

    /// What a packet has in `tc_index` (16 bits) that goes the kernel's way: the number of its
    /// ticket, and whether it is a copy.
    #[inline(always)]
    pub const fn ticket(&self, number: u32, kind: Kind) -> u32 {
        let number = self.token | (number & (TICKETS - 1));
        match kind {
            Kind::Packet => number,
            Kind::Copy => number | COPY,
        }
    }

    /// What a packet has in `tc_index` that is carried out to another node.
    #[inline(always)]
    pub const fn carried(&self) -> u32 {
        self.token | CARRIED
    }

    /// The number of a packet's ticket.
    #[inline(always)]
    pub const fn ticket_in(&self, tc_index: u32) -> Option<u32> {
        if tc_index & TOKEN == self.token && tc_index & CARRIED < TICKETS {
            Some(tc_index & (TICKETS - 1))
        } else {
            None
        }
    }

    /// Whether a packet is a copy.
    #[inline(always)]
    pub const fn is_copy(&self, tc_index: u32) -> bool {
        tc_index & (TOKEN | COPY) == self.token | COPY
    }
}

/// A packet, or a copy of one that has been carried already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Packet,
    Copy,
}

/// What a packet was when it came in, for where it goes out the kernel's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Ticket {
    pub key: FlowKey,
    /// What was around it, if it came from another node.
    pub outer: Outer,
    /// The generation then.
    pub generation: u32,
    /// The whole frame, without what was around it, in bytes.
    pub frame: u32,
}

/// An overlay network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Overlay {
    /// The interface index of its bridge.
    pub network: u32,
    /// Of its VXLAN device.
    pub device: u32,
}

/// Of an address's family, 64 bits, and its own: a longer prefix is a longer key.
pub type PartKey = [u64; 3];
/// How many bits of a key say the family.
pub const FAMILY_BITS: u32 = 64;

/// What a prefix is part of: a network whose packets cross as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Part {
    /// The interface index of its bridge.
    pub network: u32,
    /// Whether it is this node's.
    pub is_own: u32,
}

/// A device that leads to other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Uplink {
    /// In bytes, without the Ethernet header.
    pub mtu: u32,
    /// Where its packets are counted.
    pub counters: u32,
}

/// An endpoint's port, as the guard knows it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Port {
    /// The interface index of its bridge.
    pub network: u32,
    /// In bytes, without the Ethernet header.
    pub mtu: u32,
    /// Until when its packets go the kernel's way, in nanoseconds of the coarse monotonic clock.
    pub aside_until_ns: u64,
    /// The endpoint's MAC and two zeros.
    pub mac: [u8; 8],
    /// Where its packets are counted.
    pub counters: u32,
    pub unused: u32,
    /// An IPv4 address in the first word alone, then two IPv6 addresses, as on the wire;
    /// [`NO_ADDRESS`] where there is none.
    pub addresses: [[u64; 2]; 3],
}

/// No address of either family: the broadcast address of neither.
pub const NO_ADDRESS: [u64; 2] = [u64::MAX; 2];

impl Port {
    /// Whether a flow is from the one endpoint to the other, in one network.
    #[inline(always)]
    pub fn speaks_to(&self, to: &Self, flow: &Flow) -> bool {
        self.network == to.network
            && flow.sender_mac() == u64::from_ne_bytes(self.mac)
            && flow.receiver_mac() == u64::from_ne_bytes(to.mac)
            && self.has(flow.sender(), flow)
            && to.has(flow.receiver(), flow)
    }

    /// Whether it has the MAC and the address that a flow is for.
    #[inline(always)]
    pub fn is_receiver_of(&self, flow: &Flow) -> bool {
        flow.receiver_mac() == u64::from_ne_bytes(self.mac) && self.has(flow.receiver(), flow)
    }

    /// Whether it has the address that a flow is from.
    #[inline(always)]
    pub fn has_sender_of(&self, flow: &Flow) -> bool {
        self.has(flow.sender(), flow)
    }

    /// Whether its packets may be carried now.
    #[inline(always)]
    pub fn takes_part(&self, now_ns: u64) -> bool {
        now_ns >= self.aside_until_ns
    }

    #[inline(always)]
    fn has(&self, address: [u64; 2], flow: &Flow) -> bool {
        let [v4, v6, link_local] = self.addresses;
        let same = |own: [u64; 2]| (own[0] ^ address[0]) | (own[1] ^ address[1]) == 0;
        if flow.is_ipv4() {
            same(v4)
        } else {
            same(v6) || same(link_local)
        }
    }
}

/// Packets that came in by a port, of one CPU. A proof knows their place: found by the interface
/// index, they took longer than all else that the programs look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Counters {
    /// The interface index of the device that they are for; 0 where they are nobody's.
    pub owner: u64,
    pub fast_packets: u64,
    pub fast_bytes: u64,
    /// Of the fast ones, those that came from another node, counted at the endpoint's port.
    pub arrived_packets: u64,
    pub arrived_bytes: u64,
    /// By the number of [`crate::Slow`].
    pub slow: [u64; SLOW_KINDS],
}

/// The proofs of the flows that fall together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Bucket<P> {
    pub proofs: [P; WAYS],
}
