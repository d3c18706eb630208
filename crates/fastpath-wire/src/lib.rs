//! What the fast path's programs and the process that loads them agree on: which packets are
//! plain enough for the shortcut, what a flow is, what proves it, and how the maps look.
//!
//! No IO, no allocation, no std: the same code runs in the kernel and in tests. What a packet and
//! a proof are for is told in `fastpath`.
#![no_std]

mod flow;
mod frame;
mod maps;
mod proof;

pub use flow::{Flow, FlowKey, Slow};
pub use frame::{ETHERNET_BYTES, Frame, parse_flow};
pub use maps::{
    BUCKETS, Bucket, Counters, MAP_COUNTERS, MAP_PORTS, MAP_PROOFS, MAP_SETTINGS, NO_ADDRESS,
    PORTS_MAX, PROGRAM_IN, PROGRAM_OUT, Port, SLOW_KINDS, Settings, WAYS,
};
pub use proof::{Proof, Sized, Verdict};
