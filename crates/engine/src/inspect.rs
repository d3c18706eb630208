//! What there is: networks, endpoints, and any namespace's network stack.

use model::{Endpoint, Mtu, MtuSetting, Names, Network, NetworkName, NodeId, Reach, Target};
use netstate::stack::Stack;
use serde::Serialize;
use store::{EndpointLife, Membership};

use crate::overlay::network_view;
use crate::{Engine, EngineError};

/// A network as people and machines read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkStatus {
    #[serde(flatten)]
    pub network: Network,
    /// The MTU it has today, in bytes.
    pub mtu_now: Mtu,
    pub endpoints: Vec<Endpoint>,
}

/// An endpoint and the name of its network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointStatus {
    pub network_name: NetworkName,
    pub bridge: model::IfName,
    /// Its addresses with the lengths of their prefixes, as `ip addr` prints them.
    pub cidrs: Vec<String>,
    pub gateways: Vec<std::net::IpAddr>,
    pub reach: Reach,
    #[serde(skip_serializing_if = "Names::are_off")]
    pub names: Names,
    #[serde(flatten)]
    pub endpoint: Endpoint,
}

impl EndpointStatus {
    pub(crate) fn new(network: &Network, endpoint: Endpoint) -> Self {
        let subnets = endpoint
            .addresses
            .iter()
            .filter_map(|a| network.subnet_of(*a));
        let pairs = endpoint.addresses.iter().zip(subnets.clone());
        Self {
            network_name: network.name.clone(),
            bridge: network.bridge.clone(),
            cidrs: pairs
                .map(|(a, s)| format!("{a}/{}", s.prefix.bits()))
                .collect(),
            gateways: subnets.map(|s| s.gateway).collect(),
            reach: network.reach,
            names: network.names,
            endpoint,
        }
    }
}

impl Engine {
    /// All networks, by name.
    ///
    /// # Errors
    /// Records or a kernel that can't be read.
    pub fn networks(&self) -> Result<Vec<NetworkStatus>, EngineError> {
        let records = self.records()?;
        let membership = records.membership()?;
        let mut facts = None;
        let mut all = Vec::new();
        for record in records.networks()? {
            let network = record.network;
            if facts.is_none() && network.mtu == MtuSetting::Auto {
                facts = Some(kernel::Kernel::open()?.facts()?);
            }
            let endpoints = records.endpoints_of_network(network.id)?;
            let attached = endpoints
                .into_iter()
                .filter(|e| e.life == EndpointLife::Attached);
            let mtu_now = match (network.mtu, &facts) {
                (MtuSetting::Fixed(mtu), _) => mtu,
                (MtuSetting::Auto, Some(facts)) => {
                    network_view(membership.as_ref(), &network, facts)?.mtu
                }
                (MtuSetting::Auto, None) => Mtu::ETHERNET,
            };
            all.push(NetworkStatus {
                mtu_now,
                endpoints: attached.map(|record| record.endpoint).collect(),
                network,
            });
        }
        all.sort_by(|a, b| a.network.name.cmp(&b.network.name));
        Ok(all)
    }

    /// One network.
    ///
    /// # Errors
    /// `NetworkMissing`, and those of [`Engine::networks`].
    pub fn network(&self, name: &NetworkName) -> Result<NetworkStatus, EngineError> {
        let found = self
            .networks()?
            .into_iter()
            .find(|n| n.network.name == *name);
        found.ok_or_else(|| EngineError::NetworkMissing(name.clone()))
    }

    /// One network as it is recorded, without a look at its endpoints or the kernel.
    ///
    /// # Errors
    /// `NetworkMissing`; records that can't be read.
    pub fn recorded_network(&self, name: &NetworkName) -> Result<Network, EngineError> {
        let record = self.records()?.network_by_name(name)?;
        let missing = || EngineError::NetworkMissing(name.clone());
        Ok(record.ok_or_else(missing)?.network)
    }

    /// All endpoints, by network and name.
    ///
    /// # Errors
    /// Those of [`Engine::networks`].
    pub fn endpoints(&self) -> Result<Vec<EndpointStatus>, EngineError> {
        let of = |status: NetworkStatus| {
            let NetworkStatus {
                network, endpoints, ..
            } = status;
            let status = move |endpoint| EndpointStatus::new(&network, endpoint);
            endpoints.into_iter().map(status).collect::<Vec<_>>()
        };
        Ok(self.networks()?.into_iter().flat_map(of).collect())
    }

    /// The cluster as this node last knew it; `None` for a node on its own.
    ///
    /// # Errors
    /// Records that can't be read.
    pub fn membership(&self) -> Result<Option<Membership>, EngineError> {
        Ok(self.records()?.membership()?)
    }

    /// The identity of the node's records.
    ///
    /// # Errors
    /// Records that can't be read.
    pub fn node_id(&self) -> Result<NodeId, EngineError> {
        Ok(self.records()?.node_id())
    }

    /// The network stack of a target, or of the node.
    ///
    /// # Errors
    /// A target that is gone, or a kernel that can't be read.
    pub fn stack(&self, target: Option<&Target>) -> Result<Stack, EngineError> {
        Ok(kernel::Kernel::open()?.stack(target)?)
    }
}
