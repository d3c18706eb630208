//! Maximum transmission units, in bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// The least MTU of an IPv4 link (RFC 791) and so of any device of ours, in bytes.
const MTU_MIN: u16 = 68;
/// The least MTU of an IPv6 link (RFC 8200 section 5), in bytes.
pub const MTU_MIN_IPV6: u16 = 1280;

/// An MTU: 68 to 65535 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Mtu(u16);

impl Mtu {
    /// What Ethernet carries, and what a node without a default route uses.
    pub const ETHERNET: Mtu = Mtu(1500);

    pub fn bytes(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Mtu {
    type Error = ParseError;
    fn try_from(bytes: u16) -> Result<Self, ParseError> {
        if bytes < MTU_MIN {
            return Err(ParseError::Mtu(bytes.to_string()));
        }
        Ok(Self(bytes))
    }
}

impl From<Mtu> for u16 {
    fn from(mtu: Mtu) -> u16 {
        mtu.0
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The MTU a network was created with: a number, or the uplink's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MtuSetting {
    /// The MTU of the device of the node's default route, looked up at each reconcile.
    Auto,
    #[serde(untagged)]
    Fixed(Mtu),
}

impl FromStr for MtuSetting {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let refuse = || ParseError::Mtu(text.to_owned());
        let bytes: u16 = text.parse().map_err(|_| refuse())?;
        Mtu::try_from(bytes).map(Self::Fixed)
    }
}

impl fmt::Display for MtuSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(mtu) => mtu.fmt(f),
        }
    }
}
