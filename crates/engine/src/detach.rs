//! Detaching a target from its networks.
//!
//! What is to go is recorded first, without the node's lock: that many can do at once. `leaving`
//! removes it, together with what others have recorded meanwhile.

use kernel::ErrorKind;
use model::{Endpoint, EndpointId, Mtu, NetnsOrigin, Network, NetworkName, Target};
use netstate::{KernelState, Plan, diff};
use plan::{EndpointView, NetworkView, endpoint_part};
use store::{Durability, EndpointLife, EndpointRecord, NetworkLife, StoreError};

use crate::session::{Boot, Session};
use crate::{
    Change, DetachRequest, Detachee, EndpointStatus, Engine, EngineError, Mode, NetnsAfter,
};

impl Engine {
    /// Detaches a target from one network or from all of them; with `Delete` its named namespace
    /// goes too. A target whose namespace is gone is detached all the same.
    ///
    /// # Errors
    /// A target that is not attached; what the kernel refuses: then the next reconcile, or
    /// another detach, goes on from there.
    pub fn detach(
        &self,
        request: &DetachRequest,
        mode: Mode,
    ) -> Result<Change<Vec<EndpointStatus>>, EngineError> {
        let mut session = self.session_unlocked(mode)?;
        if request.after == NetnsAfter::Delete || session.boot == Boot::New {
            session.begin_alone()?;
        }
        let mut found = session.endpoints_to_detach(request)?;
        if found.iter().any(is_attaching) {
            // Its process is on the way, or dead: under the lock, dead.
            session.begin_alone()?;
            found = session.endpoints_to_detach(request)?;
        }
        let doomed_netns = session.netns_to_delete(request, &found)?;
        let plan = session.removal(parts(&found), doomed_netns.clone());
        if mode == Mode::Apply {
            session.record_leaving(&found, request.after)?;
            session.crash.pass();
            session.await_turn(&found)?;
            session.remove_leaving(&found, doomed_netns)?;
        }
        let outcome = found
            .into_iter()
            .map(|(record, network)| EndpointStatus::new(&network, record.endpoint));
        Ok(Change {
            outcome: outcome.collect(),
            plan,
        })
    }
}

fn is_attaching((record, _): &(EndpointRecord, Network)) -> bool {
    record.life == EndpointLife::Attaching
}

/// What of these the removal of their parts looks at.
pub(crate) fn parts(
    found: &[(EndpointRecord, Network)],
) -> impl Iterator<Item = (&Endpoint, &Network)> {
    found
        .iter()
        .map(|(record, network)| (&record.endpoint, network))
}

/// What another process has removed is as it should be.
pub(crate) fn unless_gone(result: Result<(), StoreError>) -> Result<(), StoreError> {
    match result {
        Err(StoreError::EndpointGone(_)) => Ok(()),
        result => result,
    }
}

fn missing(request: &DetachRequest) -> EngineError {
    match &request.who {
        Detachee::Target(target) => EngineError::EndpointMissing {
            target: target.clone(),
            network: request.network.clone(),
        },
        Detachee::Container { container, ifname } => EngineError::ContainerMissing {
            container: container.clone(),
            ifname: ifname.clone(),
        },
    }
}

impl Session<'_> {
    /// Waits until nobody else changes or removes anything, and puts right what must be first.
    fn begin_alone(&mut self) -> Result<(), EngineError> {
        if self.mode == Mode::Apply && !self.has_turn() {
            self.take_turn()?;
        }
        self.settle()
    }

    /// Waits for the turn to remove; a detach that does not get it has not happened.
    fn await_turn(&mut self, found: &[(EndpointRecord, Network)]) -> Result<(), EngineError> {
        if self.has_turn() {
            return Ok(());
        }
        let waited = self.take_turn();
        if waited.is_err() {
            let stayed =
                |(record, _): &&(EndpointRecord, Network)| record.life == EndpointLife::Attached;
            // The first error is the one to report.
            let _ = self.records.transaction(Durability::Process, |records| {
                let mut stayed = found.iter().filter(stayed);
                stayed.try_for_each(|(record, _)| records.set_staying(record.endpoint.id))
            });
        }
        waited
    }

    /// The target's endpoints, by the identity of its namespace or, where that is gone or has
    /// another name now, by the name it was attached with.
    fn endpoints_of_target(&mut self, target: &Target) -> Result<Vec<EndpointRecord>, EngineError> {
        let by_identity = match self.kernel.identify(target) {
            Ok(netns) => self.records.endpoints_in(&netns)?,
            Err(error) if error.kind() == ErrorKind::Missing => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        if by_identity.is_empty() {
            return Ok(self.records.endpoints_of_target(target)?);
        }
        Ok(by_identity)
    }

    fn endpoints_to_detach(
        &mut self,
        request: &DetachRequest,
    ) -> Result<Vec<(EndpointRecord, Network)>, EngineError> {
        let found = match &request.who {
            Detachee::Target(target) => self.endpoints_of_target(target)?,
            Detachee::Container { container, ifname } => {
                self.records.endpoints_of_container(container, ifname)?
            }
        };
        let mut detached = Vec::new();
        for record in found {
            let network = self.network_of(&record.endpoint)?;
            if request
                .network
                .as_ref()
                .is_none_or(|name| *name == network.name)
            {
                detached.push((record, network));
            }
        }
        if let Some(name) = &request.network
            && self.records.network_by_name(name)?.is_none()
        {
            return Err(EngineError::NetworkMissing(name.clone()));
        }
        if detached.is_empty() {
            return Err(missing(request));
        }
        Ok(detached)
    }

    /// The name of the namespace that goes with the target's last endpoint.
    fn netns_to_delete(
        &mut self,
        request: &DetachRequest,
        found: &[(EndpointRecord, Network)],
    ) -> Result<Option<String>, EngineError> {
        let (target, name) = match (request.after, &request.who) {
            (NetnsAfter::Keep, _) | (_, Detachee::Container { .. }) => return Ok(None),
            (_, Detachee::Target(target @ Target::Named(name))) => (target, name),
            (_, Detachee::Target(other)) => return Err(EngineError::NetnsNotNamed(other.clone())),
        };
        let all = self.records.endpoints_of_target(target)?;
        let stays = |other: &&EndpointRecord| {
            found
                .iter()
                .all(|(record, _)| record.endpoint.id != other.endpoint.id)
        };
        if let Some(other) = all.iter().find(stays) {
            let network = self.network_of(&other.endpoint)?.name;
            return Err(EngineError::StillAttached {
                target: target.clone(),
                network,
            });
        }
        Ok(kernel::netns_exists(name).then(|| name.clone()))
    }

    /// Of all endpoints at once, so that a process that dies leaves the target whole or bare. One
    /// that another detach has removed meanwhile is as it should be.
    fn record_leaving(
        &mut self,
        found: &[(EndpointRecord, Network)],
        after: NetnsAfter,
    ) -> Result<(), EngineError> {
        let recorded = self.records.transaction(Durability::Process, |records| {
            found.iter().try_for_each(|(record, _)| {
                let id = record.endpoint.id;
                unless_gone(match after {
                    NetnsAfter::Keep => records.set_detaching(id),
                    NetnsAfter::Delete => records.set_deleting(id),
                })
            })
        });
        Ok(recorded?)
    }

    /// The plan that removes these endpoints' parts, and a namespace.
    pub(crate) fn removal<'a>(
        &self,
        endpoints: impl IntoIterator<Item = (&'a Endpoint, &'a Network)>,
        netns: Option<String>,
    ) -> Plan {
        let mut part = KernelState::default();
        for (endpoint, network) in endpoints {
            let network = NetworkView {
                network: network.clone(),
                // An MTU is nothing that a removal looks at.
                mtu: Mtu::ETHERNET,
                endpoints: Vec::new(),
                overlay: None,
            };
            let view = EndpointView {
                endpoint: endpoint.clone(),
                origin: NetnsOrigin::Given,
            };
            part.extend(endpoint_part(self.node(), &network, &view));
        }
        part.namespaces = netns.into_iter().map(|name| (name, self.mark())).collect();
        diff(&part, &KernelState::default())
    }

    /// Deletes the record of an endpoint, unless another process was faster.
    pub(crate) fn forget_endpoint(&mut self, id: EndpointId) -> Result<(), EngineError> {
        Ok(unless_gone(
            self.records.delete_endpoint(id, self.settings.now_secs),
        )?)
    }

    pub(crate) fn network_of(&self, endpoint: &Endpoint) -> Result<Network, EngineError> {
        let id = endpoint.network;
        let record = self.records.network(id)?;
        Ok(record.ok_or(StoreError::NetworkGone(id))?.network)
    }

    pub(crate) fn network(&self, name: &NetworkName) -> Result<Network, EngineError> {
        let record = self.records.network_by_name(name)?;
        let ready = record.filter(|record| record.life == NetworkLife::Ready);
        let missing = || EngineError::NetworkMissing(name.clone());
        Ok(ready.ok_or_else(missing)?.network)
    }
}
