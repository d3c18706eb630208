//! The fast path's four programs. On both sides of each endpoint's port: `pontoon_in` sees what
//! comes from a container, `pontoon_out` what the kernel has decided to give to one. On both sides
//! of the devices that lead to other nodes: `pontoon_from_nodes` and `pontoon_to_nodes`.
//!
//! What they are for, and why they are right, is told in `crates/fastpath/src/lib.rs`; what a
//! plain packet, a flow and a proof are is in `crates/fastpath-wire`. Nothing here drops a packet,
//! but the copies that the programs have made themselves.
#![no_std]
#![no_main]

mod arrive;
mod carry;
mod context;
mod leave;
mod maps;
mod tickets;

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

use crate::context::Packet;
use crate::maps::terms;

/// Lets the next program, the qdisc and the kernel go on. Not TC_ACT_OK: that ends the chain, and
/// for tcx overwrites `tc_index`.
const ON: i32 = TC_ACT_UNSPEC;

/// What a program that watches where the kernel's way ends has found.
enum Seen {
    /// Not known to have come by one of our ways in.
    Stranger,
    Packet,
    /// Of a packet that has been carried: it has done what it was for.
    Copy,
}

impl Seen {
    #[inline(always)]
    fn action(self) -> i32 {
        match self {
            Self::Stranger | Self::Packet => ON,
            Self::Copy => TC_ACT_SHOT,
        }
    }
}

#[classifier]
pub fn pontoon_in(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    match terms() {
        Some(terms) => carry::from_port(&packet, &terms),
        None => ON,
    }
}

#[classifier]
pub fn pontoon_out(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    match terms() {
        Some(terms) => arrive::confirm(&packet, &terms).action(),
        None => ON,
    }
}

#[classifier]
pub fn pontoon_from_nodes(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    match terms() {
        Some(terms) => arrive::from_nodes(&packet, &terms),
        None => ON,
    }
}

#[classifier]
pub fn pontoon_to_nodes(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    match terms() {
        Some(terms) => leave::confirm(&packet, &terms).action(),
        None => ON,
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// No helper used here asks for another.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 11] = *b"Apache-2.0\0";
