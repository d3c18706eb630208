//! An endpoint: one attachment of a target to a network.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{
    Alias, ContainerId, EndpointName, Family, IfName, ListName, Mac, NetworkId, ParseError,
    Publish, Rates, Target,
};

/// The row number of an endpoint in the node's records; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EndpointId(pub u32);

/// Who made a target's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetnsOrigin {
    /// Somebody else: it was there before the endpoint and stays after it.
    Given,
    /// Attach, with `--create`.
    Made,
}

impl fmt::Display for NetnsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given => "given",
            Self::Made => "made",
        })
    }
}

impl FromStr for NetnsOrigin {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "given" => Ok(Self::Given),
            "made" => Ok(Self::Made),
            _ => Err(ParseError::NetnsOrigin(text.to_owned())),
        }
    }
}

/// What a container runtime knows an endpoint by, beside its interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CniAttachment {
    pub container: ContainerId,
    /// The configuration list it was attached by: each one's runtime speaks of its own only.
    pub list: ListName,
}

/// An endpoint as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: EndpointId,
    pub network: NetworkId,
    pub name: EndpointName,
    pub target: Target,
    /// What a container runtime calls it, where one attached the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni: Option<CniAttachment>,
    /// The interface inside the target.
    pub ifname: IfName,
    /// Its other end on the node: the bridge port.
    pub port: IfName,
    pub mac: Mac,
    /// One or two: one for each subnet of the network, IPv4 first.
    pub addresses: Vec<IpAddr>,
    pub publish: Vec<Publish>,
    #[serde(default, skip_serializing_if = "Rates::is_unlimited")]
    pub rates: Rates,
    /// Its other names, where its network has names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
    /// The order of the target's endpoints, from 0: the lowest one's default route is used.
    pub rank: u16,
}

impl Endpoint {
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses
            .iter()
            .copied()
            .find(|a| Family::of(*a) == family)
    }
}
