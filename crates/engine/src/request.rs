//! What callers ask for.

use std::net::IpAddr;

use model::{EndpointName, IfName, Mac, MtuSetting, NetworkName, Prefix, Publish, Reach, Target};

/// A network to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNetwork {
    pub name: NetworkName,
    pub subnets: SubnetChoice,
    /// At most one for each subnet; the first usable address where there is none.
    pub gateways: Vec<IpAddr>,
    /// `pn-NAME` where none is given.
    pub bridge: Option<IfName>,
    pub mtu: MtuSetting,
    pub reach: Reach,
}

/// The prefixes of a new network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubnetChoice {
    Given(Vec<Prefix>),
    /// A free private IPv4 prefix.
    PickIpv4,
    /// A free private IPv4 prefix and a random unique-local IPv6 one.
    PickBoth,
}

/// A target to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachRequest {
    pub network: NetworkName,
    pub target: Target,
    pub before: NetnsBefore,
    /// The target's short name where none is given.
    pub name: Option<EndpointName>,
    /// At most one for each subnet; a free address where there is none.
    pub addresses: Vec<IpAddr>,
    /// Derived from the first address where none is given.
    pub mac: Option<Mac>,
    /// The first of eth0, eth1, … that the target's endpoints leave free where none is given.
    pub ifname: Option<IfName>,
    pub publish: Vec<Publish>,
}

/// What attach expects of the target's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetnsBefore {
    Exists,
    /// It is made first, under `/run/netns`.
    Create,
}

/// A target to detach from one network or from all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachRequest {
    pub target: Target,
    pub network: Option<NetworkName>,
    pub after: NetnsAfter,
}

/// What detach does with the target's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetnsAfter {
    Keep,
    /// A named one is deleted, whoever made it, once nothing of ours is in it.
    Delete,
}

/// Whether reconcile may make another's marks its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeOver {
    No,
    /// The records that the namespace was run from are lost: these take their identity.
    Yes,
}
