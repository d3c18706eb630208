//! From a container: straight to another of the node, out to another node, or the kernel's way.

use aya_ebpf::helpers::{bpf_redirect_peer, bpf_skb_change_type};
use fastpath_wire::{Flow, FlowKey, Kind, Sized, Slow, Terms, Verdict, parse_flow};

use crate::ON;
use crate::context::{PACKET_HOST, Packet};
use crate::leave;
use crate::maps::{count_fast, count_slow, now, port, proofs};
use crate::tickets;

#[inline(always)]
pub fn from_port(packet: &Packet<'_>, terms: &Terms<'_>) -> i32 {
    // A copy on its way to renew a proof, with its ticket.
    if terms.is_copy(packet.tc_index()) {
        return ON;
    }
    let why = match flow_of(packet) {
        Ok(flow) => {
            let key = flow.key(packet.ifindex());
            match shortcut(packet, terms, &flow, &key) {
                Ok(action) => return action,
                Err(why) => {
                    let frame = (Kind::Packet, packet.frame_bytes());
                    tickets::give(packet, terms, &key, None, frame);
                    why
                }
            }
        }
        Err(why) => why,
    };
    if let Some(port) = port(packet.ifindex()) {
        count_slow(port.counters, why);
    }
    ON
}

#[inline(always)]
fn shortcut(
    packet: &Packet<'_>,
    terms: &Terms<'_>,
    flow: &Flow,
    key: &FlowKey,
) -> Result<i32, Slow> {
    let number = key.bucket(terms.seed);
    let Some(proof) = proofs(number).and_then(|bucket| bucket.find(key)) else {
        return leave::to_node(packet, terms, flow, (key, number));
    };
    let (now, target) = (now(), proof.target);
    let size = size_of(packet, flow);
    match proof.verdict(now, terms, size) {
        // What was on this node may be on another by now.
        Verdict::Unproved => return leave::to_node(packet, terms, flow, (key, number)),
        Verdict::TooBig => return Err(Slow::TooBig),
        Verdict::Fast => {}
        Verdict::FastAndAsk => {
            proof.asked_ns = now;
            tickets::send_copy(packet, terms, key, None, size.frame);
        }
    }
    count_fast(proof.counters, size.frame);
    Ok(give_to(packet, target))
}

#[inline(always)]
pub fn size_of(packet: &Packet<'_>, flow: &Flow) -> Sized {
    Sized {
        frame: packet.frame_bytes(),
        headers: flow.headers,
        segment: packet.segment_bytes(),
    }
}

/// To the container behind a port.
#[inline(always)]
pub fn give_to(packet: &Packet<'_>, port: u32) -> i32 {
    // SAFETY: the context is this program's own. Kernels before 6.15 keep the type that the bridge
    // would have passed by: for somebody else.
    unsafe { bpf_skb_change_type(packet.raw(), PACKET_HOST) };
    // SAFETY: an interface index, and no flags; the kernel looks it up.
    unsafe { bpf_redirect_peer(port, 0) as i32 }
}

#[inline(always)]
pub fn flow_of(packet: &Packet<'_>) -> Result<Flow, Slow> {
    if packet.is_tagged() {
        return Err(Slow::NotIp);
    }
    parse_flow(packet)
}
