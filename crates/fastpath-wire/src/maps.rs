//! What is in the maps. All of it is plain words, the same for programs and loader.

use crate::{Flow, Proof};

/// Names of the maps and programs in the object, and of their pins.
pub const MAP_SETTINGS: &str = "SETTINGS";
pub const MAP_PORTS: &str = "PORTS";
pub const MAP_PROOFS: &str = "PROOFS";
pub const MAP_COUNTERS: &str = "COUNTERS";
/// Of what comes in from a container, and of what goes out to one.
pub const PROGRAM_IN: &str = "pontoon_in";
pub const PROGRAM_OUT: &str = "pontoon_out";

/// A bridge takes 1,023 ports; a node has some networks.
pub const PORTS_MAX: u32 = 16_384;
/// Of proofs, on each CPU; a power of two. 704 KiB a CPU.
pub const BUCKETS: u32 = 4_096;
/// Flows that a bucket has room for.
pub const WAYS: usize = 2;
pub const SLOW_KINDS: usize = 8;

/// What holds for the whole node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// How long a proof holds, in nanoseconds.
    pub proof_ns: u64,
    /// Random: which flows share a bucket can't be foreseen from inside a container.
    pub seed: u64,
    /// Proofs of other generations are void.
    pub generation: u32,
    /// In a packet's `tc_index` (16 bits, not zero): a copy that goes to renew a proof.
    pub token: u32,
}

/// An endpoint's port, as the guard knows it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Port {
    /// The interface index of its bridge.
    pub network: u32,
    /// In bytes, without the Ethernet header.
    pub mtu: u32,
    /// The endpoint's MAC and two zeros.
    pub mac: [u8; 8],
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

/// Packets that came in by a port, of one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Counters {
    pub fast_packets: u64,
    pub fast_bytes: u64,
    /// By the number of [`crate::Slow`].
    pub slow: [u64; SLOW_KINDS],
}

/// The proofs of the flows that fall together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Bucket {
    pub proofs: [Proof; WAYS],
}
