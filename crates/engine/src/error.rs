//! Why a call failed: what was tried, on which object, who stands in the way.

use std::net::IpAddr;
use std::path::PathBuf;

use fastpath::FastPathError;
use kernel::{ErrorKind, KernelError};
use model::{
    AddressRange, Backend, ContainerId, EndpointName, Family, IfName, Mac, NetworkName, NodeId,
    NodeName, ParseError, Prefix, Publish, Target,
};
use netstate::Step;
use store::StoreError;

use crate::Difference;

/// Everything that a call of the engine can fail with.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("there is no network {0}")]
    NetworkMissing(NetworkName),
    #[error("there is a network {0} already")]
    NetworkExists(NetworkName),
    #[error(
        "network {name} is there with {other} other than configured; 'pontoon network show {name}' shows it"
    )]
    NetworkDiffers {
        name: NetworkName,
        other: Difference,
    },
    #[error("the cluster has no node {0}")]
    NotAMember(NodeName),
    #[error(
        "node {node} has no device with its underlay address {}",
        addresses.first().map_or("(none given)".to_owned(), ToString::to_string)
    )]
    UnderlayMissing {
        node: NodeName,
        addresses: Vec<IpAddr>,
    },
    #[error(
        "this kernel can't carry {backend} over {underlay}: {source}\ninstall its modules (sit over IPv4, ip6_tunnel over IPv6), or take another backend"
    )]
    BackendMissing {
        backend: Backend,
        underlay: Family,
        source: KernelError,
    },
    #[error(
        "{mac} can't be the MAC of {address}: in a stretched network it is {made}, by which the other nodes know whose it is"
    )]
    MacOfStretched {
        mac: Mac,
        address: IpAddr,
        made: Mac,
    },
    #[error(
        "network {0} has no names, so that an endpoint on it has no aliases; 'pontoon names on {0}' gives it names"
    )]
    NamesOff(NetworkName),
    #[error(
        "network {0} is the whole cluster's, and so are its names: 'pontoon names on {0}' or 'off', with --cluster, changes them on every node"
    )]
    NamesOfTheCluster(NetworkName),
    #[error("network {name} still has {endpoints} endpoint(s); detach them first")]
    NetworkInUse { name: NetworkName, endpoints: u32 },
    #[error("subnet {subnet} overlaps {holder}")]
    SubnetTaken { subnet: Prefix, holder: Holder },
    #[error("{0} is the name of a device that is not ours; choose another bridge name")]
    BridgeTaken(IfName),
    #[error("{0} can't be a bridge's name: ports are called so; choose another")]
    BridgeReserved(IfName),
    #[error("{bridge} is the bridge of network {network}")]
    BridgeOfNetwork {
        bridge: IfName,
        network: NetworkName,
    },
    #[error("{target} is not attached to {}", network.as_ref().map_or("any network".to_owned(), |n| format!("network {n}")))]
    EndpointMissing {
        target: Target,
        network: Option<NetworkName>,
    },
    #[error("no endpoint is called {name}{}", network.as_ref().map(|n| format!(" on network {n}")).unwrap_or_default())]
    EndpointUnnamed {
        name: EndpointName,
        network: Option<NetworkName>,
    },
    #[error("{name} is on network {} and on network {}; say which", networks[0], networks[1])]
    EndpointOnSeveral {
        name: EndpointName,
        networks: [NetworkName; 2],
    },
    #[error("endpoint {0} has no address of a family that the sender has")]
    NoCommonFamily(EndpointName),
    #[error("the namespace of {0} is gone, or another one has its name")]
    NetnsGone(Target),
    #[error("container {container} has no endpoint {ifname}")]
    ContainerMissing {
        container: ContainerId,
        ifname: IfName,
    },
    #[error("{target} is still attached to network {network}; its namespace can't be deleted")]
    StillAttached {
        target: Target,
        network: NetworkName,
    },
    #[error("the namespace {0} exists already; attach it without --create")]
    NetnsExists(String),
    #[error("only a namespace with a name can be created or deleted, not {0}")]
    NetnsNotNamed(Target),
    #[error("{target} has an interface {ifname} already; choose another with --ifname")]
    IfNameTaken { target: Target, ifname: IfName },
    #[error("{address} is in no subnet of network {network}")]
    AddressOutside {
        address: IpAddr,
        network: NetworkName,
    },
    #[error("{address} can't be an endpoint's address: it is the gateway, or an end of {subnet}")]
    AddressReserved { address: IpAddr, subnet: Prefix },
    #[error("two addresses of one family, {0} and {1}; an endpoint has one for each subnet")]
    TwoAddresses(IpAddr, IpAddr),
    #[error("two ranges of one subnet, {0} and {1}; it gives out one")]
    TwoRanges(AddressRange, AddressRange),
    #[error("every address of {0} is taken")]
    SubnetFull(Prefix),
    #[error(
        "network {0} is full: the kernel gives a bridge 1023 ports; create another network for more"
    )]
    BridgeFull(NetworkName),
    #[error("port {publish} is taken by {holder}")]
    PortTaken {
        publish: Publish,
        holder: PortHolder,
    },
    #[error("two of the ports asked for overlap: {0} and {1}")]
    PortsOverlap(Publish, Publish),
    #[error("network {network} is internal: port {publish} can't be published")]
    PublishOnInternal {
        network: NetworkName,
        publish: Publish,
    },
    #[error(
        "port {publish} can't be published: {target} sends its answers by network {network}, whose default route it uses; publish it there"
    )]
    PublishBehind {
        publish: Publish,
        target: Target,
        network: NetworkName,
    },
    #[error("port {publish} needs an address family that network {network} has not")]
    PublishFamily {
        network: NetworkName,
        publish: Publish,
    },
    #[error(
        "the records in {state_dir} belong to another network namespace of this boot; use another --state-dir for this one"
    )]
    OtherNamespace { state_dir: PathBuf },
    #[error(
        "this network namespace is run from other records (node {owner}, these are {own}); use their --state-dir, or where they are lost, take over with 'pontoon reconcile --take-over'"
    )]
    OtherRecords { owner: NodeId, own: NodeId },
    #[error("there is an nft table 'pontoon' that is not ours (family {0}); remove or rename it")]
    TableTaken(netstate::nft::NftFamily),
    #[error(transparent)]
    Word(#[from] ParseError),
    #[error(transparent)]
    Pool(#[from] ipam::PoolError),
    #[error(transparent)]
    Records(#[from] StoreError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    FastPath(#[from] FastPathError),
    #[error("{0}")]
    Apply(Failures),
}

/// Who has a prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Holder {
    #[error("{prefix} of network {network}")]
    Network {
        network: NetworkName,
        prefix: Prefix,
    },
    #[error("the address {address} of {device}")]
    Address { address: IpAddr, device: IfName },
    #[error("the route to {prefix}{}", device.as_ref().map(|d| format!(" by {d}")).unwrap_or_default())]
    Route {
        prefix: Prefix,
        device: Option<IfName>,
    },
    #[error("{0}, asked for in the same call")]
    SameCall(Prefix),
}

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortHolder {
    #[error("process {pid} ({name}) of the node, which listens on {address}:{port}")]
    Process {
        pid: u32,
        name: String,
        address: IpAddr,
        port: u16,
    },
    #[error("a socket of the node, which listens on {address}:{port}")]
    Socket { address: IpAddr, port: u16 },
}

/// A step that failed.
#[derive(Debug)]
pub struct Failure {
    pub step: Step,
    pub error: KernelError,
}

/// The steps that failed and how many were not tried because of them.
#[derive(Debug)]
pub struct Failures {
    pub failed: Vec<Failure>,
    pub skipped: usize,
}

impl std::fmt::Display for Failures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, Failure { step, error }) in self.failed.iter().enumerate() {
            let end = if n == 0 { "" } else { "\n" };
            match error {
                // These name the step themselves.
                KernelError::Step { .. } | KernelError::StepPlace { .. } => {
                    write!(f, "{end}{error}")?;
                }
                error => write!(f, "{end}`{step}` failed: {error}")?,
            }
        }
        if self.skipped > 0 {
            write!(f, "\n{} step(s) that need it were not tried", self.skipped)?;
        }
        Ok(())
    }
}

/// What kind of trouble an error is, for exit codes and hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    Usage,
    /// Something named does not exist.
    Missing,
    /// Somebody has it, or something is still in use.
    Taken,
    /// Nothing is free.
    Exhausted,
    Permission,
    /// Another process is at it.
    Busy,
    /// The records can't be read or written.
    Records,
    /// The kernel refused.
    Kernel,
    Other,
}

impl EngineError {
    /// Whether another endpoint of the network has the name that was asked for.
    pub fn is_name_taken(&self) -> bool {
        matches!(self, Self::Records(StoreError::NameTaken { .. }))
    }

    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NetworkMissing(_)
            | Self::EndpointMissing { .. }
            | Self::EndpointUnnamed { .. }
            | Self::NetnsGone(_)
            | Self::NotAMember(_)
            | Self::UnderlayMissing { .. }
            | Self::ContainerMissing { .. } => ErrorClass::Missing,
            Self::NetworkExists(_)
            | Self::NetworkDiffers { .. }
            | Self::NetworkInUse { .. }
            | Self::SubnetTaken { .. }
            | Self::BridgeTaken(_)
            | Self::BridgeOfNetwork { .. }
            | Self::StillAttached { .. }
            | Self::NetnsExists(_)
            | Self::IfNameTaken { .. }
            | Self::PortTaken { .. }
            | Self::OtherNamespace { .. }
            | Self::OtherRecords { .. }
            | Self::TableTaken(_) => ErrorClass::Taken,
            Self::SubnetFull(_) | Self::BridgeFull(_) | Self::Pool(_) => ErrorClass::Exhausted,
            Self::NetnsNotNamed(_)
            | Self::BridgeReserved(_)
            | Self::AddressOutside { .. }
            | Self::AddressReserved { .. }
            | Self::TwoAddresses(..)
            | Self::TwoRanges(..)
            | Self::PortsOverlap(..)
            | Self::PublishOnInternal { .. }
            | Self::PublishFamily { .. }
            | Self::PublishBehind { .. }
            | Self::MacOfStretched { .. }
            | Self::EndpointOnSeveral { .. }
            | Self::NoCommonFamily(_)
            | Self::NamesOff(_)
            | Self::NamesOfTheCluster(_)
            | Self::Word(_) => ErrorClass::Usage,
            Self::Records(error) => of_records(error),
            Self::BackendMissing { source, .. } => match source.is_permission() {
                true => ErrorClass::Permission,
                false => ErrorClass::Kernel,
            },
            Self::Kernel(error) => of_kernel(error),
            Self::FastPath(error) => of_fast_path(error),
            Self::Apply(failures) => {
                let all = failures.failed.iter();
                let mut classes = all.map(|failure| of_kernel(&failure.error));
                let telling = [ErrorClass::Permission, ErrorClass::Taken];
                classes
                    .find(|class| telling.contains(class))
                    .unwrap_or(ErrorClass::Kernel)
            }
        }
    }
}

fn of_records(error: &StoreError) -> ErrorClass {
    match error {
        StoreError::LockTimeout { .. } | StoreError::Busy { .. } => ErrorClass::Busy,
        StoreError::Permission { .. } => ErrorClass::Permission,
        StoreError::NetworkNameTaken { .. }
        | StoreError::BridgeTaken { .. }
        | StoreError::NetworkInUse { .. }
        | StoreError::NameTaken { .. }
        | StoreError::AddressTaken { .. }
        | StoreError::MacTaken { .. }
        | StoreError::IfNameTaken { .. }
        | StoreError::AlreadyAttached { .. }
        | StoreError::ContainerAttached { .. }
        | StoreError::PortTaken { .. } => ErrorClass::Taken,
        StoreError::NetworkGone(_) | StoreError::EndpointGone(_) => ErrorClass::Missing,
        _ => ErrorClass::Records,
    }
}

/// Public: the front ends call the fast path themselves too.
pub fn of_fast_path(error: &FastPathError) -> ErrorClass {
    match error {
        FastPathError::NotBuilt => ErrorClass::Other,
        error if error.is_permission() => ErrorClass::Permission,
        FastPathError::Mount { .. }
        | FastPathError::MakeDir { .. }
        | FastPathError::ReadDir { .. }
        | FastPathError::Remove { .. }
        | FastPathError::Load(_)
        | FastPathError::NoProgram(_)
        | FastPathError::Program { .. }
        | FastPathError::Pin { .. }
        | FastPathError::Map { .. }
        | FastPathError::NoCounters
        | FastPathError::Attach { .. }
        | FastPathError::Look { .. } => ErrorClass::Kernel,
    }
}

fn of_kernel(error: &KernelError) -> ErrorClass {
    match error.kind() {
        ErrorKind::Permission => ErrorClass::Permission,
        ErrorKind::Missing => ErrorClass::Missing,
        ErrorKind::Exists => ErrorClass::Taken,
        ErrorKind::BridgeFull => ErrorClass::Exhausted,
        ErrorKind::NoSpace | ErrorKind::Other => match error {
            KernelError::TargetIsNode(_) | KernelError::TargetNotNetns(_) => ErrorClass::Usage,
            _ => ErrorClass::Kernel,
        },
    }
}
