//! Network devices: the bridges of networks, the veth pairs of endpoints, the VXLAN devices of
//! overlays, IP-in-IP tunnels, the devices whose queue an endpoint's packets wait in.

use std::fmt;
use std::str::FromStr;

use model::{IfName, Mac, Mtu, NodeId};
use serde::Serialize;

use crate::{Netns, Tunnel, Vxlan};

/// Where a device is and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LinkKey {
    pub netns: Netns,
    pub name: IfName,
}

impl LinkKey {
    pub fn on_node(name: IfName) -> Self {
        Self {
            netns: Netns::Node,
            name,
        }
    }
}

/// What the first word of our `ifalias` is.
const ALIAS_MARK: &str = "pontoon";

/// The mark of an owned device, kept in its `ifalias`: whose records it belongs to and what it
/// is there for. `ip link` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Alias {
    #[serde(serialize_with = "crate::link::as_text")]
    pub node: NodeId,
    /// For people: `network web`, `endpoint web/netns0`.
    pub purpose: String,
}

pub(crate) fn as_text<T: fmt::Display, S: serde::Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALIAS_MARK} {} {}", self.node, self.purpose)
    }
}

/// The purpose of what a killed process left without a mark of its own.
const HALF_MADE: &str = "half made";

impl Alias {
    /// Of what is known to be ours by other signs than its mark.
    pub fn half_made(node: NodeId) -> Self {
        Self {
            node,
            purpose: HALF_MADE.to_owned(),
        }
    }

    pub fn is_half_made(&self) -> bool {
        self.purpose == HALF_MADE
    }
}

/// The text is not a mark of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a mark of Pontoon's")]
pub struct NotOurs;

impl FromStr for Alias {
    type Err = NotOurs;
    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let mut words = text.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some(ALIAS_MARK), Some(node), purpose) => Ok(Self {
                node: node.parse().map_err(|_| NotOurs)?,
                purpose: purpose.unwrap_or_default().to_owned(),
            }),
            _ => Err(NotOurs),
        }
    }
}

/// A device of ours on the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// `None` where the device has no Ethernet, or only seems to: a tunnel, an ifb.
    pub mac: Option<Mac>,
    /// Of both ends, for a pair.
    pub mtu: Mtu,
    pub alias: Alias,
    pub kind: LinkKind,
}

impl Link {
    /// The bridge that a port belongs to.
    pub fn master(&self) -> Option<&IfName> {
        match &self.kind {
            LinkKind::Bridge | LinkKind::Tunnel(_) | LinkKind::Ifb => None,
            LinkKind::Veth { port, .. } => port.master.as_ref(),
            LinkKind::Vxlan(vxlan) => vxlan.master.as_ref(),
        }
    }

    pub fn peer(&self) -> Option<&Peer> {
        match &self.kind {
            LinkKind::Veth { peer, .. } => peer.as_ref(),
            LinkKind::Bridge | LinkKind::Vxlan(_) | LinkKind::Tunnel(_) | LinkKind::Ifb => None,
        }
    }
}

/// The kinds of device we make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    Bridge,
    /// A pair: this end on the node, the other in a target. Observed without a peer when it is in
    /// none of the targets looked at.
    Veth {
        port: PortFlags,
        peer: Option<Peer>,
    },
    /// One for each network and node.
    Vxlan(Vxlan),
    /// One for each node, or for each other node.
    Tunnel(Tunnel),
    /// A way out that leads back to where a packet came in; there for its queue (net/drivers/ifb.c).
    Ifb,
}

/// How the node's end of a pair is a bridge port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortFlags {
    /// The bridge; `None` when it was taken off.
    pub master: Option<IfName>,
    /// Whether a frame may leave by the port it came from (`hairpin`, bridge(8)): a container
    /// that reaches itself by its published port needs it where `br_netfilter` is on.
    pub hairpin: bool,
}

/// The end of a pair inside a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peer {
    pub at: LinkKey,
    pub mac: Mac,
    pub mtu: Mtu,
}
