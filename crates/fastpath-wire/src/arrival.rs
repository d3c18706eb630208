//! A flow that comes from another node: what proves it, and what becomes of its packets.

use crate::leaving::{IP_FIRST, with_hops_taken};
use crate::{Outer, Proof, Proved};

/// What is written in front of a packet that has been taken out of what was around it: an Ethernet
/// header, and the beginning of the IP header.
pub const ARRIVAL_FRONT: usize = 14 + IP_FIRST;

/// That the kernel took a packet of a flow out of what was around it, and gave it to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Arrival {
    pub proof: Proof,
    /// What was around it.
    pub outer: Outer,
    /// The Ethernet header that it had in the end.
    pub ethernet: [u8; 14],
    /// The hops that it had taken on this node.
    pub hops_taken: u8,
    pub unused: u8,
}

impl Proved for Arrival {
    #[inline(always)]
    fn proof(&self) -> &Proof {
        &self.proof
    }
}

impl Arrival {
    /// What the packet with this beginning of an IP header has in front in the end.
    #[inline(always)]
    pub fn front(&self, ip: &[u8; IP_FIRST]) -> [u8; ARRIVAL_FRONT] {
        let mut front = [0; ARRIVAL_FRONT];
        let ip = with_hops_taken(ip, self.hops_taken);
        let mut at = 0;
        while at < 14 {
            front[at] = self.ethernet[at];
            at += 1;
        }
        at = 0;
        while at < IP_FIRST {
            front[14 + at] = ip[at];
            at += 1;
        }
        front
    }
}
