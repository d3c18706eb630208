//! Published ports: `[HOSTIP:]PORT[-PORT][:PORT[-PORT]][/tcp|udp|sctp]`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Family, ParseError};

/// A transport protocol that has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    Tcp,
    Udp,
    Sctp,
}

impl Proto {
    /// The protocol number (IANA; `include/uapi/linux/in.h`).
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl FromStr for Proto {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(ParseError::Publish(text.to_owned())),
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A range of ports, both ends included, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// # Errors
    /// `PortRange` for port 0 and for a first port above the last.
    pub fn new(first: u16, last: u16) -> Result<Self, ParseError> {
        if first == 0 || first > last {
            return Err(ParseError::PortRange(format!("{first}-{last}")));
        }
        Ok(Self { first, last })
    }

    pub fn first(self) -> u16 {
        self.first
    }

    pub fn last(self) -> u16 {
        self.last
    }

    /// How many ports: 1 to 65535.
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    pub fn is_single(self) -> bool {
        self.first == self.last
    }

    pub fn overlaps(self, other: PortRange) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    pub fn ports(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

impl FromStr for PortRange {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse::<u16>().ok()).flatten()
        };
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first != 0 && first <= last => Ok(Self { first, last }),
            _ => Err(ParseError::PortRange(text.to_owned())),
        }
    }
}

impl TryFrom<(u16, u16)> for PortRange {
    type Error = ParseError;
    fn try_from((first, last): (u16, u16)) -> Result<Self, ParseError> {
        Self::new(first, last)
    }
}

impl From<PortRange> for (u16, u16) {
    fn from(range: PortRange) -> (u16, u16) {
        (range.first, range.last)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// The addresses of the node at which a port is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostBind {
    /// Every address of the node, of every family that the endpoint has.
    Any,
    /// Every address of the node of one family (`0.0.0.0`, `[::]`).
    AnyOf(Family),
    /// One address.
    #[serde(untagged)]
    Address(IpAddr),
}

impl HostBind {
    /// Whether a publication here uses this family's addresses.
    pub fn covers(self, family: Family) -> bool {
        match self {
            Self::Any => true,
            Self::AnyOf(own) => own == family,
            Self::Address(address) => Family::of(address) == family,
        }
    }

    /// The one address, or the family's "any" address; `None` where the family isn't covered.
    pub fn address(self, family: Family) -> Option<IpAddr> {
        match self {
            _ if !self.covers(family) => None,
            Self::Address(address) => Some(address),
            Self::Any | Self::AnyOf(_) => Some(family.unspecified()),
        }
    }

    /// Whether some packet could match both.
    pub fn overlaps(self, other: HostBind) -> bool {
        Family::BOTH.into_iter().any(
            |family| match (self.address(family), other.address(family)) {
                (Some(a), Some(b)) => a == b || a.is_unspecified() || b.is_unspecified(),
                _ => false,
            },
        )
    }
}

/// One published port or range of ports: a port of the node leads to a port of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Publish {
    proto: Proto,
    bind: HostBind,
    node_ports: PortRange,
    container_first: u16,
}

impl Publish {
    /// # Errors
    /// `PortRange` where the container's range would end above 65535 or start at 0.
    pub fn new(
        proto: Proto,
        bind: HostBind,
        node_ports: PortRange,
        container_first: u16,
    ) -> Result<Self, ParseError> {
        let last = u32::from(container_first) + node_ports.count() - 1;
        if container_first == 0 || last > u32::from(u16::MAX) {
            return Err(ParseError::PortRange(format!("{container_first}-{last}")));
        }
        Ok(Self {
            proto,
            bind,
            node_ports,
            container_first,
        })
    }

    pub fn proto(self) -> Proto {
        self.proto
    }

    pub fn bind(self) -> HostBind {
        self.bind
    }

    /// The node's ports.
    pub fn node_ports(self) -> PortRange {
        self.node_ports
    }

    /// The container's port that the first of the node's ports leads to.
    pub fn container_first(self) -> u16 {
        self.container_first
    }

    /// Whether each port keeps its number on the way in.
    pub fn keeps_ports(self) -> bool {
        self.container_first == self.node_ports.first
    }

    /// Whether some packet could match both.
    pub fn overlaps(self, other: Publish) -> bool {
        self.proto == other.proto
            && self.bind.overlaps(other.bind)
            && self.node_ports.overlaps(other.node_ports)
    }
}

fn parse_bind(text: &str) -> Option<HostBind> {
    let bare = text
        .strip_prefix('[')
        .map_or(Some(text), |rest| rest.strip_suffix(']'))?;
    let address: IpAddr = bare.parse().ok()?;
    let bracketed = bare.len() != text.len();
    if address.is_ipv6() != bracketed {
        return None;
    }
    Some(if address.is_unspecified() {
        HostBind::AnyOf(Family::of(address))
    } else {
        HostBind::Address(address)
    })
}

/// Splits `[HOSTIP:]NODE[:CONTAINER]`: the host address is what stands before the ports.
fn split_bind(text: &str) -> Option<(HostBind, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (_, ports) = rest.split_once("]:")?;
        let bind = parse_bind(&text[..text.len() - ports.len() - 1])?;
        return Some((bind, ports));
    }
    match text.split_once(':') {
        Some((head, ports)) if head.contains('.') => Some((parse_bind(head)?, ports)),
        _ => Some((HostBind::Any, text)),
    }
}

impl FromStr for Publish {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = || ParseError::Publish(text.to_owned());
        let (rest, proto) = match text.rsplit_once('/') {
            Some((rest, proto)) => (rest, proto.parse().map_err(|_| refuse())?),
            None => (text, Proto::Tcp),
        };
        let (bind, ports) = split_bind(rest).ok_or_else(refuse)?;
        let (node, container) = ports.split_once(':').unwrap_or((ports, ports));
        if container.contains(':') {
            return Err(refuse());
        }
        let node_ports: PortRange = node.parse()?;
        let container: PortRange = container.parse()?;
        if node_ports.count() != container.count() {
            return Err(ParseError::PortCount {
                text: text.to_owned(),
                host: node_ports.count(),
                container: container.count(),
            });
        }
        Self::new(proto, bind, node_ports, container.first)
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bind {
            HostBind::Any => {}
            HostBind::AnyOf(Family::Ipv4) => f.write_str("0.0.0.0:")?,
            HostBind::AnyOf(Family::Ipv6) => f.write_str("[::]:")?,
            HostBind::Address(IpAddr::V4(address)) => write!(f, "{address}:")?,
            HostBind::Address(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
        }
        let last = self.container_first + (self.node_ports.last - self.node_ports.first);
        let container = PortRange {
            first: self.container_first,
            last,
        };
        write!(f, "{}:{}/{}", self.node_ports, container, self.proto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn publish(text: &str) -> Publish {
        text.parse().unwrap()
    }

    #[test]
    fn every_documented_form_parses() {
        for (text, full) in [
            ("80", "80:80/tcp"),
            ("8080:80", "8080:80/tcp"),
            ("8080:80/udp", "8080:80/udp"),
            ("8000-8010", "8000-8010:8000-8010/tcp"),
            ("8000-8010:9000-9010/sctp", "8000-8010:9000-9010/sctp"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"),
            ("0.0.0.0:80", "0.0.0.0:80:80/tcp"),
            ("[::1]:8080:80", "[::1]:8080:80/tcp"),
            ("[::]:53/udp", "[::]:53:53/udp"),
        ] {
            assert_eq!(publish(text).to_string(), full, "{text}");
            assert_eq!(publish(full), publish(text), "{text}");
        }
    }

    #[test]
    fn wrong_forms_are_refused() {
        for text in [
            "",
            "x",
            "0",
            "65536",
            "80-70",
            "80/icmp",
            "80/",
            ":80",
            "80:",
            "::1:80",
            "[127.0.0.1]:80",
            "1.2.3:80",
            "80:80:80",
            "+80",
            "80-",
            "8000-8010:9000",
            "65530-65535:65531-65536",
            "[::1]80",
        ] {
            assert!(text.parse::<Publish>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn overlap_needs_protocol_address_and_port() {
        let web = publish("80");
        for other in ["80", "0.0.0.0:80:8080", "[::]:80", "127.0.0.1:80", "70-90"] {
            assert!(web.overlaps(publish(other)), "{other}");
            assert!(publish(other).overlaps(web), "{other}");
        }
        for other in ["81", "80/udp", "81-90"] {
            assert!(!web.overlaps(publish(other)), "{other}");
        }
        assert!(!publish("0.0.0.0:80").overlaps(publish("[::]:80")));
        assert!(!publish("127.0.0.1:80").overlaps(publish("127.0.0.2:80")));
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(first in 1u16.., extra in 0u16..100, to in 1u16..) {
            let last = first.saturating_add(extra);
            let node = PortRange::new(first, last).unwrap();
            if let Ok(publish) = Publish::new(Proto::Udp, HostBind::Any, node, to) {
                prop_assert_eq!(publish.to_string().parse::<Publish>().unwrap(), publish);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Publish>();
        }
    }
}
