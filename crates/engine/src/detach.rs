//! Detaching a target from its networks.

use kernel::ErrorKind;
use model::{Endpoint, EndpointId, Mtu, NetnsOrigin, Network, NetworkName, Target};
use netstate::{KernelState, Plan, Step, diff};
use plan::{EndpointView, NetworkView, endpoint_part};
use store::{Durability, EndpointRecord, NetworkLife, NodeLock, OpenMode, Records, StoreError};

use crate::session::Session;
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
        let mut session = self.session(mode)?;
        session.settle()?;
        let found = session.endpoints_to_detach(request)?;
        let doomed_netns = session.netns_to_delete(request, &found)?;
        let parts = found
            .iter()
            .map(|(record, network)| (&record.endpoint, network));
        let plan = session.removal(parts, doomed_netns);
        session.record_detaching(&found, request.after)?;
        session.crash.pass();
        let (firewall, devices) = before_devices(&plan);
        session.apply(&firewall)?;
        // What is left carries names that nobody gets again, so that anybody may finish it; and
        // removing a device takes the kernel a grace period of some 18 ms, which others need not
        // wait for.
        session.unlock();
        session.apply_and_shorten_log(&devices)?;
        for (record, _) in &found {
            session.forget_endpoint(record.endpoint.id)?;
            session.crash.pass();
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

/// A removal in two: up to the devices, and they with what comes behind.
fn before_devices(plan: &Plan) -> (Plan, Plan) {
    let is_device = |step: &Step| matches!(step, Step::DelLink(_));
    let at = plan.steps.iter().position(is_device);
    let (before, devices) = plan.steps.split_at(at.unwrap_or(plan.steps.len()));
    let part = |steps: &[Step]| Plan {
        steps: steps.to_vec(),
    };
    (part(before), part(devices))
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
    /// Applies a plan, and while the kernel takes its time has the records' log copied, so that
    /// the next attach finds it short; but not where others are at work, which would wait for it.
    fn apply_and_shorten_log(&mut self, plan: &Plan) -> Result<(), EngineError> {
        if self.mode == Mode::DryRun {
            return Ok(());
        }
        let (dir, node) = (self.settings.state_dir.as_path(), self.node());
        let shorten = move || {
            if !NodeLock::is_free(dir) {
                return false;
            }
            let records = Records::open(dir, OpenMode::ReadWrite, node);
            // Whoever opens the records next can do it as well.
            records.map(|mut records| records.shorten_log()).is_ok()
        };
        std::thread::scope(|scope| {
            scope.spawn(shorten);
            self.apply(plan)
        })
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

    /// Of all endpoints at once, so that a process that dies leaves the target whole or bare.
    fn record_detaching(
        &mut self,
        found: &[(EndpointRecord, Network)],
        after: NetnsAfter,
    ) -> Result<(), EngineError> {
        let recorded = self.records.transaction(Durability::Process, |records| {
            found.iter().try_for_each(|(record, _)| match after {
                NetnsAfter::Keep => records.set_detaching(record.endpoint.id),
                NetnsAfter::Delete => records.set_deleting(record.endpoint.id),
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
        match self.records.delete_endpoint(id, self.settings.now_secs) {
            Ok(()) | Err(StoreError::EndpointGone(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
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
