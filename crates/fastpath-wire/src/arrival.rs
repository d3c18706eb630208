//! A flow that comes from another node: what proves it, and what becomes of its packets.

use crate::leaving::{IP_FIRST, IpFirst, put_ip};
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
    /// Where packets are counted that reach the port from other nodes.
    pub arrived: u32,
    /// The hops that it had taken on this node.
    pub hops_taken: u8,
    pub unused: u8,
    /// What a packet has in front in the end: the Ethernet header that it had, and what is written
    /// anew for each.
    pub front: [u8; ARRIVAL_FRONT],
}

impl Proved for Arrival {
    #[inline(always)]
    fn proof(&self) -> &Proof {
        &self.proof
    }
}

impl Arrival {
    /// Takes over the Ethernet header.
    #[inline(always)]
    pub fn learn(&mut self, ethernet: &[u8; 14]) {
        let mut at = 0;
        while at < 14 {
            self.front[at] = ethernet[at];
            at += 1;
        }
    }

    /// What the packet with this beginning of an IP header has in front in the end.
    #[inline(always)]
    pub fn front(&mut self, ip: IpFirst) -> &[u8; ARRIVAL_FRONT] {
        put_ip(&mut self.front, 14, ip, self.hops_taken);
        &self.front
    }
}
