//! The fast path's two programs, on both sides of each endpoint's port: `pontoon_in` sees what
//! comes from a container, `pontoon_out` what the kernel has decided to give to one.
//!
//! What they are for, and why they are right, is told in `crates/fastpath/src/lib.rs`; what a
//! plain packet, a flow and a proof are is in `crates/fastpath-wire`. Nothing here drops a packet,
//! but the copies that `pontoon_in` has made itself.
#![no_std]
#![no_main]

mod context;

use aya_ebpf::bindings::{BPF_F_INGRESS, TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::{
    bpf_clone_redirect, bpf_ktime_get_coarse_ns, bpf_redirect_peer, bpf_skb_change_type,
};
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, PerCpuHashMap};
use aya_ebpf::programs::TcContext;
use fastpath_wire::{
    BUCKETS, Bucket, Counters, ETHERNET_BYTES, Flow, FlowKey, PORTS_MAX, Port, Proof, Settings,
    Sized, Slow, Verdict, parse_flow,
};

use crate::context::Packet;

#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map]
static PORTS: HashMap<u32, Port> = HashMap::with_max_entries(PORTS_MAX, 0);
#[map]
static PROOFS: PerCpuArray<Bucket> = PerCpuArray::with_max_entries(BUCKETS, 0);
#[map]
static COUNTERS: PerCpuHashMap<u32, Counters> = PerCpuHashMap::with_max_entries(PORTS_MAX, 0);

/// Lets the next program, the qdisc and the kernel go on. Not TC_ACT_OK: that ends the chain, and
/// for tcx overwrites `tc_index`.
const ON: i32 = TC_ACT_UNSPEC;
const PACKET_HOST: u32 = 0;

#[classifier]
pub fn pontoon_in(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    let Some(settings) = settings() else {
        return ON;
    };
    // A copy on its way to renew a proof, which `pontoon_out` waits for.
    if packet.tc_index() == settings.token {
        return ON;
    }
    match shortcut(&packet, settings) {
        Ok(action) => action,
        Err(slow) => {
            if let Some(counters) = COUNTERS.get_ptr_mut(&packet.ifindex()) {
                // SAFETY: the value is this CPU's, which runs one program at a time here.
                unsafe { (*counters).slow[slow as usize] += 1 };
            }
            ON
        }
    }
}

#[inline(always)]
fn shortcut(packet: &Packet<'_>, settings: &Settings) -> Result<i32, Slow> {
    let flow = flow_of(packet)?;
    let key = flow.key(packet.ifindex());
    let proof = proof_of(&key, settings).ok_or(Slow::Unproved)?;
    let size = Sized {
        frame: packet.frame_bytes(),
        headers: flow.headers,
        segment: packet.segment_bytes(),
    };
    // SAFETY: no argument but the clock's; the helper can't fail.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let target = proof.target;
    match proof.verdict(now, settings, size) {
        Verdict::Unproved => return Err(Slow::Unproved),
        Verdict::TooBig => return Err(Slow::TooBig),
        Verdict::Fast => {}
        Verdict::FastAndAsk => {
            proof.asked_ns = now;
            ask(packet, settings);
        }
    }
    if let Some(counters) = COUNTERS.get_ptr_mut(&packet.ifindex()) {
        // SAFETY: the value is this CPU's, which runs one program at a time here.
        unsafe {
            (*counters).fast_packets += 1;
            (*counters).fast_bytes += size.frame as u64;
        }
    }
    // SAFETY: the context is this program's own. Kernels before 6.15 keep the type that the bridge
    // would have passed by: for somebody else.
    unsafe { bpf_skb_change_type(packet.raw(), PACKET_HOST) };
    // SAFETY: an interface index, and no flags; the kernel looks it up.
    Ok(unsafe { bpf_redirect_peer(target, 0) } as i32)
}

/// Sends a copy of the packet the kernel's way, in by the same port.
#[inline(always)]
fn ask(packet: &Packet<'_>, settings: &Settings) {
    packet.set_tc_index(settings.token);
    // SAFETY: the context is this program's own; nothing of the packet's bytes is read behind it.
    unsafe { bpf_clone_redirect(packet.raw(), packet.ifindex(), BPF_F_INGRESS as u64) };
    packet.set_tc_index(0);
}

#[classifier]
pub fn pontoon_out(ctx: TcContext) -> i32 {
    let packet = Packet::new(&ctx);
    let Some(settings) = settings() else {
        return ON;
    };
    let is_copy = packet.tc_index() == settings.token;
    match confirm(&packet, settings) {
        Some(()) if is_copy => TC_ACT_SHOT,
        _ => ON,
    }
}

/// Writes down that the kernel delivers this flow.
#[inline(always)]
fn confirm(packet: &Packet<'_>, settings: &Settings) -> Option<()> {
    let from = packet.came_in_by();
    // What the node sends itself came in by nothing.
    if from == 0 {
        return None;
    }
    let flow = flow_of(packet).ok()?;
    // SAFETY: entries are replaced by the loader alone, and whole.
    let sender = unsafe { PORTS.get(&from) }?;
    // SAFETY: as above.
    let receiver = unsafe { PORTS.get(&packet.ifindex()) }?;
    if !sender.speaks_to(receiver, &flow) {
        return None;
    }
    let key = flow.key(from);
    let bucket = PROOFS.get_ptr_mut(key.bucket(settings.seed))?;
    // SAFETY: the value is this CPU's, which runs one program at a time here.
    let proof = unsafe { &mut *bucket }.place(&key);
    proof.key = key;
    // SAFETY: no argument but the clock's; the helper can't fail.
    proof.proved_ns = unsafe { bpf_ktime_get_coarse_ns() };
    proof.generation = settings.generation;
    proof.target = packet.ifindex();
    proof.frame_max = receiver.mtu + ETHERNET_BYTES;
    Some(())
}

/// `None` as long as the loader has made none: with a token of 0 every packet would be a copy.
#[inline(always)]
fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0).filter(|settings| settings.generation != 0)
}

#[inline(always)]
fn flow_of(packet: &Packet<'_>) -> Result<Flow, Slow> {
    if packet.is_tagged() {
        return Err(Slow::NotIp);
    }
    parse_flow(packet)
}

#[inline(always)]
fn proof_of(key: &FlowKey, settings: &Settings) -> Option<&'static mut Proof> {
    let bucket = PROOFS.get_ptr_mut(key.bucket(settings.seed))?;
    // SAFETY: the value is this CPU's, which runs one program at a time here; maps outlive the
    // programs that use them.
    unsafe { &mut *bucket }.find(key)
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
