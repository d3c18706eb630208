//! What a container may take of the machine, as a person writes it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The limits of one container; none where none is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub memory: Option<Bytes>,
    pub cpus: Option<Cpus>,
    pub cpuset: Option<CpuSet>,
    pub pids: Option<NonZeroU32>,
    /// Bytes a second.
    pub io_read: Option<Bytes>,
    /// Bytes a second.
    pub io_write: Option<Bytes>,
    /// What `io_read` and `io_write` are about.
    pub io_device: Option<Device>,
    /// The class that `net_cls` marks packets with, for a filter of the administrator's.
    pub net_class: Option<NonZeroU32>,
    /// The priority of packets on every device, by `net_prio`.
    pub net_prio: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    #[error("{0:?} is no size: a number and K, M, G or T (powers of 1024), 1 byte at least")]
    Bytes(String),
    #[error("{0:?} is no number of CPUs: 0.01 to 4096, two digits behind the point")]
    Cpus(String),
    #[error("{0:?} is no set of CPUs: numbers and ranges with commas between, as 0-1,4")]
    CpuSet(String),
    #[error("{0:?} is no device: a path below /dev, or MAJOR:MINOR")]
    Device(String),
}

/// A size, or a rate by the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(u64);

impl Bytes {
    pub fn get(self) -> u64 {
        self.0
    }
}

const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];

impl FromStr for Bytes {
    type Err = LimitError;
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let refuse = || LimitError::Bytes(text.to_owned());
        let last = text.chars().last().ok_or_else(refuse)?.to_ascii_uppercase();
        let unit = UNITS.iter().find(|(name, _)| *name == last);
        let digits = &text[..text.len() - usize::from(unit.is_some())];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        let number: u64 = digits.parse().map_err(|_| refuse())?;
        let factor = 1_u64 << unit.map_or(0, |(_, shift)| *shift);
        match number.checked_mul(factor) {
            // The kernel's files take signed numbers.
            Some(bytes) if bytes > 0 && i64::try_from(bytes).is_ok() => Ok(Self(bytes)),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, shift): &&(char, u32)| self.0.trailing_zeros() >= *shift;
        match UNITS.iter().rev().find(fits) {
            Some((name, shift)) => write!(f, "{}{name}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

/// CPU time by the second, in hundredths of a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cpus(u32);

impl Cpus {
    /// The period that a quota is counted in, in microseconds: the kernel's own default.
    pub const PERIOD_MICROS: u64 = 100_000;

    /// CPU time in each period, in microseconds.
    pub fn quota_micros(self) -> u64 {
        u64::from(self.0) * (Self::PERIOD_MICROS / 100)
    }
}

impl FromStr for Cpus {
    type Err = LimitError;
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let refuse = || LimitError::Cpus(text.to_owned());
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 2 {
            return Err(refuse());
        }
        let whole: u32 = whole.parse().map_err(|_| refuse())?;
        let hundredths: u32 = format!("{part:0<2}").parse().map_err(|_| refuse())?;
        match whole
            .checked_mul(100)
            .and_then(|h| h.checked_add(hundredths))
        {
            Some(all @ 1..=409_600) => Ok(Self(all)),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// CPUs by number, as in cpuset(7), "List format".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CpuSet(String);

impl CpuSet {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The highest CPU in it.
    pub fn highest(&self) -> u32 {
        let numbers = self.0.split([',', '-']).filter_map(|n| n.parse().ok());
        numbers.max().unwrap_or(0)
    }
}

impl FromStr for CpuSet {
    type Err = LimitError;
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let number = |text: &str| text.parse::<u16>().ok();
        let is_part = |part: &str| match part.split_once('-') {
            Some((first, last)) => {
                matches!((number(first), number(last)), (Some(a), Some(b)) if a <= b)
            }
            None => number(part).is_some(),
        };
        if text.split(',').all(is_part) {
            return Ok(Self(text.to_owned()));
        }
        Err(LimitError::CpuSet(text.to_owned()))
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Device {
    Path(String),
    Number { major: u32, minor: u32 },
}

impl FromStr for Device {
    type Err = LimitError;
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let clean = !text.contains("..") && !text.chars().any(char::is_control);
        if text.starts_with("/dev/") && clean {
            return Ok(Self::Path(text.to_owned()));
        }
        let number = text.split_once(':').and_then(|(major, minor)| {
            Some(Self::Number {
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
            })
        });
        number.ok_or_else(|| LimitError::Device(text.to_owned()))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Number { major, minor } => write!(f, "{major}:{minor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_and_print_as_read() {
        for (text, bytes) in [
            ("1", 1),
            ("64K", 65_536),
            ("256M", 268_435_456),
            ("2g", 2_147_483_648),
        ] {
            let parsed: Bytes = text.parse().unwrap();
            assert_eq!(parsed.get(), bytes);
            assert_eq!(parsed.to_string(), text.to_uppercase());
        }
        for text in [
            "",
            "M",
            "0",
            "0M",
            "-1",
            "+1",
            "1.5G",
            "1MB",
            "9999999999999T",
            "16777216T",
            "1 M",
            "é",
        ] {
            assert!(text.parse::<Bytes>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn cpus_have_two_digits_behind_the_point() {
        for (text, quota) in [
            ("1", 100_000),
            ("0.5", 50_000),
            ("0.05", 5_000),
            ("2.25", 225_000),
        ] {
            assert_eq!(
                text.parse::<Cpus>().unwrap().quota_micros(),
                quota,
                "{text}"
            );
        }
        for text in [
            "", "0", "0.0", "0.001", ".5", "1.", "-1", "5000", "1e3", "é",
        ] {
            assert!(text.parse::<Cpus>().is_err(), "{text:?}");
        }
        assert_eq!("0.5".parse::<Cpus>().unwrap().to_string(), "0.50");
    }

    #[test]
    fn sets_of_cpus_are_lists_of_ranges() {
        assert_eq!("0-1,4".parse::<CpuSet>().unwrap().highest(), 4);
        for text in ["", ",", "1-", "2-1", "a", "0;1", "0-1-2", "99999999"] {
            assert!(text.parse::<CpuSet>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn devices_are_below_dev() {
        assert_eq!("254:0".parse::<Device>().unwrap().to_string(), "254:0");
        assert_eq!(
            "/dev/vda".parse::<Device>().unwrap().to_string(),
            "/dev/vda"
        );
        for text in [
            "",
            "/etc/passwd",
            "/dev/../etc/passwd",
            "vda",
            "1:2:3",
            "a:b",
        ] {
            assert!(text.parse::<Device>().is_err(), "{text:?}");
        }
    }
}
