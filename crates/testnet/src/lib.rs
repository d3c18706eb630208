//! Machines, neighbours and traffic for integration tests, as network namespaces of one test.
//!
//! A test calls [`Node::new`] first: its thread is then alone on a machine of its own, and so are
//! the processes and threads it starts. [`Node::outside`] adds the world beyond that machine,
//! [`Netns`] sends and receives in any namespace, [`frame`] forges packets.
//! Everything hangs on namespaces that nobody else holds, so a test that fails, hangs or is killed
//! leaves nothing behind.
//!
//! A fault of the test's own ground (no root, no `ip`) panics with what to do. What the kernel
//! lacks makes a test [`skip`], which is counted. This crate knows nothing of Pontoon but
//! `PONTOON_STATE_DIR`, and no shipped crate depends on it.

pub mod dns;
mod echo;
pub mod frame;
mod netns;
mod node;
mod outside;
mod packet_socket;
mod patience;
mod run;
mod seen;
mod skip;
mod wait;

pub use echo::{Server, Transport};
pub use netns::{Netns, in_netns};
pub use node::Node;
pub use outside::Outside;
pub use packet_socket::Sniffer;
pub use patience::{fewer, patient, silent, stride};
pub use run::{COMMAND_BOUND, Output, output, output_within};
pub use seen::{Seen, SeenIp};
pub use skip::{has_device, skip, skip_without_device};
pub use wait::wait_until;
