//! Kernel objects, the state they add up to, and the difference between two states as a plan.
//!
//! One type stands for each kernel object, the same whether it is desired or observed. A plan
//! prints as the `ip`, `bridge`, `nft` and `sysctl` lines a person would have typed. Nothing
//! here talks to a kernel: `kernel` observes and applies; `plan` says what is desired.

mod diff;
mod facts;
mod finding;
mod flows;
mod link;
mod netns;
pub mod nft;
mod route;
mod shaping;
pub mod stack;
mod state;
mod step;
mod sysctl;
mod text;
pub mod trace;
mod tunnel;
mod vxlan;

pub use diff::diff;
pub use facts::{AddressFacts, Interest, LinkFacts, Listener, NodeFacts, Pair, RouteFacts};
pub use link::{Alias, Link, LinkKey, LinkKind, Peer, PortFlags};
pub use netns::Netns;
pub use route::{AddressKey, ROUTE_PROTOCOL, Route, RouteKey, Way};
pub use shaping::{BURST_UNIT, QUEUE_MARK, Queue};
pub use state::KernelState;
pub use step::{LinkChange, NodePorts, Object, Plan, Step};
pub use sysctl::SysctlKey;
pub use tunnel::{TUNNEL_TTL, Tunnel};
pub use vxlan::{FdbKey, FloodKey, Learning, NeighbourKey, PortFdbKey, Vxlan};
