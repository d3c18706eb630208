//! Whether an endpoint, or the node for the next one, is as it should be. Changes nothing.

use model::{ContainerId, IfName, NetworkName, NetworkWish};
use netstate::{Interest, Pair, diff};
use plan::{View, desired, only_owned};
use store::EndpointLife;

use crate::session::{Session, check_tables};
use crate::{EndpointStatus, Engine, EngineError, Mode};

/// An endpoint compared with the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub endpoint: EndpointStatus,
    /// What is wrong, a sentence each.
    pub findings: Vec<String>,
}

impl Engine {
    /// Compares what a container runtime attached with the kernel: its devices, addresses, routes
    /// and firewall elements, and its network's bridge and rules.
    ///
    /// # Errors
    /// No such endpoint or network; a namespace that is gone; a kernel that can't be read.
    pub fn check(
        &self,
        network: &NetworkName,
        container: &ContainerId,
        ifname: &IfName,
    ) -> Result<Checked, EngineError> {
        let mut session = self.session(Mode::DryRun)?;
        let network = session.network(network)?;
        let found = session.records.endpoints_of_container(container, ifname)?;
        let mut found = found.into_iter();
        let attached = |record: &store::EndpointRecord| {
            record.endpoint.network == network.id && record.life == EndpointLife::Attached
        };
        let record = found.find(attached).ok_or_else(|| {
            let (container, ifname) = (container.clone(), ifname.clone());
            EngineError::ContainerMissing { container, ifname }
        })?;
        if !session.is_alive(&record)? {
            return Err(EngineError::NetnsGone(record.endpoint.target));
        }
        let findings = session.findings_of(&record)?;
        Ok(Checked {
            endpoint: EndpointStatus::new(&network, record.endpoint),
            findings,
        })
    }

    /// Whether the next attach to a network can succeed as far as the node goes: records that can
    /// be written, a kernel that answers, the network as wished, a free address.
    ///
    /// # Errors
    /// What an attach would fail with.
    pub fn check_ready(&self, wish: &NetworkWish) -> Result<(), EngineError> {
        // The lock and the records as an attach needs them.
        drop(self.session(Mode::Apply)?);
        let mut session = self.session(Mode::DryRun)?;
        session.settle()?;
        let choice = crate::NetworkChoice::OrCreate(wish.clone());
        let (network, _) = session.chosen(&choice)?;
        for subnet in &network.subnets {
            session.next_address(&network, subnet)?;
        }
        Ok(())
    }
}

impl Session<'_> {
    /// What the kernel has otherwise, of an endpoint's part and its network's.
    fn findings_of(&mut self, record: &store::EndpointRecord) -> Result<Vec<String>, EngineError> {
        let facts = self.kernel.facts()?;
        let view = self.view(&facts)?;
        let part = desired(&View {
            networks: only(&view, record),
            ..view.clone()
        });
        // A rule may speak of all networks: what it should be, the whole view tells.
        let mut wanted = desired(&view).within(&part);
        let endpoint = &record.endpoint;
        let observed = self.kernel.observe(&Interest {
            node: view.node,
            targets: vec![Pair {
                target: endpoint.target.clone(),
                ifname: endpoint.ifname.clone(),
                port: endpoint.port.clone(),
            }],
            sysctls: wanted.sysctls.keys().cloned().collect(),
            namespaces: Default::default(),
        })?;
        check_tables(&observed, view.node)?;
        let observed = only_owned(observed, &view).within(&part);
        // The mark on a namespace can be changed from inside: nothing to go by.
        wanted.namespaces.clear();
        Ok(diff(&observed, &wanted).findings())
    }
}

/// The network of an endpoint with nothing else on it.
fn only(view: &View, record: &store::EndpointRecord) -> Vec<plan::NetworkView> {
    let networks = view.networks.iter();
    let of = networks.filter(|n| n.network.id == record.endpoint.network);
    let alone = of.cloned().map(|mut network| {
        let id = record.endpoint.id;
        network.endpoints.retain(|e| e.endpoint.id == id);
        network
    });
    alone.collect()
}
