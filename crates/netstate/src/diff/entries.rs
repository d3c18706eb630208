//! The part of a difference that is on VXLAN devices and, for these, on bridges: neighbours,
//! forwarding entries, floods.

use std::collections::BTreeSet;

use super::gone;
use crate::{KernelState, Link, LinkKey, NeighbourKey, PortFdbKey, Step};

/// Entries that are not desired, except those that go with their device.
pub fn remove(
    observed: &KernelState,
    desired: &KernelState,
    doomed: &BTreeSet<&LinkKey>,
    steps: &mut Vec<Step>,
) {
    let stays = |link: LinkKey| !doomed.contains(&link);
    let behind = observed.port_fdb.difference(&desired.port_fdb);
    let behind = behind.filter(|key| stays(key.link()));
    steps.extend(behind.cloned().map(Step::DelPortFdb));
    let floods = observed.floods.difference(&desired.floods);
    let floods = floods.filter(|key| stays(key.link()));
    steps.extend(floods.cloned().map(Step::DelFlood));
    let fdb = gone(&observed.fdb, &desired.fdb).filter(|key| stays(key.link()));
    steps.extend(fdb.cloned().map(Step::DelFdb));
    let neighbours = gone(&observed.neighbours, &desired.neighbours);
    let neighbours = neighbours.filter(|key| stays(key.link()));
    steps.extend(neighbours.cloned().map(Step::DelNeighbour));
}

/// Entries that are missing or lead elsewhere, and all of a device that is `fresh`.
pub fn add(
    observed: &KernelState,
    desired: &KernelState,
    fresh: &BTreeSet<LinkKey>,
    steps: &mut Vec<Step>,
) {
    // A device that gets another MAC loses its neighbours (`neigh_changeaddr`,
    // net/core/neighbour.c).
    let mac = |state: &KernelState, key: &NeighbourKey| state.links.get(&key.link()).map(|l| l.mac);
    for (key, wanted) in &desired.neighbours {
        let lost = fresh.contains(&key.link()) || mac(observed, key) != mac(desired, key);
        if lost || observed.neighbours.get(key) != Some(wanted) {
            steps.push(Step::AddNeighbour(key.clone(), *wanted));
        }
    }
    for (key, remote) in &desired.fdb {
        if fresh.contains(&key.link()) || observed.fdb.get(key) != Some(remote) {
            steps.push(Step::AddFdb(key.clone(), *remote));
        }
    }
    for key in &desired.floods {
        if fresh.contains(&key.link()) || !observed.floods.contains(key) {
            steps.push(Step::AddFlood(key.clone()));
        }
    }
    // A port that leaves its bridge leaves what the bridge knew behind it (`br_fdb_delete_by_port`,
    // net/bridge/br_fdb.c).
    let has_moved = |link: &LinkKey| {
        let master = |state: &KernelState| state.links.get(link).and_then(Link::master).cloned();
        let bridge = master(desired).map(LinkKey::on_node);
        master(observed) != master(desired) || bridge.is_some_and(|key| fresh.contains(&key))
    };
    let ports: BTreeSet<LinkKey> = desired.port_fdb.iter().map(PortFdbKey::link).collect();
    let moved: BTreeSet<LinkKey> = ports.into_iter().filter(has_moved).collect();
    for key in &desired.port_fdb {
        let link = key.link();
        let lost = fresh.contains(&link) || moved.contains(&link);
        if lost || !observed.port_fdb.contains(key) {
            steps.push(Step::AddPortFdb(key.clone()));
        }
    }
}
