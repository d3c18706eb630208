//! All that is kept of a cluster, at one revision: what the callers see of it, and what a change
//! is made against.

use std::collections::{BTreeMap, BTreeSet};

use model::{Cluster, ClusterNode, NetworkName, NodeId, NodeName, Overlay, Prefix};
use store::cluster::{
    ClusterError, Endpoints, Member, NamedEndpoints, Revision, Snapshot, Unreadable, rules, told,
};

use crate::keys::{Key, Keys};
use crate::record::{
    AliveRecord, HolderRecord, Malformed, NodeRecord, parse, parse_network, parse_node,
};
use crate::wire::{Header, KeyValue};

/// A record with the revision of its last change. None where it can't be read: it is there
/// all the same.
#[derive(Debug)]
pub struct Kept<T> {
    pub record: Option<T>,
    pub mod_revision: i64,
}

/// All that is kept of a cluster.
#[derive(Debug, Default)]
pub struct View {
    pub cluster_id: u64,
    pub revision: i64,
    pub networks: BTreeMap<NetworkName, Kept<Overlay>>,
    pub nodes: BTreeMap<NodeName, Kept<NodeRecord>>,
    pub holders: BTreeMap<(NetworkName, Prefix), Kept<HolderRecord>>,
    /// Who was heard of within the grace time, and when last, in seconds since 1970.
    pub alive: BTreeMap<NodeName, Option<u64>>,
    pub unreadable: Vec<Unreadable>,
}

impl View {
    pub fn new(header: &Header, kvs: &[KeyValue], keys: &Keys) -> Self {
        let mut view = Self {
            cluster_id: header.cluster_id,
            revision: header.revision,
            ..Self::default()
        };
        for kv in kvs {
            if let Some(key) = keys.parse(&kv.key) {
                view.take(&key, kv, keys);
            }
        }
        view
    }

    fn take(&mut self, key: &Key, kv: &KeyValue, keys: &Keys) {
        let mut kept = |said: Malformed| {
            self.unreadable.push(Unreadable {
                key: keys.print(key),
                why: said.to_string(),
            });
        };
        let mod_revision = kv.mod_revision;
        match key {
            Key::Network(name) => {
                let record = parse_network(name, &kv.value).map_err(&mut kept).ok();
                let kept = Kept {
                    record,
                    mod_revision,
                };
                self.networks.insert(name.clone(), kept);
            }
            Key::Node(name) => {
                let record = parse_node(&kv.value).map_err(&mut kept).ok();
                let kept = Kept {
                    record,
                    mod_revision,
                };
                self.nodes.insert(name.clone(), kept);
            }
            Key::Subnet(network, prefix) => {
                let record = parse(&kv.value).map_err(&mut kept).ok();
                let kept = Kept {
                    record,
                    mod_revision,
                };
                self.holders.insert((network.clone(), *prefix), kept);
            }
            Key::Alive(name) => {
                let record: Option<AliveRecord> = parse(&kv.value).map_err(&mut kept).ok();
                let at_secs = record.map(|record| record.at_secs);
                self.alive.insert(name.clone(), at_secs);
            }
        }
    }

    /// What the callers see. A node has a subnet where its record and the subnet's own agree.
    pub fn into_snapshot(mut self, keys: &Keys) -> Snapshot {
        let revision = Revision {
            of: self.cluster_id,
            count: self.revision.cast_unsigned(),
        };
        let mut cluster = Cluster::default();
        for (name, kept) in std::mem::take(&mut self.nodes) {
            if let Some(record) = kept.record {
                let node = self.node(&name, record, keys);
                cluster.nodes.insert(name, node);
            }
        }
        let networks = self.networks.into_iter();
        cluster.networks = networks
            .filter_map(|(name, kept)| Some((name, kept.record?)))
            .collect();
        Snapshot {
            cluster,
            revision,
            unreadable: self.unreadable,
        }
    }

    fn node(&mut self, name: &NodeName, record: NodeRecord, keys: &Keys) -> ClusterNode {
        let mut own = BTreeMap::new();
        for (network, subnets) in record.subnets {
            match self.foreign_subnet(name, record.id, &network, &subnets) {
                None => {
                    own.insert(network, subnets);
                }
                Some(subnet) => self.unreadable.push(Unreadable {
                    key: keys.print(&Key::Node(name.clone())),
                    why: Malformed::NotItsOwn { network, subnet }.to_string(),
                }),
            }
        }
        let endpoints = self.endpoints(name, record.endpoints, &own, keys);
        let named = self.named(name, record.named, &own, keys);
        ClusterNode {
            name: name.clone(),
            id: Some(record.id),
            underlay: record.underlay,
            subnets: own,
            endpoints,
            named,
            seen_at: self.alive.get(name).copied().flatten(),
        }
    }

    /// What a node tells of its endpoints; nothing where some of it is not the node's to tell.
    fn endpoints(
        &mut self,
        name: &NodeName,
        endpoints: Endpoints,
        own: &BTreeMap<NetworkName, Vec<Prefix>>,
        keys: &Keys,
    ) -> Endpoints {
        let networks = |name: &NetworkName| self.networks.get(name)?.record.as_ref();
        match told::check_endpoints(&endpoints, networks, |name| own.get(name)) {
            Ok(()) => endpoints,
            Err(why) => {
                self.unreadable.push(Unreadable {
                    key: keys.print(&Key::Node(name.clone())),
                    why: why.to_string(),
                });
                Endpoints::new()
            }
        }
    }

    /// The endpoints that a node names, without those that are not the node's to name: their
    /// addresses are of its own parts, so that what it says of them hurts nobody else.
    fn named(
        &mut self,
        name: &NodeName,
        named: NamedEndpoints,
        own: &BTreeMap<NetworkName, Vec<Prefix>>,
        keys: &Keys,
    ) -> NamedEndpoints {
        let networks = |name: &NetworkName| self.networks.get(name)?.record.as_ref();
        let (kept, dropped) = told::own_named(named, networks, |name| own.get(name));
        let others = dropped.len().saturating_sub(1);
        if let Some(first) = dropped.into_iter().next() {
            let why = match others {
                0 => first.to_string(),
                _ => format!("{first}, and {others} more of the kind"),
            };
            let key = keys.print(&Key::Node(name.clone()));
            self.unreadable.push(Unreadable { key, why });
        }
        kept
    }

    /// The first of these subnets that is somebody else's, or no node subnet of the network.
    fn foreign_subnet(
        &self,
        node: &NodeName,
        id: NodeId,
        network: &NetworkName,
        subnets: &[Prefix],
    ) -> Option<Prefix> {
        let is_own = |subnet: &Prefix| {
            let kept = self.holders.get(&(network.clone(), *subnet));
            let holder = kept.and_then(|kept| kept.record.as_ref());
            let held = holder.is_some_and(|holder| holder.node == *node && holder.id == id);
            let overlay = self
                .networks
                .get(network)
                .and_then(|kept| kept.record.as_ref());
            // Of a network that can't be read, the subnet's own record has to do.
            let fits =
                overlay.is_none_or(|overlay| !rules::taken_slots(overlay, [*subnet]).is_empty());
            held && fits
        };
        subnets.iter().copied().find(|subnet| !is_own(subnet))
    }

    pub fn network(
        &self,
        name: &NetworkName,
        keys: &Keys,
    ) -> Result<(&Overlay, i64), ClusterError> {
        let kept = self.networks.get(name);
        let kept = kept.ok_or_else(|| ClusterError::NetworkUnknown(name.clone()))?;
        let record = kept.record.as_ref();
        let record = record.ok_or_else(|| self.corrupt(&Key::Network(name.clone()), keys))?;
        Ok((record, kept.mod_revision))
    }

    /// The member's own node, not that of another machine of the same name.
    pub fn own_node(
        &self,
        member: &Member,
        keys: &Keys,
    ) -> Result<(&NodeRecord, i64), ClusterError> {
        let unknown = || ClusterError::NodeUnknown(member.name.clone());
        let kept = self.nodes.get(&member.name).ok_or_else(unknown)?;
        let record = kept.record.as_ref();
        let record = record.ok_or_else(|| self.corrupt(&Key::Node(member.name.clone()), keys))?;
        if record.id == member.id {
            Ok((record, kept.mod_revision))
        } else {
            Err(unknown())
        }
    }

    /// The slots of a network that are taken, by whomever.
    pub fn taken_slots(&self, overlay: &Overlay) -> BTreeSet<u128> {
        rules::taken_slots(
            overlay,
            self.held_of(&overlay.name).map(|(prefix, _)| prefix),
        )
    }

    /// The node subnets of a network that are taken, and by whom where that can be read.
    pub fn held_of(
        &self,
        network: &NetworkName,
    ) -> impl Iterator<Item = (Prefix, Option<&HolderRecord>)> {
        let all = self.holders.iter();
        all.filter(move |((of, _), _)| of == network)
            .map(|((_, prefix), kept)| (*prefix, kept.record.as_ref()))
    }

    /// What a node holds by the subnets' own records.
    pub fn held_by(&self, node: &NodeName) -> Vec<(NetworkName, Prefix)> {
        let all = self.holders.iter();
        all.filter(|(_, kept)| {
            kept.record
                .as_ref()
                .is_some_and(|record| record.node == *node)
        })
        .map(|(subnet, _)| subnet.clone())
        .collect()
    }

    /// The nodes that were not heard of within the grace time.
    pub fn silent(&self) -> Vec<NodeName> {
        let nodes = self.nodes.keys();
        nodes
            .filter(|name| !self.alive.contains_key(*name))
            .cloned()
            .collect()
    }

    /// The error for a record of ours that can't be read.
    pub fn corrupt(&self, key: &Key, keys: &Keys) -> ClusterError {
        let key = keys.print(key);
        let said = self.unreadable.iter().find(|record| record.key == key);
        ClusterError::Corrupt(said.cloned().unwrap_or(Unreadable {
            key,
            why: String::new(),
        }))
    }
}
