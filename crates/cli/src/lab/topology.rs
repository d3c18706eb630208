//! What every node of a lab knows of itself, put together: no node knows all endpoints.

use anyhow::Result;
use lab::{Lab, LabError, Node, Tools};
use serde::Deserialize;

use crate::cluster::topology::{NodeBranch, Topology};

/// What a node prints.
#[derive(Deserialize)]
struct Printed {
    nodes: Vec<NodeBranch>,
}

pub fn topology(lab: &Lab, tools: &Tools) -> Result<Topology> {
    let nodes = lab.nodes();
    let branches = nodes.iter().map(|node| branch(node, tools));
    Ok(Topology {
        source: None,
        nodes: branches.collect::<Result<_, LabError>>()?,
    })
}

/// The node as it knows itself. One that is dead knows nothing.
fn branch(node: &Node, tools: &Tools) -> Result<NodeBranch, LabError> {
    let printed: Printed = match node.ask(&["topology", "--json"], tools) {
        Err(LabError::NodeDead(_)) => Printed { nodes: Vec::new() },
        answer => answer?,
    };
    let own = printed.nodes.into_iter().find(|branch| branch.here);
    Ok(NodeBranch {
        name: Some(node.name.clone()),
        here: false,
        underlay: node.underlay.clone(),
        networks: own.map(|branch| branch.networks).unwrap_or_default(),
    })
}
