//! A range of addresses: the part of a subnet that its network gives out.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Family, ParseError, Prefix};

/// Addresses of one family, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// # Errors
    /// Ends of two families, or the wrong way round.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, ParseError> {
        if Family::of(first) != Family::of(last) || first > last {
            return Err(ParseError::AddressRange(format!("{first}-{last}")));
        }
        Ok(Self { first, last })
    }

    pub fn first(self) -> IpAddr {
        self.first
    }

    pub fn last(self) -> IpAddr {
        self.last
    }

    pub fn family(self) -> Family {
        Family::of(self.first)
    }
}

impl From<Prefix> for AddressRange {
    fn from(prefix: Prefix) -> Self {
        Self {
            first: prefix.address(),
            last: prefix.last(),
        }
    }
}

impl FromStr for AddressRange {
    type Err = ParseError;
    /// A prefix, or two addresses with `-` between them.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = || ParseError::AddressRange(text.to_owned());
        let Some((first, last)) = text.split_once('-') else {
            let prefix: Prefix = text.parse().map_err(|_| refuse())?;
            return Ok(prefix.into());
        };
        let address = |text: &str| text.parse::<IpAddr>().map_err(|_| refuse());
        Self::new(address(first)?, address(last)?).map_err(|_| refuse())
    }
}

impl TryFrom<String> for AddressRange {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> String {
        range.to_string()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_and_two_ends_are_ranges() {
        let parsed = |text: &str| text.parse::<AddressRange>().map(|r| r.to_string());
        assert_eq!(parsed("10.0.0.64/26").unwrap(), "10.0.0.64-10.0.0.127");
        assert_eq!(parsed("10.0.0.5-10.0.0.5").unwrap(), "10.0.0.5-10.0.0.5");
        assert_eq!(parsed("fd00::10-fd00::ff").unwrap(), "fd00::10-fd00::ff");
        for text in [
            "",
            "10.0.0.1",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-fd00::1",
            "10.0.0.1-",
            "a-b",
            "10.0.0.1/26",
        ] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
    }
}
