//! One network namespace and what we keep open of it: sockets, and for a target its handle.
//! Everything is opened when it is first needed.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use model::{Family, IfName, Target};
use netstate::{LinkKey, Netns};
use rustix::fs::{Mode, OFlags, Stat, fstat, fstatfs, open};
use rustix::io::Errno;

use crate::error::{KernelError, Listed};
use crate::home::Home;
use crate::netlink::{Message, NetlinkError, Protocol, Socket};
use crate::rtnl;

#[derive(Debug)]
pub struct Namespace {
    netns: Netns,
    /// `None` for the node's own: the calling thread is in it.
    away: Option<Away>,
    route: Option<Socket>,
    netfilter: Option<Socket>,
    sock_diag: Option<Socket>,
    /// Device numbers by name, up to the end of the next plan. The kernel refuses the number of
    /// a device that is gone, and gives out all others before it again (`dev_index_reserve`,
    /// net/core/dev.c).
    indexes: BTreeMap<IfName, u32>,
}

/// A target's namespace, and the way back from it.
#[derive(Debug)]
struct Away {
    target: Target,
    handle: OwnedFd,
    home: Rc<Home>,
}

impl Away {
    fn visit<T>(&self, job: impl FnOnce() -> T) -> Result<T, KernelError> {
        let done = self.home.visit(self.handle.as_fd(), job);
        done.map_err(|source| KernelError::EnterTarget {
            target: self.target.clone(),
            source,
        })
    }
}

impl Namespace {
    pub fn of_node() -> Self {
        Self::new(Netns::Node, None)
    }

    /// # Errors
    /// `TargetMissing`, `TargetNotNetns`, `OpenTarget`.
    pub fn of_target(target: &Target, home: Rc<Home>) -> Result<Self, KernelError> {
        let away = Away {
            target: target.clone(),
            handle: open_target(target)?,
            home,
        };
        Ok(Self::new(Netns::Target(target.clone()), Some(away)))
    }

    fn new(netns: Netns, away: Option<Away>) -> Self {
        Self {
            netns,
            away,
            route: None,
            netfilter: None,
            sock_diag: None,
            indexes: BTreeMap::new(),
        }
    }

    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The handle that netlink messages refer to; `None` for the node's own.
    pub fn handle(&self) -> Option<BorrowedFd<'_>> {
        self.away.as_ref().map(|away| away.handle.as_fd())
    }

    /// Does `job` while the calling thread is in this namespace.
    ///
    /// # Errors
    /// `EnterTarget`.
    pub fn visit<T>(&self, job: impl FnOnce() -> T) -> Result<T, KernelError> {
        match &self.away {
            None => Ok(job()),
            Some(away) => away.visit(job),
        }
    }

    fn socket(&mut self, protocol: Protocol) -> Result<&mut Socket, KernelError> {
        let open = || Socket::open(protocol);
        let kept = match protocol {
            Protocol::Route => &mut self.route,
            Protocol::Netfilter => &mut self.netfilter,
            Protocol::SockDiag => &mut self.sock_diag,
        };
        match kept {
            Some(socket) => Ok(socket),
            None => {
                let opened = match &self.away {
                    None => open(),
                    Some(away) => away.visit(open)?,
                };
                let opened = opened.map_err(|source| KernelError::OpenSocket {
                    netns: self.netns.clone(),
                    source,
                })?;
                Ok(kept.insert(opened))
            }
        }
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
        for family in Family::BOTH {
            let message = rtnl::route::dump(family, protocol);
            let of_family = |kind, payload: &[u8]| {
                rtnl::route::RouteInfo::read(kind, payload)
                    .filter(|route| route.prefix.family() == family)
            };
            all.extend(self.list(Listed::Routes, &message, of_family)?);
        }
        Ok(all)
    }

    pub fn neighbours(
        &mut self,
        family: Family,
    ) -> Result<Vec<rtnl::neighbour::NeighbourInfo>, KernelError> {
        let read = rtnl::neighbour::NeighbourInfo::read;
        self.list(Listed::Neighbours, &rtnl::neighbour::dump(family), read)
    }

    /// The forwarding entries of the VXLAN device with this number; none where it is gone.
    pub fn forwarding(&mut self, index: u32) -> Result<Vec<rtnl::fdb::FdbInfo>, KernelError> {
        let of_device = |kind, payload: &[u8]| {
            rtnl::fdb::FdbInfo::read(kind, payload).filter(|info| info.index == index)
        };
        self.list_forwarding(index, of_device)
    }

    /// The MACs that a bridge was told to be behind its port with this number.
    pub fn behind(&mut self, index: u32) -> Result<Vec<[u8; 6]>, KernelError> {
        self.list_forwarding(index, |kind, payload: &[u8]| {
            rtnl::fdb::read_behind(kind, payload, index)
        })
    }

    fn list_forwarding<T>(
        &mut self,
        index: u32,
        read: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, KernelError> {
        match self.route()?.dump(&rtnl::fdb::dump(index), read) {
            Err(NetlinkError {
                errno: Errno::NODEV,
                ..
            }) => Ok(Vec::new()),
            answer => or_nothing(answer).map_err(Listed::Forwarding.failed(&self.netns)),
        }
    }

    /// The number of a device, asked for once up to the end of a plan.
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
                self.remember_index(name, index);
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

    pub fn remember_index(&mut self, name: &IfName, index: u32) {
        self.indexes.insert(name.clone(), index);
    }

    /// Forgets device numbers: of one name that changes hands, or all behind a plan.
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
