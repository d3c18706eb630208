//! How fast packets may go: rates as tc(8) writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// Bits a second on the wire, 8 kbit to 32 gbit: what a queue of the kernel's keeps to with 32-bit
/// counters (`tc_ratespec`, `include/uapi/linux/pkt_sched.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Rate(u64);

const MIN: u64 = 8_000;
const MAX: u64 = 32_000_000_000;
/// Powers of 1000, as tc(8) counts them, the largest first.
const UNITS: [(&str, u64); 4] = [
    ("gbit", 1_000_000_000),
    ("mbit", 1_000_000),
    ("kbit", 1_000),
    ("bit", 1),
];

impl Rate {
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whole bytes a second.
    pub fn bytes(self) -> u64 {
        self.0 / 8
    }
}

impl TryFrom<u64> for Rate {
    type Error = ParseError;
    fn try_from(bits: u64) -> Result<Self, ParseError> {
        // The kernel counts bytes.
        if (MIN..=MAX).contains(&bits) && bits.is_multiple_of(8) {
            return Ok(Self(bits));
        }
        Err(ParseError::Rate(bits.to_string()))
    }
}

impl From<Rate> for u64 {
    fn from(rate: Rate) -> u64 {
        rate.0
    }
}

impl FromStr for Rate {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = || ParseError::Rate(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let unit = |(name, bits): (&str, u64)| Some((lower.strip_suffix(name)?, bits));
        let (number, unit) = UNITS.into_iter().find_map(unit).ok_or_else(refuse)?;
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let bits = number.checked_mul(unit).ok_or_else(refuse)?;
        Self::try_from(bits).map_err(|_| refuse())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = UNITS
            .into_iter()
            .find(|(_, unit)| self.0.is_multiple_of(*unit));
        let (name, unit) = fits.unwrap_or(("bit", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

/// How fast an endpoint may be, seen from its container; `None` is as fast as the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sends: Option<Rate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receives: Option<Rate>,
}

impl Rates {
    /// The same both ways.
    pub fn both(rate: Option<Rate>) -> Self {
        Self {
            sends: rate,
            receives: rate,
        }
    }

    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_print_as_they_are_read() {
        for (text, bits) in [
            ("8kbit", 8_000),
            ("1500kbit", 1_500_000),
            ("100mbit", 100_000_000),
            ("32gbit", 32_000_000_000),
            ("12345672bit", 12_345_672),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.bits(), rate.to_string().as_str()), (bits, text));
        }
        assert_eq!("1000MBIT".parse::<Rate>().unwrap().to_string(), "1gbit");
    }

    #[test]
    fn what_no_queue_keeps_to_is_refused() {
        for text in [
            "",
            "mbit",
            "100",
            "0mbit",
            "7kbit",
            "33gbit",
            "1.5mbit",
            "-1mbit",
            "+1mbit",
            "100m",
            "8001bit",
            "1 mbit",
            "é",
            "99999999999999999999gbit",
            "100mbit ",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text:?}");
        }
    }
}
