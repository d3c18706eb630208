//! Out to another node: puts around a packet what the kernel has put around one before, and sees
//! what the kernel sends.

use aya_ebpf::bindings::{
    BPF_F_ADJ_ROOM_ENCAP_L2_ETH, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
    BPF_F_ADJ_ROOM_ENCAP_L4_UDP,
};
use aya_ebpf::helpers::bpf_redirect;
use fastpath_wire::{
    Around, ETHERNET_BYTES, Flow, FlowKey, Frame, IP_FIRST, Inside, IpFirst, Leaving, Load, Outer,
    Slow, Terms, Ticket, Underlay, VXLAN4_BYTES, VXLAN6_BYTES, Verdict, parse_flow, parse_outer,
};

use crate::Seen;
use crate::carry::size_of;
use crate::context::Packet;
use crate::maps::{count_fast, leaving, now, overlay, part, port, uplink};
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
    terms: &Terms<'_>,
    flow: &Flow,
    (key, number): (&FlowKey, u32),
) -> Result<i32, Slow> {
    let found = leaving(number).and_then(|bucket| bucket.find(key));
    let way = found.ok_or(Slow::Unproved)?;
    let (now, size) = (now(), size_of(packet, flow));
    let verdict = way.proof.verdict(now, terms, size);
    match verdict {
        Verdict::Unproved => return Err(Slow::Unproved),
        Verdict::TooBig => return Err(Slow::TooBig),
        Verdict::Fast | Verdict::FastAndAsk => {}
    }
    let around = way.around();
    if around != Around::Nothing && size.frame > OUTER_MAX {
        return Err(Slow::TooBig);
    }
    let ip = packet.at::<IP_FIRST>(INNER).ok_or(Slow::Odd)?;
    let load = Load {
        ip: IpFirst::of(ip),
        frame: size.frame,
        transport: size.frame - ETHERNET_BYTES - flow.ip_bytes(),
        segment: size.segment,
        check: flow.check,
    };
    if around != Around::Nothing && (load.check == 0 || !way.completes(&load)) {
        return Err(Slow::Checksum);
    }
    if verdict == Verdict::FastAndAsk {
        way.proof.asked_ns = now;
        tickets::send_copy(packet, terms, key, None, size.frame);
    }
    packet.set_mark_and_priority(way.mark, way.priority);
    packet.set_tc_index(terms.carried());
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
    let target = match way.around() {
        Around::Vxlan(Underlay::Ipv4) => put_around4(packet, way, load)?,
        // Each segment needs a checksum of its own there, which the device makes.
        Around::Vxlan(Underlay::Ipv6) if load.segment != 0 => put_into_device(packet, way, load)?,
        Around::Vxlan(Underlay::Ipv6) => put_around6(packet, way, load)?,
        Around::Nothing => route(packet, way, load)?,
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

/// Past the bridge and the routes, as it is.
#[inline(always)]
fn route(packet: &Packet<'_>, way: &mut Leaving, load: &Load) -> Result<u32, Slow> {
    let is_ipv4 = load.ip.is_ipv4();
    if packet.write_front(way.plain_front(load.ip), is_ipv4) {
        Ok(way.proof.target)
    } else {
        Err(Slow::Odd)
    }
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
pub fn confirm(packet: &Packet<'_>, terms: &Terms<'_>) -> Seen {
    match confirmed(packet, terms) {
        Some(()) if terms.is_copy(packet.tc_index()) => Seen::Copy,
        Some(()) => Seen::Packet,
        None => Seen::Stranger,
    }
}

#[inline(always)]
fn confirmed(packet: &Packet<'_>, terms: &Terms<'_>) -> Option<()> {
    let ticket = tickets::of(packet, terms)?;
    // What came from a node goes to none.
    if !ticket.outer.is_nothing() || packet.is_tagged() {
        return None;
    }
    packet.gather_outer();
    let Some((underlay, outer)) = parse_outer(packet) else {
        return routed(packet, terms, ticket);
    };
    packet.gather_inner(underlay.bytes());
    let flow = match underlay {
        Underlay::Ipv4 => parse_flow(&Inside::<_, VXLAN4_BYTES>(packet)),
        Underlay::Ipv6 => parse_flow(&Inside::<_, VXLAN6_BYTES>(packet)),
    };
    let flow = flow.ok()?;
    let network = overlay(outer.vni())?;
    let sent = Sent {
        flow: &flow,
        network: network.network,
        device: network.device,
        around: Around::Vxlan(underlay),
    };
    write_down(packet, terms, ticket, &sent)
}

/// A packet that crosses as it is. What is for the outside is tracked, and may be translated: its
/// receiver is not in the network.
#[inline(always)]
fn routed(packet: &Packet<'_>, terms: &Terms<'_>, ticket: &Ticket) -> Option<()> {
    if terms.has_routed == 0 {
        return None;
    }
    packet.gather_inner(0);
    let flow = parse_flow(packet).ok()?;
    let sent = Sent {
        network: part(flow.receiver_key())?.network,
        flow: &flow,
        device: 0,
        around: Around::Nothing,
    };
    write_down(packet, terms, ticket, &sent)
}

/// What the kernel has made of a packet.
struct Sent<'f> {
    flow: &'f Flow,
    /// The interface index of its network's bridge.
    network: u32,
    /// Of its VXLAN device, if it has one.
    device: u32,
    around: Around,
}

#[inline(always)]
fn write_down(
    packet: &Packet<'_>,
    terms: &Terms<'_>,
    ticket: &Ticket,
    sent: &Sent<'_>,
) -> Option<()> {
    let flow = sent.flow;
    let hops_taken = flow.hops_from(&ticket.key)?;
    let sender = port(ticket.key.ifindex())?;
    let now = now();
    if sent.network != sender.network || !sender.has_sender_of(flow) {
        return None;
    }
    // It is what it was; but rules may have changed, or somebody listens.
    if ticket.generation != terms.generation || !sender.takes_part(now) {
        return Some(());
    }
    let key = ticket.key;
    let room = uplink(packet.ifindex())?
        .mtu
        .checked_sub(sent.around.bytes())?;
    let way = leaving(key.bucket(terms.seed))?.place(&key);
    way.proof.key = key;
    way.proof.proved_ns = 0;
    let (addresses, protocol) = (flow.addresses(), flow.protocol());
    match sent.around {
        Around::Vxlan(Underlay::Ipv4) => way.learn4(packet.first()?, addresses, protocol),
        Around::Vxlan(Underlay::Ipv6) => way.learn6(packet.first()?, addresses, protocol),
        Around::Nothing => way.learn_plain(packet.first()?),
    }
    way.mark = packet.mark();
    way.priority = packet.priority();
    way.device = sent.device;
    way.hops_taken = hops_taken;
    way.proof.generation = terms.generation;
    way.proof.target = packet.ifindex();
    way.proof.counters = sender.counters;
    way.proof.frame_max = sender.mtu.min(room) + ETHERNET_BYTES;
    way.proof.proved_ns = now;
    Some(())
}
