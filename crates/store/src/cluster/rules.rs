//! What may enter a cluster, and which part of a network is next: decisions on what was read.
//! The stores make them true, or read again where others were faster.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use model::{Family, NetworkName, NodeName, Overlay, Prefix, Vni};

use super::{ClusterError, Member};

/// The lowest VNI that is picked: those below are left to administrators, and to the VLAN numbers
/// that some switches map to them.
const PICKED_VNI_MIN: u32 = 4096;

/// Whether a network may stand beside these.
///
/// # Errors
/// `NetworkNameTaken`, `VniTaken`, `PrefixTaken`, `Overlay`.
pub fn admit_network(
    known: &BTreeMap<NetworkName, Overlay>,
    new: &Overlay,
) -> Result<(), ClusterError> {
    new.check().map_err(|source| ClusterError::Overlay {
        name: new.name.clone(),
        source,
    })?;
    if known.contains_key(&new.name) {
        return Err(ClusterError::NetworkNameTaken(new.name.clone()));
    }
    known.values().try_for_each(|old| apart(old, new))
}

fn apart(old: &Overlay, new: &Overlay) -> Result<(), ClusterError> {
    if old.vni == new.vni {
        return Err(ClusterError::VniTaken {
            vni: new.vni,
            by: old.name.clone(),
        });
    }
    for mine in &new.prefixes {
        for theirs in &old.prefixes {
            if mine.prefix.overlaps(theirs.prefix) {
                return Err(ClusterError::PrefixTaken {
                    prefix: mine.prefix,
                    taken: theirs.prefix,
                    by: old.name.clone(),
                });
            }
        }
    }
    Ok(())
}

/// The lowest VNI from 4096 on that no network has.
///
/// # Errors
/// `VniExhausted`.
pub fn free_vni(known: &BTreeMap<NetworkName, Overlay>) -> Result<Vni, ClusterError> {
    let taken: BTreeSet<u32> = known.values().map(|o| o.vni.number()).collect();
    let mut next = PICKED_VNI_MIN;
    for &vni in taken.range(PICKED_VNI_MIN..) {
        if vni != next {
            break;
        }
        next += 1;
    }
    Vni::try_from(next).map_err(|_| ClusterError::VniExhausted)
}

/// An underlay as it is kept: IPv4 first.
///
/// # Errors
/// `Underlay` where there is no address, two of a family, or one that no other node can reach.
pub fn check_underlay(addresses: &[IpAddr]) -> Result<Vec<IpAddr>, ClusterError> {
    let mut sorted = addresses.to_vec();
    sorted.sort();
    let families: BTreeSet<Family> = sorted.iter().map(|a| Family::of(*a)).collect();
    let reachable = |a: &IpAddr| !a.is_unspecified() && !a.is_loopback() && !a.is_multicast();
    let fits = !sorted.is_empty() && families.len() == sorted.len() && sorted.iter().all(reachable);
    if fits {
        Ok(sorted)
    } else {
        Err(ClusterError::Underlay(addresses.to_vec()))
    }
}

/// How many nodes a network has room for.
pub fn slots(overlay: &Overlay) -> u128 {
    let counts = overlay.prefixes.iter().map(|part| ipam::slots(*part));
    counts.min().unwrap_or(0)
}

/// The subnets of a slot, one for each prefix of the network, in their order; none where the
/// network has not as many slots.
pub fn subnets_at(overlay: &Overlay, slot: u128) -> Vec<Prefix> {
    if slot >= slots(overlay) {
        return Vec::new();
    }
    let parts = overlay.prefixes.iter();
    parts
        .filter_map(|part| ipam::node_subnet(*part, slot))
        .collect()
}

/// The slots that these subnets are in.
pub fn taken_slots(overlay: &Overlay, subnets: impl IntoIterator<Item = Prefix>) -> BTreeSet<u128> {
    let slots_of = |subnet: Prefix| {
        let parts = overlay.prefixes.iter();
        parts.filter_map(move |part| ipam::slot_of(*part, subnet))
    };
    let all = subnets.into_iter().flat_map(slots_of);
    all.filter(|slot| *slot < slots(overlay)).collect()
}

/// The slot to claim. The first free one at the first `attempt`; later ones spread, each node's
/// differently, over twice as many each time: of many nodes at once, all get theirs in a few
/// rounds.
///
/// # Errors
/// `Full`.
pub fn pick_slot(
    overlay: &Overlay,
    taken: &BTreeSet<u128>,
    member: &Member,
    attempt: u32,
) -> Result<u128, ClusterError> {
    let slots = slots(overlay);
    let full = || ClusterError::Full {
        network: overlay.name.clone(),
        slots,
    };
    let free = slots.saturating_sub(taken.len() as u128);
    let window = free.min(1u128.checked_shl(attempt).unwrap_or(u128::MAX));
    let skip = spread(member, attempt)
        .checked_rem(window)
        .ok_or_else(full)?;
    ipam::free_slot(slots, taken, skip).ok_or_else(full)
}

fn spread(member: &Member, attempt: u32) -> u128 {
    let mut hasher = DefaultHasher::new();
    (member, attempt).hash(&mut hasher);
    hasher.finish().into()
}

/// Refuses to forget a network while a node has a part of it.
///
/// # Errors
/// `NetworkInUse`, with the first such node.
pub fn check_unused<'a>(
    network: &NetworkName,
    held: impl IntoIterator<Item = (&'a NodeName, Prefix)>,
) -> Result<(), ClusterError> {
    match held.into_iter().next() {
        None => Ok(()),
        Some((node, subnet)) => Err(ClusterError::NetworkInUse {
            network: network.clone(),
            node: node.clone(),
            subnet,
        }),
    }
}
