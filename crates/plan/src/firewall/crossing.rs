//! What of a node's networks the rules themselves name: how they cross to other nodes and, while
//! they are few, their devices.
//!
//! A comparison that fails costs a fifth of a look-up by a device's name, and less than a tenth of
//! one by ranges: few of them are rules, more are looked up. Either says the same.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{Family, IfName, Prefix, Vni};
use netstate::KernelState;
use netstate::nft::{Datum, Item};

use super::NAMES;

/// Up to so many devices, or pairs of them, are rules of their own: each in place of a look-up by
/// name.
const FEW_NAMES: usize = 6;
/// The same of what is otherwise looked up by ranges.
const FEW_WAYS: usize = 16;

/// What stays in its network on the way between nodes, as it comes in: from one prefix to what of
/// another is not in `except`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    pub iif: IfName,
    pub from: Prefix,
    pub to: Prefix,
    pub except: Prefix,
}

/// Between a network's bridge and a device that others use too: to and from those parts of its
/// whole prefix that are known to be other nodes'.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Passage {
    pub bridge: IfName,
    pub device: IfName,
    pub whole: Prefix,
}

/// What the rules depend on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Crossing {
    /// Of the networks that cross in VXLAN.
    pub vnis: BTreeSet<Vni>,
    /// Of those that are stretched.
    pub stretched: BTreeSet<Vni>,
    /// Of the underlay that VXLAN crosses.
    pub families: BTreeSet<Family>,
    /// This node's underlay address where some cross in IP.
    pub tunnels: BTreeSet<IpAddr>,
    pub ways: BTreeSet<Way>,
    /// Of those that cross as they are or in IP.
    pub passages: BTreeSet<Passage>,
    /// The networks' bridges and what else is as closed.
    pub devices: BTreeSet<IfName>,
    /// By which a packet stays in its network, coming in by the first and leaving by the second.
    pub pairs: BTreeSet<(IfName, IfName)>,
    /// Whether some network has no way to the outside.
    pub internal: bool,
    /// Whether the node has an IPv6 address in some network.
    pub ipv6: bool,
}

impl Crossing {
    /// Takes up what the elements of the networks' parts say.
    pub(crate) fn read(&mut self, parts: &KernelState) {
        for key in parts.elements.keys() {
            let (set, names) = (key.set.name.as_str(), names(&key.key));
            match names.as_slice() {
                [device] if set == NAMES.bridges => {
                    self.devices.insert(device.clone());
                }
                [iif, oif] if set == NAMES.bridged => {
                    self.pairs.insert((iif.clone(), oif.clone()));
                }
                _ => {}
            }
            self.internal |= set == NAMES.internal;
            self.ipv6 |= set == NAMES.gateway6;
        }
    }

    /// Over IPv6 what crosses in IP has a device for each other node, and a node more is never a
    /// rule.
    fn few<'a, T>(&self, all: &'a BTreeSet<T>, bound: usize) -> Option<&'a BTreeSet<T>> {
        let by_node = self.tunnels.iter().any(IpAddr::is_ipv6);
        Some(all).filter(|all| !by_node && all.len() <= bound)
    }

    pub(super) fn few_devices(&self) -> Option<&BTreeSet<IfName>> {
        self.few(&self.devices, FEW_NAMES)
    }

    pub(super) fn few_pairs(&self) -> Option<&BTreeSet<(IfName, IfName)>> {
        self.few(&self.pairs, FEW_NAMES)
    }

    pub(super) fn few_ways(&self) -> Option<&BTreeSet<Way>> {
        self.few(&self.ways, FEW_WAYS)
    }

    pub(super) fn few_passages(&self) -> Option<&BTreeSet<Passage>> {
        self.few(&self.passages, FEW_WAYS)
    }
}

fn names(key: &[Item]) -> Vec<IfName> {
    let name = |item: &Item| match item {
        Item::One(Datum::Ifname(name)) => Some(name.clone()),
        _ => None,
    };
    key.iter().filter_map(name).collect()
}
