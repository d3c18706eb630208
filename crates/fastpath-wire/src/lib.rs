//! What the fast path's programs and the process that loads them agree on: which packets are
//! plain enough for the shortcut, what a flow is, what proves it, and how the maps look.
//!
//! No IO, no allocation, no std: the same code runs in the kernel and in tests. What a packet and
//! a proof are for is told in `fastpath`.
#![no_std]

mod arrival;
mod flow;
mod frame;
mod leaving;
mod maps;
mod outer;
mod proof;

pub use arrival::{ARRIVAL_FRONT, Arrival};
pub use flow::{Flow, FlowKey, IPV4, IPV6, Slow};
pub use frame::{ETHERNET_BYTES, Frame, Inside, parse_flow, parse_receiver};
pub use leaving::{Around, FRONT_MAX, FRONT4, IP_FIRST, IpFirst, Leaving, Load, PLAIN_FRONT};
pub use maps::{
    BUCKETS, Bucket, COUNTERS_MAX, Counters, FAMILY_BITS, Kind, MAP_ARRIVALS, MAP_COUNTERS,
    MAP_GENERATION, MAP_LEAVING, MAP_OVERLAYS, MAP_PARTS, MAP_PORTS, MAP_PROOFS, MAP_SETTINGS,
    MAP_TICKETS, MAP_UPLINKS, NO_ADDRESS, NODE_BUCKETS, OVERLAYS_MAX, Overlay, PARTS_MAX,
    PORTS_MAX, PROGRAM_FROM_NODES, PROGRAM_IN, PROGRAM_OUT, PROGRAM_TO_NODES, Part, PartKey, Port,
    SLOW_KINDS, Settings, TICKETS, Terms, Ticket, UPLINKS_MAX, Uplink, WAYS,
};
pub use outer::{Outer, Underlay, VXLAN4_BYTES, VXLAN6_BYTES, parse_outer};
pub use proof::{Proof, Proved, Sized, Verdict};
