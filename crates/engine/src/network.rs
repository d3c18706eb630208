//! Creating and removing networks.

use std::net::IpAddr;

use model::{AddressRange, IfName, Names, Network, NetworkKind, NetworkName, Prefix, Subnet};
use netstate::{Interest, KernelState, NodeFacts, Plan, ROUTE_PROTOCOL, diff};
use plan::{View, bridge_name, desired, only_owned};
use store::{NetworkLife, NetworkRecord};

use crate::request::{difference, wished};
use crate::session::{Session, check_tables};
use crate::{Change, Engine, EngineError, Holder, Mode, NetworkChoice, NewNetwork, SubnetChoice};

impl Engine {
    /// Creates a network: its record, its bridge, and with the first one the firewall's tables.
    ///
    /// # Errors
    /// A name, prefix or bridge that somebody has; what the kernel refuses. Nothing stays behind.
    pub fn create_network(
        &self,
        request: &NewNetwork,
        mode: Mode,
    ) -> Result<Change<Network>, EngineError> {
        let mut session = self.session(mode)?;
        session.settle_all()?;
        let (outcome, plan) = session.create_network(request)?;
        Ok(Change { outcome, plan })
    }

    /// Removes a network without endpoints; with the last one the firewall's tables go too.
    ///
    /// # Errors
    /// No such network, endpoints on it, what the kernel refuses.
    pub fn remove_network(
        &self,
        name: &NetworkName,
        mode: Mode,
    ) -> Result<Change<Network>, EngineError> {
        let mut session = self.session(mode)?;
        session.settle_all()?;
        let network = session.network(name)?;
        let endpoints = session.records.count_endpoints(network.id)?;
        if endpoints > 0 {
            return Err(EngineError::NetworkInUse {
                name: name.clone(),
                endpoints,
            });
        }
        let plan = session.remove_network(&network)?;
        Ok(Change {
            outcome: network,
            plan,
        })
    }
}

impl Session<'_> {
    /// The network to attach to, and the plan that made it where it was created just now.
    pub(crate) fn chosen(
        &mut self,
        choice: &NetworkChoice,
    ) -> Result<(Network, Option<Plan>), EngineError> {
        let wish = match (self.network(choice.name()), choice) {
            (Ok(network), NetworkChoice::Existing(_)) => return Ok((network, None)),
            (Ok(network), NetworkChoice::OrCreate(wish)) => {
                return match difference(wish, &network) {
                    None if wish.names == Some(Names::On) => {
                        Ok((self.own_names(network, Names::On)?, None))
                    }
                    None => Ok((network, None)),
                    Some(other) => Err(EngineError::NetworkDiffers {
                        name: network.name,
                        other,
                    }),
                };
            }
            (Err(EngineError::NetworkMissing(_)), NetworkChoice::OrCreate(wish)) => wish,
            (Err(error), _) => return Err(error),
        };
        let (network, plan) = self.create_network(&wished(wish))?;
        Ok((network, Some(plan)))
    }

    fn create_network(&mut self, request: &NewNetwork) -> Result<(Network, Plan), EngineError> {
        if self.records.network_by_name(&request.name)?.is_some() {
            return Err(EngineError::NetworkExists(request.name.clone()));
        }
        let facts = self.kernel.facts()?;
        let network = self.number(request, &facts)?;
        self.check_bridge(&network, &facts)?;
        self.records.insert_network(&NetworkRecord {
            network: network.clone(),
            life: NetworkLife::Creating,
        })?;
        self.crash.pass();
        let plan = self.plan_network(&network, &facts)?;
        if let Err(error) = self.apply(&plan) {
            self.undo_network(&network, &facts);
            return Err(error);
        }
        self.records
            .set_network_life(network.id, NetworkLife::Ready)?;
        self.crash.pass();
        Ok((network, plan))
    }

    /// Removes a network that has no endpoints.
    pub(crate) fn remove_network(&mut self, network: &Network) -> Result<Plan, EngineError> {
        self.records
            .set_network_life(network.id, NetworkLife::Removing)?;
        self.crash.pass();
        let facts = self.kernel.facts()?;
        let plan = self.plan_removal(network, &facts)?;
        self.apply(&plan)?;
        self.records.delete_network(network.id)?;
        self.crash.pass();
        Ok(plan)
    }

    /// The network that a request becomes, with its prefixes chosen and checked.
    fn number(&mut self, request: &NewNetwork, facts: &NodeFacts) -> Result<Network, EngineError> {
        let id = self.records.next_network_id()?;
        let taken = self.taken(facts)?;
        let prefixes: Vec<Prefix> = taken.iter().map(|(prefix, _)| *prefix).collect();
        let given = match &request.subnets {
            SubnetChoice::Given(given) => given.clone(),
            SubnetChoice::PickIpv4 => vec![ipam::free_prefix(&prefixes)?],
            SubnetChoice::PickBoth => vec![
                ipam::free_prefix(&prefixes)?,
                ipam::free_ula(self.settings.random, &prefixes)?,
            ],
        };
        let subnets = with_gateways(&given, &request.gateways)?;
        let subnets = with_ranges(subnets, &request.ranges)?;
        for subnet in &given {
            let clash = taken.iter().find(|(prefix, _)| prefix.overlaps(*subnet));
            if let Some((_, holder)) = clash {
                return Err(EngineError::SubnetTaken {
                    subnet: *subnet,
                    holder: holder.clone(),
                });
            }
        }
        let named = request.bridge.clone();
        Ok(Network {
            id,
            name: request.name.clone(),
            kind: NetworkKind::Bridge,
            bridge: named.unwrap_or_else(|| bridge_name(&request.name, id)),
            mtu: request.mtu,
            reach: request.reach,
            names: request.names,
            subnets: Network::check_subnets(subnets, request.mtu)?,
        })
    }

    /// The prefixes that a new network must not overlap: other networks', and what foreign
    /// addresses and routes hold. Default routes hold nothing.
    pub(crate) fn taken(
        &mut self,
        facts: &NodeFacts,
    ) -> Result<Vec<(Prefix, Holder)>, EngineError> {
        let mut taken = Vec::new();
        let mut bridges = Vec::new();
        for record in self.records.networks()? {
            let network = record.network;
            taken.extend(network.subnets.iter().map(|subnet| {
                let holder = Holder::Network {
                    network: network.name.clone(),
                    prefix: subnet.prefix,
                };
                (subnet.prefix, holder)
            }));
            bridges.push(network.bridge);
        }
        taken.extend(foreign(facts, &bridges));
        Ok(taken)
    }

    pub(crate) fn check_bridge(
        &mut self,
        network: &Network,
        facts: &NodeFacts,
    ) -> Result<(), EngineError> {
        let bridge = &network.bridge;
        if bridge.as_str().starts_with(plan::PORT_START) {
            return Err(EngineError::BridgeReserved(bridge.clone()));
        }
        for record in self.records.networks()? {
            if record.network.bridge == *bridge {
                return Err(EngineError::BridgeOfNetwork {
                    bridge: bridge.clone(),
                    network: record.network.name,
                });
            }
        }
        match facts.links.iter().any(|link| link.name == *bridge) {
            true => Err(EngineError::BridgeTaken(bridge.clone())),
            false => Ok(()),
        }
    }

    /// What the network adds to the node's state, and what is missing of the other networks'.
    fn plan_network(&mut self, network: &Network, facts: &NodeFacts) -> Result<Plan, EngineError> {
        let mut view = self.view_without(network, facts)?;
        view.networks.push(self.network_view(network, facts)?);
        for network in &mut view.networks {
            network.endpoints.clear();
        }
        let wanted = desired(&view);
        let observed = self.observe_node(&view, &wanted)?;
        Ok(diff(&observed.within(&wanted), &wanted))
    }

    fn plan_removal(&mut self, network: &Network, facts: &NodeFacts) -> Result<Plan, EngineError> {
        let without = self.view_without(network, facts)?;
        let mut with = without.clone();
        with.networks.push(self.network_view(network, facts)?);
        let (all, rest) = (desired(&with), desired(&without));
        let gone = all.without(&rest);
        let observed = self.observe_node(&with, &gone)?;
        let mut seen = observed.within(&gone);
        // Rules that speak of all networks no longer speak of this one.
        let mut left = KernelState::default();
        for (key, chain) in rest.chains {
            let is_other = all.chains.get(&key) != Some(&chain);
            if let Some(there) = observed.chains.get(&key).filter(|_| is_other) {
                seen.chains.insert(key.clone(), there.clone());
                left.chains.insert(key, chain);
            }
        }
        Ok(diff(&seen, &left))
    }

    fn view_without(&mut self, network: &Network, facts: &NodeFacts) -> Result<View, EngineError> {
        let mut view = self.view(facts)?;
        view.networks.retain(|other| other.network.id != network.id);
        Ok(view)
    }

    /// The node's own namespace, without any target's.
    fn observe_node(
        &mut self,
        view: &View,
        part: &KernelState,
    ) -> Result<KernelState, EngineError> {
        let interest = Interest {
            node: view.node,
            targets: Vec::new(),
            sysctls: part.sysctls.keys().cloned().collect(),
            namespaces: Default::default(),
        };
        let observed = self.kernel.observe(&interest)?;
        check_tables(&observed, view.node)?;
        Ok(only_owned(observed, view))
    }

    /// Takes back a network that could not be created. What can't be taken back now is recorded
    /// as begun, and the next reconcile does it.
    fn undo_network(&mut self, network: &Network, facts: &NodeFacts) {
        let undone = self
            .plan_removal(network, facts)
            .and_then(|plan| self.apply(&plan));
        if undone.is_ok() {
            // The first error is the one to report.
            let _ = self.records.delete_network(network.id);
        }
    }
}

/// Each prefix with the gateway that is in it. A gateway outside all of them is refused.
fn with_gateways(prefixes: &[Prefix], gateways: &[IpAddr]) -> Result<Vec<Subnet>, EngineError> {
    let inside = |gateway: &IpAddr| prefixes.iter().any(|prefix| prefix.contains(*gateway));
    if let Some(outside) = gateways.iter().find(|gateway| !inside(gateway)) {
        return Err(model::ParseError::GatewayOutside(*outside).into());
    }
    let of = |prefix: Prefix| {
        let mut own = gateways.iter().copied().filter(|g| prefix.contains(*g));
        match (own.next(), own.next()) {
            (Some(one), Some(other)) => Err(EngineError::TwoAddresses(one, other)),
            (gateway, _) => Ok(Subnet::new(prefix, gateway)?),
        }
    };
    prefixes.iter().copied().map(of).collect()
}

/// Each subnet with the range that is in it. A range outside all of them is refused.
fn with_ranges(
    mut subnets: Vec<Subnet>,
    ranges: &[AddressRange],
) -> Result<Vec<Subnet>, EngineError> {
    for range in ranges {
        let mut subnets = subnets.iter_mut();
        let subnet = subnets.find(|subnet| subnet.prefix.contains(range.first()));
        let subnet = subnet.ok_or(model::ParseError::RangeOfNoSubnet(*range))?;
        if let Some(other) = subnet.range {
            return Err(EngineError::TwoRanges(other, *range));
        }
        *subnet = subnet.with_range(*range)?;
    }
    Ok(subnets)
}

/// What foreign devices and routes hold of the node's address space.
fn foreign<'a>(
    facts: &'a NodeFacts,
    bridges: &'a [IfName],
) -> impl Iterator<Item = (Prefix, Holder)> + 'a {
    let addresses = facts.addresses.iter();
    let addresses = addresses.filter(|held| !bridges.contains(&held.dev));
    let addresses = addresses.filter_map(|held| {
        let holder = Holder::Address {
            address: held.address,
            device: held.dev.clone(),
        };
        Some((Prefix::of(held.address, held.prefix_len).ok()?, holder))
    });
    let own = |dev: &Option<IfName>| dev.as_ref().is_some_and(|dev| bridges.contains(dev));
    let routes = facts.routes.iter();
    let routes = routes.filter(move |r| r.protocol != ROUTE_PROTOCOL && !own(&r.dev));
    let routes = routes.filter(|route| !route.prefix.is_any());
    let routes = routes.map(|route| {
        let holder = Holder::Route {
            prefix: route.prefix,
            device: route.dev.clone(),
        };
        (route.prefix, holder)
    });
    addresses.chain(routes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_belongs_to_the_prefix_that_holds_it() {
        let prefixes: Vec<Prefix> = ["10.0.0.0/24", "fd00::/64"]
            .map(|p| p.parse().unwrap())
            .into();
        let gateways: Vec<IpAddr> = ["fd00::5", "10.0.0.9"].map(|g| g.parse().unwrap()).into();
        let subnets = with_gateways(&prefixes, &gateways).unwrap();
        let found: Vec<String> = subnets.iter().map(|s| s.gateway.to_string()).collect();
        assert_eq!(found, ["10.0.0.9", "fd00::5"]);
        let outside = ["10.0.1.1".parse().unwrap()];
        assert!(with_gateways(&prefixes, &outside).is_err());
    }
}
