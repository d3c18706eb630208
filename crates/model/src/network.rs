//! A network: a named L2 and L3 domain on this node.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::mtu::MTU_MIN_IPV6;
use crate::{AddressRange, Family, IfName, MtuSetting, Names, NetworkName, ParseError, Prefix};

/// The row number of a network in the node's records; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetworkId(pub u32);

/// What a network's endpoints may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// The outside, with source NAT.
    Outside,
    /// Each other and the node only.
    Internal,
}

/// How far a network goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// On one node.
    Bridge,
    /// Over many nodes: its subnets are this node's part, the cluster knows the rest.
    Overlay,
}

/// A prefix of a network and the node's own address in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subnet {
    pub prefix: Prefix,
    pub gateway: IpAddr,
    /// What is given out to endpoints that ask for no address of their own; all without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<AddressRange>,
}

impl Subnet {
    /// A subnet with this gateway, or with the first usable address as gateway.
    ///
    /// # Errors
    /// Where containers can't be numbered from the prefix or the gateway is not of it.
    pub fn new(prefix: Prefix, gateway: Option<IpAddr>) -> Result<Self, ParseError> {
        let prefix = prefix.check_for_containers()?;
        let gateway = gateway.unwrap_or_else(|| first_host(prefix));
        if !prefix.is_usable(gateway) {
            return Err(ParseError::AddressUnusable {
                address: gateway,
                prefix,
            });
        }
        Ok(Self {
            prefix,
            gateway,
            range: None,
        })
    }

    /// The subnet, giving out only these addresses by itself, less those at the prefix's own ends.
    ///
    /// # Errors
    /// A range with an end outside the prefix, or with nothing in it but the gateway and the
    /// prefix's own ends.
    pub fn with_range(self, range: AddressRange) -> Result<Self, ParseError> {
        let prefix = self.prefix;
        let refuse = || ParseError::RangeOutside { range, prefix };
        if !(prefix.contains(range.first()) && prefix.contains(range.last())) {
            return Err(refuse());
        }
        let usable = |address: IpAddr, instead: IpAddr| match prefix.is_usable(address) {
            true => address,
            false => instead,
        };
        let first = usable(range.first(), next(range.first()));
        let last = usable(range.last(), previous(range.last()));
        let clipped = AddressRange::new(first, last).map_err(|_| refuse())?;
        if first == last && first == self.gateway {
            return Err(refuse());
        }
        Ok(Self {
            range: Some(clipped),
            ..self
        })
    }

    /// The addresses that are given out, with the gateway and the prefix's ends where they are
    /// among them.
    pub fn given_out(&self) -> AddressRange {
        self.range.unwrap_or_else(|| self.prefix.into())
    }
}

fn first_host(prefix: Prefix) -> IpAddr {
    next(prefix.address())
}

fn previous(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(a) => IpAddr::V4(u32::from(a).saturating_sub(1).into()),
        IpAddr::V6(a) => IpAddr::V6(u128::from(a).saturating_sub(1).into()),
    }
}

fn next(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(a) => IpAddr::V4(u32::from(a).saturating_add(1).into()),
        IpAddr::V6(a) => IpAddr::V6(u128::from(a).saturating_add(1).into()),
    }
}

/// A network as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub id: NetworkId,
    pub name: NetworkName,
    pub kind: NetworkKind,
    pub bridge: IfName,
    pub mtu: MtuSetting,
    pub reach: Reach,
    #[serde(default, skip_serializing_if = "Names::are_off")]
    pub names: Names,
    /// One or two: at most one a family, IPv4 first.
    pub subnets: Vec<Subnet>,
}

/// A network as a configuration describes it. What it leaves open, a network that is there
/// already has decided, and a new one gets by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkWish {
    pub name: NetworkName,
    /// At most one a family. None: those that the network has; for a new one, a free private IPv4
    /// prefix.
    pub subnets: Vec<Prefix>,
    /// At most one for each subnet.
    pub gateways: Vec<IpAddr>,
    /// At most one for each subnet.
    pub ranges: Vec<AddressRange>,
    pub bridge: Option<IfName>,
    pub mtu: Option<MtuSetting>,
    pub reach: Option<Reach>,
    /// A network without names gets them where they are wished for.
    pub names: Option<Names>,
}

impl Network {
    /// Orders the subnets and checks them together with the MTU.
    ///
    /// # Errors
    /// None, or two of one family; an MTU that IPv6 can't run on.
    pub fn check_subnets(
        mut subnets: Vec<Subnet>,
        mtu: MtuSetting,
    ) -> Result<Vec<Subnet>, ParseError> {
        subnets.sort_by_key(|subnet| subnet.prefix.family());
        let families: Vec<Family> = subnets.iter().map(|s| s.prefix.family()).collect();
        match families.as_slice() {
            [] => return Err(ParseError::NoSubnet),
            [_] | [Family::Ipv4, Family::Ipv6] => {}
            [family, ..] => return Err(ParseError::TwoSubnets(*family)),
        }
        if let MtuSetting::Fixed(mtu) = mtu
            && mtu.bytes() < MTU_MIN_IPV6
            && families.contains(&Family::Ipv6)
        {
            return Err(ParseError::MtuBelowIpv6(mtu.bytes()));
        }
        Ok(subnets)
    }

    pub fn subnet(&self, family: Family) -> Option<&Subnet> {
        self.subnets.iter().find(|s| s.prefix.family() == family)
    }

    /// Whether it is one Ethernet over all nodes: then its endpoints see the whole prefix, and what
    /// is given out of it is this node's part.
    pub fn is_stretched(&self) -> bool {
        self.kind == NetworkKind::Overlay && self.subnets.iter().any(|s| s.range.is_some())
    }

    /// The subnet that holds `address`.
    pub fn subnet_of(&self, address: IpAddr) -> Option<&Subnet> {
        self.subnets.iter().find(|s| s.prefix.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_an_address_to_give_out() {
        let subnet = Subnet::new("10.0.0.0/24".parse().unwrap(), None).unwrap();
        let with = |text: &str| subnet.with_range(text.parse().unwrap());
        for (text, kept) in [
            ("10.0.0.0/24", "10.0.0.1-10.0.0.254"),
            ("10.0.0.128/25", "10.0.0.128-10.0.0.254"),
            ("10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2"),
            ("10.0.0.254-10.0.0.255", "10.0.0.254-10.0.0.254"),
            ("10.0.0.9-10.0.0.9", "10.0.0.9-10.0.0.9"),
        ] {
            assert_eq!(with(text).unwrap().range, Some(kept.parse().unwrap()));
        }
        for text in [
            "10.0.0.0-10.0.0.1",
            "10.0.0.255-10.0.0.255",
            "10.0.0.200-10.0.1.5",
            "10.0.1.0/24",
            "fd00::/64",
        ] {
            assert!(with(text).is_err(), "{text}");
        }
    }
}
