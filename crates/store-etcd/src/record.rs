//! The values of the keys, in JSON. They are foreign bytes: bounded, and checked as words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{NetworkName, NodeId, NodeName, Overlay, Prefix};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::cluster::{Endpoints, Member, NAMED_BYTES_MAX, NamedEndpoints, rules};

use crate::error::Fault;

/// The longest value that is looked at, in bytes: a node's with all the endpoints that it may tell
/// of and name. etcd takes 1.5 MiB (`--max-request-bytes`).
const VALUE_BYTES_MAX: usize = 96 * 1024 + NAMED_BYTES_MAX;

/// A node, below its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    pub id: NodeId,
    pub underlay: Vec<IpAddr>,
    #[serde(default)]
    pub subnets: BTreeMap<NetworkName, Vec<Prefix>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoints: Endpoints,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named: NamedEndpoints,
}

/// Who holds a node subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderRecord {
    pub node: NodeName,
    pub id: NodeId,
}

impl HolderRecord {
    pub fn of(member: &Member) -> Self {
        Self {
            node: member.name.clone(),
            id: member.id,
        }
    }
}

/// A node's last sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliveRecord {
    pub at_secs: u64,
}

/// Why a value is none.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    #[error("{0} bytes, at most {VALUE_BYTES_MAX}")]
    TooLong(usize),
    #[error("not the JSON of such a record: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Overlay(#[from] model::ParseError),
    #[error("{0}")]
    Underlay(store::cluster::ClusterError),
    #[error("it says that it is {0}")]
    OtherName(NetworkName),
    #[error("{subnet} of {network} is not among its own")]
    NotItsOwn {
        network: NetworkName,
        subnet: Prefix,
    },
}

pub fn parse<T: DeserializeOwned>(value: &[u8]) -> Result<T, Malformed> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Malformed::TooLong(value.len()));
    }
    Ok(serde_json::from_slice(value)?)
}

pub fn parse_network(name: &NetworkName, value: &[u8]) -> Result<Overlay, Malformed> {
    let overlay: Overlay = parse(value)?;
    overlay.check()?;
    if overlay.name == *name {
        Ok(overlay)
    } else {
        Err(Malformed::OtherName(overlay.name))
    }
}

pub fn parse_node(value: &[u8]) -> Result<NodeRecord, Malformed> {
    let mut node: NodeRecord = parse(value)?;
    node.underlay = rules::check_underlay(&node.underlay).map_err(Malformed::Underlay)?;
    Ok(node)
}

pub fn print(record: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(record).map_err(|source| Fault::Print { source })
}
