//! Addresses and routes.

use std::net::IpAddr;

use model::{IfName, Prefix};
use serde::Serialize;

use crate::{LinkKey, Netns};

/// The protocol number of our routes (`rtm_protocol`, rtnetlink(7)): `p`, free in iproute2's
/// `rt_protos`.
pub const ROUTE_PROTOCOL: u8 = 112;

/// An address on a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AddressKey {
    pub link: LinkKey,
    pub address: IpAddr,
    /// Bits of the on-link prefix.
    pub prefix_len: u8,
}

/// A route of ours in the main table of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RouteKey {
    pub netns: Netns,
    pub destination: Prefix,
    /// Lower wins.
    pub metric: u32,
}

/// What becomes of packets that a route is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    Leads(Way),
    /// They are dropped, and their sender is told.
    Unreachable,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Way {
    /// Of either family, whatever the destination's. `None` where all that the device leads to is
    /// behind one other end.
    pub via: Option<IpAddr>,
    pub dev: IfName,
    /// The address that the node's own packets on this route come from, where not the kernel's
    /// choice: one of the node's own.
    pub source: Option<IpAddr>,
    /// Whether `via` is reached by the device alone, in whatever prefix it lies.
    pub onlink: bool,
}

impl Route {
    pub fn way(&self) -> Option<&Way> {
        match self {
            Self::Leads(way) => Some(way),
            Self::Unreachable => None,
        }
    }

    /// The device that the route with this key leads to; none where it leads nowhere.
    pub fn link(&self, key: &RouteKey) -> Option<LinkKey> {
        Some(LinkKey {
            netns: key.netns.clone(),
            name: self.way()?.dev.clone(),
        })
    }
}
