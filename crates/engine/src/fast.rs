//! The fast path as the engine's calls keep it: which ports and devices it may be on, and what
//! attach and detach do for one endpoint.
//!
//! Nothing needs it. Where it is off, a call finds out by one look at a folder; what of it fails
//! leaves the kernel's way, and is tried again by [`Engine::ensure_fast_path`].

use fastpath::{Ensured, FastPath, Overlay, Part, Port, Uplink, Way};
use model::{Backend, Endpoint, EndpointName, IfName, Mtu, Network, NetworkId, NetworkName};
use store::NodeLock;

use crate::crossing::Crossing;
use crate::session::Session;
use crate::{EndpointStatus, Engine, EngineError, NetworkStatus};

impl Engine {
    /// The ports of all endpoints, as the fast path wants to know them.
    ///
    /// # Errors
    /// Those of [`Engine::networks`].
    pub fn fast_path_ports(&self) -> Result<Vec<Port>, EngineError> {
        let networks = self.networks()?;
        let of = |status: &NetworkStatus| {
            let endpoints = status.endpoints.iter();
            let port = |endpoint| port(&status.network, status.mtu_now, endpoint);
            endpoints.map(port).collect::<Vec<_>>()
        };
        Ok(networks.iter().flat_map(of).collect())
    }

    /// The overlay networks whose packets it can carry to other nodes: all but those of IP-in-IP.
    ///
    /// # Errors
    /// Those of [`Engine::crossings`].
    pub fn fast_path_overlays(&self) -> Result<Vec<Overlay>, EngineError> {
        let crossings = self.crossings()?.into_iter();
        Ok(crossings.filter_map(overlay).collect())
    }

    /// The endpoint of a name, on this network where one is given.
    ///
    /// # Errors
    /// `EndpointUnnamed`, `EndpointOnSeveral`; those of [`Engine::networks`].
    pub fn endpoint_named(
        &self,
        name: &EndpointName,
        network: Option<&NetworkName>,
    ) -> Result<EndpointStatus, EngineError> {
        let mut named = self.endpoints()?;
        named.retain(|status| {
            let is_there = network.is_none_or(|network| *network == status.network_name);
            is_there && status.endpoint.name == *name
        });
        match (named.pop(), named.pop()) {
            (Some(one), None) => Ok(one),
            (Some(one), Some(other)) => Err(EngineError::EndpointOnSeveral {
                name: name.clone(),
                networks: [other.network_name, one.network_name],
            }),
            (None, _) => Err(EngineError::EndpointUnnamed {
                name: name.clone(),
                network: network.cloned(),
            }),
        }
    }

    /// Puts the fast path on ports and devices that have come, and takes it off others; every flow
    /// proves itself again where something has changed. `None` where it is off.
    ///
    /// # Errors
    /// Records that can't be read, a lock that is not to be had, a kernel that refuses.
    pub fn ensure_fast_path(&self) -> Result<Option<Ensured>, EngineError> {
        let fast_path = FastPath::of(self.node_id()?);
        if !fast_path.is_loaded() {
            return Ok(None);
        }
        let settings = &self.settings;
        let _lock = NodeLock::acquire(&settings.state_dir, settings.lock_wait)?;
        let (ports, overlays) = (self.fast_path_ports()?, self.fast_path_overlays()?);
        Ok(Some(fast_path.ensure(&ports, &overlays)?))
    }

    /// Makes every flow prove itself again: called where anybody's rules have changed.
    ///
    /// # Errors
    /// Records that can't be read, a kernel that refuses.
    pub fn void_fast_path_proofs(&self) -> Result<(), EngineError> {
        Ok(FastPath::of(self.node_id()?).bump()?)
    }
}

impl Session<'_> {
    /// Gives a new endpoint's port the fast path, where it is on for the network.
    pub(crate) fn enter_in_fast_path(&self, network: &Network, mtu: Mtu, endpoint: &Endpoint) {
        if let Some(fast_path) = self.fast_path_of(network.id) {
            // Without, packets go the kernel's way, and the next look tries again.
            let _ = fast_path.add(&port(network, mtu, endpoint));
        }
    }

    /// Takes ports out before their devices go.
    pub(crate) fn withdraw_from_fast_path<'a>(
        &self,
        ports: impl Iterator<Item = (NetworkId, &'a IfName)>,
    ) {
        for (network, name) in ports {
            if let Some(fast_path) = self.fast_path_of(network) {
                // A proof that stays is void within a second, and its device is gone before that.
                let _ = fast_path.withdraw(network, name);
            }
        }
    }

    fn fast_path_of(&self, network: NetworkId) -> Option<FastPath> {
        let node = self.node();
        fastpath::is_on(node, network).then(|| FastPath::of(node))
    }
}

fn port(network: &Network, mtu: Mtu, endpoint: &Endpoint) -> Port {
    Port {
        network: network.id,
        name: endpoint.port.clone(),
        bridge: network.bridge.clone(),
        mtu,
        mac: endpoint.mac,
        addresses: endpoint.addresses.clone(),
    }
}

fn overlay(crossing: Crossing) -> Option<Overlay> {
    let uplink = |(name, mtu)| Uplink { name, mtu };
    let part = |[whole, own]: [_; 2]| Part { whole, own };
    let way = match crossing.backend {
        Backend::Vxlan => Way::Vxlan {
            vni: crossing.vni,
            device: crossing.device,
        },
        Backend::Routed => Way::Routed(crossing.prefixes.into_iter().map(part).collect()),
        Backend::Ipip => return None,
    };
    Some(Overlay {
        network: crossing.network,
        bridge: crossing.bridge,
        way,
        uplinks: crossing.uplinks.into_iter().map(uplink).collect(),
    })
}
