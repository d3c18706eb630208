//! Overlay networks: one network over many nodes, as the whole cluster has it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Family, MtuSetting, NetworkName, NodeId, NodeName, ParseError, Prefix, Reach};

/// The highest VNI (24 bits, RFC 7348 section 5).
const VNI_MAX: u32 = (1 << 24) - 1;

/// A VXLAN network identifier: 1 to 16777215 (RFC 7348 section 5). 0 is left to those who take
/// it for "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vni(u32);

impl Vni {
    pub fn number(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Vni {
    type Error = ParseError;
    fn try_from(number: u32) -> Result<Self, ParseError> {
        match number {
            1..=VNI_MAX => Ok(Self(number)),
            _ => Err(ParseError::Vni(number.to_string())),
        }
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> u32 {
        vni.0
    }
}

impl FromStr for Vni {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = || ParseError::Vni(text.to_owned());
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        let number: u32 = text.parse().ok().filter(|_| plain).ok_or_else(refuse)?;
        Self::try_from(number)
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How packets cross between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// In UDP (RFC 7348).
    Vxlan,
    /// As they are: the nodes are neighbours on one link.
    Routed,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vxlan => "vxlan",
            Self::Routed => "routed",
        })
    }
}

impl FromStr for Backend {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "vxlan" => Ok(Self::Vxlan),
            "routed" => Ok(Self::Routed),
            _ => Err(ParseError::Backend(text.to_owned())),
        }
    }
}

/// A container prefix of an overlay network, and the length of each node's part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OverlayPrefix {
    pub prefix: Prefix,
    /// Of a node subnet, in bits.
    pub node_bits: u8,
}

impl OverlayPrefix {
    /// With node subnets of this length; without one, /24 of IPv4 and /64 of IPv6, or 8 bits more
    /// than the prefix where it is longer than that leaves room for.
    ///
    /// # Errors
    /// Where containers can't be numbered from it, or it holds fewer than two node subnets.
    pub fn new(prefix: Prefix, node_bits: Option<u8>) -> Result<Self, ParseError> {
        let prefix = prefix.check_for_containers()?;
        let (usual, longest) = match prefix.family() {
            Family::Ipv4 => (24, 30),
            Family::Ipv6 => (64, 126),
        };
        let roomy = if prefix.bits() < usual {
            usual
        } else {
            (prefix.bits() + 4).min(longest)
        };
        let node_bits = node_bits.unwrap_or(roomy);
        if node_bits <= prefix.bits() || node_bits > longest {
            return Err(ParseError::NodePrefix { prefix, node_bits });
        }
        Ok(Self { prefix, node_bits })
    }
}

/// An overlay network as the whole cluster has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    pub name: NetworkName,
    /// One or two: at most one a family, IPv4 first.
    pub prefixes: Vec<OverlayPrefix>,
    pub backend: Backend,
    /// Of the network, whatever the backend: it numbers its devices.
    pub vni: Vni,
    pub mtu: MtuSetting,
    pub reach: Reach,
}

impl Overlay {
    pub fn prefix(&self, family: Family) -> Option<OverlayPrefix> {
        let mut prefixes = self.prefixes.iter().copied();
        prefixes.find(|p| p.prefix.family() == family)
    }
}

/// A node as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNode {
    pub name: NodeName,
    /// The identity of its records, where the store keeps one: another machine of the same name
    /// has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<NodeId>,
    /// Its own addresses in the underlay, at most one a family, IPv4 first.
    pub underlay: Vec<IpAddr>,
    /// The node subnets it holds in each network, IPv4 first.
    #[serde(default)]
    pub subnets: BTreeMap<NetworkName, Vec<Prefix>>,
    /// When it last said that it is there, in seconds since 1970; `None` where nobody says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<u64>,
}

/// All that a cluster's nodes agree on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cluster {
    pub networks: BTreeMap<NetworkName, Overlay>,
    pub nodes: BTreeMap<NodeName, ClusterNode>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vni_has_24_bits_and_is_not_none() {
        assert_eq!("16777215".parse::<Vni>().unwrap().number(), VNI_MAX);
        for text in ["0", "16777216", "-1", "+1", "0x10", "", "1 "] {
            assert!(text.parse::<Vni>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_node_has_a_part_of_the_prefix() {
        let of = |text: &str, bits| OverlayPrefix::new(text.parse().unwrap(), bits);
        assert_eq!(of("10.50.0.0/16", None).unwrap().node_bits, 24);
        assert_eq!(of("fd00:50::/48", None).unwrap().node_bits, 64);
        assert_eq!(of("10.50.0.0/24", None).unwrap().node_bits, 28);
        assert_eq!(of("10.50.0.0/29", None).unwrap().node_bits, 30);
        assert_eq!(of("fd00::/64", None).unwrap().node_bits, 68);
        for (text, bits) in [
            ("10.50.0.0/16", 16),
            ("10.50.0.0/16", 8),
            ("10.50.0.0/16", 31),
            ("fd00::/64", 127),
        ] {
            assert!(of(text, Some(bits)).is_err(), "{text} {bits}");
        }
        assert!(of("10.50.0.0/30", None).is_err());
    }
}
