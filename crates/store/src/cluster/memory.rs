//! A cluster in memory, shared by handles: the reference that the contract was written against,
//! and the store of many nodes in one process. It ends with its last handle.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Cluster, ClusterNode, Names, NetworkName, NodeName, Overlay, Prefix};

use super::{
    ClusterError, ClusterStore, Member, Revision, SILENT_GRACE_SECS, Snapshot, Told, rules, told,
};

/// A handle; its clones see the same cluster.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    cluster: Cluster,
    count: u64,
}

impl State {
    fn network(&self, name: &NetworkName) -> Result<&Overlay, ClusterError> {
        let network = self.cluster.networks.get(name);
        network.ok_or_else(|| ClusterError::NetworkUnknown(name.clone()))
    }

    /// The member's own node, not that of another machine of the same name.
    fn node(&mut self, member: &Member) -> Result<&mut ClusterNode, ClusterError> {
        let node = self.cluster.nodes.get_mut(&member.name);
        node.filter(|node| node.id == Some(member.id))
            .ok_or_else(|| ClusterError::NodeUnknown(member.name.clone()))
    }

    fn held(&self, network: &NetworkName) -> impl Iterator<Item = (&NodeName, Prefix)> {
        let nodes = self.cluster.nodes.iter();
        nodes.flat_map(move |(name, node)| {
            let subnets = node.subnets.get(network).into_iter().flatten();
            subnets.map(move |subnet| (name, *subnet))
        })
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A handle that panicked left whole changes behind: each is one assignment.
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, mut state: MutexGuard<'_, State>) {
        state.count += 1;
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl ClusterStore for Memory {
    fn read(&mut self) -> Result<Snapshot, ClusterError> {
        let state = self.lock();
        Ok(Snapshot {
            cluster: state.cluster.clone(),
            revision: Revision {
                of: 0,
                count: state.count,
            },
            unreadable: Vec::new(),
        })
    }

    fn wait(&mut self, since: &Revision, bound: Duration) -> Result<bool, ClusterError> {
        let state = self.lock();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, bound, |state| state.count == since.count);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Ok(state.count != since.count)
    }

    fn probe(&mut self) -> Result<(), ClusterError> {
        Ok(())
    }

    fn create_network(&mut self, overlay: &Overlay) -> Result<(), ClusterError> {
        let mut state = self.lock();
        rules::admit_network(&state.cluster.networks, overlay)?;
        let networks = &mut state.cluster.networks;
        networks.insert(overlay.name.clone(), overlay.clone());
        self.tell(state);
        Ok(())
    }

    fn set_names(&mut self, network: &NetworkName, names: Names) -> Result<bool, ClusterError> {
        let mut state = self.lock();
        let kept = state.cluster.networks.get_mut(network);
        let kept = kept.ok_or_else(|| ClusterError::NetworkUnknown(network.clone()))?;
        let changed = kept.names != names;
        kept.names = names;
        if changed {
            self.tell(state);
        }
        Ok(changed)
    }

    fn remove_network(&mut self, name: &NetworkName) -> Result<(), ClusterError> {
        let mut state = self.lock();
        state.network(name)?;
        rules::check_unused(name, state.held(name))?;
        state.cluster.networks.remove(name);
        self.tell(state);
        Ok(())
    }

    fn join(
        &mut self,
        member: &Member,
        underlay: &[IpAddr],
        now_secs: u64,
    ) -> Result<(), ClusterError> {
        let underlay = rules::check_underlay(underlay)?;
        let mut state = self.lock();
        let held = state.cluster.nodes.get_mut(&member.name);
        match held {
            Some(node) if node.id == Some(member.id) => {
                node.seen_at = Some(now_secs);
                if node.underlay == underlay {
                    return Ok(());
                }
                node.underlay = underlay;
            }
            Some(ClusterNode {
                id: Some(by),
                seen_at,
                ..
            }) if !is_silent(*seen_at, now_secs) => {
                return Err(ClusterError::NodeNameTaken {
                    name: member.name.clone(),
                    by: *by,
                });
            }
            _ => {
                let node = ClusterNode {
                    name: member.name.clone(),
                    id: Some(member.id),
                    underlay,
                    subnets: BTreeMap::new(),
                    endpoints: BTreeMap::new(),
                    named: BTreeMap::new(),
                    seen_at: Some(now_secs),
                };
                state.cluster.nodes.insert(member.name.clone(), node);
            }
        }
        self.tell(state);
        Ok(())
    }

    fn claim(
        &mut self,
        network: &NetworkName,
        member: &Member,
    ) -> Result<Vec<Prefix>, ClusterError> {
        let mut state = self.lock();
        let overlay = state.network(network)?.clone();
        if let Some(held) = state.node(member)?.subnets.get(network) {
            return Ok(held.clone());
        }
        let held = state.held(network).map(|(_, subnet)| subnet);
        let taken = rules::taken_slots(&overlay, held);
        let slot = rules::pick_slot(&overlay, &taken, member, 0)?;
        let subnets = rules::subnets_at(&overlay, slot);
        let node = state.node(member)?;
        node.subnets.insert(network.clone(), subnets.clone());
        self.tell(state);
        Ok(subnets)
    }

    fn release(&mut self, network: &NetworkName, member: &Member) -> Result<(), ClusterError> {
        let mut state = self.lock();
        let node = state.node(member).ok();
        let released = node.is_some_and(|node| {
            node.endpoints.remove(network);
            node.named.remove(network);
            node.subnets.remove(network).is_some()
        });
        if released {
            self.tell(state);
        }
        Ok(())
    }

    fn tell_endpoints(&mut self, member: &Member, said: &Told) -> Result<bool, ClusterError> {
        let mut state = self.lock();
        let known = state.node(member)?.clone();
        if known.endpoints == said.endpoints && known.named == said.named {
            return Ok(false);
        }
        let networks = &state.cluster.networks;
        let checked = told::check(
            said,
            |name| networks.get(name),
            |name| known.subnets.get(name),
        );
        checked.map_err(|why| ClusterError::Endpoints {
            node: member.name.clone(),
            why,
        })?;
        let node = state.node(member)?;
        node.endpoints.clone_from(&said.endpoints);
        node.named.clone_from(&said.named);
        self.tell(state);
        Ok(true)
    }

    fn remove_node(&mut self, name: &NodeName) -> Result<(), ClusterError> {
        let mut state = self.lock();
        let removed = state.cluster.nodes.remove(name);
        removed.ok_or_else(|| ClusterError::NodeUnknown(name.clone()))?;
        self.tell(state);
        Ok(())
    }

    fn expire(&mut self, now_secs: u64) -> Result<Vec<NodeName>, ClusterError> {
        let mut state = self.lock();
        let silent = |node: &mut ClusterNode| is_silent(node.seen_at, now_secs);
        let gone = state.cluster.nodes.extract_if(.., |_, node| silent(node));
        let gone: Vec<NodeName> = gone.map(|(name, _)| name).collect();
        if !gone.is_empty() {
            self.tell(state);
        }
        Ok(gone)
    }
}

fn is_silent(seen_at: Option<u64>, now_secs: u64) -> bool {
    seen_at.is_none_or(|seen| now_secs.saturating_sub(seen) > SILENT_GRACE_SECS)
}
