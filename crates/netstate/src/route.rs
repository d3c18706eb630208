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

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    pub via: IpAddr,
    pub dev: IfName,
}
