//! What callers ask for.

use std::net::IpAddr;

use model::{
    AddressRange, Alias, CniAttachment, ContainerId, EndpointName, IfName, Mac, MtuSetting, Names,
    Network, NetworkName, NetworkWish, Prefix, Publish, Rates, Reach, Target,
};

/// A network to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNetwork {
    pub name: NetworkName,
    pub subnets: SubnetChoice,
    /// At most one for each subnet; the first usable address where there is none.
    pub gateways: Vec<IpAddr>,
    /// At most one for each subnet: what is given out of it.
    pub ranges: Vec<AddressRange>,
    /// `pn-NAME` where none is given.
    pub bridge: Option<IfName>,
    pub mtu: MtuSetting,
    pub reach: Reach,
    pub names: Names,
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

/// The network to create where there is none.
pub(crate) fn wished(wish: &NetworkWish) -> NewNetwork {
    NewNetwork {
        name: wish.name.clone(),
        subnets: match wish.subnets.as_slice() {
            [] => SubnetChoice::PickIpv4,
            given => SubnetChoice::Given(given.to_vec()),
        },
        gateways: wish.gateways.clone(),
        ranges: wish.ranges.clone(),
        bridge: wish.bridge.clone(),
        mtu: wish.mtu.unwrap_or(MtuSetting::Auto),
        reach: wish.reach.unwrap_or(Reach::Outside),
        names: wish.names.unwrap_or_default(),
    }
}

/// What a network that is there has otherwise than wished.
pub(crate) fn difference(wish: &NetworkWish, network: &Network) -> Option<Difference> {
    let subnets = network.subnets.iter();
    let mut prefixes: Vec<Prefix> = subnets.clone().map(|s| s.prefix).collect();
    let mut wished = wish.subnets.clone();
    prefixes.sort();
    wished.sort();
    let gateways: Vec<IpAddr> = subnets.clone().map(|s| s.gateway).collect();
    let ranges: Vec<AddressRange> = subnets.filter_map(|s| s.range).collect();
    let differs = [
        (
            Difference::Subnets,
            !wished.is_empty() && wished != prefixes,
        ),
        (
            Difference::Gateways,
            !wish.gateways.iter().all(|g| gateways.contains(g)),
        ),
        (
            Difference::Ranges,
            !wish.ranges.iter().all(|r| ranges.contains(r)),
        ),
        (
            Difference::Bridge,
            wish.bridge.as_ref().is_some_and(|b| *b != network.bridge),
        ),
        (
            Difference::Mtu,
            wish.mtu.is_some_and(|mtu| mtu != network.mtu),
        ),
        (
            Difference::Reach,
            wish.reach.is_some_and(|reach| reach != network.reach),
        ),
        // Names that are wished for are switched on.
        (
            Difference::Names,
            wish.names == Some(Names::Off) && network.names == Names::On,
        ),
    ];
    let mut differs = differs.into_iter().filter(|(_, differs)| *differs);
    differs.next().map(|(what, _)| what)
}

/// What of a network is not as somebody wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    #[error("subnets")]
    Subnets,
    #[error("a gateway")]
    Gateways,
    #[error("a range of addresses")]
    Ranges,
    #[error("a bridge")]
    Bridge,
    #[error("an MTU")]
    Mtu,
    #[error("a way to the outside (internal or not)")]
    Reach,
    #[error("names")]
    Names,
}

/// The network to attach to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkChoice {
    Existing(NetworkName),
    /// Created with the first attach; later ones must not wish for another.
    OrCreate(NetworkWish),
}

impl NetworkChoice {
    pub fn name(&self) -> &NetworkName {
        match self {
            Self::Existing(name) => name,
            Self::OrCreate(wish) => &wish.name,
        }
    }
}

/// A target to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachRequest {
    pub network: NetworkChoice,
    pub target: Target,
    /// What a container runtime will detach it by.
    pub cni: Option<CniAttachment>,
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
    pub rates: Rates,
    /// Other names of it, on a network with names.
    pub aliases: Vec<Alias>,
}

/// What attach expects of the target's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetnsBefore {
    Exists,
    /// It is made first, under `/run/netns`.
    Create,
}

/// What to detach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detachee {
    Target(Target),
    /// The endpoint that a container runtime knows so. Its namespace may be gone.
    Container {
        container: ContainerId,
        ifname: IfName,
    },
}

/// Something to detach from one network or from all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachRequest {
    pub who: Detachee,
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
