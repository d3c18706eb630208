//! The words of Pontoon: names, prefixes, ports, networks, endpoints.
//!
//! Every value here is checked when it is made, and there is no other way to make one.
//! This crate does no IO, reads no clock and knows no kernel: see `netstate` for kernel
//! objects and `plan` for what a network means to the kernel.

mod alias;
mod endpoint;
mod error;
mod mac;
mod mtu;
mod name;
mod named;
mod network;
mod node;
mod overlay;
mod port;
mod prefix;
mod range;
mod rate;
mod target;
mod whereabouts;

pub use alias::{Alias, Names};
pub use endpoint::{CniAttachment, Endpoint, EndpointId, NetnsOrigin};
pub use error::ParseError;
pub use mac::Mac;
pub use mtu::{MTU_MIN_IPV6, Mtu, MtuSetting};
pub use name::{ContainerId, EndpointName, IfName, ListName, NetworkName, NodeName};
pub use named::Named;
pub use network::{Network, NetworkId, NetworkKind, NetworkWish, Reach, Subnet};
pub use node::{BootId, NetnsId, NodeId};
pub use overlay::{Backend, Cluster, ClusterNode, Overlay, OverlayPrefix, Span, Vni};
pub use port::{HostBind, PortRange, Proto, Publish};
pub use prefix::{Family, Prefix};
pub use range::AddressRange;
pub use rate::{Rate, Rates};
pub use target::Target;
pub use whereabouts::Whereabouts;
