//! Networks, and who holds which part of them: attempts of changes, each one transaction.

use std::collections::BTreeMap;

use model::{Names, NetworkName, Overlay, Prefix};
use store::cluster::{ClusterError, Member, rules};

use crate::change::Change;
use crate::keys::Key;
use crate::record::HolderRecord;
use crate::store::{Attempt, Etcd};

impl Etcd {
    /// No other network appears or changes between looking and writing.
    pub(crate) fn try_create(
        &mut self,
        overlay: &Overlay,
        attempt: u32,
    ) -> Result<Attempt<()>, ClusterError> {
        let view = self.view()?;
        let mut known = BTreeMap::new();
        for name in view.networks.keys() {
            // What can't be read may overlap.
            known.insert(name.clone(), view.network(name, &self.keys)?.0.clone());
        }
        if attempt > 0 && known.get(&overlay.name) == Some(overlay) {
            return Ok(Attempt::Done(()));
        }
        rules::admit_network(&known, overlay)?;
        let key = Key::Network(overlay.name.clone());
        let change = Change::new(&self.keys)
            .if_absent(&key)
            .if_none_newer(self.keys.networks(), view.revision)
            .put(&key, overlay);
        self.commit(change, key, ())
    }

    /// Nobody changes the network between looking and writing.
    pub(crate) fn try_set_names(
        &mut self,
        name: &NetworkName,
        names: Names,
    ) -> Result<Attempt<bool>, ClusterError> {
        let view = self.view()?;
        let (overlay, revision) = view.network(name, &self.keys)?;
        if overlay.names == names {
            return Ok(Attempt::Done(false));
        }
        let overlay = Overlay {
            names,
            ..overlay.clone()
        };
        let key = Key::Network(name.clone());
        let change = Change::new(&self.keys).if_unchanged(&key, revision);
        self.commit(change.put(&key, &overlay), key, true)
    }

    /// Nobody claims a part of it between looking and removing.
    pub(crate) fn try_remove_network(
        &mut self,
        name: &NetworkName,
        attempt: u32,
    ) -> Result<Attempt<()>, ClusterError> {
        let view = self.view()?;
        let Some(kept) = view.networks.get(name) else {
            return already_gone(attempt, || ClusterError::NetworkUnknown(name.clone()));
        };
        let mut held = Vec::new();
        for (subnet, holder) in view.held_of(name) {
            let key = Key::Subnet(name.clone(), subnet);
            let holder = holder.ok_or_else(|| view.corrupt(&key, &self.keys))?;
            held.push((&holder.node, subnet));
        }
        rules::check_unused(name, held)?;
        let key = Key::Network(name.clone());
        let change = Change::new(&self.keys)
            .if_unchanged(&key, kept.mod_revision)
            .if_none_in(self.keys.subnets_of(name))
            .delete(&key);
        self.commit(Ok(change), key, ())
    }

    /// The network stays, the node stays, and nobody takes the subnets between looking and
    /// writing.
    pub(crate) fn try_claim(
        &mut self,
        network: &NetworkName,
        member: &Member,
        attempt: u32,
    ) -> Result<Attempt<Vec<Prefix>>, ClusterError> {
        let view = self.view()?;
        let (overlay, network_revision) = view.network(network, &self.keys)?;
        let (node, node_revision) = view.own_node(member, &self.keys)?;
        if let Some(held) = node.subnets.get(network) {
            return Ok(Attempt::Done(held.clone()));
        }
        let slot = rules::pick_slot(overlay, &view.taken_slots(overlay), member, attempt)?;
        let subnets = rules::subnets_at(overlay, slot);
        let mut record = node.clone();
        record.subnets.insert(network.clone(), subnets.clone());
        let key = Key::Node(member.name.clone());
        let mut change = Change::new(&self.keys)
            .if_unchanged(&Key::Network(network.clone()), network_revision)
            .if_unchanged(&key, node_revision)
            .put(&key, &record);
        for subnet in &subnets {
            let subnet = Key::Subnet(network.clone(), *subnet);
            let holder = HolderRecord::of(member);
            change = change.and_then(|change| change.if_absent(&subnet).put(&subnet, &holder));
        }
        self.commit(change, key, subnets)
    }

    pub(crate) fn try_release(
        &mut self,
        network: &NetworkName,
        member: &Member,
    ) -> Result<Attempt<()>, ClusterError> {
        let view = self.view()?;
        let (node, revision) = match view.own_node(member, &self.keys) {
            Ok(own) => own,
            Err(ClusterError::NodeUnknown(_)) => return Ok(Attempt::Done(())),
            Err(error) => return Err(error),
        };
        let mut record = node.clone();
        if record.subnets.remove(network).is_none() {
            return Ok(Attempt::Done(()));
        }
        record.endpoints.remove(network);
        record.named.remove(network);
        let key = Key::Node(member.name.clone());
        let mut change = Change::new(&self.keys)
            .if_unchanged(&key, revision)
            .put(&key, &record);
        for (of, subnet) in view.held_by(&member.name) {
            if of == *network {
                change = change.map(|change| change.delete(&Key::Subnet(of, subnet)));
            }
        }
        self.commit(change, key, ())
    }
}

/// What was to be removed is not there: by an earlier attempt, whose answer got lost, or since
/// ever.
pub(crate) fn already_gone(
    attempt: u32,
    unknown: impl FnOnce() -> ClusterError,
) -> Result<Attempt<()>, ClusterError> {
    if attempt > 0 {
        Ok(Attempt::Done(()))
    } else {
        Err(unknown())
    }
}
