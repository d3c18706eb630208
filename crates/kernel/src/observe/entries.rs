//! The permanent entries on our VXLAN devices and on the bridges that these are ports of:
//! neighbours, forwarding entries, floods.

use std::collections::{BTreeMap, BTreeSet};

use model::{Family, IfName, Mac};
use netstate::{
    FdbKey, FloodKey, KernelState, Link, LinkKey, LinkKind, NeighbourKey, PortFdbKey, Vxlan,
};

use super::Ours;
use crate::error::KernelError;
use crate::namespace::Namespace;
use crate::rtnl::fdb::FdbInfo;
use crate::rtnl::neighbour::NeighbourInfo;

/// Devices by their numbers.
type Devices<'a> = BTreeMap<u32, &'a IfName>;

pub fn put(node: &mut Namespace, ours: &Ours, state: &mut KernelState) -> Result<(), KernelError> {
    let vxlans = || ours.iter().filter_map(vxlan);
    let bridges: BTreeSet<&IfName> = vxlans()
        .filter_map(|(.., device)| device.master.as_ref())
        .collect();
    let has_neighbours = |link: &Link, name: &IfName| {
        matches!(link.kind, LinkKind::Vxlan(_)) || bridges.contains(name)
    };
    let devices: Devices<'_> = ours
        .iter()
        .filter(|(_, (key, link))| has_neighbours(link, &key.name))
        .map(|((_, index), (key, _))| (*index, &key.name))
        .collect();
    if devices.is_empty() {
        return Ok(());
    }
    for family in Family::BOTH {
        let infos = node.neighbours(family)?;
        let entries = infos.iter().filter_map(|info| permanent(info, &devices));
        state.neighbours.extend(entries);
    }
    for (index, dev, device) in vxlans() {
        let infos = node.forwarding(index)?;
        for info in infos.iter().filter(|info| info.is_permanent()) {
            put_forwarding(info, dev, state);
        }
        if device.master.is_some() {
            put_behind(&node.behind(index)?, dev, state);
        }
    }
    Ok(())
}

/// One of our VXLAN devices.
fn vxlan<'a>(
    ((_, index), (key, link)): (&(Option<i32>, u32), &'a (LinkKey, Link)),
) -> Option<(u32, &'a IfName, &'a Vxlan)> {
    match &link.kind {
        LinkKind::Vxlan(device) => Some((*index, &key.name, device)),
        LinkKind::Bridge | LinkKind::Veth { .. } | LinkKind::Tunnel(_) | LinkKind::Ifb => None,
    }
}

fn put_behind(macs: &[[u8; 6]], port: &IfName, state: &mut KernelState) {
    let macs = macs.iter().filter_map(|bytes| Mac::from_bytes(*bytes).ok());
    let port = || port.clone();
    state
        .port_fdb
        .extend(macs.map(|mac| PortFdbKey { port: port(), mac }));
}

/// An entry of another kind counts as missing: it is replaced where one is desired, and left to
/// the kernel where not.
fn permanent(info: &NeighbourInfo, devices: &Devices<'_>) -> Option<(NeighbourKey, Mac)> {
    let key = NeighbourKey {
        dev: (*devices.get(&info.index)?).clone(),
        address: info.address,
    };
    let mac = Mac::from_bytes(info.mac?).ok()?;
    (info.state == libc::NUD_PERMANENT).then_some((key, mac))
}

fn put_forwarding(info: &FdbInfo, dev: &IfName, state: &mut KernelState) {
    let dev = dev.clone();
    let remote = info.remote;
    match info.mac.map(Mac::from_bytes) {
        None => {
            state.floods.insert(FloodKey { dev, remote });
        }
        Some(Ok(mac)) => {
            state.fdb.insert(FdbKey { dev, mac }, remote);
        }
        // A group's: none of ours.
        Some(Err(_)) => {}
    }
}
