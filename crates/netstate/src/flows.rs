//! Which connections a change of the published ports leaves wrong.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{Family, PortRange, Proto};

use crate::nft::{Datum, ElementKey, Item};
use crate::{KernelState, NodePorts, Step};

/// Where a map no longer leads, connections must not lead either: UDP's, which any packet keeps
/// alive and any socket takes. A TCP or SCTP endpoint refuses what belongs to another's
/// connection, and finding the connections of an address takes the kernel some milliseconds.
pub(crate) fn forget(observed: &KernelState, desired: &KernelState) -> Vec<Step> {
    let gone = observed.elements.iter().filter(|(key, data)| {
        let leads_to = desired.elements.get(key).and_then(|data| data.first());
        leads_to != data.first() && udp_at(key, data).is_some()
    });
    let addresses = gone.filter_map(|(_, data)| data.first()?.as_address());
    let addresses: BTreeSet<IpAddr> = addresses.collect();
    addresses.into_iter().map(Step::ForgetFlows).collect()
}

/// Where a map newly leads UDP, connections that were there first must begin anew. A TCP client
/// does so by itself.
pub(crate) fn forget_early(observed: &KernelState, desired: &KernelState) -> Vec<Step> {
    let new = desired.elements.iter();
    let new = new.filter(|(key, data)| observed.elements.get(key) != Some(data));
    let places: BTreeSet<NodePorts> = new.filter_map(|(key, data)| udp_at(key, data)).collect();
    let mut merged: Vec<NodePorts> = Vec::new();
    for place in places {
        match merged
            .last_mut()
            .and_then(|last| Some((joined(*last, place)?, last)))
        {
            Some((both, last)) => *last = both,
            None => merged.push(place),
        }
    }
    merged.into_iter().map(Step::ForgetEarlyFlows).collect()
}

/// Two neighbouring stretches of ports at one address as one.
fn joined(low: NodePorts, high: NodePorts) -> Option<NodePorts> {
    let adjacent = low.ports.last().checked_add(1) == Some(high.ports.first());
    let ports = PortRange::new(low.ports.first(), high.ports.last()).ok()?;
    let bind = low.bind;
    (adjacent && bind == high.bind).then_some(NodePorts { bind, ports })
}

/// The node's ports that an element of a map publishes for UDP.
fn udp_at(key: &ElementKey, data: &[Datum]) -> Option<NodePorts> {
    let family = Family::of(data.first()?.as_address()?);
    let (bind, proto, ports) = match key.key.as_slice() {
        [proto, ports] => (family.unspecified(), proto, ports),
        [Item::One(bind), proto, ports] => (bind.as_address()?, proto, ports),
        [Item::Prefix(any), proto, ports] if any.is_any() => (any.address(), proto, ports),
        _ => return None,
    };
    let ports = match ports {
        Item::One(Datum::InetService(port)) => PortRange::new(*port, *port).ok()?,
        Item::Ports(ports) => *ports,
        Item::One(_) | Item::Prefix(_) | Item::Range(..) => return None,
    };
    (*proto == Item::One(Datum::InetProto(Proto::Udp))).then_some(NodePorts { bind, ports })
}
