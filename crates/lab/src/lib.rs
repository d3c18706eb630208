//! Nodes as network namespaces on one machine: for learning, tests and benchmarks.
//!
//! Each node has a network, a mount and a UTS namespace, so that on it everything is as on a
//! machine of its own: its devices, its `/run/netns`, its records, its agent. A switch in one more
//! namespace joins them. A node's network namespace has a name, and a process keeps its mounts:
//! agents and all else come and go. All of it is in memory and found by its names alone, so
//! [`down`] removes also what a killed [`up`] left. What a node does is not this crate's business:
//! it runs `pontoon` there.
//!
//! Begin with `up`; `place` says what is where.

mod access;
mod agent;
mod cluster;
mod down;
mod error;
mod etcd;
mod lock;
mod mounts;
mod namespaces;
mod node;
mod part;
mod place;
mod process;
mod ready;
mod run;
mod spec;
mod status;
mod switch;
mod tls;
mod up;

use std::path::PathBuf;
use std::time::Duration;

use model::NodeName;

pub use down::{Gone, down};
pub use error::LabError;
pub use etcd::StoreMachine;
pub use node::Node;
pub use part::Part;
pub use ready::READY_BOUND;
pub use spec::{LabName, NODES_MAX, NetworkSpec, NodeCount, Spec, StoreKind, Underlay};
pub use status::{EndpointLine, Link, NodeStatus, ServerStatus, Status, StoreStatus};
pub use up::{Stage, up};

/// What every act on a lab needs.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The `pontoon` that runs on the nodes.
    pub pontoon: PathBuf,
    /// How long to wait for another process that makes or removes a lab.
    pub lock_wait: Duration,
    /// Told each script before it runs.
    pub announce: fn(&str),
}

/// A lab that is there.
#[derive(Debug, Clone)]
pub struct Lab {
    pub spec: Spec,
}

impl Lab {
    /// # Errors
    /// `NoLab`, `InsideNode`; a file that can't be read.
    pub fn find(name: &LabName) -> Result<Self, LabError> {
        place::check_outside()?;
        Ok(Self {
            spec: spec::read(name)?,
        })
    }

    /// Its nodes in order.
    pub fn nodes(&self) -> Vec<Node> {
        node::all(&self.spec)
    }

    /// All its machines: the store, then the nodes.
    pub fn parts(&self) -> Vec<Part> {
        let store = etcd::of(&self.spec).map(Part::Store);
        let nodes = self.nodes().into_iter();
        let nodes = nodes.map(|node| Part::Node(Box::new(node)));
        store.into_iter().chain(nodes).collect()
    }

    /// A node, or the store's machine: `store`.
    ///
    /// # Errors
    /// `NoPart`.
    pub fn part(&self, name: &NodeName) -> Result<Part, LabError> {
        part::find(&self.spec, self.parts(), name)
    }

    /// # Errors
    /// `NoPart`, `NotANode`.
    pub fn node(&self, name: &NodeName) -> Result<Node, LabError> {
        match self.part(name)? {
            Part::Node(node) => Ok(*node),
            Part::Store(_) => Err(LabError::NotANode(name.clone())),
        }
    }

    /// How the lab is at this moment.
    ///
    /// # Errors
    /// A node that can't be asked.
    pub fn status(&self, tools: &Tools) -> Result<Status, LabError> {
        status::look(&self.spec, tools)
    }
}
