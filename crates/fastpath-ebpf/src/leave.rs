//! Out to another node: puts around a packet what the kernel has put around one before, and sees
//! what the kernel sends.

use aya_ebpf::bindings::{
    BPF_F_ADJ_ROOM_ENCAP_L2_ETH, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
    BPF_F_ADJ_ROOM_ENCAP_L4_UDP,
};
use aya_ebpf::helpers::bpf_redirect;
use fastpath_wire::{
    ETHERNET_BYTES, Flow, FlowKey, Frame, IP_FIRST, Inside, IpFirst, Leaving, Load, Outer,
    Settings, Slow, Ticket, Underlay, VXLAN4_BYTES, VXLAN6_BYTES, Verdict, parse_flow, parse_outer,
};

use crate::Seen;
use crate::carry::size_of;
use crate::context::Packet;
use crate::maps::{count_fast, leaving, now, overlay, port, uplink};
use crate::tickets;

/// The inner Ethernet header's length, where the kernel looks for it.
const ENCAP_L2_SHIFT: u32 = 56;
const AROUND: u64 = BPF_F_ADJ_ROOM_ENCAP_L4_UDP as u64
    | BPF_F_ADJ_ROOM_ENCAP_L2_ETH as u64
    | (ETHERNET_BYTES as u64) << ENCAP_L2_SHIFT;
/// An IPv4 packet's length has 16 bits.
const OUTER_MAX: u32 = 65_535 - VXLAN6_BYTES as u32;

/// Where an IP header begins to differ by the hops, in a plain frame.
const INNER: usize = ETHERNET_BYTES as usize;

#[inline(always)]
pub fn to_node(
    packet: &Packet<'_>,
    settings: &Settings,
    flow: &Flow,
    (key, number): (&FlowKey, u32),
) -> Result<i32, Slow> {
    let found = leaving(number).and_then(|bucket| bucket.find(key));
    let way = found.ok_or(Slow::Unproved)?;
    let (now, size) = (now(), size_of(packet, flow));
    let verdict = way.proof.verdict(now, settings, size);
    match verdict {
        Verdict::Unproved => return Err(Slow::Unproved),
        Verdict::TooBig => return Err(Slow::TooBig),
        Verdict::Fast | Verdict::FastAndAsk if size.frame > OUTER_MAX => return Err(Slow::TooBig),
        Verdict::Fast | Verdict::FastAndAsk => {}
    }
    let ip = packet.at::<IP_FIRST>(INNER).ok_or(Slow::Odd)?;
    let load = Load {
        ip: IpFirst::of(ip),
        frame: size.frame,
        transport: size.frame - ETHERNET_BYTES - flow.ip_bytes(),
        segment: size.segment,
        check: flow.check,
    };
    if load.check == 0 || !way.completes(&load) {
        return Err(Slow::Checksum);
    }
    if verdict == Verdict::FastAndAsk {
        way.proof.asked_ns = now;
        tickets::send_copy(packet, settings, key, None, size.frame);
    }
    packet.set_mark_and_priority(way.mark, way.priority);
    packet.set_tc_index(settings.carried());
    let action = send(packet, way, &load);
    if action.is_err() {
        packet.set_tc_index(0);
        return action;
    }
    count_fast(way.proof.counters, size.frame);
    action
}

#[inline(always)]
fn send(packet: &Packet<'_>, way: &mut Leaving, load: &Load) -> Result<i32, Slow> {
    let target = match way.underlay() {
        Underlay::Ipv4 => put_around4(packet, way, load)?,
        // Each segment needs a checksum of its own there, which the device makes.
        Underlay::Ipv6 if load.segment != 0 => put_into_device(packet, way, load)?,
        Underlay::Ipv6 => put_around6(packet, way, load)?,
    };
    // SAFETY: an interface index, and no flags; the kernel looks it up.
    Ok(unsafe { bpf_redirect(target, 0) } as i32)
}

#[inline(always)]
fn put_around4(packet: &Packet<'_>, way: &mut Leaving, load: &Load) -> Result<u32, Slow> {
    let front = way.front4(load);
    let flags = AROUND | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 as u64;
    if !packet.adjust_room(VXLAN4_BYTES as i32, flags) {
        return Err(Slow::Odd);
    }
    packet.write_first(front);
    Ok(way.proof.target)
}

#[inline(always)]
fn put_around6(packet: &Packet<'_>, way: &mut Leaving, load: &Load) -> Result<u32, Slow> {
    let front = way.front6(load);
    let flags = AROUND | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 as u64;
    if !packet.adjust_room(VXLAN6_BYTES as i32, flags) {
        return Err(Slow::Odd);
    }
    packet.write_first(front);
    Ok(way.proof.target)
}

/// Past the bridge and the routes, into the network's VXLAN device.
#[inline(always)]
fn put_into_device(packet: &Packet<'_>, way: &mut Leaving, load: &Load) -> Result<u32, Slow> {
    if packet.write_first(way.inner_front6(load.ip)) {
        Ok(way.device)
    } else {
        Err(Slow::Odd)
    }
}

/// Writes down that the kernel sends this flow to a node, and how.
#[inline(always)]
pub fn confirm(packet: &Packet<'_>, settings: &Settings) -> Seen {
    match confirmed(packet, settings) {
        Some(()) if settings.is_copy(packet.tc_index()) => Seen::Copy,
        Some(()) => Seen::Packet,
        None => Seen::Stranger,
    }
}

#[inline(always)]
fn confirmed(packet: &Packet<'_>, settings: &Settings) -> Option<()> {
    let ticket = tickets::of(packet, settings)?;
    // What came from a node goes to none.
    if !ticket.outer.is_nothing() || packet.is_tagged() {
        return None;
    }
    packet.gather_outer();
    let (underlay, outer) = parse_outer(packet)?;
    packet.gather_inner(underlay.bytes());
    match underlay {
        Underlay::Ipv4 => {
            let inner = Inside::<_, VXLAN4_BYTES>(packet);
            write_down(
                packet,
                settings,
                ticket,
                &outer,
                &parse_flow(&inner).ok()?,
                underlay,
            )
        }
        Underlay::Ipv6 => {
            let inner = Inside::<_, VXLAN6_BYTES>(packet);
            write_down(
                packet,
                settings,
                ticket,
                &outer,
                &parse_flow(&inner).ok()?,
                underlay,
            )
        }
    }
}

#[inline(always)]
fn write_down(
    packet: &Packet<'_>,
    settings: &Settings,
    ticket: &Ticket,
    outer: &Outer,
    flow: &Flow,
    underlay: Underlay,
) -> Option<()> {
    let hops_taken = flow.hops_from(&ticket.key)?;
    let sender = port(ticket.key.ifindex())?;
    let network = overlay(outer.vni())?;
    let now = now();
    if network.network != sender.network || !sender.has_sender_of(flow) {
        return None;
    }
    // It is what it was; but rules may have changed, or somebody listens.
    if ticket.generation != settings.generation || !sender.takes_part(now) {
        return Some(());
    }
    let key = ticket.key;
    let around = underlay.bytes() as u32;
    let room = uplink(packet.ifindex())?.mtu.checked_sub(around)?;
    let way = leaving(key.bucket(settings.seed))?.place(&key);
    way.proof.key = key;
    way.proof.proved_ns = 0;
    match underlay {
        Underlay::Ipv4 => way.learn4(packet.first()?, flow.addresses(), flow.protocol()),
        Underlay::Ipv6 => way.learn6(packet.first()?, flow.addresses(), flow.protocol()),
    }
    way.mark = packet.mark();
    way.priority = packet.priority();
    way.device = network.device;
    way.hops_taken = hops_taken;
    way.proof.generation = settings.generation;
    way.proof.target = packet.ifindex();
    way.proof.counters = sender.counters;
    way.proof.frame_max = sender.mtu.min(room) + ETHERNET_BYTES;
    way.proof.proved_ns = now;
    Some(())
}
