//! A lab as it is at this moment.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Command;

use model::{EndpointName, Mtu, NetworkName, NodeName, Prefix, Target};
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::node::Node;
use crate::spec::{LabName, NetworkSpec, Spec};
use crate::{Tools, agent, cluster, mounts, node, place, run};

/// A node's cable to the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    Up,
    Cut,
    /// The node has no cable, or is not there: it was never finished, or removed by hand.
    Missing,
}

/// An endpoint as its node lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointLine {
    #[serde(rename(deserialize = "network_name"))]
    pub network: NetworkName,
    pub name: EndpointName,
    pub target: Target,
    pub cidrs: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct NodeStatus {
    pub name: NodeName,
    pub netns: String,
    pub underlay: Vec<IpAddr>,
    /// Whether it can be entered.
    pub alive: bool,
    pub link: Link,
    /// The process, where one runs.
    pub agent: Option<u32>,
    /// The node subnets it has by the cluster's file.
    pub subnets: BTreeMap<NetworkName, Vec<Prefix>>,
    pub endpoints: Vec<EndpointLine>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Status {
    pub name: LabName,
    pub underlay_mtu: Mtu,
    pub networks: Vec<NetworkSpec>,
    pub nodes: Vec<NodeStatus>,
}

pub fn look(spec: &Spec, tools: &Tools) -> Result<Status, LabError> {
    let ports = ports(spec)?;
    let cluster = cluster::read(spec)?;
    let nodes = node::all(spec).into_iter().map(|node| {
        let in_cluster = cluster.nodes.get(&node.name);
        let link = ports.get(node.name.as_str()).copied();
        Ok(NodeStatus {
            alive: node.keeper().is_some(),
            link: link.unwrap_or(Link::Missing),
            agent: agent::pid_of(&node),
            subnets: in_cluster.map(|n| n.subnets.clone()).unwrap_or_default(),
            endpoints: endpoints(&node, tools)?,
            name: node.name,
            netns: node.netns,
            underlay: node.underlay,
        })
    });
    Ok(Status {
        name: spec.name.clone(),
        underlay_mtu: spec.underlay_mtu,
        networks: spec.networks.clone(),
        nodes: nodes.collect::<Result<_, LabError>>()?,
    })
}

/// A device as `ip -j link` prints it.
#[derive(Deserialize)]
struct Device {
    ifname: String,
    flags: Vec<String>,
}

/// The switch's ports by name; none where there is no switch.
fn ports(spec: &Spec) -> Result<BTreeMap<String, Link>, LabError> {
    let netns = place::switch_netns(&spec.name);
    if !mounts::is_namespace(&place::netns_path(&netns)) {
        return Ok(BTreeMap::new());
    }
    let what = format!("ip -n {netns} -j link");
    let text = run::output(Command::new("ip").args(["-n", &netns, "-j", "link"]), &what)?;
    let devices: Vec<Device> =
        serde_json::from_str(&text).map_err(|source| LabError::Answer { what, source })?;
    let port = |device: Device| {
        let up = device.flags.iter().any(|flag| flag == "UP");
        (device.ifname, if up { Link::Up } else { Link::Cut })
    };
    Ok(devices.into_iter().map(port).collect())
}

fn endpoints(node: &Node, tools: &Tools) -> Result<Vec<EndpointLine>, LabError> {
    if node.keeper().is_none() {
        return Ok(Vec::new());
    }
    let what = format!("pontoon ls on node {}", node.name);
    let mut command = node.command(&tools.pontoon, tools)?;
    let text = run::output(command.args(["ls", "--json"]), &what)?;
    serde_json::from_str(&text).map_err(|source| LabError::Answer { what, source })
}
