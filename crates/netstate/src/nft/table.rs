//! Tables, sets and chains.

use std::fmt;

use serde::Serialize;

use super::{DatumType, Item, Statement};

/// The families our tables are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NftFamily {
    Inet,
    Bridge,
}

impl fmt::Display for NftFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inet => "inet",
            Self::Bridge => "bridge",
        })
    }
}

/// The name of a set or chain in our tables. Ours are constants; observed ones may be anybody's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NftName(String);

impl NftName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for NftName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for NftName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SetKey {
    pub family: NftFamily,
    pub name: NftName,
}

/// A set's declaration; with data it is a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetSpec {
    pub key: Vec<DatumType>,
    pub data: Vec<DatumType>,
    /// Whether elements may be ranges and prefixes (`flags interval`).
    pub interval: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ElementKey {
    pub set: SetKey,
    pub key: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ChainKey {
    pub family: NftFamily,
    pub name: NftName,
}

/// The chain that is the administrator's to fill.
pub const ADMIN_CHAIN: &str = "admin";

/// A chain: a base chain where it has a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    pub hook: Option<Hook>,
    pub rules: Rules,
}

/// Who fills a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rules {
    Ours(Vec<Rule>),
    /// The administrator: what stands in it is never looked at or changed.
    Admin,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rule(pub Vec<Statement>);

/// Where a base chain is hooked. Its policy is always accept: foreign packets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hook {
    #[serde(rename = "type")]
    pub kind: HookType,
    pub point: HookPoint,
    pub priority: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HookType {
    Filter,
    Nat,
    Route,
    /// A hook that none of ours is: of a device, with another policy, of another type.
    Foreign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HookPoint {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        })
    }
}
