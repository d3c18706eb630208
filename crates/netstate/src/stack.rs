//! The network stack of one namespace as a person reads it: everybody's devices, addresses,
//! routes, neighbours, sockets and firewall chains. Not for planning: see [`crate::NodeFacts`]
//! for that. Names and kinds are texts, since the kernel allows more than we make.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

/// Everything of one namespace. Each list is sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Stack {
    pub devices: Vec<StackDevice>,
    pub addresses: Vec<StackAddress>,
    pub routes: Vec<StackRoute>,
    pub neighbours: Vec<StackNeighbour>,
    /// Forwarding entries of VXLAN devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fdb: Vec<StackFdb>,
    pub sockets: Vec<StackSocket>,
    /// Every hooked chain of every table, foreign ones included.
    pub chains: Vec<StackChain>,
    /// Tables as `nft --stateless list table` prints them, ours first; foreign ones where nft(8)
    /// is there to read them.
    pub tables: Vec<StackTable>,
}

impl Stack {
    /// Foreign chains that drop what they do not accept on its way through the node: ours can't
    /// overrule them. firewalld's accept by policy, and reject by their last rule.
    pub fn forward_drops(&self, own_table: &str) -> impl Iterator<Item = &StackChain> {
        self.chains
            .iter()
            .filter(move |c| c.hook == "forward" && c.table != own_table)
            .filter(|c| c.drops_by_default() || c.table == "firewalld")
    }
}

/// Whether a device carries packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    Up,
    /// Set up, but the other end or the cable is not.
    NoCarrier,
    Down,
}

impl fmt::Display for DeviceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::NoCarrier => "no carrier",
            Self::Down => "down",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StackDevice {
    pub name: String,
    /// `bridge`, `veth`, …; `loopback` and `hardware` where no kind was asked for.
    pub kind: String,
    pub state: DeviceState,
    /// In bytes.
    pub mtu: u32,
    pub mac: Option<String>,
    pub master: Option<String>,
    pub hairpin: bool,
    /// The device at the other end of a pair, or under a stacked one.
    pub peer: Option<StackPeer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vxlan: Option<StackVxlan>,
    pub alias: Option<String>,
}

/// What a VXLAN device sends and takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StackVxlan {
    /// 0 where each packet says its own (`external`, ip-link(8)).
    pub vni: u32,
    pub local: Option<IpAddr>,
    pub port: u16,
}

/// Where the other end of a device is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StackPeer {
    Here(String),
    /// In the namespace that this one knows by this number (`link-netnsid`, ip-link(8)).
    Elsewhere(i32),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StackAddress {
    pub device: String,
    pub address: IpAddr,
    pub prefix_len: u8,
    /// `global`, `link`, `host`, …
    pub scope: String,
    /// `tentative`, `secondary`, …
    pub flags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StackRoute {
    /// A number, except `main`, whose routes come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// `default` stands as `0.0.0.0/0` or `::/0`.
    pub prefix: String,
    /// `unicast`, `blackhole`, …
    pub kind: String,
    pub via: Option<IpAddr>,
    pub device: Option<String>,
    pub source: Option<IpAddr>,
    /// `kernel`, `static`, …, or a number.
    pub protocol: String,
    pub metric: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StackNeighbour {
    pub device: String,
    pub address: IpAddr,
    pub mac: Option<String>,
    /// `reachable`, `stale`, …
    pub state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StackFdb {
    pub device: String,
    /// `None` for the entry of what no other leads.
    pub mac: Option<String>,
    pub remote: IpAddr,
    /// `permanent`, or as that of a neighbour.
    pub state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StackSocket {
    /// `tcp` or `udp`.
    pub proto: String,
    pub address: IpAddr,
    pub port: u16,
}

/// A base chain, by its name and hook: foreign rules are not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StackChain {
    /// `ip`, `ip6`, `inet`, `arp`, `bridge`, `netdev`.
    pub family: String,
    pub table: String,
    pub chain: String,
    /// `filter`, `nat`, `route`.
    #[serde(rename = "type")]
    pub kind: String,
    pub hook: String,
    pub priority: i32,
    /// `accept` or `drop`.
    pub policy: String,
}

impl StackChain {
    pub fn drops_by_default(&self) -> bool {
        self.policy == "drop"
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StackTable {
    pub family: String,
    pub name: String,
    pub text: String,
}
