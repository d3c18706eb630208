//! Nodes, their networks, and the endpoints on them: as far as this node knows.

use std::net::IpAddr;
use std::path::Path;

use agent::ClusterPlace;
use anyhow::Result;
use engine::{Engine, NetworkStatus};
use model::{
    Backend, Cluster, ClusterNode, EndpointName, Network, NetworkName, NodeName, Prefix, Vni,
};
use serde::{Deserialize, Serialize};

use super::known::{Source, known};

#[derive(Debug, Serialize)]
pub struct Topology {
    #[serde(flatten)]
    pub source: Option<Source>,
    pub nodes: Vec<NodeBranch>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct NodeBranch {
    /// `None` for this node where it is in no cluster.
    pub name: Option<NodeName>,
    pub here: bool,
    pub underlay: Vec<IpAddr>,
    pub networks: Vec<NetworkBranch>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct NetworkBranch {
    pub name: NetworkName,
    /// How it reaches other nodes, where it does.
    pub overlay: Option<(Backend, Vni)>,
    pub subnets: Vec<Prefix>,
    /// `None` where only the other node knows.
    pub endpoints: Option<Vec<EndpointLeaf>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct EndpointLeaf {
    pub name: EndpointName,
    pub addresses: Vec<IpAddr>,
}

/// Looks, and changes nothing.
pub fn topology(
    engine: &Engine,
    state_dir: &Path,
    place: Option<&ClusterPlace>,
) -> Result<Topology> {
    let own = engine.networks()?;
    if engine.membership()?.is_none() && place.is_none() {
        return Ok(Topology {
            source: None,
            nodes: vec![this_node(None, &own, &Cluster::default())],
        });
    }
    let known = known(engine, state_dir, place)?;
    let cluster = &known.cluster;
    let me = known.me.as_ref();
    let here = me.and_then(|name| cluster.nodes.get(name));
    let others = cluster.nodes.values().filter(|node| Some(&node.name) != me);
    let mut nodes: Vec<NodeBranch> = others.map(|node| other_node(node, cluster)).collect();
    if let Some(me) = me {
        let mut branch = this_node(here, &own, cluster);
        branch.name = Some(me.clone());
        nodes.insert(0, branch);
    }
    Ok(Topology {
        source: Some(known.source),
        nodes,
    })
}

fn overlay(cluster: &Cluster, name: &NetworkName) -> Option<(Backend, Vni)> {
    let overlay = cluster.networks.get(name)?;
    Some((overlay.backend, overlay.vni))
}

fn this_node(me: Option<&ClusterNode>, own: &[NetworkStatus], cluster: &Cluster) -> NodeBranch {
    let branch = |status: &NetworkStatus| {
        let network = &status.network;
        let is_overlay = network.kind == model::NetworkKind::Overlay;
        let endpoints = status.endpoints.iter();
        NetworkBranch {
            name: network.name.clone(),
            overlay: overlay(cluster, &network.name).filter(|_| is_overlay),
            subnets: part(network, me),
            endpoints: Some(
                endpoints
                    .map(|endpoint| EndpointLeaf {
                        name: endpoint.name.clone(),
                        addresses: endpoint.addresses.clone(),
                    })
                    .collect(),
            ),
        }
    };
    NodeBranch {
        name: None,
        here: true,
        underlay: me.map_or(Vec::new(), |me| me.underlay.clone()),
        networks: own.iter().map(branch).collect(),
    }
}

/// This node's part of a network: of a stretched one its endpoints see the whole.
fn part(network: &Network, me: Option<&ClusterNode>) -> Vec<Prefix> {
    let held = me.and_then(|me| me.subnets.get(&network.name));
    match held.filter(|_| network.is_stretched()) {
        Some(held) => held.clone(),
        None => network.subnets.iter().map(|subnet| subnet.prefix).collect(),
    }
}

fn other_node(node: &ClusterNode, cluster: &Cluster) -> NodeBranch {
    let networks = node.subnets.iter();
    NodeBranch {
        name: Some(node.name.clone()),
        here: false,
        underlay: node.underlay.clone(),
        networks: networks
            .map(|(name, subnets)| NetworkBranch {
                name: name.clone(),
                overlay: overlay(cluster, name),
                subnets: subnets.clone(),
                endpoints: None,
            })
            .collect(),
    }
}
