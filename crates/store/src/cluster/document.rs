//! The file that names a cluster: its text read as nodes and networks. Every fault has its line.
//!
//! ```toml
//! [[node]]
//! name = "a"
//! underlay = ["192.0.2.1"]
//! # Its node subnet in every network is the one of this number. It stays when lines come and go.
//! slot = 0
//!
//! [[network]]
//! name = "blue"
//! subnets = ["10.50.0.0/16", "fd00:50::/48"]
//! node-prefix = { ipv4 = 24, ipv6 = 64 }
//! vni = 4096
//! backend = "vxlan"
//! mtu = "auto"
//! internal = false
//! stretch = false
//! names = false
//! ```
//!
//! `node-prefix`, `backend`, `mtu`, `internal`, `stretch` and `names` may be left out. No node writes
//! the file: with `names` each node answers for its own endpoints' names alone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use model::{
    Backend, Cluster, ClusterNode, Family, MtuSetting, Names, NetworkName, NodeName, Overlay,
    OverlayPrefix, ParseError, Prefix, Reach, Span, Vni,
};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::{ClusterError, rules};

/// What is wrong with a line of the file.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// With the line itself: the reader knows a value and what it should be, not its field.
    #[error("{said}, in: {text}")]
    Unreadable { text: String, said: String },
    #[error("there are two nodes {0}")]
    NodeTwice(NodeName),
    #[error("slot {slot} of node {node} is that of node {by}")]
    SlotTaken {
        slot: u32,
        node: NodeName,
        by: NodeName,
    },
    #[error("the underlay address {address} of node {node} is that of node {by}")]
    UnderlayTaken {
        address: IpAddr,
        node: NodeName,
        by: NodeName,
    },
    #[error(
        "slot {slot} of node {node} is too high: the network {network} has {slots} node subnets, numbered from 0"
    )]
    SlotTooHigh {
        slot: u32,
        node: NodeName,
        network: NetworkName,
        slots: u128,
    },
    #[error("the network {network}: {source}")]
    Network {
        network: NetworkName,
        source: ParseError,
    },
    #[error(transparent)]
    Refused(ClusterError),
}

/// A fault and the line it is in, counted from 1.
pub(super) type Fault = (usize, FileFault);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    node: Vec<NodeEntry>,
    #[serde(default)]
    network: Vec<NetworkEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeEntry {
    name: Spanned<NodeName>,
    underlay: Spanned<Vec<IpAddr>>,
    slot: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct NetworkEntry {
    name: Spanned<NetworkName>,
    subnets: Spanned<Vec<Prefix>>,
    #[serde(default)]
    node_prefix: NodePrefix,
    vni: Vni,
    backend: Option<Backend>,
    mtu: Option<MtuValue>,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    stretch: bool,
    #[serde(default)]
    names: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct NodePrefix {
    ipv4: Option<u8>,
    ipv6: Option<u8>,
}

/// A number, or "auto".
#[derive(Deserialize)]
#[serde(try_from = "Value")]
struct MtuValue(MtuSetting);

impl TryFrom<Value> for MtuValue {
    type Error = ParseError;
    fn try_from(value: Value) -> Result<Self, ParseError> {
        let text = match value {
            Value::String(text) => text,
            Value::Integer(bytes) => bytes.to_string(),
            other => other.type_str().to_owned(),
        };
        text.parse().map(Self)
    }
}

/// The cluster that the file's text names.
pub(super) fn parse_document(text: &str) -> Result<Cluster, Fault> {
    let document: Document = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
    let mut cluster = Cluster::default();
    for entry in &document.network {
        let overlay = overlay(entry).map_err(|fault| at(text, entry.subnets.span(), fault))?;
        rules::admit_network(&cluster.networks, &overlay)
            .map_err(|error| at(text, entry.name.span(), FileFault::Refused(error)))?;
        cluster.networks.insert(overlay.name.clone(), overlay);
    }
    let mut slots = BTreeMap::new();
    for entry in &document.node {
        let node = parse_node(text, entry, &cluster, &mut slots)?;
        cluster.nodes.insert(node.name.clone(), node);
    }
    Ok(cluster)
}

fn unreadable(text: &str, error: &toml::de::Error) -> Fault {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    let here = text.lines().nth(line - 1).unwrap_or_default().trim();
    let fault = FileFault::Unreadable {
        text: here.to_owned(),
        said: error.message().to_owned(),
    };
    (line, fault)
}

fn at(text: &str, span: Range<usize>, fault: FileFault) -> Fault {
    (line_of(text, span.start), fault)
}

fn line_of(text: &str, byte: usize) -> usize {
    let before = text.bytes().take(byte);
    1 + before.filter(|b| *b == b'\n').count()
}

fn overlay(entry: &NetworkEntry) -> Result<Overlay, FileFault> {
    let name = entry.name.get_ref();
    let fault = |source| FileFault::Network {
        network: name.clone(),
        source,
    };
    let part = |prefix: &Prefix| {
        let node_bits = match prefix.family() {
            Family::Ipv4 => entry.node_prefix.ipv4,
            Family::Ipv6 => entry.node_prefix.ipv6,
        };
        OverlayPrefix::new(*prefix, node_bits)
    };
    let parts: Result<Vec<OverlayPrefix>, ParseError> =
        entry.subnets.get_ref().iter().map(part).collect();
    let mut prefixes = parts.map_err(fault)?;
    prefixes.sort_by_key(|part| part.prefix.family());
    Ok(Overlay {
        name: name.clone(),
        prefixes,
        backend: entry.backend.unwrap_or(Backend::Vxlan),
        vni: entry.vni,
        mtu: entry.mtu.as_ref().map_or(MtuSetting::Auto, |mtu| mtu.0),
        reach: if entry.internal {
            Reach::Internal
        } else {
            Reach::Outside
        },
        span: if entry.stretch {
            Span::Stretched
        } else {
            Span::Node
        },
        names: if entry.names { Names::On } else { Names::Off },
    })
}

/// The next node, given those before it and their slots.
fn parse_node(
    text: &str,
    entry: &NodeEntry,
    cluster: &Cluster,
    slots: &mut BTreeMap<u32, NodeName>,
) -> Result<ClusterNode, Fault> {
    let name = entry.name.get_ref().clone();
    if cluster.nodes.contains_key(&name) {
        return Err(at(text, entry.name.span(), FileFault::NodeTwice(name)));
    }
    let underlay = check_underlay(&name, entry.underlay.get_ref(), cluster)
        .map_err(|fault| at(text, entry.underlay.span(), fault))?;
    let (slot, slot_at) = (*entry.slot.get_ref(), entry.slot.span());
    if let Some(by) = slots.insert(slot, name.clone()) {
        let fault = FileFault::SlotTaken {
            slot,
            node: name,
            by,
        };
        return Err(at(text, slot_at, fault));
    }
    let subnets = subnets(&name, slot, cluster).map_err(|fault| at(text, slot_at, fault))?;
    Ok(ClusterNode {
        name,
        id: None,
        underlay,
        subnets,
        endpoints: BTreeMap::new(),
        named: BTreeMap::new(),
        seen_at: None,
    })
}

fn check_underlay(
    node: &NodeName,
    underlay: &[IpAddr],
    cluster: &Cluster,
) -> Result<Vec<IpAddr>, FileFault> {
    let underlay = rules::check_underlay(underlay).map_err(FileFault::Refused)?;
    for address in &underlay {
        let mut others = cluster.nodes.values();
        if let Some(other) = others.find(|other| other.underlay.contains(address)) {
            return Err(FileFault::UnderlayTaken {
                address: *address,
                node: node.clone(),
                by: other.name.clone(),
            });
        }
    }
    Ok(underlay)
}

fn subnets(
    node: &NodeName,
    slot: u32,
    cluster: &Cluster,
) -> Result<BTreeMap<NetworkName, Vec<Prefix>>, FileFault> {
    let mut subnets = BTreeMap::new();
    for overlay in cluster.networks.values() {
        let here = rules::subnets_at(overlay, slot.into());
        if here.is_empty() {
            return Err(FileFault::SlotTooHigh {
                slot,
                node: node.clone(),
                network: overlay.name.clone(),
                slots: rules::slots(overlay),
            });
        }
        subnets.insert(overlay.name.clone(), here);
    }
    Ok(subnets)
}
