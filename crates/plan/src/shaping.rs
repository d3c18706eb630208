//! How fast an endpoint may be, as queues.

use model::{Endpoint, EndpointId, IfName, Mtu, NodeId, Rate};
use netstate::{BURST_UNIT, KernelState, Link, LinkKey, LinkKind, Queue};

use crate::NetworkView;
use crate::endpoint::mark;

/// What a queue lets through at once after a pause: what the rate is in this many milliseconds. The
/// kernel looks at a queue that waits every four (HZ=250) or ten (HZ=100).
const BURST_MILLIS: u64 = 10;
/// Below this, packets of a slow queue would be cut to pieces without need.
const BURST_MIN: u64 = 32 << 10;
/// An Ethernet header with two VLAN tags: packets are counted with theirs.
const FRAME_HEADER: u64 = 22;
/// How long a packet waits at most: a sender that is told by drops must be able to keep the queue
/// busy, and nobody waits longer than a distant server takes.
const WAIT_MILLIS: u64 = 50;
/// What may wait however slow the queue is: one packet of the largest size, not yet cut.
const WAIT_MIN: u64 = 64 << 10;

/// The name of the device that what an endpoint sends waits at: `pifb` and its number in
/// hexadecimal. The guard knows ports by the start of their names: it is none.
pub fn waiting_name(id: EndpointId) -> IfName {
    match format!("pifb{:x}", id.0).parse() {
        Ok(name) => name,
        Err(_) => unreachable!("pifb and eight digits are an interface name"),
    }
}

/// Nothing where an endpoint is as fast as the machine. Both queues are on the node, where the
/// container can't undo them.
pub fn shaping_part(node: NodeId, network: &NetworkView, endpoint: &Endpoint) -> KernelState {
    let mut state = KernelState::default();
    if let Some(rate) = endpoint.rates.receives {
        let queue = queue(rate, network.mtu);
        state.queues.insert(endpoint.port.clone(), queue);
    }
    if let Some(rate) = endpoint.rates.sends {
        let name = waiting_name(endpoint.id);
        let key = LinkKey::on_node(name.clone());
        let link = Link {
            mac: None,
            mtu: network.mtu,
            alias: mark(node, network, endpoint),
            kind: LinkKind::Ifb,
        };
        state.links.insert(key.clone(), link);
        state.up.insert(key);
        state.queues.insert(name.clone(), queue(rate, network.mtu));
        state.detours.insert(endpoint.port.clone(), name);
    }
    state
}

fn queue(rate: Rate, mtu: Mtu) -> Queue {
    let in_time = |millis: u64| rate.bytes() * millis / 1000;
    let frame = u64::from(mtu.bytes()) + FRAME_HEADER;
    let burst = in_time(BURST_MILLIS).max(BURST_MIN).max(frame);
    let burst = burst.next_multiple_of(u64::from(BURST_UNIT));
    let limit = in_time(WAIT_MILLIS) + burst + WAIT_MIN;
    // The highest rate makes a tenth of these.
    let bounded = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    Queue {
        rate,
        burst_bytes: bounded(burst),
        limit_bytes: bounded(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_holds_a_frame_and_a_twentieth_of_a_second() {
        for (rate, mtu, burst, limit) in [
            ("8kbit", 1500, 32_768, 98_354),
            ("8kbit", 65_535, 69_632, 135_218),
            ("100mbit", 1500, 126_976, 817_512),
            ("32gbit", 9000, 40_001_536, 240_067_072),
        ] {
            let queue = queue(rate.parse().unwrap(), Mtu::try_from(mtu).unwrap());
            assert_eq!(
                (queue.burst_bytes, queue.limit_bytes),
                (burst, limit),
                "{rate}"
            );
        }
    }
}
