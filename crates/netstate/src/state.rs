//! The kernel state: everything of ours that a kernel holds, or should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::{IfName, Mac};

use crate::nft::{Chain, ChainKey, Datum, ElementKey, NftFamily, SetKey, SetSpec};
use crate::{
    AddressKey, Alias, FdbKey, FloodKey, Link, LinkKey, NeighbourKey, PortFdbKey, Queue, Route,
    RouteKey, SysctlKey,
};

/// Sorted maps from the key of each object to its value, so that a difference of states is a
/// difference of maps. A state may be the whole node's or one endpoint's part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelState {
    /// Named namespaces that we made (`ip netns add`), with the mark on their `lo`.
    pub namespaces: BTreeMap<String, Alias>,
    /// Our devices on the node.
    pub links: BTreeMap<LinkKey, Link>,
    /// Parameters we set. They are never unset: the old value may no longer be the right one.
    pub sysctls: BTreeMap<SysctlKey, String>,
    pub addresses: BTreeSet<AddressKey>,
    /// Devices that are, or must be, up. They are never taken down, only removed.
    pub up: BTreeSet<LinkKey>,
    /// Permanent entries on our VXLAN devices, and on the bridges that these are ports of.
    pub neighbours: BTreeMap<NeighbourKey, Mac>,
    /// The underlay address of the node where a MAC is.
    pub fdb: BTreeMap<FdbKey, IpAddr>,
    pub floods: BTreeSet<FloodKey>,
    /// What our bridges know to be behind our VXLAN devices.
    pub port_fdb: BTreeSet<PortFdbKey>,
    pub routes: BTreeMap<RouteKey, Route>,
    /// Our queues at the way out of the node's devices.
    pub queues: BTreeMap<IfName, Queue>,
    /// The device through whose way out all passes that comes in by the key's. One that leads
    /// nowhere any more shows as leading back.
    pub detours: BTreeMap<IfName, IfName>,
    /// Our tables, and the comment that is their mark.
    pub tables: BTreeMap<NftFamily, String>,
    pub sets: BTreeMap<SetKey, SetSpec>,
    pub chains: BTreeMap<ChainKey, Chain>,
    /// The value is empty in sets.
    pub elements: BTreeMap<ElementKey, Vec<Datum>>,
}

impl KernelState {
    /// Adds all of `other`; where both have a key, `other`'s value stays.
    pub fn extend(&mut self, other: KernelState) {
        self.namespaces.extend(other.namespaces);
        self.links.extend(other.links);
        self.sysctls.extend(other.sysctls);
        self.addresses.extend(other.addresses);
        self.up.extend(other.up);
        self.neighbours.extend(other.neighbours);
        self.fdb.extend(other.fdb);
        self.floods.extend(other.floods);
        self.port_fdb.extend(other.port_fdb);
        self.routes.extend(other.routes);
        self.queues.extend(other.queues);
        self.detours.extend(other.detours);
        self.tables.extend(other.tables);
        self.sets.extend(other.sets);
        self.chains.extend(other.chains);
        self.elements.extend(other.elements);
    }

    /// The part of this state whose keys `other` has.
    #[must_use]
    pub fn within(&self, other: &KernelState) -> KernelState {
        self.partition(other, true)
    }

    /// The part of this state whose keys `other` has not.
    #[must_use]
    pub fn without(&self, other: &KernelState) -> KernelState {
        self.partition(other, false)
    }

    fn partition(&self, other: &KernelState, shared: bool) -> KernelState {
        KernelState {
            namespaces: pick(&self.namespaces, &other.namespaces, shared),
            links: pick(&self.links, &other.links, shared),
            sysctls: pick(&self.sysctls, &other.sysctls, shared),
            addresses: pick_set(&self.addresses, &other.addresses, shared),
            up: pick_set(&self.up, &other.up, shared),
            neighbours: pick(&self.neighbours, &other.neighbours, shared),
            fdb: pick(&self.fdb, &other.fdb, shared),
            floods: pick_set(&self.floods, &other.floods, shared),
            port_fdb: pick_set(&self.port_fdb, &other.port_fdb, shared),
            routes: pick(&self.routes, &other.routes, shared),
            queues: pick(&self.queues, &other.queues, shared),
            detours: pick(&self.detours, &other.detours, shared),
            tables: pick(&self.tables, &other.tables, shared),
            sets: pick(&self.sets, &other.sets, shared),
            chains: pick(&self.chains, &other.chains, shared),
            elements: pick(&self.elements, &other.elements, shared),
        }
    }
}

fn pick<K: Ord + Clone, V: Clone>(
    from: &BTreeMap<K, V>,
    by: &BTreeMap<K, V>,
    shared: bool,
) -> BTreeMap<K, V> {
    let picked = from
        .iter()
        .filter(|(key, _)| by.contains_key(key) == shared);
    picked
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn pick_set<K: Ord + Clone>(from: &BTreeSet<K>, by: &BTreeSet<K>, shared: bool) -> BTreeSet<K> {
    let picked = from.iter().filter(|key| by.contains(*key) == shared);
    picked.cloned().collect()
}
