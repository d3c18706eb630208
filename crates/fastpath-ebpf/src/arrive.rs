//! To a container: takes packets of other nodes out of what is around them, and sees what the
//! kernel gives to containers.

use aya_ebpf::bindings::{BPF_F_ADJ_ROOM_DECAP_L3_IPV4, BPF_F_ADJ_ROOM_DECAP_L3_IPV6};
use fastpath_wire::{
    Arrival, ETHERNET_BYTES, Flow, FlowKey, Frame, IP_FIRST, Inside, IpFirst, Kind, Outer, Port,
    Sized, Slow, Terms, Ticket, Underlay, VXLAN4_BYTES, VXLAN6_BYTES, Verdict, parse_flow,
    parse_outer, parse_receiver,
};

use crate::carry::{flow_of, give_to};
use crate::context::Packet;
use crate::maps::{
    arrivals, count_arrived, count_fast, count_slow, now, overlay, part, port, proofs, uplink,
};
use crate::tickets;
use crate::{ON, Seen};

#[inline(always)]
pub fn from_nodes(packet: &Packet<'_>, terms: &Terms<'_>) -> i32 {
    if packet.is_tagged() || !packet.is_for_us() {
        return ON;
    }
    packet.gather_outer();
    match parse_outer(packet) {
        Some((underlay, outer)) => match underlay {
            Underlay::Ipv4 => unwrap::<VXLAN4_BYTES>(packet, terms, &outer),
            Underlay::Ipv6 => unwrap::<VXLAN6_BYTES>(packet, terms, &outer),
        },
        None if terms.has_routed != 0 => unwrap::<NOTHING>(packet, terms, &Outer::NOTHING),
        None => ON,
    }
}

/// Around a packet that crosses as it is.
const NOTHING: usize = 0;

#[inline(always)]
fn unwrap<const AROUND: usize>(packet: &Packet<'_>, terms: &Terms<'_>, outer: &Outer) -> i32 {
    let ifindex = packet.ifindex();
    packet.gather_inner(AROUND);
    let inner = Inside::<_, AROUND>(packet);
    let (why, key) = match parse_flow(&inner) {
        Ok(flow) => {
            let key = flow.key(ifindex);
            if is_own_copy(packet, terms, &key) {
                return ON;
            }
            match shortcut::<AROUND>(packet, terms, &flow, &key, outer) {
                Ok(action) => return action,
                Err(why) => (why, Some(key)),
            }
        }
        Err(why) => (why, None),
    };
    // Whose it is has not been asked until now: what has a proof is ours.
    let is_ours = match AROUND {
        NOTHING => is_for_own_part(packet),
        _ => overlay(outer.vni()).is_some(),
    };
    if !is_ours {
        return ON;
    }
    if let Some(key) = key {
        let frame = (Kind::Packet, inner.bytes());
        tickets::give(packet, terms, &key, Some(outer), frame);
    }
    if let Some(uplink) = uplink(ifindex) {
        count_slow(uplink.counters, why);
    }
    ON
}

/// Whether a packet is for an address of a routed network that is on this node.
#[inline(always)]
fn is_for_own_part(packet: &Packet<'_>) -> bool {
    let receiver = parse_receiver(packet);
    receiver.and_then(part).is_some_and(|part| part.is_own != 0)
}

/// Nodes of one machine may have the same token.
#[inline(always)]
fn is_own_copy(packet: &Packet<'_>, terms: &Terms<'_>, key: &FlowKey) -> bool {
    let is_copy = terms.is_copy(packet.tc_index());
    is_copy && tickets::of(packet, terms).is_some_and(|ticket| ticket.key.is(key))
}

#[inline(always)]
fn shortcut<const AROUND: usize>(
    packet: &Packet<'_>,
    terms: &Terms<'_>,
    flow: &Flow,
    key: &FlowKey,
    outer: &Outer,
) -> Result<i32, Slow> {
    let bucket = arrivals(key.bucket(terms.seed));
    let found = bucket.and_then(|bucket| bucket.find(key));
    let way = found
        .filter(|way| way.outer.is(outer))
        .ok_or(Slow::Unproved)?;
    let size = Sized {
        frame: packet.frame_bytes() - AROUND as u32,
        headers: flow.headers,
        segment: packet.segment_bytes(),
    };
    let now = now();
    let verdict = way.proof.verdict(now, terms, size);
    match verdict {
        Verdict::Unproved => return Err(Slow::Unproved),
        Verdict::TooBig => return Err(Slow::TooBig),
        Verdict::Fast | Verdict::FastAndAsk => {}
    }
    // Nothing but what is around it protects a packet without. Datagrams of one packet of segments
    // would be taken for what is around them.
    let is_bare = flow.check == 0 || (size.segment != 0 && !flow.is_tcp());
    if AROUND != NOTHING && is_bare {
        return Err(Slow::Checksum);
    }
    let ip = packet.at::<IP_FIRST>(AROUND + ETHERNET_BYTES as usize);
    let ip = IpFirst::of(ip.ok_or(Slow::Odd)?);
    if verdict == Verdict::FastAndAsk {
        way.proof.asked_ns = now;
        tickets::send_copy(packet, terms, key, Some(outer), size.frame);
    }
    // What is inside may be of the other family.
    let flags = match (AROUND, flow.is_ipv4()) {
        (VXLAN4_BYTES, false) => BPF_F_ADJ_ROOM_DECAP_L3_IPV6 as u64,
        (VXLAN6_BYTES, true) => BPF_F_ADJ_ROOM_DECAP_L3_IPV4 as u64,
        _ => 0,
    };
    if AROUND != NOTHING && !packet.adjust_room(-(AROUND as i32), flags) {
        return Err(if flags == 0 { Slow::Odd } else { Slow::Family });
    }
    packet.write_front(way.front(ip), flow.is_ipv4());
    count_fast(way.proof.counters, size.frame);
    count_arrived(way.arrived, size.frame);
    Ok(give_to(packet, way.proof.target))
}

/// Writes down that the kernel delivers this flow.
#[inline(always)]
pub fn confirm(packet: &Packet<'_>, terms: &Terms<'_>) -> Seen {
    let is_copy = terms.is_copy(packet.tc_index());
    match confirmed(packet, terms, is_copy) {
        Some(()) if is_copy => Seen::Copy,
        Some(()) => Seen::Packet,
        None => Seen::Stranger,
    }
}

#[inline(always)]
fn confirmed(packet: &Packet<'_>, terms: &Terms<'_>, is_copy: bool) -> Option<()> {
    let from = packet.came_in_by();
    // What the node sends itself came in by nothing.
    if from == 0 {
        return None;
    }
    let flow = flow_of(packet).ok()?;
    let receiver = port(packet.ifindex())?;
    match port(from) {
        Some(sender) => within_node(packet, terms, &flow, [sender, receiver]),
        None => {
            let ticket = tickets::of(packet, terms)?;
            // What GRO has put together is more than the copy.
            if is_copy && ticket.frame != packet.frame_bytes() {
                return None;
            }
            from_node(packet, terms, &flow, receiver, ticket)
        }
    }
}

#[inline(always)]
fn within_node(
    packet: &Packet<'_>,
    terms: &Terms<'_>,
    flow: &Flow,
    [sender, receiver]: [&Port; 2],
) -> Option<()> {
    let now = now();
    if !sender.speaks_to(receiver, flow) {
        return None;
    }
    // It has arrived; but somebody listens.
    if !sender.takes_part(now) || !receiver.takes_part(now) {
        return Some(());
    }
    let key = flow.key(packet.came_in_by());
    let proof = proofs(key.bucket(terms.seed))?.place(&key);
    proof.key = key;
    proof.proved_ns = now;
    proof.generation = terms.generation;
    proof.target = packet.ifindex();
    proof.counters = sender.counters;
    proof.frame_max = receiver.mtu + ETHERNET_BYTES;
    Some(())
}

#[inline(always)]
fn from_node(
    packet: &Packet<'_>,
    terms: &Terms<'_>,
    flow: &Flow,
    receiver: &Port,
    ticket: &Ticket,
) -> Option<()> {
    let hops_taken = flow.hops_from(&ticket.key)?;
    let uplink = uplink(ticket.key.ifindex())?;
    let network = match ticket.outer.is_nothing() {
        true => part(flow.sender_key())?.network,
        false => overlay(ticket.outer.vni())?.network,
    };
    if network != receiver.network || !receiver.is_receiver_of(flow) {
        return None;
    }
    let now = now();
    // It is what it was; but rules may have changed, or somebody listens.
    if ticket.generation != terms.generation || !receiver.takes_part(now) {
        return Some(());
    }
    let key = ticket.key;
    let ethernet = packet.first()?;
    let way: &mut Arrival = arrivals(key.bucket(terms.seed))?.place(&key);
    way.proof.key = key;
    way.outer = ticket.outer;
    way.learn(ethernet);
    way.arrived = receiver.counters;
    way.proof.counters = uplink.counters;
    way.hops_taken = hops_taken;
    way.proof.generation = terms.generation;
    way.proof.target = packet.ifindex();
    way.proof.frame_max = receiver.mtu + ETHERNET_BYTES;
    way.proof.proved_ns = now;
    Some(())
}
