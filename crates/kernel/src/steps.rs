//! One step of a plan: the requests that do it.

use std::collections::BTreeSet;

use model::{IfName, Target};
use netstate::{
    AddressKey, Alias, Link, LinkChange, LinkKey, Netns, Route, RouteKey, Step, SysctlKey,
};
use rustix::io::Errno;

use crate::error::KernelError;
use crate::namespace::Namespace;
use crate::netlink::{Message, NetlinkError};
use crate::{Kernel, firewall, flows, named, rtnl, sysctl};

/// Requests in one write: their answers must fit the socket's receive buffer.
const BATCH_MAX: usize = 64;

/// Why a step failed, before the step's own text is put in front.
pub(crate) enum Failure {
    Kernel(NetlinkError),
    Place(KernelError),
}

impl From<NetlinkError> for Failure {
    fn from(error: NetlinkError) -> Self {
        Self::Kernel(error)
    }
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        Self::Place(error)
    }
}

/// A removal of what is not there has been done.
fn unless_gone(result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(Failure::Kernel(NetlinkError {
            errno: Errno::NOENT | Errno::NODEV | Errno::ADDRNOTAVAIL | Errno::SRCH,
            ..
        }))
        | Err(Failure::Place(
            KernelError::TargetMissing(_)
            | KernelError::TargetNotNetns(_)
            | KernelError::NoSuchLink(_),
        )) => Ok(()),
        result => result,
    }
}

/// The group of devices that are being removed ("pont"; people's groups are small numbers). It is
/// the same for all processes: while the kernel holds its lock for one removal, others queue up,
/// put their devices in, and the first of them to go on removes all in one grace period.
pub(crate) const DOOMED: u32 = 0x706f_6e74;

/// The group of devices that were made and not yet marked ("ponu"): the kernel takes a mark only
/// for a device that exists, and a process may be killed between the two.
pub(crate) const NEWBORN: u32 = 0x706f_6e75;

impl Kernel {
    /// Does one step.
    pub(crate) fn step(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::AddNetns(name, mark) => self.add_netns(name, mark),
            Step::DelNetns(name) => {
                self.forget(&Target::Named(name.clone()));
                Ok(named::del(name)?)
            }
            Step::AddLink(key, link) => self.add_link(key, link),
            Step::DelLink(key) => unless_gone(self.del_link(key)),
            Step::SetLink(key, change) => self.set_link(key, change),
            Step::SetSysctl(key, value) => self.set_sysctl(key, value),
            Step::AddAddress(key) => self.add_address(key),
            Step::DelAddress(key) => unless_gone(self.del_address(key)),
            Step::AddNeighbour(key, mac) => {
                self.on_device(&key.dev, |index| rtnl::neighbour::set(key, *mac, index))
            }
            Step::DelNeighbour(key) => {
                unless_gone(self.on_device(&key.dev, |index| rtnl::neighbour::del(key, index)))
            }
            Step::AddFdb(key, remote) => {
                self.on_device(&key.dev, |index| rtnl::fdb::set(key, *remote, index))
            }
            Step::DelFdb(key) => {
                unless_gone(self.on_device(&key.dev, |index| rtnl::fdb::del(key, index)))
            }
            Step::AddFlood(key) => {
                self.on_device(&key.dev, |index| rtnl::fdb::add_flood(key, index))
            }
            Step::DelFlood(key) => {
                unless_gone(self.on_device(&key.dev, |index| rtnl::fdb::del_flood(key, index)))
            }
            Step::AddPortFdb(key) => {
                self.on_device(&key.port, |index| rtnl::fdb::set_behind(key, index))
            }
            Step::DelPortFdb(key) => {
                unless_gone(self.on_device(&key.port, |index| rtnl::fdb::del_behind(key, index)))
            }
            Step::SetRoute(key, route) => self.set_route(key, route),
            Step::DelRoute(key) => unless_gone(self.request(&key.netns, rtnl::route::del(key))),
            Step::SetQueue(dev, queue) => {
                self.on_device(dev, |index| rtnl::shaping::set_queue(queue, index))
            }
            Step::DelQueue(dev) => unless_gone(self.on_device(dev, rtnl::shaping::del_queue)),
            Step::AddDetour(dev, through) => self.add_detour(dev, through),
            Step::DelDetour(dev) => unless_gone(self.on_device(dev, rtnl::shaping::del_detour)),
            Step::ForgetFlows(address) => Ok(flows::forget(self.node.netfilter()?, *address)?),
            Step::ForgetEarlyFlows(at) => {
                let addresses = self.node.addresses()?.into_iter();
                let local = addresses.map(|info| info.address).collect();
                Ok(flows::forget_early(self.node.netfilter()?, at, &local)?)
            }
            nft => firewall::transaction(&mut self.node, std::slice::from_ref(nft))
                .map_err(|(_, failure)| failure),
        }
    }

    fn request(&mut self, netns: &Netns, message: Message) -> Result<(), Failure> {
        Ok(self.namespace(netns)?.route()?.request(message)?)
    }

    /// A request about what is on a device of the node.
    fn on_device(
        &mut self,
        dev: &IfName,
        message: impl FnOnce(u32) -> Message,
    ) -> Result<(), Failure> {
        let index = self.node.index(dev)?;
        Ok(self.node.route()?.request(message(index))?)
    }

    fn add_netns(&mut self, name: &str, mark: &Alias) -> Result<(), Failure> {
        let target = Target::Named(name.to_owned());
        self.forget(&target);
        let namespace = named::add(name, mark, self.home()?)?;
        self.targets.insert(&target, namespace);
        Ok(())
    }

    fn add_link(&mut self, key: &LinkKey, link: &Link) -> Result<(), Failure> {
        let master = match link.master() {
            Some(name) => Some(self.node.index(name)?),
            None => None,
        };
        let inside = match link.peer().map(|peer| (&peer.at.netns, &peer.at.name)) {
            Some((Netns::Target(target), name)) => {
                self.target(target)?.forget_index(name);
                self.targets.get(target)
            }
            Some((Netns::Node, _)) | None => None,
        };
        let target = inside.and_then(Namespace::handle);
        let refers = rtnl::link::Refers { master, target };
        let create = rtnl::link::add(&key.name, link, &refers, NEWBORN);
        self.node.forget_index(&key.name);
        let socket = self.node.route()?;
        match socket.request(create) {
            Err(error) if error.errno == Errno::EXIST => {
                return Err(self.taken(key, link).unwrap_or(error.into()));
            }
            made => made?,
        }
        if let Err(error) = socket.request(rtnl::link::finish(&key.name, link)) {
            socket.request(rtnl::link::del(&key.name))?;
            return Err(error.into());
        }
        Ok(())
    }

    /// Whose name it is that exists: of a pair either may. `None` where it is no name: another
    /// device has the VNI.
    fn taken(&mut self, key: &LinkKey, link: &Link) -> Option<Failure> {
        let on_node = self.node.index(&key.name).is_ok();
        let taken = if on_node { key } else { &link.peer()?.at };
        Some(KernelError::LinkExists(taken.clone()).into())
    }

    fn del_link(&mut self, key: &LinkKey) -> Result<(), Failure> {
        let namespace = self.namespace(&key.netns)?;
        namespace.forget_index(&key.name);
        Ok(namespace.route()?.request(rtnl::link::del(&key.name))?)
    }

    /// Removes devices of the node in one go, and with them what other processes have given up
    /// meanwhile. Answers which of them are gone.
    ///
    /// The last part and the removal are one write, which a signal can't come between: no device
    /// stays doomed that its process still wants. The parts before it, of more than `BATCH_MAX`
    /// devices, are what a killed process would leave to the next removal.
    pub(crate) fn del_together(
        &mut self,
        links: &[(usize, IfName)],
    ) -> Result<BTreeSet<usize>, Failure> {
        let mut gone = BTreeSet::new();
        for (_, name) in links {
            self.node.forget_index(name);
        }
        let socket = self.node.route()?;
        let mut parts = links.chunks(BATCH_MAX).peekable();
        while let Some(part) = parts.next() {
            let doom = |(_, name): &(usize, IfName)| rtnl::link::set_group(name, DOOMED);
            let mut messages: Vec<Message> = part.iter().map(doom).collect();
            if parts.peek().is_none() {
                messages.push(rtnl::link::del_group(DOOMED));
            }
            let refused = socket.batch(messages, |_| true)?;
            gone.extend(part.iter().map(|(index, _)| *index));
            for (place, error) in refused {
                match part.get(place) {
                    _ if error.errno == Errno::NODEV => {}
                    Some((index, _)) => drop(gone.remove(index)),
                    None => return Err(error.into()),
                }
            }
        }
        Ok(gone)
    }

    fn set_link(&mut self, key: &LinkKey, change: &LinkChange) -> Result<(), Failure> {
        let name = &key.name;
        let message = match change {
            LinkChange::Up => rtnl::link::set_up(name),
            LinkChange::Mac(mac) => rtnl::link::set_mac(name, *mac),
            LinkChange::Mtu(mtu) => rtnl::link::set_mtu(name, *mtu),
            LinkChange::Alias(alias) => rtnl::link::set_alias(name, alias),
            LinkChange::Master(None) => rtnl::link::set_master(name, 0),
            LinkChange::Master(Some(master)) => {
                let index = self.namespace(&key.netns)?.index(master)?;
                rtnl::link::set_master(name, index)
            }
            LinkChange::Hairpin(on) => rtnl::link::set_hairpin(name, *on),
            LinkChange::Suppress(on) => rtnl::link::set_suppress(name, *on),
        };
        self.request(&key.netns, message)
    }

    fn set_sysctl(&mut self, key: &SysctlKey, value: &str) -> Result<(), Failure> {
        let namespace = self.namespace(&key.netns)?;
        let written = namespace.visit(|| sysctl::write(key.path(), value))?;
        Ok(written.map_err(NetlinkError::from)?)
    }

    fn add_address(&mut self, key: &AddressKey) -> Result<(), Failure> {
        let namespace = self.namespace(&key.link.netns)?;
        let index = namespace.index(&key.link.name)?;
        match namespace.route()?.request(rtnl::address::add(key, index)) {
            Err(error) if error.errno == Errno::EXIST => Ok(()),
            result => Ok(result?),
        }
    }

    fn del_address(&mut self, key: &AddressKey) -> Result<(), Failure> {
        let namespace = self.namespace(&key.link.netns)?;
        let index = namespace.index(&key.link.name)?;
        Ok(namespace.route()?.request(rtnl::address::del(key, index))?)
    }

    fn set_route(&mut self, key: &RouteKey, route: &Route) -> Result<(), Failure> {
        let namespace = self.namespace(&key.netns)?;
        let message = match route {
            Route::Leads(way) => rtnl::route::set(key, way, namespace.index(&way.dev)?),
            Route::Unreachable => rtnl::route::set_unreachable(key),
        };
        Ok(namespace.route()?.request(message)?)
    }
}
