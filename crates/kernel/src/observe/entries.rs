//! The permanent entries on our VXLAN devices: neighbours, forwarding entries, floods.

use std::collections::BTreeMap;

use model::{Family, IfName, Mac};
use netstate::{FdbKey, FloodKey, KernelState, LinkKind, NeighbourKey};

use super::Ours;
use crate::error::KernelError;
use crate::namespace::Namespace;
use crate::rtnl::fdb::FdbInfo;
use crate::rtnl::neighbour::NeighbourInfo;

/// Our VXLAN devices by their numbers.
type Devices<'a> = BTreeMap<u32, &'a IfName>;

pub fn put(node: &mut Namespace, ours: &Ours, state: &mut KernelState) -> Result<(), KernelError> {
    let devices: Devices<'_> = ours
        .iter()
        .filter(|(_, (_, link))| matches!(link.kind, LinkKind::Vxlan(_)))
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
    for (index, dev) in devices {
        let infos = node.forwarding(index)?;
        for info in infos.iter().filter(|info| info.is_permanent()) {
            put_forwarding(info, dev, state);
        }
    }
    Ok(())
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
