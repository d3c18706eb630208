//! One screen of everything: this node, its cluster, its networks, and what is wrong.

use std::net::IpAddr;
use std::path::Path;

use agent::{AgentStatus, ClusterPlace, ask_status, is_running};
use anyhow::Result;
use engine::{Adopted, Engine, Mode, NetworkStatus, Reconciled, TakeOver};
use model::{
    Backend, Cluster, ClusterNode, Mtu, NetworkKind, NetworkName, NodeId, NodeName, Prefix, Vni,
};
use netstate::stack::Stack;
use serde::Serialize;
use store::Membership;

use super::known::{Known, Source, known};
use crate::print;

/// The whole page.
#[derive(Debug, Serialize)]
pub struct Status {
    pub node: Option<NodeName>,
    pub id: NodeId,
    pub underlay: Vec<UnderlayStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterStatus>,
    pub peers: Vec<ClusterNode>,
    pub networks: Vec<OverlayStatus>,
    /// A sentence each.
    pub wrong: Vec<String>,
}

/// One of this node's addresses in the underlay, and the device that has it.
#[derive(Debug, Serialize)]
pub struct UnderlayStatus {
    pub address: IpAddr,
    pub device: Option<String>,
    /// In bytes.
    pub mtu: Option<u32>,
}

#[derive(Debug, Serialize)]
pub struct ClusterStatus {
    #[serde(flatten)]
    pub source: Source,
    pub agent_runs: bool,
    /// What it says of itself, where it runs and answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentStatus>,
}

/// A network of this node, or one that it should have.
#[derive(Debug, Serialize)]
pub struct OverlayStatus {
    pub name: NetworkName,
    pub kind: NetworkKind,
    pub backend: Option<Backend>,
    pub vni: Option<Vni>,
    /// This node's part, or all of a network that is on this node alone.
    pub subnets: Vec<Prefix>,
    pub endpoints: usize,
    pub mtu: Option<Mtu>,
    pub state: OverlayState,
    /// VXLAN packets for it that were dropped for where they come from, since the rules were made.
    pub forged: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlayState {
    AsAgreed,
    /// The cluster has it otherwise or no more; it is kept for the endpoints on it.
    Stranded,
    /// The cluster has it, this node has not.
    Missing,
}

/// Looks at everything, and changes nothing.
pub fn status(engine: &Engine, state_dir: &Path, place: Option<&ClusterPlace>) -> Result<Status> {
    let membership = engine.membership()?;
    let known = match (&membership, place) {
        (None, None) => None,
        _ => Some(known(engine, state_dir, place)?),
    };
    let cluster = known.as_ref().map(|known| &known.cluster);
    let node = known.as_ref().and_then(|known| known.me.clone());
    let me = cluster.zip(node.as_ref());
    let me = me.and_then(|(cluster, name)| cluster.nodes.get(name));
    let peers = cluster.map_or(Vec::new(), |cluster| peers(cluster, node.as_ref()));
    let runs = is_running(state_dir);
    let asked = runs.then(|| ask_status(state_dir));
    let mut wrong = wrong(engine, membership.as_ref(), known.as_ref());
    let agent = match asked {
        Some(Ok(agent)) => {
            let trouble = agent.trouble.iter();
            wrong.extend(trouble.map(|trouble| format!("the agent: {}", trouble.message)));
            let left_out = agent.left_out.iter();
            wrong.extend(left_out.map(|record| format!("left out the record {record}")));
            Some(agent)
        }
        Some(Err(error)) => {
            wrong.push(crate::exit::message(&error.into()));
            None
        }
        None => None,
    };
    if me.is_some_and(|me| me.id.is_some()) {
        wrong.extend(untold(engine)?);
    }
    Ok(Status {
        id: engine.node_id()?,
        underlay: match me {
            Some(me) => underlay(me, &engine.stack(None)?),
            None => Vec::new(),
        },
        networks: with_forged(networks(&engine.networks()?, cluster, me)),
        wrong: without_echoes(wrong),
        cluster: known.map(|known| ClusterStatus {
            source: known.source,
            agent_runs: runs,
            agent,
        }),
        peers,
        node,
    })
}

/// Endpoints that other nodes do not find by name.
fn untold(engine: &Engine) -> Result<impl Iterator<Item = String>> {
    let left_out = engine.named()?.left_out.into_iter();
    Ok(left_out.map(|(network, count)| {
        format!(
            "network {network}: {count} endpoint(s) have too many names to tell the other nodes of, \
             which don't find them; see 'pontoon names'"
        )
    }))
}

fn peers(cluster: &Cluster, me: Option<&NodeName>) -> Vec<ClusterNode> {
    let nodes = cluster.nodes.values();
    nodes
        .filter(|node| Some(&node.name) != me)
        .cloned()
        .collect()
}

fn underlay(me: &ClusterNode, stack: &Stack) -> Vec<UnderlayStatus> {
    let status = |address: &IpAddr| {
        let mut addresses = stack.addresses.iter();
        let at = addresses.find(|held| held.address == *address);
        let device = at.and_then(|at| stack.devices.iter().find(|d| d.name == at.device));
        UnderlayStatus {
            address: *address,
            device: device.map(|device| device.name.clone()),
            mtu: device.map(|device| device.mtu),
        }
    };
    me.underlay.iter().map(status).collect()
}

fn networks(
    here: &[NetworkStatus],
    cluster: Option<&Cluster>,
    me: Option<&ClusterNode>,
) -> Vec<OverlayStatus> {
    let mut all: Vec<OverlayStatus> = here.iter().map(|n| of_node(n, cluster, me)).collect();
    let agreed = cluster
        .into_iter()
        .flat_map(|cluster| cluster.networks.values());
    let missing = agreed.filter(|overlay| !here.iter().any(|n| n.network.name == overlay.name));
    all.extend(missing.map(|overlay| {
        OverlayStatus {
            name: overlay.name.clone(),
            kind: NetworkKind::Overlay,
            backend: Some(overlay.backend),
            vni: Some(overlay.vni),
            subnets: me
                .and_then(|me| me.subnets.get(&overlay.name).cloned())
                .unwrap_or_default(),
            endpoints: 0,
            mtu: None,
            state: OverlayState::Missing,
            forged: 0,
        }
    }));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn of_node(
    status: &NetworkStatus,
    cluster: Option<&Cluster>,
    me: Option<&ClusterNode>,
) -> OverlayStatus {
    let network = &status.network;
    let is_overlay = network.kind == NetworkKind::Overlay;
    let agreed = cluster.and_then(|cluster| cluster.networks.get(&network.name));
    let agreed = agreed.filter(|_| is_overlay);
    let held = me.and_then(|me| me.subnets.get(&network.name));
    let wanted = agreed.zip(held).and_then(|(o, held)| o.subnets(held).ok());
    let as_agreed = !is_overlay || wanted.as_ref() == Some(&network.subnets);
    let own = network.subnets.iter().map(|s| s.prefix);
    let subnets = match held.filter(|_| is_overlay && as_agreed) {
        Some(held) => held.clone(),
        None => own.collect(),
    };
    OverlayStatus {
        name: network.name.clone(),
        kind: network.kind,
        backend: agreed.map(|overlay| overlay.backend),
        vni: agreed.map(|overlay| overlay.vni),
        subnets,
        endpoints: status.endpoints.len(),
        mtu: Some(status.mtu_now),
        state: match as_agreed {
            true => OverlayState::AsAgreed,
            false => OverlayState::Stranded,
        },
        forged: 0,
    }
}

/// Nothing where the rules can't be read: what is wrong with them is said elsewhere.
fn with_forged(mut networks: Vec<OverlayStatus>) -> Vec<OverlayStatus> {
    let drops = engine::dropped().unwrap_or_default();
    for network in networks.iter_mut().filter(|network| network.vni.is_some()) {
        let of_it = drops.iter().filter(|drop| drop.vni == network.vni);
        network.forged = of_it.map(|drop| drop.packets).sum();
    }
    networks
}

fn without_echoes(mut sentences: Vec<String>) -> Vec<String> {
    let mut said = std::collections::BTreeSet::new();
    sentences.retain(|sentence| said.insert(sentence.clone()));
    sentences
}

/// What a dry run would mend, and what the store complains of.
fn wrong(engine: &Engine, membership: Option<&Membership>, known: Option<&Known>) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(Source::Records {
        because: Some(why), ..
    }) = known.map(|known| &known.source)
    {
        wrong.push(why.clone());
    }
    match membership {
        None => match engine.reconcile(TakeOver::No, Mode::DryRun) {
            Ok(change) => wrong.extend(to_mend(&change.outcome)),
            Err(error) => wrong.push(error.to_string()),
        },
        Some(membership) => match engine.adopt(membership, Mode::DryRun) {
            Ok(change) => wrong.extend(to_adopt(&change.outcome)),
            Err(error) => wrong.push(error.to_string()),
        },
    }
    wrong
}

fn to_adopt(adopted: &Adopted) -> Vec<String> {
    let refused = adopted.refused.iter();
    let refused = refused.map(|network| format!("network {}: {}", network.name, network.why));
    let stranded = adopted.stranded.iter();
    let stranded = stranded.map(|name| format!("network {name}: {}", print::STRANDED));
    let mut all: Vec<String> = refused.chain(stranded).collect();
    all.extend(to_mend(&adopted.reconciled));
    all
}

fn to_mend(reconciled: &Reconciled) -> Vec<String> {
    let released = reconciled.released.iter();
    let released = released.map(|released| {
        let (network, name) = (&released.network, &released.name);
        format!("endpoint {network}/{name} ({}) is dead", released.target)
    });
    let unfinished = reconciled.removed_networks.iter();
    let unfinished = unfinished.map(|name| format!("network {name} is left half done"));
    let findings = reconciled.findings.iter().cloned();
    released.chain(unfinished).chain(findings).collect()
}
