//! What can go wrong between us and the kernel.

use std::path::PathBuf;

use model::{IfName, ParseError, Target};
use netstate::{LinkKey, Netns, Step, SysctlKey};
use rustix::io::Errno;

use crate::netlink::NetlinkError;
use crate::nft::TransactionError;

/// What was tried, on which object, and what the kernel said.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("can't open a netlink socket in {netns}: {source}")]
    OpenSocket { netns: Netns, source: NetlinkError },
    #[error("can't tell which boot this is: {source}")]
    ReadBootId { source: Errno },
    #[error("can't tell which boot this is: {source}")]
    ParseBootId { source: ParseError },
    #[error("{} does not exist", .0.path())]
    TargetMissing(Target),
    #[error("{} is not a network namespace", .0.path())]
    TargetNotNetns(Target),
    #[error("{} is the node's own network namespace", .0.path())]
    TargetIsNode(Target),
    #[error("can't hold on to the node's own network namespace: {source}")]
    OpenHome { source: Errno },
    #[error("can't open {}: {source}", .target.path())]
    OpenTarget { target: Target, source: Errno },
    #[error("can't enter {}: {source}", .target.path())]
    EnterTarget { target: Target, source: Errno },
    #[error("a namespace named {0} exists")]
    NetnsExists(String),
    #[error("can't make {}: {source}", .path.display())]
    MakeNetnsFile { path: PathBuf, source: Errno },
    #[error("can't make a network namespace for {target}: {source}")]
    UnshareNetns { target: Target, source: Errno },
    #[error("can't mark the new namespace {target}: {source}")]
    MarkNetns {
        target: Target,
        source: NetlinkError,
    },
    #[error("can't mount on {}: {source}", .path.display())]
    MountNetns { path: PathBuf, source: Errno },
    #[error("can't remove {}: {source}", .path.display())]
    RemoveNetns { path: PathBuf, source: Errno },
    #[error("can't read the {listed} of {netns}: {source}")]
    List {
        listed: Listed,
        netns: Netns,
        source: NetlinkError,
    },
    #[error("can't read the device {name}: {source}")]
    ReadLink { name: IfName, source: NetlinkError },
    #[error("can't make namespaces to try things in: {source}")]
    MakeScratch { source: Errno },
    #[error("a trial in namespaces of its own ended before its time")]
    ScratchEnded,
    #[error("can't open a socket for a probe in {netns}: {source}")]
    OpenProbe { netns: Netns, source: Errno },
    #[error("can't install the table that traces packets: {source}")]
    InstallTrace { source: NetlinkError },
    #[error("a device named {} exists in {}", .0.name, .0.netns)]
    LinkExists(LinkKey),
    #[error("there is no device {} in {}", .0.name, .0.netns)]
    NoSuchLink(LinkKey),
    #[error("can't read {key}: {source}")]
    ReadSysctl { key: SysctlKey, source: Errno },
    #[error("`{step}` failed: {source}")]
    Step {
        step: Box<Step>,
        source: NetlinkError,
    },
    /// The nft transaction of several steps, where no one step was refused.
    #[error("{source}")]
    Transaction {
        #[from]
        source: TransactionError,
    },
    /// The step could not be tried.
    #[error("`{step}` failed: {source}")]
    StepPlace {
        step: Box<Step>,
        source: Box<KernelError>,
    },
}

/// What was being listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    Devices,
    Addresses,
    Routes,
    Neighbours,
    Forwarding,
    Queues,
    Sockets,
    Chains,
    Tables,
    NamespaceNumbers,
    Changes,
    Reports,
}

impl std::fmt::Display for Listed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Devices => "devices",
            Self::Addresses => "addresses",
            Self::Routes => "routes",
            Self::Neighbours => "neighbours",
            Self::Forwarding => "forwarding entries",
            Self::Queues => "queues",
            Self::Sockets => "sockets",
            Self::Chains => "firewall chains",
            Self::Tables => "firewall tables",
            Self::NamespaceNumbers => "namespace numbers",
            Self::Changes => "changes",
            Self::Reports => "reports of traced packets",
        })
    }
}

/// What kind of no it was, where a caller can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not root, or not root enough.
    Permission,
    Exists,
    /// The device or the target is not there.
    Missing,
    /// The kernel's memory or one of its tables is full.
    NoSpace,
    /// The bridge has as many ports as the kernel gives it (`BR_MAX_PORTS`,
    /// net/bridge/br_private.h).
    BridgeFull,
    Other,
}

impl KernelError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::LinkExists(_) | Self::NetnsExists(_) => ErrorKind::Exists,
            Self::TargetMissing(_) | Self::NoSuchLink(_) => ErrorKind::Missing,
            Self::StepPlace { source, .. } => source.kind(),
            _ => self.errno().map_or(ErrorKind::Other, kind_of),
        }
    }

    pub fn is_permission(&self) -> bool {
        self.kind() == ErrorKind::Permission
    }

    fn errno(&self) -> Option<Errno> {
        match self {
            Self::OpenSocket { source, .. }
            | Self::List { source, .. }
            | Self::ReadLink { source, .. }
            | Self::MarkNetns { source, .. }
            | Self::InstallTrace { source }
            | Self::Step { source, .. } => Some(source.errno),
            Self::Transaction {
                source:
                    TransactionError::DoStep { source, .. }
                    | TransactionError::Commit { source }
                    | TransactionError::ReadSet { source },
            } => Some(source.errno),
            Self::ReadBootId { source }
            | Self::OpenHome { source }
            | Self::OpenProbe { source, .. }
            | Self::OpenTarget { source, .. }
            | Self::EnterTarget { source, .. }
            | Self::MakeNetnsFile { source, .. }
            | Self::UnshareNetns { source, .. }
            | Self::MountNetns { source, .. }
            | Self::RemoveNetns { source, .. }
            | Self::MakeScratch { source }
            | Self::ReadSysctl { source, .. } => Some(*source),
            Self::ParseBootId { .. }
            | Self::TargetMissing(_)
            | Self::TargetNotNetns(_)
            | Self::TargetIsNode(_)
            | Self::ScratchEnded
            | Self::NetnsExists(_)
            | Self::LinkExists(_)
            | Self::NoSuchLink(_)
            | Self::Transaction {
                source: TransactionError::WriteStep { .. },
            }
            | Self::StepPlace { .. } => None,
        }
    }
}

fn kind_of(errno: Errno) -> ErrorKind {
    match errno {
        Errno::PERM | Errno::ACCESS => ErrorKind::Permission,
        Errno::EXIST => ErrorKind::Exists,
        Errno::NODEV | Errno::NOENT | Errno::NXIO => ErrorKind::Missing,
        Errno::NOSPC | Errno::NOMEM | Errno::NOBUFS => ErrorKind::NoSpace,
        Errno::XFULL => ErrorKind::BridgeFull,
        _ => ErrorKind::Other,
    }
}

impl Listed {
    /// The error of a listing that failed.
    pub(crate) fn failed(self, netns: &Netns) -> impl FnOnce(NetlinkError) -> KernelError {
        let netns = netns.clone();
        move |source| KernelError::List {
            listed: self,
            netns,
            source,
        }
    }
}
