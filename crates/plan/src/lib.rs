//! What the kernel should hold: a pure function of what the node knows.
//!
//! `desired` is the node's whole state; the parts of one network and of one endpoint stand
//! beside it, because attaching touches one endpoint's part only. Nothing here looks at a
//! kernel: what was observed comes in as data.

mod endpoint;
mod firewall;
mod network;
mod overlay;
mod owned;
mod publish;
mod shaping;
mod view;

pub use endpoint::{endpoint_part, port_name};
pub use firewall::{Crossing, PORT_START, Passage, Way, reason, ruleset};
pub use network::{bridge_name, network_part};
pub use overlay::{OverlayView, Peer, overhead_bytes, overlay_part, tunnel_device, vxlan_device};
pub use owned::only_owned;
pub use shaping::waiting_name;
pub use view::{EndpointView, NetworkView, View, desired};
