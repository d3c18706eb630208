//! An address and a length: `192.168.1.3/24`, with or without bits behind the length.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use model::{Family, ParseError, Prefix};
use serde::{Deserialize, Serialize};

/// An address with the length of its prefix. Unlike `Prefix` it names an address, and a route's
/// destination as another plugin may have written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// # Errors
    /// `Prefix` where the length is above 32 (IPv4) or 128 (IPv6).
    pub fn new(address: IpAddr, bits: u8) -> Result<Self, ParseError> {
        Prefix::of(address, bits)?;
        Ok(Self { address, bits })
    }

    /// An address of a subnet, with the subnet's length.
    pub fn of_subnet(address: IpAddr, prefix: Prefix) -> Result<Self, ParseError> {
        Self::new(address, prefix.bits())
    }

    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Length in bits.
    pub fn bits(self) -> u8 {
        self.bits
    }

    pub fn family(self) -> Family {
        Family::of(self.address)
    }
}

impl From<Prefix> for Cidr {
    fn from(prefix: Prefix) -> Self {
        Self {
            address: prefix.address(),
            bits: prefix.bits(),
        }
    }
}

impl FromStr for Cidr {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = || ParseError::Prefix(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(refuse)?;
        if !bits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        let address = address.parse().map_err(|_| refuse())?;
        Self::new(address, bits.parse().map_err(|_| refuse())?)
    }
}

impl TryFrom<String> for Cidr {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}
