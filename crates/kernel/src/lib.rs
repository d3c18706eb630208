//! The only room that talks to the kernel: netlink, nftables, sysctls, namespaces.
//!
//! It observes and applies; it decides nothing. Synchronous. Device numbers, descriptors and
//! messages stay inside: names and the keys of `netstate` go in and out. `namespace` holds what
//! is open of one network namespace, `apply` does the steps of a plan, `observe` reads what is
//! ours, `facts` what is anybody's, `stack` what a person wants to see.

mod apply;
mod base_chains;
mod error;
mod facts;
mod firewall;
mod flows;
mod foreign;
mod home;
mod legacy;
mod monitor;
mod named;
mod namespace;
mod netlink;
mod nft;
mod observe;
mod rtnl;
mod scratch;
mod shaping;
mod sockets;
mod stack;
mod steps;
mod sysctl;
mod targets;
mod trace;

use std::marker::PhantomData;
use std::net::IpAddr;
use std::rc::Rc;

use model::{BootId, IfName, NetnsId, NodeId, Proto, Target};
use netstate::nft::{Datum, ElementKey};
use netstate::stack::Stack;
use netstate::trace::{ProbeProto, Sighting};
use netstate::{
    Alias, Interest, KernelState, LinkFacts, LinkKey, Listener, Netns, NodeFacts, Plan, SysctlKey,
};
use rustix::io::Errno;
use rustix::process::Signal;

pub use apply::Report;
pub use error::{ErrorKind, KernelError, Listed};
pub use legacy::filters as legacy_filters;
pub use monitor::{Monitor, News};
pub use named::exists as netns_exists;
pub use netlink::NetlinkError;
pub use nft::TransactionError;
pub use nft::{Dropped, dropped};
pub use scratch::in_scratch_namespaces;
pub use sockets::{socket_owner, was_told};
pub use trace::Tracer;
pub use trace::probe::Probe;

use home::Home;
use namespace::Namespace;
use targets::Targets;

/// Ends this process as `kill -9` does, at once and with nothing put in order: for tests of that.
pub fn die() -> ! {
    loop {
        // It can only fail for want of rights over this very process.
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
    }
}

/// The kernel as one node sees it: the network namespace of the thread that opened this, and the
/// targets reached from it. It stays on that thread.
#[derive(Debug)]
pub struct Kernel {
    node: Namespace,
    targets: Targets,
    boot: Option<BootId>,
    /// The node's own cookie, once asked for.
    cookie: Option<u64>,
    /// The way back from targets, once one was opened.
    home: Option<Rc<Home>>,
    /// `/proc/sys/net` is the namespace of the thread that opens it.
    _on_one_thread: PhantomData<*const ()>,
}

impl Kernel {
    /// Opens the calling thread's network namespace as the node.
    ///
    /// # Errors
    /// `OpenSocket`.
    pub fn open() -> Result<Self, KernelError> {
        let mut kernel = Self {
            node: Namespace::of_node(),
            targets: Targets::default(),
            boot: None,
            cookie: None,
            home: None,
            _on_one_thread: PhantomData,
        };
        kernel.node_cookie()?;
        Ok(kernel)
    }

    /// # Errors
    /// `ReadBootId`, `ParseBootId`, `OpenSocket`.
    pub fn node_netns(&mut self) -> Result<NetnsId, KernelError> {
        let cookie = self.node_cookie()?;
        let boot = self.boot()?;
        Ok(NetnsId { boot, cookie })
    }

    /// Which namespace `target` leads to now.
    ///
    /// # Errors
    /// `TargetMissing`, `TargetNotNetns`, `TargetIsNode`, `OpenTarget`, `EnterTarget`, `OpenHome`.
    pub fn identify(&mut self, target: &Target) -> Result<NetnsId, KernelError> {
        self.targets.look_again();
        let cookie = self.target(target)?.cookie()?;
        let boot = self.boot()?;
        Ok(NetnsId { boot, cookie })
    }

    /// Lets go of a target: nothing of this process holds its namespace any longer.
    pub fn forget(&mut self, target: &Target) {
        self.targets.forget(target);
    }

    /// Whether `target` still leads to the namespace `id`; false when it leads nowhere, or to
    /// what is no network namespace.
    ///
    /// # Errors
    /// `OpenTarget`, `EnterTarget`: it is there, but can't be looked at.
    pub fn target_is_alive(&mut self, target: &Target, id: &NetnsId) -> Result<bool, KernelError> {
        match self.identify(target) {
            Ok(now) => Ok(now == *id),
            Err(
                KernelError::TargetMissing(_)
                | KernelError::TargetNotNetns(_)
                | KernelError::TargetIsNode(_),
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What planning needs of the node, foreign things included.
    ///
    /// # Errors
    /// `List`, `OpenSocket`.
    pub fn facts(&mut self) -> Result<NodeFacts, KernelError> {
        facts::facts(&mut self.node)
    }

    /// One device of the node, anybody's.
    ///
    /// # Errors
    /// `ReadLink`, `OpenSocket`.
    pub fn link(&mut self, name: &IfName) -> Result<Option<LinkFacts>, KernelError> {
        facts::link(&mut self.node, name)
    }

    /// Whether there is such a device, anybody's.
    ///
    /// # Errors
    /// `OpenSocket`, and those of [`Kernel::identify`].
    pub fn link_exists(&mut self, key: &LinkKey) -> Result<bool, KernelError> {
        let namespace = self.namespace(&key.netns)?;
        namespace.forget_index(&key.name);
        match namespace.index(&key.name) {
            Ok(_) => Ok(true),
            Err(KernelError::NoSuchLink(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The mark of a named namespace that `node`'s records made, or were about to.
    ///
    /// # Errors
    /// `OpenTarget`, `EnterTarget`, `OpenSocket`, `List`.
    pub fn netns_mark(&mut self, name: &str, node: NodeId) -> Result<Option<Alias>, KernelError> {
        self.targets.look_again();
        observe::namespace_mark(self, name, node)
    }

    /// What is ours: on the node, and in the targets of `interest`. A target that is gone is
    /// absent.
    ///
    /// # Errors
    /// `List`, `OpenSocket`, `ReadSysctl`; `OpenTarget` and `EnterTarget` for a target that is
    /// there.
    pub fn observe(&mut self, interest: &Interest) -> Result<KernelState, KernelError> {
        self.targets.look_again();
        observe::observe(self, interest)
    }

    /// The value of one element of our sets and maps, empty in a set, at the same cost whatever
    /// else is in it; `None` where the element or its set is missing.
    ///
    /// # Errors
    /// `List`, `OpenSocket`.
    pub fn element(&mut self, key: &ElementKey) -> Result<Option<Vec<Datum>>, KernelError> {
        nft::element(self.node.netfilter()?, key).map_err(Listed::Tables.failed(&Netns::Node))
    }

    /// Does the steps of a plan in their order. A step that fails stops only those that need what
    /// it makes. `checkpoint` is called after each step that was done; the nft steps of a plan
    /// that follow each other are one transaction and count as one.
    pub fn apply(&mut self, plan: &Plan, checkpoint: &mut dyn FnMut()) -> Report {
        self.targets.look_again();
        let report = apply::apply(self, &plan.steps, checkpoint);
        self.node.forget_indexes();
        report
    }

    /// Everything of a namespace, for a person: the node's own or a target's.
    ///
    /// # Errors
    /// `List`, `OpenSocket`, and those of [`Kernel::identify`].
    pub fn stack(&mut self, target: Option<&Target>) -> Result<Stack, KernelError> {
        self.targets.look_again();
        let namespace = match target {
            None => &mut self.node,
            Some(target) => self.target(target)?,
        };
        stack::stack(namespace)
    }

    /// The value of a parameter; `None` for one that does not exist.
    ///
    /// # Errors
    /// `ReadSysctl`, and those of [`Kernel::identify`].
    pub fn sysctl(&mut self, key: &SysctlKey) -> Result<Option<String>, KernelError> {
        let namespace = self.namespace(&key.netns)?;
        let read = namespace.visit(|| sysctl::read(key.path()))?;
        read.map_err(|source| KernelError::ReadSysctl {
            key: key.clone(),
            source,
        })
    }

    /// The node's sockets that hold ports of this protocol; none for SCTP.
    ///
    /// # Errors
    /// `List`, `OpenSocket`.
    pub fn listeners(&mut self, proto: Proto) -> Result<Vec<Listener>, KernelError> {
        sockets::listeners(&mut self.node, proto)
    }

    /// A probe to be sent from a namespace.
    ///
    /// # Errors
    /// `OpenProbe`, and those of [`Kernel::identify`].
    pub fn probe(
        &mut self,
        from: &Netns,
        to: IpAddr,
        proto: ProbeProto,
        identifier: u16,
    ) -> Result<Probe, KernelError> {
        Probe::open(self.namespace(from)?, to, proto, identifier)
    }

    /// What was said of a probe in the node's firewall, in its order.
    ///
    /// # Errors
    /// `List`, `OpenSocket`.
    pub fn sightings(&mut self, tracer: Tracer) -> Result<Vec<Sighting>, KernelError> {
        tracer.finish(&mut self.node)
    }

    fn node_cookie(&mut self) -> Result<u64, KernelError> {
        if let Some(cookie) = self.cookie {
            return Ok(cookie);
        }
        let cookie = self.node.cookie()?;
        self.cookie = Some(cookie);
        Ok(cookie)
    }

    fn boot(&mut self) -> Result<BootId, KernelError> {
        if let Some(boot) = &self.boot {
            return Ok(boot.clone());
        }
        let text = sysctl::read("kernel/random/boot_id")
            .and_then(|text| text.ok_or(Errno::NOENT))
            .map_err(|source| KernelError::ReadBootId { source })?;
        let boot: BootId = text
            .parse()
            .map_err(|source| KernelError::ParseBootId { source })?;
        self.boot = Some(boot.clone());
        Ok(boot)
    }

    fn target(&mut self, target: &Target) -> Result<&mut Namespace, KernelError> {
        let node = self.node_cookie()?;
        let home = self.home()?;
        self.targets.open(target, node, home)
    }

    fn home(&mut self) -> Result<Rc<Home>, KernelError> {
        if let Some(home) = &self.home {
            return Ok(Rc::clone(home));
        }
        let home = Home::of_this_thread().map_err(|source| KernelError::OpenHome { source })?;
        Ok(Rc::clone(self.home.insert(Rc::new(home))))
    }

    fn namespace(&mut self, netns: &Netns) -> Result<&mut Namespace, KernelError> {
        match netns {
            Netns::Node => Ok(&mut self.node),
            Netns::Target(target) => self.target(target),
        }
    }
}
