//! Identities: of a node's records, of a boot, of a network namespace.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// Names one set of records: made at random with them, and written on every kernel object
/// that they own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(u64);

impl NodeId {
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl FromStr for NodeId {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let well_formed = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let bits = well_formed.then(|| u64::from_str_radix(text, 16).ok());
        bits.flatten()
            .map(Self)
            .ok_or_else(|| ParseError::NodeId(text.to_owned()))
    }
}

impl TryFrom<String> for NodeId {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> String {
        id.to_string()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One boot of the machine (`/proc/sys/kernel/random/boot_id`, random(4)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(String);

impl FromStr for BootId {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        let uuid = text.len() == 36 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if uuid {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::BootId(text.to_owned()))
        }
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One network namespace in one boot: the kernel's cookie, which it never gives out twice
/// (`SO_NETNS_COOKIE`, net/core/net_namespace.c), unlike the inode number of the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetnsId {
    pub boot: BootId,
    pub cookie: u64,
}
