//! Address families and prefixes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::ParseError;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub const BOTH: [Family; 2] = [Family::Ipv4, Family::Ipv6];

    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// Bits in an address: 32 or 128.
    pub fn bits(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }

    /// The address of all zeros: "any".
    pub fn unspecified(self) -> IpAddr {
        match self {
            Self::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// A prefix in network form: no bit is set behind its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(IpNet);

impl Prefix {
    /// The prefix of this length that holds `address`.
    ///
    /// # Errors
    /// `Prefix` when the length is above 32 (IPv4) or 128 (IPv6).
    pub fn of(address: IpAddr, len: u8) -> Result<Self, ParseError> {
        IpNet::new(address, len)
            .map(|net| Self(net.trunc()))
            .map_err(|_| ParseError::Prefix(format!("{address}/{len}")))
    }

    /// `0.0.0.0/0` or `::/0`.
    pub fn any(family: Family) -> Self {
        Self(match family {
            Family::Ipv4 => IpNet::V4(ipnet::Ipv4Net::default()),
            Family::Ipv6 => IpNet::V6(ipnet::Ipv6Net::default()),
        })
    }

    /// The prefix that holds all from `first` to `last` and nothing else, if there is one.
    pub fn spanning(first: IpAddr, last: IpAddr) -> Option<Self> {
        let common_bits = match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => return None,
        };
        let prefix = Self::of(first, u8::try_from(common_bits).ok()?).ok()?;
        (prefix.address() == first && prefix.last() == last).then_some(prefix)
    }

    /// The prefix of one address.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }

    pub fn address(self) -> IpAddr {
        self.0.addr()
    }

    /// Length in bits.
    pub fn bits(self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether this is `0.0.0.0/0` or `::/0`.
    pub fn is_any(self) -> bool {
        self.bits() == 0
    }

    pub fn family(self) -> Family {
        Family::of(self.address())
    }

    /// The last address of the prefix: IPv4's broadcast address.
    pub fn last(self) -> IpAddr {
        self.0.broadcast()
    }

    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    pub fn overlaps(self, other: Prefix) -> bool {
        self.contains(other.address()) || other.contains(self.address())
    }

    /// Whether a device may have `address` in this prefix: not the network address (IPv6: the
    /// subnet-router anycast address, RFC 4291 section 2.6.1) and not IPv4's broadcast address.
    pub fn is_usable(self, address: IpAddr) -> bool {
        let broadcast = self.family() == Family::Ipv4 && address == self.last();
        self.contains(address) && address != self.address() && !broadcast
    }

    /// # Errors
    /// `PrefixTooLong`, `PrefixUnusable` when containers can't be numbered from it.
    pub fn check_for_containers(self) -> Result<Self, ParseError> {
        if self.bits() > self.family().bits() - 2 {
            return Err(ParseError::PrefixTooLong(self));
        }
        let usable = match self.address() {
            IpAddr::V4(a) => {
                !a.is_loopback() && !a.is_link_local() && a.octets()[0] != 0 && a.octets()[0] < 224
            }
            // ::/8 holds the loopback and the IPv4-mapped addresses (RFC 4291 section 2.5).
            IpAddr::V6(a) => !a.is_unicast_link_local() && !a.is_multicast() && a.octets()[0] != 0,
        };
        if self.is_any() || !usable {
            return Err(ParseError::PrefixUnusable(self));
        }
        Ok(self)
    }
}

impl FromStr for Prefix {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let net: IpNet = text
            .parse()
            .map_err(|_| ParseError::Prefix(text.to_owned()))?;
        let prefix = Self(net.trunc());
        if net != prefix.0 {
            return Err(ParseError::PrefixHostBits {
                text: text.to_owned(),
                network: prefix,
            });
        }
        Ok(prefix)
    }
}

impl TryFrom<String> for Prefix {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.to_string()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn bits_behind_the_length_are_named() {
        let error = "192.168.0.7/24".parse::<Prefix>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "192.168.0.7/24 has bits set behind its length; the prefix is 192.168.0.0/24"
        );
        for text in ["", "192.168.0.0", "192.168.0.0/33", "fd00::/129", "x/24"] {
            assert!(
                matches!(text.parse::<Prefix>(), Err(ParseError::Prefix(_))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn overlap_is_symmetric_and_keeps_families_apart() {
        assert!(prefix("10.0.0.0/8").overlaps(prefix("10.1.0.0/16")));
        assert!(prefix("10.1.0.0/16").overlaps(prefix("10.0.0.0/8")));
        assert!(!prefix("10.1.0.0/16").overlaps(prefix("10.2.0.0/16")));
        assert!(!prefix("0.0.0.0/0").overlaps(prefix("fd00::/64")));
    }

    #[test]
    fn first_and_last_are_not_for_devices() {
        let v4 = prefix("192.168.0.0/30");
        let usable: Vec<u8> = (0..4)
            .filter(|last| v4.is_usable(Ipv4Addr::new(192, 168, 0, *last).into()))
            .collect();
        assert_eq!(usable, [1, 2]);
        let v6 = prefix("fd00::/126");
        assert!(!v6.is_usable("fd00::".parse().unwrap()));
        assert!(v6.is_usable("fd00::3".parse().unwrap()));
    }

    #[test]
    fn prefixes_nobody_can_live_in_are_refused() {
        for text in [
            "127.0.0.0/8",
            "169.254.0.0/16",
            "224.0.0.0/8",
            "0.0.0.0/0",
            "10.0.0.0/31",
            "fe80::/64",
            "ff00::/8",
            "fd00::/127",
        ] {
            assert!(prefix(text).check_for_containers().is_err(), "{text}");
        }
    }
}
