//! Nodes coming and going: attempts of changes, each one transaction.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{NetworkName, NodeName};
use store::cluster::{ClusterError, Member, Told, Unreadable, told};

use crate::change::{Change, OPS_MAX, own_keys};
use crate::keys::Key;
use crate::network::already_gone;
use crate::record::{AliveRecord, NodeRecord, parse_node};
use crate::store::{Attempt, Etcd};
use crate::view::View;
use crate::wire;

/// A node's two keys, where they are there.
struct OwnKeys {
    node: Option<wire::KeyValue>,
    alive: Option<wire::KeyValue>,
}

impl Etcd {
    /// Reads the node's own keys only: every node says every minute that it is there.
    pub(crate) fn try_join(
        &mut self,
        member: &Member,
        underlay: &[IpAddr],
        now_secs: u64,
    ) -> Result<Attempt<()>, ClusterError> {
        let own = self.own_keys(&member.name)?;
        let key = Key::Node(member.name.clone());
        let Some(kept) = own.node else {
            let record = NodeRecord {
                id: member.id,
                underlay: underlay.to_vec(),
                subnets: BTreeMap::new(),
                endpoints: BTreeMap::new(),
                named: BTreeMap::new(),
            };
            let change = Change::new(&self.keys).if_absent(&key).put(&key, &record);
            let change = change.map_err(|fault| self.refuse(fault))?;
            return self.tell_alive(change, member, None, now_secs);
        };
        let mut record = parse_node(&kept.value).map_err(|said| {
            let key = self.keys.print(&key);
            let why = said.to_string();
            ClusterError::Corrupt(Unreadable { key, why })
        })?;
        if record.id != member.id {
            return match own.alive {
                Some(_) => Err(ClusterError::NodeNameTaken {
                    name: member.name.clone(),
                    by: record.id,
                }),
                // The name is free in the next attempt.
                None => Ok(again(self.try_expire(&member.name)?, key)),
            };
        }
        let mut change = Change::new(&self.keys).if_unchanged(&key, kept.mod_revision);
        if record.underlay != underlay {
            record.underlay = underlay.to_vec();
            let put = change.put(&key, &record);
            change = put.map_err(|fault| self.refuse(fault))?;
        }
        self.tell_alive(change, member, own.alive.map(|kept| kept.lease), now_secs)
    }

    /// The node's parts stay as they are between looking and writing.
    pub(crate) fn try_tell(
        &mut self,
        member: &Member,
        said: &Told,
    ) -> Result<Attempt<bool>, ClusterError> {
        let view = self.view()?;
        let (node, revision) = view.own_node(member, &self.keys)?;
        if node.endpoints == said.endpoints && node.named == said.named {
            return Ok(Attempt::Done(false));
        }
        let networks = |name: &NetworkName| view.networks.get(name)?.record.as_ref();
        let held = |name: &NetworkName| node.subnets.get(name);
        let checked = told::check(said, networks, held);
        checked.map_err(|why| ClusterError::Endpoints {
            node: member.name.clone(),
            why,
        })?;
        let record = NodeRecord {
            endpoints: said.endpoints.clone(),
            named: said.named.clone(),
            ..node.clone()
        };
        let key = Key::Node(member.name.clone());
        let change = Change::new(&self.keys).if_unchanged(&key, revision);
        self.commit(change.put(&key, &record), key, true)
    }

    /// Makes a change together with the sign of life.
    fn tell_alive(
        &mut self,
        change: Change,
        member: &Member,
        lease: Option<i64>,
        now_secs: u64,
    ) -> Result<Attempt<()>, ClusterError> {
        let lease = match lease {
            Some(lease) if self.keep_lease(lease)? => lease,
            _ => self.grant_lease()?,
        };
        let key = Key::Alive(member.name.clone());
        let alive = AliveRecord { at_secs: now_secs };
        let change = change.put_leased(&key, &alive, lease);
        self.commit(change, key, ())
    }

    fn own_keys(&mut self, name: &NodeName) -> Result<OwnKeys, ClusterError> {
        let request = own_keys(&self.keys, name);
        let answer = self.connection.ask(wire::TXN, &request);
        let answer: wire::TxnResponse = answer.map_err(|fault| self.refuse(fault))?;
        let mut ranges = answer.responses.into_iter().map(|op| match op.response {
            Some(wire::OpAnswer::Range(range)) => Some(range.kvs.into_iter().next()),
            None => None,
        });
        match (ranges.next().flatten(), ranges.next().flatten()) {
            (Some(node), Some(alive)) => Ok(OwnKeys { node, alive }),
            _ => Err(self.torn("what was asked for")),
        }
    }

    fn grant_lease(&mut self) -> Result<i64, ClusterError> {
        let secs = i64::try_from(self.silent_grace.as_secs()).unwrap_or(i64::MAX);
        let request = wire::LeaseGrantRequest { ttl: secs.max(1) };
        let answer = self.connection.ask(wire::LEASE_GRANT, &request);
        let answer: wire::LeaseGrantResponse = answer.map_err(|fault| self.refuse(fault))?;
        Ok(answer.id)
    }

    /// Starts the lease's time anew; false where there is none any more.
    fn keep_lease(&mut self, id: i64) -> Result<bool, ClusterError> {
        let request = wire::LeaseKeepAliveRequest { id };
        let answer = self.connection.open(wire::LEASE_KEEP_ALIVE, &request);
        let (answer, _): (wire::LeaseKeepAliveResponse, _) =
            answer.map_err(|fault| self.refuse(fault))?;
        Ok(answer.ttl > 0)
    }

    pub(crate) fn try_remove_node(
        &mut self,
        name: &NodeName,
        attempt: u32,
    ) -> Result<Attempt<()>, ClusterError> {
        let view = self.view()?;
        if !view.nodes.contains_key(name) && view.held_by(name).is_empty() {
            return already_gone(attempt, || ClusterError::NodeUnknown(name.clone()));
        }
        let removal = Removal::of(name, &view, Change::new(&self.keys));
        let key = Key::Node(name.clone());
        match self.commit(Ok(removal.change), key.clone(), ())? {
            Attempt::Done(()) if !removal.is_whole => Ok(Attempt::Again(key)),
            outcome => Ok(outcome),
        }
    }

    /// Removes a node that says nothing; false where it does, or is gone.
    pub(crate) fn try_expire(&mut self, name: &NodeName) -> Result<Attempt<bool>, ClusterError> {
        let view = self.view()?;
        if !view.nodes.contains_key(name) || view.alive.contains_key(name) {
            return Ok(Attempt::Done(false));
        }
        let silent = Change::new(&self.keys).if_absent(&Key::Alive(name.clone()));
        let removal = Removal::of(name, &view, silent);
        let key = Key::Node(name.clone());
        match self.commit(Ok(removal.change), key.clone(), true)? {
            Attempt::Done(_) if !removal.is_whole => Ok(Attempt::Again(key)),
            outcome => Ok(outcome),
        }
    }
}

/// The end of a node, or a part of it.
struct Removal {
    change: Change,
    is_whole: bool,
}

impl Removal {
    /// The node's keys go, if its record is still as it was read. Where they are too many for one
    /// transaction, subnets go first: what the record says of them then, nobody believes.
    fn of(name: &NodeName, view: &View, mut change: Change) -> Self {
        let key = Key::Node(name.clone());
        change = match view.nodes.get(name) {
            Some(kept) => change.if_unchanged(&key, kept.mod_revision),
            None => change.if_absent(&key),
        };
        let held = view.held_by(name);
        let is_whole = held.len() <= OPS_MAX;
        for (network, subnet) in held.into_iter().take(OPS_MAX) {
            change = change.delete(&Key::Subnet(network, subnet));
        }
        if is_whole {
            change = change.delete(&key).delete(&Key::Alive(name.clone()));
        }
        Self { change, is_whole }
    }
}

/// Whatever came of the step on the way.
fn again<T>(_: Attempt<T>, key: Key) -> Attempt<()> {
    Attempt::Again(key)
}
