//! Overlay networks: one network over many nodes, as the whole cluster has it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{
    Family, MtuSetting, Named, Names, Network, NetworkName, NodeId, NodeName, ParseError, Prefix,
    Reach, Subnet, Whereabouts,
};

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
    /// In IP (RFC 2003, RFC 4213, RFC 2473).
    Ipip,
}

impl Backend {
    pub const ALL: [Backend; 3] = [Backend::Vxlan, Backend::Routed, Backend::Ipip];
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vxlan => "vxlan",
            Self::Routed => "routed",
            Self::Ipip => "ipip",
        })
    }
}

impl FromStr for Backend {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "vxlan" => Ok(Self::Vxlan),
            "routed" => Ok(Self::Routed),
            "ipip" => Ok(Self::Ipip),
            _ => Err(ParseError::Backend(text.to_owned())),
        }
    }
}

/// How far one Ethernet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// Over one node: packets are routed to the others.
    #[default]
    Node,
    /// Over all nodes: broadcast and multicast reach every endpoint, and the whole prefix is
    /// on-link.
    Stretched,
}

/// A container prefix of an overlay network, and the length of each node's part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "UncheckedPrefix")]
pub struct OverlayPrefix {
    pub prefix: Prefix,
    /// Of a node subnet, in bits.
    pub node_bits: u8,
}

/// An [`OverlayPrefix`] as it is read.
#[derive(Deserialize)]
struct UncheckedPrefix {
    prefix: Prefix,
    node_bits: u8,
}

impl TryFrom<UncheckedPrefix> for OverlayPrefix {
    type Error = ParseError;
    fn try_from(read: UncheckedPrefix) -> Result<Self, ParseError> {
        Self::new(read.prefix, Some(read.node_bits))
    }
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
    #[serde(default)]
    pub span: Span,
    /// Whether its endpoints find each other by name, on every node.
    #[serde(default, skip_serializing_if = "Names::are_off")]
    pub names: Names,
}

impl Overlay {
    /// Whether the values fit together, wherever they come from.
    ///
    /// # Errors
    /// A prefix that no node subnets can be numbered from, none, two of a family or in the wrong order, an MTU that IPv6 can't run on; stretched
    /// over a backend that carries no frames, or without IPv4.
    pub fn check(&self) -> Result<(), ParseError> {
        let subnet = |part: &OverlayPrefix| {
            OverlayPrefix::new(part.prefix, Some(part.node_bits))?;
            Subnet::new(part.prefix, None)
        };
        let subnets = self.prefixes.iter().map(subnet);
        Network::check_subnets(subnets.collect::<Result<_, _>>()?, self.mtu)?;
        let families: Vec<Family> = self.prefixes.iter().map(|p| p.prefix.family()).collect();
        if !families.is_sorted() {
            return Err(ParseError::TwoSubnets(Family::Ipv4));
        }
        match (self.span, self.backend, families.first()) {
            (Span::Node, _, _) | (Span::Stretched, Backend::Vxlan, Some(Family::Ipv4)) => Ok(()),
            (Span::Stretched, Backend::Vxlan, _) => Err(ParseError::StretchFamily),
            (Span::Stretched, backend, _) => Err(ParseError::StretchBackend(backend)),
        }
    }

    /// The subnets of a node that holds these parts of the prefixes: its endpoints see a part
    /// alone, or where the network is stretched the whole, and have their addresses of the part.
    ///
    /// # Errors
    /// A part that is of none of the prefixes, or that containers can't be numbered from.
    pub fn subnets(&self, held: &[Prefix]) -> Result<Vec<Subnet>, ParseError> {
        let subnet = |part: &Prefix| {
            let own = Subnet::new(*part, None)?;
            // Without its ends, as where it is a link of its own.
            let numbered = own.with_range((*part).into())?.given_out();
            let whole = self.prefix(part.family()).map(|whole| whole.prefix);
            match (self.span, whole) {
                (Span::Node, _) | (Span::Stretched, None) => Ok(own),
                (Span::Stretched, Some(whole)) => {
                    Subnet::new(whole, Some(own.gateway))?.with_range(numbered)
                }
            }
        };
        let subnets = held.iter().map(subnet).collect::<Result<Vec<_>, _>>()?;
        Network::check_subnets(subnets, self.mtu)
    }

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
    /// Its endpoints on stretched networks, as far as it tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: BTreeMap<NetworkName, Vec<Whereabouts>>,
    /// Its endpoints by name, on networks with names, as far as it tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<NetworkName, Vec<Named>>,
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

    #[test]
    fn a_prefix_is_checked_also_where_it_is_read() {
        let read = |text: &str| serde_json::from_str::<OverlayPrefix>(text);
        let good = r#"{"prefix":"10.50.0.0/16","node_bits":24}"#;
        let part = read(good).unwrap();
        assert_eq!(serde_json::to_string(&part).unwrap(), good);
        for text in [
            r#"{"prefix":"10.50.0.0/16","node_bits":16}"#,
            r#"{"prefix":"10.50.0.0/16","node_bits":255}"#,
            r#"{"prefix":"127.0.0.0/8","node_bits":24}"#,
            r#"{"prefix":"10.50.0.0/16"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    fn overlay(prefixes: &[&str], backend: Backend, span: Span) -> Overlay {
        let part = |p: &&str| OverlayPrefix::new(p.parse().unwrap(), None).unwrap();
        Overlay {
            name: "blue".parse().unwrap(),
            prefixes: prefixes.iter().map(part).collect(),
            backend,
            vni: 4096.try_into().unwrap(),
            mtu: MtuSetting::Auto,
            reach: Reach::Outside,
            span,
            names: Names::Off,
        }
    }

    #[test]
    fn only_frames_stretch() {
        let (v4, v6) = ("10.50.0.0/16", "fd00:50::/48");
        let check =
            |prefixes: &[&str], backend| overlay(prefixes, backend, Span::Stretched).check();
        assert_eq!(check(&[v4], Backend::Vxlan), Ok(()));
        assert_eq!(check(&[v4, v6], Backend::Vxlan), Ok(()));
        assert_eq!(check(&[v6], Backend::Vxlan), Err(ParseError::StretchFamily));
        for backend in [Backend::Routed, Backend::Ipip] {
            let refused = Err(ParseError::StretchBackend(backend));
            assert_eq!(check(&[v4], backend), refused);
        }
        assert!(
            overlay(&[v6, v4], Backend::Vxlan, Span::Node)
                .check()
                .is_err()
        );
    }

    #[test]
    fn a_stretched_part_is_seen_in_the_whole() {
        let held = ["10.50.1.0/24", "fd00:50:0:1::/64"].map(|part| part.parse().unwrap());
        let subnets = |span| {
            let blue = overlay(&["10.50.0.0/16", "fd00:50::/48"], Backend::Vxlan, span);
            let subnets = blue.subnets(&held).unwrap();
            let text = |s: &Subnet| format!("{} {} {}", s.prefix, s.gateway, s.given_out());
            subnets.iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(
            subnets(Span::Stretched),
            [
                "10.50.0.0/16 10.50.1.1 10.50.1.1-10.50.1.254",
                "fd00:50::/48 fd00:50:0:1::1 fd00:50:0:1::1-fd00:50:0:1:ffff:ffff:ffff:ffff"
            ]
        );
        assert_eq!(
            subnets(Span::Node)[0],
            "10.50.1.0/24 10.50.1.1 10.50.1.0-10.50.1.255"
        );
    }
}
