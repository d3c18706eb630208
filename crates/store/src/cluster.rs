//! What many nodes agree on: the trait of the cluster's stores, and two of them.
//!
//! `Memory` is the reference, for tests and for many nodes in one process; `Static` reads a file
//! that names the nodes, without any server. The others are crates of their own. `rules` decides
//! what may enter a cluster, `told` what a node may say of its endpoints; a store brings it about in one step, or not at all. All of it blocks:
//! commands, agents' threads and tests call it alike. What the node knows of the cluster while the
//! store is away is in its records, not here.

mod document;
mod error;
mod file_watch;
mod memory;
pub mod rules;
mod static_file;
pub mod told;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use model::{Cluster, Named, Names, NetworkName, NodeId, NodeName, Overlay, Prefix, Whereabouts};

pub use document::FileFault;
pub use error::{ClusterError, Said, Unreadable};
pub use memory::Memory;
pub use static_file::Static;

/// How long a node that says nothing keeps its name and its subnets, in seconds: a day.
pub const SILENT_GRACE_SECS: u64 = 24 * 60 * 60;
/// How often one change is tried while others change the same, before it is given up.
pub const CHANGE_TRIES: u32 = 20;

/// How many endpoints a node tells of at most. Of those beyond the others learn as any switch does.
pub const ENDPOINTS_MAX: usize = 1000;
/// How many endpoints a node names at most, and in how many bytes ([`Named::told_bytes`]): a store
/// keeps all that a node tells in one value, and whoever reads the cluster reads that of every node.
/// Those beyond are found by name on their own node alone.
pub const NAMED_MAX: usize = 1000;
pub const NAMED_BYTES_MAX: usize = 256 * 1024;

/// A node's endpoints on its stretched networks.
pub type Endpoints = BTreeMap<NetworkName, Vec<Whereabouts>>;
/// A node's endpoints by name, on its networks with names.
pub type NamedEndpoints = BTreeMap<NetworkName, Vec<Named>>;

/// What a node tells the others of its endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    pub endpoints: Endpoints,
    pub named: NamedEndpoints,
}

/// A node as itself: its name, and the identity of its records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    pub name: NodeName,
    pub id: NodeId,
}

/// A moment of a cluster, as its store counts them. It means something to that store only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision {
    /// What was counted: a store made anew counts anew.
    pub of: u64,
    pub count: u64,
}

/// A cluster at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub cluster: Cluster,
    pub revision: Revision,
    /// The records that could not be read; the cluster is what all others say.
    pub unreadable: Vec<Unreadable>,
}

/// Where a cluster's nodes and networks are kept.
///
/// A node subnet never has two owners, whoever asks at once. Every change is whole or not made,
/// but for `Unavailable`: then it may have been made, and is asked for again, which is harmless
/// for all but `create_network`.
pub trait ClusterStore: Send {
    /// The whole cluster, with every change that anybody was told of.
    ///
    /// # Errors
    /// `Unavailable` where the store does not answer in time: the caller goes on with what it
    /// knows. `Denied` where it does not let the caller in. `Static`: what is wrong with the file.
    fn read(&mut self) -> Result<Snapshot, ClusterError>;

    /// Waits until networks, nodes, addresses or node subnets are others than at `since`, at most
    /// `bound`, and the time it takes to find that a store says nothing; true when they are, or may
    /// be. A node that says that it is still there wakes nobody.
    ///
    /// # Errors
    /// As `read`. It answers at once then: the caller waits before it asks again.
    fn wait(&mut self, since: &Revision, bound: Duration) -> Result<bool, ClusterError>;

    /// Whether it answers, at next to no cost for it: for who waits that it comes back.
    ///
    /// # Errors
    /// As `read`.
    fn probe(&mut self) -> Result<(), ClusterError>;

    /// # Errors
    /// `NetworkNameTaken`, `VniTaken`, `PrefixTaken`, `Overlay` where the network does not fit;
    /// `Contended`, and as `read`.
    fn create_network(&mut self, overlay: &Overlay) -> Result<(), ClusterError>;

    /// Whether the endpoints of a network find each other by name, on every node. False where it is
    /// so already.
    ///
    /// # Errors
    /// `NetworkUnknown`; `Contended`, and as `read`.
    fn set_names(&mut self, network: &NetworkName, names: Names) -> Result<bool, ClusterError>;

    /// Forgets a network that no node has a subnet of.
    ///
    /// # Errors
    /// `NetworkUnknown`, `NetworkInUse`; `Contended`, and as `read`.
    fn remove_network(&mut self, name: &NetworkName) -> Result<(), ClusterError>;

    /// This node is here, with these addresses in the underlay. Said again, every minute or so, it
    /// tells that the node is still here, and of changed addresses; subnets stay.
    ///
    /// # Errors
    /// `NodeNameTaken` where another machine has the name and was heard of within the grace time;
    /// `Underlay`; `Corrupt` where the node's own record is; `Contended`, and as `read`.
    fn join(
        &mut self,
        member: &Member,
        underlay: &[IpAddr],
        now_secs: u64,
    ) -> Result<(), ClusterError>;

    /// The node's own subnets of a network, IPv4 first; claimed where it has none yet.
    ///
    /// # Errors
    /// `NetworkUnknown`, `NodeUnknown` (it joins first), `Full`; `Contended`, and as `read`.
    fn claim(
        &mut self,
        network: &NetworkName,
        member: &Member,
    ) -> Result<Vec<Prefix>, ClusterError>;

    /// The node's endpoints, in place of those that it told of before. False where it has told of
    /// the same, or the store keeps none.
    ///
    /// # Errors
    /// `NodeUnknown` (it joins first), `Endpoints` where they are not the node's to tell of;
    /// `Contended`, and as `read`.
    fn tell_endpoints(&mut self, member: &Member, told: &Told) -> Result<bool, ClusterError>;

    /// Gives the node's subnets of a network back. Success where it has none.
    ///
    /// # Errors
    /// `Contended`, and as `read`.
    fn release(&mut self, network: &NetworkName, member: &Member) -> Result<(), ClusterError>;

    /// Forgets a node, and frees its subnets, also where its record can't be read. If it still
    /// runs, it joins anew.
    ///
    /// # Errors
    /// `NodeUnknown`; `Contended`, and as `read`.
    fn remove_node(&mut self, name: &NodeName) -> Result<(), ClusterError>;

    /// Forgets the nodes that said nothing for the grace time, and tells which. Any node may ask,
    /// once in a while and when a network is full. A store with a clock of its own uses that one.
    ///
    /// # Errors
    /// As `read`.
    fn expire(&mut self, now_secs: u64) -> Result<Vec<NodeName>, ClusterError>;
}
