//! MAC addresses of endpoints and bridges.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ParseError, Prefix};

/// First two bytes of the MACs we make: locally administered, unicast, then `p`.
const OUI: [u8; 2] = [0x02, 0x70];

/// A unicast MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

impl Mac {
    /// # Errors
    /// `MacNotUnicast` for a multicast, broadcast or all-zero address.
    pub fn from_bytes(bytes: [u8; 6]) -> Result<Self, ParseError> {
        let mac = Self(bytes);
        if bytes[0] & 1 == 1 || bytes == [0; 6] {
            return Err(ParseError::MacNotUnicast(mac.to_string()));
        }
        Ok(mac)
    }

    /// The MAC for an endpoint with this first address: the same address always has the same
    /// MAC, so that its neighbours' caches stay right when the address is used again.
    pub fn for_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::ours(v4.octets()),
            IpAddr::V6(v6) => {
                let folded = v6.octets().chunks_exact(4).fold(0u32, |hash, chunk| {
                    let word = u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
                    hash.rotate_left(7) ^ word
                });
                Self::ours(folded.to_be_bytes())
            }
        }
    }

    /// The first and the last MAC of endpoints whose first address is of this prefix; `None` for
    /// an IPv6 prefix, whose MACs lie anywhere.
    pub fn range_for(prefix: Prefix) -> Option<(Self, Self)> {
        match (prefix.address(), prefix.last()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Some((Self::ours(first.octets()), Self::ours(last.octets())))
            }
            _ => None,
        }
    }

    /// Our prefix and four bytes of the caller's.
    pub fn ours(tail: [u8; 4]) -> Self {
        Self([OUI[0], OUI[1], tail[0], tail[1], tail[2], tail[3]])
    }

    pub fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// The link-local address the kernel derives from this MAC (EUI-64, RFC 4291 appendix A).
    pub fn link_local(self) -> Ipv6Addr {
        let m = self.0;
        let word = |hi: u8, lo: u8| u16::from_be_bytes([hi, lo]);
        Ipv6Addr::new(
            0xfe80,
            0,
            0,
            0,
            word(m[0] ^ 2, m[1]),
            word(m[2], 0xff),
            word(0xfe, m[3]),
            word(m[4], m[5]),
        )
    }
}

impl FromStr for Mac {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = || ParseError::Mac(text.to_owned());
        let mut bytes = [0u8; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(refuse)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(refuse());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| refuse())?;
        }
        if parts.next().is_some() {
            return Err(refuse());
        }
        Self::from_bytes(bytes)
    }
}

impl TryFrom<String> for Mac {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unicast_macs_parse() {
        assert!("02:00:5e:10:00:01".parse::<Mac>().is_ok());
        for text in [
            "",
            "02:00:5e:10:00",
            "02:00:5e:10:00:01:02",
            "2:0:5e:10:0:1",
            "+2:00:5e:10:00:01",
        ] {
            assert!(
                matches!(text.parse::<Mac>(), Err(ParseError::Mac(_))),
                "{text:?}"
            );
        }
        for text in [
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
        ] {
            assert!(
                matches!(text.parse::<Mac>(), Err(ParseError::MacNotUnicast(_))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn link_local_is_the_eui_64_one() {
        let mac: Mac = "02:70:c0:a8:00:0a".parse().unwrap();
        assert_eq!(mac.link_local().to_string(), "fe80::70:c0ff:fea8:a");
    }
}
