//! A lab as it is at this moment.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Command;

use model::{EndpointName, Mtu, NetworkKind, NetworkName, NodeName, Prefix, Target};
use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::error::LabError;
use crate::node::Node;
use crate::spec::{LabName, NetworkSpec, Spec, StoreKind};
use crate::{Tools, agent, etcd, mounts, node, place, run};

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
    /// The node subnets it has by its own records.
    pub subnets: BTreeMap<NetworkName, Vec<Prefix>>,
    pub endpoints: Vec<EndpointLine>,
}

/// What the nodes agree by.
#[derive(Debug, Clone, Serialize)]
pub struct StoreStatus {
    pub kind: StoreKind,
    /// As `--cluster` takes it.
    pub address: String,
    /// None where it is a file.
    pub server: Option<ServerStatus>,
}

/// The machine with the lab's etcd.
#[derive(Debug, Clone, Serialize)]
pub struct ServerStatus {
    pub netns: String,
    pub underlay: Vec<IpAddr>,
    pub link: Link,
    /// The process, where one runs.
    pub etcd: Option<u32>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Status {
    pub name: LabName,
    pub underlay_mtu: Mtu,
    pub store: StoreStatus,
    pub networks: Vec<NetworkSpec>,
    pub nodes: Vec<NodeStatus>,
}

pub fn look(spec: &Spec, tools: &Tools) -> Result<Status, LabError> {
    let ports = ports(spec)?;
    let nodes = node::all(spec).into_iter().map(|node| {
        let link = ports.get(node.name.as_str()).copied();
        Ok(NodeStatus {
            alive: node.keeper().is_some(),
            link: link.unwrap_or(Link::Missing),
            agent: agent::pid_of(&node),
            subnets: subnets(&node, tools)?,
            endpoints: endpoints(&node, tools)?,
            name: node.name,
            netns: node.netns,
            underlay: node.underlay,
        })
    });
    Ok(Status {
        name: spec.name.clone(),
        underlay_mtu: spec.underlay_mtu,
        store: store(spec, &ports),
        networks: spec.networks.clone(),
        nodes: nodes.collect::<Result<_, LabError>>()?,
    })
}

fn store(spec: &Spec, ports: &BTreeMap<String, Link>) -> StoreStatus {
    StoreStatus {
        kind: spec.store,
        address: Access::of(spec, place::STORE).address,
        server: etcd::of(spec).map(|machine| ServerStatus {
            underlay: node::addresses(spec, etcd::NUMBER),
            link: ports.get(place::STORE).copied().unwrap_or(Link::Missing),
            etcd: machine.pid(),
            netns: machine.netns,
        }),
    }
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

/// A network as its node lists it.
#[derive(Deserialize)]
struct NetworkLine {
    name: NetworkName,
    kind: NetworkKind,
    subnets: Vec<SubnetLine>,
}

#[derive(Deserialize)]
struct SubnetLine {
    prefix: Prefix,
}

/// The node's own parts of the networks over all nodes.
fn subnets(node: &Node, tools: &Tools) -> Result<BTreeMap<NetworkName, Vec<Prefix>>, LabError> {
    let networks: Vec<NetworkLine> = ask(node, &["network", "ls", "--json"], tools)?;
    let overlays = networks.into_iter();
    let overlays = overlays.filter(|network| network.kind == NetworkKind::Overlay);
    let part = |network: NetworkLine| {
        let prefixes = network.subnets.into_iter().map(|subnet| subnet.prefix);
        (network.name, prefixes.collect())
    };
    Ok(overlays.map(part).collect())
}

fn endpoints(node: &Node, tools: &Tools) -> Result<Vec<EndpointLine>, LabError> {
    ask(node, &["ls", "--json"], tools)
}

/// A list of a node's; nothing where that is dead.
fn ask<T>(node: &Node, words: &[&str], tools: &Tools) -> Result<Vec<T>, LabError>
where
    T: serde::de::DeserializeOwned,
{
    match node.ask(words, tools) {
        Err(LabError::NodeDead(_)) => Ok(Vec::new()),
        answer => answer,
    }
}
