//! Numbering an endpoint and writing it down, where dead ones may stand in its way.

use std::net::IpAddr;

use model::{
    Alias, Endpoint, EndpointName, IfName, Mac, NetnsId, NetnsOrigin, Network, Reach, Subnet,
    Target,
};
use netstate::{LinkKey, Netns};
use store::{EndpointLife, EndpointRecord, Resting};

use crate::session::Session;
use crate::{AttachRequest, EngineError, NetnsBefore};

impl Session<'_> {
    /// Records an endpoint as begun. What it asks for may be held by an endpoint whose namespace
    /// is gone: then the dead are released first, as a reconcile does.
    pub(crate) fn admit(
        &mut self,
        request: &AttachRequest,
        network: &Network,
        netns: Option<NetnsId>,
    ) -> Result<EndpointRecord, EngineError> {
        match self.try_admit(request, network, netns.clone()) {
            Err(error) if self.is_held_by_the_dead(&error, network)? => {
                self.reconcile_rest()?;
                self.try_admit(request, network, netns)
            }
            result => result,
        }
    }

    fn try_admit(
        &mut self,
        request: &AttachRequest,
        network: &Network,
        netns: Option<NetnsId>,
    ) -> Result<EndpointRecord, EngineError> {
        let record = self.number_endpoint(request, network, netns)?;
        self.check_ifname(&record)?;
        self.records.insert_endpoint(&record)?;
        Ok(record)
    }

    fn is_held_by_the_dead(
        &mut self,
        error: &EngineError,
        network: &Network,
    ) -> Result<bool, EngineError> {
        let holders = match error {
            EngineError::Records(error) => match error.owner() {
                Some(owner) => self.records.endpoint(owner.id)?.into_iter().collect(),
                None => Vec::new(),
            },
            EngineError::SubnetFull(_) => self.records.endpoints_of_network(network.id)?,
            _ => Vec::new(),
        };
        for holder in &holders {
            if !self.is_alive(holder)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Gives the endpoint its number, name, addresses, MAC, interface and rank.
    fn number_endpoint(
        &mut self,
        request: &AttachRequest,
        network: &Network,
        netns: Option<NetnsId>,
    ) -> Result<EndpointRecord, EngineError> {
        let target = &request.target;
        let siblings = match &netns {
            Some(netns) => self.records.endpoints_in(netns)?,
            None => Vec::new(),
        };
        let id = self.records.next_endpoint_id()?;
        let addresses = self.choose_addresses(request, network)?;
        self.check_way_back(request, &siblings)?;
        let mac = choose_mac(request, network, &addresses)?;
        let endpoint = Endpoint {
            id,
            network: network.id,
            name: match &request.name {
                Some(name) => name.clone(),
                None => default_name(target)?,
            },
            target: target.clone(),
            cni: request.cni.clone(),
            ifname: choose_ifname(request, &siblings)?,
            port: plan::port_name(id),
            mac,
            addresses,
            publish: request.publish.clone(),
            rates: request.rates,
            aliases: Alias::check_all(request.aliases.clone())?,
            rank: self.records.next_rank(netns.as_ref(), target)?,
        };
        Ok(EndpointRecord {
            endpoint,
            life: EndpointLife::Attaching,
            netns,
            origin: match request.before {
                NetnsBefore::Exists => NetnsOrigin::Given,
                NetnsBefore::Create => NetnsOrigin::Made,
            },
            created_at: self.settings.now_secs,
        })
    }

    /// Refuses an interface that the target has from elsewhere, before anything is changed.
    fn check_ifname(&mut self, record: &EndpointRecord) -> Result<(), EngineError> {
        let Endpoint { target, ifname, .. } = &record.endpoint;
        let key = LinkKey {
            netns: Netns::Target(target.clone()),
            name: ifname.clone(),
        };
        if record.netns.is_some() && self.kernel.link_exists(&key)? {
            // A container that is attached already has it from here.
            self.records.check_container(&record.endpoint)?;
            return Err(EngineError::IfNameTaken {
                target: target.clone(),
                ifname: ifname.clone(),
            });
        }
        Ok(())
    }

    /// The answers of a published port leave by the default route of the target's first open
    /// network; at any other port of it they would be dropped as spoofed.
    fn check_way_back(
        &self,
        request: &AttachRequest,
        siblings: &[EndpointRecord],
    ) -> Result<(), EngineError> {
        let Some(publish) = request.publish.first() else {
            return Ok(());
        };
        for sibling in siblings {
            let network = self.network_of(&sibling.endpoint)?;
            // Attached to the very network twice is refused as that.
            if network.reach == Reach::Outside && network.name != *request.network.name() {
                return Err(EngineError::PublishBehind {
                    publish: *publish,
                    target: request.target.clone(),
                    network: network.name,
                });
            }
        }
        Ok(())
    }

    /// One address for each subnet, IPv4 first: the one asked for, or the next free one.
    fn choose_addresses(
        &mut self,
        request: &AttachRequest,
        network: &Network,
    ) -> Result<Vec<IpAddr>, EngineError> {
        let inside = |address: &&IpAddr| network.subnet_of(**address).is_none();
        if let Some(outside) = request.addresses.iter().find(inside) {
            return Err(EngineError::AddressOutside {
                address: *outside,
                network: network.name.clone(),
            });
        }
        let mut chosen = Vec::new();
        for subnet in &network.subnets {
            let asked = request
                .addresses
                .iter()
                .filter(|a| subnet.prefix.contains(**a));
            let asked: Vec<IpAddr> = asked.copied().collect();
            chosen.push(match asked.as_slice() {
                [] => self.next_address(network, subnet)?,
                [one] if network.is_stretched() => asked_of_part(network, subnet, *one)?,
                [one] => asked_address(subnet, *one)?,
                [one, other, ..] => return Err(EngineError::TwoAddresses(*one, *other)),
            });
        }
        Ok(chosen)
    }

    pub(crate) fn next_address(
        &mut self,
        network: &Network,
        subnet: &Subnet,
    ) -> Result<IpAddr, EngineError> {
        let now = self.settings.now_secs;
        let family = subnet.prefix.family();
        let last = self.records.last_allocated(network.id, family)?;
        let records = &mut self.records;
        let free = ipam::next_free(subnet, last, |from| {
            records.taken_from(network.id, from, now, Resting::Avoid)
        })?;
        if let Some(free) = free {
            return Ok(free);
        }
        let full = || EngineError::SubnetFull(subnet.prefix);
        self.records
            .oldest_resting(network.id, subnet.given_out())?
            .ok_or_else(full)
    }
}

/// Whose it is, if it is taken, the records know.
fn asked_address(subnet: &Subnet, address: IpAddr) -> Result<IpAddr, EngineError> {
    if !subnet.prefix.is_usable(address) || address == subnet.gateway {
        return Err(EngineError::AddressReserved {
            address,
            subnet: subnet.prefix,
        });
    }
    Ok(address)
}

/// An address of a stretched network is of this node's part: the others are other nodes'.
fn asked_of_part(
    network: &Network,
    subnet: &Subnet,
    address: IpAddr,
) -> Result<IpAddr, EngineError> {
    let part = subnet.given_out();
    if !(part.first()..=part.last()).contains(&address) {
        return Err(EngineError::AddressOutside {
            address,
            network: network.name.clone(),
        });
    }
    asked_address(subnet, address)
}

/// The MAC asked for, or the one that the first address makes; in a stretched network no other,
/// for by it the other nodes know whose a frame is.
fn choose_mac(
    request: &AttachRequest,
    network: &Network,
    addresses: &[IpAddr],
) -> Result<Mac, EngineError> {
    let Some(address) = addresses.first() else {
        return Ok(request.mac.unwrap_or(Mac::ours([0; 4])));
    };
    let made = Mac::for_address(*address);
    match request.mac {
        Some(mac) if mac != made && network.is_stretched() => Err(EngineError::MacOfStretched {
            mac,
            address: *address,
            made,
        }),
        asked => Ok(asked.unwrap_or(made)),
    }
}

/// The interface asked for, or the first of eth0, eth1, … that no endpoint of the target has.
fn choose_ifname(
    request: &AttachRequest,
    siblings: &[EndpointRecord],
) -> Result<IfName, EngineError> {
    if let Some(name) = &request.ifname {
        return Ok(name.clone());
    }
    let taken = |name: &IfName| siblings.iter().any(|e| e.endpoint.ifname == *name);
    for n in 0..siblings.len() {
        let name: IfName = format!("eth{n}").parse()?;
        if !taken(&name) {
            return Ok(name);
        }
    }
    Ok(format!("eth{}", siblings.len()).parse()?)
}

fn default_name(target: &Target) -> Result<EndpointName, EngineError> {
    let short = target.short_name();
    let clean: String = short
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    Ok(clean.parse()?)
}
