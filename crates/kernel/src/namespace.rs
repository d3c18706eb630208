//! One network namespace and what we keep open of it: sockets, and for a target its handle and
//! a thread inside. Everything is opened when it is first needed.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use model::{IfName, Target};
use netstate::{LinkKey, Netns};
use rustix::fs::{Mode, OFlags, Stat, fstat, fstatfs, open};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{KernelError, Listed};
use crate::netlink::{Message, NetlinkError, Protocol, Socket};
use crate::rtnl;
use crate::worker::Worker;

#[derive(Debug)]
pub struct Namespace {
    netns: Netns,
    /// `None` for the node's own: the calling thread is in it.
    inside: Option<Inside>,
    route: Option<Socket>,
    netfilter: Option<Socket>,
    sock_diag: Option<Socket>,
    /// Device numbers by name, for the time of one plan.
    indexes: BTreeMap<IfName, u32>,
}

/// What holds a target's namespace.
#[derive(Debug)]
struct Inside {
    handle: OwnedFd,
    worker: Worker,
}

impl Namespace {
    pub fn of_node() -> Self {
        Self::new(Netns::Node, None)
    }

    /// # Errors
    /// `TargetMissing`, `TargetNotNetns`, `OpenTarget`, `StartThread`, `EnterTarget`.
    pub fn of_target(target: &Target) -> Result<Self, KernelError> {
        let handle = open_target(target)?;
        let worker = start_worker(target)?;
        Self::enter(target, handle, worker)
    }

    /// A target whose worker is in its namespace already.
    pub fn of_new_target(target: &Target, worker: Worker) -> Result<Self, KernelError> {
        let handle = open_target(target)?;
        let inside = Inside { handle, worker };
        Ok(Self::new(Netns::Target(target.clone()), Some(inside)))
    }

    fn new(netns: Netns, inside: Option<Inside>) -> Self {
        Self {
            netns,
            inside,
            route: None,
            netfilter: None,
            sock_diag: None,
            indexes: BTreeMap::new(),
        }
    }

    fn enter(target: &Target, handle: OwnedFd, worker: Worker) -> Result<Self, KernelError> {
        let netns = Netns::Target(target.clone());
        let failed = |source: Errno| KernelError::EnterTarget {
            target: target.clone(),
            source,
        };
        let door = rustix::io::fcntl_dupfd_cloexec(&handle, 0).map_err(failed)?;
        let enter =
            move || move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network));
        worker
            .run(enter)
            .map_err(|_| KernelError::ThreadEnded {
                netns: netns.clone(),
            })?
            .map_err(failed)?;
        Ok(Self::new(netns, Some(Inside { handle, worker })))
    }

    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The handle that netlink messages refer to; `None` for the node's own.
    pub fn handle(&self) -> Option<BorrowedFd<'_>> {
        self.inside.as_ref().map(|inside| inside.handle.as_fd())
    }

    /// Does `job` on a thread that is in this namespace.
    ///
    /// # Errors
    /// `ThreadEnded`.
    pub fn visit<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, KernelError> {
        match &self.inside {
            None => Ok(job()),
            Some(inside) => inside
                .worker
                .run(job)
                .map_err(|_| KernelError::ThreadEnded {
                    netns: self.netns.clone(),
                }),
        }
    }

    fn socket(&mut self, protocol: Protocol) -> Result<&mut Socket, KernelError> {
        let is_open = match protocol {
            Protocol::Route => self.route.is_some(),
            Protocol::Netfilter => self.netfilter.is_some(),
            Protocol::SockDiag => self.sock_diag.is_some(),
        };
        let opened = if is_open {
            None
        } else {
            let failed = |source| KernelError::OpenSocket {
                netns: self.netns.clone(),
                source,
            };
            Some(
                self.visit(move || Socket::open(protocol))?
                    .map_err(failed)?,
            )
        };
        let kept = match protocol {
            Protocol::Route => &mut self.route,
            Protocol::Netfilter => &mut self.netfilter,
            Protocol::SockDiag => &mut self.sock_diag,
        };
        if opened.is_some() {
            *kept = opened;
        }
        kept.as_mut().ok_or_else(|| KernelError::ThreadEnded {
            netns: self.netns.clone(),
        })
    }

    pub fn route(&mut self) -> Result<&mut Socket, KernelError> {
        self.socket(Protocol::Route)
    }

    pub fn netfilter(&mut self) -> Result<&mut Socket, KernelError> {
        self.socket(Protocol::Netfilter)
    }

    pub fn sock_diag(&mut self) -> Result<&mut Socket, KernelError> {
        self.socket(Protocol::SockDiag)
    }

    /// The kernel's own number for this namespace, never given out twice in a boot.
    ///
    /// # Errors
    /// `OpenSocket`.
    pub fn cookie(&mut self) -> Result<u64, KernelError> {
        let netns = self.netns.clone();
        let cookie = self.route()?.netns_cookie();
        cookie.map_err(|source| KernelError::OpenSocket { netns, source })
    }

    /// Lists with rtnetlink.
    ///
    /// # Errors
    /// `List`, `OpenSocket`. A family that the kernel does not have lists nothing.
    pub fn list<T>(
        &mut self,
        listed: Listed,
        message: &Message,
        read: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, KernelError> {
        let answer = self.route()?.dump(message, read);
        or_nothing(answer).map_err(listed.failed(&self.netns))
    }

    pub fn links(&mut self) -> Result<Vec<rtnl::link_read::LinkInfo>, KernelError> {
        let read = rtnl::link_read::LinkInfo::read;
        self.list(Listed::Devices, &rtnl::link::dump(), read)
    }

    /// The loopback device, which every namespace has.
    ///
    /// # Errors
    /// `List`, `OpenSocket`.
    pub fn loopback(&mut self) -> Result<Option<rtnl::link_read::LinkInfo>, KernelError> {
        let read = rtnl::link_read::LinkInfo::read;
        let answer = self.route()?.get(rtnl::link::get_loopback(), read);
        answer.map_err(Listed::Devices.failed(&self.netns))
    }

    pub fn addresses(&mut self) -> Result<Vec<rtnl::address::AddressInfo>, KernelError> {
        let read = rtnl::address::AddressInfo::read;
        self.list(Listed::Addresses, &rtnl::address::dump(), read)
    }

    /// Routes of both families; of one protocol where it is given (0: of any).
    pub fn routes(&mut self, protocol: u8) -> Result<Vec<rtnl::route::RouteInfo>, KernelError> {
        let mut all = Vec::new();
        for family in model::Family::BOTH {
            let message = rtnl::route::dump(family, protocol);
            let of_family = |kind, payload: &[u8]| {
                rtnl::route::RouteInfo::read(kind, payload)
                    .filter(|route| route.prefix.family() == family)
            };
            all.extend(self.list(Listed::Routes, &message, of_family)?);
        }
        Ok(all)
    }

    /// The number of a device, asked for once in a plan.
    ///
    /// # Errors
    /// `NoSuchLink`, `ReadLink`, `OpenSocket`.
    pub fn index(&mut self, name: &IfName) -> Result<u32, KernelError> {
        if let Some(index) = self.indexes.get(name) {
            return Ok(*index);
        }
        let missing = LinkKey {
            netns: self.netns.clone(),
            name: name.clone(),
        };
        let answer = self
            .route()?
            .get(rtnl::link::get(name), rtnl::link_read::read_index);
        match answer {
            Ok(Some(index)) => {
                self.indexes.insert(name.clone(), index);
                Ok(index)
            }
            Ok(None)
            | Err(NetlinkError {
                errno: Errno::NODEV,
                ..
            }) => Err(KernelError::NoSuchLink(missing)),
            Err(source) => Err(KernelError::ReadLink {
                name: name.clone(),
                source,
            }),
        }
    }

    /// Forgets device numbers: of one name that changes hands, or all before a new plan.
    pub fn forget_index(&mut self, name: &IfName) {
        self.indexes.remove(name);
    }

    pub fn forget_indexes(&mut self) {
        self.indexes.clear();
    }

    /// Whether the file `target` leads to this namespace.
    pub fn is_at(&self, target: &Target) -> Result<bool, KernelError> {
        let Some(handle) = self.handle() else {
            return Ok(false);
        };
        let failed = |source| KernelError::OpenTarget {
            target: target.clone(),
            source,
        };
        let file = find_target(target)?;
        let same = |a: &Stat, b: &Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
        Ok(same(
            &fstat(handle).map_err(failed)?,
            &fstat(&file).map_err(failed)?,
        ))
    }
}

/// A family or subsystem that is not in this kernel holds nothing.
pub fn or_nothing<T>(answer: Result<Vec<T>, NetlinkError>) -> Result<Vec<T>, NetlinkError> {
    match answer {
        Err(NetlinkError {
            errno: Errno::OPNOTSUPP | Errno::AFNOSUPPORT,
            ..
        }) => Ok(Vec::new()),
        answer => answer,
    }
}

pub fn start_worker(target: &Target) -> Result<Worker, KernelError> {
    Worker::start().map_err(|source| KernelError::StartThread {
        target: target.clone(),
        source,
    })
}

/// Finds the file of a target without opening what it may lead to: opening a device or a pipe
/// has effects. Answers a path-only descriptor of a namespace file of some kind.
fn find_target(target: &Target) -> Result<OwnedFd, KernelError> {
    let failed = |source| match source {
        Errno::NOENT | Errno::NOTDIR | Errno::SRCH | Errno::LOOP => {
            KernelError::TargetMissing(target.clone())
        }
        source => KernelError::OpenTarget {
            target: target.clone(),
            source,
        },
    };
    let found =
        open(target.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let filesystem = fstatfs(&found).map_err(failed)?;
    if filesystem.f_type as libc::c_long != libc::NSFS_MAGIC as libc::c_long {
        return Err(KernelError::TargetNotNetns(target.clone()));
    }
    Ok(found)
}

/// A handle of the namespace at `target`.
fn open_target(target: &Target) -> Result<OwnedFd, KernelError> {
    use std::os::fd::AsRawFd;
    let found = find_target(target)?;
    let failed = |source| KernelError::OpenTarget {
        target: target.clone(),
        source,
    };
    let same_file = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let handle = open(same_file, flags, Mode::empty()).map_err(failed)?;
    if !is_netns(&handle) {
        return Err(KernelError::TargetNotNetns(target.clone()));
    }
    Ok(handle)
}

/// Whether a namespace file is a network namespace's (`NS_GET_NSTYPE`, ioctl_ns(2)).
#[allow(unsafe_code)]
fn is_netns(handle: &OwnedFd) -> bool {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open, and this request takes no argument.
    let kind = unsafe { libc::ioctl(handle.as_raw_fd(), libc::NS_GET_NSTYPE) };
    kind == libc::CLONE_NEWNET
}
