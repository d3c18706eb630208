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

mod agent;
mod cluster;
mod down;
mod error;
mod lock;
mod mounts;
mod namespaces;
mod node;
mod place;
mod process;
mod ready;
mod run;
mod spec;
mod status;
mod switch;
mod up;

use std::path::PathBuf;
use std::time::Duration;

pub use down::{Gone, down};
pub use error::LabError;
pub use node::Node;
pub use ready::READY_BOUND;
pub use spec::{LabName, NODES_MAX, NetworkSpec, NodeCount, Spec, Underlay};
pub use status::{EndpointLine, Link, NodeStatus, Status};
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

    /// # Errors
    /// `NoNode`.
    pub fn node(&self, name: &model::NodeName) -> Result<Node, LabError> {
        let mut nodes = self.nodes().into_iter();
        nodes
            .find(|node| node.name == *name)
            .ok_or_else(|| LabError::NoNode {
                node: name.clone(),
                lab: self.spec.name.clone(),
                nodes: self.spec.nodes.number(),
            })
    }

    /// How the lab is at this moment.
    ///
    /// # Errors
    /// A node that can't be asked.
    pub fn status(&self, tools: &Tools) -> Result<Status, LabError> {
        status::look(&self.spec, tools)
    }

    /// Pulls a node's cable out of the switch. Success where it is out.
    ///
    /// # Errors
    /// `Command`: what `ip` said.
    pub fn cut(&self, node: &Node, tools: &Tools) -> Result<(), LabError> {
        switch::set_port(&self.spec, node, switch::Port::Down, tools)
    }

    /// Puts the cable back in and starts the node's agent where none runs.
    ///
    /// # Errors
    /// `Command`: what `ip` said; `Start`.
    pub fn heal(&self, node: &Node, tools: &Tools) -> Result<(), LabError> {
        switch::set_port(&self.spec, node, switch::Port::Up, tools)?;
        if agent::pid_of(node).is_none() {
            agent::start(node, tools)?;
        }
        Ok(())
    }
}
