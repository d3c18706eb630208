//! Tickets: what a packet was when it came in, for the program where it goes out the kernel's way.
//! The packet carries the ticket's number in `tc_index`.
//!
//! A ticket is used again soon, and a number can be forged or come by accident: who takes one
//! compares the packet with it.

use aya_ebpf::bindings::BPF_F_INGRESS;
use aya_ebpf::helpers::bpf_clone_redirect;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use fastpath_wire::{FlowKey, Kind, Outer, TICKETS, Terms, Ticket};

use crate::context::Packet;

// The map's name is that of the one in `fastpath_wire`.
#[map(name = "TICKETS")]
static BOOK: PerCpuArray<Ticket> = PerCpuArray::with_max_entries(TICKETS, 0);
#[map]
static NEXT: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

/// Gives a packet a ticket for the kernel's way.
#[inline(always)]
pub fn give(
    packet: &Packet<'_>,
    terms: &Terms<'_>,
    key: &FlowKey,
    outer: Option<&Outer>,
    (kind, frame): (Kind, u32),
) {
    let Some(next) = NEXT.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the value is this CPU's, which runs one program at a time here.
    let number = unsafe { *next } & (TICKETS - 1);
    // SAFETY: as above.
    unsafe { *next = number + 1 };
    let Some(ticket) = BOOK.get_ptr_mut(number) else {
        return;
    };
    // SAFETY: as above.
    let ticket = unsafe { &mut *ticket };
    ticket.key = *key;
    match outer {
        Some(outer) => ticket.outer = *outer,
        None => ticket.outer.0[0] = 0,
    }
    ticket.generation = terms.generation;
    ticket.frame = frame;
    packet.set_tc_index(terms.ticket(number, kind));
}

/// The ticket that a packet says it has.
#[inline(always)]
pub fn of(packet: &Packet<'_>, terms: &Terms<'_>) -> Option<&'static Ticket> {
    let number = terms.ticket_in(packet.tc_index())?;
    let ticket = BOOK.get_ptr_mut(number)?;
    // SAFETY: the value is this CPU's, which runs one program at a time here; maps outlive the
    // programs that use them.
    Some(unsafe { &*ticket })
}

/// Sends a copy of the packet the kernel's way, in by the same device, with a ticket.
#[inline(always)]
pub fn send_copy(
    packet: &Packet<'_>,
    terms: &Terms<'_>,
    key: &FlowKey,
    outer: Option<&Outer>,
    frame: u32,
) {
    give(packet, terms, key, outer, (Kind::Copy, frame));
    // SAFETY: the context is this program's own; nothing of the packet's bytes is read behind it
    // that was taken before.
    unsafe { bpf_clone_redirect(packet.raw(), packet.ifindex(), BPF_F_INGRESS as u64) };
    packet.set_tc_index(0);
}
