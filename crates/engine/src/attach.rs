//! Attaching a target to a network.

use std::net::IpAddr;

use kernel::ErrorKind;
use model::{
    Endpoint, EndpointName, Family, HostBind, IfName, Mac, Mtu, NetnsId, NetnsOrigin, Network,
    Publish, Reach, Subnet, Target,
};
use netstate::{KernelState, LinkKey, Netns, Plan, diff};
use plan::{EndpointView, NetworkView, endpoint_part};
use store::{EndpointLife, EndpointRecord, Resting};

use crate::session::{Session, endpoint_view, mtu_now};
use crate::{
    AttachRequest, Change, EndpointStatus, Engine, EngineError, Mode, NetnsBefore, PortHolder,
};

impl Engine {
    /// Attaches a target to a network: an address, a pair of devices, the firewall's elements.
    ///
    /// # Errors
    /// A name, address, MAC or port that somebody has, a full subnet, a target that is gone or
    /// the node itself, what the kernel refuses. Nothing stays behind.
    pub fn attach(
        &self,
        request: &AttachRequest,
        mode: Mode,
    ) -> Result<Change<EndpointStatus>, EngineError> {
        let mut session = self.session(mode)?;
        session.settle_all()?;
        let network = session.network(&request.network)?;
        let netns = session.target_before(request)?;
        session.check_ports(request, &network)?;
        let record = session.number_endpoint(request, &network, netns)?;
        session.check_ifname(&record)?;
        session.records.insert_endpoint(&record)?;
        session.begun = Some(record.endpoint.id);
        session.crash.pass();
        let netns = record.netns.clone();
        let view = endpoint_view(record);
        let plan = session.attach_in_kernel(&network, &view, netns)?;
        Ok(Change {
            outcome: EndpointStatus::new(&network, view.endpoint),
            plan,
        })
    }
}

impl Session<'_> {
    /// The identity of the target's namespace; none yet where it is to be made.
    fn target_before(&mut self, request: &AttachRequest) -> Result<Option<NetnsId>, EngineError> {
        let target = &request.target;
        match (request.before, target) {
            (NetnsBefore::Exists, _) => Ok(Some(self.kernel.identify(target)?)),
            (NetnsBefore::Create, Target::Named(name)) => {
                if kernel::netns_exists(name) {
                    return Err(EngineError::NetnsExists(name.clone()));
                }
                Ok(None)
            }
            (NetnsBefore::Create, _) => Err(EngineError::NetnsNotNamed(target.clone())),
        }
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
        let derived = || {
            addresses
                .first()
                .map_or(Mac::ours([0; 4]), |a| Mac::for_address(*a))
        };
        let endpoint = Endpoint {
            id,
            network: network.id,
            name: match &request.name {
                Some(name) => name.clone(),
                None => default_name(target)?,
            },
            target: target.clone(),
            ifname: choose_ifname(request, &siblings)?,
            port: plan::port_name(id),
            mac: request.mac.unwrap_or_else(derived),
            addresses,
            publish: request.publish.clone(),
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
            if network.reach == Reach::Outside && network.name != request.network {
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
                [one] => asked_address(subnet, *one)?,
                [one, other, ..] => return Err(EngineError::TwoAddresses(*one, *other)),
            });
        }
        Ok(chosen)
    }

    fn next_address(&mut self, network: &Network, subnet: &Subnet) -> Result<IpAddr, EngineError> {
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
            .oldest_resting(network.id, family)?
            .ok_or_else(full)
    }

    /// Refuses ports that can't be published, before anything is written.
    fn check_ports(
        &mut self,
        request: &AttachRequest,
        network: &Network,
    ) -> Result<(), EngineError> {
        let publish = &request.publish;
        let Some(first) = publish.first() else {
            return Ok(());
        };
        if network.reach == Reach::Internal {
            return Err(EngineError::PublishOnInternal {
                network: network.name.clone(),
                publish: *first,
            });
        }
        for (n, one) in publish.iter().enumerate() {
            if let Some(other) = publish[..n].iter().find(|other| one.overlaps(**other)) {
                return Err(EngineError::PortsOverlap(*other, *one));
            }
        }
        for one in publish {
            let mut families = Family::BOTH.into_iter();
            if !families.any(|f| one.bind().covers(f) && network.subnet(f).is_some()) {
                return Err(EngineError::PublishFamily {
                    network: network.name.clone(),
                    publish: *one,
                });
            }
        }
        self.check_node_sockets(publish)
    }

    /// A port that a process of the node listens on would be taken from it.
    fn check_node_sockets(&mut self, publish: &[Publish]) -> Result<(), EngineError> {
        let mut protos: Vec<_> = publish.iter().map(|p| p.proto()).collect();
        protos.sort();
        protos.dedup();
        for proto in protos {
            let listeners = self.kernel.listeners(proto)?;
            for one in publish.iter().filter(|p| p.proto() == proto) {
                let hit = listeners.iter().find(|l| {
                    let bind = listener_bind(l.address);
                    one.node_ports().contains(l.port) && one.bind().overlaps(bind)
                });
                let Some(listener) = hit else { continue };
                let (address, port) = (listener.address, listener.port);
                let holder = match kernel::socket_owner(listener.inode) {
                    Some((pid, name)) => PortHolder::Process {
                        pid,
                        name,
                        address,
                        port,
                    },
                    None => PortHolder::Socket { address, port },
                };
                return Err(EngineError::PortTaken {
                    publish: *one,
                    holder,
                });
            }
        }
        Ok(())
    }

    /// Makes the endpoint's part of the kernel state. Where the network's part is found missing,
    /// all is reconciled first. A failure takes back what was done.
    fn attach_in_kernel(
        &mut self,
        network: &Network,
        view: &EndpointView,
        netns: Option<NetnsId>,
    ) -> Result<Plan, EngineError> {
        match self.try_attach(network, view, netns) {
            Ok(plan) => Ok(plan),
            Err(error) => {
                self.undo_attach(network, view);
                Err(error)
            }
        }
    }

    fn try_attach(
        &mut self,
        network: &Network,
        view: &EndpointView,
        netns: Option<NetnsId>,
    ) -> Result<Plan, EngineError> {
        let part = self.network_ready(network)?;
        let plan = diff(
            &KernelState::default(),
            &endpoint_part(self.node(), &part, view),
        );
        if self.mode == Mode::DryRun {
            return Ok(plan);
        }
        if let Err(error) = self.apply(&plan) {
            if !ruleset_is_missing(&error) {
                return Err(error);
            }
            self.take_back(network, view);
            self.reconcile_rest()?;
            self.apply(&plan)?;
        }
        let netns = match netns {
            Some(netns) => netns,
            None => self.kernel.identify(&view.endpoint.target)?,
        };
        self.records.set_attached(view.endpoint.id, &netns)?;
        self.crash.pass();
        Ok(plan)
    }

    /// The network with the MTU its bridge has. A bridge that is missing, or not ours, is for
    /// reconcile.
    fn network_ready(&mut self, network: &Network) -> Result<NetworkView, EngineError> {
        let own = self.node();
        let bridge = self.kernel.link(&network.bridge)?;
        let ours = bridge.filter(|link| link.mark().is_some_and(|mark| mark.node == own));
        let mtu = ours.and_then(|link| u16::try_from(link.mtu).ok());
        let mtu = match mtu {
            Some(mtu) => Mtu::try_from(mtu)?,
            None => {
                let facts = self.kernel.facts()?;
                if self.mode == Mode::Apply {
                    self.reconcile_rest()?;
                }
                mtu_now(network, &facts)
            }
        };
        Ok(NetworkView {
            network: network.clone(),
            mtu,
            endpoints: Vec::new(),
        })
    }

    /// Takes back an endpoint that could not be attached. What can't be taken back now stays
    /// recorded as begun, and the next reconcile does it.
    fn undo_attach(&mut self, network: &Network, view: &EndpointView) {
        if self.take_back(network, view) {
            // The first error is the one to report.
            let now = self.settings.now_secs;
            let _ = self.records.delete_endpoint(view.endpoint.id, now);
        }
    }

    /// Removes an endpoint's part from the kernel, whatever there is of it.
    fn take_back(&mut self, network: &Network, view: &EndpointView) -> bool {
        let made = match (view.origin, &view.endpoint.target) {
            (NetnsOrigin::Made, Target::Named(name)) => Some(name.clone()),
            _ => None,
        };
        let plan = self.removal([(&view.endpoint, network)], made);
        self.apply(&plan).is_ok()
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

fn listener_bind(address: IpAddr) -> HostBind {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => HostBind::AnyOf(Family::Ipv4),
        // A socket on [::] takes IPv4 too, unless IPV6_V6ONLY is set (ipv6(7)).
        IpAddr::V6(v6) if v6.is_unspecified() => HostBind::Any,
        one => HostBind::Address(one),
    }
}

/// Whether the firewall's tables are gone: the elements found no set to go to.
fn ruleset_is_missing(error: &EngineError) -> bool {
    let EngineError::Apply(failures) = error else {
        return false;
    };
    let missing = |f: &crate::Failure| f.step.is_nft() && f.error.kind() == ErrorKind::Missing;
    failures.failed.iter().any(missing)
}
